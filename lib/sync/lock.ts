/** A lock between processes. */
import { codedError } from '../errors';
import { BaseLock, kConditionLock, type ConditionLock } from './base-lock';
import { Kind, registerCell } from './cell';
import type { Taken } from './robust-word';

/**
 * A lock that one process at a time holds.
 *
 * @remarks As in Python it is not recursive (a second `acquireSync` in the same process waits for ever), and any process
 * may release it. Unlike Python's it is never left locked: when its holder ends, killed or not, the next to acquire it
 * gets it, with an `OwnerDiedError` in `recovered`. The sync forms block the event loop. Waiting processes use no CPU and
 * come in the order in which they began to wait. The async flows of one process exclude each other too.
 * @example
 * ```js
 * const lock = new Lock();
 * await lock.with(async () => { ... });
 * {
 *   lock.acquireSync();
 *   using held = lock; // released at the end of the block
 * }
 * ```
 * @see multiprocessing.Lock
 */
export class Lock extends BaseLock {
  /** @internal */
  constructor(existing?: unknown) {
    super(Kind.Lock, existing);
  }

  /**
   * Release the lock; as in Python, any process may, also for a holder that has ended: the next to acquire it then finds
   * nothing to recover.
   *
   * @throws `ERR_LOCK_NOT_ACQUIRED` nobody holds it.
   */
  override release(): void {
    if (this.word.release(false) || this.word.forgetDeadHolder()) return;
    throw codedError(Error, 'ERR_LOCK_NOT_ACQUIRED', 'release() of a Lock that nobody holds');
  }

  /** @internal */
  protected override again(): boolean {
    return false;
  }

  /** @internal */
  protected override took(taken: Taken): boolean {
    if (taken === 0) return false;
    this.note(taken);
    return true;
  }

  /** @internal */
  override get [kConditionLock](): ConditionLock {
    return {
      isMine: () => this.word.isMine(),
      releaseAll: () => {
        this.release();
        return 1;
      },
      acquireAgain: async () => void (await this.acquire()),
      acquireAgainSync: () => void this.acquireSync(),
    };
  }
}

registerCell('Lock', Lock, Kind.Lock, (cell) => new Lock(cell));
