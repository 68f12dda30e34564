// A new process for another program, by vfork(2) and execve(2): the parent's memory is neither copied nor its threads
// stopped, however large it is. The child is the caller's to wait for, unlike one of libuv's.
//
//     parent   descriptors copied ── signals blocked ── vfork ── waits for execve ── goes on
//     child                                               └─> slot, descriptors, execve
//
// The child shares the parent's memory until then: it makes only the calls of signal-safety(7), and writes only to
// Plan.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "arena.h"
#include "arguments.h"
#include "bindings.h"
#include "string_vector.h"
#include "unique_fd.h"

extern char** environ;

#if defined(__APPLE__)
#pragma clang diagnostic ignored "-Wdeprecated-declarations"  // of vfork; posix_spawn cannot claim the slot
#endif

namespace realfork {

namespace {

constexpr int kFirstFd = 3;

struct Plan {
  const char* path;
  char** args;
  char** env;
  const int* fds;  // the first becomes kFirstFd, and so on
  size_t fd_count;
  unsigned slot;
  sigset_t mask;
  volatile int error = 0;
};

// What stays open in the new program is what was asked for: here as in Python, whatever is inheritable.
void CloseOnExecFrom(unsigned first) {
#if defined(__linux__)
#if !defined(SYS_close_range)
#define SYS_close_range 436
#endif
  constexpr unsigned kCloseOnExec = 4;  // CLOSE_RANGE_CLOEXEC, since Linux 5.11
  if (syscall(SYS_close_range, first, ~0u, kCloseOnExec) == 0) return;
#endif
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (rlim_t fd = first; fd < limit.rlim_cur && fd < 1 << 20; fd++) {
    const int flags = fcntl(static_cast<int>(fd), F_GETFD);
    if (flags >= 0) fcntl(static_cast<int>(fd), F_SETFD, flags | FD_CLOEXEC);
  }
}

// Handlers are reset by execve(2); before, none may run here, on the parent's memory.
void ResetSignals() {
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) != 0) continue;
    // Node ignores these two; what the program chose to ignore stays so.
    const bool is_nodes = signal == SIGPIPE || signal == SIGXFSZ;
    const bool is_ignored = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
    if (is_ignored && !is_nodes) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
}

[[noreturn]] void Become(Plan* plan) {
  arena::ClaimSlot(plan->slot);
  ResetSignals();
  bool done = true;
  for (size_t i = 0; i < plan->fd_count; i++) done = done && dup2(plan->fds[i], kFirstFd + static_cast<int>(i)) >= 0;
  CloseOnExecFrom(static_cast<unsigned>(kFirstFd + plan->fd_count));
  // Standard input is the parent's alone; Node has made all three close-on-exec.
  const int null = open("/dev/null", O_RDONLY);
  if (null > 0) {
    dup2(null, 0);
    close(null);
  }
  for (int fd = 0; fd < kFirstFd; fd++) fcntl(fd, F_SETFD, 0);
  sigprocmask(SIG_SETMASK, &plan->mask, nullptr);
  if (done) execve(plan->path, plan->args, plan->env);
  plan->error = errno;
  _exit(127);
}

// Not inlined: vfork(2) returns twice, into the same frame.
__attribute__((noinline)) pid_t VFork(Plan* plan) {
  const pid_t pid = vfork();
  if (pid == 0) Become(plan);
  return pid;
}

pid_t Start(Plan* plan) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &plan->mask);
  const pid_t pid = VFork(plan);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &plan->mask, nullptr);
  if (pid < 0) plan->error = error;
  if (pid > 0 && plan->error != 0) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  return pid;
}

}  // namespace

// Binding: spawn(path, args, env | null, fds, slot) -> the pid. `fds` become 3, 4, ...; env null is the environment of
// the process itself; `slot` is of reserveSlot().
Napi::Value Spawn(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = info[0].As<Napi::String>();
  StringVector args(info[1].As<Napi::Array>());
  StringVector variables(info[2].IsNull() ? Napi::Array::New(env) : info[2].As<Napi::Array>());
  const auto given = info[3].As<Napi::Array>();
  Plan plan{};
  plan.path = path.c_str();
  plan.args = args.data();
  plan.env = info[2].IsNull() ? environ : variables.data();
  plan.slot = static_cast<unsigned>(IntArgument(info, 4));
  std::vector<UniqueFd> copies;
  std::vector<int> fds;
  const char* call = "fcntl";
  pid_t pid = -1;
  // First copied to numbers behind all of these, so that none lies where another has to go.
  const int out_of_the_way = kFirstFd + static_cast<int>(given.Length());
  for (uint32_t i = 0; i < given.Length() && plan.error == 0; i++) {
    copies.emplace_back(fcntl(given.Get(i).As<Napi::Number>().Int32Value(), F_DUPFD_CLOEXEC, out_of_the_way));
    if (!copies.back().valid()) plan.error = errno;
    fds.push_back(copies.back().get());
  }
  if (plan.error == 0) {
    plan.fds = fds.data();
    plan.fd_count = fds.size();
    pid = Start(&plan);
    call = pid < 0 ? "vfork" : "execve";
  }
  if (plan.error == 0) return Napi::Number::New(env, pid);
  arena::GiveSlotBack(plan.slot);
  ErrnoDetail detail;
  if (pid > 0) detail.path = path.c_str();
  return ThrowErrno(env, plan.error, call, detail);
}

}  // namespace realfork
