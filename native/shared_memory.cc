// Segments of shared memory, with and without a name (shm_overview(7)), as ArrayBuffers.
//
//     unnamed ──link──▶ named ──unlink──▶ gone        what a segment is called; memory lives while it is mapped
//        └───────────unlink──────────────▶
//
// A segment starts as a file without a name in the directory of shm_open(3): it has its size, its memory and its lock
// (segment_lock.h) before anybody can see it, and the kernel frees it however its users end. A name makes it findable,
// and from then on the tracker's business (tracker.h). Where such files do not exist (macOS; no /proc) it is born
// named.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "bindings.h"
#include "scoped_signal_mask.h"
#include "segment_lock.h"
#include "tracker.h"
#include "unique_fd.h"

namespace realfork {

namespace {

constexpr mode_t kOwnerOnly = 0600;

// What failed, for the error.
struct Failure {
  int error = 0;
  const char* call = "shm_open";
  explicit operator bool() const {
    return error != 0;
  }
};

Failure Failed(const char* call) {
  return {errno, call};
}

std::string ShmName(const std::string& name) {
  return "/" + name;
}

#if defined(__linux__)
constexpr char kDirectory[] = "/dev/shm";

std::string PathOf(const std::string& name) {
  return std::string(kDirectory) + "/" + name;
}

std::string PathOf(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}
#endif

// ------------------------------------------------------------------------------------------------------ the segment

#if defined(__linux__)
// One try; an errno.
int Allocate(int fd, size_t size) {
  struct statvfs room {};
  // Without this the kernel would first take all there is, to give it back.
  if (fstatvfs(fd, &room) == 0 && room.f_blocks != 0 && (size - 1) / room.f_frsize >= room.f_bavail) return ENOSPC;
  // Above RLIMIT_FSIZE the kernel sends SIGXFSZ besides failing; and any signal ends the call with EINTR.
  ScopedSignalMask blocked;
  int error;
  do {
    error = posix_fallocate(fd, 0, static_cast<off_t>(size));
  } while (error == EINTR);
  if (error == EFBIG) {
    sigset_t too_large;
    sigemptyset(&too_large);
    sigaddset(&too_large, SIGXFSZ);
    const timespec at_once{};
    sigtimedwait(&too_large, nullptr, &at_once);
  }
  return error;
}
#endif

// Sets the size and reserves the memory, so that no later write meets a full file system (SIGBUS).
Failure Reserve(int fd, size_t size) {
#if defined(__linux__)
  int error = Allocate(fd, size);
  // Trackers have segments open, and notice a little later that one is gone: this family's says when, others' soon do.
  if (error == ENOSPC) tracker::Settle();
  for (long pause = 1; error == ENOSPC && pause <= 16; pause *= 4) {
    error = Allocate(fd, size);
    const timespec nap = {0, pause * 1'000'000};
    if (error == ENOSPC) nanosleep(&nap, nullptr);
  }
  return {error, "posix_fallocate"};
#else
  return ftruncate(fd, static_cast<off_t>(size)) == 0 ? Failure{} : Failed("ftruncate");
#endif
}

// What JavaScript has of a segment is an ArrayBuffer, and its addresses must stay good for longer than that can be
// used: a request under way in libuv's pool or in zlib has them too, and keeps the ArrayBuffer alive, detached or not.
// So Close() gives up the segment by putting private memory in its place, and the object is destroyed, the addresses
// with it, when all of these are collected: the handle, the ArrayBuffer, and the memory behind it (which transfer() can
// part from it).
class Segment {
 public:
  // Makes a segment of `size` bytes to be called `name`; it is without a name as long as `unnamed` is possible.
  static std::shared_ptr<Segment> Create(const std::string& name, size_t size, bool unnamed, Failure* failure) {
    auto segment = std::make_shared<Segment>(name);
    // Linking would say so too, after all the memory has been reserved.
    *failure = unnamed ? Failure{} : segment->RefuseTaken();
    if (!*failure) *failure = segment->MakeFile();
    if (!*failure) *failure = segment->Take(size, true);
    if (!*failure && !unnamed) *failure = segment->Link();
    if (*failure && segment->is_named_) shm_unlink(ShmName(name).c_str());
    return *failure ? nullptr : segment;
  }

