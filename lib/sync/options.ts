/** How the waiting calls of locks and their like are told how long to wait: Python's positions, or Node's options. */
import { invalidType, validateAbortSignal, validateBoolean, validateNumber } from '../validate';

/** How long a wait may take. */
export interface WaitOptions {
  /** Milliseconds, fractions allowed; a negative number is 0. Default: for ever. */
  readonly timeout?: number | null | undefined;
}

/** How long a wait of the promise form may take, and what else ends it. */
export interface AsyncWaitOptions extends WaitOptions {
  /** Rejects the promise with an `AbortError` when aborted; nothing is taken then. */
  readonly signal?: AbortSignal | undefined;
}

/** Whether and how long to wait for a lock. */
export interface AcquireOptions extends WaitOptions {
  /** False takes the lock only when it is free at once. Default true. */
  readonly block?: boolean | undefined;
}

/** Whether and how long to wait for a lock with the promise form. */
export interface AsyncAcquireOptions extends AcquireOptions, AsyncWaitOptions {}

/** What a call was asked for: milliseconds (-1: for ever, 0: do not wait) and a signal. */
export interface Wait {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

const forEver: Wait = { timeout: -1, signal: undefined };

function milliseconds(timeout: unknown): number {
  if (timeout === undefined || timeout === null) return -1;
  validateNumber(timeout, 'timeout', -Infinity, Infinity);
  return timeout === Infinity ? -1 : Math.max(0, timeout);
}

function signalOf(options: { signal?: unknown }): AbortSignal | undefined {
  const { signal } = options;
  if (signal === undefined) return undefined;
  validateAbortSignal(signal, 'options.signal');
  return signal;
}

/** The arguments of `wait(timeout | options)`. */
export function readWait(given: unknown): Wait {
  if (given === undefined || given === null) return forEver;
  if (typeof given === 'number') return { timeout: milliseconds(given), signal: undefined };
  if (typeof given !== 'object') throw invalidType('timeout', 'of type number or an options object', given);
  const options = given as AsyncWaitOptions;
  return { timeout: milliseconds(options.timeout), signal: signalOf(options) };
}

/** The arguments of `acquire(block | options | milliseconds, timeout)`. */
export function readAcquire(given: unknown, timeout: unknown): Wait {
  if (given === undefined && timeout === undefined) return forEver;
  if (typeof given === 'number') return readWait(given);
  if (given === null || given === undefined || typeof given === 'boolean') {
    return { timeout: given === false ? 0 : milliseconds(timeout), signal: undefined };
  }
  if (typeof given !== 'object') throw invalidType('block', 'of type boolean or number, or an options object', given);
  const options = given as AsyncAcquireOptions;
  if (options.block !== undefined) validateBoolean(options.block, 'options.block');
  const limit = milliseconds(options.timeout);
  return { timeout: options.block === false ? 0 : limit, signal: signalOf(options) };
}
