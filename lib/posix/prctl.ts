/** What Linux does for a process when parents end: adopt the orphans below it, or send it a signal. */
import { codedError } from '../errors';
import { native } from '../native';
import { validateBoolean } from '../validate';
import { registerAtFork } from './at-fork';
import { signalName, signalNumber, type Signal, type SignalName } from './signal-names';
import { runsInChild } from './precompile';

function requireLinux(call: string): void {
  if (process.platform === 'linux') return;
  throw codedError(
    TypeError,
    'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM',
    `The feature ${call} is unavailable on the current platform (${process.platform}): it is prctl(2) of Linux`,
  );
}

/**
 * Make this process the new parent of every descendant whose own parent ends, in place of init.
 *
 * @param on - `false` ends it.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` on other systems than Linux.
 * @remarks The subreaper has to wait for what it adopts, or zombies gather below it: see `Reaper`. Descendants get the
 * nearest subreaper above them. The mark is kept across exec and not handed on to forked children.
 * @example
 * ```js
 * setChildSubreaper(true);
 * ```
 * @see prctl(2) PR_SET_CHILD_SUBREAPER
 */
export function setChildSubreaper(on: boolean): void {
  validateBoolean(on, 'on');
  requireLinux('setChildSubreaper()');
  native.setChildSubreaper(on ? 1 : 0);
}

/**
 * Tell whether this process adopts the orphans below it.
 *
 * @returns What {@link setChildSubreaper} set last in this process; false in a forked child, which does not inherit it.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` on other systems than Linux.
 * @example
 * ```js
 * setChildSubreaper(true);
 * getChildSubreaper(); // true
 * ```
 * @see prctl(2) PR_GET_CHILD_SUBREAPER, {@link setChildSubreaper}
 */
export function getChildSubreaper(): boolean {
  requireLinux('getChildSubreaper()');
  return native.getChildSubreaper() !== 0;
}

/**
 * The parent as it was when this process began. A forked process knows it exactly, from before the fork; another one has
 * only been able to ask when this module loaded.
 */
let firstParent = process.ppid;
let forkedBy = 0;
registerAtFork({
  before: () => {
    forkedBy = native.getpid();
  },
  afterInChild: () => {
    firstParent = forkedBy;
  },
});

/**
 * Have a signal sent to this process when its parent ends.
 *
 * @param signal - Its name or number; 0 or `null`: none any more.
 * @throws {@link PosixError} `EINVAL` the number is no signal.
 * @throws `ERR_UNKNOWN_SIGNAL` the name is no signal's.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` on other systems than Linux.
 * @remarks The parent may have ended between the fork and this call, and then the kernel sends nothing. So the parent's
 * pid from before the fork is compared with the present one afterwards, and if they differ the signal is sent from here.
 * (A program that was not forked by this package takes the parent it had when `realfork` was loaded.) A parent in another
 * PID namespace shows as pid 0 and cannot be compared.
 *
 * To the kernel the parent is the thread that forked: with `fork()` that is Node's main thread, which lives as long as
 * the process; the children that a Worker starts with `child_process` get the signal when the Worker ends. The setting
 * is cleared in a forked child, so that each generation sets its own, and by exec of a set-user-ID program; it is kept by
 * other execs.
 * @example
 * ```js
 * if (fork() === 0) {
 *   setParentDeathSignal('SIGKILL'); // never outlives its parent
 *   work();
 * }
 * ```
 * @see prctl(2) PR_SET_PDEATHSIG
 */
export function setParentDeathSignal(signal: Signal | null): void {
  const number = signal === null ? 0 : signalNumber(signal);
  requireLinux('setParentDeathSignal()');
  native.setParentDeathSignal(number);
  const parent = process.ppid;
  if (number !== 0 && parent !== firstParent && parent !== 0) native.kill(native.getpid(), number);
}

/**
 * Tell which signal this process gets when its parent ends.
 *
 * @returns Its name, or `null` for none.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` on other systems than Linux.
 * @example
 * ```js
 * setParentDeathSignal('SIGTERM');
 * getParentDeathSignal(); // 'SIGTERM'
 * ```
 * @see prctl(2) PR_GET_PDEATHSIG, {@link setParentDeathSignal}
 */
export function getParentDeathSignal(): SignalName | null {
  requireLinux('getParentDeathSignal()');
  const number = native.getParentDeathSignal();
  return number === 0 ? null : signalName(number);
}

runsInChild(setParentDeathSignal, requireLinux);
