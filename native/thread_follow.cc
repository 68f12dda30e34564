// What a change in the main thread means for the others: its signal mask, and in a child its credentials.
#include "platform.h"
#include "threads.h"

#if REALFORK_REVIVES_THREADS

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <vector>

#include "thread_stay.h"
#include "thread_stop.h"
#include "thread_table.h"

namespace realfork::threads {

namespace {

int mask_round = 0;

constexpr uint64_t Bit(int signal) {
  return 1ull << (signal - 1);
}

// What sigprocmask(2) can block; glibc keeps 32 and 33 for itself.
constexpr uint64_t kBlockable = ~(Bit(SIGKILL) | Bit(SIGSTOP) | Bit(32) | Bit(kParkSignal));

// How long to wait for the thread to take signals again, in tries; 0: it takes them. With 33 blocked it is in our
// handler or in glibc's pthread_create, and comes out. With everything else blocked, and not by us, it does so for good
// (the inspector's signal thread) or for a moment (libuv around its signal lock), and would then put its old mask back
// over our change. Node itself blocks SIGUSR1 in V8's threads, so that this bit says nothing.
int TriesFor(const Thread& thread, uint64_t before) {
  const uint64_t blocked = BlockedSignals(thread);
  if ((blocked & Bit(kParkSignal)) != 0) return 20'000;
  const uint64_t ours = thread.follows_mask ? thread.borrowed_mask : thread.blocks_all ? 0 : before;
  if (((ours | Bit(SIGUSR1)) & kBlockable) == kBlockable) return 0;
  return (blocked & kBlockable) == kBlockable ? 40 : 0;
}

// Whether changes of the mask concern the thread: not when it takes no signals, now and in a while.
bool TakesSignals(Thread* thread, uint64_t before) {
  constexpr timespec kPause{0, 50'000};
  if (thread->kind == Kind::kKernel) return false;
  if (thread->stay.load() != kLeaves) return true;
  for (int tries = 0;; tries++) {
    const int limit = TriesFor(*thread, before);
    if (limit == 0) break;
    if (thread->blocks_all || tries >= limit) {
      thread->blocks_all = true;
      return false;
    }
    nanosleep(&kPause, nullptr);
  }
  thread->blocks_all = false;
  return true;
}

// Changes the mask that the parked thread will have when it leaves its handler.
void Follow(Thread* thread, uint64_t before, uint64_t after) {
  // The kernel's signal set, 8 bytes, of which sigreturn(2) makes the thread's mask; glibc's sigset_t is larger.
  auto* mask = reinterpret_cast<uint64_t*>(&thread->context->uc_sigmask);
  if (!thread->follows_mask) {
    thread->follows_mask = true;
    thread->borrowed_mask = *mask & before;  // inherited from the thread that made it
  }
  const uint64_t add = after & ~*mask;
  const uint64_t drop = thread->borrowed_mask & ~after;
  thread->borrowed_mask = (thread->borrowed_mask | add) & ~drop;
  *mask = (*mask | add) & ~drop;
}

// A thread's credentials as the kernel keeps them, each thread its own (credentials(7), NPTL and credential changes).
struct Credentials {
  uid_t uid[3];
  gid_t gid[3];
  std::vector<gid_t> groups;
};

bool ReadCredentials(Credentials* now) {
  if (getresuid(&now->uid[0], &now->uid[1], &now->uid[2]) != 0) return false;
  if (getresgid(&now->gid[0], &now->gid[1], &now->gid[2]) != 0) return false;
  const int count = getgroups(0, nullptr);
  if (count < 0) return false;
  now->groups.resize(static_cast<size_t>(count));
  return getgroups(count, now->groups.data()) == count;
}

// The system calls by hand: glibc's functions would ask all threads again. The user id last, it takes the right to the
// rest. Each is tried whatever the one before said: a thread may have what it takes for one and not for another.
void TakeCredentials(void* target) {
  const auto* to = static_cast<const Credentials*>(target);
  syscall(SYS_setgroups, to->groups.size(), to->groups.data());
  syscall(SYS_setresgid, to->gid[0], to->gid[1], to->gid[2]);
  syscall(SYS_setresuid, to->uid[0], to->uid[1], to->uid[2]);
}

}  // namespace

void FollowMask(uint64_t before, uint64_t after) {
  InstallParkAction();
  const int round = ++mask_round;
  // Until nobody new is found: a thread made by one that had not followed yet has the old mask.
  for (std::vector<Thread*> next;; next.clear()) {
    Scan();
    for (const auto& thread : Table()) {
      if (thread->mask_round == round) continue;
      thread->mask_round = round;
      if (TakesSignals(thread.get(), before)) next.push_back(thread.get());
    }
    if (next.empty()) break;
    Stop(next);
    for (Thread* thread : next) {
      if (thread->gone || !thread->parked) continue;
      Follow(thread, before, after);
      Let(thread);
    }
    OpenGate();
    for (Thread* thread : next) Dismiss(thread);  // to have the mask from now on
  }
  RemoveParkAction();
}

void FollowCredentials() {
  Credentials now;
  if (!ReadCredentials(&now)) return;
  Scan();
  const std::vector<Thread*> threads = Select([](Kind kind) { return kind == Kind::kPlatform; });
  InstallParkAction();
  StopWith(threads, TakeCredentials, &now);
  LetAllGo();
  RemoveParkAction();
}

}  // namespace realfork::threads

#endif  // REALFORK_REVIVES_THREADS
