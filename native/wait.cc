// wait(2) and its family. Every call here resumes after EINTR: the handler that interrupted it is libuv's, which only
// writes to a pipe, and the JavaScript listener cannot run before the call has returned anyway.
#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstring>

#include "arguments.h"
#include "bindings.h"
#include "rusage.h"

namespace realfork {

namespace {

Napi::Object WaitResult(Napi::Env env, pid_t pid, int status) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", pid);
  result.Set("status", status);
  return result;
}

}  // namespace

// Binding: wait() -> { pid, status }.
Napi::Value Wait(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int status = 0;
  pid_t waited;
  do {
    waited = wait(&status);
  } while (waited < 0 && errno == EINTR);
  const int error = errno;
  if (waited < 0) return ThrowErrno(env, error, "wait");
  return WaitResult(env, waited, status);
}

// Binding: waitpid(pid, options) -> { pid, status }.
Napi::Value WaitPid(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const pid_t pid = IntArgument(info, 0);
  const int options = IntArgument(info, 1);
  int status = 0;
  pid_t waited;
  do {
    waited = waitpid(pid, &status, options);
  } while (waited < 0 && errno == EINTR);
  const int error = errno;
  if (waited < 0) return ThrowErrno(env, error, "waitpid", OnProcess(pid));
  return WaitResult(env, waited, status);
}

// Binding: wait4(pid, options, syscall) -> { pid, status, rusage }; wait3(2) is wait4(2) for any child, and differs in
// the name that its errors carry.
Napi::Value Wait4(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const pid_t pid = IntArgument(info, 0);
  const int options = IntArgument(info, 1);
  const std::string syscall = info[2].As<Napi::String>();
  int status = 0;
  rusage usage = {};  // left alone by the kernel when WNOHANG finds nothing
  pid_t waited;
  do {
    waited = wait4(pid, &status, options, &usage);
  } while (waited < 0 && errno == EINTR);
  const int error = errno;
  if (waited < 0) return ThrowErrno(env, error, syscall.c_str(), OnProcess(pid));
  Napi::Object result = WaitResult(env, waited, status);
  result.Set("rusage", RusageObject(env, usage));
  return result;
}

// Binding: waitid(idtype, id, options) -> { pid, uid, signo, code, status }, all 0 when WNOHANG finds nothing.
Napi::Value WaitId(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto type = static_cast<idtype_t>(IntArgument(info, 0));
  const id_t id = static_cast<id_t>(IntArgument(info, 1));
  const int options = IntArgument(info, 2);
  // POSIX.1-2008 TC1 has si_pid and si_signo set to 0 by the call; zeroing first also covers systems that do not.
  siginfo_t found;
  memset(&found, 0, sizeof(found));
  int result;
  do {
    result = waitid(type, id, &found, options);
  } while (result < 0 && errno == EINTR);
  const int error = errno;
  if (result < 0) {
    return ThrowErrno(env, error, "waitid", OnProcess(type == P_PID ? static_cast<pid_t>(id) : 0));
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("pid", found.si_pid);
  object.Set("uid", found.si_uid);
  object.Set("signo", found.si_signo);
  object.Set("code", found.si_code);
  object.Set("status", found.si_status);
  return object;
}

}  // namespace realfork
