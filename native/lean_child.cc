#include "lean_child.h"

#if defined(__linux__)

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__aarch64__)
#include "machine.h"
#endif

namespace realfork::lean {

namespace {

#if defined(__x86_64__) || defined(__aarch64__)
constexpr bool kKnowsThreadPointer = true;
using machine::ThreadPointer;
#else
// The memory stays then, copied as the parent writes.
constexpr bool kKnowsThreadPointer = false;
uintptr_t ThreadPointer() {
  return 0;
}
#endif

// Around the places in use. A thread's static TLS and its struct pthread lie next to the thread pointer, in a mapping
// that may hold much else.
constexpr uintptr_t kAroundThreadPointer = 64 * 1024;
constexpr uintptr_t kBelowStackPointer = 256 * 1024;
constexpr uintptr_t kAboveStackPointer = 256 * 1024;

Range Around(uintptr_t place, uintptr_t below, uintptr_t above) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return {(place - below) & ~(page - 1), (place + above + page - 1) & ~(page - 1)};
}

int AddObject(dl_phdr_info* object, size_t, void* data) {
  Plan* plan = static_cast<Plan*>(data);
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const auto& part = object->dlpi_phdr[i];
    if (part.p_type != PT_LOAD) continue;
    if (plan->count == Plan::kMost) {
      plan->complete = false;
      return 1;
    }
    plan->objects[plan->count++] = Around(object->dlpi_addr + part.p_vaddr, 0, part.p_memsz);
  }
  return 0;
}

// One line of proc_pid_maps(5), as far as it matters here.
struct Line {
  Range range;
  bool is_shared;
  bool is_writable;
  bool is_special;  // [stack], [vdso] and the like
  bool is_file;
};

uintptr_t Hex(const char*& at) {
  uintptr_t value = 0;
  for (;; at++) {
    const char c = *at;
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<uintptr_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value * 16 + static_cast<uintptr_t>(c - 'a' + 10);
    } else {
      return value;
    }
  }
}

// "7f00-7f10 rw-p 00000000 00:00 0    name"
Line Parse(const char* at) {
  Line line{};
  line.range.begin = Hex(at);
  at++;
  line.range.end = Hex(at);
  at++;
  line.is_writable = at[1] == 'w';
  line.is_shared = at[3] == 's';
  for (int field = 0; field < 3; field++) {  // permissions, offset, device
    while (*at != ' ') at++;
    at++;
  }
  line.is_file = *at != '0';
  while (*at != ' ' && *at != '\0') at++;
  while (*at == ' ') at++;
  // The heap is named too, and so is memory that somebody called prctl(2) PR_SET_VMA_ANON_NAME for.
  line.is_special = *at == '[' && at[1] != 'h' && at[1] != 'a';
  return line;
}

// Gives back [begin, end) without what the plan and the two places in use keep.
void Drop(Range range, const Plan& plan, const Range (&used)[2]) {
  while (range.begin < range.end) {
    // The kept range that ends first behind `begin` and starts before everything else there.
    Range next = {range.end, range.end};
    const auto consider = [&](const Range& kept) {
      if (kept.end > range.begin && kept.begin < next.begin) next = kept;
    };
    for (size_t i = 0; i < plan.count; i++) consider(plan.objects[i]);
    for (const Range& kept : used) consider(kept);
    if (next.begin > range.begin) {
      madvise(reinterpret_cast<void*>(range.begin), next.begin - range.begin, MADV_DONTNEED);
    }
    range.begin = next.end;
  }
}

void Handle(const Line& line, const Plan& plan, const Range (&used)[2]) {
  const size_t length = line.range.end - line.range.begin;
  if (line.is_shared) {
    // Also ends the part that this process would have in the locks of segments.
    munmap(reinterpret_cast<void*>(line.range.begin), length);
  } else if (!line.is_file && !line.is_special && plan.complete) {
    Drop(line.range, plan, used);
  }
}

char text[16384];  // of maps at a time; a line is shorter

}  // namespace

void MakePlan(Plan* plan) {
  plan->count = 0;
  plan->complete = kKnowsThreadPointer;
  dl_iterate_phdr(AddObject, plan);
}

void GiveMemoryBack(const Plan& plan) {
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;  // without /proc the memory stays, copied as the parent writes
  const Range used[2] = {
      Around(ThreadPointer(), kAroundThreadPointer, kAroundThreadPointer),
      Around(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), kBelowStackPointer, kAboveStackPointer),
  };
  // The kernel finds its place again by address, so that unmapping what has been read hides nothing.
  size_t filled = 0;
  ssize_t length;
  while ((length = read(fd, text + filled, sizeof text - 1 - filled)) > 0) {
    filled += static_cast<size_t>(length);
    size_t start = 0;
    for (size_t i = 0; i < filled; i++) {
      if (text[i] != '\n') continue;
      text[i] = '\0';
      Handle(Parse(text + start), plan, used);
      start = i + 1;
    }
    for (size_t i = start; i < filled; i++) text[i - start] = text[i];
    filled -= start;
    if (filled == sizeof text - 1) break;  // a line longer than any path
  }
  close(fd);
}

void CloseAllBut(int kept) {
#if !defined(SYS_close_range)
#define SYS_close_range 436
#endif
  const auto above = static_cast<unsigned>(kept) + 1;
  const bool below_closed = kept == 0 || syscall(SYS_close_range, 0u, above - 2, 0u) == 0;
  if (below_closed && syscall(SYS_close_range, above, ~0u, 0u) == 0) return;
  // Linux before 5.9.
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (rlim_t fd = 0; fd < limit.rlim_max && fd < 1 << 20; fd++) {
    if (static_cast<int>(fd) != kept) close(static_cast<int>(fd));
  }
}

}  // namespace realfork::lean

#endif
