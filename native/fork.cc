// The sequence around fork(2). docs/after-fork.md says why each step is where it is.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena.h"
#include "bindings.h"
#include "fs_poll.h"
#include "guard.h"
#include "heap.h"
#include "leave.h"
#include "loop.h"
#include "platform.h"
#include "scoped_signal_mask.h"
#include "thread_safe_functions.h"
#include "threads.h"
#include "v8_bridge.h"

namespace realfork {

namespace {

// Refusals that are not an errno, told to lib/posix/fork.ts as negative results.
constexpr int kWorkerBusy = -1;
constexpr int kThreadsUnsafe = -2;
constexpr int kInsideIoUring = -3;

struct Outcome {
  pid_t pid;
  int error;
};

Outcome ForkProcess(napi_env env, uv_loop_t* loop, guard::Admission* place) {
  if (loop::InsideIoUringBatch()) return {kInsideIoUring, 0};
  // fork(2) copies the mask: until the child's loop has its own signal pipe, a handler would write into the parent's.
  ScopedSignalMask blocked;
  loop::HandOverLock hand_over(loop);
  ThreadSafeFunctionLocks functions(env, loop);
  switch (threads::Park()) {
    case threads::ParkResult::kWorkerBusy:
      return {kWorkerBusy, 0};
    case threads::ParkResult::kUnsafe:
      return {kThreadsUnsafe, 0};
    case threads::ParkResult::kParked:
      break;
  }
  arena::BeforeFork();
  int error = heap::MakeInheritable();
  const pid_t pid = error == 0 ? fork() : -1;
  if (pid < 0 && error == 0) error = errno;
  if (pid == 0) {
    place->Claim();
    arena::AfterForkInChild();
    // The loop before the threads: one that comes back may be about to post a task, and libuv's wake-up of the loop
    // (uv__async_send) aborts on a descriptor that is just being replaced.
    if (!loop::Rebuild(loop)) GiveUp(kExitCannotRebuildLoop);
    threads::Revive();
    fs_poll::Resume(loop);
  } else {
    threads::Release();
    arena::AfterForkInParent(pid);
  }
  return {pid, pid < 0 ? error : 0};
}

const char* InheritanceName() {
  switch (heap::Method()) {
    case heap::Inheritance::kRedirect:
      return "redirect";
    case heap::Inheritance::kScan:
      return "scan";
    case heap::Inheritance::kNative:
      break;
  }
  return "native";
}

}  // namespace

// Binding: fork() -> the pid, 0 in the child, a negative refusal, or { limit, value } when a guard refuses.
Napi::Value Fork(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  guard::Admission place;
  if (place.refusal()) {
    Napi::Object refusal = Napi::Object::New(env);
    refusal.Set("limit", place.refusal()->name);
    refusal.Set("value", place.refusal()->value);
    return refusal;
  }
  const Outcome outcome = ForkProcess(env, loop, &place);
  if (outcome.pid > 0) place.Settle(outcome.pid);
  if (outcome.error != 0) return ThrowErrno(env, outcome.error, "fork");
  return Napi::Number::New(env, outcome.pid);
}

// Binding: facts from which lib/posix/fork.ts decides how, and whether, this process can fork.
Napi::Value ForkFacts(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object facts = Napi::Object::New(env);
  facts.Set("revivesThreads", Napi::Boolean::New(env, REALFORK_REVIVES_THREADS != 0));
  facts.Set("v8Threads", threads::V8ThreadCount());
  facts.Set("workers", threads::WorkerCount());
  facts.Set("inheritance", InheritanceName());
  const char* missing = v8_bridge::MissingSymbol();
  facts.Set("missingSymbol", missing == nullptr ? env.Null() : Napi::String::New(env, missing));
  return facts;
}

}  // namespace realfork
