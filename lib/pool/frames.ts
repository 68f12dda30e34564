/**
 * What goes over the socket between a pool and one of its workers: frames, each a header and a serialised value. They begin
 * at multiples of 8 bytes, so that packed numbers in them stand aligned.
 *
 *      0        4      5      6        8              12             16
 *     ┌────────┬──────┬──────┬────────┬──────────────┬──────────────┬───────────┬─────┐
 *     │ length │ kind │ mode │ place  │ function     │ number       │ value ... │ pad │
 *     └────────┴──────┴──────┴────────┴──────────────┴──────────────┴───────────┴─────┘
 *     length   of header and value, without the padding
 *     place    0: the value follows; 1: it is in a slab (slabs.ts), and what follows says where: 8 bytes of its offset,
 *              4 of its capacity, 4 of the value's length
 *     number   of the task, for Abort; the pool counts them, and starts again at 0 after 2^32
 */
import { encode } from '../ipc/serialize';
import { receive } from './socket';

export const enum Kind {
  // to the worker
  Task = 1,
  /** Tasks that come after this one are to be run again; see claims.ts. */
  Resume = 2,
  /** The task with this number is no longer wanted. */
  Abort = 3,
  /** The function with this number is at that module and name: for a worker that is no fork of the pool's process. */
  Function = 4,
  /** The worker may write a result into this slab. */
  Grant = 5,
  // from the worker
  /** A result; of a chunk: an array of them. */
  Value = 16,
  /** What was thrown, packed. */
  Thrown = 17,
  /** Of a chunk: [results, [index, packed error][]]. */
  Mixed = 18,
  /** What the worker ends of, packed: what its initializer threw, or what a task left uncaught. */
  LastWords = 19,
}

/** How a task calls its function. */
export const enum Mode {
  /** The value is an array of arguments for one call. */
  Call = 0,
  /** The value is an array; one call with each element. */
  Map = 1,
  /** The value is an array of arrays of arguments. */
  StarMap = 2,
  /** To be added: a call that throws does not end its chunk. */
  GoOn = 4,
  /** To be added: functions are among the arguments, by their numbers. */
  Functions = 8,
}

export const HEADER = 16;

/** A frame that is ready to be sent: `size` bytes from `at` on, padding included. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly size: number;
}

/** Write a header at the beginning of a frame. */
export function writeHeader(
  bytes: Uint8Array,
  at: number,
  length: number,
  kind: Kind,
  mode: number,
  functionId: number,
  number: number,
): void {
  putUint32(bytes, at, length);
  bytes[at + 4] = kind;
  bytes[at + 5] = mode;
  bytes[at + 6] = 0;
  bytes[at + 7] = 0;
  putUint32(bytes, at + 8, functionId);
  putUint32(bytes, at + 12, number);
}

function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function getUint32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

/** Give a frame that is ready to be sent its number. */
export function putNumber({ bytes, at }: Frame, number: number): void {
  putUint32(bytes, at + 12, number);
}

/** Bytes of a frame whose value is in a slab. */
export const SLAB_FRAME = HEADER + 16;
const AT_PLACE = 6;
const IN_SLAB = 1;

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);

/** Complete a frame of {@link SLAB_FRAME} bytes that has its header: the value is in a slab. */
export function putPlace(bytes: Uint8Array, at: number, offset: number, capacity: number, length: number): void {
  bytes[at + AT_PLACE] = IN_SLAB;
  double[0] = offset;
  bytes.set(doubleBytes, at + HEADER);
  putUint32(bytes, at + HEADER + 8, capacity);
  putUint32(bytes, at + HEADER + 12, length);
}

/** A frame that says where a value is, or may be put. */
export function slabFrame(kind: Kind, offset: number, capacity: number, length: number): Frame {
  const bytes = new Uint8Array(SLAB_FRAME);
  writeHeader(bytes, 0, SLAB_FRAME, kind, 0, 0, 0);
  putPlace(bytes, 0, offset, capacity, length);
  return { bytes, at: 0, size: SLAB_FRAME };
}

export function padded(length: number): number {
  return length + ((8 - (length % 8)) % 8);
}

/** A frame without a value. */
export function bareFrame(kind: Kind, number = 0): Frame {
  const bytes = new Uint8Array(HEADER);
  writeHeader(bytes, 0, HEADER, kind, 0, 0, number);
  return { bytes, at: 0, size: HEADER };
}

