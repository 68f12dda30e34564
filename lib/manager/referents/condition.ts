/** In the server: Condition. */
import { codedError } from '../../errors';
import { invalidType, validateInteger } from '../../validate';
import { caller, type Caller } from '../caller';
import { WaitingLine } from '../waiting-line';
import { BaseLockReferent, RLockReferent, type Taken } from './locks';

export class ConditionReferent {
  readonly #lock: BaseLockReferent;
  readonly #line = new WaitingLine<boolean>();

  /** @param lock - A lock of the same server. Default: a new RLock. */
  constructor(lock?: unknown) {
    if (lock != null && !(lock instanceof BaseLockReferent)) {
      throw invalidType('lock', 'a Lock or RLock of the same manager', lock);
    }
    this.#lock = lock ?? new RLockReferent();
  }

  acquire(timeout: number): Taken | Promise<Taken> {
    return this.#lock.acquire(timeout);
  }

  release(): void {
    this.#lock.release();
  }

  locked(): boolean {
    return this.#lock.locked();
  }

  async wait(timeout: number): Promise<boolean> {
    const who = caller();
    this.#requireLock(who);
    const waiting = this.#line.wait(timeout, { onTimeout: () => false });
    const times = this.#lock.releaseAll();
    try {
      return await waiting;
    } finally {
      await this.#lock.acquireAgain(who, times);
    }
  }

  notify(n: unknown = 1): void {
    validateInteger(n, 'n', 0);
    this.#requireLock(caller());
    this.#line.serveAll(true, n);
  }

  notifyAll(): void {
    this.notify(Number.MAX_SAFE_INTEGER);
  }

  /** Throws when the caller does not hold the lock. */
  requireLock(): void {
    this.#requireLock(caller());
  }

  #requireLock(who: Caller): void {
    if (this.#lock.isMine(who)) return;
    throw codedError(Error, 'ERR_LOCK_NOT_OWNED', 'wait() and notify() need the lock of the Condition to be held');
  }
}
