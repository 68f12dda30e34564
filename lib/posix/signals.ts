/** Sending signals to processes, groups and oneself, and waiting for a handler to have run. */
import { native } from '../native';
import { validateInt32 } from '../validate';
import { signalNumber, type Signal } from './signal-names';

/**
 * Send a signal to a process or to a process group.
 *
 * @param pid - Greater than 0: that process; 0: the caller's group; -1: every process the caller may signal, but itself
 * and init; less than -1: the group `-pid`.
 * @param signal - Its name or number; 0 sends nothing and only checks.
 * @throws {@link PosixError} `EINVAL` the number is no signal.
 * @throws {@link PosixError} `EPERM` none of the processes may be signalled by this one.
 * @throws {@link PosixError} `ESRCH` there is no such process or group. A zombie still is one.
 * @throws `ERR_UNKNOWN_SIGNAL` the name is no signal's.
 * @remarks A signal to the calling process that no handler and no mask holds back is acted upon before the call returns,
 * as POSIX says. Node's own handlers only note it: listeners of `process.on('SIGUSR2')` run on a later turn of the loop.
 * @example
 * ```js
 * kill(pid, 'SIGTERM');
 * ```
 * @see kill(2), os.kill (Python)
 */
export function kill(pid: number, signal: Signal): void {
  validateInt32(pid, 'pid');
  native.kill(pid, signalNumber(signal));
}

/**
 * Send a signal to a process group.
 *
 * @param pgid - The group's id; 0 is the caller's group.
 * @param signal - Its name or number; 0 sends nothing and only checks.
 * @throws {@link PosixError} `EINVAL` the number is no signal, or `pgid` is negative or 1: POSIX leaves group 1 open, and
 * the C library would turn it into kill(-1), a signal to every process.
 * @throws {@link PosixError} `EPERM` no member of the group may be signalled by this process.
 * @throws {@link PosixError} `ESRCH` there is no such group.
 * @throws `ERR_UNKNOWN_SIGNAL` the name is no signal's.
 * @example
 * ```js
 * killpg(getpgid(worker), 'SIGCONT');
 * ```
 * @see killpg(3), os.killpg (Python)
 */
export function killpg(pgid: number, signal: Signal): void {
  validateInt32(pgid, 'pgid');
  native.killpg(pgid, signalNumber(signal));
}

/**
 * Send a signal to the calling thread.
 *
 * @param signal - Its name or number.
 * @throws {@link PosixError} `EINVAL` the number is no signal.
 * @throws `ERR_UNKNOWN_SIGNAL` the name is no signal's.
 * @remarks Acted upon before the call returns: a default action that ends or stops the process does so here. Where the
 * signal has listeners, Node's handler has noted it by then, and the listeners run on a later turn of the loop.
 * @example
 * ```js
 * process.once('SIGUSR2', () => console.log('on the next turn'));
 * raise('SIGUSR2');
 * ```
 * @see raise(3), signal.raise_signal (Python)
 */
export function raise(signal: Signal): void {
  native.raise(signalNumber(signal));
}

/**
 * Suspend the main thread until a signal handler has run.
 *
 * @returns Nothing, after a signal with a handler; a signal without one ends (or stops) the process as always.
 * @remarks Blocks the event loop. The handlers are Node's own, in C: what `pause()` returns after is Node noting the
 * signal, and the listeners (`process.on`) run when the loop turns again. A signal that came before the call does not end
 * it, so a check followed by `pause()` can miss one: block the signal with {@link sigprocmask} and use {@link sigwait}, or
 * use {@link pauseAsync}. Once `child_process` has been used, a child's end (SIGCHLD) has a handler too.
 * @example
 * ```js
 * process.on('SIGALRM', () => {});
 * alarm(1);
 * pause(); // a second
 * ```
 * @see pause(2), signal.pause (Python)
 */
export function pause(): void {
  native.pause();
}