/** A frame with a value and a function's number. */
export function valueFrame(kind: Kind, functionId: number, value: unknown): Frame {
  const encoded = encode(value, { headroom: HEADER }).bytes;
  const bytes = new Uint8Array(padded(encoded.length));
  bytes.set(encoded);
  writeHeader(bytes, 0, encoded.length, kind, 0, functionId, 0);
  return { bytes, at: 0, size: bytes.length };
}

const USUAL_SIZE = 64 * 1024;
/** Less room than this is made more before reading. */
const LEAST_ROOM = 4 * 1024;

/** Takes frames from a socket. The fields are those of the frame that `next` has found. */
export class FrameReader {
  kind: Kind = Kind.Task;
  mode = 0;
  functionId = 0;
  number = 0;
  /** The serialised value; valid until the next call. */
  value: Uint8Array = new Uint8Array(0);
  /** The value's memory is its own. */
  adopt = false;
  /** The value is in a slab, and `value` says where. */
  inSlab = false;

  #buffer: Buffer = Buffer.allocUnsafeSlow(USUAL_SIZE);
  #usual = this.#buffer;
  #from = 0;
  #to = 0;
  /** Until where `scan` has looked. */
  #scanned = 0;

  /** Read once. Gives what recv(2) gives: bytes, 0 at the end, or a negative errno. */
  receive(fd: number): number {
    this.#makeRoom();
    const got = receive(fd, this.#buffer, this.#to, this.#buffer.length - this.#to);
    if (got > 0) this.#to += got;
    return got;
  }

  /** Go to the next frame that is there as a whole. */
  next(): boolean {
    const have = this.#to - this.#from;
    if (have < HEADER) return false;
    const length = getUint32(this.#buffer, this.#from);
    if (have < padded(length)) return false;
    this.#show(this.#from, length);
    this.#from += padded(length);
    // A frame that filled a buffer made for it: what is decoded may stay there.
    this.adopt = this.#buffer !== this.#usual && this.#from === this.#to && this.#from === this.#buffer.length;
    return true;
  }

  /** Look at the headers of frames that wait, each once; `next` gives them again. */
  scan(): boolean {
    this.#scanned = Math.max(this.#scanned, this.#from);
    const have = this.#to - this.#scanned;
    if (have < HEADER) return false;
    const length = getUint32(this.#buffer, this.#scanned);
    if (have < padded(length)) return false;
    this.#show(this.#scanned, HEADER);
    this.#scanned += padded(length);
    return true;
  }

  #show(at: number, length: number): void {
    const buffer = this.#buffer;
    this.kind = buffer[at + 4] as Kind;
    this.mode = buffer[at + 5] as number;
    this.functionId = getUint32(buffer, at + 8);
    this.number = getUint32(buffer, at + 12);
    this.inSlab = buffer[at + AT_PLACE] === IN_SLAB;
    this.value = new Uint8Array(buffer.buffer, buffer.byteOffset + at + HEADER, length - HEADER);
  }

  /** Where the value is, when it is in a slab. */
  get slab(): { readonly offset: number; readonly capacity: number; readonly length: number } {
    const { value } = this;
    doubleBytes.set(value.subarray(0, 8));
    return { offset: double[0] as number, capacity: getUint32(value, 8), length: getUint32(value, 12) };
  }

  #makeRoom(): void {
    const have = this.#to - this.#from;
    if (have === 0) {
      this.#buffer = this.#usual;
      this.#from = this.#to = this.#scanned = 0;
      return;
    }
    const first = have < HEADER ? HEADER : padded(getUint32(this.#buffer, this.#from));
    if (first > USUAL_SIZE && first > have) {
      // A long frame gets a buffer of exactly its size, and is read into it without another copy.
      if (this.#from === 0 && this.#buffer.length === first) return;
      return this.#moveTo(Buffer.allocUnsafeSlow(first));
    }
    if (this.#buffer.length - this.#to >= LEAST_ROOM) return;
    if (this.#from > 0 && have <= USUAL_SIZE - LEAST_ROOM) return this.#moveTo(this.#usual);
    this.#moveTo(Buffer.allocUnsafeSlow(Math.max(USUAL_SIZE, have) * 2));
  }

  #moveTo(buffer: Buffer): void {
    this.#buffer.copy(buffer, 0, this.#from, this.#to);
    this.#buffer = buffer;
    this.#scanned = Math.max(0, this.#scanned - this.#from);
    this.#to -= this.#from;
    this.#from = 0;
  }
}
