// Sets of signals: as sigset_t, as JavaScript arrays of numbers, and as the kernel's 64 bits.
#ifndef REALFORK_NATIVE_SIGNAL_SET_H_
#define REALFORK_NATIVE_SIGNAL_SET_H_

#include <errno.h>
#include <napi.h>
#include <signal.h>
#include <stdint.h>

namespace realfork {

#if defined(__linux__)
constexpr int kLastSignal = 64;
#else
constexpr int kLastSignal = NSIG - 1;
#endif

// 0, or the errno of sigaddset(3): EINVAL for a number that is no signal, and for those the C library keeps for itself.
inline int ReadSignalSet(const Napi::Array& numbers, sigset_t* set) {
  sigemptyset(set);
  for (uint32_t i = 0; i < numbers.Length(); i++) {
    if (sigaddset(set, numbers.Get(i).As<Napi::Number>().Int32Value()) != 0) return errno;
  }
  return 0;
}

inline Napi::Array SignalArray(Napi::Env env, const sigset_t& set) {
  Napi::Array numbers = Napi::Array::New(env);
  uint32_t length = 0;
  for (int number = 1; number <= kLastSignal; number++) {
    if (sigismember(&set, number) == 1) numbers.Set(length++, Napi::Number::New(env, number));
  }
  return numbers;
}

// Bit 0 is signal 1.
inline uint64_t SignalBits(const sigset_t& set) {
  uint64_t bits = 0;
  for (int number = 1; number <= kLastSignal; number++) {
    if (sigismember(&set, number) == 1) bits |= 1ull << (number - 1);
  }
  return bits;
}

// What a waiting call learnt about a signal. The sender is known for the kinds that have one (sigaction(2), si_code), a
// status for SIGCHLD; the fields are 0 otherwise.
inline Napi::Object SignalInfoObject(Napi::Env env, int number, int code, pid_t pid, uid_t uid, int status) {
#if defined(__linux__)
  if (code == SI_TKILL) code = SI_USER;  // as glibc's sigtimedwait does; raise(3) is kill(2) to one thread
#endif
  const bool of_child = number == SIGCHLD && code > 0;
  const bool has_sender = of_child || code == SI_USER || code == SI_QUEUE;
  Napi::Object info = Napi::Object::New(env);
  info.Set("number", number);
  info.Set("code", code);
  info.Set("pid", has_sender ? static_cast<double>(pid) : 0);
  info.Set("uid", has_sender ? static_cast<double>(uid) : 0);
  info.Set("status", of_child ? status : 0);
  return info;
}

}  // namespace realfork

#endif  // REALFORK_NATIVE_SIGNAL_SET_H_
