// A child that runs nothing but a few system calls gives back what fork(2) gave it: its parent's memory, of which each
// page it kept would be copied when the parent writes, mappings of shared memory, and descriptors.
#ifndef REALFORK_NATIVE_LEAN_CHILD_H_
#define REALFORK_NATIVE_LEAN_CHILD_H_

#include <stddef.h>
#include <stdint.h>

namespace realfork::lean {

struct Range {
  uintptr_t begin;
  uintptr_t end;
};

// Where the loaded objects have their code and data. Made by the parent: the loader's list is behind a lock.
struct Plan {
  static constexpr size_t kMost = 1024;
  Range objects[kMost];
  size_t count = 0;
  bool complete = true;
};
void MakePlan(Plan* plan);

// In the child. What stays: the loaded objects, the caller's stack and its thread-local storage. Anything on the heap
// reads as zeros afterwards. Only calls of signal-safety(7), and no function of another object that is not bound yet
// (binding.gyp links with -z now).
void GiveMemoryBack(const Plan& plan);
// Closes every descriptor but `kept`.
void CloseAllBut(int kept);

}  // namespace realfork::lean

#endif  // REALFORK_NATIVE_LEAN_CHILD_H_
