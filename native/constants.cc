// Numbers that the C library's headers give names to and Node's own `constants` do not have.
#include <fcntl.h>
#include <sys/wait.h>

#include "bindings.h"

namespace realfork {

namespace {

struct Constant {
  const char* name;
  int value;
};

// waitid(2) P_PIDFD: Linux 5.4, in glibc's headers from 2.36 on. Where it does not exist waitid(2) answers EINVAL.
constexpr int kPidFd = 3;

constexpr Constant kConstants[] = {
    // wait(2)
    {"WNOHANG", WNOHANG},
    {"WUNTRACED", WUNTRACED},
    {"WCONTINUED", WCONTINUED},
    {"WEXITED", WEXITED},
    {"WSTOPPED", WSTOPPED},
    {"WNOWAIT", WNOWAIT},
    {"P_ALL", P_ALL},
    {"P_PID", P_PID},
    {"P_PGID", P_PGID},
    {"P_PIDFD", kPidFd},
    {"CLD_EXITED", CLD_EXITED},
    {"CLD_KILLED", CLD_KILLED},
    {"CLD_DUMPED", CLD_DUMPED},
    {"CLD_TRAPPED", CLD_TRAPPED},
    {"CLD_STOPPED", CLD_STOPPED},
    {"CLD_CONTINUED", CLD_CONTINUED},
    // open(2)
    {"O_CLOEXEC", O_CLOEXEC},
    {"O_NONBLOCK", O_NONBLOCK},
};

}  // namespace

Napi::Value Constants(const Napi::CallbackInfo& info) {
  Napi::Object constants = Napi::Object::New(info.Env());
  for (const Constant& constant : kConstants) constants.Set(constant.name, constant.value);
  return constants;
}

}  // namespace realfork
