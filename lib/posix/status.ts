/**
 * What a wait status says: the macros of wait(2) as pure functions. The encoding is the same on Linux and macOS except
 * for a continued child.
 *
 *     exited       code << 8          0x2a00  code 42
 *     killed       signal             0x0009  SIGKILL
 *       with core  signal | 0x80      0x0086  SIGABRT, core dumped
 *     stopped      signal << 8 | 0x7f 0x137f  SIGSTOP
 *     continued    0xffff on Linux; on macOS 0x137f, where SIGCONT is 0x13 and SIGSTOP 0x11
 */
import { invalidValue, validateInt32 } from '../validate';

const SIGNAL_BITS = 0x7f;
const CORE_BIT = 0x80;
const STOPPED = 0x7f;

const DARWIN_CONTINUED = 0x137f;
const LINUX_CONTINUED = 0xffff;
const isDarwin = process.platform === 'darwin';

/**
 * Tell whether the child ended by itself: by `process.exit()`, `_exit()`, or the end of its program.
 *
 * @param status - A wait status, as `waitpid` gives it.
 * @returns Whether {@link WEXITSTATUS} has something to say.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WIFEXITED(0x2a00); // true
 * ```
 * @see wait(2), os.WIFEXITED (Python)
 */
export function WIFEXITED(status: number): boolean {
  validateInt32(status, 'status');
  return (status & SIGNAL_BITS) === 0;
}

/**
 * Give the exit code of a child that ended by itself.
 *
 * @param status - A wait status for which {@link WIFEXITED} is true; for others the result means nothing.
 * @returns 0 to 255: the kernel keeps the lowest 8 bits of what was given to exit.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WEXITSTATUS(0x2a00); // 42
 * ```
 * @see wait(2), os.WEXITSTATUS (Python)
 */
export function WEXITSTATUS(status: number): number {
  validateInt32(status, 'status');
  return (status >> 8) & 0xff;
}

/**
 * Tell whether a signal ended the child.
 *
 * @param status - A wait status, as `waitpid` gives it.
 * @returns Whether {@link WTERMSIG} has something to say.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WIFSIGNALED(9); // true: SIGKILL
 * ```
 * @see wait(2), os.WIFSIGNALED (Python)
 */
export function WIFSIGNALED(status: number): boolean {
  validateInt32(status, 'status');
  const signal = status & SIGNAL_BITS;
  return signal !== 0 && signal !== STOPPED;
}

/**
 * Give the number of the signal that ended the child.
 *
 * @param status - A wait status for which {@link WIFSIGNALED} is true; for others the result means nothing.
 * @returns The number, a value of `os.constants.signals`.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WTERMSIG(0x86); // 6: SIGABRT
 * ```
 * @see wait(2), os.WTERMSIG (Python)
 */
export function WTERMSIG(status: number): number {
  validateInt32(status, 'status');
  return status & SIGNAL_BITS;
}

/**
 * Tell whether the signal that ended the child made it write a core file.
 *
 * @param status - A wait status for which {@link WIFSIGNALED} is true; for others the result means nothing.
 * @returns Whether there was a core dump; false where the system writes none.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WCOREDUMP(0x86); // true
 * ```
 * @see wait(2), core(5), os.WCOREDUMP (Python)
 */
export function WCOREDUMP(status: number): boolean {
  validateInt32(status, 'status');
  return (status & CORE_BIT) !== 0;
}

/**
 * Tell whether the child was stopped; reported only when the wait was given `WUNTRACED`.
 *
 * @param status - A wait status, as `waitpid` gives it.
 * @returns Whether {@link WSTOPSIG} has something to say.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WIFSTOPPED(0x137f); // true on Linux: SIGSTOP
 * ```
 * @see wait(2), os.WIFSTOPPED (Python)
 */
export function WIFSTOPPED(status: number): boolean {
  validateInt32(status, 'status');
  return (status & 0xff) === STOPPED && !WIFCONTINUED(status);
}

/**
 * Give the number of the signal that stopped the child.
 *
 * @param status - A wait status for which {@link WIFSTOPPED} is true; for others the result means nothing.
 * @returns The number, a value of `os.constants.signals`.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WSTOPSIG(0x147f); // 20: SIGTSTP on Linux
 * ```
 * @see wait(2), os.WSTOPSIG (Python)
 */
export function WSTOPSIG(status: number): number {
  validateInt32(status, 'status');
  return (status >> 8) & 0xff;
}

/**
 * Tell whether the child was continued by SIGCONT; reported only when the wait was given `WCONTINUED`.
 *
 * @param status - A wait status, as `waitpid` gives it.
 * @returns Whether the child is running again.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @example
 * ```js
 * WIFCONTINUED(0xffff); // true on Linux
 * ```
 * @see wait(2), os.WIFCONTINUED (Python)
 */
export function WIFCONTINUED(status: number): boolean {
  validateInt32(status, 'status');
  return (status & 0xffff) === (isDarwin ? DARWIN_CONTINUED : LINUX_CONTINUED);
}

/**
 * Turn the wait status of an ended child into one number: its exit code, or the negative number of the signal that
 * killed it.
 *
 * @param status - A wait status of a child that has ended.
 * @returns 0 to 255 after an exit, -1 to -126 after a signal.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `status` is not a 32-bit integer.
 * @throws `ERR_INVALID_ARG_VALUE` when the child has not ended: it was stopped or continued.
 * @example
 * ```js
 * waitStatusToExitCode(0x2a00); // 42
 * waitStatusToExitCode(0x0009); // -9
 * ```
 * @see os.waitstatus_to_exitcode (Python)
 */
export function waitStatusToExitCode(status: number): number {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (WIFSIGNALED(status)) return -WTERMSIG(status);
  throw invalidValue('status', 'must be the wait status of a process that has ended', status);
}
