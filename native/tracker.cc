// The members' side of the tracker: making it, and telling it.
#include "tracker.h"

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "arena.h"
#include "scoped_signal_mask.h"
#include "unique_fd.h"

namespace realfork::tracker {

namespace {

// A tracker that has been stopped must not stop its family for ever.
constexpr int kPatienceSeconds = 5;
// The segments below which it is not worth looking which of them are gone.
constexpr size_t kFewSegments = 64;

// The way to the tracker, inherited by fork. One per process, not per environment: a Worker's segments are the family's
// too. Never destroyed, so that nothing runs at exit.
struct Link {
  std::mutex mutex;  // between the main thread and Workers; never held across a fork
  int fd = -1;
  ino_t identity = 0;  // of the socket: someone who closes all descriptors does not ask us
  pid_t tracker = 0;
  pid_t maker = 0;
  std::vector<Segment> watched;  // what a new tracker would have to know
  size_t worth_a_look = kFewSegments;
};

Link& Family() {
  static auto& link = *new Link;
  return link;
}

ino_t IdentityOf(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

bool IsConnected(const Link& link) {
  return link.fd >= 0 && IdentityOf(link.fd) == link.identity;
}

// `along`: a descriptor to go with it, unix(7) SCM_RIGHTS.
int Send(const Link& link, Message message, int along = -1) {
  if (!IsConnected(link)) return EPIPE;
  iovec bytes = {&message, sizeof message};
  msghdr letter{};
  letter.msg_iov = &bytes;
  letter.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof along)] = {};
  if (along >= 0) {
    letter.msg_control = control;
    letter.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&letter);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof along);
    memcpy(CMSG_DATA(rights), &along, sizeof along);
  }
  ssize_t sent;
  do {
    sent = sendmsg(link.fd, &letter, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

// The tracker is a child that is not waited for like others: it sends no signal at its end, and waitpid(2) overlooks it
// without __WCLONE. As a grandchild it would be adopted, and become an ordinary child of a subreaper.
pid_t CloneQuietly() {
  return static_cast<pid_t>(syscall(SYS_clone, 0, 0, 0, 0, 0));
}

// The tracker does not answer: it has ended, or somebody has closed our end.
void Leave(Link* link) {
  const bool has_ended = IsConnected(*link);
  if (has_ended) close(link->fd);
  link->fd = -1;
  if (has_ended && link->maker == getpid()) {
    while (waitpid(link->tracker, nullptr, __WCLONE) < 0 && errno == EINTR) continue;
  }
  link->tracker = 0;
}

lean::Plan plan;  // too large for a Worker's stack

int Start(Link* link, const char** call) {
  int fds[2];
  *call = "socketpair";
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return errno;
  UniqueFd ours(fds[0]);
  UniqueFd theirs(fds[1]);
  const timeval patience = {kPatienceSeconds, 0};
  setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  lean::MakePlan(&plan);
  *call = "clone";
  ScopedSignalMask blocked;  // in the tracker for good: what ends its family, Ctrl-C say, must not end it
  const pid_t pid = CloneQuietly();
  if (pid < 0) return errno;
  if (pid == 0) Run(theirs.get(), plan);
  theirs.Reset();
  // Until it has given everything back it shares our memory, each page of it copied when we write, and holds our pipes.
  char ready;
  if (recv(ours.get(), &ready, sizeof ready, 0) == 0) {
    waitpid(pid, nullptr, __WCLONE);
    return EAGAIN;
  }
  link->identity = IdentityOf(ours.get());
  link->fd = ours.Release();
  link->tracker = pid;
  link->maker = getpid();
  const UniqueFd arena = arena::OpenAgain();
  if (arena.valid()) Send(*link, {News::kFamily, 0, {}}, arena.get());
  return 0;
}

bool IsSame(const Segment& one, const Segment& other) {
  return one.device == other.device && one.inode == other.inode;
}

void Drop(Link* link, const Segment& segment) {
  auto& watched = link->watched;
  watched.erase(
      std::remove_if(watched.begin(), watched.end(), [&](const Segment& one) { return IsSame(one, segment); }),
      watched.end());
}

// Segments that others have unlinked stay on the list until it has grown to twice its size.
void DropTheGone(Link* link) {
  auto& watched = link->watched;
  if (watched.size() < link->worth_a_look) return;
  const auto gone = [](const Segment& segment) {
    char path[sizeof "/dev/shm/" + NAME_MAX] = "/dev/shm/";
    strcat(path, segment.name);
    struct stat status {};
    return stat(path, &status) != 0 || status.st_ino != segment.inode;
  };
  watched.erase(std::remove_if(watched.begin(), watched.end(), gone), watched.end());
  link->worth_a_look = std::max(kFewSegments, watched.size() * 2);
}

}  // namespace

int Watch(const Segment& segment, const char** call) {
  Link& link = Family();
  const std::lock_guard<std::mutex> lock(link.mutex);
  *call = "send";
  const Message message = {News::kWatch, 0, segment};
  int error = Send(link, message);
  if (error == EPIPE || error == ECONNRESET) {
    Leave(&link);
    error = Start(&link, call);
    if (error != 0) return error;
    *call = "send";
    for (const Segment& known : link.watched) {
      if (error == 0) error = Send(link, {News::kWatch, 0, known});
    }
    if (error == 0) error = Send(link, message);
  }
  if (error != 0) return error;
  Drop(&link, segment);
  DropTheGone(&link);
  link.watched.push_back(segment);
  return 0;
}

void Forget(const Segment& segment) {
  Link& link = Family();
  const std::lock_guard<std::mutex> lock(link.mutex);
  Drop(&link, segment);
  Send(link, {News::kForget, 0, segment});
}

void Tell(News news, const Segment& segment, bool last) {
  Link& link = Family();
  const std::lock_guard<std::mutex> lock(link.mutex);
  Send(link, {news, last ? 1u : 0u, segment});
}

void Settle() {
  Link& link = Family();
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return;
  const UniqueFd done(fds[0]);
  UniqueFd theirs(fds[1]);
  {
    const std::lock_guard<std::mutex> lock(link.mutex);
    if (Send(link, {News::kSettle, 0, {}}, theirs.get()) != 0) return;
  }
  theirs.Reset();
  pollfd end = {done.get(), 0, 0};
  poll(&end, 1, kPatienceSeconds * 1000);
}

}  // namespace realfork::tracker

#endif
