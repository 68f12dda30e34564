#include "start_time.h"

#if defined(__linux__)

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <cstdlib>

namespace realfork {

namespace {

// snprintf(3) is not on the list of signal-safety(7).
void WritePath(char* path, pid_t pid) {
  char digits[16];
  int count = 0;
  for (unsigned rest = static_cast<unsigned>(pid); rest > 0 || count == 0; rest /= 10)
    digits[count++] = '0' + rest % 10;
  path = stpcpy(path, "/proc/");
  while (count > 0) *path++ = digits[--count];
  stpcpy(path, "/stat");
}

// A /proc mounted for another PID namespace (`unshare --pid` without a mount of its own) shows other processes under
// our numbers.
bool ProcShowsOurNamespace() {
  static const bool ours = [] {
    char target[32];
    const ssize_t length = readlink("/proc/self", target, sizeof target - 1);
    if (length <= 0) return false;
    target[length] = '\0';
    return atoi(target) == getpid();
  }();
  return ours;
}

}  // namespace

uint64_t StartTimeOf(pid_t pid) {
  if (!ProcShowsOurNamespace()) return 0;
  char path[40];
  WritePath(path, pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char stat[1024];
  const ssize_t length = read(fd, stat, sizeof stat - 1);
  close(fd);
  if (length <= 0) return 0;
  stat[length] = '\0';
  // proc_pid_stat(5): the name, in parentheses, may hold any character; after it each field has one space before it.
  const char* field = strrchr(stat, ')');
  for (int number = 2; field != nullptr && number < 22; number++) field = strchr(field + 1, ' ');
  if (field == nullptr) return 0;
  uint64_t ticks = 0;
  for (field++; *field >= '0' && *field <= '9'; field++) ticks = ticks * 10 + static_cast<uint64_t>(*field - '0');
  return ticks;
}

}  // namespace realfork

#elif defined(__APPLE__)

#include <sys/sysctl.h>

namespace realfork {

// proc_pidinfo(2) does not know zombies; the sysctl does.
uint64_t StartTimeOf(pid_t pid) {
  int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, pid};
  kinfo_proc process = {};
  size_t length = sizeof process;
  if (sysctl(name, 4, &process, &length, nullptr, 0) != 0 || length == 0) return 0;
  const timeval& started = process.kp_proc.p_starttime;
  return static_cast<uint64_t>(started.tv_sec) * 1'000'000 + static_cast<uint64_t>(started.tv_usec);
}

}  // namespace realfork

#else

namespace realfork {

uint64_t StartTimeOf(pid_t) {
  return 0;
}

}  // namespace realfork

#endif
