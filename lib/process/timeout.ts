/** Timeouts of this layer: milliseconds; none is for ever; less than 0 is 0, as in Python. */
import { outOfRange, invalidType } from '../validate';

/** What a timer of Node's can be set to; what is longer is for ever. */
const LONGEST = 0x7fffffff;

/** How long to wait, by name. */
export interface TimeoutOptions {
  /** Milliseconds; 0 or less only looks. Default: for ever. */
  readonly timeout?: number | null | undefined;
}

/** The milliseconds to wait at most, 0 or more, or Infinity; given as they are or as `{ timeout }`. */
export function validateTimeout(given: unknown, name = 'timeout'): number {
  const timeout = typeof given === 'object' && given !== null ? (given as TimeoutOptions).timeout : given;
  if (timeout === undefined || timeout === null) return Infinity;
  if (typeof timeout !== 'number') throw invalidType(name, 'of type number', timeout);
  if (Number.isNaN(timeout)) throw outOfRange(name, 'a number', timeout);
  return timeout > LONGEST ? Infinity : Math.max(0, timeout);
}
