// System calls for the tests that neither Node nor the package offers: locks, mappings, and an addon with threads of
// its own. Calls that can fail return the errno, 0 for success; the tests assert it.
#define _GNU_SOURCE  // SCHED_BATCH
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kMaxArguments = 4 };

typedef struct {
  size_t count;
  napi_value values[kMaxArguments];
} Arguments;

static Arguments GetArguments(napi_env env, napi_callback_info info) {
  Arguments arguments = {.count = kMaxArguments};
  napi_get_cb_info(env, info, &arguments.count, arguments.values, NULL, NULL);
  return arguments;
}

static int GetInt(napi_env env, napi_value value) {
  int32_t number = 0;
  napi_get_value_int32(env, value, &number);
  return number;
}

static napi_value MakeInt(napi_env env, int number) {
  napi_value value;
  napi_create_int32(env, number, &value);
  return value;
}

static napi_value ErrnoOf(napi_env env, int result) {
  const int error = errno;
  return MakeInt(env, result == 0 ? 0 : error);
}

// ----------------------------------------------------------------------------------------------------- signals

// blockInThisThread(signal): errno. What sigprocmask(2) does by itself: the other threads still take the signal.
static napi_value BlockInThisThread(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, GetInt(env, arguments.values[0]));
  return MakeInt(env, pthread_sigmask(SIG_BLOCK, &set, NULL));
}

// ----------------------------------------------------------------------------------------- pipes and sockets

static napi_value MakePair(napi_env env, const int* fds) {
  napi_value pair;
  napi_create_array_with_length(env, 2, &pair);
  for (uint32_t i = 0; i < 2; i++) napi_set_element(env, pair, i, MakeInt(env, fds[i]));
  return pair;
}

// pipe(): [read end, write end]
static napi_value Pipe(napi_env env, napi_callback_info info) {
  int fds[2] = {-1, -1};
  if (pipe(fds) != 0) return NULL;
  return MakePair(env, fds);
}

// socketpair(): two connected stream sockets
static napi_value SocketPair(napi_env env, napi_callback_info info) {
  int fds[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return NULL;
  return MakePair(env, fds);
}

// ------------------------------------------------------------------------------------------------ file locks

static struct flock WholeFile(int type) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = (short)type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// setRecordLock(fd, type), fcntl(2) F_SETLK over the whole file.
static napi_value SetRecordLock(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  struct flock lock = WholeFile(GetInt(env, arguments.values[1]));
  return ErrnoOf(env, fcntl(GetInt(env, arguments.values[0]), F_SETLK, &lock));
}

// recordLockHolder(fd): the pid that keeps this process from a write lock, 0 when none does; fcntl(2) F_GETLK.
static napi_value RecordLockHolder(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  struct flock lock = WholeFile(F_WRLCK);
  if (fcntl(GetInt(env, arguments.values[0]), F_GETLK, &lock) != 0) return MakeInt(env, -errno);
  return MakeInt(env, lock.l_type == F_UNLCK ? 0 : lock.l_pid);
}

// flock(fd, operation)
static napi_value Flock(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  return ErrnoOf(env, flock(GetInt(env, arguments.values[0]), GetInt(env, arguments.values[1])));
}

// ---------------------------------------------------------------------------------------------------- memory

static void Unmap(napi_env env, void* data, void* length) {
  munmap(data, (size_t)(uintptr_t)length);
}

// map(fd, length, isShared): an ArrayBuffer over the file (or, with fd -1, over anonymous memory), undefined on
// failure.
static napi_value Map(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  const int fd = GetInt(env, arguments.values[0]);
  const size_t length = (size_t)GetInt(env, arguments.values[1]);
  bool is_shared = false;
  napi_get_value_bool(env, arguments.values[2], &is_shared);
  const int flags = (is_shared ? MAP_SHARED : MAP_PRIVATE) | (fd < 0 ? MAP_ANONYMOUS : 0);
  void* data = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (data == MAP_FAILED) return NULL;
  napi_value buffer;
  napi_create_external_arraybuffer(env, data, length, Unmap, (void*)(uintptr_t)length, &buffer);
  return buffer;
}

// lockMemory(arrayBuffer), mlock(2)
static napi_value LockMemory(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  void* data = NULL;
  size_t length = 0;
  napi_get_arraybuffer_info(env, arguments.values[0], &data, &length);
  return ErrnoOf(env, mlock(data, length));
}

// ----------------------------------------------------------------------------------- scheduling, POSIX timers

#if defined(__linux__)

// setSchedulerBatch(): SCHED_BATCH, which needs no privilege.
static napi_value SetSchedulerBatch(napi_env env, napi_callback_info info) {
  const struct sched_param parameters = {0};
  return ErrnoOf(env, sched_setscheduler(0, SCHED_BATCH, &parameters));
}

// isSchedulerBatch()
static napi_value IsSchedulerBatch(napi_env env, napi_callback_info info) {
  napi_value result;
  napi_get_boolean(env, sched_getscheduler(0) == SCHED_BATCH, &result);
  return result;
}

static timer_t posix_timer;

// createTimer(): one timer of this process, armed for an hour.
static napi_value CreateTimer(napi_env env, napi_callback_info info) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_NONE;
  if (timer_create(CLOCK_MONOTONIC, &event, &posix_timer) != 0) return MakeInt(env, errno);
  const struct itimerspec hour = {.it_value = {.tv_sec = 3600}};
  return ErrnoOf(env, timer_settime(posix_timer, 0, &hour, NULL));
}