  // ENOENT also for a segment of no bytes: it is just being made by somebody who cannot do it at once.
  static std::shared_ptr<Segment> Attach(const std::string& name, size_t max_size, Failure* failure) {
    // Again when the name is removed between two steps; in the end it is gone, or belongs to a new segment.
    for (int attempt = 0; attempt < 1000; attempt++) {
      auto segment = std::make_shared<Segment>(name);
      bool again = false;
      *failure = segment->Open(max_size, &again);
      if (!*failure) return segment;
      if (!again) return nullptr;
    }
    *failure = {ENOENT, "shm_open"};
    return nullptr;
  }

  explicit Segment(std::string name) : name_(std::move(name)) {}
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  ~Segment() {
    Close();  // collected: in good order too
    if (address_ != nullptr) munmap(address_, size_);
  }

  void* address() const {
    return address_;
  }
  size_t size() const {
    return size_;
  }

  // Gives an unnamed segment its name; nothing to do for a named one.
  Failure Link() {
    if (is_named_) return {};
    if (is_gone_ || !OwnsDescriptor()) return {ENOENT, "linkat"};
#if defined(__linux__)
    Failure failure;
    const tracker::Segment watched = AsWatched();
    failure.error = tracker::Watch(watched, &failure.call);
    if (failure) return failure;
    if (linkat(AT_FDCWD, PathOf(fd_.get()).c_str(), AT_FDCWD, PathOf(name_).c_str(), AT_SYMLINK_FOLLOW) != 0) {
      failure = Failed(errno == EEXIST ? "shm_open" : "linkat");
      // A process forked from this one may have been first, which is as good.
      if (failure.error != EEXIST || !NameIsOurs()) {
        tracker::Forget(watched);
        return failure;
      }
    }
    is_named_ = true;
    tracker::Tell(tracker::News::kWatch, watched);
    CloseDescriptor();
#endif
    return {};
  }

  Failure Unlink() {
    const bool is_ours = !is_gone_ && NameIsOurs();
    // Without a name there is nothing to remove, the first time; nor will there be anything.
    if (!is_ours && (is_named_ || is_gone_)) return {ENOENT, "shm_unlink"};
    if (is_ours && shm_unlink(ShmName(name_).c_str()) != 0) return Failed("shm_unlink");
    is_gone_ = true;
#if defined(__linux__)
    if (is_ours && is_managed_) tracker::Forget(AsWatched());
#endif
    CloseDescriptor();
    return {};
  }

  void Close() {
    if (!is_open_) return;
    is_open_ = false;
#if defined(__linux__)
    // tracker_process.cc tells why there are two messages, and who has to look.
    const bool is_watched = is_managed_ && is_named_ && !is_gone_;
    if (is_watched) tracker::Tell(tracker::News::kClosing, AsWatched());
    CloseDescriptor();
    ReplaceMemory();
    if (is_watched) tracker::Tell(tracker::News::kClosed, AsWatched(), NobodyElseUses());
#else
    CloseDescriptor();
    ReplaceMemory();
#endif
  }

 private:
  Failure RefuseTaken() const {
#if defined(__linux__)
    struct stat status {};
    if (lstat(PathOf(name_).c_str(), &status) == 0) return {EEXIST, "shm_open"};
#endif
    return {};
  }

