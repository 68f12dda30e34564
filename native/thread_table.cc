#include "thread_table.h"

#include "platform.h"
#include "threads.h"

#if REALFORK_REVIVES_THREADS

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <mutex>

#include "machine.h"
#include "v8_bridge.h"
#include "waiter.h"

namespace realfork::threads {

namespace {

struct Range {
  uintptr_t begin = 0;
  uintptr_t end = 0;
  bool Contains(uintptr_t address) const {
    return address >= begin && address < end;
  }
};

struct {
  std::vector<std::unique_ptr<Thread>> threads;
  std::vector<Range> v8_text;
  std::vector<Range> uv_data;
  Range async_send;
  ptrdiff_t tid_word_offset = 0;  // from the thread pointer; 0: ask the kernel
  bool is_learned = false;
} table;

bool ReadTaskFile(pid_t proc_id, const char* file, char* buffer, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/%s", proc_id, file);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t length = read(fd, buffer, size - 1);
  close(fd);
  buffer[length > 0 ? length : 0] = '\0';
  return length > 0;
}

uint64_t BlockedSignalsOf(pid_t tid) {
  char status[4096];
  if (!ReadTaskFile(tid, "status", status, sizeof status)) return 0;
  const char* line = strstr(status, "\nSigBlk:");
  return line == nullptr ? 0 : strtoull(line + 8, nullptr, 16);
}

// proc(5): /proc/pid/syscall starts with the number of the call a sleeping thread is in. Where the kernel hides it
// (no CONFIG_HAVE_ARCH_TRACEHOOK, hardened /proc) the answer is no, and the thread's name has to do.
bool InEpollWait(pid_t tid) {
  char call[256];
  if (!ReadTaskFile(tid, "syscall", call, sizeof call) || call[0] < '0' || call[0] > '9') return false;
  const long number = strtol(call, nullptr, 10);
  return std::find(std::begin(machine::kEpollWait), std::end(machine::kEpollWait), number) !=
         std::end(machine::kEpollWait);
}

// How long ago the thread started, from field 22 of its stat (clock ticks since boot).
long AgeOf(pid_t tid) {
  char stat[1024];
  if (!ReadTaskFile(tid, "stat", stat, sizeof stat)) return 0;
  const char* field = strrchr(stat, ')');
  for (int i = 2; field != nullptr && i < 22; i++) field = strchr(field + 1, ' ');
  if (field == nullptr) return 0;
  const double started = static_cast<double>(strtoull(field, nullptr, 10)) / static_cast<double>(sysconf(_SC_CLK_TCK));
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<long>((static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - started) * 1e3);
}

// The names of io_uring's threads start so (Linux io_uring/io-wq.c, sqpoll.c).
constexpr char kRingThread[] = "iou-";
// V8's CPU profiler (--cpu-prof, inspector.Session) samples from a thread of this name (V8
// src/profiler/cpu-profiler.cc), and whoever stops it takes its lock and joins it: a child without it hung at its end.
constexpr char kProfilerThread[] = "v8:ProfEvntProc";

bool StartsWith(const char* name, const char* start) {
  return strncmp(name, start, strlen(start)) == 0;
}

struct ThreadName {
  char text[32] = {};
  explicit ThreadName(pid_t tid) {
    ReadTaskFile(tid, "comm", text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
  }
};

// Node 20 to 26 start their platform's workers with exactly SIGUSR1 blocked (the inspector's start signal,
// src/node.cc PlatformInit), before any user code runs. Of the threads with that mask the one that waits in epoll is
// the platform's delayed-task scheduler, which has a libuv loop of its own and stays behind.
Kind FirstKind(pid_t tid) {
  const uint64_t blocked = BlockedSignalsOf(tid);
  const auto [name] = ThreadName(tid);
  if (StartsWith(name, kRingThread)) return Kind::kKernel;
  if (strcmp(name, kProfilerThread) == 0) return Kind::kPlatform;
  if (blocked == 1ull << (SIGUSR1 - 1)) {
    if (strstr(name, "V8Worker") != nullptr) return Kind::kPlatform;  // named so from Node 24 on
    return InEpollWait(tid) || strstr(name, "Delayed") != nullptr ? Kind::kScheduler : Kind::kPlatform;
  }
  return blocked == 0 ? Kind::kUnknown : Kind::kForeign;
}

Kind LaterKind(pid_t tid) {
  const auto [name] = ThreadName(tid);
  if (StartsWith(name, kRingThread)) return Kind::kKernel;
  if (strcmp(name, kProfilerThread) == 0) return Kind::kPlatform;
  const bool is_ours = strcmp(name, waiter::kThreadName) == 0;
  return is_ours || StartsWith(name, "libuv-worker") ? Kind::kForeign : Kind::kUnknown;
}

// The list is right when it is as long as the kernel's and each thread on it is alive. proc(5): the link count of
// /proc/pid/task is the number of threads plus two.
bool ListIsCurrent() {
  struct stat task;
  if (!table.is_learned || stat("/proc/self/task", &task) != 0) return false;
  return task.st_nlink == table.threads.size() + 3 &&
         std::all_of(table.threads.begin(), table.threads.end(), [](auto& thread) { return Alive(*thread); });
}

// The main thread's name in /proc/self/task, and whether /proc shows other ids than the process has: it is mounted for
// an outer PID namespace (unshare --pid without a /proc of its own).
struct ProcView {
  pid_t main_thread = getpid();
  bool is_foreign = false;
};

ProcView LookAtProc() {
  ProcView view;
  char target[32] = {};
  if (readlink("/proc/self", target, sizeof target - 1) > 0) view.main_thread = atoi(target);
  view.is_foreign = view.main_thread != getpid();
  return view;
}

// proc_pid_status(5) NSpid: the thread's ids in /proc's namespace and in each inner one; ours is the last.
pid_t IdInOwnNamespace(pid_t proc_id) {
  char status[4096];
  if (!ReadTaskFile(proc_id, "status", status, sizeof status)) return 0;
  const char* line = strstr(status, "\nNSpid:");
  const char* end = line == nullptr ? nullptr : strchr(line + 1, '\n');
  if (end == nullptr) return 0;
  while (end[-1] >= '0' && end[-1] <= '9') end--;
  return atoi(end);
}

}  // namespace

void Scan() {
  if (ListIsCurrent()) return;
  const ProcView view = LookAtProc();
  for (const auto& thread : table.threads) thread->seen = false;
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    const pid_t proc_id = atoi(entry->d_name);
    if (proc_id <= 0 || proc_id == view.main_thread) continue;
    const pid_t tid = view.is_foreign ? IdInOwnNamespace(proc_id) : proc_id;
    auto known =
        std::find_if(table.threads.begin(), table.threads.end(), [tid](auto& thread) { return thread->tid == tid; });
    if (known != table.threads.end()) {
      (*known)->proc_id = proc_id;
      (*known)->seen = true;
      continue;
    }
    auto thread = std::make_unique<Thread>();
    thread->tid = tid;
    thread->proc_id = proc_id;
    thread->seen = true;
    thread->kind = table.is_learned ? LaterKind(proc_id) : FirstKind(proc_id);
    table.threads.push_back(std::move(thread));
  }
  closedir(directory);
  table.threads.erase(std::remove_if(table.threads.begin(), table.threads.end(), [](auto& t) { return !t->seen; }),
                      table.threads.end());
}

namespace {

// The segments with these flags (PF_X, PF_W) of the object in which an address lies.
struct Segments {
  uintptr_t address;
  ElfW(Word) flag;
  std::vector<Range> ranges;
};

int OnObject(dl_phdr_info* object, size_t, void* argument) {
  auto* wanted = static_cast<Segments*>(argument);
  std::vector<Range> ranges;
  bool is_it = false;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const auto& header = object->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const uintptr_t begin = object->dlpi_addr + header.p_vaddr;
    const Range range{begin, begin + header.p_memsz};
    if (range.Contains(wanted->address)) is_it = true;
    if (header.p_flags & wanted->flag) ranges.push_back(range);
  }
  if (is_it) wanted->ranges = ranges;
  return is_it ? 1 : 0;
}

std::vector<Range> SegmentsAround(void* address, ElfW(Word) flag) {
  Segments segments{reinterpret_cast<uintptr_t>(address), flag, {}};
  dl_iterate_phdr(OnObject, &segments);
  return segments.ranges;
}

bool AnyContains(const std::vector<Range>& ranges, uintptr_t address) {
  return std::any_of(ranges.begin(), ranges.end(), [address](const Range& range) { return range.Contains(address); });
}

// The compiler has put all that uv_async_send calls (uv__async_send) into it, in Node 20 to 26.
void LocateAsyncSend() {
  const auto address = reinterpret_cast<uintptr_t>(uv_async_send);
  Dl_info object;
  void* entry = nullptr;
  if (dladdr1(reinterpret_cast<void*>(address), &object, &entry, RTLD_DL_SYMENT) == 0 || entry == nullptr) return;
  table.async_send = {address, address + static_cast<const ElfW(Sym)*>(entry)->st_size};
}

// Kernels built without CONFIG_CHECKPOINT_RESTORE have no PR_GET_TID_ADDRESS. Then the word is found by its value: the
// offset from the thread pointer that holds the thread id in this thread and in every V8 thread.
void LocateTidWord() {
  int* word = nullptr;
  if (prctl(PR_GET_TID_ADDRESS, &word) == 0) return;
  const uintptr_t self_pointer = machine::ThreadPointer();
  const int self = static_cast<int>(syscall(SYS_gettid));
  for (ptrdiff_t offset = -4096; offset < 4096; offset += sizeof(int)) {
    if (offset != 0 && *reinterpret_cast<int*>(self_pointer + offset) == self) {
      table.tid_word_offset = offset;
      return;
    }
  }
}

}  // namespace

