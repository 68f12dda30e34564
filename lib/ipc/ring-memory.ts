/**
 * The shared part of a queue (ring-layout.ts): its memory, its locks, and what the next holder of a lock makes good when
 * the last one died inside.
 *
 * Two locks are held for one step, by producers and by consumers: microseconds. An item larger than half the ring is
 * written, and read, in many steps; who does that holds a lock of its own meanwhile, whose only purpose is that its holder's
 * death is noticed.
 */
import { allocate, arena, blockAt, markSent, type Block } from '../shared/arena';
import { RobustMutex } from '../sync/robust-word';
import { Gate } from './gate';
import { BEGINS_ANEW, Frame, KIND_SHIFT, MAGIC, RING_OFFSET, Word } from './ring-layout';

/** A ring is large for the sake of what it may have to hold. */
const sparse = { isSparse: true };

/** What makes a queue. */
export interface RingOptions {
  readonly kind: number;
  /** 0: any number of items. */
  readonly maxSize: number;
  /** Of the ring, in bytes: a power of two. */
  readonly size: number;
}

/** A queue's memory. */
export class RingMemory {
  readonly maxSize: number;
  /** Of the ring, in bytes. */
  readonly size: number;
  /** The head, by `Word`. */
  readonly words: Int32Array;
  /** The ring, as words and as bytes. */
  readonly frames: Int32Array;
  readonly bytes: Buffer;
  readonly putLock: RobustMutex;
  readonly getLock: RobustMutex;
  /** Held by the writer, and by the reader, of a large item. */
  readonly writeLock: RobustMutex;
  readonly readLock: RobustMutex;
  readonly getGate: Gate;
  readonly putGate: Gate;
  readonly joinGate: Gate;
  readonly #block: Block;

  /** Make a new one, or find that of another process: at an offset that it has given us. */
  constructor(given: RingOptions | { readonly offset: number }) {
    const isNew = !('offset' in given);
    this.#block = isNew ? allocate(RING_OFFSET + given.size, sparse) : blockAt(given.offset, sparse);
    const { buffer, offset } = this.#block;
    const words = new Int32Array(buffer, 0, RING_OFFSET / 4);
    if (isNew) {
      words[Word.MaxSize] = given.maxSize;
      words[Word.RingSize] = given.size;
      words[Word.Kind] = given.kind;
    }
    this.maxSize = words[Word.MaxSize] as number;
    this.size = words[Word.RingSize] as number;
    this.words = words;
    this.frames = new Int32Array(buffer, RING_OFFSET, this.size / 4);
    this.bytes = Buffer.from(buffer, RING_OFFSET, this.size);
    const lock = (word: Word) => {
      const mutex = isNew ? new RobustMutex() : new RobustMutex(words[word]);
      words[word] = mutex.offset;
      return mutex;
    };
    this.putLock = lock(Word.PutLock);
    this.getLock = lock(Word.GetLock);
    this.writeLock = lock(Word.WriteLock);
    this.readLock = lock(Word.ReadLock);
    this.getGate = new Gate(words, Word.GetGate, offset);
    this.putGate = new Gate(words, Word.PutGate, offset);
    this.joinGate = new Gate(words, Word.JoinGate, offset);
    if (isNew) Atomics.store(words, Word.Magic, MAGIC);
  }

