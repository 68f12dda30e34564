// flock(2), which Node's fs does not have.
#include <errno.h>
#include <sys/file.h>

#include "arguments.h"
#include "bindings.h"

namespace realfork {

// Binding: tryLock(fd) -> true, or false when a process that opened the file for itself holds the lock. The lock
// belongs to the open file, which fork(2) copies share: it goes with the last of them.
Napi::Value TryLock(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = IntArgument(info, 0);
  const int failed = flock(fd, LOCK_EX | LOCK_NB);
  const int error = errno;
  if (failed == 0) return Napi::Boolean::New(env, true);
  if (error == EWOULDBLOCK) return Napi::Boolean::New(env, false);
  ErrnoDetail detail;
  detail.fd = fd;
  return ThrowErrno(env, error, "flock", detail);
}

}  // namespace realfork
