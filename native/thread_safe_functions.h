// Node's thread-safe functions (napi_create_threadsafe_function) across fork(2).
#ifndef REALFORK_NATIVE_THREAD_SAFE_FUNCTIONS_H_
#define REALFORK_NATIVE_THREAD_SAFE_FUNCTIONS_H_

#include <node_api.h>
#include <pthread.h>
#include <uv.h>

#include <vector>

namespace realfork {

// Holds the locks of all thread-safe functions of a loop. Threads of other addons call these at any moment and are
// absent in the child: a lock that one of them held would stay locked there, and the child's loop would wait for it at
// the next message. So the forking thread takes the locks before fork(2), as a pthread_atfork(3) handler does, and
// gives them back in both processes.
class ThreadSafeFunctionLocks {
 public:
  ThreadSafeFunctionLocks(napi_env env, uv_loop_t* loop);
  ~ThreadSafeFunctionLocks();
  ThreadSafeFunctionLocks(const ThreadSafeFunctionLocks&) = delete;
  ThreadSafeFunctionLocks& operator=(const ThreadSafeFunctionLocks&) = delete;

 private:
  std::vector<pthread_mutex_t*> held_;
};

}  // namespace realfork

#endif  // REALFORK_NATIVE_THREAD_SAFE_FUNCTIONS_H_
