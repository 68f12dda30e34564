/** A lock that its holder may acquire again. */
import { codedError } from '../errors';
import { arena } from '../shared/arena';
import { BaseLock, kConditionLock, type ConditionLock } from './base-lock';
import { Kind, registerCell } from './cell';
import type { Taken } from './robust-word';

/**
 * A lock that one process at a time holds and may acquire again; it is free after as many releases.
 *
 * @remarks The holder is the process with all its async flows, which therefore do not exclude each other (`Lock` does
 * that). Only the holder may release it, and a forked child does not hold what its parent holds. As with `Lock`, the end
 * of a holder frees it and shows in `recovered`.
 * @example
 * ```js
 * const lock = new RLock();
 * lock.withSync(() => lock.withSync(() => { ... }));
 * ```
 * @see multiprocessing.RLock
 */
export class RLock extends BaseLock {
  readonly #words = arena().words;
  /** Where the number of acquisitions is; only the holder looks at it. */
  readonly #times: number;

  /** @internal */
  constructor(existing?: unknown) {
    super(Kind.RLock, existing);
    this.#times = this.word.offset / 4 + 1;
  }

  /**
   * Release the lock once.
   *
   * @throws `ERR_LOCK_NOT_OWNED` this process does not hold it.
   */
  override release(): void {
    if (!this.word.isMine()) {
      throw codedError(Error, 'ERR_LOCK_NOT_OWNED', 'release() of an RLock that this process does not hold');
    }
    const left = (this.#words[this.#times] as number) - 1;
    this.#words[this.#times] = left;
    if (left === 0) this.word.release(true);
  }

  /** @internal */
  protected override again(): boolean {
    if (!this.word.isMine()) return false;
    this.#words[this.#times] = (this.#words[this.#times] as number) + 1;
    return true;
  }

  /** @internal */
  protected override took(taken: Taken): boolean {
    if (taken === 0) return false;
    this.#words[this.#times] = 1;
    this.note(taken);
    return true;
  }

  /** @internal */
  override get [kConditionLock](): ConditionLock {
    return {
      isMine: () => this.word.isMine(),
      releaseAll: () => {
        const times = this.#words[this.#times] as number;
        this.#words[this.#times] = 1;
        this.release();
        return times;
      },
      acquireAgain: async (times) => {
        await this.acquire();
        this.#add(times - 1);
      },
      acquireAgainSync: (times) => {
        this.acquireSync();
        this.#add(times - 1);
      },
    };
  }

  #add(times: number): void {
    this.#words[this.#times] = (this.#words[this.#times] as number) + times;
  }
}

registerCell('RLock', RLock, Kind.RLock, (cell) => new RLock(cell));
