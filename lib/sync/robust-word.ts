/**
 * A lock as a word of the arena (`native/robust.h`): free 0, held the holder's id, with marks for waiters and for a holder
 * that died. Taking and giving back is one compare-and-swap each; everything else is the addon's.
 */
import { arena, hold, makeCell, self } from '../shared/arena';
import { native } from '../native';

/** Not taken, taken, or taken from a holder that died: what it protects may be half changed. */
export type Taken = 0 | 1 | 2;

/** Bits of the word that hold the id. */
const OWNER = 0x3fffffff;
/** Bit that the kernel sets in place of the id of a holder that died. */
const OWNER_DIED = 0x40000000;
/** The kernel follows 2,048 entries of the list; some room is for what the addon itself puts there. */
const LISTED_MOST = 1900;

/** The words on this process's list, in the order in which they came. A forked child's list is empty. */
let listed = new Map<number, WeakRef<RobustWord>>();
let listedGeneration = -1;

/** Put a word on the list that the kernel goes through at this process's end, in the place of one that is not held. */
function list(word: RobustWord): void {
  if (listedGeneration !== self.generation) {
    listedGeneration = self.generation;
    listed = new Map();
  }
  if (listed.size >= LISTED_MOST) makeRoom();
  listed.set(word.offset, new WeakRef(word));
  native.robustLink(word.offset);
}

function makeRoom(): void {
  const { words } = arena();
  for (const [offset, reference] of listed) {
    if (((words[offset / 4] as number) & OWNER) === self.id) continue;
    reference.deref()?.forgetListing();
    listed.delete(offset);
    native.robustUnlink(offset);
    return;
  }
}

/** A lock between processes that no death of its holder leaves locked. */
export class RobustWord {
  /** Of its cell. */
  readonly offset: number;
  readonly #words: Int32Array;
  readonly #index: number;
  /** The generation in which it was put on the list. */
  #listed = -1;

  /**
   * @param offset - Of an existing one; default: a new cell.
   * @param holder - The object that keeps the cell; default: this one.
   */
  constructor(offset?: number, holder?: object) {
    this.#words = arena().words;
    this.offset = offset ?? makeCell(holder ?? this);
    if (offset !== undefined) hold(offset, holder ?? this);
    this.#index = this.offset / 4;
  }

  /** Take it if nobody holds it. */
  tryAcquire(): Taken {
    if (this.#listed !== self.generation) this.#list();
    if (Atomics.compareExchange(this.#words, this.#index, 0, self.id) === 0) return 1;
    return native.robustTry(this.offset);
  }

  /**
   * Take it, blocking the process for at most `timeout` milliseconds (-1: for ever).
   *
   * @param patient - Leave it to those who have waited longer, as a lock that users hold for long must.
   */
  acquire(timeout: number, patient: boolean): Taken {
    if (this.#listed !== self.generation) this.#list();
    if (Atomics.compareExchange(this.#words, this.#index, 0, self.id) === 0) return 1;
    return native.robustAcquire(this.offset, timeout, patient);
  }

  /** For a wait on the loop: take it (1 or 2), or get the value of the word to wait for with `waitWord`. */
  tryAcquireOrMark(): number {
    if (this.#listed !== self.generation) this.#list();
    return native.robustTryOrMark(this.offset);
  }

  /**
   * Give it back.
   *
   * @param own - Only when this process holds it; otherwise also when another does.
   * @returns false when that is not so.
   */
  release(own: boolean): boolean {
    if (Atomics.compareExchange(this.#words, this.#index, self.id, 0) === self.id) return true;
    return native.robustRelease(this.offset, own);
  }

  /** Take the mark of a holder that died off a word that is free; false when there is none. */
  forgetDeadHolder(): boolean {
    for (;;) {
      const value = Atomics.load(this.#words, this.#index);
      if ((value & OWNER) !== 0 || (value & OWNER_DIED) === 0) return false;
      // Whoever waits has been woken by the kernel when the holder died.
      if (Atomics.compareExchange(this.#words, this.#index, value, value & ~OWNER_DIED) === value) return true;
    }
  }

  /** Whether this process holds it. */
  isMine(): boolean {
    return (Atomics.load(this.#words, this.#index) & OWNER) === self.id;
  }

  /** Whether some process holds it. */
  isHeld(): boolean {
    return (Atomics.load(this.#words, this.#index) & OWNER) !== 0;
  }

  /** Whether it is free, and somebody who has waited is being woken for it. */
  isFreeForOthers(): boolean {
    const value = Atomics.load(this.#words, this.#index);
    return value < 0 && (value & OWNER) === 0;
  }

  #list(): void {
    list(this);
    this.#listed = self.generation;
  }

  /** For the list, which has given its place to another. */
  forgetListing(): void {
    this.#listed = -1;
  }
}

/**
 * A mutex for what the package itself shares (queues, lists of waiters): blocking, for critical sections of microseconds
 * that never wait for anything.
 *
 *     const repaired = mutex.lock();
 *     if (repaired) checkWhatADeadHolderLeft();
 *     try { ... } finally { mutex.unlock(); }
 */
export class RobustMutex extends RobustWord {
  /** Take it; true when the last holder died inside. */
  lock(): boolean {
    return this.acquire(-1, false) === 2;
  }

  /** Give it back; this process must hold it. */
  unlock(): void {
    this.release(true);
  }
}
