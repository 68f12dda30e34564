// Sending signals, blocking them, waiting for them, and the timers that send them.
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bindings.h"
#include "signal_set.h"
#include "threads.h"

namespace realfork {

namespace {

int Int(const Napi::Value& value) {
  return value.As<Napi::Number>().Int32Value();
}

timeval FromMilliseconds(double milliseconds) {
  double microseconds = std::round(milliseconds * 1e3);
  if (milliseconds > 0 && microseconds < 1) microseconds = 1;  // 0 would disarm the timer
  const double seconds = std::floor(microseconds / 1e6);
  timeval time;
  time.tv_sec = static_cast<time_t>(seconds);
  time.tv_usec = static_cast<suseconds_t>(microseconds - seconds * 1e6);
  return time;
}

double ToMilliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

Napi::Object TimerObject(Napi::Env env, const itimerval& timer) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("value", ToMilliseconds(timer.it_value));
  object.Set("interval", ToMilliseconds(timer.it_interval));
  return object;
}

}  // namespace

// Binding: kill(pid, signal).
Napi::Value Kill(const Napi::CallbackInfo& info) {
  const pid_t pid = Int(info[0]);
  const int result = kill(pid, Int(info[1]));
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "kill", {pid});
  return info.Env().Undefined();
}

// Binding: killpg(pgid, signal). glibc passes -pgid to kill(2): 1 would be every process, which POSIX does not ask for.
Napi::Value KillPg(const Napi::CallbackInfo& info) {
  const pid_t pgid = Int(info[0]);
  if (pgid < 0 || pgid == 1) return ThrowErrno(info.Env(), EINVAL, "killpg", {pgid});
  const int result = killpg(pgid, Int(info[1]));
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "killpg", {pgid});
  return info.Env().Undefined();
}

// Binding: raise(signal), to the calling thread: delivered before it returns.
Napi::Value Raise(const Napi::CallbackInfo& info) {
  const int result = raise(Int(info[0]));
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "raise");
  return info.Env().Undefined();
}

// Binding: alarm(seconds) -> seconds that were left. Cannot fail.
Napi::Value Alarm(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), alarm(info[0].As<Napi::Number>().Uint32Value()));
}

// Binding: pause(). Its only end is EINTR, after a handler has run.
Napi::Value Pause(const Napi::CallbackInfo& info) {
  pause();
  return info.Env().Undefined();
}

// Binding: sigprocmask(how, numbers) -> the old mask. POSIX leaves the call open in a process with threads, which every
// Node is. A signal stays pending only while no thread takes it, so all threads follow (threads.h).
Napi::Value SigProcMask(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sigset_t set;
  sigset_t old;
  sigset_t now;
  int error = ReadSignalSet(info[1].As<Napi::Array>(), &set);
  if (error != 0) return ThrowErrno(env, error, "sigaddset");
  error = pthread_sigmask(Int(info[0]), &set, &old);
  if (error != 0) return ThrowErrno(env, error, "sigprocmask");
  pthread_sigmask(SIG_BLOCK, nullptr, &now);
  const uint64_t before = SignalBits(old);
  const uint64_t after = SignalBits(now);
  if (before != after) threads::FollowMask(before, after);
  return SignalArray(env, old);
}

// Binding: sigpending() -> numbers.
Napi::Value SigPending(const Napi::CallbackInfo& info) {
  sigset_t set;
  const int result = sigpending(&set);
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "sigpending");
  return SignalArray(info.Env(), set);
}

// Binding: sigwait(numbers) -> number. glibc goes on after EINTR, as POSIX leaves it no such error.
Napi::Value SigWait(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sigset_t set;
  int error = ReadSignalSet(info[0].As<Napi::Array>(), &set);
  if (error != 0) return ThrowErrno(env, error, "sigaddset");
  int number = 0;
  do {
    error = sigwait(&set, &number);
  } while (error == EINTR);
  if (error != 0) return ThrowErrno(env, error, "sigwait");
  return Napi::Number::New(env, number);
}

namespace {

int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

#if defined(__linux__)

// The signal's number, or -1 with errno. `left` null: for ever.
int TimedWait(const sigset_t& set, const timespec* left, siginfo_t* got) {
  return sigtimedwait(&set, got, left);
}

#else

// macOS has no sigtimedwait(2): looks every millisecond, and takes what is pending, of which it learns only the number.
int TimedWait(const sigset_t& set, const timespec* left, siginfo_t* got) {
  const int64_t deadline = left == nullptr ? INT64_MAX : NowNs() + left->tv_sec * 1'000'000'000ll + left->tv_nsec;
  for (;;) {
    sigset_t pending;
    sigpending(&pending);
    if ((SignalBits(pending) & SignalBits(set)) != 0) {
      int number = 0;
      const int error = sigwait(&set, &number);
      if (error == 0) {
        memset(got, 0, sizeof *got);
        return number;
      }
      errno = error;
      return -1;
    }
    if (NowNs() >= deadline) {
      errno = EAGAIN;
      return -1;
    }
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

#endif

}  // namespace

// Binding: sigtimedwait(numbers, milliseconds or -1) -> info, or null when the time is over. Goes on after EINTR: a
// handler for another signal has run, and what it left for JavaScript has to wait until this call is over.
Napi::Value SigTimedWait(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sigset_t set;
  const int invalid = ReadSignalSet(info[0].As<Napi::Array>(), &set);
  if (invalid != 0) return ThrowErrno(env, invalid, "sigaddset");
  const double milliseconds = info[1].As<Napi::Number>().DoubleValue();
  const bool for_ever = milliseconds < 0;
  const int64_t deadline = for_ever ? 0 : NowNs() + static_cast<int64_t>(std::ceil(milliseconds * 1e6));
  for (;;) {
    const int64_t rest = for_ever ? 0 : std::max<int64_t>(deadline - NowNs(), 0);
    timespec left;
    left.tv_sec = static_cast<time_t>(rest / 1'000'000'000);
    left.tv_nsec = static_cast<long>(rest % 1'000'000'000);
    siginfo_t got;
    const int number = TimedWait(set, for_ever ? nullptr : &left, &got);
    const int error = errno;
    if (number > 0) return SignalInfoObject(env, number, got.si_code, got.si_pid, got.si_uid, got.si_status);
    if (error == EAGAIN) return env.Null();
    if (error != EINTR) return ThrowErrno(env, error, "sigtimedwait");
  }
}

// Binding: setitimer(which, value, interval) -> what the timer was, in milliseconds.
Napi::Value SetITimer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  itimerval timer;
  timer.it_value = FromMilliseconds(info[1].As<Napi::Number>().DoubleValue());
  timer.it_interval = FromMilliseconds(info[2].As<Napi::Number>().DoubleValue());
  itimerval old;
  const int result = setitimer(static_cast<decltype(ITIMER_REAL)>(Int(info[0])), &timer, &old);
  const int error = errno;
  if (result != 0) return ThrowErrno(env, error, "setitimer");
  return TimerObject(env, old);
}

// Binding: getitimer(which) -> { value, interval } in milliseconds.
Napi::Value GetITimer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  itimerval timer;
  const int result = getitimer(static_cast<decltype(ITIMER_REAL)>(Int(info[0])), &timer);
  const int error = errno;
  if (result != 0) return ThrowErrno(env, error, "getitimer");
  return TimerObject(env, timer);
}

}  // namespace realfork
