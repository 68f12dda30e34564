#include "v8_bridge.h"

#include <dlfcn.h>
#include <node_api.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <new>
#include <utility>

#include "bindings.h"
#include "leave.h"

namespace realfork {

namespace v8_bridge {

namespace {

template <typename Function>
Function Lookup(const char* mangled) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, mangled));
}

// v8::Local<T> is one pointer to a handle slot and trivially copyable, so that it travels as a pointer.
using Local = void*;
using Isolate = void;
using Environment = void;
// std::unique_ptr<BackingStore>: one pointer, and returned in memory for its destructor's sake.
struct OwnedStore {
  void* store;
  ~OwnedStore() {}
};

struct Symbols {
  // static Isolate* v8::Isolate::TryGetCurrent()
  Isolate* (*try_get_current)() = Lookup<Isolate* (*)()>("_ZN2v87Isolate13TryGetCurrentEv");
  // void v8::Isolate::GetCodeRange(void** start, size_t* length)
  void (*code_range)(Isolate*, void**,
                     size_t*) = Lookup<void (*)(Isolate*, void**, size_t*)>("_ZN2v87Isolate12GetCodeRangeEPPvPm");
  // void v8::Isolate::GetEmbeddedCodeRange(const void** start, size_t* length)
  void (*builtins_range)(Isolate*, const void**, size_t*) =
      Lookup<void (*)(Isolate*, const void**, size_t*)>("_ZN2v87Isolate20GetEmbeddedCodeRangeEPPKvPm");
  // Local<Context> v8::Isolate::GetCurrentContext()
  Local (*current_context)(Isolate*) = Lookup<Local (*)(Isolate*)>("_ZN2v87Isolate17GetCurrentContextEv");
  // Environment* node::GetCurrentEnvironment(Local<Context>)
  Environment* (*current_environment)(Local) =
      Lookup<Environment* (*)(Local)>("_ZN4node21GetCurrentEnvironmentEN2v85LocalINS0_7ContextEEE");
  // void node::SetProcessExitHandler(Environment*, std::function<void(Environment*, int)>&&)
  void (*set_exit_handler)(Environment*, std::function<void(Environment*, int)>&&) =
      Lookup<void (*)(Environment*, std::function<void(Environment*, int)>&&)>(
          "_ZN4node21SetProcessExitHandlerEPNS_11EnvironmentEOSt8functionIFvS1_iEE");
  // MaybeLocal<Array> v8::Object::GetPropertyNames(Local<Context>, KeyCollectionMode, PropertyFilter, IndexFilter,
  //                                                KeyConversionMode)
  Local (*property_names)(Local, Local, int, int, int, int) = Lookup<Local (*)(Local, Local, int, int, int, int)>(
      "_ZN2v86Object16GetPropertyNamesENS_5LocalINS_7ContextEEENS_17KeyCollectionModeENS_14PropertyFilterENS_"
      "11IndexFilterENS_17KeyConversionModeE");
  // static std::unique_ptr<BackingStore> v8::ArrayBuffer::NewBackingStore(void*, size_t, DeleterCallback, void*)
  using Deleter = void (*)(void*, size_t, void*);
  OwnedStore (*new_store)(void*, size_t, Deleter, void*) =
      Lookup<OwnedStore (*)(void*, size_t, Deleter, void*)>("_ZN2v811ArrayBuffer15NewBackingStoreEPvmPFvS1_mS1_ES1_");
  // static void v8::BackingStore::EmptyDeleter(void*, size_t, void*)
  Deleter empty_deleter = Lookup<Deleter>("_ZN2v812BackingStore12EmptyDeleterEPvmS1_");
  // v8::BackingStore::~BackingStore()
  void (*destroy_store)(void*) = Lookup<void (*)(void*)>("_ZN2v812BackingStoreD1Ev");
  // static Local<ArrayBuffer> v8::ArrayBuffer::New(Isolate*, std::shared_ptr<BackingStore>)
  Local (*new_array_buffer)(Isolate*, std::shared_ptr<void>) = Lookup<Local (*)(Isolate*, std::shared_ptr<void>)>(
      "_ZN2v811ArrayBuffer3NewEPNS_7IsolateESt10shared_ptrINS_12BackingStoreEE");
  // void v8::Isolate::TerminateExecution()
  void (*terminate)(Isolate*) = Lookup<void (*)(Isolate*)>("_ZN2v87Isolate18TerminateExecutionEv");
  // void v8::Isolate::CancelTerminateExecution()
  void (*cancel_terminate)(Isolate*) = Lookup<void (*)(Isolate*)>("_ZN2v87Isolate24CancelTerminateExecutionEv");
  // void v8::Isolate::PerformMicrotaskCheckpoint()
  void (*run_microtasks)(Isolate*) = Lookup<void (*)(Isolate*)>("_ZN2v87Isolate26PerformMicrotaskCheckpointEv");
  // void v8::Isolate::AddMicrotasksCompletedCallback(void (*)(Isolate*, void*), void*), and its opposite
  using MicrotasksCompleted = void (*)(Isolate*, void*);
  void (*add_microtasks_completed)(Isolate*, MicrotasksCompleted, void*) =
      Lookup<void (*)(Isolate*, MicrotasksCompleted, void*)>(
          "_ZN2v87Isolate30AddMicrotasksCompletedCallbackEPFvPS0_PvES2_");
  void (*remove_microtasks_completed)(Isolate*, MicrotasksCompleted, void*) =
      Lookup<void (*)(Isolate*, MicrotasksCompleted, void*)>(
          "_ZN2v87Isolate33RemoveMicrotasksCompletedCallbackEPFvPS0_PvES2_");
};

