#include "threads.h"

#include "platform.h"

#if REALFORK_REVIVES_THREADS

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "machine.h"
#include "thread_stop.h"
#include "thread_table.h"

namespace realfork::threads {

namespace {

// How long an unsafe thread may run before it is stopped again, and for how long that is repeated.
constexpr long kRetryNanoseconds = 20'000;
constexpr long kSafePointLimitMs = 5'000;
// How long a Worker may be busy, and how often it has to be found so: on a machine with much to do each stop takes
// long.
constexpr long kWorkerLimitMs = 200;
constexpr int kWorkerAttempts = 50;
constexpr long kWorkerRetryNanoseconds = 200'000;
constexpr long kConditionWaitMs = 20;
// A thread with no isolate this long after its start will not become a Worker.
constexpr long kSettledMs = 2'000;

// A V8 thread may be copied where it stands when no library code is on top of its stack: inside malloc or stdio it may
// hold a lock that fork(2)'s own handlers in glibc (or in another allocator) wait for. A futex waiter is inside no such
// section: whoever waits for a lock of malloc does not hold another. In uv_async_send a thread may have read the number
// of the parent's wake-up descriptor, and has counted itself in a word that the child's loop starts from zero.
bool SafeForCopy(const Thread& thread) {
  const uintptr_t pc = machine::ProgramCounter(thread.context);
  if (InV8Text(pc)) return !InAsyncSend(pc);
  const long call = machine::InterruptedCall(thread.context);
  return call == SYS_futex || call == machine::kInterrupted;
}

// Of the calls that the scheduler makes, only this one waits and is ended by a signal.
bool AtEpollWait(const Thread& thread) {
  return machine::InterruptedCall(thread.context) == machine::kInterrupted;
}

bool InConditionWait(const Thread& thread) {
  // glibc's condition variables wait with FUTEX_WAIT_BITSET, its mutexes with FUTEX_WAIT.
  return machine::InterruptedCall(thread.context) == SYS_futex &&
         (machine::Argument(thread.context, 1) & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

// A call that makes a process or a thread is not interrupted by a signal but begun anew behind it (-ERESTARTNOINTR in
// copy_process, Linux kernel/fork.c). Around it, in fork(3), a thread holds glibc's locks of its fork handlers and of
// malloc.
bool MakesProcess(long call) {
  constexpr long kCalls[] = {
    SYS_clone,
#if defined(SYS_clone3)
    SYS_clone3,
#endif
#if defined(SYS_fork)
    SYS_fork,
    SYS_vfork,
#endif
  };
  return std::find(std::begin(kCalls), std::end(kCalls), call) != std::end(kCalls);
}

enum class Verdict { kReady, kAgain, kNotNeeded };

bool InCompiledCode(const Thread& thread) {
  return thread.kind == Kind::kWorker && thread.in_compiled_code;
}

// A Worker is absent in the child and must hold no lock there. In compiled JavaScript it holds none: locks are an
// affair of C++, which keeps none while it calls into JavaScript. In epoll_wait, or in any other call that a signal
// interrupts, it holds none; in child_process.spawn it may be at fork(3). In the wait of a condition variable it stands
// in Atomics.wait, or in a garbage collection that waits for V8's threads: then it may hold a lock of the whole process
// (seen: cppgc's g_process_mutex, which every new Worker takes). Idle V8 threads have nothing to do for a collection,
// and one that waited for long before they were found idle has been told so.
Verdict JudgeWorker(Thread* thread, bool platform_idle) {
  if (!InConditionWait(*thread)) {
    thread->waits_since = 0;
    if (InCompiledCode(*thread)) return Verdict::kReady;
    const long call = machine::InterruptedCall(thread->context);
    const bool may_hold_locks = call == machine::kNone || call == SYS_futex || MakesProcess(call);
    return may_hold_locks ? Verdict::kAgain : Verdict::kReady;
  }
  if (thread->waits_since == 0) thread->waits_since = NowMs();
  return platform_idle && NowMs() - thread->waits_since > kConditionWaitMs ? Verdict::kReady : Verdict::kAgain;
}

// A thread of libuv's pool waits for work at a static condition variable (libuv src/threadpool.c); nothing that a
// Worker does before it has an isolate waits at one.
bool IsIdlePoolThread(const Thread& thread) {
  return !thread.in_isolate && InConditionWait(thread) &&
         InUvData(static_cast<uintptr_t>(machine::Argument(thread.context, 0)));
}

Verdict JudgeOther(Thread* thread, bool platform_idle) {
  if (thread->in_isolate) thread->kind = Kind::kWorker;
  if (thread->kind == Kind::kWorker) return JudgeWorker(thread, platform_idle);
  if (IsIdlePoolThread(*thread) || AgeMs(*thread) > kSettledMs) thread->kind = Kind::kForeign;
  const bool waits = machine::InterruptedCall(thread->context) != machine::kNone;
  return waits || thread->kind == Kind::kForeign ? Verdict::kNotNeeded : Verdict::kAgain;
}

// Stops the threads; keeps those that are ready, lets the others go, and returns those to be stopped again.
template <typename Judge>
std::vector<Thread*> StopAndJudge(const std::vector<Thread*>& threads, Judge judge) {
  std::vector<Thread*> again;
  again.reserve(threads.size());  // no malloc from here on: a stopped thread may hold its lock
  bool some_go = false;
  Stop(threads);
  for (Thread* thread : threads) {
    if (thread->gone) continue;
    const Verdict verdict = thread->parked ? judge(thread) : Verdict::kAgain;
    if (verdict == Verdict::kReady) continue;
    Let(thread);
    some_go = true;
    if (verdict == Verdict::kAgain) again.push_back(thread);
  }
  if (some_go) OpenGate();
  return again;
}

// Nobody waits for a lock of a Worker stopped in compiled code: it stays so from one attempt to the next, and leaves
// the processors to those that are still to be stopped.
bool StaysStopped(const Thread& thread) {
  return thread.parked && InCompiledCode(thread);
}

std::vector<Thread*> OthersToStop() {
  std::vector<Thread*> others = Select([](Kind kind) { return kind == Kind::kWorker || kind == Kind::kUnknown; });
  others.erase(std::remove_if(others.begin(), others.end(), [](Thread* t) { return StaysStopped(*t); }), others.end());
  return others;
}

void LetOthersGo() {
  for (const auto& thread : Table()) {
    if (!StaysStopped(*thread)) Let(thread.get());
  }
  OpenGate();
}

void Pause(long nanoseconds) {
  timespec pause{0, nanoseconds};
  nanosleep(&pause, nullptr);
}

// Those found at an unsafe place run on a little and are stopped again, while the safe ones stay.
bool ParkAll(std::vector<Thread*> open, bool (*is_safe)(const Thread&)) {
  const long deadline = NowMs() + kSafePointLimitMs;
  for (;;) {
    open = StopAndJudge(open, [=](Thread* t) { return is_safe(*t) ? Verdict::kReady : Verdict::kAgain; });
    if (open.empty()) return true;
    if (NowMs() > deadline) return false;
    Pause(kRetryNanoseconds);
  }
}

// The scheduler hands tasks to V8's threads under the lock of their queue, and is absent in the child, where nobody
// would give that lock back. In epoll_wait, where it waits for the time of a task, it does not hold it. It comes first:
// the lock that it may be waiting for is held by a thread that still runs.
bool ParkPlatform() {
  return ParkAll(Select([](Kind kind) { return kind == Kind::kScheduler; }), AtEpollWait) &&
         ParkAll(Select([](Kind kind) { return kind == Kind::kPlatform; }), SafeForCopy);
}

bool PlatformIsIdle() {
  return std::all_of(Table().begin(), Table().end(), [](auto& thread) {
    return thread->kind != Kind::kPlatform || (thread->parked && InConditionWait(*thread));
  });
}

}  // namespace

ParkResult Park() {
  Scan();
  InstallParkAction();
  for (const auto& thread : Table()) thread->waits_since = 0;
  const long deadline = NowMs() + kWorkerLimitMs;
  for (int attempts = 1;; attempts++) {
    if (!ParkPlatform()) {
      Release();
      return ParkResult::kUnsafe;
    }
    const bool platform_idle = PlatformIsIdle();
    std::vector<Thread*> busy =
        StopAndJudge(OthersToStop(), [&](Thread* thread) { return JudgeOther(thread, platform_idle); });
    if (busy.empty()) return ParkResult::kParked;
    // A Worker may be busy waiting for a V8 thread that is parked: that has to run on.
    LetOthersGo();
    if (NowMs() > deadline && attempts >= kWorkerAttempts) {
      for (Thread* thread : busy) {
        if (thread->kind == Kind::kUnknown) thread->kind = Kind::kForeign;  // ran so long without becoming a Worker
      }
      if (std::any_of(busy.begin(), busy.end(), [](Thread* t) { return t->kind == Kind::kWorker; })) {
        Release();
        return ParkResult::kWorkerBusy;
      }
    }
    Pause(kWorkerRetryNanoseconds);
  }
}

void Release() {
  LetAllGo();
  RemoveParkAction();
}

}  // namespace realfork::threads

#else  // !REALFORK_REVIVES_THREADS

namespace realfork::threads {

void Learn() {}
int V8ThreadCount() {
  return 0;
}
int WorkerCount() {
  return 0;
}
ParkResult Park() {
  return ParkResult::kParked;
}
void Release() {}
void Revive() {}
void FollowMask(uint64_t, uint64_t) {}
void FollowCredentials() {}

}  // namespace realfork::threads

#endif
