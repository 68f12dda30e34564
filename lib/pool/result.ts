/** `AsyncResult`: what a task will come to. */
import { ProcessError, TimeoutError } from '../errors';
import { staysHere } from '../ipc/unclonable';
import { validateTimeout } from '../process/timeout';

/** Lets an {@link AsyncResult} be waited for without the event loop. */
export interface Driver {
  drive(isDone: () => boolean, until: number): void;
}

/** What is called when a result arrives, beside the promise. */
export interface ResultCallbacks<T> {
  /** Called once with the result, before `get()` settles. */
  readonly callback?: ((value: T) => void) | undefined;
  /** Called once with the error, before `get()` settles. */
  readonly errorCallback?: ((error: unknown) => void) | undefined;
}

/**
 * The result of a task, or of a `map`, that may not have come yet.
 *
 * @see multiprocessing.pool.AsyncResult
 */
export class AsyncResult<T> {
  #settled: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown } | undefined;
  readonly #driver: Driver;
  readonly #callbacks: ResultCallbacks<T>;
  readonly #waiters = new Set<() => void>();

  /** @internal */
  constructor(driver: Driver, callbacks: ResultCallbacks<T>) {
    this.#driver = driver;
    this.#callbacks = callbacks;
  }

  /**
   * Wait for the result.
   *
   * @param timeout - Milliseconds to wait at most; 0 or less only looks. Default: for ever.
   * @returns A promise of the result. It rejects with what the task threw.
   * @throws {@link TimeoutError} it has not come in time; a later `get` still gives it.
   * @example
   * ```js
   * const result = pool.applyAsync((x) => x * x, [7]);
   * console.log(await result.get(1000)); // 49
   * ```
   */
  async get(timeout?: number): Promise<T> {
    await this.wait(timeout);
    return this.#take();
  }

  /** The same as {@link AsyncResult.get}, blocking this process; no other callback runs meanwhile. */
  getSync(timeout?: number): T {
    this.waitSync(timeout);
    return this.#take();
  }

  /**
   * Wait until the task has ended, one way or the other.
   *
   * @param timeout - Milliseconds to wait at most; 0 or less only looks. Default: for ever.
   */
  wait(timeout?: number): Promise<void> {
    const limit = validateTimeout(timeout);
    return new Promise((resolve) => {
      if (this.#settled !== undefined || limit === 0) return resolve();
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(done);
        resolve();
      };
      this.#waiters.add(done);
      if (limit !== Infinity) timer = setTimeout(done, limit);
    });
  }

  /** The same as {@link AsyncResult.wait}, blocking this process; no other callback runs meanwhile. */
  waitSync(timeout?: number): void {
    const limit = validateTimeout(timeout);
    this.#driver.drive(() => this.#settled !== undefined, performance.now() + limit);
  }

  /** Tell whether the task has ended. */
  ready(): boolean {
    return this.#settled !== undefined;
  }

  /**
   * Tell whether the task has ended with a result, and not with an error.
   *
   * @throws `ERR_RESULT_NOT_READY` it has not ended.
   */
  successful(): boolean {
    if (this.#settled === undefined) {
      throw new ProcessError('The result is not ready', { code: 'ERR_RESULT_NOT_READY' });
    }
    return this.#settled.ok;
  }

  #take(): T {
    if (this.#settled === undefined) throw new TimeoutError('The result has not come in time');
    if (this.#settled.ok) return this.#settled.value;
    throw this.#settled.error;
  }

  /** @internal */
  onValue(value: T): void {
    this.#settled = { ok: true, value };
    tell(this.#callbacks.callback, value);
    this.#tell();
  }

  /** @internal */
  onError(error: unknown): void {
    this.#settled = { ok: false, error };
    tell(this.#callbacks.errorCallback, error);
    this.#tell();
  }

  #tell(): void {
    for (const done of [...this.#waiters]) done();
  }
}

/** Call back the user. What that throws is uncaught, and does not keep the pool from its work, nor others from their results. */
export function tell<A extends unknown[]>(callback: ((...args: A) => void) | null | undefined, ...args: A): void {
  if (callback == null) return;
  try {
    callback(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

staysHere(AsyncResult);
