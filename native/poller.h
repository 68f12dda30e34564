// Which of many descriptors are ready, told on Node's event loop.
#ifndef REALFORK_NATIVE_POLLER_H_
#define REALFORK_NATIVE_POLLER_H_

#include <napi.h>
#include <uv.h>

#include <unordered_map>

#include "unique_fd.h"

namespace realfork::poller {

struct Handle;

// What one environment waits for. Lives in its AddonData.
class Poller {
 public:
  Poller(Napi::Env env, Napi::Function on_ready);
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Tells once when the descriptor is readable (1) or writable (2), and keeps the loop alive until then. Returns 0 or
  // a negative errno (EPERM: a regular file, which is always ready).
  int Arm(int fd, int events);
  // Does not wait any more; `forget` also drops the kernel's registration, which has to happen before the descriptor is
  // closed: another process may keep its file open.
  void Disarm(int fd, bool forget);
  // Gives up everything: at the end of the environment, and in a forked child, where the set is its parent's.
  void CloseAll();

 private:
  int Open();
  int Register(int fd, int events);
  void OnReadable();
  void Count(int change);
  void HookCleanup();
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* poller);

  Napi::Env env_;
  Napi::FunctionReference on_ready_;
  Napi::AsyncContext context_;
  uv_loop_t* loop_ = nullptr;
  Handle* handle_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool cleaning_up_ = false;
  unsigned closing_ = 0;
  int armed_ = 0;
  std::unordered_map<int, bool> fds_;  // registered with the kernel; whether armed
};

}  // namespace realfork::poller

#endif  // REALFORK_NATIVE_POLLER_H_
