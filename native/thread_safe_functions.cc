#include "thread_safe_functions.h"

#include "platform.h"

#if REALFORK_REVIVES_THREADS

#include <stddef.h>
#include <string.h>
#include <time.h>

#include <algorithm>
#include <queue>

namespace realfork {

namespace {

// What Node's class ThreadSafeFunction (src/node_api.cc, Node 20 to 26) has around its uv_async_t. Believed only after
// Learn() has seen Node use the lock at this place.
struct Layout {
  pthread_mutex_t mutex;
  void* condition;
  std::queue<void*> queue;
  uv_async_t async;
};

pthread_mutex_t* MutexOf(uv_async_t* async) {
  return reinterpret_cast<pthread_mutex_t*>(reinterpret_cast<char*>(async) - offsetof(Layout, async) +
                                            offsetof(Layout, mutex));
}

void CallNothing(napi_env, napi_value, void*, void*) {}

void FindLast(uv_handle_t* handle, void* last) {
  if (handle->type == UV_ASYNC) *static_cast<uv_async_t**>(last) = reinterpret_cast<uv_async_t*>(handle);
}

// glibc's recursive mutex sets its count to 1 when it is taken and to 0 when it is given back
// (nptl/pthread_mutex_lock.c, pthread_mutex_unlock.c), whatever the count of the free mutex was. A free mutex of the
// plain kind is all zeros. So: made recursive with another count for the time of one call that takes the lock, it shows
// whether it is the lock.
bool CallTakesLock(napi_threadsafe_function function, pthread_mutex_t* mutex) {
  constexpr unsigned kMark = 77;
  static constexpr pthread_mutex_t kFree = PTHREAD_MUTEX_INITIALIZER;
  if (memcmp(mutex, &kFree, sizeof kFree) != 0) return false;
  mutex->__data.__kind = PTHREAD_MUTEX_RECURSIVE_NP;
  mutex->__data.__count = kMark;
  napi_acquire_threadsafe_function(function);
  const bool taken = mutex->__data.__count == 0;
  *mutex = kFree;
  napi_release_threadsafe_function(function, napi_tsfn_release);
  return taken;
}

// The callback by which the handles of thread-safe functions are told from others, nullptr when their lock is not where
// it is looked for. State of the process by nature: it is code of Node's.
uv_async_cb Learn(napi_env env, uv_loop_t* loop) {
  napi_value name;
  napi_threadsafe_function probe;
  napi_create_string_utf8(env, "realfork", NAPI_AUTO_LENGTH, &name);
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                                             nullptr, CallNothing, &probe);
  if (status != napi_ok) return nullptr;
  napi_unref_threadsafe_function(env, probe);  // from here on it is idle until Node's teardown closes it
  uv_async_t* async = nullptr;
  uv_walk(loop, FindLast, &async);  // in the order of their making
  return CallTakesLock(probe, MutexOf(async)) ? async->async_cb : nullptr;
}

struct {
  bool is_learned = false;
  uv_async_cb callback = nullptr;
} known;

void AddHandle(uv_handle_t* handle, void* found) {
  if (handle->type != UV_ASYNC) return;
  auto* async = reinterpret_cast<uv_async_t*>(handle);
  if (async->async_cb == known.callback) static_cast<std::vector<pthread_mutex_t*>*>(found)->push_back(MutexOf(async));
}

// They are held for a push to a queue and a wake-up of the loop. A thread that was stopped in between for so long (by a
// debugger) is not waited for.
bool Lock(pthread_mutex_t* mutex) {
  timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += 1;
  return pthread_mutex_timedlock(mutex, &deadline) == 0;
}

}  // namespace

ThreadSafeFunctionLocks::ThreadSafeFunctionLocks(napi_env env, uv_loop_t* loop) {
  if (!known.is_learned) {
    known.is_learned = true;
    known.callback = Learn(env, loop);
  }
  if (known.callback == nullptr) return;
  uv_walk(loop, AddHandle, &held_);
  held_.erase(std::remove_if(held_.begin(), held_.end(), [](auto* mutex) { return !Lock(mutex); }), held_.end());
}

ThreadSafeFunctionLocks::~ThreadSafeFunctionLocks() {
  for (pthread_mutex_t* mutex : held_) pthread_mutex_unlock(mutex);
}

}  // namespace realfork

#else  // !REALFORK_REVIVES_THREADS

namespace realfork {

ThreadSafeFunctionLocks::ThreadSafeFunctionLocks(napi_env, uv_loop_t*) {}
ThreadSafeFunctionLocks::~ThreadSafeFunctionLocks() {}

}  // namespace realfork

#endif
