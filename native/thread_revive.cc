// The child's half: V8's threads created again where they stood.
#include "platform.h"
#include "threads.h"

#if REALFORK_REVIVES_THREADS

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "leave.h"
#include "machine.h"
#include "thread_stop.h"
#include "thread_table.h"

// glibc 2.35 and later register restartable sequences for each thread and export where the area is.
extern "C" {
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
}

namespace realfork::threads {

namespace {

void EndThread(void* round);

struct EndKey {
  pthread_key_t key = 0;
  EndKey() {
    pthread_key_create(&key, EndThread);
  }
};
const EndKey end_key;

constexpr uint64_t Bit(int signal) {
  return 1ull << (signal - 1);
}

// What the kernel sends to a thread for something the thread itself has done; 32 and 33 are glibc's.
constexpr uint64_t kSynchronous =
    Bit(SIGSEGV) | Bit(SIGBUS) | Bit(SIGFPE) | Bit(SIGILL) | Bit(SIGTRAP) | Bit(SIGSYS) | Bit(32) | Bit(33);

// All others are the main thread's. It has them blocked until the child is whole; a thread that is back would take them
// at once, run libuv's handler beside the main thread's reset of the handlers, and the signal would be lost (seen: a
// child that was terminated right after its start and lived on).
void LeaveSignalsToMainThread(Thread* thread) {
  // The kernel's signal set, 8 bytes, of which sigreturn(2) makes the thread's mask; glibc's sigset_t is larger.
  *reinterpret_cast<uint64_t*>(&thread->context->uc_sigmask) |= ~kSynchronous;
  thread->follows_mask = true;
  thread->borrowed_mask = 0;  // none of it is given back when the main thread unblocks something
}

// A new thread has no registration; the area inherited from its former self says otherwise, so it is written afresh.
void RegisterRseq(uintptr_t thread_pointer) {
  if (&__rseq_size == nullptr || __rseq_size == 0) return;
  constexpr uint32_t kAreaSize = 32;  // linux/rseq.h: the original size, which every kernel takes
  auto* area = reinterpret_cast<uint32_t*>(thread_pointer + __rseq_offset);
  memset(area, 0, kAreaSize);
  area[1] = static_cast<uint32_t>(-1);  // cpu_id: RSEQ_CPU_ID_UNINITIALIZED
  if (syscall(SYS_rseq, area, kAreaSize, 0, machine::kRseqSignature) != 0) {
    area[1] = static_cast<uint32_t>(-2);  // RSEQ_CPU_ID_REGISTRATION_FAILED: glibc then asks the kernel each time
  }
}

// glibc 2.36 asks the kernel for a thread's scheduling when it is first wanted, by the id that is in the thread's word,
// and keeps the answer (nptl/pthread_getschedparam.c). The word holds the id of the former self, of which the kernel
// knows nothing once the parent has ended; Abseil, whose mutexes V8 has from Node 22 on, then wrote to stderr each time
// a thread waited (seen: "pthread_getschedparam failed: 1"). So it is asked for here, with the id that is true now. The
// lock that glibc takes is free: a thread is copied only where it stands in V8's code or waits (SafeForCopy).
void LearnOwnScheduling(Thread* thread) {
  int policy;
  sched_param parameters;
  *thread->tid_word = static_cast<int>(syscall(SYS_gettid));
  pthread_getschedparam(pthread_self(), &policy, &parameters);
  *thread->tid_word = thread->tid_value;
}

// A thread that is back may end: V8 joins that of its profiler. glibc's fork has taken the thread's malloc arena from
// it (malloc/arena.c __malloc_fork_unlock_child), and its clean-up behind a thread's last function, which hands the
// arena back, is an assertion that fails. So the thread ends itself once the destructors of thread-specific values have
// run, of which a thread-specific value with a destructor can tell: there are several rounds of them. The kernel tells
// who joins.
void EndThread(void* round) {
  const auto rounds = reinterpret_cast<uintptr_t>(round);
  if (rounds == PTHREAD_DESTRUCTOR_ITERATIONS) syscall(SYS_exit, 0);
  pthread_setspecific(end_key.key, reinterpret_cast<void*>(rounds + 1));
}

// First code of the new thread, on its scratch stack with its old thread pointer. It ends in the return from the signal
// handler that its former self stands in, on its former stack.
int ComeBack(void* argument) {
  auto* thread = static_cast<Thread*>(argument);
  prctl(PR_SET_NAME, thread->name);
  syscall(SYS_set_robust_list, thread->robust_list, thread->robust_length);
  RegisterRseq(thread->thread_pointer);
  LearnOwnScheduling(thread);
  // glibc clears these for every other thread when it forks (__nptl_reclaim_stacks).
  for (unsigned i = 0; i < thread->specific_count; i++) {
    const auto& [key, value] = thread->remains->specific[i];
    pthread_setspecific(key, value);
  }
  pthread_setspecific(end_key.key, reinterpret_cast<void*>(1));
  errno = thread->saved_errno;
  machine::LeaveHandler(thread->info, thread->context);
}

}  // namespace

// The main thread goes on while the threads are on their way, as it does in the parent while they leave their handlers:
// to wait for them would be to wait for the scheduler. They begin with its mask, in which everything is blocked. Should
// it fork again before one is back, the park signal waits for the return from the handler, which sets the thread's own
// mask: so the next handler does not stand on the scratch stack, nor overwrite `context`.
void Revive() {
  constexpr int kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                         CLONE_SETTLS | CLONE_CHILD_CLEARTID;
  // By hand, because pthread_sigmask(3) leaves the park signal out.
  constexpr uint64_t kAllSignals = ~0ull;
  uint64_t mask;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kAllSignals, &mask, sizeof mask);
  for (const auto& thread : Table()) {
    if (thread->kind != Kind::kPlatform || !thread->parked) continue;
    // The word keeps the id of the former self, which glibc zeroed in fork: mutexes of the recursive kind and rwlocks
    // remember their owner by it, and the thread may hold one; non-zero, it also keeps the stack from being reused.
    // The kernel clears it, whatever it holds, when the thread ends.
    *thread->tid_word = thread->tid_value;
    thread->hold.store(0);
    thread->stay.store(kLeaves);
    thread->parked = false;
    LeaveSignalsToMainThread(thread.get());
    auto& stack = thread->remains->stack;
    const int tid = clone(ComeBack, stack.data() + stack.size(), kFlags, thread.get(), nullptr,
                          reinterpret_cast<void*>(thread->thread_pointer), thread->tid_word);
    if (tid < 0) GiveUp(kExitCannotRevive);
    thread->tid = tid;
    thread->proc_id = tid;
  }
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, sizeof mask);
  RemoveParkAction();
}

}  // namespace realfork::threads

#endif  // REALFORK_REVIVES_THREADS
