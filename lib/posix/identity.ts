/** Who a process is: ids, process groups, sessions, and the foreground group of a terminal. */
import { native } from '../native';
import { validateFd, validateInt32 } from '../validate';

/**
 * Give the pid of the calling process.
 *
 * @returns What the kernel says now; `process.pid` is a value kept by Node, which `fork()` renews in the child.
 * @example
 * ```js
 * getpid() === process.pid; // true
 * ```
 * @see getpid(2), os.getpid (Python)
 */
export function getpid(): number {
  return native.getpid();
}

/**
 * Give the pid of the parent process.
 *
 * @returns The pid; after the parent has ended, that of the process that adopted this one (init or a subreaper); 0 when the
 * parent is in an outer PID namespace.
 * @example
 * ```js
 * const parent = getpid();
 * if (fork() === 0) process.exit(getppid() === parent ? 0 : 1);
 * ```
 * @see getppid(2), os.getppid (Python)
 */
export function getppid(): number {
  return native.getppid();
}

/**
 * Give the kernel's id of the calling thread.
 *
 * @returns On Linux a number from the same range as pids, equal to the pid in the main thread and different in each Worker;
 * on macOS a system-wide number unrelated to pids.
 * @example
 * ```js
 * gettid() === getpid(); // true in the main thread under Linux
 * ```
 * @see gettid(2), threading.get_native_id (Python)
 */
export function gettid(): number {
  return native.gettid();
}

/**
 * Give the process group of a process.
 *
 * @param pid - The process; 0 (the default) is the caller.
 * @returns The group's id.
 * @throws {@link PosixError} `ESRCH` there is no such process.
 * @throws {@link PosixError} `EPERM` the process is in another session (some systems; not Linux, not macOS).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `pid` is not a 32-bit integer.
 * @example
 * ```js
 * getpgid() === getpgrp(); // true
 * ```
 * @see getpgid(2), os.getpgid (Python)
 */
export function getpgid(pid = 0): number {
  validateInt32(pid, 'pid');
  return native.getpgid(pid);
}

/**
 * Move a process to a process group of the same session, or make it the leader of a new one.
 *
 * @param pid - The caller or one of its children; 0 is the caller.
 * @param pgid - The group; 0 is a new group, or the existing one, whose id is the pid.
 * @throws {@link PosixError} `EACCES` the child has already called exec.
 * @throws {@link PosixError} `EINVAL` `pgid` is negative.
 * @throws {@link PosixError} `EPERM` the process leads a session or is in another one, or there is no group `pgid` in the
 * caller's session.
 * @throws {@link PosixError} `ESRCH` `pid` is neither the caller nor one of its children.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is not a 32-bit integer.
 * @remarks A shell calls it in the parent and in the child, whichever runs first: `setpgid(child, child)` and `setpgid(0, 0)`.
 * @example
 * ```js
 * if (fork() === 0) {
 *   setpgid(0, 0);
 *   process.exit(getpgrp() === getpid() ? 0 : 1);
 * }
 * ```
 * @see setpgid(2), os.setpgid (Python)
 */
export function setpgid(pid: number, pgid: number): void {
  validateInt32(pid, 'pid');
  validateInt32(pgid, 'pgid');
  native.setpgid(pid, pgid);
}

/**
 * Give the process group of the calling process.
 *
 * @returns The group's id: the pid of the process that leads it, or led it.
 * @example
 * ```js
 * process.kill(-getpgrp(), 'SIGCONT'); // to every member of the group
 * ```
 * @see getpgrp(2), os.getpgrp (Python)
 */
export function getpgrp(): number {
  return native.getpgrp();
}

/**
 * Make the calling process the leader of a new session and of a new process group, without a controlling terminal.
 *
 * @returns The id of the session, which is the caller's pid.
 * @throws {@link PosixError} `EPERM` the caller leads a process group already, or some process has its pid as group.
 * @remarks A program started from a shell leads a group: call it in a forked child.
 * @example
 * ```js
 * if (fork() === 0) {
 *   const session = setsid();
 *   process.exit(session === getpid() ? 0 : 1);
 * }
 * ```
 * @see setsid(2), os.setsid (Python)
 */
export function setsid(): number {
  return native.setsid();
}

/**
 * Give the session of a process.
 *
 * @param pid - The process; 0 (the default) is the caller.
 * @returns The id of the session: the pid of its leader; 0 when the leader is in an outer PID namespace.
 * @throws {@link PosixError} `ESRCH` there is no such process.
 * @throws {@link PosixError} `EPERM` the process is in another session (some systems; not Linux, not macOS).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `pid` is not a 32-bit integer.
 * @example
 * ```js
 * getsid() === getsid(getppid()); // true under a shell
 * ```
 * @see getsid(2), os.getsid (Python)
 */
export function getsid(pid = 0): number {
  validateInt32(pid, 'pid');
  return native.getsid(pid);
}

/**
 * Give the foreground process group of a terminal.
 *
 * @param fd - A descriptor of the caller's controlling terminal.
 * @returns The group's id; a number greater than 1 that is no group when there is no foreground group.
 * @throws {@link PosixError} `EBADF` `fd` is not open.
 * @throws {@link PosixError} `ENOTTY` `fd` is not the caller's controlling terminal.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `fd` is not a descriptor number.
 * @example
 * ```js
 * const inForeground = process.stdin.isTTY && tcgetpgrp(0) === getpgrp();
 * ```
 * @see tcgetpgrp(3), os.tcgetpgrp (Python)
 */
export function tcgetpgrp(fd: number): number {
  validateFd(fd);
  return native.tcgetpgrp(fd);
}

/**
 * Make a process group the foreground one of a terminal: it may read from it, and the keyboard's signals go to it.
 *
 * @param fd - A descriptor of the caller's controlling terminal.
 * @param pgid - A process group of the caller's session.
 * @throws {@link PosixError} `EBADF` `fd` is not open.
 * @throws {@link PosixError} `EINVAL` `pgid` is negative.
 * @throws {@link PosixError} `EINTR` the caller is in the background and its handler for SIGTTOU ran.
 * @throws {@link PosixError} `ENOTTY` `fd` is not the caller's controlling terminal.
 * @throws {@link PosixError} `EPERM`, `ESRCH` `pgid` is no group of the caller's session, or no group at all.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is out of its range.
 * @remarks Called from a background process it raises SIGTTOU, which stops the caller's whole group unless the signal is
 * blocked or ignored.
 * @example
 * ```js
 * tcsetpgrp(0, job); // what a shell does for `fg`
 * ```
 * @see tcsetpgrp(3), os.tcsetpgrp (Python)
 */
export function tcsetpgrp(fd: number, pgid: number): void {
  validateFd(fd);
  validateInt32(pgid, 'pgid');
  native.tcsetpgrp(fd, pgid);
}
