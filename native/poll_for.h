// poll(2) for a time.
#ifndef REALFORK_NATIVE_POLL_FOR_H_
#define REALFORK_NATIVE_POLL_FOR_H_

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>

#include "shared_futex.h"

namespace realfork {

// Goes on after a signal for the rest of the time; a negative one is for ever. Returns how many are ready, 0 when the
// time is over, or a negative errno.
inline int PollFor(pollfd* fds, nfds_t count, double milliseconds) {
  // Beyond 292 years of nanoseconds is for ever too.
  const bool for_ever = milliseconds < 0 || milliseconds > 9e12;
  const int64_t deadline = for_ever ? 0 : shared::Now() + static_cast<int64_t>(milliseconds * 1e6);
  for (;;) {
    int timeout = -1;
    if (!for_ever) {
      // Rounded up: returning early would make the caller's time not over yet.
      const int64_t left = (deadline - shared::Now() + 999'999) / 1'000'000;
      timeout = static_cast<int>(left < 0 ? 0 : left > INT_MAX ? INT_MAX : left);
    }
    const int ready = poll(fds, count, timeout);
    if (ready > 0) return ready;
    if (ready == 0 && !for_ever && shared::Now() >= deadline) return 0;
    if (ready < 0 && errno != EINTR && errno != EAGAIN) return -errno;
  }
}

}  // namespace realfork

#endif  // REALFORK_NATIVE_POLL_FOR_H_
