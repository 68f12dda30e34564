// Waiting for one of two words.
#ifndef REALFORK_NATIVE_FUTEX_EITHER_H_
#define REALFORK_NATIVE_FUTEX_EITHER_H_

#include "shared_futex.h"

namespace realfork::shared {

// Waits until one of the words is woken or is not as expected, or until `deadline`. The second one is looked at only
// now and then where the kernel cannot wait for two (before Linux 5.16, or in a sandbox).
inline Woken WaitEither(Word* first, uint32_t first_expected, Word* second, uint32_t second_expected,
                        int64_t deadline = kForEver) {
#if defined(__linux__)
  struct Vector {  // futex_waitv(2); the call has the same number on every architecture
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
  };
  constexpr long kFutexWaitV = 449;
  constexpr uint32_t k32Bits = 2;  // FUTEX_32; without FUTEX_PRIVATE_FLAG
  Vector words[] = {{first_expected, reinterpret_cast<uint64_t>(first), k32Bits, 0},
                    {second_expected, reinterpret_cast<uint64_t>(second), k32Bits, 0}};
  const timespec limit{static_cast<time_t>(deadline / 1'000'000'000), static_cast<long>(deadline % 1'000'000'000)};
  for (;;) {
    if (syscall(kFutexWaitV, words, 2, 0, deadline < 0 ? nullptr : &limit, CLOCK_MONOTONIC) >= 0) return Woken::kWoken;
    if (errno == EAGAIN) return Woken::kChanged;
    if (errno == ETIMEDOUT) return Woken::kTimedOut;
    if (errno != EINTR) break;
  }
#endif
  constexpr int64_t kSlice = 50'000'000;
  for (;;) {
    if (second->load() != second_expected) return Woken::kChanged;
    const int64_t slice = Now() + kSlice;
    const bool is_last = deadline >= 0 && deadline <= slice;
    const Woken woken = Wait(first, first_expected, is_last ? deadline : slice);
    if (woken != Woken::kTimedOut || is_last) return woken;
  }
}

}  // namespace realfork::shared

#endif  // REALFORK_NATIVE_FUTEX_EITHER_H_
