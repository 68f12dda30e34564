/** The kernel's timers that send a signal to the process: alarm(2) and setitimer(2). */
import { native } from '../native';
import { constantNumber, invalidType, validateInteger, validateNumber } from '../validate';

/** Counts real time and sends SIGALRM. */
export const ITIMER_REAL = 0;
/** Counts the process's CPU time in user mode and sends SIGVTALRM. */
export const ITIMER_VIRTUAL = 1;
/** Counts the process's CPU time and sends SIGPROF. */
export const ITIMER_PROF = 2;
type TimerName = 'ITIMER_REAL' | 'ITIMER_VIRTUAL' | 'ITIMER_PROF';
const timers = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };

/** A timer's state, in milliseconds. */
export interface IntervalTimer {
  /** Until the next signal; 0: the timer is off. */
  readonly value: number;
  /** From one signal to the next; 0: it sends one only. */
  readonly interval: number;
}

/**
 * Have SIGALRM sent to this process after so many seconds.
 *
 * @param seconds - 0 to 4294967295; 0 takes the alarm back.
 * @returns The seconds that were left of the alarm before, rounded up; 0 when there was none.
 * @remarks There is one alarm; a new one replaces the old, and {@link setitimer} with `ITIMER_REAL` uses the same clock.
 * Without a listener for SIGALRM it ends the process. A forked child has no alarm; it outlives exec.
 * @example
 * ```js
 * alarm(10);
 * console.log(alarm(0)); // 10
 * ```
 * @see alarm(2), signal.alarm (Python)
 */
export function alarm(seconds: number): number {
  validateInteger(seconds, 'seconds', 0, 4294967295);
  return native.alarm(seconds);
}

/** About 285,000 years: what a double still counts in microseconds. */
const LONGEST = 2 ** 53 / 1000;

/**
 * Set one of the process's three interval timers.
 *
 * @param which - {@link ITIMER_REAL} (sends SIGALRM), {@link ITIMER_VIRTUAL} (SIGVTALRM) or {@link ITIMER_PROF} (SIGPROF), or one
 * of these names.
 * @param value - Milliseconds until the first signal, 0 to turn the timer off; or `{ value, interval }`, as
 * {@link getitimer} gives it. Fractions count to the microsecond; more than 0 is never rounded down to 0.
 * @param interval - Milliseconds from one signal to the next; 0, the default: one signal only.
 * @returns What the timer was.
 * @throws {@link PosixError} `EINVAL` `which` is none of the three.
 * @throws `ERR_OUT_OF_RANGE` a time is negative or too long.
 * @remarks Without a listener the signal ends the process. A forked child's timers are off; they outlive exec.
 * @example
 * ```js
 * process.on('SIGALRM', () => console.log('tick'));
 * setitimer(ITIMER_REAL, 100, 100);
setTimeout(() => setitimer(ITIMER_REAL, 0), 1000); // a signal's listener alone does not keep Node running
 * ```
 * @see setitimer(2), signal.setitimer (Python, in seconds)
 */
export function setitimer(
  which: number | TimerName,
  value: number | Partial<IntervalTimer>,
  interval?: number,
): IntervalTimer {
  const timer = constantNumber(which, 'which', timers);
  const isTimer = value !== null && typeof value === 'object';
  if (isTimer && interval !== undefined) throw invalidType('value', 'of type number when interval is given', value);
  const first: unknown = isTimer ? (value.value ?? 0) : value;
  const next: unknown = (isTimer ? value.interval : interval) ?? 0;
  validateNumber(first, isTimer ? 'value.value' : 'value', 0, LONGEST);
  validateNumber(next, isTimer ? 'value.interval' : 'interval', 0, LONGEST);
  return native.setitimer(timer, first, next);
}

/**
 * Read one of the process's three interval timers.
 *
 * @param which - {@link ITIMER_REAL}, {@link ITIMER_VIRTUAL} or {@link ITIMER_PROF}, or one of these names.
 * @returns Milliseconds until the next signal (0: off) and from one to the next.
 * @throws {@link PosixError} `EINVAL` `which` is none of the three.
 * @example
 * ```js
 * setitimer(ITIMER_REAL, 60_000);
 * console.log(getitimer(ITIMER_REAL).value <= 60_000); // true
 * ```
 * @see getitimer(2), signal.getitimer (Python, in seconds)
 */
export function getitimer(which: number | TimerName): IntervalTimer {
  return native.getitimer(constantNumber(which, 'which', timers));
}
