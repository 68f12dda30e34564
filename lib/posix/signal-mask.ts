/** Holding signals back, and taking them where the program wants them instead of in a handler. */
import { isMainThread } from 'node:worker_threads';
import { codedError } from '../errors';
import { native } from '../native';
import { constantNumber, validateNumber } from '../validate';
import { signalName, signalNumbers, type Signal, type SignalName } from './signal-names';

const isDarwin = process.platform === 'darwin';

/** For {@link sigprocmask}: add the signals to the mask. */
export const SIG_BLOCK = isDarwin ? 1 : 0;
/** For {@link sigprocmask}: take the signals out of the mask. */
export const SIG_UNBLOCK = isDarwin ? 2 : 1;
/** For {@link sigprocmask}: make the signals the mask. */
export const SIG_SETMASK = isDarwin ? 3 : 2;
type MaskChange = 'SIG_BLOCK' | 'SIG_UNBLOCK' | 'SIG_SETMASK';

/** What {@link sigtimedwait} learnt about a signal; a field that its kind does not have is 0. */
export interface SignalInfo {
  readonly signal: SignalName;
  /** The signal's number. */
  readonly number: number;
  /** `si_code`: why it was sent. 0 by `kill` or `raise`, less by another queue of signals, more by the kernel. */
  readonly code: number;
  /** The sender's pid, or that of the child that SIGCHLD is about. Linux only. */
  readonly pid: number;
  /** The real user id of that process. Linux only. */
  readonly uid: number;
  /** SIGCHLD only: the exit code, or the number of the signal that ended, stopped or continued the child. Linux only. */
  readonly status: number;
}

/** What the addon knows of a signal, with the name it goes by. */
export function signalInfo(info: Omit<SignalInfo, 'signal'>): SignalInfo {
  return { signal: signalName(info.number), ...info };
}

/**
 * Change the process's signal mask: which signals are held back, pending, until they are unblocked or waited for.
 *
 * @param how - {@link SIG_BLOCK}, {@link SIG_UNBLOCK} or {@link SIG_SETMASK}, or one of these names.
 * @param signals - Names or numbers, as an array or another iterable. SIGKILL and SIGSTOP are left out silently; an empty
 * array with `SIG_BLOCK` only asks.
 * @returns The mask as it was, as names in the order of their numbers.
 * @throws {@link PosixError} `EINVAL` `how` is none of the three, or the C library keeps the signal for itself (32, 33).
 * @throws `ERR_OUT_OF_RANGE` a number that is no signal's; `ERR_UNKNOWN_SIGNAL` a name that is none.
 * @throws `ERR_WORKER_UNSUPPORTED_OPERATION` in a `worker_threads` Worker: the mask is the process's.
 * @remarks The kernel has a mask for each thread, and a signal sent to the process goes to any thread that does not block
 * it. Node is a process of many threads, so that blocking a signal in one of them would hold nothing back. On Linux with
 * glibc (where `forkSupport().mode` can be `'full'`) this call changes every thread's mask: V8's, libuv's pool, Workers.
 * What a thread had blocked by itself stays blocked there. On other hosts it is the calling thread's mask alone, and only
 * signals sent to that thread (`raise`) are held back for certain.
 *
 * A pending signal that is unblocked is acted upon before the call returns. A forked child has its parent's mask and no
 * pending signals; so has a program after `exec`, which keeps what is pending too. `child_process` gives its children an
 * empty mask. Blocking SIGCHLD also hides the ends of children from `child_process`.
 * @example
 * ```js
 * const old = sigprocmask(SIG_BLOCK, ['SIGTERM']);
 * finishTheTransaction();
 * sigprocmask(SIG_SETMASK, old); // a SIGTERM that came meanwhile acts here
 * ```
 * @see sigprocmask(2), pthread_sigmask(3), signal.pthread_sigmask (Python)
 */
