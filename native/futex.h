// futex(2) for words inside one process.
#ifndef REALFORK_NATIVE_FUTEX_H_
#define REALFORK_NATIVE_FUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>

namespace realfork {

// Waits while *word is `expected`, at most `nanoseconds` (below one second; negative: for ever).
inline void FutexWait(std::atomic<int>* word, int expected, long nanoseconds = -1) {
  timespec limit{0, nanoseconds};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds < 0 ? nullptr : &limit, nullptr, 0);
}

inline void FutexWakeOne(std::atomic<int>* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

inline void FutexWakeAll(std::atomic<int>* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace realfork

#endif  // REALFORK_NATIVE_FUTEX_H_
