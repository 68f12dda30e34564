// Messages over descriptors: one system call each, EINTR retried, sizes and errors as numbers. What a message is, when
// to try again and what an error means is decided in lib/ipc/framing.ts.
//
// Nothing here changes a descriptor's file status flags: they belong to the open file description, which other
// processes share. Not waiting is asked for call by call (MSG_DONTWAIT).
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <vector>

#include "addon_data.h"
#include "arguments.h"
#include "bindings.h"
#include "poll_for.h"

namespace realfork {

namespace {

// unix(7): SCM_RIGHTS, Linux takes at most 253 descriptors at once.
constexpr size_t kMaxFds = 253;
constexpr size_t kHeaderBytes = 12;
constexpr size_t kInboxBytes = 128 * 1024;

// Shared with JavaScript, so that a call needs no arguments for what every message has.
struct Exchange {
  int32_t fd_count;       // descriptors that came with what was received last
  int32_t fds_truncated;  // recvmsg(2) MSG_CTRUNC: some did not fit the limit of this process, and are lost
  int32_t fds[kMaxFds + 1];
  uint8_t header[kHeaderBytes];  // in front of a packet, both ways
  uint8_t unused[16 - kHeaderBytes];
  uint8_t inbox[kInboxBytes];
};

// What a call does beyond the obvious; lib/ipc/framing.ts has the same numbers.
enum Mode : int32_t {
  kBlock = 1,      // wait until at least a part could be transferred
  kControl = 2,    // descriptors may come or go along
  kHeader = 4,     // the exchange's header stands in front
  kNoSocket = 8,   // a pipe or a terminal: read(2) and write(2)
  kNotMuch = 4096  // pipe(7): so much can be written without blocking to a pipe that poll(2) reports writable
};

Exchange* ExchangeOf(Napi::Env env) {
  auto* data = env.GetInstanceData<AddonData>();
  if (data->exchange == nullptr) {
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, sizeof(Exchange));
    data->exchange = buffer.Data();
    data->exchange_buffer = Napi::Persistent(buffer.As<Napi::Object>());
  }
  return static_cast<Exchange*>(data->exchange);
}

// Where the bytes of argument `index`, a Uint8Array, are.
uint8_t* BytesArgument(const Napi::CallbackInfo& info, size_t index) {
  void* data = nullptr;
  napi_get_typedarray_info(info.Env(), info[index], nullptr, nullptr, &data, nullptr, nullptr);
  return static_cast<uint8_t*>(data);
}

size_t SizeArgument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<size_t>(info[index].As<Napi::Number>().Int64Value());
}

// For descriptors without MSG_DONTWAIT.
bool IsReady(int fd, short events) {
  pollfd one = {fd, events, 0};
  return poll(&one, 1, 0) > 0;
}

// Takes the descriptors out of the control data. More than one SCM_RIGHTS message never comes, but would be taken too.
void TakeFds(msghdr* message, Exchange* exchange) {
  exchange->fds_truncated = (message->msg_flags & MSG_CTRUNC) != 0;
  for (cmsghdr* each = CMSG_FIRSTHDR(message); each != nullptr; each = CMSG_NXTHDR(message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
#if !defined(__linux__)
      fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
      if (exchange->fd_count < static_cast<int32_t>(kMaxFds)) {
        exchange->fds[exchange->fd_count++] = fd;
      } else {
        close(fd);
      }
    }
  }
}

ssize_t ReceiveOnce(int fd, int32_t mode, iovec* parts, size_t part_count, Exchange* exchange) {
  if (mode & kNoSocket) {
    if (!(mode & kBlock) && !IsReady(fd, POLLIN)) {
      errno = EAGAIN;
      return -1;
    }
    return readv(fd, parts, static_cast<int>(part_count));
  }
  int flags = mode & kBlock ? 0 : MSG_DONTWAIT;
#if defined(__linux__)
  flags |= MSG_CMSG_CLOEXEC;
#endif
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = part_count;
  // Without room for control data the kernel closes descriptors that nobody asked for.
  if (mode & kControl) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  const ssize_t size = recvmsg(fd, &message, flags);
  if (size >= 0 && (mode & kControl)) TakeFds(&message, exchange);
  return size;
}

ssize_t SendOnce(int fd, int32_t mode, iovec* parts, size_t part_count, const std::vector<int>& fds) {
  if (mode & kNoSocket) {
    if (!(mode & kBlock)) {
      if (!IsReady(fd, POLLOUT)) {
        errno = EAGAIN;
        return -1;
      }
      if (parts[0].iov_len > kNotMuch) parts[0].iov_len = kNotMuch;
    }
    return write(fd, parts[0].iov_base, parts[0].iov_len);
  }
  int flags = mode & kBlock ? 0 : MSG_DONTWAIT;
#if defined(MSG_NOSIGNAL)
  flags |= MSG_NOSIGNAL;
#endif
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = part_count;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  if (!fds.empty()) {
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * fds.size());
  }
  return sendmsg(fd, &message, flags);
}

// From 1 readable | 2 writable to poll(2)'s bits, and back; a hang-up or an error is both.
short Wanted(int32_t events) {
  return static_cast<short>((events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0));
}

int Happened(short revents) {
  if (revents & POLLNVAL) return -1;
  return (revents & ~POLLOUT ? 1 : 0) | (revents & ~POLLIN ? 2 : 0);
}

}  // namespace

