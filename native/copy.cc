// What copying files takes beside Node's fs: attributes to the nanosecond, names that are never overwritten, the
// kernel's own way of copying ranges, and where the data of a sparse file is.
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/syscall.h>
#endif

#include <string>

#include "arguments.h"
#include "bindings.h"

namespace realfork {

namespace {

#if defined(__APPLE__)
timespec AccessTime(const struct stat& stat) {
  return stat.st_atimespec;
}
timespec ChangeTime(const struct stat& stat) {
  return stat.st_mtimespec;
}
#else
timespec AccessTime(const struct stat& stat) {
  return stat.st_atim;
}
timespec ChangeTime(const struct stat& stat) {
  return stat.st_mtim;
}
#endif

Napi::Value Throw(Napi::Env env, const Failure& failure, const std::string& path) {
  ErrnoDetail detail;
  detail.path = path.c_str();
  return ThrowErrno(env, failure.error, failure.syscall, detail);
}

// Owner and group as far as this process may give them; whether both are as in `like`.
bool GiveOwner(int fd, const struct stat& like, const struct stat& now) {
  if (now.st_uid == like.st_uid && now.st_gid == like.st_gid) return true;
  if (fchown(fd, like.st_uid, like.st_gid) == 0) return true;
  // Somebody else's file, copied by who is not root: the group may still be one of ours.
  if (fchown(fd, static_cast<uid_t>(-1), like.st_gid) != 0) return false;
  return now.st_uid == like.st_uid;
}

// Whether an errno says that this pair of files cannot be copied or cloned inside the kernel, as coreutils has it.
bool KernelCannot(int error) {
  switch (error) {
    case ENOSYS:
    case ENOTTY:
    case EOPNOTSUPP:
    case EINVAL:
    case EBADF:
    case EXDEV:
    case ETXTBSY:
    case EPERM:
    case EACCES:
      return true;
    default:
      return false;
  }
}

}  // namespace

// The owner first: chown(2) takes the set-user-ID bits away, and those must not be had by another owner than before.
Failure GiveAttributes(int fd, const struct stat& like) {
  struct stat now;
  if (fstat(fd, &now) != 0) return Failed("fstat");
  const bool unchanged = now.st_uid == like.st_uid && now.st_gid == like.st_gid;
  const bool owned = GiveOwner(fd, like, now);
  const mode_t kept = owned ? 07777 : 01777;
  const mode_t mode = like.st_mode & kept;
  if ((now.st_mode & 07777) != mode || !unchanged) {
    if (fchmod(fd, mode) != 0) return Failed("fchmod");
  }
  const timespec times[2] = {AccessTime(like), ChangeTime(like)};
  if (futimens(fd, times) != 0) return Failed("futimens");
  return {};
}

// Binding: giveAttributes(from, to): mode, times and (where permitted) owner of one open file to another.
Napi::Value GiveAttributesOf(const Napi::CallbackInfo& info) {
  const int from = IntArgument(info, 0);
  const int to = IntArgument(info, 1);
  struct stat stat;
  Failure failure;
  if (fstat(from, &stat) != 0) failure = Failed("fstat");
  if (!failure) failure = GiveAttributes(to, stat);
  if (failure) return ThrowErrno(info.Env(), failure.error, failure.syscall, OnDescriptor(to));
  return info.Env().Undefined();
}

Failure RenameAt(int folder, const std::string& from, const std::string& to, bool replace) {
  const char* old_name = from.c_str();
  const char* new_name = to.c_str();
  if (replace) return renameat(folder, old_name, folder, new_name) == 0 ? Failure() : Failed("rename");
#if defined(__linux__)
  // By its number: glibc and musl have the function only since 2.28 and 1.2.5.
  if (syscall(SYS_renameat2, folder, old_name, folder, new_name, RENAME_NOREPLACE) == 0) return {};
#elif defined(__APPLE__)
  if (renameatx_np(folder, old_name, folder, new_name, RENAME_EXCL) == 0) return {};
#else
  errno = ENOSYS;
#endif
  // rename(2): EINVAL where the file system does not have the flag. link(2) never replaces either.
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return Failed("rename");
  if (linkat(folder, old_name, folder, new_name, 0) == 0) {
    unlinkat(folder, old_name, 0);
    return {};
  }
  if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) return Failed("link");
  // Neither does it have links (FUSE): look first, and the name may be taken between the two.
  struct stat stat;
  if (fstatat(folder, new_name, &stat, AT_SYMLINK_NOFOLLOW) == 0) return {"rename", EEXIST};
  return renameat(folder, old_name, folder, new_name) == 0 ? Failure() : Failed("rename");
}

