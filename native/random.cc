// Random bytes from the kernel.
#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "bindings.h"

namespace realfork {

// Binding: drawEntropy(bytes), in a forked child: what its parent has drawn in advance, drawn anew.
Napi::Value DrawEntropy(const Napi::CallbackInfo& info) {
  auto bytes = info[0].As<Napi::Uint8Array>();
  constexpr size_t kMost = 256;  // getentropy(3)
  for (size_t offset = 0; offset < bytes.ByteLength(); offset += kMost) {
    const size_t length = std::min(kMost, bytes.ByteLength() - offset);
    const int failed = getentropy(bytes.Data() + offset, length);
    const int error = errno;
    if (failed != 0) return ThrowErrno(info.Env(), error, "getentropy");
  }
  return info.Env().Undefined();
}

}  // namespace realfork
