#include "leave.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings.h"

namespace realfork {

namespace {

const char* Reason(int code) {
  switch (code) {
    case kExitCannotRevive:
      return "realfork: the child ends with status 121: the limit on tasks left no room for V8's threads "
             "(RLIMIT_NPROC, pids.max)\n";
    case kExitCannotRebuildLoop:
      return "realfork: the child ends with status 122: its event loop could not be rebuilt (descriptor limit?)\n";
    case kExitForkGuard:
      return "realfork: the child ends with status 123: it lost its place under the fork guard, and none is free\n";
  }
  return "";
}

}  // namespace

void GiveUp(int code) {
  const char* reason = Reason(code);
  // A failed write cannot be told to anybody; the status says the same.
  if (write(STDERR_FILENO, reason, strlen(reason)) < 0) _exit(code);
  _exit(code);
}

void LeaveProcess(int code) {
  fflush(nullptr);
  _exit(code);
}

// Binding: _exit(code), exactly _exit(2).
Napi::Value ExitNow(const Napi::CallbackInfo& info) {
  _exit(info[0].As<Napi::Number>().Int32Value());
}

// Binding: leaveProcess(code), the end of a forked child.
Napi::Value LeaveNow(const Napi::CallbackInfo& info) {
  LeaveProcess(info[0].As<Napi::Number>().Int32Value());
}

}  // namespace realfork