const std::vector<std::unique_ptr<Thread>>& Table() {
  return table.threads;
}

std::vector<Thread*> Select(bool (*wanted)(Kind)) {
  std::vector<Thread*> chosen;
  for (const auto& thread : table.threads) {
    if (wanted(thread->kind)) chosen.push_back(thread.get());
  }
  return chosen;
}

bool Alive(const Thread& thread) {
  return syscall(SYS_tgkill, getpid(), thread.tid, 0) == 0;
}

long AgeMs(const Thread& thread) {
  return AgeOf(thread.proc_id);
}

uint64_t BlockedSignals(const Thread& thread) {
  return BlockedSignalsOf(thread.proc_id);
}

int* OwnTidWord() {
  if (table.tid_word_offset != 0) return reinterpret_cast<int*>(machine::ThreadPointer() + table.tid_word_offset);
  int* word = nullptr;
  prctl(PR_GET_TID_ADDRESS, &word);
  return word;
}

bool InV8Text(uintptr_t address) {
  return AnyContains(table.v8_text, address);
}

bool InUvData(uintptr_t address) {
  return AnyContains(table.uv_data, address);
}

bool InAsyncSend(uintptr_t address) {
  return table.async_send.Contains(address);
}

void Learn() {
  static std::once_flag once;  // two Workers may load the addon at the same time
  std::call_once(once, [] {
    table.v8_text = SegmentsAround(v8_bridge::AddressInsideV8(), PF_X);
    table.uv_data = SegmentsAround(reinterpret_cast<void*>(uv_async_send), PF_W);
    LocateTidWord();
    LocateAsyncSend();
    Scan();
    table.is_learned = true;
  });
}

namespace {

int Count(Kind kind) {
  return static_cast<int>(
      std::count_if(table.threads.begin(), table.threads.end(), [kind](auto& thread) { return thread->kind == kind; }));
}

}  // namespace

int V8ThreadCount() {
  return Count(Kind::kPlatform);
}

int WorkerCount() {
  return Count(Kind::kWorker);
}

}  // namespace realfork::threads

#endif  // REALFORK_REVIVES_THREADS
