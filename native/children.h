// What the calls that look for a child's end without blocking have in common.
#ifndef REALFORK_NATIVE_CHILDREN_H_
#define REALFORK_NATIVE_CHILDREN_H_

#include <sys/types.h>

namespace realfork::children {

// A descriptor, close-on-exec, that is readable once the process has ended. -1 and errno where there is none: ENOSYS
// before Linux 5.3 and on macOS, ESRCH, EMFILE.
int OpenPidFd(pid_t pid);

// `options` of waitpid(2) or waitid(2), made to return at once and, on Linux, to leave alone the children that other
// threads of this process forked.
int WaitOptions(int options);

}  // namespace realfork::children

#endif  // REALFORK_NATIVE_CHILDREN_H_
