// When a process started: with its pid, what tells it from a later process of the same number.
#ifndef REALFORK_NATIVE_START_TIME_H_
#define REALFORK_NATIVE_START_TIME_H_

#include <stdint.h>
#include <sys/types.h>

namespace realfork {

// Constant for the life of the process, zombies included, in a unit of the platform's own (Linux: clock ticks since
// boot; macOS: microseconds). 0: not known, because there is no such process, /proc does not show it (hidepid, not
// mounted, no descriptor left) or belongs to another PID namespace. Async-signal-safe.
uint64_t StartTimeOf(pid_t pid);

}  // namespace realfork

#endif  // REALFORK_NATIVE_START_TIME_H_
