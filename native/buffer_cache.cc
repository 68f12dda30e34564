// Memory for long buffers that come from other processes, used again when JavaScript has let go of it. Fresh memory
// costs a page fault every 4 KB, which takes several times as long as copying what goes there: 1 MB is copied in 30 µs,
// and 100 to 900 µs go by where its pages have to be found first (Node 20 to 26, Linux 6.18). Huge pages do not help
// where they are new to the host of a virtual machine, which has to find memory for them in its turn.
#include <stdint.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "bindings.h"

namespace realfork {

namespace {

constexpr size_t kMostCached = 128u << 20;  // V8 lets about so much lie about before it collects garbage
constexpr size_t kPage = 4096;

size_t CapacityFor(size_t length) {
  size_t step = kPage;
  while (length > step * 8) step *= 2;
  return (length + step - 1) / step * step;
}

class BufferCache {
 public:
  ~BufferCache() {
    Trim();
  }

  void* Take(size_t capacity) {
    keeps_ = true;
    // From the end, where the one is that was in use last.
    const auto found =
        std::find_if(free_.rbegin(), free_.rend(), [capacity](const Chunk& chunk) { return chunk.bytes == capacity; });
    if (found == free_.rend()) {
      void* data = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      return data == MAP_FAILED ? nullptr : data;
    }
    void* data = found->data;
    bytes_ -= capacity;
    free_.erase(std::next(found).base());
    return data;
  }

  void GiveBack(void* data, size_t bytes) {
    if (!keeps_ || bytes_ + bytes > kMostCached) {
      munmap(data, bytes);
      return;
    }
    bytes_ += bytes;
    free_.push_back({data, bytes});
  }

  // Until the next one is taken nothing is kept, also of what is collected later.
  void Trim() {
    keeps_ = false;
    for (const Chunk& chunk : free_) munmap(chunk.data, chunk.bytes);
    free_.clear();
    bytes_ = 0;
  }

 private:
  struct Chunk {
    void* data;
    size_t bytes;
  };
  std::vector<Chunk> free_;
  size_t bytes_ = 0;
  bool keeps_ = false;
};

// Of a thread, since each thread's JavaScript lets go of its buffers on that thread.
thread_local BufferCache cache;

void OnCollected(napi_env, void* data, void* capacity) {
  cache.GiveBack(data, reinterpret_cast<uintptr_t>(capacity));
}

}  // namespace

// Binding: takeBuffer(length) -> ArrayBuffer with anything in it, or undefined where there is no such memory.
Napi::Value TakeBuffer(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto length = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
  const size_t capacity = CapacityFor(length);
  void* data = cache.Take(capacity);
  if (data == nullptr) return env.Undefined();
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, data, length, OnCollected, reinterpret_cast<void*>(capacity), &buffer) !=
      napi_ok) {
    cache.GiveBack(data, capacity);  // a Node whose V8 takes no memory but its own
    return env.Undefined();
  }
  return {env, buffer};
}

// Binding: trimBuffers(), what is not in use goes back to the kernel.
Napi::Value TrimBuffers(const Napi::CallbackInfo& info) {
  cache.Trim();
  return info.Env().Undefined();
}

}  // namespace realfork
