// Owns a descriptor: closed at the end of the object's life, whatever the way out.
#ifndef REALFORK_NATIVE_UNIQUE_FD_H_
#define REALFORK_NATIVE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace realfork {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() {
    Reset();
  }

  int get() const {
    return fd_;
  }
  bool valid() const {
    return fd_ >= 0;
  }
  // Gives the descriptor to someone else to close.
  int Release() {
    return std::exchange(fd_, -1);
  }
  void Reset() {
    // close(2) NOTES: Linux has released the number even when it reports EINTR; closing again could hit another's.
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace realfork

#endif  // REALFORK_NATIVE_UNIQUE_FD_H_
