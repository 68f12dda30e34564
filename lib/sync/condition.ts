/** Waiting, without the lock, for what others do under it. */
import { inspect } from 'node:util';
import { codedError, type OwnerDiedError } from '../errors';
import { arena, markSent } from '../shared/arena';
import { invalidType, validateFunction, validateInteger } from '../validate';
import { BaseLock, kConditionLock, type ConditionLock } from './base-lock';
import { cellFor, ExistingCell, kCell, Kind, objectAt, registerCell } from './cell';
import { Deadline } from './deadline';
import type { Lock } from './lock';
import {
  readWait,
  type AcquireOptions,
  type AsyncAcquireOptions,
  type AsyncWaitOptions,
  type Wait,
  type WaitOptions,
} from './options';
import { RLock } from './rlock';
import { WaitList, type Waiter } from './wait-list';

/** Words of the condition's cell beyond those of its list. */
const LOCK_CELL = 3;
const LOCK_KIND = 4;
const CELL_BYTES = 64;
/** The bit that tells a waiter. */
const NOTIFIED = 0;

/**
 * A lock with waiting: `wait` gives the lock up until another process has called `notify`, and takes it again.
 *
 * @remarks A notification goes to the one who has waited longest and lives. The lock has to be held for `wait` and
 * `notify`, by this process; `wait` holds it again when it is over, however that came.
 * @example
 * ```js
 * const condition = new Condition();
 * await condition.with(() => condition.waitFor(() => counter.value > 0));
 * condition.withSync(() => { counter.value += 1; condition.notify(); }); // in another process
 * ```
 * @see multiprocessing.Condition
 */
export class Condition {
  readonly #lock: Lock | RLock;
  readonly #held: ConditionLock;
  readonly #list: WaitList;
  readonly #offset: number;

  /**
   * @param lock - The lock to use; conditions may share one. Default: a new `RLock`.
   * @throws `ERR_INVALID_ARG_TYPE` it is no `Lock` or `RLock`.
   */
  constructor(lock?: Lock | RLock | null);
  constructor(lock?: Lock | RLock | ExistingCell | null) {
    const existing = lock instanceof ExistingCell ? lock : undefined;
    if (lock != null && existing === undefined && !(lock instanceof BaseLock)) {
      throw invalidType('lock', 'an instance of Lock or RLock', lock);
    }
    this.#offset = cellFor(this, Kind.Condition, existing);
    this.#list = new WaitList(this.#offset, this);
    const { words } = arena();
    const at = this.#offset / 4;
    if (existing === undefined) {
      this.#lock = (lock ?? new RLock()) as Lock | RLock;
      words[at + LOCK_CELL] = this.#lock[kCell] / CELL_BYTES;
      words[at + LOCK_KIND] = this.#lock instanceof RLock ? Kind.RLock : Kind.Lock;
    } else {
      const offset = (words[at + LOCK_CELL] as number) * CELL_BYTES;
      this.#lock = objectAt(offset, words[at + LOCK_KIND] as Kind) as Lock | RLock;
    }
    this.#held = this.#lock[kConditionLock];
  }

  /** The lock; the condition's `acquire`, `acquireSync`, `release`, `with`, `withSync` and `Symbol.dispose` are its. */
  get lock(): Lock | RLock {
    return this.#lock;
  }

  /** An `OwnerDiedError` when the lock was last got, also by `wait`, of a holder that died, else null. */
  get recovered(): OwnerDiedError | null {
    return this.#lock.recovered;
  }

  /** Whether some process holds the lock at this moment. */
  locked(): boolean {
    return this.#lock.locked();
  }

  /**
   * Acquire the lock, as its own `acquire` does.
   *
   * @param block - False: only if it can be had at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait. Default: for ever.
   * @returns false when it could not be had, or not in time.
   */
  acquire(block?: boolean | number | AsyncAcquireOptions | null, timeout?: number | null): Promise<boolean> {
    return this.#lock.acquire(block, timeout);
  }

  /**
   * Acquire the lock blocking the process, as its own `acquireSync` does.
   *
   * @param block - False: only if it can be had at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait. Default: for ever.
   * @returns false when it could not be had, or not in time.
   */
  acquireSync(block?: boolean | number | AcquireOptions | null, timeout?: number | null): boolean {
    return this.#lock.acquireSync(block, timeout);
  }

  /** Release the lock. */
  release(): void {
    this.#lock.release();
  }

  /**
   * Acquire the lock, run `fn`, and release it whatever becomes of that.
   *
   * @param fn - Sync or async.
   * @returns what `fn` gives.
   */
  with<R>(fn: () => R | PromiseLike<R>): Promise<R> {
    return this.#lock.with(fn);
  }

  /**
   * Acquire the lock blocking the process, run `fn`, and release it whatever becomes of that.
   *
   * @param fn - A function that is done when it returns.
   * @returns what `fn` returns.
   */
  withSync<R>(fn: () => R): R {
    return this.#lock.withSync(fn);
  }

