/**
 * A queue's block of shared memory: a head of 32-bit words, then the ring. What producers write, what consumers write and
 * what both wait for lie 64 bytes apart, so that a producer and a consumer do not take each other's cache lines away.
 *
 *     ring     frame frame frame ...        each 8-byte aligned, in one piece
 *     frame    header, bytes, padding       header: kind << 29 | length of the bytes
 *
 *     whole                                 an item
 *     first more* last                      a large item, written while it is read; `first` begins with the item's length
 *     first more* abort                     the producer died meanwhile: no item
 *     skip                                  nothing more before the ring's start
 *
 * Positions count bytes from the queue's beginning, modulo 2^32; the ring's size is a power of two. A change takes effect
 * by one store, of TAIL or of HEAD. What else belongs to it is announced before (NEXT_...) and made good by the next holder
 * of the lock when the process died in between:
 *
 *     NEXT_TAIL, NEXT_PUTS, ...  >  bytes  >  TAIL  >  PUTS, ...
 *
 * Found by the next holder: TAIL is NEXT_TAIL: the change stands, the rest is copied from NEXT_...; it is not: the item was
 * half written, and never was.
 */

/** Words of the head, by index. */
export const enum Word {
  Magic = 0,
  MaxSize = 1,
  RingSize = 2,
  /** Offsets of the locks' cells. */
  PutLock = 3,
  GetLock = 4,
  WriteLock = 5,
  ReadLock = 6,
  /** Which class it is of (base-queue.ts). */
  Kind = 7,

  // Under PutLock.
  Tail = 16,
  NextTail = 17,
  Puts = 18,
  NextPuts = 19,
  /** 1 while a large item is being written, by the holder of WriteLock. */
  Writing = 20,
  /** With `BEGINS_ANEW` while the change is none of an item. */
  NextWriting = 21,
  /** How far into the ring anything has been written. */
  HighWater = 22,
  /** Items lost, half written or half read. Atomic. */
  Dropped = 23,

  // Under GetLock.
  Head = 32,
  NextHead = 33,
  Gets = 34,
  NextGets = 35,
  /** 1 while a large item is being read, by the holder of ReadLock. */
  Reading = 36,
  NextReading = 37,

  /** Gates (gate.ts): for those who wait for an item, for room, for all tasks to be done. */
  GetGate = 48,
  PutGate = 64,
  JoinGate = 80,
  /** Tasks done (JoinableQueue), and how often that was all of them. Atomic. */
  Done = 81,
  TimesDone = 82,
}

export const MAGIC = 0x71756531;
/** Where the ring begins, in bytes. */
export const RING_OFFSET = 4096;
export const FRAME_HEADER = 4;

export const enum Frame {
  Whole = 0,
  First = 1,
  More = 2,
  Last = 3,
  Abort = 4,
  Skip = 5,
}
export const KIND_SHIFT = 29;
export const LENGTH_MASK = 0x1fffffff;

/** Kept free, so that an `abort` always has room. */
export const SPARE = 8;
/** Added to NextWriting: the tail goes to the ring's start, and no item is lost with it. */
export const BEGINS_ANEW = 2;

/** Beyond this the ring is begun anew as soon as it is empty: what is in use stays in the processor's cache. */
export const SOFT_END = 256 * 1024;
/** Pages beyond what is in use are given back to the system when there are so many bytes of them. */
export const GIVE_BACK = 4 * 1024 * 1024;

/** The bytes of a frame with `length` bytes in it. */
export function frameBytes(length: number): number {
  return (length + FRAME_HEADER + 7) & ~7;
}
