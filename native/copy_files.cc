// Many small files of one folder in one call. For these the time goes into opening, naming and closing, so the two
// folders are opened once, and each file takes the least number of system calls that keeps what it has and never shows
// half of it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/ioctl.h>
#endif

#include <memory>
#include <string>

#include "bindings.h"
#include "copy.h"
#include "unique_fd.h"

namespace realfork {

namespace {

// What one read(2) and write(2) move. 256 KB stays in the second-level cache between the two.
constexpr size_t kBufferBytes = 256 * 1024;

// How a folder is opened to reach files in it by name: that takes the right to search it, and not to list it.
#if defined(O_PATH)
constexpr int kSearch = O_PATH | O_DIRECTORY | O_CLOEXEC;
#else
constexpr int kSearch = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
#endif

class SmallFiles {
 public:
  SmallFiles(int from, int to, const std::string& temporary, bool replace)
      : from_(from), to_(to), temporary_(temporary), replace_(replace), buffer_(new char[kBufferBytes]) {}

  // Copies one; `on_source`: what failed was about the source.
  Failure Copy(const std::string& name, const std::string& new_name, bool* on_source) {
    *on_source = true;
    // O_NONBLOCK: what has become a FIFO since it was looked at must not make us wait for a writer.
    const UniqueFd source(openat(from_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!source.valid()) return Failed("open");
    struct stat stat;
    if (fstat(source.get(), &stat) != 0) return Failed("fstat");
    if (!S_ISREG(stat.st_mode)) return {"open", EINVAL};
    *on_source = false;
    // Born with its mode, a file needs no fchmod(2). Not so somebody else's: what their group may read, ours may not.
    const UniqueFd target = Create(stat.st_uid == user_ ? stat.st_mode & 0777 : 0600);
    if (!target.valid()) return Failed("open");
    Failure failure;
    if (!Clone(source.get(), target.get(), stat.st_size)) {
      failure = CopyContent(source.get(), target.get(), stat.st_size);
      *on_source = failure && failure.syscall[0] == 'r';
    }
    if (!failure) failure = GiveAttributes(target.get(), stat);
    if (!failure) failure = GiveName(target.get(), new_name);
    if (failure && is_named_) unlinkat(to_, temporary_.c_str(), 0);
    return failure;
  }

 private:
  // A file without a name, which nobody sees and which is gone with this process, whatever ends it. Where the file
  // system has none, one with a temporary name.
  UniqueFd Create(mode_t mode) {
#if defined(__linux__)
    if (!is_named_) {
      UniqueFd fd(openat(to_, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
      // open(2): EOPNOTSUPP from the file system; EISDIR from kernels that do not know the flag.
      if (fd.valid() || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
    }
#endif
    is_named_ = true;
    return UniqueFd(openat(to_, temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  }

  bool Clone(int source, int target, off_t size) {
#if defined(__linux__)
    if (size == 0 || !clones_) return false;
    if (ioctl(target, FICLONE, source) == 0) return true;
    // ioctl_ficlone(2): what concerns the file systems, and not this one file, is the same for the next.
    clones_ = errno != EOPNOTSUPP && errno != EXDEV && errno != ENOTTY;
    return false;
#else
    return false;
#endif
  }

  // By read(2) and write(2): for so few bytes nothing is faster. The size spares a small file the read that finds its
  // end; files of /proc say that they have 0 bytes, and are read until there is no more.
  Failure CopyContent(int source, int target, off_t size) {
    off_t copied = 0;
    for (;;) {
      const ssize_t got = read(source, buffer_.get(), kBufferBytes);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Failed("read");
      if (got == 0) return {};
      for (ssize_t done = 0; done < got;) {
        const ssize_t put = write(target, buffer_.get() + done, got - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return Failed("write");
        done += put;
      }
      copied += got;
      if (size > 0 && copied >= size && static_cast<size_t>(got) < kBufferBytes) return {};
    }
  }

  Failure GiveName(int target, const std::string& name) {
#if defined(__linux__)
    if (!is_named_) {
      if (Link(target, name) == 0) return {};
      if (errno != EEXIST || !replace_) return Failed("link");
      // link(2) does not replace; rename(2) does, and takes a name.
      if (Link(target, temporary_) != 0) return Failed("link");
      if (renameat(to_, temporary_.c_str(), to_, name.c_str()) == 0) return {};
      const Failure failure = Failed("rename");
      unlinkat(to_, temporary_.c_str(), 0);
      return failure;
    }
#endif
    return RenameAt(to_, temporary_, name, replace_);
  }

#if defined(__linux__)
  int Link(int target, const std::string& name) {
    if (by_descriptor_) {
      if (linkat(target, "", to_, name.c_str(), AT_EMPTY_PATH) == 0) return 0;
      // open(2) O_TMPFILE: before Linux 6.10 it takes CAP_DAC_READ_SEARCH, and answers ENOENT without.
      if (errno != ENOENT) return -1;
      by_descriptor_ = false;
    }
    const std::string path = "/proc/self/fd/" + std::to_string(target);
    return linkat(AT_FDCWD, path.c_str(), to_, name.c_str(), AT_SYMLINK_FOLLOW);
  }
#endif

  const int from_;
  const int to_;
  const std::string& temporary_;
  const bool replace_;
  const std::unique_ptr<char[]> buffer_;
  const uid_t user_ = geteuid();
  bool is_named_ = false;
#if defined(__linux__)
  bool clones_ = true;
  bool by_descriptor_ = true;
#endif
};

class FailureList {
 public:
  explicit FailureList(Napi::Env env) : env_(env), list_(Napi::Array::New(env)) {}

  void Add(uint32_t index, const Failure& failure, bool on_source) {
    Napi::Object entry = Napi::Object::New(env_);
    entry.Set("index", index);
    entry.Set("errno", failure.error);
    entry.Set("syscall", failure.syscall);
    entry.Set("onSource", on_source);
    list_.Set(count_++, entry);
  }

  Napi::Value list() const {
    return list_;
  }

 private:
  const Napi::Env env_;
  Napi::Array list_;
  uint32_t count_ = 0;
};

}  // namespace

// Binding: copyFiles(folder, toFolder, names, newNames, temporary, replace) -> the failures: { index, errno, syscall,
// onSource }. The rest is there, with mode, times and (where permitted) owner of the source, and where the file system
// can, its blocks (ioctl_ficlone(2)). `temporary`: a name in `toFolder` for where a file cannot do without one; not
// left behind.
Napi::Value CopyFiles(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string folder = BytesOf(env, info[0]);
  const std::string to_folder = BytesOf(env, info[1]);
  const Napi::Array names = info[2].As<Napi::Array>();
  const Napi::Array new_names = info[3].As<Napi::Array>();
  const std::string temporary = BytesOf(env, info[4]);
  const bool replace = info[5].As<Napi::Boolean>();
  FailureList failures(env);

  const UniqueFd from(open(folder.c_str(), kSearch));
  const Failure no_source = from.valid() ? Failure() : Failed("open");
  const UniqueFd to(open(to_folder.c_str(), kSearch));
  const Failure no_target = to.valid() ? Failure() : Failed("open");
  SmallFiles files(from.get(), to.get(), temporary, replace);
  for (uint32_t index = 0; index < names.Length(); index++) {
    const Napi::HandleScope scope(env);
    bool on_source = static_cast<bool>(no_source);
    Failure failure = no_source ? no_source : no_target;
    if (!failure) failure = files.Copy(BytesOf(env, names[index]), BytesOf(env, new_names[index]), &on_source);
    if (failure) failures.Add(index, failure, on_source);
  }
  return failures.list();
}

}  // namespace realfork
