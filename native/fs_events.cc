#include "fs_events.h"

#if defined(__linux__)

#include <stdio.h>
#include <sys/inotify.h>

#include <algorithm>
#include <string>
#include <vector>

namespace realfork::fs_events {

namespace {

struct Watch {
  uv_fs_event_t* handle;
  uv_fs_event_cb callback;
  std::string path;
};

void Stop(uv_handle_t* handle, void* stopped) {
  if (handle->type != UV_FS_EVENT || !uv_is_active(handle)) return;
  auto* watcher = reinterpret_cast<uv_fs_event_t*>(handle);
  static_cast<std::vector<Watch>*>(stopped)->push_back({watcher, watcher->cb, watcher->path});
  uv_fs_event_stop(watcher);
}

// The highest watch descriptor of an instance, from the lines "inotify wd:<hex> ino:..." of proc_pid_fdinfo(5).
int HighestDescriptor(int instance) {
  const std::string name = "/proc/self/fdinfo/" + std::to_string(instance);
  FILE* info = fopen(name.c_str(), "re");
  if (info == nullptr) return 0;
  int highest = 0;
  char line[512];
  while (fgets(line, sizeof line, info) != nullptr) {
    unsigned descriptor;
    if (sscanf(line, "inotify wd:%x", &descriptor) == 1) highest = std::max(highest, static_cast<int>(descriptor));
  }
  fclose(info);
  return highest;
}

// libuv makes the loop's instance when a watcher starts, and keeps it.
bool MakeInstance(uv_loop_t* loop) {
  auto* watcher = new uv_fs_event_t;
  uv_fs_event_init(loop, watcher);
  const bool is_started = uv_fs_event_start(
                              watcher, [](uv_fs_event_t*, const char*, int, int) {}, "/", 0) == 0;
  uv_close(reinterpret_cast<uv_handle_t*>(watcher),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_fs_event_t*>(handle); });
  return is_started;
}

// Takes watch descriptors (they count up, inotify(7)) until the next one is above `last`.
void SkipDescriptors(int instance, int last) {
  for (int descriptor = 0; descriptor >= 0 && descriptor < last;) {
    descriptor = inotify_add_watch(instance, "/", IN_ATTRIB);
    if (descriptor >= 0) inotify_rm_watch(instance, descriptor);
  }
}

}  // namespace

bool ForkLoop(uv_loop_t* loop) {
  if (loop->inotify_fd == -1) return uv_loop_fork(loop) == 0;
  const int highest = HighestDescriptor(loop->inotify_fd);
  void* list = loop->inotify_watchers;
  loop->inotify_watchers = nullptr;
  if (uv_loop_fork(loop) != 0 || !MakeInstance(loop)) return false;
  loop->inotify_watchers = list;
  std::vector<Watch> watches;
  uv_walk(loop, Stop, &watches);
  // What is left is the entry that uv__inotify_read has in hand further down the stack. It goes when we have returned,
  // by its old descriptor, which must not be anybody's by then.
  if (loop->inotify_watchers != nullptr) SkipDescriptors(loop->inotify_fd, highest);
  for (const Watch& watch : watches) {
    // One whose file has gone would tell nothing more in the parent either.
    uv_fs_event_start(watch.handle, watch.callback, watch.path.c_str(), 0);
  }
  return true;
}

}  // namespace realfork::fs_events

#else

namespace realfork::fs_events {

bool ForkLoop(uv_loop_t* loop) {
  return uv_loop_fork(loop) == 0;
}

}  // namespace realfork::fs_events

#endif
