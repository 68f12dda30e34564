#include "robust.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace realfork::robust {

namespace {

// An entry of the list, in the shadow of its cell.
struct Entry {
  Entry* next;  // null: not on the list
  Entry* previous;
};

// State of the process by nature: the kernel keeps one list for its main thread, and the arena is mapped once.
struct {
  Head head;
  uint8_t* base = nullptr;
  uint8_t* shadow = nullptr;
  size_t length = 0;
  uint32_t self = 0;
} main_thread;

// The list's head is an entry whose `next` the kernel knows as struct robust_list_head's first field.
Entry* Ends() {
  return reinterpret_cast<Entry*>(&main_thread.head.list);
}

void Register(Head* head) {
  head->list = &head->list;
  head->offset = static_cast<long>(main_thread.base - main_thread.shadow);
  head->pending = nullptr;
#if REALFORK_ROBUST_FUTEX
  // Replaces the C library's list of this thread: pthread mutexes of the robust kind, which nothing in Node uses, would
  // no longer be marked when this thread dies holding one.
  syscall(SYS_set_robust_list, head, sizeof *head);
#endif
}

// The order in which a signal, or death, finds this thread's own stores is that of the program once the compiler keeps
// it.
void Ordered() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

#if REALFORK_ROBUST_FUTEX
void ForgetDeadOwner(Word*, uint32_t) {}
#else
// Without the kernel's help a waiter looks by itself, each time its wait comes to an end (shared_futex.h bounds it).
void ForgetDeadOwner(Word* word, uint32_t seen) {
  const pid_t owner = static_cast<pid_t>(seen & kOwner);
  if (owner != 0 && kill(owner, 0) != 0 && errno == ESRCH) {
    word->compare_exchange_strong(seen, (seen & kWaiters) | kOwnerDied);
  }
}
#endif

uint32_t OwnId() {
#if defined(__linux__)
  return static_cast<uint32_t>(syscall(SYS_gettid));
#else
  return static_cast<uint32_t>(getpid());
#endif
}

}  // namespace

