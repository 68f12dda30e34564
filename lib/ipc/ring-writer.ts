/** Writing into a queue's ring, without ever waiting for more than another process's step. */
import { native } from '../native';
import {
  Frame,
  frameBytes,
  FRAME_HEADER,
  GIVE_BACK,
  KIND_SHIFT,
  RING_OFFSET,
  SOFT_END,
  SPARE,
  Word,
} from './ring-layout';
import type { RingMemory } from './ring-memory';

/** What became of a step of writing. */
export const enum Put {
  Done,
  /** The item is large: the rest is to be written by {@link RingWriter.continuePut}. */
  Begun,
  /** There are `maxSize` items. */
  Full,
  /** The ring has no room. */
  NoRoom,
  /** Another process is writing a large item. */
  Busy,
}

/** An item as bytes: `parts` when they do not lie in one piece, else the first `length` of `bytes`. */
export interface Message {
  readonly bytes: Uint8Array;
  readonly parts: readonly Uint8Array[] | undefined;
  readonly length: number;
  /** Whether nothing else uses its memory. */
  readonly isOwn: boolean;
}

/** Copying so few bytes one by one is faster than asking for it. */
const FEW = 48;
/** How much further to go when the ring was not empty. */
const LOOK_AGAIN = 4 * 1024;

/** One process's end of the ring, for putting. */
export class RingWriter {
  readonly #memory: RingMemory;
  readonly #words: Int32Array;
  readonly #mask: number;
  /** Where this process's last put ended: as long as nobody else's came after it, what it saw of the head still holds. */
  #ownTail = 0;
  #ownPuts = -1;
  #seenHead = 0;
  /** From where in the ring on it is looked whether all of it is free. */
  #lookFrom = SOFT_END;
  #outgoing: { readonly bytes: Uint8Array; at: number } | undefined;

