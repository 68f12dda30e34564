// The tracker itself, a process of system calls only: no heap, no JavaScript, no lock.
//
// A name is removed when nobody has the segment mapped any more, with one exception: as long as the family lives, a
// segment that its last user closed in good order stays, because close() gives up an access and not the segment. It can
// be attached again, or unlinked, or handed over by name. In short:
//
//     last user           the family lives       the family is gone
//     closed it           stays                  removed
//     ended, was killed   removed                removed
//
// The family lives on after the last member where others of the arena do (tracker.h): nobody tells of their end, so
// that they are looked for as long as a segment stays for them.
//
// "Nobody" includes other families. Each family's tracker holds the tracker byte (segment_lock.h) of what it watches,
// and a name is removed under the write lock on both bytes, which the last of them gets.
#include "tracker.h"

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "arena.h"
#include "segment_lock.h"

namespace realfork::tracker {

namespace {

using segment_lock::HeldByOthers;
using segment_lock::kBoth;
using segment_lock::kTracker;
using segment_lock::kUser;
using segment_lock::Set;

// The kernel reports that a file was closed just before it takes the locks away (fs/file_table.c, __fput): what is held
// still is looked at again, after 1, 2, 4 ... milliseconds.
constexpr int kFirstPause = 1;
constexpr int kLastPause = 1024;
// Without inotify (its instances are limited per user), and without members, the tracker looks once a second, while it
// has segments.
constexpr int kBlindPause = 1000;
constexpr int kForEver = -1;

struct Entry {
  Segment segment;
  int fd;     // -1: the name is announced and was not seen yet
  int watch;  // inotify's, -1 without
  // Members between kClosing and kClosed. One that is killed there leaves the count up: the name then stays until the
  // family is gone.
  uint32_t closing;
  bool is_kept;   // the last user closed it in good order
  bool is_dirty;  // something happened, look at it
  bool is_free;   // nobody had it mapped a moment ago
};

class Tracker {
 public:
  explicit Tracker(int messages) : messages_(messages) {
    directory_ = open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC);
    changes_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  }

  void Run() {
    int pause = kForEver;
    while (has_members_ || count_ > 0) {
      const bool news = Wait(pause);
      // An orderly user sends kClosing before the change that it makes can be seen: changes first, then messages.
      ReadChanges();
      ReadMessages();
      LookForFamily();
      if (changes_ < 0) Touch();
      const size_t asking = asking_;
      LookAround();
      Answer(asking);
      pause = asking_ > 0 ? 0 : NextPause(pause, news);
    }
  }

 private:
  // ------------------------------------------------------------------------------------------------- what happens

  bool Wait(int pause) {
    pollfd sources[] = {{has_members_ ? messages_ : -1, POLLIN, 0}, {changes_, POLLIN, 0}};
    return poll(sources, 2, pause) > 0;
  }

  int NextPause(int pause, bool news) {
    bool is_dirty = false;
    for (size_t i = 0; i < count_; i++) is_dirty |= table_[i].is_dirty;
    const int rest = !has_members_ && family_lives_ ? kBlindPause : kForEver;
    if (changes_ < 0) return count_ > 0 ? kBlindPause : kForEver;
    if (!is_dirty) return rest;
    const int next = news || pause == kForEver ? kFirstPause : pause * 2;
    if (next <= kLastPause) return next;
    for (size_t i = 0; i < count_; i++) table_[i].is_dirty = false;  // in use by others; they will be heard
    return rest;
  }

  void LookForFamily() {
    if (has_members_ || !family_lives_) return;
    family_lives_ = arena_ >= 0 && arena::FamilyLives(arena_);
    Touch();  // another tracker may have come, which takes over
  }

