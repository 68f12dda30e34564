// A guard is one table in memory that the setter shares with everything forked below it. There is no lock: a process
// may exist only while it holds a slot, a slot is one 64-bit word changed by compare-and-swap, and there are as many
// slots as processes are allowed. A member may be stopped or killed between any two instructions and the table still
// holds.
//
//     slot    FREE --reserve--> RESERVED(forker) --claim by the child--------> LIVE(child)
//              ^                    |            --or settle by the forker-->    |
//              |                    | forker dead for 1 s, nobody claimed        | no process with this pid and start
//              +--------------------+--------------------------------------------+
//
//     token   time of use; one fork uses one, and it can be used again a second later. As many tokens as forks are
//             allowed per second, so that no sliding second ever holds more.
//
// A process is known by pid and start time, so that a number used again is not taken for the process that had it.
// Processes look for dead ones (sweep) only when they find no free slot; a zombie has its pid and keeps its slot.
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "bindings.h"
#include "leave.h"
#include "mapping.h"
#include "start_time.h"

namespace realfork::guard {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// A child whose parent was killed right after fork(2) has this long to run its first instructions.
constexpr uint64_t kClaimGrace = kSecond;
// PID_MAX_LIMIT of Linux, and more than other systems have: a table this long never fills.
constexpr uint32_t kMostProcesses = 1u << 22;
// The part of the table looked at to begin with; see Guard::Take.
constexpr uint32_t kFirstWindow = 64;
constexpr uint32_t kNone = UINT32_MAX;

// ---------------------------------------------------------------------------------------------- a slot's word

//      63 62   61 .. 40    39 .. 0
//      state   pid         start time
enum State : uint64_t { kFree = 0, kReserved = 1, kLive = 2 };

constexpr int kPidBits = 22;
constexpr int kStartBits = 40;

constexpr uint64_t Word(State state, pid_t pid, uint64_t start) {
  return static_cast<uint64_t>(state) << 62 | static_cast<uint64_t>(pid) << kStartBits |
         (start & ((1ull << kStartBits) - 1));
}
constexpr State StateOf(uint64_t word) {
  return static_cast<State>(word >> 62);
}
constexpr pid_t PidOf(uint64_t word) {
  return static_cast<pid_t>(word >> kStartBits & ((1u << kPidBits) - 1));
}
constexpr uint64_t StartOf(uint64_t word) {
  return word & ((1ull << kStartBits) - 1);
}

struct Slot {
  std::atomic<uint64_t> word;
  std::atomic<uint64_t> reserved_at;  // CLOCK_MONOTONIC; written after the word, before fork(2)
};
using Token = std::atomic<uint64_t>;  // CLOCK_MONOTONIC; 0: never used

static_assert(std::atomic<uint64_t>::is_always_lock_free, "words are shared between processes");

uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}

// How sure a sweep makes itself. kill(2) costs a tenth of a microsecond, a start time ten.
enum class Care { kPidOnly, kStartTimeToo };

bool IsGone(uint64_t word, Care care) {
  if (kill(PidOf(word), 0) != 0 && errno == ESRCH) return true;
  if (care == Care::kPidOnly || StartOf(word) == 0) return false;
  const uint64_t start = StartOf(Word(kLive, 0, StartTimeOf(PidOf(word))));
  return start != 0 && start != StartOf(word);
}

// ------------------------------------------------------------------------------------------------- the table

struct Limits {
  double max_processes;  // negative: no such limit
  double max_depth;
  double max_per_second;
};

struct Header {
  Limits limits;
  uint32_t slot_count;
  uint32_t token_count;
  std::atomic<uint32_t> lifted;
  std::atomic<uint32_t> window;  // slots in use so far are among the first `window`
  std::atomic<uint32_t> slot_hint;
  std::atomic<uint32_t> token_hint;
};

// One guard as this process has it: the shared table, and its own copy of what concerns itself.
class Guard {
 public:
  static size_t Size(uint32_t slots, uint32_t tokens) {
    return sizeof(Header) + slots * sizeof(Slot) + tokens * sizeof(Token);
  }

  Guard(uint32_t id, Mapping memory, const Limits& limits, uint32_t slots, uint32_t tokens)
      : id_(id), memory_(std::move(memory)) {
    // Fresh pages are zero: every slot free, every token never used.
    Header* header = new (memory_.address()) Header{};
    header->limits = limits;
    header->slot_count = slots;
    header->token_count = tokens;
    header->window = std::min(kFirstWindow, slots);
  }

  uint32_t id() const {
    return id_;
  }
  bool IsSetter() const {
    return depth_ == 0;
  }
  bool lifted() const {
    return header()->lifted != 0;
  }
  void Lift() {
    header()->lifted = 1;
  }

