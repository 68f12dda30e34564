// News of children and of signals on Node's own event loop: pidfds, SIGCHLD and signalfds.
#ifndef REALFORK_NATIVE_WATCH_H_
#define REALFORK_NATIVE_WATCH_H_

#include <napi.h>
#include <signal.h>
#include <uv.h>

#include <unordered_map>

#include "unique_fd.h"

namespace realfork::watch {

struct Handle;

// What one environment watches. Lives in its AddonData.
class Watches {
 public:
  explicit Watches(Napi::Env env);
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;

  // Calls `on_ready` on the loop, once and again until closed, from when the child has ended. Returns the watch's id,
  // or a negative errno where this child cannot have a pidfd. The watch keeps the loop alive, as a running
  // child_process does.
  int OpenPid(pid_t pid, Napi::Function on_ready);
  // Calls `on_ready` on the loop, again and again until closed, while one of the signals is pending for the process or
  // for the loop's thread. Returns the watch's id, or a negative errno (ENOSYS on macOS). Keeps the loop alive.
  int OpenSignals(const sigset_t& signals, Napi::Function on_ready);
  // Calls `on_ready(events)` on the loop, again and again until closed, while the descriptor has one of the events. It
  // stays the caller's. Returns the watch's id, or a negative errno. Keeps the loop alive.
  int OpenBorrowed(int fd, int events, Napi::Function on_ready);
  // Changes what a watch of OpenBorrowed waits for; 0 is nothing.
  void SetEvents(int id, int events);
  // The descriptor of a watch, -1 when there is none with this id.
  int FdOf(int id) const;
  // Whether the watch keeps the loop alive, as it does at first.
  void RefFd(int id, bool keeps_loop_alive);
  void CloseFd(int id);

  // Calls `on_signal` on the loop after each SIGCHLD (several may come as one). Returns 0 or a negative errno.
  int StartSignal(Napi::Function on_signal);
  void StopSignal();
  void RefSignal(bool keeps_loop_alive);

  // Gives up every watch: at the end of the environment, and in a forked child, whose watches are its parent's.
  void CloseAll();

 private:
  int OpenFd(UniqueFd fd, Napi::Function on_ready);
  void Adopt(Handle* handle);
  void Close(Handle* handle);
  void HookCleanup();
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* watches);

  Napi::Env env_;
  uv_loop_t* loop_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool cleaning_up_ = false;
  unsigned open_ = 0;
  int last_id_ = 0;
  std::unordered_map<int, Handle*> fds_;
  Handle* signal_ = nullptr;
};

}  // namespace realfork::watch

#endif  // REALFORK_NATIVE_WATCH_H_
