// Descriptors: making, copying, and whether exec keeps them. Reading, writing and closing is fs's.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arguments.h"
#include "bindings.h"

namespace realfork {

namespace {

Napi::Value Pair(Napi::Env env, const int (&fds)[2]) {
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(0u, fds[0]);
  pair.Set(1u, fds[1]);
  return pair;
}

#if !defined(__linux__)
// Where pipe2(2) and SOCK_CLOEXEC do not exist; between the two calls another thread's fork-and-exec can inherit the
// descriptors. fcntl(2) has no reason to fail on a descriptor just made.
void SetFlags(const int (&fds)[2], int flags) {
  for (const int fd : fds) {
    if (flags & O_CLOEXEC) fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (flags & O_NONBLOCK) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
}
#endif

int MakePipe(int (&fds)[2], int flags) {
#if defined(__linux__)
  return pipe2(fds, flags);
#else
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) != 0) {
    errno = EINVAL;
    return -1;
  }
  if (pipe(fds) != 0) return -1;
  SetFlags(fds, flags);
  return 0;
#endif
}

int MakeSocketPair(int (&fds)[2]) {
#if defined(__linux__)
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return -1;
  SetFlags(fds, O_CLOEXEC);
  return 0;
#endif
}

}  // namespace

// Binding: pipe2(flags, syscall) -> [readFd, writeFd]; pipe() is pipe2(O_CLOEXEC) under its own name.
Napi::Value Pipe2(const Napi::CallbackInfo& info) {
  const int flags = IntArgument(info, 0);
  const std::string syscall = info[1].As<Napi::String>();
  int fds[2];
  const int result = MakePipe(fds, flags);
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, syscall.c_str());
  return Pair(info.Env(), fds);
}

Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  int fds[2];
  const int result = MakeSocketPair(fds);
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, "socketpair");
  return Pair(info.Env(), fds);
}

// Binding: dup(fd) -> the lowest free descriptor, close-on-exec.
Napi::Value Dup(const Napi::CallbackInfo& info) {
  const int fd = IntArgument(info, 0);
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  const int error = errno;
  if (copy < 0) return ThrowErrno(info.Env(), error, "dup", OnDescriptor(fd));
  return Napi::Number::New(info.Env(), copy);
}

// Binding: dup2(from, to) -> to, which exec keeps. EINTR leaves `to` as it was (dup2(2)) and is retried.
Napi::Value Dup2(const Napi::CallbackInfo& info) {
  const int from = IntArgument(info, 0);
  const int to = IntArgument(info, 1);
  int result;
  do {
    result = dup2(from, to);
  } while (result < 0 && errno == EINTR);
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, "dup2", OnDescriptor(from));
  return Napi::Number::New(info.Env(), result);
}

Napi::Value GetCloseOnExec(const Napi::CallbackInfo& info) {
  const int fd = IntArgument(info, 0);
  const int flags = fcntl(fd, F_GETFD);
  const int error = errno;
  if (flags < 0) return ThrowErrno(info.Env(), error, "fcntl", OnDescriptor(fd));
  return Napi::Boolean::New(info.Env(), (flags & FD_CLOEXEC) != 0);
}

Napi::Value SetCloseOnExec(const Napi::CallbackInfo& info) {
  const int fd = IntArgument(info, 0);
  const bool on = info[1].As<Napi::Boolean>();
  int result = fcntl(fd, F_GETFD);
  if (result >= 0) result = fcntl(fd, F_SETFD, on ? result | FD_CLOEXEC : result & ~FD_CLOEXEC);
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, "fcntl", OnDescriptor(fd));
  return info.Env().Undefined();
}

// Binding: openFds() -> the descriptors that are open, in no order; empty where they cannot be listed.
Napi::Value OpenFds(const Napi::CallbackInfo& info) {
  Napi::Array fds = Napi::Array::New(info.Env());
  DIR* directory = opendir("/dev/fd");
  if (directory == nullptr) return fds;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    const int fd = atoi(entry->d_name);
    if (fd != dirfd(directory)) fds.Set(fds.Length(), fd);
  }
  closedir(directory);
  return fds;
}

}  // namespace realfork
