// Waiting for a word of memory that several processes share. Linux: futex(2) without FUTEX_PRIVATE_FLAG, whose key is
// the page of the file and not the address. macOS: the calls under libc++'s own waits, which have a shared form too.
#ifndef REALFORK_NATIVE_SHARED_FUTEX_H_
#define REALFORK_NATIVE_SHARED_FUTEX_H_

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <time.h>

#include <atomic>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
extern "C" int __ulock_wait(uint32_t operation, void* address, uint64_t value, uint32_t microseconds);
extern "C" int __ulock_wake(uint32_t operation, void* address, uint64_t value);
#endif

namespace realfork::shared {

using Word = std::atomic<uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free, "a word of memory is what the kernel waits for");

enum class Woken { kWoken, kChanged, kTimedOut };

constexpr int64_t kForEver = -1;

// CLOCK_MONOTONIC in nanoseconds.
inline int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// Waits while *word is `expected`, until `deadline` (of Now()'s clock). A signal does not end the wait.
inline Woken Wait(Word* word, uint32_t expected, int64_t deadline = kForEver) {
#if defined(__linux__)
  const timespec limit{static_cast<time_t>(deadline / 1'000'000'000), static_cast<long>(deadline % 1'000'000'000)};
  for (;;) {
    // futex(2): FUTEX_WAIT_BITSET takes an absolute time, so that an interrupted wait can be resumed as it was.
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline < 0 ? nullptr : &limit, nullptr,
                FUTEX_BITSET_MATCH_ANY) == 0) {
      return Woken::kWoken;
    }
    if (errno == EAGAIN) return Woken::kChanged;
    if (errno == ETIMEDOUT) return Woken::kTimedOut;
    if (errno != EINTR) return Woken::kChanged;
  }
#elif defined(__APPLE__)
  constexpr uint32_t kCompareAndWaitShared = 3;
  for (;;) {
    if (word->load() != expected) return Woken::kChanged;
    // No robust futexes here: whoever waits looks again from time to time whether the owner is still there.
    int64_t microseconds = 50'000;
    if (deadline >= 0) {
      const int64_t left = (deadline - Now()) / 1000;
      if (left <= 0) return Woken::kTimedOut;
      if (left < microseconds) microseconds = left;
    }
    if (__ulock_wait(kCompareAndWaitShared, word, expected, static_cast<uint32_t>(microseconds)) >= 0) {
      return Woken::kWoken;
    }
    if (errno == ETIMEDOUT) return deadline >= 0 && Now() >= deadline ? Woken::kTimedOut : Woken::kWoken;
  }
#else
  return Woken::kChanged;
#endif
}

// Wakes up to `count` waiters; returns how many (macOS: whether any).
inline int Wake(Word* word, int count) {
#if defined(__linux__)
  return static_cast<int>(syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0));
#elif defined(__APPLE__)
  constexpr uint32_t kCompareAndWaitShared = 3, kWakeAll = 0x100;
  return __ulock_wake(kCompareAndWaitShared | (count > 1 ? kWakeAll : 0), word, 0) >= 0 ? 1 : 0;
#else
  return 0;
#endif
}

// Sets the bits and wakes everybody, in one system call where there is one: a process killed at any moment has done
// both or neither.
inline void SetAndWakeAll(Word* word, uint32_t bit) {
#if defined(__linux__)
  const unsigned operation = ((FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT) << 28) | (FUTEX_OP_CMP_EQ << 24) | (bit << 12);
  if (syscall(SYS_futex, word, FUTEX_WAKE_OP, INT_MAX, static_cast<long>(0), word, operation) >= 0) return;
#endif
  word->fetch_or(1u << bit);
  Wake(word, INT_MAX);
}

}  // namespace realfork::shared

#endif  // REALFORK_NATIVE_SHARED_FUTEX_H_
