/** Reading from a queue's ring, without ever waiting for more than another process's step. */
import { Frame, frameBytes, FRAME_HEADER, KIND_SHIFT, LENGTH_MASK, Word } from './ring-layout';
import type { RingMemory } from './ring-memory';

/** What became of a step of reading. */
export const enum Take {
  /** `received` is it. */
  Item,
  /** The item is large: the rest is to be read by {@link RingReader.continueTake}. */
  Begun,
  Empty,
  /** Another process is reading a large item. */
  Busy,
  /** The large item is none: its writer, or its first reader, has died. */
  Dropped,
}

/** Copying so few bytes one by one is faster than asking for it. */
const FEW = 48;
/** Items up to here are received in memory that the next one reuses. */
const SMALL = 4096;
const small = Buffer.allocUnsafeSlow(SMALL);

/** A large item half read. */
interface Incoming {
  /** Undefined: it is only read to get it out of the way. */
  readonly bytes: Buffer | undefined;
  readonly error: Error | undefined;
  at: number;
}

function kindOf(header: number): Frame {
  return header >>> KIND_SHIFT;
}

/** One process's end of the ring, for taking. */
export class RingReader {
  /** The item of {@link Take.Item}: the first `length` bytes. The next one may be written over it unless `isOwn`. */
  received: Uint8Array = small;
  length = 0;
  isOwn = false;

  readonly #memory: RingMemory;
  readonly #words: Int32Array;
  readonly #frames: Int32Array;
  readonly #bytes: Buffer;
  readonly #mask: number;
  /** Where this process's last take ended: as long as nobody else's came after it, what it saw of the tail still holds. */
  #ownHead = 0;
  #ownGets = -1;
  #seenTail = 0;
  #incoming: Incoming | undefined;

  constructor(memory: RingMemory) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#frames = memory.frames;
    this.#bytes = memory.bytes;
    this.#mask = memory.size - 1;
  }

  /** In a forked child: what is half read is its parent's. */
  becomeChild(): void {
    this.#incoming = undefined;
  }

  take(): Take {
    const words = this.#words;
    const memory = this.#memory;
    memory.lockGet();
    try {
      if (words[Word.Reading] !== 0) return this.#adoptDeadReading() ? Take.Begun : Take.Busy;
      let head = words[Word.Head] as number;
      const gets = words[Word.Gets] as number;
      if (head !== this.#ownHead || gets !== this.#ownGets) this.#seenTail = Atomics.load(words, Word.Tail);
      if (head === this.#seenTail && head === (this.#seenTail = Atomics.load(words, Word.Tail))) return Take.Empty;
      let header = this.#frames[(head & this.#mask) >> 2] as number;
      if (kindOf(header) === Frame.Skip) {
        head = this.#skip(head, gets, 0);
        if (head === this.#seenTail) return Take.Empty;
        header = this.#frames[0] as number;
      }
      if (kindOf(header) !== Frame.Whole) return this.#begin(head, gets);
      this.#copyOut((head & this.#mask) + FRAME_HEADER, header);
      this.#commit((head + frameBytes(header)) | 0, (gets + 1) | 0, 0);
      return Take.Item;
    } finally {
      memory.getLock.unlock();
    }
  }

  #copyOut(from: number, length: number): void {
    const ring = this.#bytes;
    this.length = length;
    if (length > SMALL) {
      const target = Buffer.allocUnsafeSlow(length);
      ring.copy(target, 0, from, from + length);
      this.received = target;
      this.isOwn = true;
      return;
    }
    if (length <= FEW) {
      for (let i = 0; i < length; i++) small[i] = ring[from + i] as number;
    } else {
      ring.copy(small, 0, from, from + length);
    }
    this.received = small;
    this.isOwn = false;
  }

  /** The ring's start, after a skip. A producer that died while it began the ring anew has left nothing there. */
  #skip(head: number, gets: number, reading: 0 | 1): number {
    const start = ((head | this.#mask) + 1) | 0;
    this.#seenTail = Atomics.load(this.#words, Word.Tail);
    if (start === this.#seenTail) this.#commit(start, gets, reading);
    return start;
  }

  #commit(next: number, gets: number, reading: 0 | 1): void {
    this.#memory.commitHead(next, gets, reading);
    this.#ownHead = next;
    this.#ownGets = gets;
  }

  // A large item.

  #begin(head: number, gets: number): Take {
    if (this.#memory.readLock.tryAcquire() === 0) return Take.Busy;
    const length = this.#bytes.readDoubleLE((head & this.#mask) + FRAME_HEADER);
    let bytes: Buffer | undefined;
    let error: Error | undefined;
    try {
      bytes = Buffer.allocUnsafeSlow(length);
    } catch (failure) {
      error = failure as Error; // more than this process can hold; the others are not to stand still for that
    }
    this.#incoming = { bytes, error, at: 0 };
    this.#commit((head + frameBytes(8)) | 0, gets, 1);
    return Take.Begun;
  }

  /** Holding the get lock, with a large item half read: go on with it, for nothing, if its reader is no more. */
  #adoptDeadReading(): boolean {
    if (this.#incoming !== undefined || this.#memory.readLock.tryAcquire() === 0) return false;
    this.#incoming = { bytes: undefined, error: undefined, at: 0 };
    return true;
  }

  /** Read what there is of the large item: Item, Dropped, or Empty when more is to come. */
  continueTake(): Take {
    const incoming = this.#incoming;
    const memory = this.#memory;
    if (incoming === undefined) return Take.Dropped;
    memory.lockGet();
    let kind: Frame;
    try {
      do {
        const next = this.#part(incoming);
        if (next === undefined) return Take.Empty;
        kind = next;
      } while (kind !== Frame.Last && kind !== Frame.Abort);
    } finally {
      memory.getLock.unlock();
    }
    this.#incoming = undefined;
    memory.readLock.unlock();
    return this.#end(incoming, kind === Frame.Last);
  }

  /** Read one part, if it is there. */
  #part(incoming: Incoming): Frame | undefined {
    const words = this.#words;
    let head = words[Word.Head] as number;
    if (head === (this.#seenTail = Atomics.load(words, Word.Tail))) return undefined;
    let header = this.#frames[(head & this.#mask) >> 2] as number;
    if (kindOf(header) === Frame.Skip) {
      head = this.#skip(head, words[Word.Gets] as number, 1);
      if (head === this.#seenTail) return undefined;
      header = this.#frames[0] as number;
    }
    const length = header & LENGTH_MASK;
    const from = (head & this.#mask) + FRAME_HEADER;
    if (incoming.bytes !== undefined) this.#bytes.copy(incoming.bytes, incoming.at, from, from + length);
    incoming.at += length;
    const kind = kindOf(header);
    const isEnd = kind === Frame.Last || kind === Frame.Abort;
    const gets = words[Word.Gets] as number;
    this.#commit((head + frameBytes(length)) | 0, isEnd ? (gets + 1) | 0 : gets, isEnd ? 0 : 1);
    return kind;
  }

  #end({ bytes, error }: Incoming, isWhole: boolean): Take {
    if (isWhole && bytes !== undefined) {
      this.received = bytes;
      this.length = bytes.length;
      this.isOwn = true;
      return Take.Item;
    }
    // The item has gone, and nobody will ever work on it. One without an end was counted by who found its writer dead.
    if (isWhole) Atomics.add(this.#words, Word.Dropped, 1);
    this.#memory.taskDone();
    if (isWhole && error !== undefined) throw error;
    return Take.Dropped;
  }
}
