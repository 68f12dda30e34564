// struct rusage as JavaScript has it: the shape of process.resourceUsage(), which is libuv's uv_getrusage renamed.
#ifndef REALFORK_NATIVE_RUSAGE_H_
#define REALFORK_NATIVE_RUSAGE_H_

#include <napi.h>
#include <sys/resource.h>
#include <sys/time.h>

namespace realfork {

inline Napi::Object RusageObject(Napi::Env env, const struct rusage& usage) {
  const auto microseconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  const auto number = [&](long value) { return Napi::Number::New(env, static_cast<double>(value)); };
#if defined(__APPLE__)
  const long max_rss_kilobytes = usage.ru_maxrss / 1024;  // getrusage(2) there: in bytes
#else
  const long max_rss_kilobytes = usage.ru_maxrss;
#endif
  Napi::Object object = Napi::Object::New(env);
  object.Set("userCPUTime", microseconds(usage.ru_utime));
  object.Set("systemCPUTime", microseconds(usage.ru_stime));
  object.Set("maxRSS", number(max_rss_kilobytes));
  object.Set("sharedMemorySize", number(usage.ru_ixrss));
  object.Set("unsharedDataSize", number(usage.ru_idrss));
  object.Set("unsharedStackSize", number(usage.ru_isrss));
  object.Set("minorPageFault", number(usage.ru_minflt));
  object.Set("majorPageFault", number(usage.ru_majflt));
  object.Set("swappedOut", number(usage.ru_nswap));
  object.Set("fsRead", number(usage.ru_inblock));
  object.Set("fsWrite", number(usage.ru_oublock));
  object.Set("ipcSent", number(usage.ru_msgsnd));
  object.Set("ipcReceived", number(usage.ru_msgrcv));
  object.Set("signalsCount", number(usage.ru_nsignals));
  object.Set("voluntaryContextSwitches", number(usage.ru_nvcsw));
  object.Set("involuntaryContextSwitches", number(usage.ru_nivcsw));
  return object;
}

}  // namespace realfork

#endif  // REALFORK_NATIVE_RUSAGE_H_
