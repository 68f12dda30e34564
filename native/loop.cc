#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <vector>

#include "fs_events.h"
#include "proc_maps.h"

#if defined(__APPLE__)
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <pthread.h>
#endif

#if defined(__linux__)
extern "C" void* __libc_stack_end;  // ld.so: where the main thread's stack began
#endif

namespace realfork::loop {

namespace {

// Reads memory that may not be mapped; false when it is not.
bool ReadMemory(uintptr_t address, void* target, size_t length) {
#if defined(__linux__)
  iovec local{target, length};
  iovec remote{reinterpret_cast<void*>(address), length};
  ssize_t copied = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  if (copied < 0 && (errno == ENOSYS || errno == EPERM)) {  // a sandbox without it
    const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    copied = pread(memory, target, length, static_cast<off_t>(address));
    close(memory);
  }
  return copied == static_cast<ssize_t>(length);
#elif defined(__APPLE__)
  mach_vm_size_t copied = 0;
  return mach_vm_read_overwrite(mach_task_self(), address, length, reinterpret_cast<mach_vm_address_t>(target),
                                &copied) == KERN_SUCCESS &&
         copied == length;
#else
  return false;
#endif
}

uintptr_t StackTop() {
#if defined(__linux__)
  return reinterpret_cast<uintptr_t>(__libc_stack_end);
#elif defined(__APPLE__)
  return reinterpret_cast<uintptr_t>(pthread_get_stackaddr_np(pthread_self()));
#else
  return 0;
#endif
}

// Nodes of libuv's circular lists, the same type under two names: void*[2] until libuv 1.46, struct uv__queue after.
struct QueueNode {
  QueueNode* next;
  QueueNode* previous;
};

template <typename Head>
unsigned Length(Head* head) {
  auto* start = reinterpret_cast<QueueNode*>(head);
  unsigned length = 0;
  for (QueueNode* node = start->next; node != start; node = node->next) length++;
  return length;
}

// Requests that the child's own loop completes: they hang on a descriptor, not on a pool thread.
void CountDescriptorRequests(uv_handle_t* handle, void* total) {
  auto* count = static_cast<unsigned*>(total);
  switch (handle->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
    case UV_TTY: {
      auto* stream = reinterpret_cast<uv_stream_t*>(handle);
      *count += Length(&stream->write_queue) + Length(&stream->write_completed_queue);
      *count += (stream->connect_req != nullptr) + (stream->shutdown_req != nullptr);
      break;
    }
    case UV_UDP: {
      auto* socket = reinterpret_cast<uv_udp_t*>(handle);
      *count += Length(&socket->write_queue) + Length(&socket->write_completed_queue);
      break;
    }
    default:
      break;
  }
}

// When the fork happens inside the callback of a pool request, libuv (src/threadpool.c, uv__work_done) is on the stack
// below us: it has moved the finished requests to a list whose head is a local variable, and hands out the rest of them
// when we return. They are found by that head: a word pair on the stack that is linked both ways with requests of this
// loop. Nothing else looks so; a head left over in a dead frame is empty, which is how uv__work_done leaves it.
struct InHand {
  QueueNode* head;
  unsigned count;
};

InHand FindInHand(uv_loop_t* loop) {
  constexpr size_t kLinkOffset = offsetof(uv__work, wq);
  const auto read_request = [loop](uintptr_t node, uv__work* request) {
    return ReadMemory(node - kLinkOffset, request, sizeof *request) && request->loop == loop &&
           request->done != nullptr;
  };
  const auto links = [](uv__work* request) { return reinterpret_cast<uintptr_t*>(&request->wq); };
  const uintptr_t top = StackTop();
  for (uintptr_t head = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); head + 16 <= top; head += 8) {
    const auto* word = reinterpret_cast<const uintptr_t*>(head);
    const uintptr_t first = word[0];
    if (first == head || first % 8 != 0 || word[1] % 8 != 0 || first < 65536 || word[1] < 65536) continue;
    uv__work request;
    if (!read_request(first, &request) || links(&request)[1] != head) continue;
    unsigned count = 1;
    uintptr_t node = links(&request)[0];
    for (; node != head && count <= loop->active_reqs.count && read_request(node, &request); count++) {
      node = links(&request)[0];
    }
    if (node == head) return {reinterpret_cast<QueueNode*>(head), count};
  }
  return {nullptr, 0};
}

// A request that was in libuv's pool (or in its io_uring, which stays the parent's) never completes here. It must not
// keep the loop alive either: the count of active requests goes down to those that still can.
void ForgetPoolRequests(uv_loop_t* loop) {
  if (loop->active_reqs.count == 0) return;
  unsigned completes = Length(&loop->wq) + FindInHand(loop).count;
  uv_walk(loop, CountDescriptorRequests, &completes);
  if (loop->active_reqs.count > completes) loop->active_reqs.count = completes;
}

// A signal that the parent caught and has not dispatched stays its own: its record is in the parent's signal pipe.
// Before libuv 1.47 the child went on waiting for it, and closing such a handle never ended.
void ForgetCaughtSignals(uv_signal_t* handle) {
  handle->caught_signals = 0;
  handle->dispatched_signals = 0;
}

// The parent's children are not ours to wait for: their exits never come, and must not be waited for, nor be taken from
// a child of ours that has got the same number.
void ForgetChild(uv_process_t* handle) {
  auto* node = reinterpret_cast<QueueNode*>(&handle->queue);
  node->next->previous = node->previous;
  node->previous->next = node->next;
  node->next = node->previous = node;
  uv_unref(reinterpret_cast<uv_handle_t*>(handle));
}

void ForgetParents(uv_handle_t* handle, void*) {
  if (handle->type == UV_SIGNAL) ForgetCaughtSignals(reinterpret_cast<uv_signal_t*>(handle));
  if (handle->type == UV_PROCESS && uv_is_active(handle)) ForgetChild(reinterpret_cast<uv_process_t*>(handle));
}

// uv_async_send sets `pending` and writes to the loop's wake-up descriptor, which stays the parent's. Left as it is,
// the child would never see that message, nor any later one to the same handle: the flag says that the wake-up is under
// way (libuv before 1.48; later ones clear it and lose the message). `u.fd` counts the threads that are inside
// uv_async_send, of which none is left. What was pending is noted in a word of the handle that libuv does not use for
// this type.
void NotePending(uv_handle_t* handle, void*) {
  if (handle->type != UV_ASYNC) return;
  auto* async = reinterpret_cast<uv_async_t*>(handle);
  async->u.reserved[1] = async->pending != 0 ? async : nullptr;
  async->pending = 0;
  async->u.fd = 0;
}

void SendPending(uv_handle_t* handle, void*) {
  if (handle->type != UV_ASYNC || handle->u.reserved[1] != handle) return;
  handle->u.reserved[1] = nullptr;
  uv_async_send(reinterpret_cast<uv_async_t*>(handle));
}

}  // namespace

