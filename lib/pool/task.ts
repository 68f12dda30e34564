/** One piece of work of a pool: a call, or a chunk of calls, and whom to tell. */
import { codedError } from '../errors';
import { encodeWith, pieces } from '../ipc/serialize';
import type { EncoderState } from '../ipc/encoder';
import { describeFunction, reasonAgainst } from '../process/importable';
import { HEADER, Kind, Mode, padded, putPlace, SLAB_FRAME, writeHeader, type Frame } from './frames';
import { idOf } from './functions';
import { SLAB_FROM, type Slab, type Slabs } from './slabs';

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

/** The functions among the arguments that are being encoded. */
let passed: AnyFunction[] | undefined;

/** Exported functions may be among the arguments, by numbers as that of the task has. */
const ENCODING = {
  headroom: HEADER,
  cutFrom: CUT_FROM,
  functions(fn: AnyFunction): number | string {
    if (describeFunction(fn) === undefined) return reasonAgainst(fn);
    (passed ??= []).push(fn);
    return idOf(fn);
  },
};

const none: Uint8Array = new Uint8Array(0);

export class Task implements Frame {
  readonly functionId: number;
  readonly name: string;
  /** The function itself, so that it is not collected before a worker has got it. */
  fn: AnyFunction | undefined;
  /** The same for functions among the arguments. */
  passed: readonly AnyFunction[] | undefined;
  /** The highest number among all of them. */
  readonly newestId: number;
  /** The frame, to be sent as it is, is a part of this; kept until the answer, for another worker if this one dies. */
  bytes: Uint8Array;
  readonly at: number;
  readonly size: number;
  /** Where the arguments are, when they are long. Given back at the end of the task, or by whoever has its worker. */
  readonly slab: Slab | undefined;
  /** It was sent to a worker, which may be reading the slab, and not taken back. */
  hasWorker = false;
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
    private readonly slabs: Slabs,
  ) {
    this.fn = fn;
    this.functionId = idOf(fn);
    this.name = fn.name === '' ? 'an anonymous function' : `${fn.name}()`;
    const message = this.#encode(values);
    let newestId = this.functionId;
    if (this.passed !== undefined) {
      mode |= Mode.Functions;
      newestId = this.passed.reduce((newest, each) => Math.max(newest, idOf(each)), newestId);
    }
    this.newestId = newestId;
    const slab = (this.slab = placedIn);
    const length = slab === undefined ? message : SLAB_FRAME;
    this.bytes = placed;
    this.at = placedAt;
    this.size = padded(length);
    placed = none;
    placedIn = undefined;
    writeHeader(this.bytes, this.at, length, Kind.Task, mode, this.functionId, 0);
    if (slab !== undefined) putPlace(this.bytes, this.at, slab.offset, slab.capacity, message - HEADER);
  }

  #encode(values: unknown): number {
    const outer = passed; // a getter among the values may hand in a task
    passed = undefined;
    try {
      const length = encodeWith(values, ENCODING, (state) => place(state, this.slabs));
      this.passed = passed;
      return length;
    } finally {
      passed = outer;
    }
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
    this.fn = this.passed = undefined;
    if (this.slab !== undefined && !this.hasWorker) this.slabs.giveBack(this.slab);
    this.bytes = none;
    this.trace = undefined;
    if (this.release !== undefined) this.release();
    return true;
  }
}

/** Where the frame that was made last is. */
let placed = none;
let placedAt = 0;
/** Where the message of that frame is, if not in it. */
let placedIn: Slab | undefined;

/** Short frames stand one after the other in memory that they share: an object for each would be most of their cost. */
const SHORT = 1024;
const CHUNK = 64 * 1024;
let chunk = none;
let chunkEnd = 0;

/** Copy a message out of the encoder. Gives its length. */
function place({ scratch, at: length, cuts }: EncoderState, slabs: Slabs): number {
  if (cuts !== undefined || length >= SLAB_FROM) return placeLong(pieces(scratch, length, cuts ?? []), slabs);
  makeRoom(padded(length));
  scratch.copy(placed, placedAt, 0, length);
  return length;
}

function makeRoom(size: number): void {
  if (size > SHORT) {
    placed = Buffer.allocUnsafe(size);
    placedAt = 0;
    return;
  }
  if (chunkEnd + size > chunk.length) {
    chunk = new Uint8Array(CHUNK);
    chunkEnd = 0;
  }
  placed = chunk;
  placedAt = chunkEnd;
  chunkEnd += size;
}

function placeLong(parts: readonly Uint8Array[], slabs: Slabs): number {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > 0xfffffff0) {
    throw codedError(RangeError, 'ERR_OUT_OF_RANGE', `The arguments take ${length} bytes; a task can have 4 GB`);
  }
  placedIn = length < SLAB_FROM ? undefined : slabs.take(length);
  if (placedIn !== undefined) {
    placedIn.write(parts, HEADER); // which stays in the frame
    makeRoom(SLAB_FRAME);
    return length;
  }
  makeRoom(padded(length));
  let at = placedAt;
  for (const part of parts) {
    placed.set(part, at);
    at += part.length;
  }
  return length;
}
