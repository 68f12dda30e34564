/** A number that processes lower by one to pass, and wait for while it is 0. */
import { inspect } from 'node:util';
import { codedError } from '../errors';
import { native } from '../native';
import { arena } from '../shared/arena';
import { validateFunction, validateInteger } from '../validate';
import { cellFor, ExistingCell, kCell, Kind, registerCell } from './cell';
import { Line } from './line';
import { readAcquire, type AcquireOptions, type AsyncAcquireOptions } from './options';

/** As in Python (SEM_VALUE_MAX). */
const MOST = 2147483647;

/**
 * A counter that `acquire` lowers by one, waiting while it is 0, and `release` raises by one.
 *
 * @remarks As in Python any process may release it, and it may be raised above its start. Nobody is its holder: what a
 * process had acquired when it was killed stays acquired, and only waiting is free of risk (a waiter that is killed never
 * takes a wake-up with it). Use `Lock` where an owner's death has to be noticed.
 * @example
 * ```js
 * const slots = new Semaphore(4);
 * await slots.with(() => work()); // at most four processes at a time
 * ```
 * @see multiprocessing.Semaphore
 */
export class Semaphore {
  readonly #words = arena().words;
  readonly #offset: number;
  /** Where those wait who find 0. */
  readonly #gate: number;
  readonly #count: number;
  readonly #pending = arena().pending;
  readonly #entry: number;
  readonly #line: Line;

  /**
   * @param value - The number to begin with, 0 to 2147483647. Default 1.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for anything else.
   */
  constructor(value?: number);
  /** @internal */
  constructor(value: number | ExistingCell | undefined, kind: Kind);
  constructor(value: number | ExistingCell = 1, kind: Kind = Kind.Semaphore) {
    const existing = value instanceof ExistingCell ? value : undefined;
    if (!(value instanceof ExistingCell)) validateInteger(value, 'value', 0, MOST);
    const offset = cellFor(this, kind, existing);
    this.#offset = offset;
    this.#gate = offset / 4;
    this.#count = offset / 4 + 1;
    this.#entry = native.robustEntry(offset);
    if (existing === undefined) {
      this.#words[this.#count] = value as number;
      this.#words[this.#count + 1] = value as number;
    }
    this.#line = new Line({
      what: 'count',
      offset,
      isForOthers: () => this.getValue() > 0 && Atomics.load(this.#words, this.#gate) !== 0,
      take: () => native.gateTakeOrMark(offset, offset + 4),
    });
  }

  /**
   * Lower the number by one, waiting while it is 0; the event loop is free meanwhile.
   *
   * @param block - False: only if it is not 0 now. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns false when it stayed 0, for that time.
   * @throws `AbortError` when `options.signal` is aborted first; the number is not lowered then.
   */
  async acquire(block?: boolean | number | AsyncAcquireOptions | null, timeout?: number | null): Promise<boolean> {
    const wait = readAcquire(block, timeout);
    if (wait.timeout === 0 && wait.signal === undefined) return this.#take();
    return this.#line.join(wait);
  }

  /**
   * Lower the number by one, blocking the process while it is 0.
   *
   * @param block - False: only if it is not 0 now. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns false when it stayed 0, for that time.
   */
  acquireSync(block?: boolean | number | AcquireOptions | null, timeout?: number | null): boolean {
    const wait = readAcquire(block, timeout);
    if (wait.timeout === 0) return this.#take();
    if (Atomics.load(this.#words, this.#gate) === 0 && this.#take()) return true;
    return native.gateWait(this.#offset, this.#offset + 4, wait.timeout);
  }

  /**
   * Raise the number by one and let one waiter pass.
   *
   * @throws `ERR_SEMAPHORE_RELEASED_TOO_OFTEN` it would exceed 2147483647, or a `BoundedSemaphore`'s start.
   */
  release(): void {
    const words = this.#words;
    const most = this.bound();
    // Should this process be killed before it has woken anybody, the kernel does it.
    this.#pending[0] = this.#entry;
    for (let value = Atomics.load(words, this.#count); ;) {
      if (value >= most) {
        this.#pending[0] = 0;
        throw codedError(
          Error,
          'ERR_SEMAPHORE_RELEASED_TOO_OFTEN',
          `release() of a ${this.constructor.name} that is at its highest, ${most}`,
        );
      }
      const seen = Atomics.compareExchange(words, this.#count, value, value + 1);
      if (seen === value) break;
      value = seen;
    }
    if (Atomics.load(words, this.#gate) !== 0) native.gateOpen(this.#offset);
    this.#pending[0] = 0;
  }

  /** The number now; another process may change it at any time. */
  getValue(): number {
    return Atomics.load(this.#words, this.#count);
  }

  /**
   * Acquire, run `fn`, and release whatever becomes of that; the event loop is free meanwhile.
   *
   * @param fn - Sync or async.
   * @returns what `fn` gives.
   */
  async with<R>(fn: () => R | PromiseLike<R>): Promise<R> {
    validateFunction(fn, 'fn');
    await this.acquire();
    try {
      return await fn();
    } finally {
      this.release();
    }
  }

  /**
   * Acquire blocking the process, run `fn`, and release whatever becomes of that.
   *
   * @param fn - A function that is done when it returns.
   * @returns what `fn` returns.
   */
  withSync<R>(fn: () => R): R {
    validateFunction(fn, 'fn');
    this.acquireSync();
    try {
      return fn();
    } finally {
      this.release();
    }
  }

  /** Release at the end of the block of a `using` declaration. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** Show the number: `<Semaphore value=2>`. */
  toString(): string {
    const most = this.bound();
    return `<${this.constructor.name} value=${this.getValue()}${most === MOST ? '' : ` most=${most}`}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal */
  get [kCell](): number {
    return this.#offset;
  }

  /** How high it may rise. @internal */
  protected bound(): number {
    return MOST;
  }

  /** The number it began with. @internal */
  protected start(): number {
    return this.#words[this.#count + 1] as number;
  }

  #take(): boolean {
    for (let value = this.getValue(); value > 0;) {
      const seen = Atomics.compareExchange(this.#words, this.#count, value, value - 1);
      if (seen === value) return true;
      value = seen;
    }
    return false;
  }
}

/**
 * A {@link Semaphore} that may not be released above the number it began with.
 *
 * @example
 * ```js
 * const slots = new BoundedSemaphore(2);
 * slots.release(); // throws ERR_SEMAPHORE_RELEASED_TOO_OFTEN
 * ```
 * @see multiprocessing.BoundedSemaphore
 */
export class BoundedSemaphore extends Semaphore {
  /**
   * @param value - The number to begin with, and its highest, 0 to 2147483647. Default 1.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for anything else.
   */
  constructor(value?: number);
  /** @internal */
  constructor(value?: number | ExistingCell) {
    super(value, Kind.BoundedSemaphore);
  }

  /** @internal */
  protected override bound(): number {
    return this.start();
  }
}

registerCell('Semaphore', Semaphore, Kind.Semaphore, (cell) => new Semaphore(cell, Kind.Semaphore));
registerCell(
  'BoundedSemaphore',
  BoundedSemaphore,
  Kind.BoundedSemaphore,
  (cell) => new BoundedSemaphore(cell as unknown as number),
);