  // Takes a slot and a token for a child of this process; nothing is taken when the answer is a refusal.
  std::optional<Refusal> Reserve(pid_t self, uint64_t start) {
    const Limits& limits = header()->limits;
    if (limits.max_depth >= 0 && depth_ >= limits.max_depth) return Refusal{"maxDepth", limits.max_depth};
    reserved_ = Word(kReserved, self, start);
    slot_ = Take(reserved_);
    if (slot_ == kNone) return Refusal{"maxProcesses", limits.max_processes};
    slots()[slot_].reserved_at = Now();
    if (limits.max_per_second < 0 || TakeToken()) return std::nullopt;
    Cancel();
    return Refusal{"maxPerSecond", limits.max_per_second};
  }

  void Cancel() {
    uint64_t expected = reserved_;
    if (slot_ != kNone) slots()[slot_].word.compare_exchange_strong(expected, kFree);
    if (token_ != kNone) tokens()[token_].compare_exchange_strong(stamp_, token_before_);
    slot_ = token_ = kNone;
  }

  // In the child; see Admission::Claim.
  void Claim(pid_t self, uint64_t start) {
    depth_++;
    const uint64_t live = Word(kLive, self, start);
    uint64_t found = reserved_;
    const bool ours = slots()[slot_].word.compare_exchange_strong(found, live) ||
                      (StateOf(found) == kLive && PidOf(found) == self);  // the parent was faster
    // The parent was killed, this process did not get to run for a second, and the slot went to another one. Limits
    // hold: without a slot there is no process.
    if (!ours && !lifted() && Take(live) == kNone) GiveUp(kExitForkGuard);
    slot_ = token_ = kNone;
  }

  // In the parent; `start` is 0 when the child has no start time that can be read.
  void Settle(pid_t child, uint64_t start) {
    uint64_t expected = reserved_;
    slots()[slot_].word.compare_exchange_strong(expected, Word(kLive, child, start));
    // The time that counts is that of the fork, which is later than that of the reservation.
    if (token_ != kNone) tokens()[token_].compare_exchange_strong(stamp_, Now());
    slot_ = token_ = kNone;
  }

  bool IsClaimed() const {
    return slots()[slot_].word != reserved_;
  }

  uint32_t Count() {
    Sweep(Care::kStartTimeToo);
    uint32_t count = 0;
    for (uint32_t i = 0; i < header()->window; i++) count += slots()[i].word != kFree;
    return count;
  }

 private:
  Header* header() const {
    return static_cast<Header*>(memory_.address());
  }
  Slot* slots() const {
    return reinterpret_cast<Slot*>(header() + 1);
  }
  Token* tokens() const {
    return reinterpret_cast<Token*>(slots() + header()->slot_count);
  }

  // Puts `word` into a free slot; kNone when every slot is held. The window grows to twice its size only when a sweep
  // has found it at least half full of the living, so that the cost of sweeps is spread over as many forks.
  uint32_t Take(uint64_t word) {
    const uint32_t slot_count = header()->slot_count;
    uint32_t slot = TakeFree(word);
    while (slot == kNone) {
      uint32_t window = header()->window;
      if (window == slot_count) {
        if (Sweep(Care::kPidOnly) == 0 && Sweep(Care::kStartTimeToo) == 0) return TakeFree(word);
      } else if (Sweep(Care::kPidOnly) < window / 2) {
        const uint32_t wider = std::min(window * 2, slot_count);
        header()->window.compare_exchange_strong(window, wider);
      }
      slot = TakeFree(word);
    }
    return slot;
  }

  uint32_t TakeFree(uint64_t word) {
    const uint32_t window = header()->window;
    const uint32_t hint = header()->slot_hint;
    for (uint32_t i = 0; i < window; i++) {
      const uint32_t slot = (hint + i) % window;
      uint64_t expected = kFree;
      if (slots()[slot].word == kFree && slots()[slot].word.compare_exchange_strong(expected, word)) {
        header()->slot_hint = slot + 1;
        return slot;
      }
    }
    return kNone;
  }

  // Frees the slots of processes that are gone; returns how many.
  uint32_t Sweep(Care care) {
    uint32_t freed = 0;
    for (uint32_t i = 0; i < header()->window; i++) {
      uint64_t word = slots()[i].word;
      if (word == kFree || !IsGone(word, care)) continue;
      // Read after the forker was found dead: then either it had written the time, or it had not come to fork(2).
      if (StateOf(word) == kReserved && Now() - slots()[i].reserved_at < kClaimGrace) continue;
      // Fails when the child has claimed it meanwhile. The word cannot have come back: its process is dead.
      freed += slots()[i].word.compare_exchange_strong(word, kFree);
    }
    return freed;
  }

