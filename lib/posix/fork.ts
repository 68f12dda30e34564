/** fork(2) for Node: one call, two returns, and a child that is a whole Node. */
import { isMainThread } from 'node:worker_threads';
import { codedError, ForkLimitError, type ForkLimit } from '../errors';
import { native } from '../native';
import { repairChild } from './after-fork';
import { runAfter, runBefore } from './at-fork';
import { noteForked } from './children';
import { compileForChild } from './precompile';
import { forkSupport } from './support';

/**
 * Make a child process that is a copy of this one and goes on from this very call.
 *
 * @returns 0 in the child, the child's pid (greater than 0) in the parent.
 * @throws {@link PosixError} `EAGAIN` a limit on processes was reached (`RLIMIT_NPROC`, cgroup `pids.max`, `pid_max`).
 * @throws {@link PosixError} `ENOMEM` the kernel could not copy the process's page tables.
 * @throws {@link ForkLimitError} `ERR_FORK_LIMIT` a guard set by `guardForks` refuses; no process was made.
 * @throws `ERR_FORK_IN_WORKER` in a `worker_threads` Worker: only the calling thread would exist in the child, and Node
 * cannot run without its main thread.
 * @throws `ERR_FORK_WORKER_BUSY` a Worker was in native code, such as a synchronous call of `crypto`, for the whole of
 * 200 ms: it may hold locks that nobody could release in the child. Workers that wait or run JavaScript do not matter;
 * they do not exist in the child.
 * @throws `ERR_FORK_THREADS_BUSY` V8's threads could not be stopped at a safe place within 5 s.
 * @throws `ERR_FORK_IN_IO_URING` in the callback of a file request, with `UV_USE_IO_URING=1` on Node 20.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` see {@link forkSupport}.
 * @remarks The child owns copies of everything: timers, promises and callbacks scheduled before the fork run in both
 * processes, and open descriptors are shared (with their offsets). Requests under way in libuv's thread pool complete in
 * the parent only. `Process` of `realfork/multiprocessing` gives a child that runs one function instead.
 * `docs/after-fork.md` lists what is copied, shared and renewed. Blocks the event loop for the time of the system call
 * (about 1 ms per 100 MB of memory in use).
 * @example
 * ```js
 * const pid = fork();
 * if (pid === 0) { console.log('child', process.pid); process.exit(7); }
 * console.log(WEXITSTATUS(waitpid(pid).status)); // 7
 * ```
 * @see fork(2), os.fork (Python)
 */
export function fork(): number {
  checkMainThread();
  const support = forkSupport();
  if (support.mode === 'unavailable') {
    throw codedError(Error, 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM', `fork() is unavailable: ${support.reason}`);
  }
  runBefore();
  compileForChild();
  let pid: number;
  try {
    const result = native.fork();
    if (typeof result !== 'number' || result < 0) throw refusal(result);
    pid = result;
  } catch (error) {
    runAfter('afterInParent');
    throw error;
  }
  if (pid === 0) {
    repairChild();
    runAfter('afterInChild');
  } else {
    noteForked(pid);
    try {
      runAfter('afterInParent');
    } catch (error) {
      // The child exists, and who catches this has to wait for it.
      if (error !== null && typeof error === 'object') Reflect.set(error, 'pid', pid);
      throw error;
    }
  }
  return pid;
}

/** Throws in a Worker, which cannot fork. */
export function checkMainThread(): void {
  if (isMainThread) return;
  throw codedError(
    Error,
    'ERR_FORK_IN_WORKER',
    "fork() was called in a worker_threads Worker; the child would lack Node's main thread. Call it in the main thread",
  );
}

/** Why `native/fork.cc` refuses, by its negative results. */
const refusals: Readonly<Record<number, readonly [code: string, message: string]>> = {
  [-1]: [
    'ERR_FORK_WORKER_BUSY',
    'fork() found a worker_threads Worker in native code for 200 ms; it may hold locks that nobody could release in the ' +
      'child. Fork when its call is over, or terminate it first',
  ],
  [-2]: [
    'ERR_FORK_THREADS_BUSY',
    "fork() could not stop V8's threads outside the C library within 5 s; try again when the process is less busy",
  ],
  [-3]: [
    'ERR_FORK_IN_IO_URING',
    'fork() was called in the callback of a file request while UV_USE_IO_URING is on: the child would lack the ring that ' +
      'libuv is reading. Fork in another turn of the event loop (setImmediate), or unset UV_USE_IO_URING',
  ],
};

function refusal(result: number | ForkLimit): Error {
  if (typeof result !== 'number') return new ForkLimitError(result);
  const [code, message] = refusals[result] as readonly [string, string];
  return codedError(Error, code, message);
}
