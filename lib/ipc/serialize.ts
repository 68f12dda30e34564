/**
 * Values as bytes, for whatever carries them from one process to another. Made for many small messages: `v8.serialize`
 * costs more than a microsecond each way before it has written anything.
 */
import { InvalidMessageError } from '../errors';
import { runsInChild } from '../posix/precompile';
import * as decoder from './decoder';
import * as encoder from './encoder';
import type { HandleSource } from './handles';
import { cloneError, Unclonable } from './unclonable';

/** How to write a message. */
export interface EncodeOptions {
  /** Bytes to leave free in front of the message, for a header. Default 0. */
  readonly headroom?: number;
  /** Whether descriptors can go along with the message. Default: no, and an object that needs one is an error. */
  readonly withFds?: boolean;
  /** Size from which the bytes of a buffer stand in `parts` in place of being copied. Default: all are copied. */
  readonly cutFrom?: number;
  /**
   * Gives a function the number under which the receiver knows it. Default: a function is an error. Both sides have to have
   * agreed on what the numbers mean, so that no message by itself makes its receiver load anything.
   */
  readonly functions?: encoder.NumberFunction | undefined;
}

/** A message. */
export interface Encoded {
  /**
   * The message after its headroom, in a buffer that the next `encode` writes over. With `parts`, only what comes before
   * the first cut.
   */
  readonly bytes: Uint8Array;
  /** The descriptors that go along, still the sender's. */
  readonly fds: readonly number[];
  /** The message in pieces, when something was not copied: the memory of the value itself is among them. */
  readonly parts: readonly Uint8Array[] | undefined;
}

const NO_FDS: readonly number[] = [];
let encoding = false;
let decoding = false;

/**
 * Turn a value into bytes.
 *
 * Takes what structured clone takes: primitives except symbols, Date, RegExp, boxed primitives, Map, Set, arrays with
 * holes and named properties, plain objects, ArrayBuffer and its views, errors, cycles and shared references; beside that
 * Buffers (which come back as Buffers), errors' own properties, and instances of the classes of handles.ts. Instances of
 * other classes come back as plain objects. A view of a part of a buffer is sent without the rest.
 *
 * @throws {@link DataCloneError} for a function that `options.functions` has no number for, a symbol and what else no other
 * process could make sense of.
 */
export function encode(value: unknown, options: EncodeOptions = {}): Encoded {
  return encodeWith(value, options, messageOf);
}

function messageOf({ scratch, at, fds, cuts }: encoder.EncoderState): Encoded {
  const bytes = new Uint8Array(scratch.buffer as ArrayBuffer, scratch.byteOffset, cuts?.[0]?.at ?? at);
  return {
    bytes,
    fds: fds ?? NO_FDS,
    parts: cuts === undefined ? undefined : pieces(scratch, at, cuts),
  };
}

/** The same for many small messages: `take` gets the memory itself, from 0 to `at`, and no object is made of it. */
export function encodeWith<R>(value: unknown, options: EncodeOptions, take: (message: encoder.EncoderState) => R): R {
  const suspended = encoding ? encoder.suspend() : undefined;
  encoding = true;
  try {
    const { headroom = 0, withFds = false, cutFrom = Infinity, functions } = options;
    encoder.begin(headroom, withFds, cutFrom, functions);
    encoder.writeValue(value);
    return take(encoder.state());
  } catch (error) {
    throw error instanceof Unclonable ? cloneError(value, error) : error;
  } finally {
    encoder.end();
    if (suspended === undefined) encoding = false;
    else encoder.resume(suspended);
  }
}

/** The message in pieces, of which the cuts are the value's own memory. */
export function pieces(scratch: Buffer, length: number, cuts: readonly encoder.Cut[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const { at, bytes } of cuts) {
    if (at > from) parts.push(scratch.subarray(from, at));
    parts.push(bytes);
    from = at;
  }
  if (length > from) parts.push(scratch.subarray(from, length));
  return parts;
}

/** How to read a message. */
export interface DecodeOptions {
  /**
   * What came along. A descriptor that the message uses is replaced by -1; the others, also when `decode` throws, are for
   * the caller to close.
   */
  readonly fds?: number[];
  /** The bytes are not used for anything else later: large Buffers may stay in them. Default: everything is copied. */
  readonly adopt?: boolean;
  /** How many of the bytes are the message. Default: all. */
  readonly length?: number;
  /** Gives the function of a number. Default: a message that has one is invalid. */
  readonly functions?: decoder.FunctionOfNumber | undefined;
}

class ReceivedFds implements HandleSource {
  readonly #fds: number[];

  constructor(fds: number[]) {
    this.#fds = fds;
  }

  fd(index: number): number {
    const fd = this.#fds[index];
    if (fd === undefined || fd < 0)
      throw new InvalidMessageError(`The descriptor ${index} did not come with the message`);
    this.#fds[index] = -1;
    return fd;
  }
}
const noFds = new ReceivedFds([]);

/**
 * Turn bytes into the value they stand for.
 *
 * @throws {@link InvalidMessageError} when they were not made by `encode`.
 */
export function decode(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  const suspended = decoding ? decoder.suspend() : undefined;
  decoding = true;
  try {
    const source = options.fds === undefined ? noFds : new ReceivedFds(options.fds);
    const { length = bytes.length, adopt = false, functions } = options;
    return decoder.readMessage(bytes, length, source, adopt, functions);
  } catch (error) {
    // RangeError, SyntaxError: lengths and patterns that no encoder writes.
    if (error instanceof RangeError || error instanceof SyntaxError) {
      throw new InvalidMessageError('The message is damaged', { cause: error });
    }
    throw error;
  } finally {
    if (suspended === undefined) {
      decoding = false;
      decoder.release();
    } else {
      decoder.resume(suspended);
    }
  }
}

runsInChild(encode, messageOf, decode);