// uv__poll_io_uring keeps a pointer into the ring in a register, which everybody it calls saves on the stack. A pointer
// that an earlier call left there is taken for a live one: then fork is refused once too often.
bool InsideIoUringBatch() {
#if defined(__linux__)
  if (getenv("UV_USE_IO_URING") == nullptr || uv_version() >= 0x013100) return false;
  std::vector<ProcMapping> mappings;
  ReadProcMaps(&mappings);
  const auto* top = reinterpret_cast<const uintptr_t*>(StackTop());
  for (const ProcMapping& mapping : mappings) {
    if (mapping.name != "anon_inode:[io_uring]") continue;
    for (auto* word = static_cast<const uintptr_t*>(__builtin_frame_address(0)); word < top; word++) {
      if (*word >= mapping.begin && *word < mapping.end) return true;
    }
  }
#endif
  return false;
}

namespace {

template <typename Head>
unsigned Empty(Head* head) {
  const unsigned length = Length(head);
  auto* start = reinterpret_cast<QueueNode*>(head);
  start->next = start->previous = start;
  return length;
}

// The requests on a descriptor: writes that are queued or done and not reported, a connection under way, a shutdown.
unsigned DropDescriptorRequests(uv_handle_t* handle) {
  switch (handle->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
    case UV_TTY: {
      auto* stream = reinterpret_cast<uv_stream_t*>(handle);
      const unsigned count = Empty(&stream->write_queue) + Empty(&stream->write_completed_queue) +
                             (stream->connect_req != nullptr) + (stream->shutdown_req != nullptr);
      stream->write_queue_size = 0;
      stream->connect_req = nullptr;
      stream->shutdown_req = nullptr;
      return count;
    }
    case UV_UDP: {
      auto* socket = reinterpret_cast<uv_udp_t*>(handle);
      const unsigned count = Empty(&socket->write_queue) + Empty(&socket->write_completed_queue);
      socket->send_queue_size = 0;
      socket->send_queue_count = 0;
      return count;
    }
    default:
      return 0;
  }
}

bool IsTerminal(uv_handle_t* handle) {
  return handle->type == UV_TTY && uv_is_writable(reinterpret_cast<uv_stream_t*>(handle)) != 0;
}

struct Drop {
  const uv_handle_t* node_timer;  // the first timer of the loop, on which all of JavaScript's run
  unsigned requests;
  bool output;
};

void DropWork(uv_handle_t* handle, void* data) {
  auto* drop = static_cast<Drop*>(data);
  const unsigned requests = DropDescriptorRequests(handle);
  drop->requests += requests;
  if (requests > 0 && IsOutput(handle)) drop->output = true;
  // The parent is closing it: what it does afterwards is the parent's.
  if (uv_is_closing(handle)) {
    handle->close_cb = nullptr;
    return;
  }
  switch (handle->type) {
    case UV_TIMER:
      if (drop->node_timer == nullptr) {
        drop->node_timer = handle;
      } else if (uv_has_ref(handle)) {  // the resolver's; those of V8's platform are unreferenced
        uv_timer_stop(reinterpret_cast<uv_timer_t*>(handle));
      }
      break;
    case UV_POLL:  // the resolver's sockets: the answers are the parent's
      uv_poll_stop(reinterpret_cast<uv_poll_t*>(handle));
      break;
    case UV_ASYNC:  // messages of ports and of other threads
      reinterpret_cast<uv_async_t*>(handle)->pending = 0;
      break;
    case UV_TTY:
      uv_read_stop(reinterpret_cast<uv_stream_t*>(handle));
      break;
    default:
      break;
  }
}

bool IsParents(const uv_handle_t* handle) {
  switch (handle->type) {
    case UV_ASYNC:
    case UV_FS_EVENT:
    case UV_FS_POLL:
    case UV_NAMED_PIPE:
    case UV_POLL:
    case UV_PROCESS:
    case UV_SIGNAL:
    case UV_TCP:
    case UV_TTY:
    case UV_UDP:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool IsOutput(uv_handle_t* handle) {
  uv_os_fd_t fd = -1;
  switch (handle->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
      return uv_fileno(handle, &fd) == 0 && (fd == STDOUT_FILENO || fd == STDERR_FILENO);
    default:
      return IsTerminal(handle);
  }
}

bool DropParentsWork(uv_loop_t* loop) {
  unsigned finished = Empty(&loop->wq);
  if (loop->active_reqs.count > finished) {
    const InHand in_hand = FindInHand(loop);
    if (in_hand.head != nullptr) {
      finished += in_hand.count;
      in_hand.head->next = in_hand.head->previous = in_hand.head;
    }
  }
  Drop drop = {};
  uv_walk(loop, DropWork, &drop);
  const unsigned requests = finished + drop.requests;
  loop->active_reqs.count -= requests < loop->active_reqs.count ? requests : loop->active_reqs.count;
  return drop.output;
}

void RefParentsHandles(uv_loop_t* loop) {
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (IsParents(handle)) uv_ref(handle);
      },
      nullptr);
}

void UnrefParentsHandles(uv_loop_t* loop) {
  uv_walk(
      loop,
      [](uv_handle_t* handle, void*) {
        if (IsParents(handle)) uv_unref(handle);
      },
      nullptr);
}

bool HasQueuedOutput(uv_loop_t* loop) {
  bool found = false;
  uv_walk(
      loop,
      [](uv_handle_t* handle, void* result) {
        if (!uv_is_closing(handle) && IsOutput(handle) &&
            uv_stream_get_write_queue_size(reinterpret_cast<uv_stream_t*>(handle)) > 0) {
          *static_cast<bool*>(result) = true;
        }
      },
      &found);
  return found;
}

bool Rebuild(uv_loop_t* loop) {
  auto* wq_async = reinterpret_cast<uv_handle_t*>(&loop->wq_async);  // libuv's own, which uv_walk passes over
  ForgetPoolRequests(loop);
  ForgetCaughtSignals(&loop->child_watcher);
  uv_walk(loop, ForgetParents, nullptr);
  uv_walk(loop, NotePending, nullptr);
  NotePending(wq_async, nullptr);
  if (!fs_events::ForkLoop(loop)) return false;
  uv_walk(loop, SendPending, nullptr);
  SendPending(wq_async, nullptr);
  return true;
}

}  // namespace realfork::loop
