/** Niceness: how readily a process leaves the processor to others, from -20 (hardly) to 19 (always). */
import { native } from '../native';
import { constantNumber, validateInt32, validateInteger } from '../validate';

/** For {@link getpriority} and {@link setpriority}: `who` is a pid, 0 for the calling process. */
export const PRIO_PROCESS = 0;
/** `who` is a process group's id, 0 for the caller's group. */
export const PRIO_PGRP = 1;
/** `who` is a user id, 0 for the caller's real user id. */
export const PRIO_USER = 2;
type PriorityName = 'PRIO_PROCESS' | 'PRIO_PGRP' | 'PRIO_USER';
const kinds = { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

/**
 * Change the niceness of this process.
 *
 * @param increment - Added to the niceness; the sum is cut to -20..19.
 * @returns The new niceness; -1 is one of them.
 * @throws {@link PosixError} `EPERM` a negative increment needs CAP_SYS_NICE or room in `RLIMIT_NICE`.
 * @remarks POSIX has one value for the process. Linux keeps one for each thread; here every thread of the process is set
 * (V8's and libuv's pool too), and later ones inherit it. Forked children inherit it as well.
 * @example
 * ```js
 * nice(10); // give way to everything else
 * ```
 * @see nice(2), os.nice (Python)
 */
export function nice(increment: number): number {
  validateInt32(increment, 'increment');
  // Beyond the whole width of the range the result is the same, and the C library's sum cannot overflow.
  return native.nice(Math.max(-40, Math.min(40, increment)));
}

/** uid_t goes up to 2^32-2; negative numbers are for the kernel to refuse. */
function validateWho(who: unknown): asserts who is number {
  validateInteger(who, 'who', -2147483648, 4294967295);
}

/**
 * Read the niceness of a process, a process group or a user's processes.
 *
 * @param which - {@link PRIO_PROCESS}, {@link PRIO_PGRP} or {@link PRIO_USER}, or one of these names: what `who` is.
 * @param who - A pid, group id or user id; 0 is the caller's.
 * @returns The lowest value (that is the highest priority) among those meant; -1 is one of them.
 * @throws {@link PosixError} `EINVAL` `which` is none of the three.
 * @throws {@link PosixError} `ESRCH` no process matches.
 * @example
 * ```js
 * console.log(getpriority(PRIO_PROCESS, 0)); // 0
 * ```
 * @see getpriority(2), os.getpriority (Python and Node)
 */
export function getpriority(which: number | PriorityName, who: number): number {
  const kind = constantNumber(which, 'which', kinds);
  validateWho(who);
  return native.getpriority(kind, who);
}

/**
 * Set the niceness of a process, a process group or a user's processes.
 *
 * @param which - {@link PRIO_PROCESS}, {@link PRIO_PGRP} or {@link PRIO_USER}, or one of these names: what `who` is.
 * @param who - A pid, group id or user id; 0 is the caller's.
 * @param priority - The new niceness; cut to -20..19.
 * @throws {@link PosixError} `EINVAL` `which` is none of the three.
 * @throws {@link PosixError} `ESRCH` no process matches.
 * @throws {@link PosixError} `EACCES` a lower value than the present one needs CAP_SYS_NICE or room in `RLIMIT_NICE`.
 * @throws {@link PosixError} `EPERM` the process belongs to another user.
 * @remarks With `PRIO_PROCESS` all threads of the process are set, as POSIX says and as {@link nice} does; the number of
 * a further thread (`gettid`) means that thread alone. Node's `os.setPriority` sets a process's main thread only.
 * @example
 * ```js
 * setpriority(PRIO_PROCESS, child, 5);
 * ```
 * @see setpriority(2), os.setpriority (Python)
 */
export function setpriority(which: number | PriorityName, who: number, priority: number): void {
  const kind = constantNumber(which, 'which', kinds);
  validateWho(who);
  validateInt32(priority, 'priority');
  native.setpriority(kind, who, priority);
}
