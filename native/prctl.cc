// prctl(2): what the kernel does for a process when its parent or its descendants' parents end. Linux only; elsewhere
// lib/posix/prctl.ts does not come this far.
#include <errno.h>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "bindings.h"

namespace realfork {

namespace {

int Prctl(int option, uintptr_t argument) {
#if defined(__linux__)
  return prctl(option, argument, 0, 0, 0);
#else
  errno = ENOSYS;
  return -1;
#endif
}

#if defined(__linux__)
constexpr int kSetSubreaper = PR_SET_CHILD_SUBREAPER;
constexpr int kGetSubreaper = PR_GET_CHILD_SUBREAPER;
constexpr int kSetDeathSignal = PR_SET_PDEATHSIG;
constexpr int kGetDeathSignal = PR_GET_PDEATHSIG;
#else
constexpr int kSetSubreaper = 0, kGetSubreaper = 0, kSetDeathSignal = 0, kGetDeathSignal = 0;
#endif

Napi::Value Set(const Napi::CallbackInfo& info, int option, uintptr_t argument) {
  const int result = Prctl(option, argument);
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "prctl");
  return info.Env().Undefined();
}

Napi::Value Get(const Napi::CallbackInfo& info, int option) {
  int value = 0;
  const int result = Prctl(option, reinterpret_cast<uintptr_t>(&value));
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "prctl");
  return Napi::Number::New(info.Env(), value);
}

}  // namespace

// Binding: setChildSubreaper(1 or 0).
Napi::Value SetChildSubreaper(const Napi::CallbackInfo& info) {
  return Set(info, kSetSubreaper, info[0].As<Napi::Number>().Uint32Value());
}

// Binding: getChildSubreaper() -> 1 or 0.
Napi::Value GetChildSubreaper(const Napi::CallbackInfo& info) {
  return Get(info, kGetSubreaper);
}

// Binding: setParentDeathSignal(signal), 0 for none. The caller checks for a parent that has gone already.
Napi::Value SetParentDeathSignal(const Napi::CallbackInfo& info) {
  return Set(info, kSetDeathSignal, static_cast<uintptr_t>(info[0].As<Napi::Number>().Int64Value()));
}

// Binding: getParentDeathSignal() -> number, 0 for none.
Napi::Value GetParentDeathSignal(const Napi::CallbackInfo& info) {
  return Get(info, kGetDeathSignal);
}

}  // namespace realfork
