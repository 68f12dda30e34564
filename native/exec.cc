// exec(3): the process becomes another program.
//
// What Node changed about the process when it started must not reach that program, and a failed exec must leave Node as
// it was, at every instant: its other threads go on running meanwhile.
//
//   descriptors 0, 1, 2   close-on-exec since Node's start (uv_disable_stdio_inheritance), O_NONBLOCK if libuv opened a
//                         stream on them: both flags are cleared, as in libuv's own uv_spawn(), and put back on failure
//   SIGPIPE, SIGXFSZ      ignored since Node's start, and execve(2) keeps ignored signals ignored
//   other dispositions    handlers become SIG_DFL by execve(2); what somebody chose to ignore stays so, as POSIX has it
//   signal mask           empty unless the program changed it with sigprocmask(); inherited, as POSIX has it
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "bindings.h"
#include "string_vector.h"

extern char** environ;

namespace realfork {

namespace {

// Makes one of the descriptors 0-2 fit for another program, until the object goes.
class InheritedStdio {
 public:
  explicit InheritedStdio(int fd) : fd_(fd), descriptor_flags_(fcntl(fd, F_GETFD)), status_flags_(fcntl(fd, F_GETFL)) {
    if (IsCloseOnExec()) fcntl(fd_, F_SETFD, descriptor_flags_ & ~FD_CLOEXEC);
    if (IsNonBlocking()) fcntl(fd_, F_SETFL, status_flags_ & ~O_NONBLOCK);
  }
  ~InheritedStdio() {
    if (IsCloseOnExec()) fcntl(fd_, F_SETFD, descriptor_flags_);
    if (IsNonBlocking()) fcntl(fd_, F_SETFL, status_flags_);
  }
  InheritedStdio(const InheritedStdio&) = delete;
  InheritedStdio& operator=(const InheritedStdio&) = delete;

 private:
  // Both are -1, and nothing is done, for a descriptor that is closed.
  bool IsCloseOnExec() const {
    return descriptor_flags_ != -1 && (descriptor_flags_ & FD_CLOEXEC) != 0;
  }
  bool IsNonBlocking() const {
    return status_flags_ != -1 && (status_flags_ & O_NONBLOCK) != 0;
  }

  const int fd_;
  const int descriptor_flags_;
  const int status_flags_;
};

void IgnoreByHandler(int) {}

// Has execve(2) reset an ignored signal to SIG_DFL, without a moment in which another thread's broken pipe would kill
// this process: a handler that does nothing ignores just as well, and handlers do not survive execve(2).
class ResetByExec {
 public:
  explicit ResetByExec(int signal) : signal_(signal) {
    sigaction(signal_, nullptr, &saved_);
    if (!IsIgnored()) return;
    struct sigaction action = {};
    action.sa_handler = IgnoreByHandler;
    action.sa_flags = SA_RESTART;
    sigaction(signal_, &action, nullptr);
  }
  ~ResetByExec() {
    if (IsIgnored()) sigaction(signal_, &saved_, nullptr);
  }
  ResetByExec(const ResetByExec&) = delete;
  ResetByExec& operator=(const ResetByExec&) = delete;

 private:
  bool IsIgnored() const {
    return (saved_.sa_flags & SA_SIGINFO) == 0 && saved_.sa_handler == SIG_IGN;
  }

  const int signal_;
  struct sigaction saved_ = {};
};

// What execvp(3) goes on to the next folder after, here as in glibc: nothing there, or a file system that is away.
bool IsMissing(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESTALE || error == ENODEV || error == ETIMEDOUT;
}

// Runs a file that has no format the kernel knows as a shell script: sh FILE ARGS.
int ExecShell(const std::string& file, char** args, char** env) {
  static const char kShell[] = "/bin/sh";
  std::vector<char*> shell_args = {const_cast<char*>(kShell), const_cast<char*>(file.c_str())};
  if (args[0] != nullptr) {
    for (char** argument = args + 1; *argument != nullptr; argument++) shell_args.push_back(*argument);
  }
  shell_args.push_back(nullptr);
  execve(kShell, shell_args.data(), env);
  return errno;
}

// The candidates in turn. Returns only on failure, with the errno that tells most: EACCES for a file that was there and
// could not be executed, before ENOENT.
int ExecAny(const std::vector<std::string>& candidates, bool scripts, char** args, char** env) {
  const InheritedStdio in(0), out(1), err(2);
  const ResetByExec pipe(SIGPIPE), file_size(SIGXFSZ);
  int result = ENOENT;
  for (const std::string& candidate : candidates) {
    execve(candidate.c_str(), args, env);
    int error = errno;
    if (error == ENOEXEC && scripts) error = ExecShell(candidate, args, env);
    if (error == EACCES) {
      result = EACCES;
    } else if (!IsMissing(error)) {
      return error;
    } else if (candidates.size() == 1) {
      result = error;
    }
  }
  return result;
}

}  // namespace

// Binding: exec(syscall, file, candidates, args, env | null, scripts). `file` is what errors name; env null is the
// environment of the process itself; `scripts` has a file without a known format run by sh. Returns only by throwing.
Napi::Value Exec(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string syscall = info[0].As<Napi::String>();
  const std::string file = info[1].As<Napi::String>();
  const StringVector candidates(info[2].As<Napi::Array>());
  StringVector args(info[3].As<Napi::Array>());
  StringVector variables(info[4].IsNull() ? Napi::Array::New(env) : info[4].As<Napi::Array>());
  const bool scripts = info[5].As<Napi::Boolean>();
  const int error = ExecAny(candidates.strings(), scripts, args.data(), info[4].IsNull() ? environ : variables.data());
  ErrnoDetail detail;
  detail.path = file.c_str();
  return ThrowErrno(env, error, syscall.c_str(), detail);
}

}  // namespace realfork
