// Niceness. POSIX has one value for each process, Linux one for each thread (setpriority(2) BUGS), and glibc passes
// that on. Node is never alone in its process, so what is set for a process is set for all its threads here.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bindings.h"

namespace realfork {

namespace {

#if defined(__linux__)

// Thread ids in /proc mean something to setpriority(2) only when /proc is that of our own PID namespace.
bool ProcIsOurs() {
  char link[32];
  const ssize_t length = readlink("/proc/self", link, sizeof link - 1);
  if (length <= 0) return false;
  link[length] = '\0';
  return atoi(link) == getpid();
}

// Whether `pid` is a process and not a further thread of one: those have a /proc directory too, only not listed.
bool LeadsThreads(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE* file = fopen(path, "re");
  if (file == nullptr) return false;
  char line[256];
  int leader = 0;
  while (fgets(line, sizeof line, file) != nullptr && sscanf(line, "Tgid: %d", &leader) != 1) continue;
  fclose(file);
  return leader == pid;
}

// The process itself has been set, and that was allowed. A thread may end meanwhile, so that errors say nothing.
void SetOtherThreads(pid_t pid, int niceness) {
  if (!ProcIsOurs() || !LeadsThreads(pid)) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR* tasks = opendir(path);
  if (tasks == nullptr) return;
  while (const dirent* entry = readdir(tasks)) {
    const pid_t tid = atoi(entry->d_name);
    if (tid > 0 && tid != pid) setpriority(PRIO_PROCESS, static_cast<id_t>(tid), niceness);
  }
  closedir(tasks);
}

#else

void SetOtherThreads(pid_t, int) {}

#endif

}  // namespace

// Binding: nice(increment) -> the new niceness. -1 is one of them, so errno tells.
Napi::Value Nice(const Napi::CallbackInfo& info) {
  errno = 0;
  const int niceness = nice(info[0].As<Napi::Number>().Int32Value());
  const int error = errno;
  if (niceness == -1 && error != 0) return ThrowErrno(info.Env(), error, "nice");
  SetOtherThreads(getpid(), niceness);
  return Napi::Number::New(info.Env(), niceness);
}

// Binding: getpriority(which, who) -> niceness. -1 is one of them, so errno tells.
Napi::Value GetPriority(const Napi::CallbackInfo& info) {
  const auto which = static_cast<decltype(PRIO_PROCESS)>(info[0].As<Napi::Number>().Int32Value());
  const auto who = static_cast<id_t>(info[1].As<Napi::Number>().Int64Value());
  errno = 0;
  const int niceness = getpriority(which, who);
  const int error = errno;
  if (niceness == -1 && error != 0) return ThrowErrno(info.Env(), error, "getpriority");
  return Napi::Number::New(info.Env(), niceness);
}

// Binding: setpriority(which, who, niceness).
Napi::Value SetPriority(const Napi::CallbackInfo& info) {
  const auto which = static_cast<decltype(PRIO_PROCESS)>(info[0].As<Napi::Number>().Int32Value());
  const auto who = static_cast<id_t>(info[1].As<Napi::Number>().Int64Value());
  const int niceness = info[2].As<Napi::Number>().Int32Value();
  const int result = setpriority(which, who, niceness);
  const int error = errno;
  if (result != 0) return ThrowErrno(info.Env(), error, "setpriority");
  if (which == PRIO_PROCESS) SetOtherThreads(who == 0 ? getpid() : static_cast<pid_t>(who), niceness);
  return info.Env().Undefined();
}

}  // namespace realfork
