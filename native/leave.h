// The one way out of a forked child.
#ifndef REALFORK_NATIVE_LEAVE_H_
#define REALFORK_NATIVE_LEAVE_H_

namespace realfork {

// Status of a child that could not be made whole after fork(2): it has run no JavaScript.
constexpr int kExitCannotRevive = 121;
constexpr int kExitCannotRebuildLoop = 122;
constexpr int kExitForkGuard = 123;

// Ends such a child: one line to stderr, by write(2), then _exit(2). Async-signal-safe.
[[noreturn]] void GiveUp(int code);

// Ends the process as exit(3) would, but for the exit handlers: flushes C stdio (another addon may have printed), then
// _exit(2). Node's own teardown joins threads that are not there and runs glibc's arena bookkeeping for those that are
// back, so that no path in a child may reach it.
[[noreturn]] void LeaveProcess(int code);

}  // namespace realfork

#endif  // REALFORK_NATIVE_LEAVE_H_
