// One wait, and whose turn it is with the thread's job:
//
//     main thread     Start: job written, turn odd           callback runs     Finish: turn even
//     waiter thread   idle            futex wait ──> on done_, uv_async_send ──> idle
//
// Until the callback has run the thread keeps Pending set (where wakings are to be passed on), so that a process killed
// in between passes on what it was woken for; and when the loop is busy for long, the thread passes it on itself.
#include "waiter.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <optional>
#include <utility>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "robust.h"
#include "scoped_signal_mask.h"
#include "v8_bridge.h"

namespace realfork::waiter {

using shared::Woken;
using shared::Word;

namespace {

constexpr uint32_t kGone = 0xffffffff;
constexpr int64_t kIdleLimit = 5'000'000'000;
constexpr size_t kStackSize = 256 * 1024;

}  // namespace

struct Thread {
  explicit Thread(Waits* waits) : owner(waits) {}

  Waits* owner;
  pthread_t thread = {};
  Word turn{0};  // odd: the job is on
  Word cancelled{0};
  Word quit{0};
  Job job = {};
  bool timed_out = false;
  int id = 0;              // main thread's: 0 when nobody waits for the result
  Thread* next = nullptr;  // on the owner's list of those that are done

  static void* Main(void* self);
  void Work(uint32_t turn_on, robust::Head* head);
  Woken WaitOrCancel(Word* word, uint32_t expected, int64_t deadline);
  Woken WaitForLock(const Job& what);
  Woken WaitForCount(const Job& what);
  Woken WaitFor(const Job& what);
};

namespace {

#if defined(__linux__)
// futex_waitv(2), Linux 5.16; the number is the same on every architecture.
constexpr long kFutexWaitV = 449;

struct WaitVector {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};
#endif

// Where a wait cannot be for two words: how often it looks whether it has been cancelled.
constexpr int64_t kSlice = 100'000'000;

}  // namespace

Woken Thread::WaitOrCancel(Word* word, uint32_t expected, int64_t deadline) {
#if defined(__linux__)
  constexpr uint32_t kWord = 2;  // FUTEX_32
  const timespec limit{static_cast<time_t>(deadline / 1'000'000'000), static_cast<long>(deadline % 1'000'000'000)};
  for (;;) {
    WaitVector words[] = {{expected, reinterpret_cast<uint64_t>(word), kWord, 0},
                          {0, reinterpret_cast<uint64_t>(&cancelled), kWord | FUTEX_PRIVATE_FLAG, 0}};
    if (syscall(kFutexWaitV, words, 2, 0, deadline < 0 ? nullptr : &limit, CLOCK_MONOTONIC) >= 0) {
      return Woken::kWoken;
    }
    if (errno == EAGAIN) return Woken::kChanged;
    if (errno == ETIMEDOUT) return Woken::kTimedOut;
    if (errno != EINTR) break;  // ENOSYS, or what a sandbox says instead
  }
#endif
  for (;;) {
    if (cancelled.load() != 0) return Woken::kChanged;
    const int64_t end = shared::Now() + kSlice;
    const bool is_last = deadline >= 0 && deadline <= end;
    const Woken woken = shared::Wait(word, expected, is_last ? deadline : end);
    if (woken != Woken::kTimedOut || is_last) return woken;
  }
}

// Stays in the kernel's queue for the lock while others take and release it: a look from the loop each time would come
// too late for ever on a busy lock.
Woken Thread::WaitForLock(const Job& what) {
  bool patient = what.patient;
  while (cancelled.load() == 0) {
    uint32_t seen = what.word->load();
    int64_t deadline = what.deadline;
    if ((seen & robust::kOwner) == 0) {
      if (!patient || (seen & robust::kWaiters) == 0) return Woken::kChanged;
      patient = false;
      deadline = shared::Now() + robust::kPatience;
    } else if (!robust::Mark(what.word, &seen)) {
      continue;
    }
    const Woken woken = WaitOrCancel(what.word, seen, deadline);
    if (woken == Woken::kWoken || (woken == Woken::kTimedOut && deadline == what.deadline)) return woken;
  }
  return Woken::kChanged;
}

Woken Thread::WaitForCount(const Job& what) {
  bool patient = what.patient;
  while (cancelled.load() == 0) {
    const uint32_t state = what.word->load();
    int64_t deadline = what.deadline;
    uint32_t expected = state;
    if (what.word[1].load() > 0) {
      if (!patient || state == 0) return Woken::kChanged;
      patient = false;
      deadline = shared::Now() + robust::kPatience;
    } else {
      expected = robust::kGateWaiters;
      what.word->store(expected);
      if (what.word[1].load() > 0) return Woken::kChanged;
    }
    const Woken woken = WaitOrCancel(what.word, expected, deadline);
    if (woken == Woken::kWoken || (woken == Woken::kTimedOut && deadline == what.deadline)) return woken;
  }
  return Woken::kChanged;
}

Woken Thread::WaitFor(const Job& what) {
  switch (what.goal) {
    case Goal::kLock:
      return WaitForLock(what);
    case Goal::kCount:
      return WaitForCount(what);
    case Goal::kWord:
      break;
  }
  return WaitOrCancel(what.word, what.expected, what.deadline);
}

void Thread::Work(uint32_t turn_on, robust::Head* head) {
  const Job what = job;
  std::optional<robust::Pending> pending;
  if (what.passes_on) pending.emplace(what.word, head);
  const Woken woken = WaitFor(what);
  timed_out = woken == Woken::kTimedOut;
  Waits* waits = owner;
  Thread* first = waits->done_.load();
  do {
    next = first;
  } while (!waits->done_.compare_exchange_weak(first, this));
  uv_async_send(waits->async_);
  if (what.passes_on && woken != Woken::kTimedOut &&
      shared::Wait(&turn, turn_on, shared::Now() + robust::kPatience) == Woken::kTimedOut &&
      (what.word->load() & robust::kOwner) == 0) {
    shared::Wake(what.word, 1);
  }
  while (turn.load() == turn_on) shared::Wait(&turn, turn_on);
}

void* Thread::Main(void* data) {
  auto* self = static_cast<Thread*>(data);
#if defined(__linux__)
  prctl(PR_SET_NAME, kThreadName);
#endif
  robust::Head head;
  robust::OpenThread(&head);
  for (;;) {
    uint32_t turn = self->turn.load();
    if (self->quit.load() != 0) return nullptr;
    if (turn % 2 == 1) {
      self->Work(turn, &head);
    } else if (shared::Wait(&self->turn, turn, shared::Now() + kIdleLimit) == Woken::kTimedOut) {
      if (self->turn.compare_exchange_strong(turn, kGone)) return nullptr;
    }
  }
}

Waits::Waits(Napi::Env env, Napi::Function on_end)
    : env_(env),
      on_end_(Napi::Persistent(on_end)),
      context_(std::make_unique<Napi::AsyncContext>(env, "realfork.wait", Napi::Object::New(env))),
      async_(new uv_async_t) {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  uv_async_init(loop, async_, OnAsync);
  async_->data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(async_));
  napi_add_async_cleanup_hook(env, OnCleanup, this, &cleanup_);
}

