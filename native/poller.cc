// Descriptors on Node's event loop, for Connection and wait(). libuv's own uv_poll would make each descriptor
// non-blocking, for every process that shares its open file, and refuses one that the loop has already (net.Socket's).
// So they stand in a set of our own, and the loop watches the set:
//
//     descriptors ── one-shot ──> epoll(7) set, or kqueue(2) ── uv_poll ──> onReady(fd, events, fd, events, ...)
//
// One-shot: what has been told is off until armed again, so that readiness nobody takes does not turn the loop.
#include "poller.h"

#include <errno.h>

#if defined(__linux__)
#include <sys/epoll.h>
#else
#include <sys/event.h>
#include <sys/types.h>
#endif

#include "addon_data.h"
#include "arguments.h"
#include "bindings.h"

namespace realfork {

namespace poller {

namespace {

constexpr int kReadable = 1;
constexpr int kWritable = 2;
constexpr int kBatch = 64;

struct Ready {
  int fd;
  int events;
};

#if defined(__linux__)

int CreateSet() {
  return epoll_create1(EPOLL_CLOEXEC);
}

// Both ways round: a number can be registered for a file that was closed elsewhere, or forgotten by the kernel.
int SetInterest(int set, int fd, int events, bool known) {
  epoll_event event = {};
  event.events = EPOLLONESHOT;
  if (events & kReadable) event.events |= EPOLLIN | EPOLLRDHUP;
  if (events & kWritable) event.events |= EPOLLOUT;
  event.data.fd = fd;
  if (epoll_ctl(set, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return 0;
  if (errno != ENOENT && errno != EEXIST) return -errno;
  return epoll_ctl(set, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -errno;
}

void DropInterest(int set, int fd, bool forget) {
  epoll_event event = {};
  event.events = EPOLLONESHOT;
  event.data.fd = fd;
  epoll_ctl(set, forget ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, fd, &event);
}

int TakeReady(int set, Ready* ready) {
  epoll_event events[kBatch];
  const int count = epoll_wait(set, events, kBatch, 0);
  for (int i = 0; i < count; i++) {
    const uint32_t seen = events[i].events;
    const int bits = (seen & ~EPOLLOUT ? kReadable : 0) | (seen & ~(EPOLLIN | EPOLLRDHUP) ? kWritable : 0);
    ready[i] = {events[i].data.fd, bits};
  }
  return count;
}

#else

int CreateSet() {
  return kqueue();  // not inherited by fork, closed by exec: kqueue(2)
}

int SetInterest(int set, int fd, int events, bool) {
  struct kevent changes[2];
  int count = 0;
  if (events & kReadable) EV_SET(&changes[count++], fd, EVFILT_READ, EV_ADD | EV_ENABLE | EV_ONESHOT, 0, 0, nullptr);
  if (events & kWritable) EV_SET(&changes[count++], fd, EVFILT_WRITE, EV_ADD | EV_ENABLE | EV_ONESHOT, 0, 0, nullptr);
  return kevent(set, changes, count, nullptr, 0, nullptr) < 0 ? -errno : 0;
}

void DropInterest(int set, int fd, bool) {
  struct kevent change;
  EV_SET(&change, fd, EVFILT_READ, EV_DELETE, 0, 0, nullptr);
  kevent(set, &change, 1, nullptr, 0, nullptr);
  EV_SET(&change, fd, EVFILT_WRITE, EV_DELETE, 0, 0, nullptr);
  kevent(set, &change, 1, nullptr, 0, nullptr);
}

int TakeReady(int set, Ready* ready) {
  struct kevent events[kBatch];
  const timespec no_time = {};
  const int count = kevent(set, nullptr, 0, events, kBatch, &no_time);
  for (int i = 0; i < count; i++) {
    ready[i] = {static_cast<int>(events[i].ident), events[i].filter == EVFILT_READ ? kReadable : kWritable};
  }
  return count;
}

#endif

}  // namespace

struct Handle {
  UniqueFd set;
  Poller* owner = nullptr;
  uv_poll_t poll;
};

Poller::Poller(Napi::Env env, Napi::Function on_ready)
    : env_(env), on_ready_(Napi::Persistent(on_ready)), context_(env, "realfork.poller", Napi::Object::New(env)) {
  napi_get_uv_event_loop(env, &loop_);
}

int Poller::Open() {
  auto* handle = new Handle();
  handle->set = UniqueFd(CreateSet());
  int failed = handle->set.valid() ? 0 : -errno;
  if (failed == 0) failed = uv_poll_init(loop_, &handle->poll, handle->set.get());
  if (failed != 0) {
    delete handle;
    return failed;
  }
  HookCleanup();
  handle->owner = this;
  handle->poll.data = handle;
  uv_poll_start(&handle->poll, UV_READABLE,
                [](uv_poll_t* poll, int, int) { static_cast<Handle*>(poll->data)->owner->OnReadable(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle->poll));
  handle_ = handle;
  return 0;
}

int Poller::Arm(int fd, int events) {
  if (handle_ == nullptr) {
    const int failed = Open();
    if (failed != 0) return failed;
  }
  const auto found = fds_.find(fd);
  const int failed = SetInterest(handle_->set.get(), fd, events, found != fds_.end());
  if (failed != 0) return failed;
  if (found == fds_.end()) {
    fds_.emplace(fd, true);
    Count(1);
  } else if (!found->second) {
    found->second = true;
    Count(1);
  }
  return 0;
}

void Poller::Disarm(int fd, bool forget) {
  const auto found = fds_.find(fd);
  if (found == fds_.end()) return;
  if (found->second || forget) DropInterest(handle_->set.get(), fd, forget);
  if (found->second) Count(-1);
  found->second = false;
  if (forget) fds_.erase(found);
}

void Poller::OnReadable() {
  Ready ready[kBatch];
  const int count = TakeReady(handle_->set.get(), ready);
  if (count < 0) return;  // 0: something has been read meanwhile, see lib/ipc/poller.ts
  Napi::HandleScope scope(env_);
  napi_value arguments[2 * kBatch];
  for (int i = 0; i < count; i++) {
    const auto found = fds_.find(ready[i].fd);
    if (found != fds_.end() && found->second) {
      found->second = false;
      Count(-1);
    }
    napi_create_int32(env_, ready[i].fd, &arguments[2 * i]);
    napi_create_int32(env_, ready[i].events, &arguments[2 * i + 1]);
  }
  // As watch.cc does: while the environment is being torn down no JavaScript runs, and nobody is there to be told.
  if (napi_make_callback(env_, context_, env_.Global(), on_ready_.Value(), static_cast<size_t>(2 * count), arguments,
                         nullptr) != napi_pending_exception) {
    return;
  }
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

// The loop lives for what is armed, and not for the set.
void Poller::Count(int change) {
  armed_ += change;
  auto* any = reinterpret_cast<uv_handle_t*>(&handle_->poll);
  if (armed_ > 0) {
    uv_ref(any);
  } else {
    uv_unref(any);
  }
}

void Poller::CloseAll() {
  fds_.clear();
  armed_ = 0;
  if (handle_ == nullptr) return;
  closing_++;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll), [](uv_handle_t* closed) {
    auto* done = static_cast<Handle*>(closed->data);
    Poller* owner = done->owner;
    delete done;
    if (--owner->closing_ == 0 && owner->cleaning_up_) napi_remove_async_cleanup_hook(owner->cleanup_);
  });
  handle_->set.Reset();  // uv_close has taken it out of the loop's own set
  handle_ = nullptr;
}

void Poller::HookCleanup() {
  if (cleanup_ == nullptr) napi_add_async_cleanup_hook(env_, OnCleanup, this, &cleanup_);
}

void Poller::OnCleanup(napi_async_cleanup_hook_handle hook, void* data) {
  auto* poller = static_cast<Poller*>(data);
  poller->cleaning_up_ = true;
  poller->CloseAll();
  if (poller->closing_ == 0) napi_remove_async_cleanup_hook(hook);
}

}  // namespace poller

// Binding: pollerOpen(onReady), once for each environment, before the others.
Napi::Value PollerOpen(const Napi::CallbackInfo& info) {
  auto* data = info.Env().GetInstanceData<AddonData>();
  data->poller = std::make_unique<poller::Poller>(info.Env(), info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

// Binding: pollerArm(fd, events) -> 0, or a negative errno.
Napi::Value PollerArm(const Napi::CallbackInfo& info) {
  const auto& poller = info.Env().GetInstanceData<AddonData>()->poller;
  return Napi::Number::New(info.Env(), poller->Arm(IntArgument(info, 0), IntArgument(info, 1)));
}

// Binding: pollerDisarm(fd, forget).
Napi::Value PollerDisarm(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<AddonData>()->poller->Disarm(IntArgument(info, 0), info[1].As<Napi::Boolean>());
  return info.Env().Undefined();
}

// Binding: pollerAbandon(), in a forked child. The epoll set is one with the parent's until closed: nothing may be
// taken out of it here.
Napi::Value PollerAbandon(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<AddonData>()->poller->CloseAll();
  return info.Env().Undefined();
}

}  // namespace realfork