const Symbols& Get() {
  static const Symbols symbols;
  return symbols;
}

}  // namespace

void* AddressInsideV8() {
  return reinterpret_cast<void*>(Get().try_get_current);
}

bool ThreadHasIsolate() {
  return Get().try_get_current() != nullptr;
}

// Both ranges are read from the isolate without a lock (src/api/api.cc).
bool InCompiledCode(uintptr_t address) {
  const Symbols& symbols = Get();
  Isolate* isolate = symbols.try_get_current();
  if (isolate == nullptr || symbols.code_range == nullptr || symbols.builtins_range == nullptr) return false;
  void* code = nullptr;
  const void* builtins = nullptr;
  size_t code_length = 0;
  size_t builtins_length = 0;
  symbols.code_range(isolate, &code, &code_length);
  symbols.builtins_range(isolate, &builtins, &builtins_length);
  return address - reinterpret_cast<uintptr_t>(code) < code_length ||
         address - reinterpret_cast<uintptr_t>(builtins) < builtins_length;
}

const char* MissingSymbol() {
  const Symbols& symbols = Get();
  if (symbols.try_get_current == nullptr) return "v8::Isolate::TryGetCurrent";
  if (symbols.current_context == nullptr) return "v8::Isolate::GetCurrentContext";
  if (symbols.current_environment == nullptr) return "node::GetCurrentEnvironment";
  if (symbols.set_exit_handler == nullptr) return "node::SetProcessExitHandler";
  if (symbols.terminate == nullptr) return "v8::Isolate::TerminateExecution";
  if (symbols.cancel_terminate == nullptr) return "v8::Isolate::CancelTerminateExecution";
  if (symbols.run_microtasks == nullptr) return "v8::Isolate::PerformMicrotaskCheckpoint";
  if (symbols.add_microtasks_completed == nullptr) return "v8::Isolate::AddMicrotasksCompletedCallback";
  if (symbols.remove_microtasks_completed == nullptr) return "v8::Isolate::RemoveMicrotasksCompletedCallback";
  return nullptr;
}

namespace {

bool is_terminating = false;  // of the process: Workers are never abandoned

void CancelWhenMicrotasksEnd(Isolate* isolate, void*) {
  Get().cancel_terminate(isolate);
}

}  // namespace

// V8 counts nothing for memory with its own empty deleter (BackingStore::PerIsolateAccountingLength, from V8 9 on); one
// of Node-API's always has Node's.
napi_value NewUncountedBuffer(void* data, size_t length) {
  const Symbols& symbols = Get();
  if (symbols.new_store == nullptr || symbols.empty_deleter == nullptr || symbols.destroy_store == nullptr ||
      symbols.new_array_buffer == nullptr) {
    return nullptr;
  }
  void* store = symbols.new_store(data, length, symbols.empty_deleter, nullptr).store;
  // V8 lets go of it at the very end, which the library has to see: it is linked with -z nodelete.
  std::shared_ptr<void> shared(store, [](void* unused) {
    Get().destroy_store(unused);
    ::operator delete(unused);
  });
  return static_cast<napi_value>(symbols.new_array_buffer(symbols.try_get_current(), std::move(shared)));
}

