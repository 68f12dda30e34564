// Threads that stay in their handler between two stops.
//
// To be stopped and let go costs a thread two wake-ups, which take the processor from the main thread (Node 20, four
// idle threads: half as long as fork(2) itself). A thread that was stopped in a wait without a time limit has nothing
// else to do than to wait on: it can do that from inside the handler, where fork(2) may copy it at any time, and where
// its registers are recorded. So it waits there for the word that it was waiting for, and when that is woken it returns
// from the handler, into its own futex(2), which finds the word changed.
#ifndef REALFORK_NATIVE_THREAD_STAY_H_
#define REALFORK_NATIVE_THREAD_STAY_H_

#include <vector>

#include "thread_table.h"

namespace realfork::threads {

// In the handler: whether the thread was stopped in such a wait, and the kernel can wait for two words (Linux 5.16).
bool MayStay(const Thread& thread);

// In the handler of a thread that is kHeld: returns when the thread has to leave.
void StayInHandler(Thread* thread);

// Main thread. Stops the thread where it stays; false: it does not stay, and has to be signalled.
bool Hold(Thread* thread);

// Main thread. Undoes Hold.
void LetStay(Thread* thread);

// Main thread. Makes these threads leave their handlers, and waits until they are about to.
void Dismiss(const std::vector<Thread*>& threads);

}  // namespace realfork::threads

#endif  // REALFORK_NATIVE_THREAD_STAY_H_
