// Whose is the child: what belongs to Node's child_process, and single children asked without blocking.
#include "children.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>

#if defined(__linux__)
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <sys/event.h>
#endif

#include "arguments.h"
#include "bindings.h"
#include "unique_fd.h"

namespace realfork {

namespace {

// Node of libuv's circular lists, the same layout under two names: void*[2] until libuv 1.46, struct uv__queue after.
struct QueueNode {
  QueueNode* next;
  QueueNode* previous;
};

QueueNode* NodeOf(uv_process_t* process) {
  return reinterpret_cast<QueueNode*>(&process->queue);
}

// libuv waits for the pid of each uv_process_t in loop->process_handles, and takes the handle out (its node then points
// to itself) before it says that the process has ended. loop.cc takes a parent's handles out in a forked child.
uv_process_t* AsAwaited(uv_handle_t* handle) {
  if (handle->type != UV_PROCESS || uv_is_active(handle) == 0) return nullptr;
  auto* process = reinterpret_cast<uv_process_t*>(handle);
  return NodeOf(process)->next == NodeOf(process) ? nullptr : process;
}

}  // namespace

int children::WaitOptions(int options) {
#if defined(__linux__)
  // wait(2): only children of this very thread. Those of a Worker's child_process are children of the Worker's thread.
  constexpr int kNoThread = 0x20000000;  // __WNOTHREAD
  return options | WNOHANG | kNoThread;
#else
  return options | WNOHANG;
#endif
}

int children::OpenPidFd(pid_t pid) {
#if defined(__linux__)
  constexpr long kPidFdOpen = 434;  // since Linux 5.3 and the same on every architecture; glibc has it from 2.36 on
  const int fd = static_cast<int>(syscall(kPidFdOpen, pid, 0));
  // It has no EPERM of its own: that is a container whose filter does not know the call (Docker before 20.10).
  if (fd < 0 && errno == EPERM) errno = ENOSYS;
  return fd;
#else
  errno = ENOSYS;
  return -1;
#endif
}

namespace {

double MonotonicMs() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

struct timespec AsTimespec(double ms) {
  const auto seconds = static_cast<time_t>(ms / 1e3);
  return {seconds, static_cast<long>((ms - seconds * 1e3) * 1e6)};
}

// Sleeps until the child has ended, the deadline has passed, or (EINTR, or no way to be told) for a while.
void SleepUntilEnd(pid_t pid, const UniqueFd& pidfd, double left, double* pause) {
#if defined(__linux__)
  if (pidfd.valid()) {
    struct pollfd watched = {pidfd.get(), POLLIN, 0};
    const struct timespec limit = AsTimespec(left);
    ppoll(&watched, 1, &limit, nullptr);
    return;
  }
#elif defined(__APPLE__)
  if (pidfd.valid()) {
    struct kevent watched;
    struct kevent event;
    EV_SET(&watched, pid, EVFILT_PROC, EV_ADD | EV_ONESHOT, NOTE_EXIT, 0, nullptr);
    const struct timespec limit = AsTimespec(left);
    // ESRCH: it is a zombie already, which the caller's next look finds.
    if (kevent(pidfd.get(), &watched, 1, &event, 1, &limit) >= 0) return;
  }
#endif
  const struct timespec nap = AsTimespec(std::min(left, *pause));
  nanosleep(&nap, nullptr);
  *pause = std::min(*pause * 2, 20.0);
}

}  // namespace

// Binding: awaitChild(pid, ms) -> the raw status, null when the child has not ended within so many milliseconds (less
// than 0: for ever), or a negative errno. Blocks. By pid; a child of another thread is none of ours, as in pollChild.
Napi::Value AwaitChild(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const pid_t pid = IntArgument(info, 0);
  const double ms = info[1].As<Napi::Number>().DoubleValue();
  int status = 0;
  if (ms < 0) {
    pid_t waited;
    do {
      waited = waitpid(pid, &status, children::WaitOptions(0) & ~WNOHANG);
    } while (waited < 0 && errno == EINTR);
    const int error = errno;
    return Napi::Number::New(env, waited < 0 ? -error : status);
  }
  const double deadline = MonotonicMs() + ms;
#if defined(__APPLE__)
  UniqueFd watch(kqueue());
#else
  UniqueFd watch(children::OpenPidFd(pid));
#endif
  double pause = 0.5;
  for (;;) {
    const pid_t waited = waitpid(pid, &status, children::WaitOptions(0));
    const int error = errno;
    if (waited < 0) return Napi::Number::New(env, -error);
    if (waited > 0) return Napi::Number::New(env, status);
    const double left = deadline - MonotonicMs();
    if (left <= 0) return env.Null();
    SleepUntilEnd(pid, watch, left, &pause);
  }
}

// Binding: openPidFd(pid) -> a descriptor that is readable once the process has ended, or a negative errno.
Napi::Value OpenPidFd(const Napi::CallbackInfo& info) {
  const int fd = children::OpenPidFd(IntArgument(info, 0));
  const int error = errno;
  return Napi::Number::New(info.Env(), fd < 0 ? -error : fd);
}

// Binding: childProcessPids() -> number[], the children that this thread's child_process waits for.
Napi::Value ChildProcessPids(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  Napi::Array pids = Napi::Array::New(env);
  uv_walk(
      loop,
      [](uv_handle_t* handle, void* found) {
        uv_process_t* process = AsAwaited(handle);
        if (process == nullptr) return;
        auto* array = static_cast<Napi::Array*>(found);
        array->Set(array->Length(), Napi::Number::New(array->Env(), process->pid));
      },
      &pids);
  return pids;
}

// Binding: pollChild(pid, options) -> the raw status, null when the child has not changed state, or a negative errno.
Napi::Value PollChild(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const pid_t pid = IntArgument(info, 0);
  const int options = children::WaitOptions(IntArgument(info, 1));
  int status = 0;
  const pid_t waited = waitpid(pid, &status, options);
  const int error = errno;
  if (waited < 0) return Napi::Number::New(env, -error);
  if (waited == 0) return env.Null();
  return Napi::Number::New(env, status);
}

// Binding: groupOf(pid) -> the process group, of a zombie too, or a negative errno.
Napi::Value GroupOf(const Napi::CallbackInfo& info) {
  const pid_t group = getpgid(IntArgument(info, 0));
  const int error = errno;
  return Napi::Number::New(info.Env(), group < 0 ? -error : group);
}

// Binding: bootClock() -> milliseconds since the host started, on the clock of proc_pid_stat(5) starttime (which, like
// this one, includes the time spent suspended and is shifted by a time namespace).
Napi::Value BootClock(const Napi::CallbackInfo& info) {
#if defined(CLOCK_BOOTTIME)
  constexpr clockid_t kClock = CLOCK_BOOTTIME;
#else
  constexpr clockid_t kClock = CLOCK_MONOTONIC;
#endif
  struct timespec now;
  clock_gettime(kClock, &now);
  return Napi::Number::New(info.Env(), now.tv_sec * 1e3 + now.tv_nsec / 1e6);
}

// Binding: clockTicks() -> the ticks per second in which proc_pid_stat(5) counts.
Napi::Value ClockTicks(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(sysconf(_SC_CLK_TCK)));
}

}  // namespace realfork
