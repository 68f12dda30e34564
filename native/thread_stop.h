// Stopping threads: each stands in the handler of a signal that nobody can block, its registers saved on its stack.
#ifndef REALFORK_NATIVE_THREAD_STOP_H_
#define REALFORK_NATIVE_THREAD_STOP_H_

#include <vector>

#include "thread_table.h"

namespace realfork::threads {

// glibc's SIGSETXID: nothing in the process can block it, pthread_sigmask(3) leaves it out of every mask, and it is
// used only while some thread runs a setuid-like call.
constexpr int kParkSignal = 33;

constexpr long kNanosecondsPerMs = 1'000'000;

long NowMs();

// The signal's action belongs to glibc but for the time between these two.
void InstallParkAction();
void RemoveParkAction();

// Stops these threads in their handlers and waits until each has answered or has ended meanwhile (`gone`). One that
// cannot take the signal (the kernel holds it, a debugger does) is let go unseen after a second: it is not `parked`.
// Until they are let go the caller must not allocate: a stopped thread may hold malloc's lock.
void Stop(const std::vector<Thread*>& threads);

// The same, and each runs `task(argument)`, async-signal-safe code, before it answers.
void StopWith(const std::vector<Thread*>& threads, void (*task)(void*), void* argument);

// Lets a thread go; takes effect when the gate opens.
void Let(Thread* thread);
void OpenGate();

// Lets every thread go.
void LetAllGo();

}  // namespace realfork::threads

#endif  // REALFORK_NATIVE_THREAD_STOP_H_
