// Strings as execve(2) wants them.
#ifndef REALFORK_NATIVE_STRING_VECTOR_H_
#define REALFORK_NATIVE_STRING_VECTOR_H_

#include <napi.h>

#include <string>
#include <vector>

namespace realfork {

// A vector of C strings that ends in a null pointer, with what it points to.
class StringVector {
 public:
  explicit StringVector(const Napi::Array& array) {
    for (uint32_t i = 0; i < array.Length(); i++) {
      strings_.push_back(array.Get(i).As<Napi::String>().Utf8Value());
    }
    for (std::string& string : strings_) pointers_.push_back(string.data());
    pointers_.push_back(nullptr);
  }
  StringVector(const StringVector&) = delete;
  StringVector& operator=(const StringVector&) = delete;

  char** data() {
    return pointers_.data();
  }
  const std::vector<std::string>& strings() const {
    return strings_;
  }

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
};

}  // namespace realfork

#endif  // REALFORK_NATIVE_STRING_VECTOR_H_
