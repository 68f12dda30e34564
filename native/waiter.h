// Waiting for words of the arena without blocking the event loop: each wait has a thread of its own, kept for the next.
#ifndef REALFORK_NATIVE_WAITER_H_
#define REALFORK_NATIVE_WAITER_H_

#include <napi.h>
#include <uv.h>

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "shared_futex.h"

namespace realfork::waiter {

struct Thread;

// What a wait is for.
enum class Goal {
  kWord,   // the word is no longer `expected`
  kLock,   // the lock at the word can be taken
  kCount,  // the number beside the gate at the word is above 0
};

struct Job {
  shared::Word* word;
  uint32_t expected;
  int64_t deadline;
  Goal goal;
  // Each waking is meant for one waiter: what the loop does not take at once goes to the next.
  bool passes_on;
  // Leave what is free to those who have been woken for it, for a moment.
  bool patient;
};

// By this name fork knows that these threads are nobody's Workers.
constexpr char kThreadName[] = "realfork-wait";

// The waits of one environment. Lives in its AddonData.
class Waits {
 public:
  // `on_end(id, timedOut)` runs on the loop at the end of each wait that was not cancelled.
  Waits(Napi::Env env, Napi::Function on_end);
  ~Waits();
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;

  // Waits for the goal, until somebody wakes the word, or the deadline. Returns the wait's id, or a negative errno.
  int Start(const Job& job);
  void Cancel(int id);
  void Ref(bool keeps_loop_alive);
  // In a forked child, where the threads are not.
  void Abandon();

 private:
  friend struct Thread;
  static void OnAsync(uv_async_t* async);
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* waits);
  Thread* Idle();
  void Finish(Thread* thread);
  void StopAll();

  Napi::Env env_;
  Napi::FunctionReference on_end_;
  std::unique_ptr<Napi::AsyncContext> context_;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  uv_async_t* async_;
  std::atomic<Thread*> done_{nullptr};
  std::unordered_map<int, Thread*> busy_;
  std::vector<Thread*> idle_;
  int last_id_ = 0;
  unsigned generation_ = 0;  // goes up when the threads are abandoned
};

}  // namespace realfork::waiter

#endif  // REALFORK_NATIVE_WAITER_H_
