// Who uses a named segment of shared memory, as locks that the kernel takes back when a process ends in whatever way.
// The locks belong to open file descriptions (fcntl(2), "Open file description locks"): a mapping keeps its own alive
// without a descriptor, and processes forked from each other have it together.
//
//     user byte      read lock: a process has the segment mapped
//     tracker byte   read lock: a tracker (tracker_process.cc) will remove the name in the end
//     both           write lock: a tracker is removing the name
#ifndef REALFORK_NATIVE_SEGMENT_LOCK_H_
#define REALFORK_NATIVE_SEGMENT_LOCK_H_

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

namespace realfork::segment_lock {

struct Range {
  off_t start;
  off_t length;
};

// Far behind the end of any segment, out of the way of whoever locks records of its contents.
constexpr off_t kBase = off_t{1} << 62;
constexpr Range kUser = {kBase, 1};
constexpr Range kTracker = {kBase + 1, 1};
constexpr Range kBoth = {kBase, 2};

#if defined(F_OFD_SETLK)

inline struct flock Describe(short type, Range range) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = range.start;
  lock.l_len = range.length;
  return lock;
}

// F_RDLCK, F_WRLCK or F_UNLCK without waiting. False: somebody else holds a lock in the way (or errno says what else).
inline bool Set(int fd, short type, Range range) {
  struct flock lock = Describe(type, range);
  return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

// Whether another open file description holds a lock there. Any descriptor will do for the question.
inline bool HeldByOthers(int fd, Range range) {
  struct flock lock = Describe(F_WRLCK, range);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

#endif

}  // namespace realfork::segment_lock

#endif  // REALFORK_NATIVE_SEGMENT_LOCK_H_