void DropMicrotasks() {
  Isolate* isolate = Get().try_get_current();
  Get().terminate(isolate);
  Get().run_microtasks(isolate);
  Get().cancel_terminate(isolate);
}

void TerminateStack() {
  is_terminating = true;
  Isolate* isolate = Get().try_get_current();
  // Inside a microtask the request would outlive the stack on Node 20: every later call into JavaScript would come back
  // empty, and Node's timer callback repeats such a call for ever.
  Get().add_microtasks_completed(isolate, CancelWhenMicrotasksEnd, nullptr);
  Get().terminate(isolate);
}

bool IsTerminating() {
  return is_terminating;
}

void EndTermination() {
  is_terminating = false;
  Isolate* isolate = Get().try_get_current();
  Get().remove_microtasks_completed(isolate, CancelWhenMicrotasksEnd, nullptr);
  Get().cancel_terminate(isolate);
}

// -------------------------------------------------------------------------------------------- Math.random

namespace {

// V8's generator (src/numbers/math-random.cc, the same from V8 11.3 to 14): the native context holds, in neighbouring
// slots, an index (Smi), the state {s0, s1} in a 16-byte byte array, and a cache of 64 doubles that is consumed from
// the end; when the index reaches 0 the cache is refilled from the state. Official 64-bit Nodes have no pointer
// compression: a slot is 8 bytes, a Smi has its value in the upper half, a heap pointer has bit 0 set.
constexpr int kCacheSize = 64;
constexpr uint64_t kSmiSixtyFour = static_cast<uint64_t>(kCacheSize) << 32;
constexpr uint64_t kSmiSixteen = 16ull << 32;

uint64_t* ObjectAt(uint64_t tagged) {
  // Two mappings below the first 64 KB never exist; a cleared weak slot (3) and a raw pointer (bit 0 clear) are no
  // objects.
  if ((tagged & 3) != 1 || tagged < 0x10000) return nullptr;
  return reinterpret_cast<uint64_t*>(tagged - 1);
}

bool IsDrawnFrom(const uint64_t* object, double drawn, uint64_t* position) {
  if (object == nullptr || object[1] != kSmiSixtyFour) return false;
  for (int i = 0; i < kCacheSize; i++) {
    if (memcmp(&object[2 + i], &drawn, sizeof drawn) == 0) {
      *position = static_cast<uint64_t>(i);
      return true;
    }
  }
  return false;
}

// V8's three ways of making a double: the upper bits of s0 as a mantissa, divided, and (V8 14) those of s0 + s1. The
// last value of the cache was made from the state as it stands.
bool IsStateOf(const uint64_t* object, const uint64_t* cache) {
  if (object == nullptr || object[1] != kSmiSixteen) return false;
  double last;
  memcpy(&last, &cache[2 + kCacheSize - 1], sizeof last);
  const uint64_t s0 = object[2];
  const uint64_t mantissa = (s0 >> 12) | 0x3FF0000000000000ull;
  double from_mantissa;
  memcpy(&from_mantissa, &mantissa, sizeof from_mantissa);
  return last == from_mantissa - 1.0 || last == static_cast<double>(s0 >> 11) * 0x1.0p-53 ||
         last == static_cast<double>((s0 + object[3]) >> 11) * 0x1.0p-53;
}

bool Reseed(uint64_t* context, double drawn) {
  const uint64_t length = context[1] >> 32;  // slots of a context, also a Smi
  if ((context[1] & 0xffffffff) != 0 || length < 64 || length > 2000) return false;
  for (uint64_t slot = 2; slot < 2 + length; slot++) {
    uint64_t position;
    const uint64_t* cache = ObjectAt(context[slot]);
    if (!IsDrawnFrom(cache, drawn, &position)) continue;
    uint64_t* index = nullptr;
    uint64_t* random_state = nullptr;
    for (uint64_t near = slot - 3; near <= slot + 3; near++) {
      if (context[near] == position << 32) index = &context[near];
      uint64_t* candidate = ObjectAt(context[near]);
      if (IsStateOf(candidate, cache)) random_state = candidate;
    }
    if (index == nullptr || random_state == nullptr) return false;
    uint64_t seed[2];
    if (getentropy(seed, sizeof seed) != 0) return false;
    random_state[2] = seed[0] | 1;  // never both zero: V8 takes that for "not seeded"
    random_state[3] = seed[1];
    *index = 0;
    return true;
  }
  return false;
}

}  // namespace

}  // namespace v8_bridge