// Binding: renameFile(from, to, replace) -> false when `to` exists and `replace` is false.
Napi::Value RenameFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string from = BytesOf(env, info[0]);
  const std::string to = BytesOf(env, info[1]);
  const bool replace = info[2].As<Napi::Boolean>();
  const Failure failure = RenameAt(AT_FDCWD, from, to, replace);
  if (!failure) return Napi::Boolean::New(env, true);
  if (!replace && failure.error == EEXIST) return Napi::Boolean::New(env, false);
  return Throw(env, failure, to);
}

// Binding: setTimes(path, accessSeconds, accessNanoseconds, seconds, nanoseconds), of a symbolic link its own.
// Node's fs takes seconds as one double, which keeps a quarter of a microsecond.
Napi::Value SetTimes(const Napi::CallbackInfo& info) {
  const std::string path = BytesOf(info.Env(), info[0]);
  timespec times[2];
  for (int i = 0; i < 2; i++) {
    times[i].tv_sec = info[1 + 2 * i].As<Napi::Number>().Int64Value();
    times[i].tv_nsec = info[2 + 2 * i].As<Napi::Number>().Int64Value();
  }
  const int result = utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  if (result != 0) return Throw(info.Env(), Failed("utimensat"), path);
  return info.Env().Undefined();
}

// Binding: copyFileRange(from, to, offset, length) -> bytes copied at the same offset, 0 at the end of the file, or -1
// when the kernel cannot copy between the two.
Napi::Value CopyFileRange(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int from = IntArgument(info, 0);
  const int to = IntArgument(info, 1);
#if defined(__linux__)
  off64_t from_offset = info[2].As<Napi::Number>().Int64Value();
  off64_t to_offset = from_offset;
  const size_t length = static_cast<size_t>(info[3].As<Napi::Number>().Int64Value());
  ssize_t result;
  do {
    result = copy_file_range(from, &from_offset, to, &to_offset, length, 0);
  } while (result < 0 && errno == EINTR);
#else
  const ssize_t result = -1;
  errno = ENOSYS;
  (void)from;
#endif
  const int error = errno;
  if (result < 0 && !KernelCannot(error)) return ThrowErrno(env, error, "copy_file_range", OnDescriptor(to));
  return Napi::Number::New(env, static_cast<double>(result));
}

// Binding: seekData(fd, offset, hole) -> where the next data (or hole) begins, at `offset` or later; -1 where there is
// no more data. A file system that knows of no holes has data everywhere, lseek(2).
Napi::Value SeekData(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = IntArgument(info, 0);
  const off_t offset = info[1].As<Napi::Number>().Int64Value();
  const bool hole = info[2].As<Napi::Boolean>();
  off_t result = lseek(fd, offset, hole ? SEEK_HOLE : SEEK_DATA);
  const int error = errno;
  if (result < 0 && error == EINVAL)
    result = hole ? lseek(fd, 0, SEEK_END) : offset;
  else if (result < 0 && error != ENXIO)
    return ThrowErrno(env, error, "lseek", OnDescriptor(fd));
  return Napi::Number::New(env, static_cast<double>(result));
}

}  // namespace realfork
