// The only file that leaves Node-API. V8's and Node's C++ symbols used here are public, not inline, and keep their
// mangled names from Node 20 to 26; they are looked up at run time, so that a Node without one of them loads the addon
// and is told what is missing.
#ifndef REALFORK_NATIVE_V8_BRIDGE_H_
#define REALFORK_NATIVE_V8_BRIDGE_H_

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

namespace realfork::v8_bridge {

// Some address inside the object (the node program, or libnode.so) that holds V8's code.
void* AddressInsideV8();

// Whether the calling thread has entered an isolate. Reads one thread-local variable: async-signal-safe.
bool ThreadHasIsolate();

// Whether the address lies in code that V8 has compiled for the calling thread's isolate, or in V8's builtins, which
// are compiled code too. Async-signal-safe.
bool InCompiledCode(uintptr_t address);

// The symbol that this Node lacks, or nullptr when the bridge is complete.
const char* MissingSymbol();

// An ArrayBuffer over memory that outlives it, of which V8 does not count the length among what it could free; nullptr
// where there is none to be had, and Node-API's has to do.
napi_value NewUncountedBuffer(void* data, size_t length);

// Empties the microtask queue: V8 discards it whole when a microtask is terminated. Nothing of a microtask runs whose
// first step is a call into a function of JavaScript; see clean-child.ts, which sees to that.
void DropMicrotasks();

// Asks V8 to unwind the JavaScript stack down to the loop, past every `catch` and `finally`. It is noticed at the next
// entry of a function.
void TerminateStack();

// Whether the stack is being unwound: what comes back from JavaScript then is no exception of anybody's.
bool IsTerminating();

// To be called once the stack is gone and before JavaScript runs again.
void EndTermination();

}  // namespace realfork::v8_bridge

#endif  // REALFORK_NATIVE_V8_BRIDGE_H_
