// Blocks every signal of the calling thread for the life of the object.
#ifndef REALFORK_NATIVE_SCOPED_SIGNAL_MASK_H_
#define REALFORK_NATIVE_SCOPED_SIGNAL_MASK_H_

#include <pthread.h>
#include <signal.h>

namespace realfork {

class ScopedSignalMask {
 public:
  ScopedSignalMask() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ~ScopedSignalMask() {
    pthread_sigmask(SIG_SETMASK, &saved_, nullptr);
  }
  ScopedSignalMask(const ScopedSignalMask&) = delete;
  ScopedSignalMask& operator=(const ScopedSignalMask&) = delete;

 private:
  sigset_t saved_;
};

}  // namespace realfork

#endif  // REALFORK_NATIVE_SCOPED_SIGNAL_MASK_H_