  Failure MakeFile() {
#if defined(__linux__)
    fd_ = UniqueFd(open(kDirectory, O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
    if (fd_.valid() && access(PathOf(fd_.get()).c_str(), F_OK) == 0) return {};
    // What a directory of another kind answers, and a kernel that does not know O_TMPFILE (open(2) ERRORS).
    if (!fd_.valid() && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) return Failed("shm_open");
#endif
    fd_ = UniqueFd(shm_open(ShmName(name_).c_str(), O_CREAT | O_EXCL | O_RDWR, kOwnerOnly));
    if (!fd_.valid()) return Failed("shm_open");
    is_named_ = true;
    return {};
  }

  // Locks, sizes and maps the file. `is_new`: it is this process that makes it.
  Failure Take(size_t size, bool is_new) {
    struct stat status {};
    if (fstat(fd_.get(), &status) != 0) return Failed("fstat");
    device_ = status.st_dev;
    inode_ = status.st_ino;
    is_managed_ = is_new;
#if defined(__linux__)
    if (is_new) segment_lock::Set(fd_.get(), F_RDLCK, segment_lock::kUser);
#endif
    if (is_new) {
      if (const Failure failure = Reserve(fd_.get(), size)) return failure;
      // Rounded up to pages where the system does that (macOS), exact where it does not.
      if (fstat(fd_.get(), &status) != 0) return Failed("fstat");
    }
    size_ = static_cast<size_t>(status.st_size);
    void* address = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (address == MAP_FAILED) return Failed("mmap");
    address_ = address;
    is_open_ = true;
    Failure failure;
    if (!is_named_) return failure;
#if defined(__linux__)
    if (is_managed_) failure.error = tracker::Watch(AsWatched(), &failure.call);
#endif
    CloseDescriptor();
    return failure;
  }

  Failure Open(size_t max_size, bool* again) {
    fd_ = UniqueFd(shm_open(ShmName(name_).c_str(), O_RDWR, kOwnerOnly));
    if (!fd_.valid()) return Failed("shm_open");
    is_named_ = true;
    bool is_managed = false;
#if defined(__linux__)
    // Somebody of this package uses it, or watches it: so does this process. Otherwise it is another program's, and its
    // to remove.
    is_managed = segment_lock::HeldByOthers(fd_.get(), segment_lock::kBoth);
    if (is_managed && !segment_lock::Set(fd_.get(), F_RDLCK, segment_lock::kUser) && errno == EAGAIN) {
      *again = true;  // just being removed
      return {ENOENT, "shm_open"};
    }
#endif
    struct stat status {};
    if (fstat(fd_.get(), &status) != 0) return Failed("fstat");
#if defined(__linux__)
    if (status.st_nlink == 0) *again = true;  // elsewhere it says nothing
#endif
    if (*again || status.st_size == 0) return {ENOENT, "shm_open"};
    if (static_cast<uint64_t>(status.st_size) > max_size) return {EFBIG, "shm_open"};
    if (const Failure failure = Take(0, false)) return failure;
#if defined(__linux__)
    is_managed_ = is_managed;
    Failure failure;
    if (is_managed_) failure.error = tracker::Watch(AsWatched(), &failure.call);
    return failure;
#else
    return {};
#endif
  }

  void ReplaceMemory() {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE;
#endif
    // Fails only where no mapping can be split any more (max_map_count): the segment then stays mapped until the end.
    mmap(address_, size_, PROT_READ | PROT_WRITE, flags, -1, 0);
  }

  bool NameIsOurs() const {
    struct stat status {};
#if defined(__linux__)
    if (lstat(PathOf(name_).c_str(), &status) != 0) return false;
#else
    const UniqueFd fd(shm_open(ShmName(name_).c_str(), O_RDONLY, 0));
    if (!fd.valid() || fstat(fd.get(), &status) != 0) return false;
#endif
    return status.st_dev == device_ && status.st_ino == inode_;
  }

#if defined(__linux__)
  tracker::Segment AsWatched() const {
    tracker::Segment segment{};
    segment.device = device_;
    segment.inode = inode_;
    memcpy(segment.name, name_.data(), std::min(name_.size(), sizeof segment.name - 1));
    return segment;
  }

  bool NobodyElseUses() const {
    const UniqueFd fd(open(PathOf(name_).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    // Out of descriptors there is no telling; then the name stays for the family's life.
    if (!fd.valid()) return errno != ENOENT;
    return fstat(fd.get(), &status) == 0 && status.st_ino == inode_ &&
           !segment_lock::HeldByOthers(fd.get(), segment_lock::kUser);
  }
#endif

  // Someone who closes all descriptors (a daemon does) does not ask us, and the number may be another's by now.
  bool OwnsDescriptor() const {
    struct stat status {};
    return fd_.valid() && fstat(fd_.get(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
  }

  void CloseDescriptor() {
    if (!OwnsDescriptor()) fd_.Release();
    fd_.Reset();
  }

  const std::string name_;
  UniqueFd fd_;  // of an unnamed segment, to give it a name; a mapping needs none
  dev_t device_ = 0;
  ino_t inode_ = 0;
  size_t size_ = 0;
  bool is_named_ = false;
  bool is_gone_ = false;     // unlinked through this object
  bool is_managed_ = false;  // removed after its last user
  bool is_open_ = false;
  void* address_ = nullptr;
};

// ----------------------------------------------------------------------------------------------------- the bindings

Napi::Value Throw(Napi::Env env, const Failure& failure, const std::string& name) {
  ErrnoDetail detail;
  detail.path = name.c_str();
  return ThrowErrno(env, failure.error, failure.call, detail);
}

using Handle = std::shared_ptr<Segment>;

// { segment, buffer }: what the other bindings take, and the memory. Each has a share in the object.
Napi::Value Result(Napi::Env env, const Handle& segment) {
  auto* behind = new Handle(segment);
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
      env, segment->address(), segment->size(), [](Napi::Env, void*, Handle* handle) { delete handle; }, behind);
  if (env.IsExceptionPending()) {
    delete behind;
    return {};
  }
  napi_add_finalizer(
      env, buffer, new Handle(segment), [](napi_env, void* handle, void*) { delete static_cast<Handle*>(handle); },
      nullptr, nullptr);
  Napi::Object result = Napi::Object::New(env);
  result.Set("buffer", buffer);
  result.Set("segment", Napi::External<Handle>::New(env, new Handle(segment),
                                                    [](Napi::BasicEnv, Handle* handle) { delete handle; }));
  return result;
}

Segment& SegmentArgument(const Napi::CallbackInfo& info) {
  return **info[0].As<Napi::External<Handle>>().Data();
}

}  // namespace

// Binding: createSegment(name, size, unnamed) -> { segment, buffer }
Napi::Value CreateSegment(const Napi::CallbackInfo& info) {
  const std::string name = info[0].As<Napi::String>();
  Failure failure;
  auto segment = Segment::Create(name, static_cast<size_t>(info[1].As<Napi::Number>().Int64Value()),
                                 info[2].As<Napi::Boolean>(), &failure);
  if (failure) return Throw(info.Env(), failure, name);
  return Result(info.Env(), segment);
}

// Binding: attachSegment(name, maxSize) -> { segment, buffer }
Napi::Value AttachSegment(const Napi::CallbackInfo& info) {
  const std::string name = info[0].As<Napi::String>();
  Failure failure;
  auto segment = Segment::Attach(name, static_cast<size_t>(info[1].As<Napi::Number>().Int64Value()), &failure);
  if (failure) return Throw(info.Env(), failure, name);
  return Result(info.Env(), segment);
}

// Binding: linkSegment(segment, name)
Napi::Value LinkSegment(const Napi::CallbackInfo& info) {
  if (const Failure failure = SegmentArgument(info).Link())
    return Throw(info.Env(), failure, info[1].As<Napi::String>());
  return info.Env().Undefined();
}

// Binding: unlinkSegment(segment, name)
Napi::Value UnlinkSegment(const Napi::CallbackInfo& info) {
  if (const Failure failure = SegmentArgument(info).Unlink()) {
    return Throw(info.Env(), failure, info[1].As<Napi::String>());
  }
  return info.Env().Undefined();
}

// Binding: closeSegment(segment, buffer). The buffer has length 0 afterwards, and so has every view of it.
Napi::Value CloseSegment(const Napi::CallbackInfo& info) {
  // Fails when someone has already moved the memory to another ArrayBuffer, which Close() cares for.
  napi_detach_arraybuffer(info.Env(), info[1]);
  SegmentArgument(info).Close();
  return info.Env().Undefined();
}

}  // namespace realfork
