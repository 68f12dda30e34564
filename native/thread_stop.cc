#include "thread_stop.h"

#include "platform.h"

#if REALFORK_REVIVES_THREADS

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "futex.h"
#include "machine.h"
#include "thread_stay.h"
#include "v8_bridge.h"

#if defined(__x86_64__)
// rt_sigaction(2) by hand needs a restorer on x86-64: the address the handler returns to.
asm(".text\n"
    ".globl realfork_restorer\n"
    ".hidden realfork_restorer\n"
    ".type realfork_restorer,@function\n"
    "realfork_restorer:\n"
    "  mov $15, %eax\n"  // SYS_rt_sigreturn
    "  syscall\n");
#endif

namespace realfork::threads {

namespace {

constexpr int kYields = 200;
constexpr long kAnswerLimitMs = 1'000;

struct KernelSigaction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

constexpr unsigned long kSaRestorer = 0x04000000;

bool SetParkAction(const KernelSigaction* action, KernelSigaction* old) {
  // The C library refuses signals 32 and 33, the kernel does not.
  return syscall(SYS_rt_sigaction, kParkSignal, action, old, sizeof(uint64_t)) == 0;
}

struct {
  std::atomic<int> gate{0};     // futex: changes when some thread may go on; each then looks at its own hold
  std::atomic<int> awaited{0};  // futex: threads that were stopped and have not answered
  bool signal_pending = false;  // a thread has yet to take a signal: the handler must stay
  void (*task)(void*) = nullptr;
  void* task_argument = nullptr;
  KernelSigaction previous_action = {};
} stop;

// What of a thread stays the same for its life is read at its first stop only.
void RecordIdentity(Thread* thread) {
  thread->thread_pointer = machine::ThreadPointer();
  thread->tid_word = OwnTidWord();
  thread->tid_value = thread->tid_word == nullptr ? 0 : *thread->tid_word;
  syscall(SYS_get_robust_list, 0, &thread->robust_list, &thread->robust_length);
  prctl(PR_GET_NAME, thread->name);
}

void Answer(Thread* thread) {
  if (thread->answered.exchange(1) == 0 && stop.awaited.fetch_sub(1) == 1) FutexWakeAll(&stop.awaited);
}

void RecordSpecific(Thread* thread) {
  thread->specific_count = 0;
  for (pthread_key_t key = 0; key < PTHREAD_KEYS_MAX; key++) {
    void* value = pthread_getspecific(key);
    if (value != nullptr) thread->remains->specific[thread->specific_count++] = {key, value};
  }
}

Thread* FindSelf() {
  const pid_t self = static_cast<pid_t>(syscall(SYS_gettid));
  for (const auto& thread : Table()) {
    if (thread->tid == self) return thread.get();
  }
  return nullptr;
}

void WaitAtGate(Thread* thread, int number) {
  for (;;) {
    const int gate = stop.gate.load();
    if (number == 0 || thread->hold.load() != number) break;
    FutexWait(&stop.gate, gate);
  }
  FutexWakeOne(&stop.gate);  // passes on the wake-up of Release
}

void OnParkSignal(int, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  Thread* thread = FindSelf();
  if (thread == nullptr || TakeNudge(thread)) return;
  if (thread->stay.load() != kLeaves) return;  // glibc's signal, for a setuid-like call of another thread
  const int number = thread->hold.load();
  thread->saved_errno = saved_errno;
  thread->info = info;
  thread->context = static_cast<ucontext_t*>(context);
  thread->in_isolate = v8_bridge::ThreadHasIsolate();
  if (thread->kind == Kind::kPlatform) {
    if (thread->thread_pointer == 0) RecordIdentity(thread);
    RecordSpecific(thread);
  } else {
    thread->in_compiled_code = v8_bridge::InCompiledCode(machine::ProgramCounter(thread->context));
  }
  if (stop.task != nullptr) stop.task(stop.task_argument);
  const bool stays = number != 0 && MayStay(*thread);
  if (stays) thread->stay.store(kHeld);
  Answer(thread);
  if (stays) {
    if (thread->hold.load() != number) LetStay(thread);  // by Stop, which did not wait for the answer
    StayInHandler(thread);
  } else {
    WaitAtGate(thread, number);
  }
  errno = saved_errno;
}

void MarkGone(Thread* thread) {
  thread->gone = true;
  thread->parked = false;
  Answer(thread);
}

}  // namespace

long NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / kNanosecondsPerMs;
}

void InstallParkAction() {
  KernelSigaction action{OnParkSignal, SA_SIGINFO | SA_RESTART, nullptr, ~0ull};
#if defined(__x86_64__)
  action.flags |= kSaRestorer;
  action.restorer = machine::realfork_restorer;
#endif
  if (!stop.signal_pending) SetParkAction(&action, &stop.previous_action);
}

// When every signal has been answered nobody can be about to enter the handler. glibc's own would crash on ours.
void RemoveParkAction() {
  if (!stop.signal_pending) SetParkAction(&stop.previous_action, nullptr);
}

void Stop(const std::vector<Thread*>& threads) {
  stop.awaited.store(static_cast<int>(threads.size()));
  for (Thread* thread : threads) {
    thread->answered.store(0);
    thread->hold.store(++thread->stops);
    thread->parked = true;
    if (Hold(thread)) {
      Answer(thread);  // for it: what it found at an earlier stop is true still
      continue;
    }
    if (syscall(SYS_tgkill, getpid(), thread->tid, kParkSignal) != 0) MarkGone(thread);
  }
  const long deadline = NowMs() + kAnswerLimitMs;
  // The answers come within some 50 µs: giving up the processor is cheaper than sleeping and being woken.
  for (int i = 0; i < kYields && stop.awaited.load() > 0; i++) sched_yield();
  for (int awaited; (awaited = stop.awaited.load()) > 0;) {
    FutexWait(&stop.awaited, awaited, 10 * kNanosecondsPerMs);
    if (stop.awaited.load() != awaited) continue;
    const bool late = NowMs() > deadline;
    for (Thread* thread : threads) {
      if (thread->answered.load() != 0) continue;
      if (!Alive(*thread)) {
        MarkGone(thread);
      } else if (late) {
        stop.signal_pending = true;
        Let(thread);
        Answer(thread);
      }
    }
  }
}

void StopWith(const std::vector<Thread*>& threads, void (*task)(void*), void* argument) {
  for (Thread* thread : threads) Dismiss(thread);
  stop.task_argument = argument;
  stop.task = task;
  Stop(threads);
  stop.task = nullptr;
}

void OpenGate() {
  stop.gate.fetch_add(1);
  FutexWakeAll(&stop.gate);
}

void Let(Thread* thread) {
  thread->parked = false;
  thread->hold.store(0);
  LetStay(thread);
}

void LetAllGo() {
  for (const auto& thread : Table()) Let(thread.get());
  // The caller pays for one wake-up; each thread that leaves wakes the next.
  stop.gate.fetch_add(1);
  FutexWakeOne(&stop.gate);
}

}  // namespace realfork::threads

#endif  // REALFORK_REVIVES_THREADS
