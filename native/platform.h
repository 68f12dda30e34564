// Which of the two ways of forking this build has.
#ifndef REALFORK_NATIVE_PLATFORM_H_
#define REALFORK_NATIVE_PLATFORM_H_

#if defined(__linux__)
#include <features.h>
#endif

// Bringing threads back (threads.cc) needs Linux's clone and /proc, glibc's rules for the stacks of threads that a fork
// left behind, and a signal-return sequence written for the processor.
#if defined(__linux__) && defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#define REALFORK_REVIVES_THREADS 1
#else
#define REALFORK_REVIVES_THREADS 0
#endif

#endif  // REALFORK_NATIVE_PLATFORM_H_
