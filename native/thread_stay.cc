#include "thread_stay.h"

#include "platform.h"

#if REALFORK_REVIVES_THREADS

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "futex.h"
#include "machine.h"
#include "thread_stop.h"

namespace realfork::threads {

namespace {

// futex_waitv(2), Linux 5.16; the same number on every architecture.
constexpr long kFutexWaitV = 449;
constexpr uint32_t kFutex32 = 2;

struct FutexWaiter {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

std::atomic<int> dismissals{0};  // futex

// Asked for no words the call fails with EINVAL; with EPERM in a sandbox that does not know it.
const bool kernel_waits_for_two = syscall(kFutexWaitV, nullptr, 0, 0, nullptr, 0) != 0 && errno == EINVAL;

// The handler has everything blocked. A thread that stays must take kParkSignal: from glibc, for which each thread has
// to answer before setuid(3) returns. Stop sends it to none that stays.
void MaskParkSignal(int how) {
  constexpr uint64_t kMask = 1ull << (kParkSignal - 1);
  syscall(SYS_rt_sigprocmask, how, &kMask, nullptr, sizeof kMask);
}

}  // namespace

bool MayStay(const Thread& thread) {
  if (thread.kind != Kind::kPlatform || machine::InterruptedCall(thread.context) != SYS_futex) return false;
  const long operation = machine::Argument(thread.context, 1) & FUTEX_CMD_MASK;
  const bool has_limit = machine::Argument(thread.context, 3) != 0;
  const bool waits_for_any = operation == FUTEX_WAIT ||
                             (operation == FUTEX_WAIT_BITSET &&
                              static_cast<uint32_t>(machine::Argument(thread.context, 5)) == FUTEX_BITSET_MATCH_ANY);
  return waits_for_any && !has_limit && kernel_waits_for_two;
}

namespace {

// Waits for what the thread was waiting for, or for a dismissal.
void WaitOn(const Thread& thread) {
  const uint32_t privacy = machine::Argument(thread.context, 1) & FUTEX_PRIVATE_FLAG;
  FutexWaiter words[] = {
      {static_cast<uint32_t>(machine::Argument(thread.context, 2)),
       static_cast<uint64_t>(machine::Argument(thread.context, 0)), kFutex32 | privacy, 0},
      {static_cast<uint32_t>(dismissals.load()), reinterpret_cast<uint64_t>(&dismissals), kFutex32 | FUTEX_PRIVATE_FLAG,
       0},
  };
  while (thread.stay.load() != kDismissed) {
    if (syscall(kFutexWaitV, words, 2, 0, nullptr, 0) >= 0 || errno != EINTR) return;
  }
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
  MaskParkSignal(SIG_UNBLOCK);
  WaitOn(*thread);
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

void Dismiss(const std::vector<Thread*>& threads) {
  for (Thread* thread : threads) {
    int stay = kStays;
    thread->stay.compare_exchange_strong(stay, kDismissed);
  }
  dismissals.fetch_add(1);
  FutexWakeAll(&dismissals);
  for (Thread* thread : threads) {
    while (thread->stay.load() == kDismissed) FutexWait(&thread->stay, kDismissed);
  }
}

}  // namespace realfork::threads

#endif  // REALFORK_REVIVES_THREADS
