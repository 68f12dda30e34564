// The mappings of this process, proc_pid_maps(5).
#ifndef REALFORK_NATIVE_PROC_MAPS_H_
#define REALFORK_NATIVE_PROC_MAPS_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace realfork {

struct ProcMapping {
  uintptr_t begin;
  uintptr_t end;
  uint64_t inode;    // 0: not of a file
  std::string name;  // empty: anonymous
};

// Reads the list whole before anything is done with it: changing mappings while reading would change the list under the
// reader. Returns 0 or the errno.
int ReadProcMaps(std::vector<ProcMapping>* mappings);

}  // namespace realfork

#endif  // REALFORK_NATIVE_PROC_MAPS_H_