  void ReadChanges() {
    alignas(inotify_event) char events[4096];
    ssize_t length;
    while (changes_ >= 0 && (length = read(changes_, events, sizeof events)) > 0) {
      for (ssize_t at = 0; at < length;) {
        const auto* event = reinterpret_cast<const inotify_event*>(events + at);
        if (event->mask & IN_Q_OVERFLOW) Touch();
        for (size_t i = 0; i < count_; i++) {
          if (table_[i].watch == event->wd) table_[i].is_dirty = true;
        }
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
  }

  void ReadMessages() {
    Message message;
    while (has_members_) {
      iovec bytes = {&message, sizeof message};
      alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
      msghdr letter{};
      letter.msg_iov = &bytes;
      letter.msg_iovlen = 1;
      letter.msg_control = control;
      letter.msg_controllen = sizeof control;
      const ssize_t length = recvmsg(messages_, &letter, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      const cmsghdr* rights = length > 0 ? CMSG_FIRSTHDR(&letter) : nullptr;
      if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) TakeDescriptor(message.news, rights);
      if (length == static_cast<ssize_t>(sizeof message)) {
        Take(message);
      } else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        has_members_ = false;
        Touch();
      } else if (errno == EAGAIN) {
        return;
      }
    }
  }

  void TakeDescriptor(News news, const cmsghdr* rights) {
    int fd;
    __builtin_memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    if (news == News::kFamily && arena_ < 0) {
      arena_ = fd;
    } else if (news == News::kSettle && asking_ < kMostAsking) {
      askers_[asking_++] = fd;  // somebody waits for its end
    } else {
      close(fd);
    }
  }

  // Those that asked before the last look around.
  void Answer(size_t asking) {
    for (size_t i = 0; i < asking; i++) close(askers_[i]);
    for (size_t i = asking; i < asking_; i++) askers_[i - asking] = askers_[i];
    asking_ -= asking;
  }

  void Take(const Message& message) {
    Entry* entry = Find(message.segment);
    if (entry == nullptr && message.news == News::kWatch) entry = Add(message.segment);
    if (entry == nullptr) return;
    entry->is_dirty = true;
    switch (message.news) {
      case News::kWatch:
        entry->is_kept = false;
        break;
      case News::kForget:
        if (entry->fd < 0) Remove(static_cast<size_t>(entry - table_));
        break;
      case News::kClosing:
        entry->closing++;
        break;
      case News::kClosed:
        if (entry->closing > 0) entry->closing--;
        if (message.last != 0) entry->is_kept = true;
        break;
      case News::kSettle:
      case News::kFamily:
        break;
    }
  }

  void Touch() {
    for (size_t i = 0; i < count_; i++) table_[i].is_dirty = true;
  }

  // -------------------------------------------------------------------------------------------------- what is done

  void LookAround() {
    bool some_free = false;
    for (size_t i = count_; i-- > 0;) {
      Entry& entry = table_[i];
      entry.is_free = false;
      if (!entry.is_dirty) continue;
      if (!Open(&entry) || IsUnlinked(entry)) {
        // An announced name may still come, from a member that lives.
        if (entry.fd >= 0 || !has_members_)
          Remove(i);
        else
          entry.is_dirty = false;
        continue;
      }
      entry.is_free = !HeldByOthers(entry.fd, kUser);
      some_free |= entry.is_free;
    }
    if (!some_free && has_members_) return;
    // Whoever gave up the mapping in good order said so before the look above could find it free.
    ReadMessages();
    for (size_t i = count_; i-- > 0;) {
      if (table_[i].is_dirty) Decide(i);
    }
  }

  void Decide(size_t index) {
    Entry& entry = table_[index];
    if (entry.fd < 0) return;
    if (!has_members_ && LeaveToAnother(entry)) {
      Remove(index);
      return;
    }
    if (!entry.is_free) return;
    if (has_members_ && entry.closing > 0) return;  // the member's kClosed will tell
    if (family_lives_ && entry.is_kept) {
      entry.is_dirty = false;
      return;
    }
    if (Unlink(entry)) Remove(index);
  }

  // False while somebody has an interest in the name.
  bool Unlink(const Entry& entry) {
    if (!Set(entry.fd, F_WRLCK, kBoth) && (errno == EAGAIN || errno == EACCES)) return false;
    struct stat status {};
    if (fstatat(directory_, entry.segment.name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino == entry.segment.inode && status.st_dev == entry.segment.device) {
      unlinkat(directory_, entry.segment.name, 0);
    }
    return true;
  }

  // A tracker without members goes when another one watches the name. Each gives up its own lock before it looks for
  // others', so that of two that go at the same time at least one sees nobody and stays.
  bool LeaveToAnother(const Entry& entry) {
    if (!HeldByOthers(entry.fd, kTracker)) return false;
    Set(entry.fd, F_UNLCK, kTracker);
    if (HeldByOthers(entry.fd, kTracker)) return true;
    Set(entry.fd, F_RDLCK, kTracker);
    return false;
  }

  // ----------------------------------------------------------------------------------------------------- the table

  Entry* Find(const Segment& segment) {
    for (size_t i = 0; i < count_; i++) {
      const Segment& other = table_[i].segment;
      if (other.inode == segment.inode && other.device == segment.device) return &table_[i];
    }
    return nullptr;
  }

  Entry* Add(const Segment& segment) {
    if (count_ == room_ && !Grow()) return nullptr;
    Entry* entry = &table_[count_++];
    *entry = Entry{};
    entry->segment = segment;
    entry->fd = entry->watch = -1;
    return entry;
  }

  void Remove(size_t index) {
    Entry& entry = table_[index];
    if (entry.watch >= 0) inotify_rm_watch(changes_, entry.watch);
    if (entry.fd >= 0) {
      // Before the close that other trackers hear of.
      Set(entry.fd, F_UNLCK, kBoth);
      close(entry.fd);
    }
    entry = table_[--count_];
  }

  bool Grow() {
    const size_t room = room_ == 0 ? 64 : room_ * 2;
    void* table = room_ == 0
                      ? mmap(nullptr, room * sizeof(Entry), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                      : mremap(table_, room_ * sizeof(Entry), room * sizeof(Entry), MREMAP_MAYMOVE);
    if (table == MAP_FAILED) return false;
    table_ = static_cast<Entry*>(table);
    room_ = room;
    return true;
  }

  bool Open(Entry* entry) {
    if (entry->fd >= 0) return true;
    const int fd = openat(directory_, entry->segment.name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    struct stat status {};
    if (fstat(fd, &status) != 0 || status.st_ino != entry->segment.inode || status.st_dev != entry->segment.device) {
      close(fd);
      return false;
    }
    Set(fd, F_RDLCK, kTracker);
    entry->fd = fd;
    if (changes_ >= 0) {
      char path[sizeof "/dev/shm/" + NAME_MAX] = "/dev/shm/";
      size_t end = sizeof "/dev/shm/" - 1;
      for (const char* from = entry->segment.name; *from != '\0';) path[end++] = *from++;
      path[end] = '\0';
      // IN_ATTRIB tells of the name's removal; the file itself stays as long as it is open here.
      entry->watch = inotify_add_watch(changes_, path, IN_CLOSE_WRITE | IN_ATTRIB);
    }
    return true;
  }

  static bool IsUnlinked(const Entry& entry) {
    struct stat status {};
    return fstat(entry.fd, &status) == 0 && status.st_nlink == 0;
  }

  int messages_;
  int changes_ = -1;
  int directory_ = -1;
  int arena_ = -1;  // the family's, opened anew
  bool has_members_ = true;
  bool family_lives_ = true;
  static constexpr size_t kMostAsking = 64;
  int askers_[kMostAsking];
  size_t asking_ = 0;
  Entry* table_ = nullptr;
  size_t count_ = 0;
  size_t room_ = 0;
};

}  // namespace

void Run(int messages, const lean::Plan& plan) {
  // A session of its own: what is sent to the family's process group or terminal is not for the tracker.
  setsid();
  prctl(PR_SET_NAME, "realfork-shm");
  lean::CloseAllBut(messages);
  lean::GiveMemoryBack(plan);
  if (chdir("/") != 0) _exit(1);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;  // a descriptor for each segment
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  const char ready = 0;
  if (send(messages, &ready, sizeof ready, MSG_NOSIGNAL) < 0) _exit(1);
  Tracker(messages).Run();
  _exit(0);
}

}  // namespace realfork::tracker

#endif