Waits::~Waits() = default;

// A thread that nobody has used for a while has ended; `turn` says so.
Thread* Waits::Idle() {
  while (!idle_.empty()) {
    Thread* thread = idle_.back();
    idle_.pop_back();
    if (thread->turn.load() != kGone) return thread;
    pthread_join(thread->thread, nullptr);
    delete thread;
  }
  return nullptr;
}

int Waits::Start(const Job& job) {
  const int id = ++last_id_;
  for (;;) {
    Thread* thread = Idle();
    const bool is_new = thread == nullptr;
    if (is_new) thread = new Thread(this);
    thread->job = job;
    thread->cancelled.store(0);
    thread->id = id;
    uint32_t turn = thread->turn.load();
    if (!is_new) {
      if (turn != kGone && thread->turn.compare_exchange_strong(turn, turn + 1)) {
        shared::Wake(&thread->turn, 1);
      } else {
        idle_.push_back(thread);  // ended just now: Idle() clears it away
        continue;
      }
    } else {
      thread->turn.store(1);
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstacksize(&attributes, kStackSize);
      int error;
      {
        // Inherited by the thread: a signal is the main thread's business, and a fork knows V8's threads by their mask.
        ScopedSignalMask blocked;
        error = pthread_create(&thread->thread, &attributes, Thread::Main, thread);
      }
      pthread_attr_destroy(&attributes);
      if (error != 0) {
        delete thread;
        return -error;
      }
    }
    busy_.emplace(id, thread);
    return id;
  }
}

