// Locks whose holder's death is noticed by the kernel: words in the arena, kept by the convention of robust futexes
// (Documentation/locking/robust-futex-ABI.rst), and the kernel's list of those that the main thread may hold.
//
//     bit 31       somebody may be waiting: release through the kernel
//     bit 30       the last holder died
//     bits 29-0    thread id of the holder's main thread, 0 when the lock is free
//
// A list that ran through the shared words themselves, as the C library's does, would be everybody's to damage: a Lock
// may be released by a process that does not hold it. So the entries are in memory of this process alone, a "shadow"
// as long as the cells, at a fixed distance from them, which is what the kernel is told as futex_offset. A lock enters
// the list when this process first takes it and stays: taking and giving back is then one compare-and-swap each, and an
// entry whose word carries another thread's id is skipped by the kernel.
#ifndef REALFORK_NATIVE_ROBUST_H_
#define REALFORK_NATIVE_ROBUST_H_

#include <stdint.h>

#include "shared_futex.h"

// The kernel's list has pointers of 64 bits here, and the entries' distance fits.
#if defined(__linux__) && defined(__LP64__)
#define REALFORK_ROBUST_FUTEX 1
#else
#define REALFORK_ROBUST_FUTEX 0
#endif

namespace realfork::robust {

using shared::Word;

constexpr uint32_t kWaiters = 0x80000000;
constexpr uint32_t kOwnerDied = 0x40000000;
constexpr uint32_t kOwner = 0x3fffffff;
// How long a newcomer leaves a free lock to those who have waited and have been woken.
constexpr int64_t kPatience = 2'000'000;

// What the kernel keeps for one thread: struct robust_list_head.
struct Head {
  void* list;
  long offset;
  void* pending;
};

// Makes the shadow of the cells at `base` and gives the calling (main) thread its list. 0 or an errno.
int Open(uint8_t* base, size_t cells_length);
// In a forked child: its list is empty and its id another.
void AfterForkInChild();
// Gives the calling thread, a waiter's, a list of its own for Pending.
void OpenThread(Head* head);

// The main thread's id.
uint32_t Self();
// Where the main thread's list_op_pending is, and what to write there for a word.
Head* MainHead();
void* EntryOf(Word* word);

// Puts the lock's cell on the main thread's list, or takes it off. The kernel follows at most 2,048 entries.
void Link(uint64_t offset);
void Unlink(uint64_t offset);

// While it lives, the death of this thread wakes one waiter of the word, should the word's low 30 bits be 0: whoever is
// woken for a lock and killed before it could take it passes the lock on.
class Pending {
 public:
  explicit Pending(Word* word, Head* head = MainHead());
  ~Pending();
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  Head* head_;
};

enum class Taken { kNo, kYes, kFromDead };

// Takes the lock when nobody holds it.
Taken Try(Word* word);
// Takes the lock, waiting until `deadline`. With patience, those who have waited longer come first.
Taken Acquire(Word* word, int64_t deadline, bool patient);
// For a wait somewhere else: takes the lock as Try does, or returns the value to wait for, everything marked for it.
Taken TryOrMark(Word* word, uint32_t* expected);
// Says in the word that somebody waits. `seen` is the value it must have, and then the one to wait for; false: look
// again.
bool Mark(Word* word, uint32_t* seen);
// Gives the lock back. False when this process (`own`), or anybody, does not hold it.
bool Release(Word* word, bool own);

// Holds a lock that only C++ takes.
class Hold {
 public:
  explicit Hold(Word* word) : word_(word), taken_(Acquire(word, shared::kForEver, false)) {}
  ~Hold() {
    Release(word_, true);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  bool from_dead() const {
    return taken_ == Taken::kFromDead;
  }

 private:
  Word* word_;
  Taken taken_;
};

// A gate is what those wait at who wait for a number to rise (a semaphore's). Its low 30 bits are always 0, so that
// Pending works for it.
constexpr uint32_t kGateWaiters = kWaiters;
constexpr uint32_t kGateOpened = kOwnerDied;

// Lets one waiter through, after the number has risen.
void OpenGate(Word* gate);
// Takes one from `count` when it is above 0.
bool TakeOne(Word* count);
// Takes one, waiting until `deadline`.
bool WaitAtGate(Word* gate, Word* count, int64_t deadline);
// For a wait somewhere else: takes one, or marks the gate, whose value to wait for is then kGateWaiters.
bool TakeOneOrMark(Word* gate, Word* count);

}  // namespace realfork::robust

#endif  // REALFORK_NATIVE_ROBUST_H_
