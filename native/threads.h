// V8's platform threads across fork(2): stopped at a point where a copy of them can go on, and created again in the
// child exactly where they stood.
//
//     parent                                        child
//     Park()     every V8 thread stands in the
//                handler of signal 33, registers
//                saved by the kernel on its stack
//     fork(2)    ----------------------------------->  memory copied, these threads absent
//     Release()  they go on                         Revive()  clone(2) with their own thread pointer; each new
//                                                             thread returns from "its" signal handler
//
// thread_table: which threads there are; thread_stop: the handler; threads.cc: the safe points, Park and Release;
// thread_revive: Revive; thread_follow: the two Follow functions.
#ifndef REALFORK_NATIVE_THREADS_H_
#define REALFORK_NATIVE_THREADS_H_

#include <stdint.h>

namespace realfork::threads {

enum class ParkResult {
  kParked,
  // A worker_threads Worker was in native code, where it may hold a lock, for the whole of the waiting time.
  kWorkerBusy,
  // A V8 thread could not be stopped outside the C library within the waiting time.
  kUnsafe,
};

// Looks at the process's threads for the first time and remembers V8's. Call when the addon loads, before the user
// can change the signal mask that new threads inherit. Only the first call does anything.
void Learn();

// How many V8 platform threads are known, those of this process.
int V8ThreadCount();

// How many Workers the last Park() found; in a child that has not forked itself, those the parent had.
int WorkerCount();

// Stops V8's threads, and Workers, at safe points. On any result but kParked everything runs again.
ParkResult Park();

// In the parent, also after a failed fork: lets the parked threads go on.
void Release();

// In the child: creates the parked V8 threads again. Async-signal-safe.
void Revive();

// Takes a change of the main thread's signal mask (bit 0: signal 1) to every other thread, so that a signal blocked
// there stays pending for the process instead of going to a thread that still takes it. A thread keeps what it had
// blocked itself: only signals that came from the main thread's mask are unblocked with it. Main thread only. Where
// threads cannot be stopped (platform.h) it does nothing.
void FollowMask(uint64_t before, uint64_t after);

// In a child: gives the threads brought back the user, groups and group of the main thread. glibc's setuid and the
// others tell every thread on glibc's list, and these are not on it. Main thread only.
void FollowCredentials();

}  // namespace realfork::threads

#endif  // REALFORK_NATIVE_THREADS_H_
