// Sleeping in the calling thread.
#include <errno.h>
#include <time.h>

#include <cmath>

#include "bindings.h"

namespace realfork {

// Binding: sleep(milliseconds). To a point in time, so that interruptions do not add up; a signal handler in between is
// libuv's, whose JavaScript half runs after this call.
Napi::Value Sleep(const Napi::CallbackInfo& info) {
  const double nanoseconds = std::ceil(info[0].As<Napi::Number>().DoubleValue() * 1e6);
  const double seconds = std::floor(nanoseconds / 1e9);
  timespec time;
  time.tv_sec = static_cast<time_t>(seconds);
  time.tv_nsec = static_cast<long>(nanoseconds - seconds * 1e9);
#if defined(__linux__)
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  time.tv_sec += now.tv_sec + (time.tv_nsec + now.tv_nsec) / 1'000'000'000;
  time.tv_nsec = (time.tv_nsec + now.tv_nsec) % 1'000'000'000;
  int error;
  do {
    error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
  } while (error == EINTR);
#else
  int error = 0;
  while (nanosleep(&time, &time) != 0 && (error = errno) == EINTR) error = 0;
#endif
  if (error != 0) return ThrowErrno(info.Env(), error, "clock_nanosleep");
  return info.Env().Undefined();
}

}  // namespace realfork
