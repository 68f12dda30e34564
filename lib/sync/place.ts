/** One who waits on the event loop: a promise, what may end the wait from outside, and that a forked child has no part in it. */
import { clearTimeout as stopTimer, setTimeout as startTimer } from 'node:timers';
import { AbortError } from '../errors';
import { emptyInChild } from '../posix/at-fork';
import type { Wait } from './options';

const LONGEST_TIMER = 2147483647;

/** Everybody who waits in this process. In a forked child these are the parent's, and never settle. */
const waiting = emptyInChild(new Set<Place<unknown>>(), (place) => place.forget());

/** A wait under way; it ends with a value, with undefined when its time is over, or with an `AbortError`. */
export class Place<T> {
  readonly promise: Promise<T | undefined>;
  #resolve!: (value: T | undefined) => void;
  #reject!: (error: unknown) => void;
  readonly #end: number;
  readonly #signal: AbortSignal | undefined;
  readonly #leave: (place: Place<T>) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param leave - Called when the time is over or the signal aborted, before the promise settles. */
  constructor({ timeout, signal }: Wait, leave: (place: Place<T>) => void) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#end = performance.now() + timeout;
    this.#signal = signal;
    this.#leave = leave;
    if (timeout >= 0) this.#startTimer();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    waiting.add(this as Place<unknown>);
  }

  /** End the wait with what was waited for. */
  settle(value: T): void {
    this.forget();
    this.#resolve(value);
  }

  /** End the wait with an error. */
  fail(error: unknown): void {
    this.forget();
    this.#reject(error);
  }

  /** End the wait and never settle the promise: it is the parent's. */
  forget(): void {
    stopTimer(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    waiting.delete(this as Place<unknown>);
  }

  #startTimer(): void {
    this.#timer = startTimer(this.#onTime, Math.min(Math.max(0, this.#end - performance.now()), LONGEST_TIMER));
  }

  readonly #onTime = (): void => {
    if (performance.now() < this.#end) return this.#startTimer();
    this.forget();
    this.#leave(this);
    this.#resolve(undefined);
  };

  readonly #onAbort = (): void => {
    this.forget();
    this.#leave(this);
    this.#reject(new AbortError(this.#signal as AbortSignal));
  };
}
