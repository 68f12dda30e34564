// Threads that stay in their handler between two stops.
//
// To be stopped and let go costs a thread two wake-ups, which take the processor from the main thread (Node 20, four
// idle threads: half as long as fork(2) itself). A thread that was stopped in a wait without a time limit has nothing
// else to do than to wait on: it can do that from inside the handler, where fork(2) may copy it at any time, and where
// its registers are recorded. So it waits there for the word that it was waiting for, and when that is woken it returns
// from the handler, into its own futex(2), which finds the word changed. Node's scheduler of delayed tasks does the
// same with the descriptor that it waits at in epoll_wait(2).
#ifndef REALFORK_NATIVE_THREAD_STAY_H_
#define REALFORK_NATIVE_THREAD_STAY_H_

#include "thread_table.h"

namespace realfork::threads {

// In the handler: whether the thread was stopped in such a wait.
bool MayStay(const Thread& thread);

// In the handler of a thread that is kHeld: returns when the thread has to leave.
void StayInHandler(Thread* thread);

// Main thread. Stops the thread where it stays; false: it does not stay, and has to be signalled.
bool Hold(Thread* thread);

// Main thread. Undoes Hold.
void LetStay(Thread* thread);

// Main thread, while the handler is that of kParkSignal. Makes a thread that stays leave it, and waits until it is
// about to.
void Dismiss(Thread* thread);

// In the handler: whether the signal is Dismiss's, which there is nothing else to do for.
bool TakeNudge(Thread* thread);

}  // namespace realfork::threads

#endif  // REALFORK_NATIVE_THREAD_STAY_H_
