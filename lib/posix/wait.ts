/**
 * Waiting for children: the synchronous calls of wait(2) and its family. `wait-async.ts` has the form that leaves the
 * event loop free, `status.ts` the functions that read a status.
 */
import { hostConstants, native } from '../native';
import { validateInt32 } from '../validate';

/** Option of the wait family: return at once when no child has changed state, with `pid` 0. */
export const WNOHANG = hostConstants.WNOHANG;
/** Option of `waitpid`, `wait3`, `wait4`: also report children that were stopped. */
export const WUNTRACED = hostConstants.WUNTRACED;
/** Option of the wait family: also report children that SIGCONT continued. */
export const WCONTINUED = hostConstants.WCONTINUED;
/** Option of `waitid`: report children that have ended. */
export const WEXITED = hostConstants.WEXITED;
/** Option of `waitid`: report children that were stopped. */
export const WSTOPPED = hostConstants.WSTOPPED;
/** Option of `waitid`: leave the child as it is, so that a later wait reports it again. */
export const WNOWAIT = hostConstants.WNOWAIT;

/** First argument of `waitid`: any child; `id` is ignored. */
export const P_ALL = hostConstants.P_ALL;
/** First argument of `waitid`: the child whose pid is `id`. */
export const P_PID = hostConstants.P_PID;
/** First argument of `waitid`: any child in process group `id` (0, from Linux 5.4 on: the caller's own group). */
export const P_PGID = hostConstants.P_PGID;
/** First argument of `waitid`: the child that the pidfd `id` refers to (Linux 5.4). */
export const P_PIDFD = hostConstants.P_PIDFD;

/** `code` of a {@link WaitIdResult}: the child ended by itself; `status` is its exit code. */
export const CLD_EXITED = hostConstants.CLD_EXITED;
/** `code` of a {@link WaitIdResult}: the signal `status` killed the child. */
export const CLD_KILLED = hostConstants.CLD_KILLED;
/** `code` of a {@link WaitIdResult}: the signal `status` killed the child, which wrote a core file. */
export const CLD_DUMPED = hostConstants.CLD_DUMPED;
/** `code` of a {@link WaitIdResult}: the traced child has trapped. */
export const CLD_TRAPPED = hostConstants.CLD_TRAPPED;
/** `code` of a {@link WaitIdResult}: the signal `status` stopped the child. */
export const CLD_STOPPED = hostConstants.CLD_STOPPED;
/** `code` of a {@link WaitIdResult}: SIGCONT continued the child. */
export const CLD_CONTINUED = hostConstants.CLD_CONTINUED;

/** What {@link waitpid} and {@link wait} found out. */
export interface WaitResult {
  /** The child's pid; 0 when `WNOHANG` was given and no child has changed state. */
  readonly pid: number;
  /** The raw wait status for `WIFEXITED` and the others; 0 when `pid` is 0. */
  readonly status: number;
}

/** What {@link wait3} and {@link wait4} found out. */
export interface Wait4Result extends WaitResult {
  /**
   * The resources that the child, and those of its descendants that were waited for, have used: the fields and units of
   * `process.resourceUsage()` (CPU times in microseconds, `maxRSS` in kilobytes). All 0 when `pid` is 0.
   */
  readonly rusage: NodeJS.ResourceUsage;
}

/** What {@link waitid} found out: the fields of `siginfo_t` without their `si_`. All 0 when nothing was found. */
export interface WaitIdResult {
  /** The child's pid; 0 when `WNOHANG` was given and no child has changed state. */
  readonly pid: number;
  /** The child's real user id. */
  readonly uid: number;
  /** SIGCHLD. */
  readonly signo: number;
  /** What happened: `CLD_EXITED`, `CLD_KILLED`, `CLD_DUMPED`, `CLD_TRAPPED`, `CLD_STOPPED` or `CLD_CONTINUED`. */
  readonly code: number;
  /** The exit code for `CLD_EXITED`, a signal's number for the others. Not a wait status. */
  readonly status: number;
}

/**
 * Wait until one of the children ends, and reap it.
 *
 * @returns Its pid and wait status.
 * @throws {@link PosixError} `ECHILD` there is no unwaited-for child.
 * @remarks Blocks the event loop: no timer, promise or signal listener runs before a child has ended. It takes any child,
 * also one of `child_process`, whose `'exit'` event then never comes: prefer `waitpid` with a pid. A signal does not end
 * the wait; its listener runs afterwards.
 * @example
 * ```js
 * if (fork() === 0) process.exit(7);
 * const { pid, status } = wait();
 * console.log(pid, WEXITSTATUS(status)); // 4711 7
 * ```
 * @see wait(2), os.wait (Python)
 */
export function wait(): WaitResult {
  return native.wait();
}

