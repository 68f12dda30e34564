/**
 * Descriptors: pipes, socket pairs, copies. Reading, writing and closing them is `fs`'s (`readSync`, `writeSync`,
 * `closeSync`), or `net.Socket`'s (`new net.Socket({ fd })`) for streams.
 *
 * New descriptors are close-on-exec, as all of Node's are and as Python's `os.pipe` and `os.dup` have it: otherwise every
 * program that `child_process` starts meanwhile would hold the other end of the pipe open. What exec is to keep is said on
 * purpose: by `dup2`, by `setInheritable`, or by `pipe2(0)`.
 */
import { hostConstants, native } from '../native';
import { invalidType, validateFd, validateInt32 } from '../validate';

/** Flag of `pipe2`: exec closes the descriptors. */
export const O_CLOEXEC = hostConstants.O_CLOEXEC;
/** Flag of `pipe2`: a read from an empty pipe, or a write to a full one, fails with `EAGAIN` and does not wait. */
export const O_NONBLOCK = hostConstants.O_NONBLOCK;

/**
 * Make a pipe.
 *
 * @returns `[readFd, writeFd]`, both close-on-exec; `fork()` copies both to the child.
 * @throws {@link PosixError} `EMFILE` this process, `ENFILE` the system, has no descriptors left.
 * @remarks Unlike pipe(2), which has exec keep them. Close the end that is not used in each process: a reader sees the end
 * of the data only when no process holds the writing end. `fs.readSync` blocks the event loop until there is data.
 * @example
 * ```js
 * const [readFd, writeFd] = pipe();
 * if (fork() === 0) {
 *   fs.writeSync(writeFd, 'hello from ' + process.pid);
 *   process.exit();
 * }
 * fs.closeSync(writeFd);
 * console.log(fs.readFileSync(readFd, 'utf8'));
 * wait();
 * ```
 * @see pipe(2), os.pipe (Python)
 */
export function pipe(): [number, number] {
  return native.pipe2(O_CLOEXEC, 'pipe');
}

/**
 * Make a pipe whose descriptors have exactly the flags given.
 *
 * @param flags - `O_CLOEXEC`, `O_NONBLOCK`, or-ed; Linux also knows `fs.constants.O_DIRECT`. 0: exec keeps both ends.
 * @returns `[readFd, writeFd]`.
 * @throws {@link PosixError} `EINVAL` `flags` has a bit that the kernel does not know here.
 * @throws {@link PosixError} `EMFILE` this process, `ENFILE` the system, has no descriptors left.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `flags` is not a 32-bit integer.
 * @remarks macOS has no such call: there another thread that starts a program at the same moment may pass the descriptors
 * on before `O_CLOEXEC` is set.
 * @example
 * ```js
 * const [readFd, writeFd] = pipe2(O_CLOEXEC | O_NONBLOCK);
 * ```
 * @see pipe2(2), os.pipe2 (Python)
 */
export function pipe2(flags: number): [number, number] {
  validateInt32(flags, 'flags');
  return native.pipe2(flags, 'pipe2');
}

/**
 * Copy a descriptor to the lowest free number. Both share one offset and one set of status flags.
 *
 * @param fd - The descriptor.
 * @returns The copy, close-on-exec (unlike dup(2)'s).
 * @throws {@link PosixError} `EBADF` `fd` is not open.
 * @throws {@link PosixError} `EMFILE` this process has no descriptors left.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `fd` is not a descriptor number.
 * @example
 * ```js
 * const saved = dup(1);
 * dup2(logFd, 1); // from here on standard output goes to the log
 * dup2(saved, 1); // and from here on no more
 * ```
 * @see dup(2), os.dup (Python)
 */
export function dup(fd: number): number {
  validateFd(fd);
  return native.dup(fd);
}

/**
 * Copy a descriptor to a given number, closing what had that number. Both share one offset and one set of status flags.
 *
 * @param from - The descriptor.
 * @param to - The number of the copy.
 * @returns `to`, which exec keeps, as in POSIX. When `to` equals `from` nothing changes, close-on-exec included.
 * @throws {@link PosixError} `EBADF` `from` is not open, or `to` is at or above the limit on descriptors.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is not a descriptor number.
 * @remarks Meant for 0, 1, 2 and for numbers that the program itself has opened: Node's own descriptors (its epoll set, its
 * wake-up pipes) have low numbers too, and replacing one of them breaks the event loop.
 * @example
 * ```js
 * if (fork() === 0) {
 *   dup2(fs.openSync('out.txt', 'w'), 1);
 *   execvp('ls', ['ls', '-l']); // ls -l > out.txt
 * }
 * ```
 * @see dup2(2), os.dup2 (Python)
 */
export function dup2(from: number, to: number): number {
  validateFd(from, 'from');
  validateFd(to, 'to');
  return native.dup2(from, to);
}

/**
 * Make two Unix stream sockets that are connected to each other: a pipe in both directions.
 *
 * @returns The two descriptors, both close-on-exec.
 * @throws {@link PosixError} `EMFILE` this process, `ENFILE` the system, has no descriptors left.
 * @example
 * ```js
 * const [mine, childs] = socketpair();
 * if (fork() === 0) {
 *   fs.closeSync(mine);
 *   fs.writeSync(childs, 'ping');
 *   process.exit();
 * }
 * fs.closeSync(childs);
 * new net.Socket({ fd: mine }).on('data', (data) => console.log(String(data))); // ping
 * ```
 * @see socketpair(2), unix(7), socket.socketpair (Python)
 */
export function socketpair(): [number, number] {
  return native.socketpair();
}

/**
 * Tell whether exec keeps a descriptor.
 *
 * @param fd - The descriptor.
 * @returns True when it is not close-on-exec.
 * @throws {@link PosixError} `EBADF` `fd` is not open (`syscall` is `fcntl`).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `fd` is not a descriptor number.
 * @example
 * ```js
 * getInheritable(pipe()[0]); // false
 * ```
 * @see fcntl(2) F_GETFD, os.get_inheritable (Python)
 */
export function getInheritable(fd: number): boolean {
  validateFd(fd);
  return !native.getCloseOnExec(fd);
}

/**
 * Say whether exec keeps a descriptor. `fork()` copies it to the child in any case.
 *
 * @param fd - The descriptor.
 * @param inheritable - True: exec keeps it; false: exec closes it.
 * @throws {@link PosixError} `EBADF` `fd` is not open (`syscall` is `fcntl`).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when an argument is of another type or no descriptor number.
 * @remarks Programs that `child_process` starts get an inheritable descriptor too, under the same number.
 * @example
 * ```js
 * const fd = fs.openSync('data.txt');
 * setInheritable(fd, true);
 * execvp('cat', ['cat', `/dev/fd/${fd}`]);
 * ```
 * @see fcntl(2) F_SETFD, os.set_inheritable (Python)
 */
export function setInheritable(fd: number, inheritable: boolean): void {
  validateFd(fd);
  if (typeof inheritable !== 'boolean') throw invalidType('inheritable', 'of type boolean', inheritable);
  native.setCloseOnExec(fd, !inheritable);
}
