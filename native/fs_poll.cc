#include "fs_poll.h"

namespace realfork::fs_poll {

namespace {

// struct poll_ctx of libuv's src/fs-poll.c, the same in the libuv of Node 20 to 26.
struct Context {
  uv_fs_poll_t* handle;
  int busy_polling;
  unsigned interval;
  uint64_t start_time;
  uv_loop_t* loop;
  uv_fs_poll_cb callback;
  uv_timer_t timer;
  uv_fs_t look;
  uv_stat_t seen;
  Context* previous;
  char path[1];
};

// Of a libuv that has changed it nothing is touched.
bool IsContext(const Context* context, const uv_fs_poll_t* handle) {
  return context != nullptr && context->handle == handle && context->loop == handle->loop &&
         context->timer.type == UV_TIMER && context->look.type == UV_FS && context->look.fs_type == UV_FS_STAT &&
         context->look.loop == handle->loop && context->look.cb != nullptr;
}

// A pool thread clears `work` when it has done a request, under the lock that is held over the fork (src/threadpool.c).
bool IsUnderWay(const uv_fs_t& request) {
  return request.work_req.work != nullptr;
}

void ResumeOne(uv_handle_t* handle, void*) {
  if (handle->type != UV_FS_POLL || uv_is_closing(handle) || !uv_is_active(handle)) return;
  auto* poll = reinterpret_cast<uv_fs_poll_t*>(handle);
  auto* context = static_cast<Context*>(poll->poll_ctx);
  if (!IsContext(context, poll) || !IsUnderWay(context->look)) return;
  const uv_fs_cb done = context->look.cb;
  uv_fs_req_cleanup(&context->look);
  uv_fs_stat(handle->loop, &context->look, context->path, done);
}

}  // namespace

void Resume(uv_loop_t* loop) {
  uv_walk(loop, ResumeOne, nullptr);
}

}  // namespace realfork::fs_poll