/**
 * Wait until a child changes state; one that has ended is reaped.
 *
 * @param pid - Greater than 0: this child. -1: any. 0: any in the caller's process group. Less than -1: any in the process
 * group `-pid`.
 * @param options - `WNOHANG`, `WUNTRACED`, `WCONTINUED`, or-ed. Default 0.
 * @returns The child's pid and wait status; `pid` is 0 when `WNOHANG` was given and no child has changed state.
 * @throws {@link PosixError} `ECHILD` no unwaited-for child matches `pid`.
 * @throws {@link PosixError} `EINVAL` `options` has a bit that the kernel does not know.
 * @throws {@link PosixError} `ESRCH` `pid` is -2147483648 (Linux).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is not a 32-bit integer.
 * @remarks Without `WNOHANG` it blocks the event loop; `waitpidAsync` does not. A signal does not end the wait (`EINTR` is
 * retried); its listener runs afterwards. With `pid` 0 or less it may take a child of `child_process`, whose `'exit'` event
 * then never comes.
 * @example
 * ```js
 * const pid = fork();
 * if (pid === 0) process.exit(7);
 * console.log(WEXITSTATUS(waitpid(pid).status)); // 7
 * ```
 * @see waitpid(2), os.waitpid (Python)
 */
export function waitpid(pid: number, options = 0): WaitResult {
  validateInt32(pid, 'pid');
  validateInt32(options, 'options');
  return native.waitpid(pid, options);
}

/**
 * Wait as `waitpid(-1, options)` does, and tell what resources the child has used.
 *
 * @param options - `WNOHANG`, `WUNTRACED`, `WCONTINUED`, or-ed. Default 0.
 * @returns The child's pid, wait status and resource usage; all 0 when `WNOHANG` was given and no child has changed state.
 * @throws {@link PosixError} `ECHILD` there is no unwaited-for child.
 * @throws {@link PosixError} `EINVAL` `options` has a bit that the kernel does not know.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `options` is not a 32-bit integer.
 * @remarks As for {@link waitpid}.
 * @example
 * ```js
 * if (fork() === 0) process.exit();
 * console.log(wait3().rusage.userCPUTime, 'microseconds');
 * ```
 * @see wait3(2), os.wait3 (Python)
 */
export function wait3(options = 0): Wait4Result {
  validateInt32(options, 'options');
  return native.wait4(-1, options, 'wait3');
}

/**
 * Wait as {@link waitpid} does, and tell what resources the child has used.
 *
 * @param pid - As for `waitpid`.
 * @param options - `WNOHANG`, `WUNTRACED`, `WCONTINUED`, or-ed. Default 0.
 * @returns The child's pid, wait status and resource usage; all 0 when `WNOHANG` was given and no child has changed state.
 * @throws {@link PosixError} `ECHILD` no unwaited-for child matches `pid`.
 * @throws {@link PosixError} `EINVAL` `options` has a bit that the kernel does not know.
 * @throws {@link PosixError} `ESRCH` `pid` is -2147483648 (Linux).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is not a 32-bit integer.
 * @remarks As for {@link waitpid}. On Linux some fields are always 0 (`sharedMemorySize`, `signalsCount` and others), see
 * getrusage(2).
 * @example
 * ```js
 * const pid = fork();
 * if (pid === 0) process.exit();
 * const { rusage } = wait4(pid);
 * console.log(rusage.userCPUTime, 'microseconds', rusage.maxRSS, 'kilobytes');
 * ```
 * @see wait4(2), getrusage(2), os.wait4 (Python)
 */
export function wait4(pid: number, options = 0): Wait4Result {
  validateInt32(pid, 'pid');
  validateInt32(options, 'options');
  return native.wait4(pid, options, 'wait4');
}

/**
 * Wait until a child changes state in one of the ways asked for, reaping an ended one only if told to.
 *
 * @param idtype - How to read `id`: `P_ALL`, `P_PID`, `P_PGID` or `P_PIDFD`.
 * @param id - A pid, a process group, or a pidfd; ignored with `P_ALL`.
 * @param options - At least one of `WEXITED`, `WSTOPPED`, `WCONTINUED`, or-ed with `WNOHANG` and `WNOWAIT` as wanted.
 * @returns What happened to which child; all fields 0 when `WNOHANG` was given and no child has changed state.
 * @throws {@link PosixError} `ECHILD` no unwaited-for child matches.
 * @throws {@link PosixError} `EINVAL` `idtype` is unknown, `id` is impossible for it, or `options` names no event.
 * @throws {@link PosixError} `EBADF` with `P_PIDFD`: `id` is not a pidfd.
 * @throws {@link PosixError} `EAGAIN` with `P_PIDFD`: the pidfd is non-blocking and its process has not ended.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is not a 32-bit integer.
 * @remarks Without `WNOHANG` it blocks the event loop; a signal does not end the wait. `status` is an exit code or a
 * signal's number, depending on `code`: the `WIFEXITED` family is not for it.
 * @example
 * ```js
 * const pid = fork();
 * if (pid === 0) process.exit(7);
 * const { code, status } = waitid(P_PID, pid, WEXITED | WNOWAIT); // the child stays a zombie
 * console.log(code === CLD_EXITED, status); // true 7
 * waitpid(pid); // now it is gone
 * ```
 * @see waitid(2), os.waitid (Python)
 */
export function waitid(idtype: number, id: number, options: number): WaitIdResult {
  validateInt32(idtype, 'idtype');
  validateInt32(id, 'id');
  validateInt32(options, 'options');
  return native.waitid(idtype, id, options);
}
