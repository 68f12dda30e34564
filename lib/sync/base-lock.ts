/** What {@link Lock} and {@link RLock} have in common: waiting for the word of a lock, and what is around that. */
import { inspect } from 'node:util';
import { OwnerDiedError } from '../errors';
import { validateFunction } from '../validate';
import { cellFor, kCell, type Kind } from './cell';
import { Line } from './line';
import { readAcquire, type AcquireOptions, type AsyncAcquireOptions, type Wait } from './options';
import { RobustWord, type Taken } from './robust-word';

/** How a `Condition` gives up its lock and takes it again. Internal. */
export interface ConditionLock {
  isMine(): boolean;
  /** Release it however often it was acquired; how often that was. */
  releaseAll(): number;
  acquireAgain(times: number): Promise<void>;
  acquireAgainSync(times: number): void;
}

/** Where a lock keeps its {@link ConditionLock}. */
export const kConditionLock = Symbol('realfork.conditionLock');

/** A lock between processes; the package's two kinds are `Lock` and `RLock`. */
export abstract class BaseLock {
  /** An `OwnerDiedError` when the last `acquire` got the lock of a holder that died, else null. */
  recovered: OwnerDiedError | null = null;
  /** @internal */
  protected readonly word: RobustWord;
  readonly #line: Line;

  /** @internal */
  protected constructor(kind: Kind, existing: unknown) {
    this.word = new RobustWord(cellFor(this, kind, existing));
    this.#line = new Line({
      what: 'lock',
      offset: this.word.offset,
      isForOthers: () => this.word.isFreeForOthers(),
      take: () => this.again() || this.took(this.word.tryAcquire()),
    });
  }

  /** Acquire it once more when this process holds it and may; whether that is so. @internal */
  protected abstract again(): boolean;
  /** Note how the word was taken, and whether it was. @internal */
  protected abstract took(taken: Taken): boolean;

  /**
   * Acquire the lock, leaving the event loop free meanwhile.
   *
   * @param block - False: only if it can be had at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns false when it could not be had, or not in time.
   * @throws `AbortError` when `options.signal` is aborted first; the lock is not taken then.
   */
  async acquire(block?: boolean | number | AsyncAcquireOptions | null, timeout?: number | null): Promise<boolean> {
    const wait = readAcquire(block, timeout);
    if (wait.timeout === 0 && wait.signal === undefined) return this.#takeWithin(wait);
    return this.#line.join(wait);
  }

  /**
   * Acquire the lock, blocking the process meanwhile.
   *
   * @param block - False: only if it can be had at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns false when it could not be had, or not in time.
   */
  acquireSync(block?: boolean | number | AcquireOptions | null, timeout?: number | null): boolean {
    if (block === undefined && timeout === undefined) {
      return this.again() || this.took(this.word.acquire(-1, true));
    }
    return this.#takeWithin(readAcquire(block, timeout));
  }

  #takeWithin({ timeout }: Wait): boolean {
    if (this.again()) return true;
    return this.took(timeout === 0 ? this.word.tryAcquire() : this.word.acquire(timeout, true));
  }

  /** Release the lock. */
  abstract release(): void;

  /** Whether some process holds the lock at this moment. */
  locked(): boolean {
    return this.word.isHeld();
  }

  /**
   * Acquire the lock, run `fn`, and release it whatever becomes of that; the event loop is free meanwhile.
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
   * Acquire the lock blocking the process, run `fn`, and release it whatever becomes of that.
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

  /** Release the lock at the end of the block of a `using` declaration. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** Show who holds it: `<Lock owner=self>` (this process), `owner=other`, or `free`. */
  toString(): string {
    const state = this.word.isMine() ? 'owner=self' : this.word.isHeld() ? 'owner=other' : 'free';
    return `<${this.constructor.name} ${state}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** Note whether the last holder died. @internal */
  protected note(taken: Taken): void {
    if (taken === 2) this.recovered = new OwnerDiedError();
    else if (this.recovered !== null) this.recovered = null;
  }

  /** @internal */
  get [kCell](): number {
    return this.word.offset;
  }

  /** @internal */
  abstract get [kConditionLock](): ConditionLock;
}