  /** The kind of the queue at this offset, undefined when there is none, as far as can be told. */
  static kindAt(offset: unknown): number | undefined {
    if (typeof offset !== 'number' || !Number.isInteger(offset / 64)) return undefined;
    try {
      const { buffer } = blockAt(offset, sparse);
      const words = new Int32Array(buffer, 0, Math.min(16, buffer.byteLength >> 2));
      return words[Word.Magic] === MAGIC ? words[Word.Kind] : undefined;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  get offset(): number {
    return this.#block.offset;
  }

  /** Another process, whenever it was forked, may have it from now on. */
  markSent(): void {
    markSent(this.offset);
    for (const lock of [this.putLock, this.getLock, this.writeLock, this.readLock]) markSent(lock.offset);
  }

  /** Items in the ring, those half written or half read included. */
  get count(): number {
    return Math.max(0, (Atomics.load(this.words, Word.Puts) - Atomics.load(this.words, Word.Gets)) | 0);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.words, Word.Tail) === Atomics.load(this.words, Word.Head);
  }

  /** Changes with everything that is taken. */
  get taken(): number {
    return Atomics.load(this.words, Word.Head);
  }

  /** Items lost because a process was killed while it wrote or read them. */
  get dropped(): number {
    return Atomics.load(this.words, Word.Dropped);
  }

  /** Begin a step of writing. */
  lockPut(): void {
    if (this.putLock.lock()) this.#repairPut();
  }

  /** Begin a step of reading. */
  lockGet(): void {
    if (this.getLock.lock()) this.#repairGet();
  }

  /** Put what a dead consumer has left in order, if nobody is inside; false when somebody is. */
  settleGet(): boolean {
    const taken = this.getLock.tryAcquire();
    if (taken === 2) this.#repairGet();
    if (taken !== 0) this.getLock.unlock();
    return taken !== 0;
  }

  /**
   * Holding the put lock: go to the ring's start, if the ring is empty and nobody is about to look. Its capacity is then what
   * it was: to leave items behind would be to have as much room only as there is before them.
   *
   * @returns the position of the start, or -1.
   */
  beginAnew(): number {
    const { words, getLock } = this;
    const tail = words[Word.Tail] as number;
    if (Atomics.load(words, Word.Head) !== tail) return -1;
    const taken = getLock.tryAcquire();
    if (taken === 0) return -1;
    if (taken === 2) this.#repairGet();
    try {
      if (words[Word.Head] !== tail) return -1;
      const mask = this.size - 1;
      const start = ((tail | mask) + 1) | 0;
      this.frames[(tail & mask) >> 2] = Frame.Skip << KIND_SHIFT;
      words[Word.NextPuts] = words[Word.Puts] as number;
      words[Word.NextWriting] = (words[Word.Writing] as number) | BEGINS_ANEW;
      words[Word.NextTail] = start;
      Atomics.store(words, Word.Tail, start);
      words[Word.NextWriting] = words[Word.Writing] as number;
      this.commitHead(start, words[Word.Gets] as number, words[Word.Reading] as number);
      return start;
    } finally {
      getLock.unlock();
    }
  }

  /** Holding the get lock: from here on what is before `next` is gone, whatever becomes of this process. */
  commitHead(next: number, gets: number, reading: number): void {
    const { words, putGate } = this;
    words[Word.NextHead] = next;
    words[Word.NextGets] = gets;
    words[Word.NextReading] = reading;
    putGate.guard();
    Atomics.store(words, Word.Head, next);
    words[Word.Reading] = reading;
    Atomics.store(words, Word.Gets, gets);
    putGate.open();
  }

  #repairPut(): void {
    const { words } = this;
    const nextWriting = words[Word.NextWriting] as number;
    if (words[Word.Tail] === words[Word.NextTail]) {
      words[Word.Puts] = words[Word.NextPuts] as number;
      words[Word.Writing] = nextWriting & ~BEGINS_ANEW;
    } else {
      // A large item that had been begun is counted when it is ended.
      if (words[Word.Writing] === 0 && (nextWriting & BEGINS_ANEW) === 0) Atomics.add(words, Word.Dropped, 1);
      words[Word.NextPuts] = words[Word.Puts] as number;
      words[Word.NextWriting] = words[Word.Writing] as number;
      words[Word.NextTail] = words[Word.Tail] as number;
    }
    this.getGate.open();
  }

  #repairGet(): void {
    const { words } = this;
    if (words[Word.Head] === words[Word.NextHead]) {
      words[Word.Gets] = words[Word.NextGets] as number;
      words[Word.Reading] = words[Word.NextReading] as number;
    } else {
      words[Word.NextGets] = words[Word.Gets] as number;
      words[Word.NextReading] = words[Word.Reading] as number;
      words[Word.NextHead] = words[Word.Head] as number;
    }
    this.putGate.open();
  }

  /** Tasks that are not done. */
  get unfinished(): number {
    return Math.max(0, (Atomics.load(this.words, Word.Puts) - Atomics.load(this.words, Word.Done)) | 0);
  }

  /** How often all tasks have been done. */
  get timesDone(): number {
    return Atomics.load(this.words, Word.TimesDone);
  }

  /** Count a task as done; false when there is none. */
  taskDone(): boolean {
    const { words } = this;
    for (;;) {
      const done = Atomics.load(words, Word.Done);
      const isLeft = () => ((Atomics.load(words, Word.Puts) - done) | 0) > 0;
      if (!isLeft()) {
        // Its producer may have died, or be about to come to it, before counting it.
        this.lockPut();
        this.putLock.unlock();
        if (!isLeft()) return false;
      }
      this.joinGate.guard();
      if (Atomics.compareExchange(words, Word.Done, done, (done + 1) | 0) !== done) continue;
      if (this.unfinished === 0) {
        Atomics.add(words, Word.TimesDone, 1);
        this.joinGate.open();
      } else {
        arena().pending[0] = 0;
      }
      return true;
    }
  }
}