// timerState(): 0 when createTimer's timer exists, else EINVAL.
static napi_value TimerState(napi_env env, napi_callback_info info) {
  struct itimerspec left;
  return ErrnoOf(env, timer_gettime(posix_timer, &left));
}

#endif

// ----------------------------------------------------------------------------------- an addon's own threads

static atomic_int ticks;

// Allocates and frees without pause, so that a fork meets it inside malloc.
static void* Churn(void* unused) {
  for (;;) {
    void* blocks[64];
    for (int i = 0; i < 64; i++) {
      blocks[i] = malloc((size_t)(16 + i * 24));
      memset(blocks[i], i, 16);
    }
    for (int i = 0; i < 64; i++) free(blocks[i]);
    atomic_fetch_add(&ticks, 1);
    usleep(50);
  }
  return NULL;
}

// startThread(): a thread that allocates memory for as long as the process lives.
static napi_value StartThread(napi_env env, napi_callback_info info) {
  pthread_t thread;
  return MakeInt(env, pthread_create(&thread, NULL, Churn, NULL));
}

// threadTicks(): how many rounds it has made.
static napi_value ThreadTicks(napi_env env, napi_callback_info info) {
  return MakeInt(env, atomic_load(&ticks));
}

typedef struct {
  napi_threadsafe_function call;
  pthread_t thread;
  atomic_int is_stopping;
  int burst;  // calls in a row
} Emitter;

static Emitter emitter;

static void* Emit(void* unused) {
  while (!atomic_load(&emitter.is_stopping)) {
    for (int i = 0; i < emitter.burst; i++) {
      napi_call_threadsafe_function(emitter.call, NULL, napi_tsfn_nonblocking);
    }
    usleep(1000);
  }
  napi_release_threadsafe_function(emitter.call, napi_tsfn_release);
  return NULL;
}

// startEmitter(callback, burst): a thread that calls JavaScript through a thread-safe function, so many times in a row
// about every millisecond; calls for which the queue has no room only take the function's lock.
static napi_value StartEmitter(napi_env env, napi_callback_info info) {
  const Arguments arguments = GetArguments(env, info);
  napi_value name;
  napi_create_string_utf8(env, "emitter", NAPI_AUTO_LENGTH, &name);
  napi_create_threadsafe_function(env, arguments.values[0], NULL, name, 16, 1, NULL, NULL, NULL, NULL, &emitter.call);
  emitter.burst = GetInt(env, arguments.values[1]);
  atomic_store(&emitter.is_stopping, 0);
  return MakeInt(env, pthread_create(&emitter.thread, NULL, Emit, NULL));
}

// stopEmitter()
static napi_value StopEmitter(napi_env env, napi_callback_info info) {
  atomic_store(&emitter.is_stopping, 1);
  return MakeInt(env, pthread_join(emitter.thread, NULL));
}

// unrefEmitter(): its thread-safe function no longer keeps the loop alive.
static napi_value UnrefEmitter(napi_env env, napi_callback_info info) {
  return MakeInt(env, (int)napi_unref_threadsafe_function(env, emitter.call));
}

// ------------------------------------------------------------------------------------------------------- fork

// fork(2) by the system call alone, the price that realfork's fork() is compared with. The child leaves at once.
static napi_value BareFork(napi_env env, napi_callback_info info) {
  const long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return MakeInt(env, (int)pid);
}

// ------------------------------------------------------------------------------------------------------ table

static const struct {
  const char* name;
  napi_callback call;
} kFunctions[] = {
    {"bareFork", BareFork},
    {"blockInThisThread", BlockInThisThread},
    {"pipe", Pipe},
    {"socketpair", SocketPair},
    {"setRecordLock", SetRecordLock},
    {"recordLockHolder", RecordLockHolder},
    {"flock", Flock},
    {"map", Map},
    {"lockMemory", LockMemory},
#if defined(__linux__)
    {"setSchedulerBatch", SetSchedulerBatch},
    {"isSchedulerBatch", IsSchedulerBatch},
    {"createTimer", CreateTimer},
    {"timerState", TimerState},
#endif
    {"startThread", StartThread},
    {"threadTicks", ThreadTicks},
    {"startEmitter", StartEmitter},
    {"stopEmitter", StopEmitter},
    {"unrefEmitter", UnrefEmitter},
};

static const struct {
  const char* name;
  int value;
} kConstants[] = {
    {"F_RDLCK", F_RDLCK}, {"F_WRLCK", F_WRLCK}, {"F_UNLCK", F_UNLCK}, {"LOCK_SH", LOCK_SH},
    {"LOCK_EX", LOCK_EX}, {"LOCK_UN", LOCK_UN}, {"LOCK_NB", LOCK_NB},
};

NAPI_MODULE_INIT() {
  for (size_t i = 0; i < sizeof kFunctions / sizeof kFunctions[0]; i++) {
    napi_value function;
    napi_create_function(env, kFunctions[i].name, NAPI_AUTO_LENGTH, kFunctions[i].call, NULL, &function);
    napi_set_named_property(env, exports, kFunctions[i].name, function);
  }
  for (size_t i = 0; i < sizeof kConstants / sizeof kConstants[0]; i++) {
    napi_set_named_property(env, exports, kConstants[i].name, MakeInt(env, kConstants[i].value));
  }
  return exports;
}