export function sigprocmask(how: number | MaskChange, signals: Iterable<Signal>): SignalName[] {
  const change = constantNumber(how, 'how', { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK });
  const numbers = signalNumbers(signals);
  if (!isMainThread) {
    throw codedError(TypeError, 'ERR_WORKER_UNSUPPORTED_OPERATION', 'sigprocmask() is not supported in workers');
  }
  return native.sigprocmask(change, numbers).map(signalName);
}

/**
 * List the signals that were sent and are held back by the mask: to the process or to the calling thread.
 *
 * @returns Names in the order of their numbers; [] when there are none.
 * @example
 * ```js
 * sigprocmask(SIG_BLOCK, ['SIGHUP']);
 * kill(process.pid, 'SIGHUP');
 * console.log(sigpending()); // [ 'SIGHUP' ]
 * ```
 * @see sigpending(2), signal.sigpending (Python)
 */
export function sigpending(): SignalName[] {
  return native.sigpending().map(signalName);
}

/**
 * Wait for a signal and take it: no handler runs, no default action happens.
 *
 * @param signals - The signals to wait for. Block them first ({@link sigprocmask}): POSIX leaves open what happens to one
 * that is not blocked when it comes.
 * @returns The name of the signal that was taken; of several pending ones the lowest number, on Linux those sent to
 * this thread (`raise`) first.
 * @throws {@link PosixError} `EINVAL` the C library keeps a signal for itself (32, 33).
 * @throws `ERR_OUT_OF_RANGE`, `ERR_UNKNOWN_SIGNAL` as {@link sigprocmask}.
 * @remarks Blocks the event loop for as long as it takes; `sigwaitAsync` does not. Goes on after a handler for another
 * signal has run; the listeners of that one (`process.on`) run when the loop turns again.
 * @example
 * ```js
 * sigprocmask(SIG_BLOCK, ['SIGUSR1', 'SIGUSR2']);
 * console.log(sigwait(['SIGUSR1', 'SIGUSR2'])); // SIGUSR1, after `kill -USR1 <pid>`
 * ```
 * @see sigwait(3), signal.sigwait (Python)
 */
export function sigwait(signals: Iterable<Signal>): SignalName {
  return signalName(native.sigwait(signalNumbers(signals)));
}

/**
 * Wait for a signal for a limited time and take it, with what is known about its sender.
 *
 * @param signals - The signals to wait for; block them first, see {@link sigwait}.
 * @param timeout - Milliseconds, 0 or more, fractions allowed; 0 only looks. Default: for ever.
 * @returns The signal, or `null` when none came in time (the errno `EAGAIN` of POSIX), as in Python.
 * @throws {@link PosixError} `EINVAL` the C library keeps a signal for itself (32, 33).
 * @throws `ERR_OUT_OF_RANGE`, `ERR_UNKNOWN_SIGNAL` as {@link sigprocmask}; a negative timeout.
 * @remarks Blocks the event loop; `sigtimedwaitAsync` does not. Goes on with the time that is left after a handler
 * for another signal has run. macOS lacks the system call: there the pending signals are looked at every millisecond, and
 * nothing is known about the sender.
 * @example
 * ```js
 * sigprocmask(SIG_BLOCK, ['SIGCHLD']);
 * const pid = fork();
 * if (pid === 0) process.exit(3);
 * const info = sigtimedwait(['SIGCHLD'], 1000);
 * console.log(info?.pid === pid, info?.status); // true 3
 * ```
 * @see sigtimedwait(2), sigwaitinfo(2), signal.sigtimedwait (Python)
 */
export function sigtimedwait(signals: Iterable<Signal>, timeout?: number): SignalInfo | null {
  const numbers = signalNumbers(signals);
  const info = native.sigtimedwait(numbers, timeoutOrForEver(timeout));
  return info === null ? null : signalInfo(info);
}

/** Milliseconds, or -1 for "for ever"; what is longer than three million years counts as that. */
export function timeoutOrForEver(timeout: unknown): number {
  if (timeout === undefined) return -1;
  validateNumber(timeout, 'timeout', 0, Infinity);
  return timeout > 2 ** 43 ? -1 : timeout;
}
