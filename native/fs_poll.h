// libuv's polling of files (fs.watchFile) across fork(2).
#ifndef REALFORK_NATIVE_FS_POLL_H_
#define REALFORK_NATIVE_FS_POLL_H_

#include <uv.h>

namespace realfork::fs_poll {

// In the child: begins again each look at a file that was under way in the pool. It would never end, and the next look
// is only begun at the end of the one before: the watcher would see nothing any more. It starts threads: call it once
// V8's are back, whose stacks glibc would give to others.
void Resume(uv_loop_t* loop);

}  // namespace realfork::fs_poll

#endif  // REALFORK_NATIVE_FS_POLL_H_