// Binding: connectionExchange() -> the ArrayBuffer of the exchange, one for each environment.
Napi::Value ConnectionExchange(const Napi::CallbackInfo& info) {
  ExchangeOf(info.Env());
  return info.Env().GetInstanceData<AddonData>()->exchange_buffer.Value();
}

// Binding: connectionPair() -> two connected sockets that keep messages apart, or stream sockets where there are none
// such (macOS).
Napi::Value ConnectionPair(const Napi::CallbackInfo& info) {
#if defined(__linux__)
  int fds[2];
  const int result = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
  const int error = errno;
  if (result < 0) return ThrowErrno(info.Env(), error, "socketpair");
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, fds[0]);
  pair.Set(1u, fds[1]);
  return pair;
#else
  return SocketPair(info);
#endif
}

// Binding: socketKind(fd) -> 0 sockets of packets, 1 Unix stream sockets, 2 other stream sockets, 3 no socket at all;
// or a negative errno.
Napi::Value SocketKind(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = IntArgument(info, 0);
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return Napi::Number::New(env, errno == ENOTSOCK ? 3 : -errno);
  }
  if (type == SOCK_SEQPACKET) return Napi::Number::New(env, 0);
  sockaddr_storage address = {};
  size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return Napi::Number::New(env, -errno);
  return Napi::Number::New(env, address.ss_family == AF_UNIX ? 1 : 2);
}

// Binding: receive(fd, mode, target, offset, length) -> bytes received, the header's included, 0 at the end of file, or
// a negative errno. `target` undefined is the inbox.
Napi::Value Receive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = IntArgument(info, 0);
  const int32_t mode = IntArgument(info, 1);
  Exchange* exchange = ExchangeOf(env);
  uint8_t* target = info[2].IsUndefined() ? exchange->inbox : BytesArgument(info, 2);
  iovec parts[2] = {{exchange->header, kHeaderBytes}, {target + SizeArgument(info, 3), SizeArgument(info, 4)}};
  const size_t first = mode & kHeader ? 0 : 1;
  exchange->fd_count = 0;
  exchange->fds_truncated = 0;
  ssize_t size;
  do {
    size = ReceiveOnce(fd, mode, parts + first, 2 - first, exchange);
  } while (size < 0 && errno == EINTR);
  return Napi::Number::New(env, static_cast<double>(size < 0 ? -errno : size));
}

// Binding: send(fd, mode, bytes, offset, length, fds) -> bytes sent, the header's included, or a negative errno.
Napi::Value Send(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = IntArgument(info, 0);
  const int32_t mode = IntArgument(info, 1);
  iovec parts[2] = {{ExchangeOf(env)->header, kHeaderBytes},
                    {BytesArgument(info, 2) + SizeArgument(info, 3), SizeArgument(info, 4)}};
  std::vector<int> fds;
  if (mode & kControl) {
    Napi::Array given = info[5].As<Napi::Array>();
    for (uint32_t i = 0; i < given.Length() && i < kMaxFds; i++) {
      fds.push_back(given.Get(i).As<Napi::Number>().Int32Value());
    }
  }
  const size_t first = mode & kHeader ? 0 : 1;
  ssize_t size;
  do {
    size = SendOnce(fd, mode, parts + first, 2 - first, fds);
  } while (size < 0 && errno == EINTR);
  return Napi::Number::New(env, static_cast<double>(size < 0 ? -errno : size));
}

// Binding: pollFd(fd, events, milliseconds) -> what has happened of UV_READABLE (1) and UV_WRITABLE (2) and hang-ups
// (as both), 0 when the time is over, or a negative errno. Blocks the thread; -1 waits for ever.
Napi::Value PollFd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int32_t events = IntArgument(info, 1);
  pollfd one = {IntArgument(info, 0), Wanted(events), 0};
  const int ready = PollFor(&one, 1, info[2].As<Napi::Number>().DoubleValue());
  if (ready <= 0) return Napi::Number::New(env, ready);
  return Napi::Number::New(env, one.revents & POLLNVAL ? -EBADF : Happened(one.revents));
}

// Binding: pollFds(fds, events, milliseconds) -> for each descriptor what has happened, as in pollFd (-1: not open), or
// a negative errno. Blocks the thread; -1 waits for ever.
Napi::Value PollFds(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array given = info[0].As<Napi::Array>();
  std::vector<pollfd> fds(given.Length());
  Napi::Array events = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < fds.size(); i++) {
    fds[i] = {given.Get(i).As<Napi::Number>().Int32Value(), Wanted(events.Get(i).As<Napi::Number>().Int32Value()), 0};
  }
  const int ready = PollFor(fds.data(), fds.size(), info[2].As<Napi::Number>().DoubleValue());
  if (ready < 0) return Napi::Number::New(env, ready);
  Napi::Array result = Napi::Array::New(env, fds.size());
  for (uint32_t i = 0; i < fds.size(); i++) {
    result.Set(i, Napi::Number::New(env, Happened(fds[i].revents)));
  }
  return result;
}

// Binding: closeFd(fd) -> 0 or a negative errno. close(2) NOTES: never tried again.
Napi::Value CloseFd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), close(IntArgument(info, 0)) == 0 ? 0 : -errno);
}

}  // namespace realfork
