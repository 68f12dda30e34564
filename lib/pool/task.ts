/** One piece of work of a pool: a call, or a chunk of calls, and whom to tell. */
import { codedError } from '../errors';
import { encodeWith, pieces } from '../ipc/serialize';
import type { EncoderState } from '../ipc/encoder';
import { giveBack, LONG, takeBuffer } from '../ipc/buffers';
import { HEADER, Kind, padded, writeHeader, type Frame } from './frames';
import { idOf } from './functions';

export type AnyFunction = (...args: never[]) => unknown;

/** What one call of a chunk came to. */
export type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: unknown };

/** Who wants to know how a task ended. Each task calls one of these, once. */
export interface Receiver {
  /** The result; for a chunk the array of them. */
  onValue(value: unknown): void;
  onError(error: unknown): void;
  /** A chunk of which some calls failed. */
  onOutcomes?(outcomes: readonly Outcome[]): void;
}

/** Buffers from this size on are not copied twice. */
const CUT_FROM = 16 * 1024;

const ENCODING = { headroom: HEADER, cutFrom: CUT_FROM };

const none: Uint8Array = new Uint8Array(0);

export class Task implements Frame {
  readonly functionId: number;
  readonly name: string;
  /** The function itself, so that it is not collected before a worker has got it. */
  fn: AnyFunction | undefined;
  /** The frame, to be sent as it is, is a part of this; kept until the answer, for another worker if this one dies. */
  bytes: Uint8Array;
  readonly at: number;
  readonly size: number;
  /** The socket may still have to be given bytes of the frame. */
  inSocket = false;
  settled = false;
  /** When it was handed in, in milliseconds. */
  submitted = 0;
  /** Milliseconds it may run. */
  timeout = Infinity;
  /** What ends an abort listener. */
  release: (() => void) | undefined;
  /** Holds the stack of the call that handed it in. */
  trace: { readonly stack?: string } | undefined;

  /** @throws DataCloneError when the arguments cannot be sent. */
  constructor(
    fn: AnyFunction,
    mode: number,
    values: unknown,
    readonly receiver: Receiver,
  ) {
    this.fn = fn;
    this.functionId = idOf(fn);
    this.name = fn.name === '' ? 'an anonymous function' : `${fn.name}()`;
    const length = encodeWith(values, ENCODING, place);
    this.bytes = placed;
    this.at = placedAt;
    this.size = padded(length);
    placed = none;
    writeHeader(this.bytes, this.at, length, Kind.Task, mode, this.functionId, 0);
  }

  succeed(value: unknown): void {
    if (this.#end()) this.receiver.onValue(value);
  }

  fail(error: unknown): void {
    if (this.#end()) this.receiver.onError(error);
  }

  come(outcomes: readonly Outcome[]): void {
    if (this.#end()) this.receiver.onOutcomes?.(outcomes);
  }

  #end(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.fn = undefined;
    if (this.size >= LONG && !this.inSocket) giveBack(this.bytes.buffer);
    this.bytes = none;
    this.trace = undefined;
    if (this.release !== undefined) this.release();
    return true;
  }
}

/** Where the frame that was made last is. */
let placed = none;
let placedAt = 0;

/** Short frames stand one after the other in memory that they share: an object for each would be most of their cost. */
const SHORT = 1024;
const CHUNK = 64 * 1024;
let chunk = none;
let chunkEnd = 0;

/** Copy a message out of the encoder. Gives its length. */
function place({ scratch, at: length, cuts }: EncoderState): number {
  if (cuts !== undefined) return placeParts(pieces(scratch, length, cuts));
  const size = padded(length);
  if (size > SHORT) {
    placed = memoryOf(size);
    placedAt = 0;
  } else {
    if (chunkEnd + size > chunk.length) {
      chunk = new Uint8Array(CHUNK);
      chunkEnd = 0;
    }
    placed = chunk;
    placedAt = chunkEnd;
    chunkEnd += size;
  }
  scratch.copy(placed, placedAt, 0, length);
  return length;
}

function memoryOf(size: number): Uint8Array {
  return size >= LONG ? new Uint8Array(takeBuffer(size)) : Buffer.allocUnsafe(size);
}

function placeParts(parts: readonly Uint8Array[]): number {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > 0xfffffff0) {
    throw codedError(RangeError, 'ERR_OUT_OF_RANGE', `The arguments take ${length} bytes; a task can have 4 GB`);
  }
  placed = memoryOf(padded(length));
  placedAt = 0;
  let at = 0;
  for (const part of parts) {
    placed.set(part, at);
    at += part.length;
  }
  return length;
}
