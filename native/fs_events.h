// libuv's inotify watchers (fs.watch) across fork(2).
#ifndef REALFORK_NATIVE_FS_EVENTS_H_
#define REALFORK_NATIVE_FS_EVENTS_H_

#include <uv.h>

namespace realfork::fs_events {

// Does what uv_loop_fork does, but for the watchers, which it takes out of libuv's hands: in the child they get an
// inotify instance of their own. uv_loop_fork does that too, with two faults. It frees the list that a watcher's
// callback is called from (uv__inotify_read, src/unix/linux.c), so that a fork inside a fs.watch callback ends in a
// read of freed memory or of descriptor -1. And it fails altogether when a watched file is gone. False when the kernel
// refused.
bool ForkLoop(uv_loop_t* loop);

}  // namespace realfork::fs_events

#endif  // REALFORK_NATIVE_FS_EVENTS_H_
