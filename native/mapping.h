// Owns memory from mmap(2).
#ifndef REALFORK_NATIVE_MAPPING_H_
#define REALFORK_NATIVE_MAPPING_H_

#include <stddef.h>
#include <sys/mman.h>

#include <utility>

namespace realfork {

class Mapping {
 public:
  Mapping() = default;

  // Zeroed memory that this process shares with every process forked from it from now on. Pages cost memory once they
  // are written (MAP_NORESERVE), so that a table may be as long as it could ever have to be. On failure the result is
  // not valid() and errno is mmap(2)'s.
  static Mapping SharedWithDescendants(size_t length) {
    void* address = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? Mapping() : Mapping(address, length);
  }

  ~Mapping() {
    if (valid()) munmap(address_, length_);
  }
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), length_(std::exchange(other.length_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(length_, other.length_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool valid() const {
    return address_ != nullptr;
  }
  void* address() const {
    return address_;
  }
  size_t length() const {
    return length_;
  }

 private:
  Mapping(void* address, size_t length) : address_(address), length_(length) {}

  void* address_ = nullptr;
  size_t length_ = 0;
};

}  // namespace realfork

#endif  // REALFORK_NATIVE_MAPPING_H_
