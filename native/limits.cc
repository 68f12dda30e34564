// What a process may use and has used: resource limits, usage, CPU times, file mode mask, system limits.
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/times.h>
#include <unistd.h>

#include <cmath>

#include "bindings.h"
#include "rusage.h"
#include "sysconf_names.h"

namespace realfork {

#if defined(__linux__)
// lib/posix/limits.ts has these numbers.
static_assert(RLIMIT_CPU == 0 && RLIMIT_FSIZE == 1 && RLIMIT_DATA == 2 && RLIMIT_STACK == 3);
static_assert(RLIMIT_CORE == 4 && RLIMIT_RSS == 5 && RLIMIT_NPROC == 6 && RLIMIT_NOFILE == 7);
static_assert(RLIMIT_MEMLOCK == 8 && RLIMIT_AS == 9 && RLIMIT_LOCKS == 10 && RLIMIT_SIGPENDING == 11);
static_assert(RLIMIT_MSGQUEUE == 12 && RLIMIT_NICE == 13 && RLIMIT_RTPRIO == 14 && RLIMIT_RTTIME == 15);
static_assert(RUSAGE_SELF == 0 && RUSAGE_CHILDREN == -1 && RUSAGE_THREAD == 1);
#elif defined(__APPLE__)
static_assert(RLIMIT_CPU == 0 && RLIMIT_FSIZE == 1 && RLIMIT_DATA == 2 && RLIMIT_STACK == 3);
static_assert(RLIMIT_CORE == 4 && RLIMIT_AS == 5 && RLIMIT_MEMLOCK == 6 && RLIMIT_NPROC == 7 && RLIMIT_NOFILE == 8);
static_assert(RUSAGE_SELF == 0 && RUSAGE_CHILDREN == -1);
#endif

namespace {

double FromLimit(rlim_t limit) {
  return limit == RLIM_INFINITY ? INFINITY : static_cast<double>(limit);
}

rlim_t ToLimit(double limit) {
  return std::isinf(limit) ? RLIM_INFINITY : static_cast<rlim_t>(limit);
}

}  // namespace

// Binding: getrlimit(resource) -> { soft, hard }.
Napi::Value GetRLimit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct rlimit limit;
  const int result = getrlimit(static_cast<decltype(RLIMIT_CPU)>(info[0].As<Napi::Number>().Int32Value()), &limit);
  const int error = errno;
  if (result != 0) return ThrowErrno(env, error, "getrlimit");
  Napi::Object object = Napi::Object::New(env);
  object.Set("soft", FromLimit(limit.rlim_cur));
  object.Set("hard", FromLimit(limit.rlim_max));
  return object;
}

// Binding: setrlimit(resource, soft, hard), NaN for "as it is". A value that JavaScript's numbers cannot hold is so
// kept.
Napi::Value SetRLimit(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto resource = static_cast<decltype(RLIMIT_CPU)>(info[0].As<Napi::Number>().Int32Value());
  const double soft = info[1].As<Napi::Number>().DoubleValue();
  const double hard = info[2].As<Napi::Number>().DoubleValue();
  struct rlimit limit;
  int result = getrlimit(resource, &limit);
  if (result == 0) {
    if (!std::isnan(soft)) limit.rlim_cur = ToLimit(soft);
    if (!std::isnan(hard)) limit.rlim_max = ToLimit(hard);
    result = setrlimit(resource, &limit);
  }
  const int error = errno;
  if (result != 0) return ThrowErrno(env, error, "setrlimit");
  return env.Undefined();
}

// Binding: getrusage(who).
Napi::Value GetRUsage(const Napi::CallbackInfo& info) {
  struct rusage usage;
  const int result = getrusage(static_cast<decltype(RUSAGE_SELF)>(info[0].As<Napi::Number>().Int32Value()), &usage);
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "getrusage");
  return RusageObject(info.Env(), usage);
}

// Binding: times(), in milliseconds.
Napi::Value Times(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const double tick = 1e3 / static_cast<double>(sysconf(_SC_CLK_TCK));
  struct tms used;
  errno = 0;
  const clock_t elapsed = times(&used);
  const int error = errno;
  if (elapsed == static_cast<clock_t>(-1) && error != 0) return ThrowErrno(env, error, "times");
  Napi::Object object = Napi::Object::New(env);
  object.Set("user", static_cast<double>(used.tms_utime) * tick);
  object.Set("system", static_cast<double>(used.tms_stime) * tick);
  object.Set("childrenUser", static_cast<double>(used.tms_cutime) * tick);
  object.Set("childrenSystem", static_cast<double>(used.tms_cstime) * tick);
  object.Set("elapsed", static_cast<double>(elapsed) * tick);
  return object;
}

namespace {

// proc(5), since Linux 4.7; -1 when it is not there.
int MaskFromProc() {
  int mask = -1;
#if defined(__linux__)
  FILE* file = fopen("/proc/thread-self/status", "re");
  if (file == nullptr) return -1;
  char line[256];
  unsigned int found;
  while (mask < 0 && fgets(line, sizeof line, file) != nullptr) {
    if (sscanf(line, "Umask: %o", &found) == 1) mask = static_cast<int>(found);
  }
  fclose(file);
#endif
  return mask;
}

}  // namespace

// Binding: umask(mask or -1) -> the old mask. umask(2) has no way to ask only: setting it for a moment would let a pool
// thread make a file with the wrong mode in between, so that /proc is asked where there is one.
Napi::Value UMask(const Napi::CallbackInfo& info) {
  const int mask = info[0].As<Napi::Number>().Int32Value();
  if (mask >= 0) return Napi::Number::New(info.Env(), umask(static_cast<mode_t>(mask)));
  int current = MaskFromProc();
  if (current < 0) {
    current = umask(077);
    umask(static_cast<mode_t>(current));
  }
  return Napi::Number::New(info.Env(), current);
}

// Binding: sysconf(number) -> number, or null when the system sets no limit or does not have the option.
Napi::Value SysConf(const Napi::CallbackInfo& info) {
  errno = 0;
  const long value = sysconf(info[0].As<Napi::Number>().Int32Value());
  const int error = errno;
  if (value == -1 && error != 0) return ThrowErrno(info.Env(), error, "sysconf");
  if (value == -1) return info.Env().Null();
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

// Binding: sysconfNames() -> { _SC_ARG_MAX: 0, ... }, those that this system's headers have.
Napi::Value SysConfNames(const Napi::CallbackInfo& info) {
  Napi::Object names = Napi::Object::New(info.Env());
  for (const auto& entry : kSysConfNames) names.Set(entry.name, entry.number);
  return names;
}

}  // namespace realfork
