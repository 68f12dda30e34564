// guardForks: limits on fork() that hold over the whole tree of processes below the one that set them.
#ifndef REALFORK_NATIVE_GUARD_H_
#define REALFORK_NATIVE_GUARD_H_

#include <sys/types.h>

#include <optional>

namespace realfork::guard {

// A limit that a fork would exceed. `name` is the option of guardForks.
struct Refusal {
  const char* name;
  double value;
};

// A place for one child under every guard above this process: all of them or none. The steps around fork(2):
//
//     Admission place;                       before: reserves, or refuses
//     if (place.refusal()) ...               no process may be made
//     child:  place.Claim();                 first thing
//     parent: place.Settle(pid);
//     ~Admission()                           the fork failed: gives the place back
class Admission {
 public:
  Admission();
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // Empty when the fork may go ahead.
  const std::optional<Refusal>& refusal() const {
    return refusal_;
  }

  // In the child. Async-signal-safe.
  void Claim();

  // In the parent, with the pid of its new child.
  void Settle(pid_t child);

 private:
  std::optional<Refusal> refusal_;
  bool open_ = false;
};

}  // namespace realfork::guard

#endif  // REALFORK_NATIVE_GUARD_H_
