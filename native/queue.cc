// What queues need of the kernel beyond the arena's words: lib/ipc/gate.ts and lib/ipc/ring-writer.ts say what for.
#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "arena.h"
#include "bindings.h"
#include "futex_either.h"

namespace realfork {

namespace {

uint64_t OffsetArgument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint64_t>(info[index].As<Napi::Number>().DoubleValue());
}

}  // namespace

// Binding: wordWaitEither(first, expected, second, expected, milliseconds) -> false when the time was over, else one of
// them has been woken or is not as expected.
Napi::Value WordWaitEither(const Napi::CallbackInfo& info) {
  const double milliseconds = info[4].As<Napi::Number>().DoubleValue();
  const int64_t deadline =
      milliseconds >= 0 ? shared::Now() + static_cast<int64_t>(fmin(milliseconds, 3e12) * 1e6) : shared::kForEver;
  const shared::Woken woken =
      shared::WaitEither(arena::WordAt(OffsetArgument(info, 0)), info[1].As<Napi::Number>().Uint32Value(),
                         arena::WordAt(OffsetArgument(info, 2)), info[3].As<Napi::Number>().Uint32Value(), deadline);
  return Napi::Boolean::New(info.Env(), woken != shared::Woken::kTimedOut);
}

// Binding: givePagesBack(offset, bytes), whole pages: they take no memory, and are zeros when they are next used.
Napi::Value GivePagesBack(const Napi::CallbackInfo& info) {
#if defined(__linux__)
  // A kernel or file system that cannot do it leaves things as they are.
  fallocate(arena::Descriptor(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            static_cast<off_t>(OffsetArgument(info, 0)), static_cast<off_t>(OffsetArgument(info, 1)));
#endif
  return info.Env().Undefined();
}

// Binding: writeFresh(offset, bytes) -> whether they are there. By pwrite(2), which finds memory for a page and fills
// it in one step: written through the mapping each page is a fault, and filled with zeros first (1 MB that is new: 500
// µs against 900 on Linux 6.18; 1 MB that has been written before: 320 against 130).
Napi::Value WriteFresh(const Napi::CallbackInfo& info) {
#if defined(__linux__)
  const auto bytes = info[1].As<Napi::Uint8Array>();
  const uint8_t* data = bytes.Data();
  auto offset = static_cast<off_t>(OffsetArgument(info, 0));
  for (size_t left = bytes.ByteLength(); left > 0;) {
    const ssize_t written = pwrite(arena::Descriptor(), data, left, offset);
    if (written <= 0) return Napi::Boolean::New(info.Env(), false);
    data += written;
    offset += written;
    left -= static_cast<size_t>(written);
  }
  return Napi::Boolean::New(info.Env(), true);
#else
  return Napi::Boolean::New(info.Env(), false);  // shared memory of POSIX objects need not take write(2)
#endif
}

}  // namespace realfork