  bool TakeToken() {
    const uint32_t count = header()->token_count;
    const uint32_t hint = header()->token_hint;
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t token = (hint + i) % count;
      uint64_t used = tokens()[token];
      const uint64_t now = Now();
      if (used != 0 && (now < used || now - used < kSecond)) continue;
      if (!tokens()[token].compare_exchange_strong(used, now)) continue;
      header()->token_hint = token + 1;
      token_ = token;
      token_before_ = used;
      stamp_ = now;
      return true;
    }
    return false;
  }

  uint32_t id_;
  Mapping memory_;
  uint32_t depth_ = 0;  // generations below the setter

  // The place being taken by the fork under way.
  uint32_t slot_ = kNone;
  uint32_t token_ = kNone;
  uint64_t reserved_ = 0;
  uint64_t stamp_ = 0;
  uint64_t token_before_ = 0;
};

// The guards above this process, outermost first. One list per process, not per environment: what is guarded is the
// process, and each copy of the addon (under Jest, in a vm context) must respect the guards of the others. Only the
// main thread comes here: fork() and guardForks() refuse Workers. Never destroyed, so that nothing runs at exit.
std::vector<Guard>& Guards() {
  static auto& guards = *new std::vector<Guard>;
  return guards;
}

// This process as its own reservations name it; asked for once in each process.
struct Self {
  pid_t pid = 0;
  uint64_t start = 0;
};

Self& WhoAmI() {
  static Self self;
  const pid_t pid = getpid();
  if (self.pid != pid) self = {pid, StartTimeOf(pid)};
  return self;
}

Guard* Find(uint32_t id) {
  for (Guard& guard : Guards()) {
    if (guard.id() == id) return &guard;
  }
  return nullptr;
}

void DropLifted() {
  auto& guards = Guards();
  guards.erase(std::remove_if(guards.begin(), guards.end(), [](const Guard& guard) { return guard.lifted(); }),
               guards.end());
}

}  // namespace

Admission::Admission() {
  if (Guards().empty()) return;
  DropLifted();
  const Self self = WhoAmI();
  auto& guards = Guards();
  for (size_t i = 0; i < guards.size(); i++) {
    refusal_ = guards[i].Reserve(self.pid, self.start);
    if (!refusal_) continue;
    while (i-- > 0) guards[i].Cancel();
    return;
  }
  open_ = !guards.empty();
}

Admission::~Admission() {
  if (!open_) return;
  for (Guard& guard : Guards()) guard.Cancel();
}

void Admission::Claim() {
  if (!open_) return;
  open_ = false;
  const Self self = WhoAmI();
  for (Guard& guard : Guards()) guard.Claim(self.pid, self.start);
}

void Admission::Settle(pid_t child) {
  if (!open_) return;
  open_ = false;
  bool known = false;
  uint64_t start = 0;
  for (Guard& guard : Guards()) {
    if (!known && !guard.IsClaimed()) {
      start = StartTimeOf(child);
      known = true;
    }
    guard.Settle(child, start);
  }
}

}  // namespace realfork::guard

namespace realfork {

using guard::Guards;

// Binding: setForkGuard(maxProcesses, maxDepth, maxPerSecond) -> id. A negative number is no limit.
Napi::Value SetForkGuard(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const guard::Limits limits = {info[0].As<Napi::Number>().DoubleValue(), info[1].As<Napi::Number>().DoubleValue(),
                                info[2].As<Napi::Number>().DoubleValue()};
  const uint32_t slots = limits.max_processes < 0 ? guard::kMostProcesses : static_cast<uint32_t>(limits.max_processes);
  const uint32_t tokens = limits.max_per_second < 0 ? 0 : static_cast<uint32_t>(limits.max_per_second);
  Mapping memory = Mapping::SharedWithDescendants(guard::Guard::Size(slots, tokens));
  const int error = errno;
  if (!memory.valid()) return ThrowErrno(env, error, "mmap");
  static uint32_t last_id = 0;
  Guards().emplace_back(++last_id, std::move(memory), limits, slots, tokens);
  guard::WhoAmI();
  return Napi::Number::New(env, last_id);
}

// Binding: countForkGuard(id) -> processes below the setter; 0 when the guard has been lifted.
Napi::Value CountForkGuard(const Napi::CallbackInfo& info) {
  guard::DropLifted();
  guard::Guard* found = guard::Find(info[0].As<Napi::Number>().Uint32Value());
  return Napi::Number::New(info.Env(), found == nullptr ? 0 : found->Count());
}

// Binding: liftForkGuard(id) -> false when this process did not set it.
Napi::Value LiftForkGuard(const Napi::CallbackInfo& info) {
  guard::DropLifted();
  guard::Guard* found = guard::Find(info[0].As<Napi::Number>().Uint32Value());
  const bool may = found == nullptr || found->IsSetter();
  if (found != nullptr && may) found->Lift();
  guard::DropLifted();
  return Napi::Boolean::New(info.Env(), may);
}

}  // namespace realfork
