#include "thread_stay.h"

#include "platform.h"

#if REALFORK_REVIVES_THREADS

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "futex.h"
#include "machine.h"
#include "thread_stop.h"

namespace realfork::threads {

namespace {

// The handler has everything blocked. A thread that stays must take kParkSignal: from glibc, for which each thread has
// to answer before setuid(3) returns, and from Dismiss. Stop sends it to none that stays.
void MaskParkSignal(int how) {
  constexpr uint64_t kMask = 1ull << (kParkSignal - 1);
  syscall(SYS_rt_sigprocmask, how, &kMask, nullptr, sizeof kMask);
}

bool WaitsForWord(const ucontext_t* context) {
  if (machine::InterruptedCall(context) != SYS_futex) return false;
  const long operation = machine::Argument(context, 1) & FUTEX_CMD_MASK;
  const bool has_limit = machine::Argument(context, 3) != 0;
  const bool waits_for_any =
      operation == FUTEX_WAIT || (operation == FUTEX_WAIT_BITSET &&
                                  static_cast<uint32_t>(machine::Argument(context, 5)) == FUTEX_BITSET_MATCH_ANY);
  return waits_for_any && !has_limit;
}

// Of the scheduler: its call was epoll_wait (see threads.cc), whose fourth argument is the time limit.
bool WaitsForEvents(const ucontext_t* context) {
  return machine::kKeepsFirstArgument && machine::InterruptedCall(context) == machine::kInterrupted &&
         static_cast<int>(machine::Argument(context, 3)) == -1;
}

}  // namespace

bool MayStay(const Thread& thread) {
  if (thread.kind == Kind::kScheduler) return WaitsForEvents(thread.context);
  return thread.kind == Kind::kPlatform && WaitsForWord(thread.context);
}

namespace {

// Waits for what the thread was waiting for. False when a signal has ended that, Dismiss's.
bool WaitForWord(const ucontext_t* context) {
  // With a time limit, which is far away: without one the call goes on behind the handler of a signal (SA_RESTART).
  const timespec limit{INT_MAX, 0};
  const long privacy = machine::Argument(context, 1) & FUTEX_PRIVATE_FLAG;
  const long result = syscall(SYS_futex, machine::Argument(context, 0), FUTEX_WAIT_BITSET | privacy,
                              machine::Argument(context, 2), &limit, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 || errno != EINTR;
}

// Waits until epoll_wait, to which the thread returns, would find something. False as above.
bool WaitForEvents(const ucontext_t* context) {
  pollfd events{static_cast<int>(machine::Argument(context, 0)), POLLIN, 0};
  return poll(&events, 1, -1) >= 0 || errno != EINTR;
}

void Leave(Thread* thread) {
  for (;;) {
    int stay = thread->stay.load();
    switch (stay) {
      case kStays:
        if (thread->stay.compare_exchange_strong(stay, kLeaves)) return;
        break;
      case kHeld:
        thread->stay.compare_exchange_strong(stay, kWantsOut);
        break;
      case kWantsOut:
        FutexWait(&thread->stay, kWantsOut);
        break;
      case kDismissed:
        thread->stay.store(kLeaves);
        FutexWakeAll(&thread->stay);
        return;
      default:
        return;
    }
  }
}

}  // namespace

void StayInHandler(Thread* thread) {
  const auto wait = thread->kind == Kind::kScheduler ? WaitForEvents : WaitForWord;
  MaskParkSignal(SIG_UNBLOCK);
  while (thread->stay.load() != kDismissed && !wait(thread->context)) continue;
  // Before the thread is one to be signalled: Stop's signal has to wait until the handler has been left.
  MaskParkSignal(SIG_BLOCK);
  Leave(thread);
}

bool Hold(Thread* thread) {
  int stay = kStays;
  return thread->stay.compare_exchange_strong(stay, kHeld);
}

void LetStay(Thread* thread) {
  int stay = kHeld;
  if (thread->stay.compare_exchange_strong(stay, kStays) || stay != kWantsOut) return;
  thread->stay.store(kLeaves);
  FutexWakeOne(&thread->stay);
}

void Dismiss(Thread* thread) {
  int stay = kStays;
  if (!thread->stay.compare_exchange_strong(stay, kDismissed)) return;
  // The signal ends its wait; a second one, should the first have come just before the wait. Each is waited for: the
  // handler that comes next is glibc's.
  while (thread->stay.load() == kDismissed) {
    thread->nudged.store(1);
    syscall(SYS_tgkill, getpid(), thread->tid, kParkSignal);
    while (thread->nudged.load() == 1) FutexWait(&thread->nudged, 1);
    FutexWait(&thread->stay, kDismissed, kNanosecondsPerMs);
  }
}

bool TakeNudge(Thread* thread) {
  if (thread->nudged.exchange(0) == 0) return false;
  FutexWakeAll(&thread->nudged);
  return true;
}

}  // namespace realfork::threads

#endif  // REALFORK_REVIVES_THREADS
