// Who a process is: ids, process groups, sessions, and the foreground group of a terminal.
#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <pthread.h>
#endif

#include "arguments.h"
#include "bindings.h"
#include "threads.h"

namespace realfork {

Napi::Value GetPid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), getpid());
}

Napi::Value GetPPid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), getppid());
}

// The kernel's id of the calling thread. glibc has gettid() only from 2.30 on; macOS's numbers are 64-bit and unrelated
// to pids.
Napi::Value GetTid(const Napi::CallbackInfo& info) {
#if defined(__APPLE__)
  uint64_t id = 0;
  pthread_threadid_np(nullptr, &id);
  return Napi::Number::New(info.Env(), static_cast<double>(id));
#else
  return Napi::Number::New(info.Env(), static_cast<double>(syscall(SYS_gettid)));
#endif
}

Napi::Value GetPGid(const Napi::CallbackInfo& info) {
  const pid_t pid = IntArgument(info, 0);
  const pid_t group = getpgid(pid);
  const int error = errno;
  if (group < 0) return ThrowErrno(info.Env(), error, "getpgid", OnProcess(pid));
  return Napi::Number::New(info.Env(), group);
}

Napi::Value SetPGid(const Napi::CallbackInfo& info) {
  const pid_t pid = IntArgument(info, 0);
  const int result = setpgid(pid, IntArgument(info, 1));
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, "setpgid", OnProcess(pid));
  return info.Env().Undefined();
}

Napi::Value GetPGrp(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), getpgrp());
}

Napi::Value SetSid(const Napi::CallbackInfo& info) {
  const pid_t session = setsid();
  const int error = errno;
  if (session < 0) return ThrowErrno(info.Env(), error, "setsid");
  return Napi::Number::New(info.Env(), session);
}

Napi::Value GetSid(const Napi::CallbackInfo& info) {
  const pid_t pid = IntArgument(info, 0);
  const pid_t session = getsid(pid);
  const int error = errno;
  if (session < 0) return ThrowErrno(info.Env(), error, "getsid", OnProcess(pid));
  return Napi::Number::New(info.Env(), session);
}

Napi::Value TcGetPGrp(const Napi::CallbackInfo& info) {
  const int fd = IntArgument(info, 0);
  const pid_t group = tcgetpgrp(fd);
  const int error = errno;
  if (group < 0) return ThrowErrno(info.Env(), error, "tcgetpgrp", OnDescriptor(fd));
  return Napi::Number::New(info.Env(), group);
}

// EINTR is reported, not retried: it comes from the SIGTTOU that the call itself raises in a background process whose
// handler for it is set, and would come for ever.
Napi::Value TcSetPGrp(const Napi::CallbackInfo& info) {
  const int fd = IntArgument(info, 0);
  const int result = tcsetpgrp(fd, IntArgument(info, 1));
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, "tcsetpgrp", OnDescriptor(fd));
  return info.Env().Undefined();
}

// Binding: followCredentials(), after the main thread of a child has changed its user or groups.
Napi::Value FollowCredentials(const Napi::CallbackInfo& info) {
  threads::FollowCredentials();
  return info.Env().Undefined();
}

}  // namespace realfork
