// News of children and of signals on Node's own event loop, for waitpidAsync, the Reaper and sigwaitAsync. Who the
// child belongs to is decided in TypeScript; here are the ways in which the kernel tells that something has happened:
//
//     pidfd_open(2) + uv_poll      one descriptor per child, readable from its end on; names this child and no other
//     SIGCHLD + uv_signal          one for all, tells neither who nor how many
//     signalfd(2) + uv_poll        one descriptor per set of signals, readable while one of them is pending
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#if defined(__linux__)
#include <sys/signalfd.h>
#endif

#include "addon_data.h"
#include "arguments.h"
#include "bindings.h"
#include "children.h"
#include "signal_set.h"
#include "unique_fd.h"
#include "v8_bridge.h"

namespace realfork {

namespace watch {

struct Handle {
  Handle(Watches* watches, Napi::Function on_event)
      : owner(watches),
        callback(Napi::Persistent(on_event)),
        context(on_event.Env(), "realfork.watch", Napi::Object::New(on_event.Env())) {}

  Watches* owner;
  Napi::FunctionReference callback;
  Napi::AsyncContext context;
  UniqueFd fd;
  union {
    uv_handle_t any;
    uv_poll_t poll;
    uv_signal_t signal;
  };
};

namespace {

// Runs the callback as Node runs its own: ticks and microtasks after it, an exception to 'uncaughtException'. While the
// environment is being torn down no JavaScript runs any more, and the event is nobody's: node-addon-api's wrapper would
// take that status for an error that cannot be thrown, and abort.
void Tell(Handle* handle, size_t count = 0, const napi_value* arguments = nullptr) {
  Napi::Env env = handle->callback.Env();
  Napi::HandleScope scope(env);
  if (napi_make_callback(env, handle->context, env.Global(), handle->callback.Value(), count, arguments, nullptr) !=
      napi_pending_exception) {
    return;
  }
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
  // A clean child that was forked in the callback (clean_child.cc): what ends the callback is no error of its.
  if (!v8_bridge::IsTerminating()) napi_fatal_exception(env, error);
}

}  // namespace

Watches::Watches(Napi::Env env) : env_(env) {
  napi_get_uv_event_loop(env, &loop_);
}

int Watches::OpenPid(pid_t pid, Napi::Function on_ready) {
  UniqueFd fd(children::OpenPidFd(pid));  // born close-on-exec
  const int error = errno;
  return fd.valid() ? OpenFd(std::move(fd), on_ready) : -error;
}

int Watches::OpenSignals(const sigset_t& signals, Napi::Function on_ready) {
#if defined(__linux__)
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  const int error = errno;
  return fd.valid() ? OpenFd(std::move(fd), on_ready) : -error;
#else
  return -ENOSYS;
#endif
}

int Watches::OpenFd(UniqueFd fd, Napi::Function on_ready) {
  auto* handle = new Handle(this, on_ready);
  const int failed = uv_poll_init(loop_, &handle->poll, fd.get());
  if (failed != 0) {
    delete handle;
    return failed;
  }
  handle->fd = std::move(fd);
  Adopt(handle);
  uv_poll_start(&handle->poll, UV_READABLE, [](uv_poll_t* poll, int, int) { Tell(static_cast<Handle*>(poll->data)); });
  const int id = ++last_id_;
  fds_.emplace(id, handle);
  return id;
}

namespace {

void OnDescriptor(uv_poll_t* poll, int status, int events) {
  auto* handle = static_cast<Handle*>(poll->data);
  Napi::Env env = handle->callback.Env();
  Napi::HandleScope scope(env);
  napi_value argument = Napi::Number::New(env, status < 0 ? status : events);
  Tell(handle, 1, &argument);
}

}  // namespace

int Watches::OpenBorrowed(int fd, int events, Napi::Function on_ready) {
  auto* handle = new Handle(this, on_ready);
  const int failed = uv_poll_init(loop_, &handle->poll, fd);
  if (failed != 0) {
    delete handle;
    return failed;
  }
  Adopt(handle);
  uv_poll_start(&handle->poll, events, OnDescriptor);
  const int id = ++last_id_;
  fds_.emplace(id, handle);
  return id;
}

void Watches::SetEvents(int id, int events) {
  const auto found = fds_.find(id);
  if (found == fds_.end()) return;
  if (events == 0) {
    uv_poll_stop(&found->second->poll);
  } else {
    uv_poll_start(&found->second->poll, events, OnDescriptor);
  }
}

int Watches::FdOf(int id) const {
  const auto found = fds_.find(id);
  return found == fds_.end() ? -1 : found->second->fd.get();
}

void Watches::CloseFd(int id) {
  const auto found = fds_.find(id);
  if (found == fds_.end()) return;
  Handle* handle = found->second;
  fds_.erase(found);
  Close(handle);
}

void Watches::RefFd(int id, bool keeps_loop_alive) {
  const auto found = fds_.find(id);
  if (found == fds_.end()) return;
  if (keeps_loop_alive) {
    uv_ref(&found->second->any);
  } else {
    uv_unref(&found->second->any);
  }
}

int Watches::StartSignal(Napi::Function on_signal) {
  StopSignal();
  auto* handle = new Handle(this, on_signal);
  int failed = uv_signal_init(loop_, &handle->signal);
  if (failed != 0) {
    delete handle;
    return failed;
  }
  Adopt(handle);
  failed = uv_signal_start(
      &handle->signal, [](uv_signal_t* signal, int) { Tell(static_cast<Handle*>(signal->data)); }, SIGCHLD);
  if (failed != 0) {
    Close(handle);
    return failed;
  }
  signal_ = handle;
  return 0;
}

void Watches::StopSignal() {
  if (signal_ != nullptr) Close(std::exchange(signal_, nullptr));
}

void Watches::RefSignal(bool keeps_loop_alive) {
  if (signal_ == nullptr) return;
  if (keeps_loop_alive) {
    uv_ref(&signal_->any);
  } else {
    uv_unref(&signal_->any);
  }
}

void Watches::CloseAll() {
  for (const auto& [id, handle] : fds_) Close(handle);
  fds_.clear();
  StopSignal();
}

void Watches::Adopt(Handle* handle) {
  HookCleanup();
  handle->any.data = handle;
  open_++;
}

void Watches::Close(Handle* handle) {
  // uv_close takes the descriptor out of the loop's epoll set before it returns; the memory is needed a turn longer.
  uv_close(&handle->any, [](uv_handle_t* closed) {
    auto* done = static_cast<Handle*>(closed->data);
    Watches* watches = done->owner;
    Napi::HandleScope scope(done->callback.Env());
    delete done;
    if (--watches->open_ == 0 && watches->cleaning_up_) napi_remove_async_cleanup_hook(watches->cleanup_);
  });
  handle->fd.Reset();
}

// A Worker that ends may not leave handles in its loop: Node waits for the hook to be removed, turning the loop.
void Watches::HookCleanup() {
  if (cleanup_ == nullptr) napi_add_async_cleanup_hook(env_, OnCleanup, this, &cleanup_);
}

void Watches::OnCleanup(napi_async_cleanup_hook_handle hook, void* data) {
  auto* watches = static_cast<Watches*>(data);
  watches->cleaning_up_ = true;
  watches->CloseAll();
  if (watches->open_ == 0) napi_remove_async_cleanup_hook(hook);
}

}  // namespace watch

namespace {

watch::Watches& WatchesOf(Napi::Env env) {
  AddonData* data = env.GetInstanceData<AddonData>();
  if (data->watches == nullptr) data->watches = std::make_unique<watch::Watches>(env);
  return *data->watches;
}

}  // namespace

// Binding: watchPid(pid, onReady) -> the watch's id (greater than 0), or a negative errno.
Napi::Value WatchPid(const Napi::CallbackInfo& info) {
  const pid_t pid = IntArgument(info, 0);
  return Napi::Number::New(info.Env(), WatchesOf(info.Env()).OpenPid(pid, info[1].As<Napi::Function>()));
}

// Binding: collectWatched(id) -> the raw status, null when the child is not ready, or a negative errno. Through the
// pidfd (Linux 5.4), so that a pid which somebody else has waited for and which has a new owner cannot be meant.
Napi::Value CollectWatched(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = WatchesOf(env).FdOf(IntArgument(info, 0));
  if (fd < 0) return Napi::Number::New(env, -EBADF);
  constexpr auto kPidFd = static_cast<idtype_t>(3);  // P_PIDFD
  siginfo_t ended = {};
  const int failed = waitid(kPidFd, static_cast<id_t>(fd), &ended, children::WaitOptions(WEXITED));
  const int error = errno;
  if (failed != 0) return error == EAGAIN ? env.Null() : Napi::Number::New(env, -error);
  if (ended.si_pid == 0) return env.Null();
  switch (ended.si_code) {
    case CLD_EXITED:
      return Napi::Number::New(env, (ended.si_status & 0xff) << 8);
    case CLD_DUMPED:
      return Napi::Number::New(env, ended.si_status | 0x80);
    default:
      return Napi::Number::New(env, ended.si_status);
  }
}

// Binding: watchSignals(numbers, onReady) -> the watch's id (greater than 0), or a negative errno. The signals are
// taken by sigtimedwait: what several watches see, one of them gets.
Napi::Value WatchSignals(const Napi::CallbackInfo& info) {
  sigset_t signals;
  const int error = ReadSignalSet(info[0].As<Napi::Array>(), &signals);
  const int id = error != 0 ? -error : WatchesOf(info.Env()).OpenSignals(signals, info[1].As<Napi::Function>());
  return Napi::Number::New(info.Env(), id);
}

// Binding: watchDescriptor(fd, events, onReady) -> the watch's id (greater than 0), or a negative errno.
Napi::Value WatchDescriptor(const Napi::CallbackInfo& info) {
  const int id =
      WatchesOf(info.Env()).OpenBorrowed(IntArgument(info, 0), IntArgument(info, 1), info[2].As<Napi::Function>());
  return Napi::Number::New(info.Env(), id);
}

// Binding: setWatchEvents(id, events), of watchDescriptor.
Napi::Value SetWatchEvents(const Napi::CallbackInfo& info) {
  WatchesOf(info.Env()).SetEvents(IntArgument(info, 0), IntArgument(info, 1));
  return info.Env().Undefined();
}

// Binding: refWatch(id, keepsLoopAlive), of watchPid or watchSignals.
Napi::Value RefWatch(const Napi::CallbackInfo& info) {
  WatchesOf(info.Env()).RefFd(IntArgument(info, 0), info[1].As<Napi::Boolean>());
  return info.Env().Undefined();
}

// Binding: unwatch(id), of watchPid or watchSignals.
Napi::Value Unwatch(const Napi::CallbackInfo& info) {
  WatchesOf(info.Env()).CloseFd(IntArgument(info, 0));
  return info.Env().Undefined();
}

// Binding: watchChildSignal(onSignal) -> 0, or a negative errno.
Napi::Value WatchChildSignal(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), WatchesOf(info.Env()).StartSignal(info[0].As<Napi::Function>()));
}

// Binding: refChildSignal(keepsLoopAlive).
Napi::Value RefChildSignal(const Napi::CallbackInfo& info) {
  WatchesOf(info.Env()).RefSignal(info[0].As<Napi::Boolean>());
  return info.Env().Undefined();
}

// Binding: unwatchChildSignal().
Napi::Value UnwatchChildSignal(const Napi::CallbackInfo& info) {
  WatchesOf(info.Env()).StopSignal();
  return info.Env().Undefined();
}

// Binding: abandonWatches(), in a forked child. libuv has given the child an epoll set of its own by then, so that
// closing here leaves the parent's watches alone.
Napi::Value AbandonWatches(const Napi::CallbackInfo& info) {
  WatchesOf(info.Env()).CloseAll();
  return info.Env().Undefined();
}

}  // namespace realfork