// Binding: reseedMathRandom(drawn) gives the current context's Math.random a fresh seed. `drawn` is a value that it
// returned just now: the place in V8's memory is believed only when that value, the position after it, and a state
// that explains the cache all stand where V8 keeps them. False when they do not, and then nothing was written.
Napi::Value ReseedMathRandom(const Napi::CallbackInfo& info) {
  bool done = false;
#if defined(__LP64__)
  void* slot = v8_bridge::Get().current_context(v8_bridge::Get().try_get_current());
  const uint64_t tagged = *static_cast<uint64_t*>(slot);
  if ((tagged & 3) == 1) {
    done = v8_bridge::Reseed(reinterpret_cast<uint64_t*>(tagged - 1), info[0].As<Napi::Number>().DoubleValue());
  }
#endif
  return Napi::Boolean::New(info.Env(), done);
}

// --------------------------------------------------------------------------------------------- properties

// Binding: hasNamedKeys(object): whether it has own enumerable properties, symbols aside, that are no array indices, or
// null where V8 cannot be asked. Node-API can only list them all, which makes a string of every index of an array.
Napi::Value HasNamedKeys(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto& symbols = v8_bridge::Get();
  if (symbols.property_names == nullptr) return env.Null();
  constexpr int kOwnOnly = 0;
  constexpr int kOnlyEnumerableStrings = 2 | 16;  // v8::ONLY_ENUMERABLE | v8::SKIP_SYMBOLS
  constexpr int kSkipIndices = 1;
  constexpr int kKeepNumbers = 0;
  void* context = symbols.current_context(symbols.try_get_current());
  // A napi_value is a Local (js_native_api_v8.h, V8LocalValueFromJsValue).
  void* names = symbols.property_names(static_cast<napi_value>(info[0]), context, kOwnOnly, kOnlyEnumerableStrings,
                                       kSkipIndices, kKeepNumbers);
  uint32_t length = 0;
  if (names == nullptr || napi_get_array_length(env, static_cast<napi_value>(names), &length) != napi_ok) {
    return env.Null();
  }
  return Napi::Boolean::New(env, length > 0);
}

// --------------------------------------------------------------------------------------------- leaving

namespace {

int natural_exit_code = 0;
uv_prepare_t teardown_turn;

void OnEnvironmentCleanup(void*) {
  LeaveProcess(natural_exit_code);
}

}  // namespace

// Binding: installExitHandling(), in a child. From here on the two ends of a Node process lead to LeaveProcess:
// - process.exit, process.reallyExit, an uncaught exception (after its report): Node's process-exit handler;
// - the end of the loop: the environment's cleanup hooks, which run newest first and before any teardown, or, if Node
//   turns the loop before them, the turn that recordExitCode prepares.
Napi::Value InstallExitHandling(const Napi::CallbackInfo& info) {
  static bool installed = false;  // inherited by a grandchild along with the handlers
  if (installed) return info.Env().Undefined();
  installed = true;
  const auto& symbols = v8_bridge::Get();
  void* context = symbols.current_context(symbols.try_get_current());
  symbols.set_exit_handler(symbols.current_environment(context), [](void*, int code) { LeaveProcess(code); });
  napi_add_env_cleanup_hook(info.Env(), OnEnvironmentCleanup, nullptr);
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  uv_prepare_init(loop, &teardown_turn);
  return info.Env().Undefined();
}

// Binding: recordExitCode(code), what the end of the loop exits with. JavaScript cannot be asked any more by then. Who
// calls this emits 'exit': the loop turns no more but for Node's teardown (Environment::CleanupHandles, src/env.cc),
// which cancels and waits for requests that libuv's pool of the parent has.
Napi::Value RecordExitCode(const Napi::CallbackInfo& info) {
  natural_exit_code = info[0].As<Napi::Number>().Int32Value();
  uv_prepare_start(&teardown_turn, [](uv_prepare_t*) { LeaveProcess(natural_exit_code); });
  return info.Env().Undefined();
}

}  // namespace realfork