  /** Release the lock at the end of the block of a `using` declaration. */
  [Symbol.dispose](): void {
    this.release();
  }

  /**
   * Give the lock up until notified, leaving the event loop free meanwhile, and acquire it again.
   *
   * @param timeout - Milliseconds (a negative number is 0), or options. Default: for ever.
   * @returns false when there was no notification in time. The lock is held again either way.
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold the lock.
   * @throws `AbortError` when `options.signal` is aborted first; the lock is held again then too.
   */
  async wait(timeout?: number | null | AsyncWaitOptions): Promise<boolean> {
    return this.#wait(readWait(timeout));
  }

  /**
   * Give the lock up until notified, blocking the process meanwhile, and acquire it again.
   *
   * @param timeout - Milliseconds (a negative number is 0), or options. Default: for ever.
   * @returns false when there was no notification in time. The lock is held again either way.
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold the lock.
   */
  waitSync(timeout?: number | null | WaitOptions): boolean {
    const wait = readWait(timeout);
    const [waiter, times] = this.#giveUp();
    waiter.waitSync(0, wait);
    this.#held.acquireAgainSync(times);
    return this.#leave(waiter);
  }

  /**
   * Wait until `predicate` holds: it is asked with the lock held, now and after each notification.
   *
   * @param predicate - Sync or async.
   * @param timeout - Milliseconds for all of it (a negative number is 0), or options. Default: for ever.
   * @returns what `predicate` gave last: something false only when the time is over.
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold the lock.
   */
  async waitFor<R>(predicate: () => R | PromiseLike<R>, timeout?: number | null | AsyncWaitOptions): Promise<R> {
    validateFunction(predicate, 'predicate');
    const wait = readWait(timeout);
    this.#requireLock();
    const deadline = new Deadline(wait.timeout);
    let result = await predicate();
    while (!result && !deadline.isOver()) {
      await this.#wait({ timeout: deadline.left(), signal: wait.signal });
      result = await predicate();
    }
    return result;
  }

  /**
   * Wait, blocking the process, until `predicate` holds: it is asked with the lock held, now and after each notification.
   *
   * @param predicate - A function that is done when it returns.
   * @param timeout - Milliseconds for all of it (a negative number is 0), or options. Default: for ever.
   * @returns what `predicate` returned last: something false only when the time is over.
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold the lock.
   */
  waitForSync<R>(predicate: () => R, timeout?: number | null | WaitOptions): R {
    validateFunction(predicate, 'predicate');
    const deadline = new Deadline(readWait(timeout).timeout);
    this.#requireLock();
    let result = predicate();
    while (!result && !deadline.isOver()) {
      const left = deadline.left();
      this.waitSync(left < 0 ? undefined : left);
      result = predicate();
    }
    return result;
  }

  /**
   * Wake those who have waited longest; they go on when the lock is free.
   *
   * @param n - How many at most. Default 1.
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold the lock.
   */
  notify(n = 1): void {
    validateInteger(n, 'n', 0);
    this.#requireLock();
    this.#list.mutex.lock();
    try {
      this.#list.dismiss(this.#list.living().slice(0, n), NOTIFIED);
    } finally {
      this.#list.mutex.unlock();
    }
  }

  /**
   * Wake everybody who waits.
   *
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold the lock.
   */
  notifyAll(): void {
    this.notify(Number.MAX_SAFE_INTEGER);
  }

  /** Show its lock: `<Condition <RLock free>>`. */
  toString(): string {
    return `<${this.constructor.name} ${this.#lock.toString()}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal */
  get [kCell](): number {
    return this.#offset;
  }

  async #wait(wait: Wait): Promise<boolean> {
    const [waiter, times] = this.#giveUp();
    let aborted: { error: unknown } | undefined;
    try {
      await waiter.wait(0, wait);
    } catch (error) {
      aborted = { error };
    }
    await this.#held.acquireAgain(times);
    const notified = this.#leave(waiter);
    // A notification that came first is this waiter's: nobody else would get it.
    if (aborted !== undefined && !notified) throw aborted.error;
    return notified;
  }

  /** Whether it was notified, also at the last moment. */
  #leave(waiter: Waiter): boolean {
    this.#list.mutex.lock();
    const notified = waiter.told() !== 0;
    this.#list.leave(waiter);
    this.#list.mutex.unlock();
    return notified;
  }

  #requireLock(): void {
    if (this.#held.isMine()) return;
    throw codedError(Error, 'ERR_LOCK_NOT_OWNED', 'wait() and notify() need the lock of the Condition to be held');
  }

  /** Be on the list before the lock is free: a notification from then on is not missed. */
  #giveUp(): [Waiter, number] {
    this.#requireLock();
    this.#list.mutex.lock();
    const waiter = this.#list.join();
    this.#list.mutex.unlock();
    return [waiter, this.#held.releaseAll()];
  }
}

registerCell(
  'Condition',
  Condition,
  Kind.Condition,
  (cell) => new Condition(cell as unknown as Lock),
  (condition) => markSent(condition.lock[kCell]),
);
