#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/random.h>
#include <sys/syscall.h>
#else
#include <stdlib.h>
#endif

#include <algorithm>

#include "robust.h"
#include "segment_lock.h"
#include "unique_fd.h"

namespace realfork::arena {

namespace {

constexpr uint32_t kMagic = 0x61726e61;
constexpr uint32_t kVersion = 2;
constexpr uint64_t kLargest = 64ull << 30;
constexpr uint64_t kSmallest = 256ull << 20;

static_assert(sizeof(Header) <= kSlotsOffset, "the header ends where the slots begin");

// State of the process by nature: its descendants have the same memory at the same place.
struct {
  UniqueFd fd;
  uint8_t* base = nullptr;
  uint64_t size = 0;
  unsigned slot = kNoSlot;
  unsigned child_slot = kNoSlot;
} mapped;

Slot* SlotAt(unsigned index) {
  return reinterpret_cast<Slot*>(mapped.base + kSlotsOffset) + index;
}

uint64_t SlotOffset(unsigned index) {
  return kSlotsOffset + static_cast<uint64_t>(index) * kCellSize;
}

void Randomize(uint8_t* bytes, size_t length) {
#if defined(__linux__)
  if (getrandom(bytes, length, 0) != static_cast<ssize_t>(length)) memset(bytes, 0, length);
#else
  arc4random_buf(bytes, length);
#endif
}

// A name for a moment, and a descriptor that is born close-on-exec (shm_open(3)).
int MakeSharedObject() {
  uint32_t random[2];
  Randomize(reinterpret_cast<uint8_t*>(random), sizeof random);
  char name[32];
  snprintf(name, sizeof name, "/realfork.%08x%08x", random[0], random[1]);
  const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd >= 0) shm_unlink(name);
  return fd;
}

int MakeFile() {
#if defined(__linux__)
  constexpr unsigned kCloseOnExec = 1;  // MFD_CLOEXEC; memfd_create(2) since Linux 3.17, in glibc since 2.27
  int fd = static_cast<int>(syscall(SYS_memfd_create, "realfork", kCloseOnExec));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) fd = MakeSharedObject();  // a container may forbid it
  // For FamilyLives: all members have this open file, by a descriptor or by their mapping.
  if (fd >= 0) segment_lock::Set(fd, F_RDLCK, segment_lock::kUser);
  return fd;
#else
  return MakeSharedObject();
#endif
}

// The most that the file may become: a process over RLIMIT_FSIZE would get SIGXFSZ.
uint64_t SizeAllowed() {
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kLargest;
  return std::min<uint64_t>(kLargest, limit.rlim_cur & ~static_cast<uint64_t>(4095));
}

void* Map(int fd, uint64_t size) {
  int flags = MAP_SHARED;
#if defined(MAP_NORESERVE)
  flags |= MAP_NORESERVE;
#endif
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
#if defined(MADV_DONTDUMP)
  if (base != MAP_FAILED) madvise(base, size, MADV_DONTDUMP);  // a core file need not be 64 GB long
#endif
  return base;
}

int MapNew(int fd, uint64_t* size, void** base) {
  for (*size = SizeAllowed(); *size >= kSmallest; *size /= 2) {
    *base = Map(fd, *size);
    if (*base == MAP_FAILED) {
      if (errno == ENOMEM) continue;  // RLIMIT_AS
      return errno;
    }
    if (ftruncate(fd, static_cast<off_t>(*size)) == 0) return 0;
    const int error = errno;
    munmap(*base, *size);
    return error;
  }
  return ENOMEM;
}

// What the kernel does at the end of the process: the word loses the id of its holder.
bool WordIsHeld(const Slot& slot) {
  const uint32_t holder = slot.life.load() & robust::kOwner;
#if REALFORK_ROBUST_FUTEX
  return holder != 0;
#else
  return holder != 0 && (kill(static_cast<pid_t>(holder), 0) == 0 || errno != ESRCH);
#endif
}

// Epochs go round.
bool IsBefore(uint32_t epoch, uint32_t other) {
  return static_cast<int32_t>(epoch - other) < 0;
}

bool IsReserved(const Slot& slot) {
  const pid_t forker = static_cast<pid_t>(slot.reserved_by.load());
  return forker != 0 && (kill(forker, 0) == 0 || errno != ESRCH);
}

// Takes a slot that nobody lives in. Processes compete for it by the word `reserved_by`.
unsigned ReserveSlot(uint32_t born, uint32_t since) {
  Header* header = HeaderOf();
  const uint32_t mine = static_cast<uint32_t>(getpid());
  const unsigned used = std::min<unsigned>(header->slots_used.load(), kSlots);
  for (unsigned i = 0; i < kSlots; i++) {
    Slot* slot = SlotAt(i);
    uint32_t reserved_by = slot->reserved_by.load();
    if (i < used && (WordIsHeld(*slot) || IsReserved(*slot))) continue;
    if (!slot->reserved_by.compare_exchange_strong(reserved_by, mine)) continue;
    if (WordIsHeld(*slot)) {  // taken and entered between the two looks
      slot->reserved_by.compare_exchange_strong(reserved_by = mine, 0);
      continue;
    }
    slot->born.store(born);
    slot->since.store(since);
    uint32_t seen = header->slots_used.load();
    while (seen <= i && !header->slots_used.compare_exchange_weak(seen, i + 1)) {
    }
    return i;
  }
  header->untracked.fetch_add(1);
  return kNoSlot;
}

