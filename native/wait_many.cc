// Blocking until one of several descriptors is readable or one of several words of the arena changes. poll(2) knows
// nothing of futexes: while the main thread polls, a thread for each word waits for it and then writes into a pipe.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <deque>
#include <vector>

#include "arena.h"
#include "bindings.h"
#include "futex_either.h"
#include "poll_for.h"
#include "scoped_signal_mask.h"
#include "unique_fd.h"

namespace realfork {

namespace {

struct WordThread {
  shared::Word* word;
  uint32_t expected;
  shared::Word* over;
  int told;
  pthread_t thread = {};

  static void* Main(void* data) {
    auto* self = static_cast<WordThread*>(data);
    shared::WaitEither(self->word, self->expected, self->over, 0);
    const char byte = 1;
    // Cannot fail: there is room for more bytes than threads, and the reading end is open.
    return write(self->told, &byte, 1) < 0 ? nullptr : data;
  }
};

}  // namespace

// Binding: pollFdsAndWords(fds, words, milliseconds), `words` being offset and expected value of each -> 0 when the
// time is over, 1 when anything may have happened, or a negative errno.
Napi::Value PollFdsAndWords(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array fds = info[0].As<Napi::Array>();
  Napi::Array words = info[1].As<Napi::Array>();
  int ends[2];
#if defined(__linux__)
  if (pipe2(ends, O_CLOEXEC) != 0) return Napi::Number::New(env, -errno);
#else
  if (pipe(ends) != 0) return Napi::Number::New(env, -errno);
#endif
  UniqueFd hears(ends[0]), told(ends[1]);
  std::vector<pollfd> all = {{hears.get(), POLLIN, 0}};
  for (uint32_t i = 0; i < fds.Length(); i++) {
    all.push_back({fds.Get(i).As<Napi::Number>().Int32Value(), POLLIN, 0});
  }
  shared::Word over{0};
  std::deque<WordThread> threads;
  int result = 0;
  {
    ScopedSignalMask all_blocked;  // the threads inherit it: signals are the main thread's
    for (uint32_t i = 0; result == 0 && i + 1 < words.Length(); i += 2) {
      const auto offset = static_cast<uint64_t>(words.Get(i).As<Napi::Number>().DoubleValue());
      const uint32_t expected = words.Get(i + 1).As<Napi::Number>().Uint32Value();
      WordThread& next = threads.emplace_back(WordThread{arena::WordAt(offset), expected, &over, told.get()});
      result = -pthread_create(&next.thread, nullptr, WordThread::Main, &next);
      if (result != 0) threads.pop_back();
    }
  }
  if (result == 0) result = PollFor(all.data(), all.size(), info[2].As<Napi::Number>().DoubleValue());
  over.store(1);
  shared::Wake(&over, INT_MAX);
  for (WordThread& each : threads) pthread_join(each.thread, nullptr);
  return Napi::Number::New(env, result > 0 ? 1 : result);
}

}  // namespace realfork
