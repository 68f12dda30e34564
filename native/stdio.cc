// The standard streams as libuv holds them.
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "bindings.h"

namespace realfork {

namespace {

bool IsStandardInput(uv_handle_t* handle) {
  uv_os_fd_t fd = -1;
  switch (handle->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
      return uv_fileno(handle, &fd) == 0 && fd == STDIN_FILENO;
    case UV_TTY: {
      // libuv opens a terminal a second time, to have it non-blocking without changing it for others.
      struct stat there = {};
      struct stat here = {};
      if (uv_is_readable(reinterpret_cast<uv_stream_t*>(handle)) == 0 || uv_fileno(handle, &fd) != 0) return false;
      return fstat(fd, &there) == 0 && fstat(STDIN_FILENO, &here) == 0 && there.st_rdev == here.st_rdev;
    }
    default:
      return false;
  }
}

}  // namespace

// Binding: hasInputHandle() -> whether the loop has a handle for standard input: process.stdin has been used, and is a
// terminal, pipe or socket. Asking process.stdin itself would make one.
Napi::Value HasInputHandle(const Napi::CallbackInfo& info) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  bool found = false;
  uv_walk(
      loop,
      [](uv_handle_t* handle, void* result) {
        if (uv_is_closing(handle) == 0 && IsStandardInput(handle)) *static_cast<bool*>(result) = true;
      },
      &found);
  return Napi::Boolean::New(info.Env(), found);
}

}  // namespace realfork
