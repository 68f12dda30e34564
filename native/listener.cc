// Sockets that listen, and sockets that connect to them. Each function returns a descriptor, or a negative errno.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "arguments.h"
#include "bindings.h"
#include "unique_fd.h"

namespace realfork {

namespace {

struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;

  sockaddr* get() {
    return reinterpret_cast<sockaddr*>(&storage);
  }
};

// A path (on Linux one that begins with a NUL is a name outside of the file system: unix(7)) or a numeric host with a
// port. 0 or a negative errno.
int ParseAddress(const Napi::Value& host_or_path, const Napi::Value& port, Address* address) {
  const std::string text = host_or_path.As<Napi::String>();
  if (port.IsUndefined()) {
    auto* local = reinterpret_cast<sockaddr_un*>(&address->storage);
    // A path needs its final NUL, a name has none.
    const bool is_path = text.empty() || text[0] != '\0';
    if (text.size() + is_path > sizeof local->sun_path) return -ENAMETOOLONG;
    local->sun_family = AF_UNIX;
    memcpy(local->sun_path, text.data(), text.size());
    address->size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + is_path);
    return 0;
  }
  const auto number = htons(static_cast<uint16_t>(port.As<Napi::Number>().Uint32Value()));
  auto* four = reinterpret_cast<sockaddr_in*>(&address->storage);
  if (inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = number;
    address->size = sizeof *four;
    return 0;
  }
  auto* six = reinterpret_cast<sockaddr_in6*>(&address->storage);
  if (inet_pton(AF_INET6, text.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = number;
    address->size = sizeof *six;
    return 0;
  }
  return -EINVAL;
}

int OpenSocket(int family, UniqueFd* fd) {
#if defined(__linux__)
  *fd = UniqueFd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return fd->valid() ? 0 : -errno;
#else
  *fd = UniqueFd(socket(family, SOCK_STREAM, 0));
  if (!fd->valid()) return -errno;
  fcntl(fd->get(), F_SETFD, FD_CLOEXEC);
  fcntl(fd->get(), F_SETFL, fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  return 0;
#endif
}

// For a socket that is a connection: blocking, as those of connectionPair are, and without delay (tcp(7)): a message is
// sent to be read now.
void SetUpConnection(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // not for Unix sockets, which say so and go on
#if defined(SO_NOSIGPIPE)
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

Napi::Value Describe(Napi::Env env, const Address& address) {
  Napi::Object result = Napi::Object::New(env);
  char text[INET6_ADDRSTRLEN];
  if (address.storage.ss_family == AF_INET) {
    const auto* four = reinterpret_cast<const sockaddr_in*>(&address.storage);
    result.Set("host", inet_ntop(AF_INET, &four->sin_addr, text, sizeof text));
    result.Set("port", ntohs(four->sin_port));
  } else if (address.storage.ss_family == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    result.Set("host", inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text));
    result.Set("port", ntohs(six->sin6_port));
  } else {
    const auto* local = reinterpret_cast<const sockaddr_un*>(&address.storage);
    const size_t head = offsetof(sockaddr_un, sun_path);
    size_t length = address.size > head ? address.size - head : 0;
    if (length > 0 && local->sun_path[0] != '\0') length = strnlen(local->sun_path, length);
    return Napi::String::New(env, local->sun_path, length);
  }
  return result;
}

}  // namespace

// Binding: listenAt(hostOrPath, port, backlog). `port` undefined: a path.
Napi::Value ListenAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Address address;
  UniqueFd fd;
  int failed = ParseAddress(info[0], info[1], &address);
  if (failed == 0) failed = OpenSocket(address.storage.ss_family, &fd);
  if (failed != 0) return Napi::Number::New(env, failed);
  const int on = 1;
  // A port whose last owner's connections are in TIME_WAIT can be had at once: tcp(7). A socket that listens still
  // keeps others off.
  if (address.storage.ss_family != AF_UNIX) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), address.get(), address.size) != 0) return Napi::Number::New(env, -errno);
  if (listen(fd.get(), IntArgument(info, 2)) != 0) return Napi::Number::New(env, -errno);
  return Napi::Number::New(env, fd.Release());
}

// Binding: acceptAt(fd) of a listening socket, without waiting.
Napi::Value AcceptAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = IntArgument(info, 0);
  int accepted;
  do {
#if defined(__linux__)
    accepted = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
#else
    accepted = accept(fd, nullptr, nullptr);
    if (accepted >= 0) fcntl(accepted, F_SETFD, FD_CLOEXEC);
#endif
    // accept(2): errors of the connection that was to be accepted are passed on; there may be another.
  } while (accepted < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (accepted < 0) return Napi::Number::New(env, -errno);
  SetUpConnection(accepted);
  return Napi::Number::New(env, accepted);
}

// Binding: connectTo(hostOrPath, port, result) -> a descriptor that is writable as soon as `finishConnecting` can tell
// how it went. A Unix socket whose listener has too many waiting gives EAGAIN.
Napi::Value ConnectTo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Address address;
  UniqueFd fd;
  int failed = ParseAddress(info[0], info[1], &address);
  if (failed == 0) failed = OpenSocket(address.storage.ss_family, &fd);
  if (failed != 0) return Napi::Number::New(env, failed);
  // connect(2): after EINTR it goes on by itself, as after EINPROGRESS.
  if (connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS && errno != EINTR) {
    return Napi::Number::New(env, -errno);
  }
  return Napi::Number::New(env, fd.Release());
}

// Binding: finishConnecting(fd) -> 0 or a negative errno, once it is writable.
Napi::Value FinishConnecting(const Napi::CallbackInfo& info) {
  const int fd = IntArgument(info, 0);
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error == 0) SetUpConnection(fd);
  return Napi::Number::New(info.Env(), -error);
}

// Binding: socketAddress(fd, ofPeer) -> a path, or { host, port }, or a negative errno.
Napi::Value SocketAddress(const Napi::CallbackInfo& info) {
  Address address;
  address.size = sizeof address.storage;
  const bool of_peer = info[1].As<Napi::Boolean>();
  const int result = of_peer ? getpeername(IntArgument(info, 0), address.get(), &address.size)
                             : getsockname(IntArgument(info, 0), address.get(), &address.size);
  if (result != 0) return Napi::Number::New(info.Env(), -errno);
  return Describe(info.Env(), address);
}

// Binding: resolveHost(name, family) -> numeric addresses, best first, of family 0 (any), 4 or 6; [] when there are
// none. Blocks the thread.
Napi::Value ResolveHost(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string name = info[0].As<Napi::String>();
  const int family = IntArgument(info, 1);
  addrinfo hints = {};
  hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  Napi::Array result = Napi::Array::New(env);
  if (getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return result;
  for (addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Address address;
    memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    result.Set(result.Length(), Describe(env, address).As<Napi::Object>().Get("host"));
  }
  freeaddrinfo(found);
  return result;
}

}  // namespace realfork
