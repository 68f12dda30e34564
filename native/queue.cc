// What queues need of the kernel beyond the arena's words: lib/ipc/gate.ts and lib/ipc/ring-writer.ts say what for.
#include <fcntl.h>
#include <math.h>

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

}  // namespace realfork