void EnterSlot(unsigned index) {
  mapped.slot = index;
  if (index == kNoSlot) return;
  robust::Link(SlotOffset(index));
  SlotAt(index)->life.store(robust::Self());
  SlotAt(index)->reserved_by.store(0);
}

uint32_t NextEpoch() {
  return HeaderOf()->epoch.fetch_add(1) + 1;
}

// By itself, for want of a slot that was kept for it.
unsigned SlotForJoining() {
  const uint32_t born = NextEpoch();
  return ReserveSlot(born, born);
}

}  // namespace

int Open(int given, unsigned slot) {
  if (IsOpen()) return 0;
  UniqueFd fd(given >= 0 ? given : MakeFile());
  if (!fd.valid()) return errno;
  uint64_t size = 0;
  void* base = MAP_FAILED;
  int error = 0;
  if (given >= 0) {
    const off_t end = lseek(fd.get(), 0, SEEK_END);
    if (end < static_cast<off_t>(kSmallest)) return EINVAL;
    size = static_cast<uint64_t>(end);
    base = Map(fd.get(), size);
    if (base == MAP_FAILED) error = errno;
    if (error == 0) {
      const Header* header = static_cast<Header*>(base);
      if (header->magic != kMagic || header->version != kVersion) error = EINVAL;
    }
  } else {
    error = MapNew(fd.get(), &size, &base);
  }
  if (error == 0) error = robust::Open(static_cast<uint8_t*>(base), kCellsEnd);
  if (error != 0) {
    if (base != MAP_FAILED) munmap(base, size);
    return error;
  }
  mapped.fd = std::move(fd);
  mapped.base = static_cast<uint8_t*>(base);
  mapped.size = size;
  Header* header = HeaderOf();
  if (given < 0) {
    Randomize(header->id, sizeof header->id);
    header->size = size;
    header->cells_used.store(kCellsOffset / kCellSize);
    header->blocks_end = kCellsEnd;
    header->epoch.store(1);
    header->version = kVersion;
    header->magic = kMagic;
  }
  const uint32_t self = static_cast<uint32_t>(getpid());
  const bool is_kept = given >= 0 && slot < kSlots && SlotAt(slot)->reserved_by.load() == self;
  EnterSlot(is_kept ? slot : given >= 0 ? SlotForJoining() : ReserveSlot(header->epoch.load(), 0));
  return 0;
}

bool IsOpen() {
  return mapped.base != nullptr;
}

int Descriptor() {
  return mapped.fd.get();
}

UniqueFd OpenAgain() {
#if defined(__linux__)
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", Descriptor());
  UniqueFd fd(IsOpen() ? open(path, O_RDWR | O_CLOEXEC) : -1);
  // Someone who closes all descriptors does not ask us, and the number may be another's by now.
  if (fd.valid() && segment_lock::HeldByOthers(fd.get(), segment_lock::kUser)) return fd;
#endif
  return {};
}

bool FamilyLives(int fd) {
#if defined(__linux__)
  return segment_lock::HeldByOthers(fd, segment_lock::kUser);
#else
  return false;
#endif
}

uint64_t Size() {
  return mapped.size;
}

uint8_t* Base() {
  return mapped.base;
}

Header* HeaderOf() {
  return reinterpret_cast<Header*>(mapped.base);
}

unsigned OwnSlot() {
  return mapped.slot;
}

void BeforeFork() {
  if (!IsOpen()) return;
  mapped.child_slot = ReserveSlot(NextEpoch(), mapped.slot == kNoSlot ? 0 : SlotAt(mapped.slot)->since.load());
}

void AfterForkInParent(pid_t child) {
  if (!IsOpen()) return;
  if (mapped.child_slot == kNoSlot) {
    if (child < 0) HeaderOf()->untracked.fetch_sub(1);
    return;
  }
  // From now on the slot is taken for as long as the child lives, also when it never gets as far as entering it.
  uint32_t mine = static_cast<uint32_t>(getpid());
  SlotAt(mapped.child_slot)->reserved_by.compare_exchange_strong(mine, child < 0 ? 0 : static_cast<uint32_t>(child));
}

void AfterForkInChild() {
  if (!IsOpen()) return;
  robust::AfterForkInChild();
  EnterSlot(mapped.child_slot);
}

unsigned ReserveSlotForJoining() {
  return IsOpen() ? SlotForJoining() : kNoSlot;
}

void ClaimSlot(unsigned index) {
  if (index != kNoSlot) SlotAt(index)->reserved_by.store(static_cast<uint32_t>(getpid()));
}

void GiveSlotBack(unsigned index) {
  if (index != kNoSlot) SlotAt(index)->reserved_by.store(0);
}

bool SlotLives(unsigned index) {
  return index < kSlots && (WordIsHeld(*SlotAt(index)) || IsReserved(*SlotAt(index)));
}

uint32_t OwnBirth() {
  return mapped.slot == kNoSlot ? 0 : SlotAt(mapped.slot)->born.load();
}

bool MemberLives(unsigned index, uint32_t born) {
  if (index >= kSlots) return true;
  return SlotAt(index)->born.load() == born && SlotLives(index);
}

bool SomebodyCanHave(uint32_t born, bool sent) {
  const Header* header = HeaderOf();
  if (header->untracked.load() != 0) return true;
  const unsigned used = std::min<unsigned>(header->slots_used.load(), kSlots);
  for (unsigned i = 0; i < used; i++) {
    if (i == mapped.slot || !SlotLives(i)) continue;
    if (sent || (IsBefore(born, SlotAt(i)->born.load()) && !IsBefore(born, SlotAt(i)->since.load()))) return true;
  }
  return false;
}

}  // namespace realfork::arena