  constructor(memory: RingMemory) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#mask = memory.size - 1;
  }

  /** In a forked child: what is half written is its parent's. */
  becomeChild(): void {
    this.#outgoing = undefined;
  }

  /** Whether an item of so many bytes is written in many steps: then it has to be in one piece, and `isOwn`. */
  isLarge(length: number): boolean {
    return frameBytes(length) > this.#memory.size / 2;
  }

  put(message: Message): Put {
    const memory = this.#memory;
    const words = this.#words;
    memory.lockPut();
    try {
      if (words[Word.Writing] !== 0 && !this.#endDeadWriting()) return Put.Busy;
      if (memory.maxSize !== 0 && this.#isFull()) return Put.Full;
      const { length } = message;
      if (this.isLarge(length)) return this.#begin(message);
      const frame = frameBytes(length);
      const position = this.#place(frame);
      if (position === -1) return Put.NoRoom;
      const next = (position + frame) | 0;
      words[Word.NextTail] = next;
      words[Word.NextPuts] = ((words[Word.Puts] as number) + 1) | 0;
      words[Word.NextWriting] = 0;
      const at = position & this.#mask;
      memory.frames[at >> 2] = length; // Frame.Whole is 0
      this.#copyIn(message, at + FRAME_HEADER);
      this.#commit(next);
      return Put.Done;
    } finally {
      memory.putLock.unlock();
    }
  }

  #isFull(): boolean {
    const { maxSize } = this.#memory;
    const words = this.#words;
    const isFull = () => (((words[Word.Puts] as number) - Atomics.load(words, Word.Gets)) | 0) >= maxSize;
    // A consumer may have died between taking an item and counting it.
    return isFull() && (!this.#memory.settleGet() || isFull());
  }

  #copyIn({ bytes, parts, length }: Message, to: number): void {
    const ring = this.#memory.bytes;
    if (parts !== undefined) {
      let at = to;
      for (const part of parts) {
        ring.set(part, at);
        at += part.length;
      }
    } else if (length <= FEW) {
      for (let i = 0; i < length; i++) ring[to + i] = bytes[i] as number;
    } else {
      ring.set(bytes.subarray(0, length), to);
    }
  }

  /** The position of a frame of so many bytes, or -1. Begins the ring anew where that is due. */
  #place(frame: number): number {
    const words = this.#words;
    const { size } = this.#memory;
    let tail = words[Word.Tail] as number;
    let at = tail & this.#mask;
    if (tail !== this.#ownTail || words[Word.Puts] !== this.#ownPuts) this.#seenHead = Atomics.load(words, Word.Head);
    if (at === 0 && tail !== 0) words[Word.HighWater] = size;
    if (at < SOFT_END) {
      this.#lookFrom = SOFT_END;
    } else if (at >= this.#lookFrom) {
      tail = this.#beginAnew(tail);
      at = tail & this.#mask;
    }
    const rest = size - at;
    const skip = frame > rest ? rest : 0;
    if (!this.#hasRoom(tail, skip + frame)) return -1;
    if (skip === 0) return tail;
    this.#memory.frames[at >> 2] = Frame.Skip << KIND_SHIFT;
    this.#giveBack(at + SPARE);
    return (tail + skip) | 0;
  }

  /** Where to go on: at the ring's start when the ring is empty. */
  #beginAnew(tail: number): number {
    const start = this.#memory.beginAnew();
    if (start === -1) {
      this.#lookFrom = (tail & this.#mask) + LOOK_AGAIN;
      return tail;
    }
    this.#giveBack((tail & this.#mask) + SPARE);
    this.#seenHead = start;
    return start;
  }

  #hasRoom(tail: number, bytes: number): boolean {
    const most = this.#memory.size - SPARE - bytes;
    if ((tail - this.#seenHead) >>> 0 <= most) return true;
    this.#seenHead = Atomics.load(this.#words, Word.Head);
    return (tail - this.#seenHead) >>> 0 <= most;
  }

  /** The ring is in use up to `end`, and will be from its start: what an earlier rush has left beyond is not needed. */
  #giveBack(end: number): void {
    const high = Math.max(this.#words[Word.HighWater] as number, end);
    const from = (end + 4095) & ~4095;
    if (high - from < GIVE_BACK) {
      this.#words[Word.HighWater] = high;
    } else {
      native.givePagesBack(this.#memory.offset + RING_OFFSET + from, high - from);
      this.#words[Word.HighWater] = end;
    }
  }

  /** From here on the frame is there, whatever becomes of this process. */
  #commit(next: number): void {
    const words = this.#words;
    const { getGate } = this.#memory;
    getGate.guard();
    Atomics.store(words, Word.Tail, next);
    const puts = words[Word.NextPuts] as number;
    words[Word.Puts] = puts;
    words[Word.Writing] = words[Word.NextWriting] as number;
    this.#ownTail = next;
    this.#ownPuts = puts;
    getGate.open();
  }

  // A large item.

  #frame(position: number, kind: Frame, length: number, puts: number, writing: 0 | 1, fill?: (at: number) => void) {
    const words = this.#words;
    const next = (position + frameBytes(length)) | 0;
    words[Word.NextTail] = next;
    words[Word.NextPuts] = puts;
    words[Word.NextWriting] = writing;
    const at = position & this.#mask;
    this.#memory.frames[at >> 2] = (kind << KIND_SHIFT) | length;
    fill?.(at + FRAME_HEADER);
    this.#commit(next);
  }

  #begin({ bytes, length }: Message): Put {
    const position = this.#place(frameBytes(8));
    if (position === -1) return Put.NoRoom;
    if (this.#memory.writeLock.tryAcquire() === 0) return Put.Busy;
    this.#outgoing = { bytes, at: 0 };
    const puts = ((this.#words[Word.Puts] as number) + 1) | 0;
    this.#frame(position, Frame.First, 8, puts, 1, (to) => this.#memory.bytes.writeDoubleLE(length, to));
    return Put.Begun;
  }

  /** Write as much of the large item as there is room for: Done, or NoRoom. */
  continuePut(): Put {
    const outgoing = this.#outgoing;
    const memory = this.#memory;
    if (outgoing === undefined) return Put.Done;
    memory.lockPut();
    try {
      const most = memory.size / 4 - SPARE;
      for (let isLast = false; !isLast;) {
        const left = outgoing.bytes.length - outgoing.at;
        const length = Math.min(left, most);
        const position = this.#place(frameBytes(length));
        if (position === -1) return Put.NoRoom;
        isLast = length === left;
        const part = outgoing.bytes.subarray(outgoing.at, outgoing.at + length);
        const kind = isLast ? Frame.Last : Frame.More;
        const puts = this.#words[Word.Puts] as number;
        this.#frame(position, kind, length, puts, isLast ? 0 : 1, (to) => memory.bytes.set(part, to));
        outgoing.at += length;
      }
    } finally {
      memory.putLock.unlock();
    }
    this.#outgoing = undefined;
    memory.writeLock.unlock();
    return Put.Done;
  }

  /** Holding the put lock, with a large item begun: end it if its writer is no more. */
  #endDeadWriting(): boolean {
    const words = this.#words;
    const { writeLock } = this.#memory;
    if (this.#outgoing !== undefined || writeLock.tryAcquire() === 0) return false;
    Atomics.add(words, Word.Dropped, 1);
    this.#frame(words[Word.Tail] as number, Frame.Abort, 0, words[Word.Puts] as number, 0);
    writeLock.unlock();
    return true;
  }

  /** For the reader of a large item: the value of the write lock's word to wait for, or undefined when it has changed. */
  watchWriter(): number | undefined {
    const { writeLock, putLock } = this.#memory;
    const expected = writeLock.tryAcquireOrMark();
    if (expected !== 1 && expected !== 2) return expected;
    writeLock.unlock();
    this.#memory.lockPut();
    if (this.#words[Word.Writing] !== 0) this.#endDeadWriting();
    putLock.unlock();
    return undefined;
  }
}
