// What the two halves of copying share: whole small files (copy_files.cc), and large ones in ranges (copy.cc).
#ifndef REALFORK_NATIVE_COPY_H_
#define REALFORK_NATIVE_COPY_H_

#include <errno.h>
#include <napi.h>
#include <sys/stat.h>

#include <string>

namespace realfork {

// A failed call: which, and why. errno is taken at once, before a destructor closes anything.
struct Failure {
  const char* syscall = nullptr;
  int error = 0;
  explicit operator bool() const {
    return syscall != nullptr;
  }
};

inline Failure Failed(const char* syscall) {
  return {syscall, errno};
}

// Paths are strings of one code unit a byte (latin1), so that a name that is not UTF-8 comes through unchanged.
inline std::string BytesOf(Napi::Env env, napi_value value) {
  size_t length = 0;
  napi_get_value_string_latin1(env, value, nullptr, 0, &length);
  std::string bytes(length, '\0');
  napi_get_value_string_latin1(env, value, bytes.data(), length + 1, &length);
  return bytes;
}

// Mode, times and, as far as this process may give it, the owner of `like` to an open file.
Failure GiveAttributes(int fd, const struct stat& like);

// Renames, relative to an open folder. Without `replace` nothing is ever overwritten, whoever else is at work: EEXIST.
Failure RenameAt(int folder, const std::string& from, const std::string& to, bool replace);

}  // namespace realfork

#endif  // REALFORK_NATIVE_COPY_H_
