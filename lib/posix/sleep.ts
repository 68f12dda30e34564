/** Sleeping without the event loop. */
import { native } from '../native';
import { validateNumber } from '../validate';

/**
 * Suspend the calling thread for so many milliseconds.
 *
 * @param ms - 0 to 2147483647 (24.8 days), fractions allowed.
 * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for anything else.
 * @remarks Blocks the event loop. The whole time passes: a signal with listeners does not shorten the sleep, and its
 * listeners run when the loop turns again. Uses no CPU, unlike a loop over `Date.now()`.
 * @example
 * ```js
 * sleepSync(250);
 * ```
 * @see clock_nanosleep(2), time.sleep (Python)
 */
export function sleepSync(ms: number): void {
  validateNumber(ms, 'ms', 0, 2147483647);
  native.sleep(ms);
}
