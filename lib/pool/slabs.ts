/**
 * Memory for long messages between a pool and its workers: slabs of the memory that both share. A message is written into
 * one, and read from there; over the socket goes where it is. All slabs are the pool's, which uses them again and again, so
 * that their pages are there already:
 *
 *     arguments   the pool writes ──> the worker reads, then runs the task, and answers ──> free
 *     results     the pool grants a slab ──> the worker writes ──> the pool reads ──> granted again
 *
 * A worker without a grant of the size it needs, and a pool that has no more slabs to give, use the socket.
 */
import { native } from '../native';
import { allocate, blockAt, release, type Block } from '../shared/arena';

/** Messages from this size on go by a slab. */
export const SLAB_FROM = 64 * 1024;
/** Bytes of slabs that a pool has at most. */
const MOST = 256 * 1024 * 1024;
/** Slabs granted to a worker, so that it need not wait for the pool; of large ones it has one. */
const GRANTS = 3;
const LARGE = 16 * 1024 * 1024;

/** A slab as either side sees it. */
export class Slab {
  readonly offset: number;
  /** Of a message. */
  readonly capacity: number;
  readonly #block: Block;
  readonly #bytes: Uint8Array;
  /** This process has written to it: its pages are there, and known here. */
  #isUsed = false;

  constructor(block: Block) {
    this.#block = block;
    this.offset = block.offset;
    this.capacity = block.bytes;
    this.#bytes = new Uint8Array(block.buffer);
  }

  /** Write a message, given in pieces, without the `headroom` bytes that the first of them begins with. */
  write(pieces: readonly Uint8Array[], headroom: number): void {
    let at = -headroom;
    for (const piece of pieces) {
      const bytes = at < 0 ? piece.subarray(headroom) : piece;
      const to = Math.max(0, at);
      if (this.#isUsed || !native.writeFresh(this.offset + to, bytes)) this.#bytes.set(bytes, to);
      at += piece.length;
    }
    this.#isUsed = true;
  }

  /** The message; valid until the slab is given back. */
  read(length: number): Uint8Array {
    return this.#bytes.subarray(0, length);
  }

  /** This process will not use it any more. */
  drop(): void {
    release(this.offset, this.#block.buffer);
  }
}

/** Capacity for a message: four sizes to each doubling, as the arena has them. */
function capacityFor(length: number): number {
  const step = 2 ** (Math.floor(Math.log2(length)) - 2);
  return Math.ceil(length / step) * step;
}

/** The slabs of a pool. */
export class Slabs {
  readonly #free = new Map<number, Slab[]>();
  #bytes = 0;

  /** A slab for a message of this length; undefined when there is none to be had. */
  take(length: number): Slab | undefined {
    const capacity = capacityFor(length);
    return this.#free.get(capacity)?.pop() ?? this.#find(capacity);
  }

  #find(capacity: number): Slab | undefined {
    if (this.#bytes + capacity > MOST) this.#dropFree();
    if (this.#bytes + capacity > MOST) return undefined;
    let block: Block;
    try {
      block = allocate(capacity);
    } catch {
      return undefined; // no memory, or no room in the arena: the socket needs less at a time
    }
    this.#bytes += capacity;
    return new Slab(block);
  }

  #dropFree(): void {
    for (const slabs of this.#free.values()) {
      for (const slab of slabs) {
        this.#bytes -= slab.capacity;
        slab.drop();
      }
    }
    this.#free.clear();
  }

  /** No worker will read or write it any more. */
  giveBack(slab: Slab): void {
    const slabs = this.#free.get(slab.capacity);
    if (slabs === undefined) this.#free.set(slab.capacity, [slab]);
    else slabs.push(slab);
  }

  /** The pool has ended. */
  drop(): void {
    this.#dropFree();
  }
}

/** Pool: the slabs that a worker may write its results into. */
export class Grants {
  readonly #granted = new Map<number, Slab>();
  /** The longest result so far, if it was long. */
  #longest = 0;

  constructor(readonly slabs: Slabs) {}

  /** Note a result's length, so that the next one of its size finds a slab. */
  note(length: number): void {
    if (length >= SLAB_FROM && length > this.#longest) this.#longest = length;
  }

  /** Slabs that the worker is to be told of. */
  more(): readonly Slab[] {
    const more: Slab[] = [];
    if (this.#longest === 0) return more;
    const wanted = this.#longest > LARGE ? 1 : GRANTS;
    while (this.#granted.size < wanted) {
      const slab = this.slabs.take(this.#longest);
      if (slab === undefined) break;
      this.#granted.set(slab.offset, slab);
      more.push(slab);
    }
    return more;
  }

  /** A result is in this slab, which is the pool's again. */
  used(offset: number): Slab | undefined {
    const slab = this.#granted.get(offset);
    this.#granted.delete(offset);
    return slab;
  }

  /** The worker has ended. */
  end(): void {
    for (const slab of this.#granted.values()) this.slabs.giveBack(slab);
    this.#granted.clear();
  }
}

/** Worker: the slabs that it has been told of. */
export class KnownSlabs {
  readonly #known = new Map<number, Slab>();
  readonly #granted: Slab[] = [];

  /** The slab at an offset that the pool has named. Its size tells whether it is still the one that was there before. */
  at(offset: number, capacity: number): Slab {
    const known = this.#known.get(offset);
    if (known?.capacity === capacity) return known;
    known?.drop();
    const slab = new Slab(blockAt(offset));
    this.#known.set(offset, slab);
    return slab;
  }

  granted(offset: number, capacity: number): void {
    this.#granted.push(this.at(offset, capacity));
  }

  /** A slab for a result of this length; undefined when none was granted. */
  take(length: number): Slab | undefined {
    const index = this.#granted.findIndex(({ capacity }) => capacity >= length);
    return index < 0 ? undefined : this.#granted.splice(index, 1)[0];
  }
}
