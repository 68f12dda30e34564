/** In the server: Lock and RLock. Their holder is a client process; the end of one that holds a lock frees it. */
import { codedError } from '../../errors';
import { caller, type Caller, type Held, type Session } from '../caller';
import { WaitingLine } from '../waiting-line';

/** How a lock was taken: not at all; in order; from a holder that died. */
export const enum Taken {
  No,
  Yes,
  Recovered,
}

/** What {@link LockReferent} and {@link RLockReferent} have in common. */
export abstract class BaseLockReferent implements Held {
  protected owner: Session | undefined;
  protected times = 0;
  #ownerDied = false;
  readonly #line = new WaitingLine<Taken>();

  /** @param timeout - Milliseconds; 0 not at all, -1 for ever. */
  acquire(timeout: number): Taken | Promise<Taken> {
    const { session } = caller();
    if (this.again(session)) return Taken.Yes;
    if (this.times === 0) return this.#give(session);
    if (timeout === 0) return Taken.No;
    return this.#line.wait(timeout, { onTimeout: () => Taken.No });
  }

  abstract release(): void;
  /** Acquire once more by who holds it and may. */
  protected abstract again(session: Session): boolean;

  locked(): boolean {
    return this.times > 0;
  }

  isMine({ session }: Caller): boolean {
    return this.times > 0 && this.owner === session;
  }

  /** For a condition: release it, however often it was acquired. */
  releaseAll(): number {
    const { times } = this;
    this.#pass();
    return times;
  }

  /** For a condition: take it for a caller that has waited. */
  async acquireAgain(who: Caller, times: number): Promise<void> {
    if (!who.session.isOpen) return;
    if (this.times === 0) this.#give(who.session);
    else await this.#line.wait(-1, { onTimeout: () => Taken.No, isFirm: true }, who);
    // It may have ended since it was served, and the lock be another's, or nobody's.
    if (this.isMine(who)) this.times = times;
  }

  abandonedBy(session: Session): void {
    if (this.owner !== session) return;
    this.#ownerDied = true;
    this.#pass();
  }

  /** Somebody releases it for a holder that has ended; whether there was one. */
  protected forgetDeadHolder(): boolean {
    const ownerDied = this.#ownerDied;
    this.#ownerDied = false;
    return ownerDied;
  }

  /** The next in the line has it, or nobody. */
  protected pass(): void {
    this.#pass();
  }

  #pass(): void {
    this.owner?.held.delete(this);
    this.owner = undefined;
    this.times = 0;
    this.#line.serve(({ session }) => this.#give(session));
  }

  #give(session: Session): Taken {
    this.owner = session;
    this.times = 1;
    session.held.add(this);
    const taken = this.#ownerDied ? Taken.Recovered : Taken.Yes;
    this.#ownerDied = false;
    return taken;
  }
}

export class LockReferent extends BaseLockReferent {
  release(): void {
    if (this.times === 0 && this.forgetDeadHolder()) return;
    if (this.times === 0) throw codedError(Error, 'ERR_LOCK_NOT_ACQUIRED', 'release() of a Lock that nobody holds');
    this.pass();
  }

  protected override again(): boolean {
    return false;
  }
}

export class RLockReferent extends BaseLockReferent {
  release(): void {
    if (!this.isMine(caller())) {
      throw codedError(Error, 'ERR_LOCK_NOT_OWNED', 'release() of an RLock that this process does not hold');
    }
    if (this.times > 1) this.times -= 1;
    else this.pass();
  }

  protected override again(session: Session): boolean {
    if (this.times === 0 || this.owner !== session) return false;
    this.times += 1;
    return true;
  }
}