void Waits::Cancel(int id) {
  const auto found = busy_.find(id);
  if (found == busy_.end()) return;
  Thread* thread = found->second;
  thread->id = 0;
  thread->cancelled.store(1);
#if defined(__linux__)
  syscall(SYS_futex, &thread->cancelled, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
#endif
}

void Waits::Ref(bool keeps_loop_alive) {
  auto* handle = reinterpret_cast<uv_handle_t*>(async_);
  if (keeps_loop_alive) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void Waits::OnAsync(uv_async_t* async) {
  auto* waits = static_cast<Waits*>(async->data);
  Thread* first = nullptr;
  for (Thread* thread = waits->done_.exchange(nullptr); thread != nullptr;) {
    Thread* next = std::exchange(thread->next, first);
    first = std::exchange(thread, next);
  }
  Napi::Env env = waits->env_;
  Napi::HandleScope scope(env);
  const unsigned generation = waits->generation_;
  while (first != nullptr) {
    Thread* thread = first;
    first = thread->next;
    if (thread->id != 0) {
      const napi_value arguments[] = {Napi::Number::New(env, thread->id), Napi::Boolean::New(env, thread->timed_out)};
      const napi_status status =
          napi_make_callback(env, *waits->context_, env.Global(), waits->on_end_.Value(), 2, arguments, nullptr);
      napi_value error = nullptr;
      if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok &&
          !v8_bridge::IsTerminating()) {
        napi_fatal_exception(env, error);
      }
      if (waits->generation_ != generation) return;  // the callback has forked: this is the child
    }
    waits->Finish(thread);
  }
}

void Waits::Finish(Thread* thread) {
  for (auto entry = busy_.begin(); entry != busy_.end(); ++entry) {
    if (entry->second == thread) {
      busy_.erase(entry);
      break;
    }
  }
  thread->turn.fetch_add(1);
  shared::Wake(&thread->turn, 1);
  idle_.push_back(thread);
}

void Waits::Abandon() {
  generation_++;
  done_.store(nullptr);
  for (const auto& [id, thread] : busy_) delete thread;
  for (Thread* thread : idle_) delete thread;
  busy_.clear();
  idle_.clear();
  Ref(false);
}

void Waits::StopAll() {
  std::vector<Thread*> all = idle_;
  for (const auto& [id, thread] : busy_) all.push_back(thread);
  for (Thread* thread : all) {
    thread->cancelled.store(1);
    thread->quit.store(1);
    uint32_t turn = thread->turn.load();
    while (turn != kGone && !thread->turn.compare_exchange_weak(turn, (turn | 1) + 1)) {
    }
#if defined(__linux__)
    syscall(SYS_futex, &thread->cancelled, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
#endif
    shared::Wake(&thread->turn, 1);
    pthread_join(thread->thread, nullptr);
    delete thread;
  }
  busy_.clear();
  idle_.clear();
  done_.store(nullptr);
}

// At the end of the environment: no thread may send to a loop that is gone.
void Waits::OnCleanup(napi_async_cleanup_hook_handle hook, void* data) {
  auto* waits = static_cast<Waits*>(data);
  waits->StopAll();
  waits->async_->data = hook;
  uv_close(reinterpret_cast<uv_handle_t*>(waits->async_), [](uv_handle_t* closed) {
    napi_remove_async_cleanup_hook(static_cast<napi_async_cleanup_hook_handle>(closed->data));
    delete reinterpret_cast<uv_async_t*>(closed);
  });
}

}  // namespace realfork::waiter
