// V8's memory across fork(2). V8 on Linux marks its heap and code MADV_DONTFORK (nodejs/node#48523), so that they are
// absent in a child.
#ifndef REALFORK_NATIVE_HEAP_H_
#define REALFORK_NATIVE_HEAP_H_

namespace realfork::heap {

enum class Inheritance {
  kNative,    // nothing to do: this platform does not mark the heap
  kRedirect,  // V8's madvise calls go through us and the mark is never set again
  kScan,      // the mark is taken off all mappings before each fork
};

// Makes every anonymous mapping inheritable. Call with V8's threads parked: a running one may map new memory. From the
// second call on it costs nothing where V8's calls could be redirected. Returns 0, or the errno with which the list of
// mappings could not be read (EMFILE): then a child would lack its heap, and there must be none.
int MakeInheritable();

// How MakeInheritable does it.
Inheritance Method();

}  // namespace realfork::heap

#endif  // REALFORK_NATIVE_HEAP_H_
