// The only place where an errno becomes a JavaScript error.
#ifndef REALFORK_NATIVE_POSIX_ERROR_H_
#define REALFORK_NATIVE_POSIX_ERROR_H_

#include <napi.h>

namespace realfork {

// Extra fields of the error, each left out when it has its default.
struct ErrnoDetail {
  int64_t pid = -1;
  int64_t fd = -1;
  const char* path = nullptr;
};

// Names the process that a call was about; 0 and negative numbers stand for none in particular.
inline ErrnoDetail OnProcess(int64_t pid) {
  ErrnoDetail detail;
  if (pid > 0) detail.pid = pid;
  return detail;
}

inline ErrnoDetail OnDescriptor(int64_t fd) {
  ErrnoDetail detail;
  detail.fd = fd;
  return detail;
}

// Throws the package's PosixError for `error` (a positive errno saved right after the failing call)
// and returns undefined, so that a binding can end in `return ThrowErrno(...)`.
Napi::Value ThrowErrno(Napi::Env env, int error, const char* syscall, const ErrnoDetail& detail = {});

// Binding: setErrorFactory((errno, syscall, detail) => Error). lib/errors.ts owns names and messages.
Napi::Value SetErrorFactory(const Napi::CallbackInfo& info);

// Binding: errnoNames() -> { name: number }, for the errnos that os.constants.errno lacks.
Napi::Value ErrnoNames(const Napi::CallbackInfo& info);

// Binding: strerror(errno) as the C library words it.
Napi::Value StrError(const Napi::CallbackInfo& info);

}  // namespace realfork

#endif  // REALFORK_NATIVE_POSIX_ERROR_H_
