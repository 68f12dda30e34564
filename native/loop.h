// libuv's loop across fork(2).
#ifndef REALFORK_NATIVE_LOOP_H_
#define REALFORK_NATIVE_LOOP_H_

#include <uv.h>

namespace realfork::loop {

// Holds the lock under which libuv's pool threads hand over finished work, so that the child's copy of that list is
// whole and its lock is free.
class HandOverLock {
 public:
  explicit HandOverLock(uv_loop_t* loop) : loop_(loop) {
    uv_mutex_lock(&loop_->wq_mutex);
  }
  ~HandOverLock() {
    uv_mutex_unlock(&loop_->wq_mutex);
  }
  HandOverLock(const HandOverLock&) = delete;
  HandOverLock& operator=(const HandOverLock&) = delete;

 private:
  uv_loop_t* loop_;
};

// Whether the caller stands in the callback of a file request that libuv did through an io_uring (UV_USE_IO_URING=1
// with libuv before 1.49). libuv is then reading the ring, which a child cannot have.
bool InsideIoUringBatch();

// In the child: gives the loop its own epoll set, wake-up descriptors and signal pipe, and forgets what only the parent
// can see the end of: requests in pool threads, signals caught before the fork, children. False when the kernel
// refused.
bool Rebuild(uv_loop_t* loop);

// For a child that is to run nothing of its parent's (clean_child.cc). Each is called once, in this order.

// Forgets what would call back on the loop: finished requests of the pool, writes and connections of sockets, messages
// of ports, the resolver's sockets, what follows a close under way. Returns whether writes to stdout or stderr are
// among it, whose streams then wait for an end that never comes.
bool DropParentsWork(uv_loop_t* loop);

// References every handle of the parent's, so that process._getActiveHandles() lists it.
void RefParentsHandles(uv_loop_t* loop);

// Lets the loop end without them.
void UnrefParentsHandles(uv_loop_t* loop);

// Whether this handle is standard output or standard error (any terminal counts).
bool IsOutput(uv_handle_t* handle);

// Whether writes to stdout or stderr wait for their reader.
bool HasQueuedOutput(uv_loop_t* loop);

}  // namespace realfork::loop

#endif  // REALFORK_NATIVE_LOOP_H_
