// The threads of this process: which there are, and what each is for V8 and Node. State of the process by nature, not
// of an environment: threads belong to the process, and a signal handler has no other way to what it fills.
#ifndef REALFORK_NATIVE_THREAD_TABLE_H_
#define REALFORK_NATIVE_THREAD_TABLE_H_

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

namespace realfork::threads {

enum class Kind {
  kPlatform,   // V8 platform worker, or its profiler's thread: brought back in the child
  kScheduler,  // Node's thread for V8's delayed tasks: must wait for one during the fork, absent in the child
  kUnknown,    // may still turn out to be a Worker: a Worker has no isolate until it has built one
  kWorker,     // worker_threads Worker: must hold no lock during the fork, absent in the child
  kForeign,    // libuv's pool, the inspector, other addons: absent in the child, as POSIX has it
  kKernel,     // io_uring's: answers no signal, absent in the child
};

// Whether a thread stays in its handler from one stop to the next; see thread_stay.h.
enum Stay : int {
  kLeaves,     // it does not: the next stop signals it
  kStays,      // it waits there for what it was waiting for when it was stopped
  kHeld,       // the same, while it is stopped
  kWantsOut,   // what it was waiting for has come while it is stopped
  kDismissed,  // it is to leave, and has not yet
};

// What is large of a thread that is brought back. Apart from the rest, which each fork writes: a page that is written
// is copied.
struct ThreadRemains {
  // pthread_getspecific values that are not null, as many as `specific_count` says.
  struct Specific {
    pthread_key_t key;
    void* value;
  };
  std::array<Specific, PTHREAD_KEYS_MAX> specific;
  alignas(16) std::array<char, 16384> stack;
};

// A thread, and what its handler saw. The lower half is filled by the thread itself, in its handler.
struct Thread {
  pid_t tid = 0;
  pid_t proc_id = 0;  // its name in /proc/self/task
  Kind kind = Kind::kUnknown;
  bool seen = false;    // scratch mark of a scan
  bool parked = false;  // main thread's view: it was stopped and has not been let go
  bool gone = false;    // it ended before it could answer
  // 1 once the handler has filled the fields below, or the thread has gone; who sets it counts down the awaited ones.
  std::atomic<int> answered{0};
  // The number of the stop that is on, 0 when none is. A thread that is let go and stopped again before it has woken up
  // must leave its first handler, or it would never take the second signal: so it stays for one number only.
  std::atomic<int> hold{0};
  int stops = 0;
  std::atomic<int> stay{kLeaves};  // futex
  std::atomic<int> nudged{0};      // futex: 1 from Dismiss's signal until the handler has seen it

  // See FollowMask.
  bool follows_mask = false;
  bool blocks_all = false;
  int mask_round = 0;
  uint64_t borrowed_mask = 0;

  int saved_errno = 0;
  siginfo_t* info = nullptr;
  ucontext_t* context = nullptr;
  int* tid_word = nullptr;
  int tid_value = 0;
  void* robust_list = nullptr;
  size_t robust_length = 0;
  uintptr_t thread_pointer = 0;  // 0 until the thread has been stopped once
  bool in_isolate = false;
  bool in_compiled_code = false;  // of a thread that may be a Worker
  long waits_since = 0;           // when a Worker was first seen in the condition wait that it is still in
  char name[16] = {};
  unsigned specific_count = 0;
  std::unique_ptr<ThreadRemains> remains{new ThreadRemains};  // left as the memory is: not written until needed
};

// All threads but the main one.
const std::vector<std::unique_ptr<Thread>>& Table();

// Those of a kind for which `wanted` holds.
std::vector<Thread*> Select(bool (*wanted)(Kind));

// Brings the table up to date with the kernel's list. Only threads not seen before cost more than their entry.
void Scan();

bool Alive(const Thread& thread);

// How long ago the thread started.
long AgeMs(const Thread& thread);

// The thread's blocked signals, bit 0 for signal 1.
uint64_t BlockedSignals(const Thread& thread);

// The word with the thread's id that the kernel clears at its end, of the calling thread. Async-signal-safe.
int* OwnTidWord();

// Whether the address lies in the code of the object (program or libnode) that holds V8.
bool InV8Text(uintptr_t address);

// Whether the address lies among the static variables of the object that holds libuv.
bool InUvData(uintptr_t address);

// Whether the address lies in libuv's uv_async_send, which Node's threads call to wake its loop.
bool InAsyncSend(uintptr_t address);

}  // namespace realfork::threads

#endif  // REALFORK_NATIVE_THREAD_TABLE_H_