int Open(uint8_t* base, size_t cells_length) {
  void* shadow =
      mmap(nullptr, cells_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (shadow == MAP_FAILED) return errno;
  main_thread.base = base;
  main_thread.shadow = static_cast<uint8_t*>(shadow);
  main_thread.length = cells_length;
  main_thread.self = OwnId();
  Register(&main_thread.head);
  return 0;
}

void AfterForkInChild() {
  // The parent's entries are copies; madvise(2): private pages are zeros again after MADV_DONTNEED.
#if defined(__linux__)
  madvise(main_thread.shadow, main_thread.length, MADV_DONTNEED);
#else
  mmap(main_thread.shadow, main_thread.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
#endif
  main_thread.self = OwnId();
  Register(&main_thread.head);  // glibc's fork has registered its own
}

void OpenThread(Head* head) {
  Register(head);
}

uint32_t Self() {
  return main_thread.self;
}

Head* MainHead() {
  return &main_thread.head;
}

void* EntryOf(Word* word) {
  return reinterpret_cast<uint8_t*>(word) - main_thread.head.offset;
}

void Link(uint64_t offset) {
  auto* entry = reinterpret_cast<Entry*>(main_thread.shadow + offset);
  if (entry->next != nullptr) return;
  auto* first = static_cast<Entry*>(main_thread.head.list);
  entry->next = first;
  entry->previous = reinterpret_cast<Entry*>(&main_thread.head);
  Ordered();
  main_thread.head.list = entry;
  if (first != Ends()) first->previous = entry;
}

void Unlink(uint64_t offset) {
  auto* entry = reinterpret_cast<Entry*>(main_thread.shadow + offset);
  if (entry->next == nullptr) return;
  entry->previous->next = entry->next;
  if (entry->next != Ends()) entry->next->previous = entry->previous;
  Ordered();
  entry->next = nullptr;
}

Pending::Pending(Word* word, Head* head) : head_(head) {
  head_->pending = EntryOf(word);
  Ordered();
}

Pending::~Pending() {
  Ordered();
  head_->pending = nullptr;
}

Taken Try(Word* word) {
  uint32_t seen = word->load();
  while ((seen & kOwner) == 0) {
    if (word->compare_exchange_weak(seen, Self() | (seen & kWaiters))) {
      return (seen & kOwnerDied) != 0 ? Taken::kFromDead : Taken::kYes;
    }
  }
  return Taken::kNo;
}

bool Mark(Word* word, uint32_t* seen) {
  ForgetDeadOwner(word, *seen);
  const uint32_t marked = *seen | kWaiters;
  if (*seen != marked && !word->compare_exchange_strong(*seen, marked)) return false;
  *seen = marked;
  return true;
}

Taken TryOrMark(Word* word, uint32_t* expected) {
  for (;;) {
    const Taken taken = Try(word);
    if (taken != Taken::kNo) return taken;
    *expected = word->load();
    if ((*expected & kOwner) != 0 && Mark(word, expected)) return Taken::kNo;
  }
}

Taken Acquire(Word* word, int64_t deadline, bool patient) {
  uint32_t seen = word->load();
  if (seen == 0 && word->compare_exchange_strong(seen, Self())) return Taken::kYes;
  Pending pending(word);
  for (;;) {
    seen = word->load();
    if (patient && (seen & kOwner) == 0 && (seen & kWaiters) != 0) {
      patient = false;
      const int64_t end = shared::Now() + kPatience;
      shared::Wait(word, seen, deadline < 0 ? end : std::min(end, deadline));
      continue;
    }
    const Taken taken = TryOrMark(word, &seen);
    if (taken != Taken::kNo) return taken;
    const shared::Woken woken = shared::Wait(word, seen, deadline);
    if (woken == shared::Woken::kTimedOut) return Try(word);
    patient = patient && woken == shared::Woken::kChanged;
  }
}

bool Release(Word* word, bool own) {
  uint32_t seen = word->load();
  for (;;) {
    const uint32_t owner = seen & kOwner;
    if (owner == 0 || (own && owner != Self())) return false;
    if ((seen & kWaiters) != 0) break;
    if (word->compare_exchange_weak(seen, 0)) return true;
  }
  Pending pending(word);
  // The mark stays, so that newcomers leave the lock to the one that is being woken.
  while (!word->compare_exchange_weak(seen, kWaiters)) {
    const uint32_t owner = seen & kOwner;
    if (owner == 0 || (own && owner != Self())) return false;
  }
  if (shared::Wake(word, 1) > 0) return true;
  uint32_t marked = kWaiters;
  if (!word->compare_exchange_strong(marked, 0)) return true;
  // Between the wake and the swap others may have come, waited and found the mark as it was: look once more.
  if (shared::Wake(word, 1) > 0) word->fetch_or(kWaiters);
  return true;
}

void OpenGate(Word* gate) {
  gate->store(kGateOpened);
  if (shared::Wake(gate, 1) > 0) return;
  uint32_t opened = kGateOpened;
  if (!gate->compare_exchange_strong(opened, 0)) return;
  if (shared::Wake(gate, 1) > 0) gate->fetch_or(kGateWaiters);
}

bool TakeOne(Word* count) {
  uint32_t seen = count->load();
  while (seen > 0) {
    if (count->compare_exchange_weak(seen, seen - 1)) return true;
  }
  return false;
}

// Who marks the gate looks at the number afterwards, and passes on what it finds beyond its own: a waiter that looked
// before the mark, and goes to sleep after it, is not forgotten.
bool TakeOneOrMark(Word* gate, Word* count) {
  gate->store(kGateWaiters);
  if (!TakeOne(count)) return false;
  if (count->load() > 0) OpenGate(gate);
  return true;
}

bool WaitAtGate(Word* gate, Word* count, int64_t deadline) {
  Pending pending(gate);
  const uint32_t state = gate->load();
  if (state != 0 && count->load() > 0) {
    const int64_t end = shared::Now() + kPatience;
    shared::Wait(gate, state, deadline < 0 ? end : std::min(end, deadline));
  }
  for (;;) {
    if (TakeOneOrMark(gate, count)) return true;
    if (shared::Wait(gate, kGateWaiters, deadline) == shared::Woken::kTimedOut) return TakeOne(count);
  }
}

}  // namespace realfork::robust
