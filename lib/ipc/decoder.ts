/**
 * From bytes to values (format.ts). The bytes may come from anybody: every length is held against what is left of the
 * message before anything is made of it, so that no message can take more memory than some multiple of its own size.
 */
import { InvalidMessageError } from '../errors';
import { runsInChild } from '../posix/precompile';
import { LONG, takeBuffer } from './buffers';
import { makeError } from './error-classes';
import { Tag, viewNames } from './format';
import { handleOfTag, type HandleSource } from './handles';

/** Buffer's raw readers, which @types/node leaves out; they take any view. */
interface RawReader {
  latin1Slice(from: number, to: number): string;
  ucs2Slice(from: number, to: number): string;
}
const { latin1Slice, ucs2Slice } = Buffer.prototype as unknown as RawReader;

/** What is meant by a number that stands for a function; undefined: nothing. */
export type FunctionOfNumber = (number: number) => unknown;

/** Everything that belongs to one message. */
export interface DecoderState {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
  readonly refs: unknown[];
  readonly source: HandleSource;
  readonly adopt: boolean;
  readonly functionOf: FunctionOfNumber | undefined;
}

let bytes: Uint8Array;
let at = 0;
let end = 0;
let refs: unknown[] = [];
let source: HandleSource;
/** Whether the bytes are the message's own, so that a Buffer may stay where it is. */
let adopt = false;
/** A message whose reader expects no functions has none: it never makes this process find or load one. */
let functionOf: FunctionOfNumber | undefined;

/** Put the state of the message being read aside, for a nested one. */
export function suspend(): DecoderState {
  const suspended = { bytes, at, end, refs, source, adopt, functionOf };
  refs = [];
  return suspended;
}

/** Go on with a message that was put aside. */
export function resume(suspended: DecoderState): void {
  ({ bytes, at, end, refs, source, adopt, functionOf } = suspended);
}

const nothing = new Uint8Array(0);

/** Read one whole message, the first `length` bytes. */
export function readMessage(
  message: Uint8Array,
  length: number,
  from: HandleSource,
  mayAdopt: boolean,
  functions: FunctionOfNumber | undefined,
): unknown {
  bytes = message;
  at = 0;
  end = length;
  source = from;
  adopt = mayAdopt;
  functionOf = functions;
  const value = readValue();
  if (at !== end) throw invalid(`${end - at} bytes are left over`);
  return value;
}

/** Let go of the message. */
export function release(): void {
  bytes = nothing;
  if (refs.length > 0) refs = [];
  functionOf = undefined;
}

function invalid(what: string): InvalidMessageError {
  return new InvalidMessageError(`The message is damaged, or not one of this package: ${what}`);
}

function readByte(): number {
  if (at >= end) throw invalid('it is cut short');
  return bytes[at++] as number;
}

/** Any byte can stand where a tag should: what is not expected there is refused. */
function readTag(): Tag {
  return readByte();
}

function readVarint(): number {
  let value = readByte();
  if (value < 0x80) return value;
  value -= 0x80;
  for (let scale = 128; scale <= 2 ** 49; scale *= 128) {
    const byte = readByte();
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw invalid('a length beyond 2^53');
}

/** The length of what follows in the message, which has to hold it. */
function readLength(): number {
  const length = readVarint();
  if (length > end - at) throw invalid('a part is longer than the message');
  return length;
}

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);
const int64 = new BigInt64Array(double.buffer);

function readDouble(): number {
  if (end - at < 8) throw invalid('it is cut short');
  for (let i = 0; i < 8; i++) doubleBytes[i] = bytes[at + i] as number;
  at += 8;
  return double[0] as number;
}

/** Names of properties come again and again: the strings made last, by a hash of their bytes. */
const known: (string | undefined)[] = new Array<undefined>(1024).fill(undefined);
const LONGEST_KNOWN = 32;

function readLatin1(): string {
  const length = readLength();
  const start = at;
  at += length;
  if (length > LONGEST_KNOWN) return latin1Slice.call(bytes, start, at);
  let hash = length;
  for (let i = start; i < at; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  const slot = (hash ^ (hash >>> 10)) & 1023;
  const cached = known[slot];
  if (cached !== undefined && cached.length === length) {
    let i = 0;
    while (i < length && cached.charCodeAt(i) === bytes[start + i]) i++;
    if (i === length) return cached;
  }
  return (known[slot] = latin1Slice.call(bytes, start, at));
}

function readUtf16(): string {
  const length = readLength();
  if ((length & 1) === 1) throw invalid('half a character');
  at += length;
  return ucs2Slice.call(bytes, at - length, at);
}

function readString(): string {
  const tag = readTag();
  if (tag === Tag.Latin1) return readLatin1();
  if (tag === Tag.Utf16) return readUtf16();
  throw invalid(`tag ${tag} for a string`);
}

function readBigInt(): bigint {
  const negative = readByte() === 1;
  const length = readLength();
  const digits = latin1Slice.call(bytes, at, at + length);
  at += length;
  if (!/^[\da-f]+$/.test(digits)) throw invalid('a BigInt that is no number');
  const value = BigInt(`0x${digits}`);
  return negative ? -value : value;
}

function readValue(): unknown {
  return readTagged(readTag());
}

function readTagged(tag: Tag): unknown {
  if (tag >= Tag.SmallInt) return tag - Tag.SmallInt;
  switch (tag) {
    case Tag.Undefined:
      return undefined;
    case Tag.Null:
      return null;
    case Tag.True:
      return true;
    case Tag.False:
      return false;
    case Tag.Int8:
      return (readByte() << 24) >> 24;
    case Tag.Int32:
      return readByte() | (readByte() << 8) | (readByte() << 16) | (readByte() << 24);
    case Tag.Double:
      return readDouble();
    case Tag.BigInt64:
      readDouble();
      return int64[0];
    case Tag.BigInt:
      return readBigInt();
    case Tag.Latin1:
      return readLatin1();
    case Tag.Utf16:
      return readUtf16();
    case Tag.Reference:
      return readReference();
    case Tag.Object:
      return readProperties(remember({}), true);
    case Tag.Array:
      return readArray();
    case Tag.ArrayWithKeys:
      return readProperties(readArray(), true);
    case Tag.Int32s:
      return readNumbers(Int32Array);
    case Tag.Doubles:
      return readNumbers(Float64Array);
    case Tag.Map:
      return readMap();
    case Tag.Set:
      return readSet();
    case Tag.Date:
      return remember(new Date(readDouble()));
    case Tag.RegExp: {
      const pattern = readString();
      return remember(new RegExp(pattern, readString()));
    }
    case Tag.Boxed:
      return readBoxed();
    case Tag.Error:
      return readError();
    case Tag.ArrayBuffer:
      return remember(readArrayBuffer());
    case Tag.Buffer:
      return remember(readBuffer());
    case Tag.View:
      return readView();
    case Tag.ViewOn:
      return readViewOn();
    case Tag.Handle:
      return readHandle();
    case Tag.Function:
      return readFunction();
    case Tag.End:
    case Tag.Hole:
    case Tag.SmallInt:
    default:
      throw invalid(`tag ${tag} for a value`);
  }
}

function remember<T>(object: T): T {
  refs.push(object);
  return object;
}

/** Stands for an object that is not finished when something inside it refers to it. */
const unfinished = Symbol('unfinished');

function readReference(): unknown {
  const id = readVarint();
  if (id >= refs.length || refs[id] === unfinished) throw invalid(`a reference to object ${id}`);
  return refs[id];
}

function readProperties<T extends object>(object: T, enumerable: boolean): T {
  for (let tag = readTag(); tag !== Tag.End; tag = readTag()) {
    let key: string;
    if (tag === Tag.Latin1) key = readLatin1();
    else if (tag === Tag.Utf16) key = readUtf16();
    else throw invalid(`tag ${tag} for a name`);
    const value = readValue();
    if (enumerable && key !== '__proto__') (object as Record<string, unknown>)[key] = value;
    else Object.defineProperty(object, key, { value, writable: true, enumerable, configurable: true });
  }
  return object;
}

function readArray(): unknown[] {
  const length = readVarint();
  if (length > 0xffffffff) throw invalid('an array longer than there can be');
  const array: unknown[] = remember([]);
  // More elements than bytes: holes. An index far away makes V8 keep the elements in a table, whatever the length.
  if (length > end - at && length > 1024) {
    array[0xfffffffe] = 0;
    Reflect.deleteProperty(array, 0xfffffffe);
  }
  let i = 0;
  while (i < length) {
    const tag = readTag();
    if (tag !== Tag.Hole) {
      array[i++] = readTagged(tag);
      continue;
    }
    const run = readVarint();
    if (run > length - i) throw invalid('holes beyond the end of an array');
    i += run;
  }
  if (array.length !== length) array.length = length;
  return array;
}

function skip(length: number): number {
  at += length;
  return at - length;
}

/** The next bytes in memory of their own, aligned. */
function copy(length: number): ArrayBuffer {
  const start = skip(length);
  if (length >= LONG) {
    const buffer = takeBuffer(length);
    new Uint8Array(buffer).set(bytes.subarray(start, at));
    return buffer;
  }
  return (bytes.buffer as ArrayBuffer).slice(bytes.byteOffset + start, bytes.byteOffset + at);
}

function readNumbers(Numbers: Int32ArrayConstructor | Float64ArrayConstructor): number[] {
  const length = readVarint();
  const pad = readByte();
  const size = length * Numbers.BYTES_PER_ELEMENT;
  if (pad + size > end - at) throw invalid('a part is longer than the message');
  skip(pad);
  const start = bytes.byteOffset + at;
  const inPlace = start % Numbers.BYTES_PER_ELEMENT === 0;
  const numbers = inPlace ? new Numbers(bytes.buffer as ArrayBuffer, start, length) : new Numbers(copy(size));
  if (inPlace) skip(size);
  const array = remember(new Array<number>(length));
  for (let i = 0; i < length; i++) array[i] = numbers[i] as number;
  return array;
}

function readMap(): Map<unknown, unknown> {
  const map = remember(new Map<unknown, unknown>());
  for (let tag = readTag(); tag !== Tag.End; tag = readTag()) {
    const key = readTagged(tag);
    map.set(key, readValue());
  }
  return map;
}

function readSet(): Set<unknown> {
  const set = remember(new Set<unknown>());
  for (let tag = readTag(); tag !== Tag.End; tag = readTag()) set.add(readTagged(tag));
  return set;
}

function readBoxed(): unknown {
  const id = refs.push(unfinished) - 1;
  const value = readValue();
  if (value === null || value === undefined || typeof value === 'object') throw invalid('a box without a primitive');
  return (refs[id] = Object(value));
}

function readError(): Error {
  const className = readString();
  let error: Error;
  if (className === 'DOMException') {
    const message = readString();
    error = new DOMException(message, readString());
  } else {
    error = makeError(className);
  }
  remember(error);
  return readProperties(readProperties(error, false), true);
}

function readArrayBuffer(): ArrayBuffer {
  return copy(readLength());
}

function readBuffer(): Buffer {
  const length = readLength();
  const start = skip(length);
  // Kept in place when that keeps at most as much again from the garbage collector.
  if (adopt && length >= 4096 && length * 2 >= end) {
    return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + start, length);
  }
  const buffer = length >= LONG ? Buffer.from(takeBuffer(length)) : Buffer.allocUnsafe(length);
  buffer.set(bytes.subarray(start, at));
  return buffer;
}

type ViewClass = new (buffer: ArrayBufferLike, offset?: number, length?: number) => ArrayBufferView;

function readViewClass(): ViewClass {
  const kind = readByte();
  const Class = (globalThis as unknown as Record<string, ViewClass | undefined>)[viewNames[kind] ?? ''];
  if (Class === undefined) throw invalid(`view ${kind}`);
  return Class;
}

function readView(): ArrayBufferView {
  const View = readViewClass();
  const buffer = readArrayBuffer();
  const view = remember(new View(buffer));
  remember(buffer);
  return view;
}

function readViewOn(): ArrayBufferView {
  const View = readViewClass();
  const buffer = readReference();
  const offset = readVarint();
  const size = readVarint();
  if (!(buffer instanceof ArrayBuffer)) throw invalid('a view of what is no ArrayBuffer');
  const elementSize = (View as unknown as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
  return remember(new View(buffer, offset, size / elementSize));
}

function readFunction(): unknown {
  const number = readVarint();
  const fn = functionOf?.(number);
  if (fn === undefined) throw invalid(`a function that nobody has announced, number ${number}`);
  return fn;
}

function readHandle(): unknown {
  const tag = readString();
  const type = handleOfTag(tag);
  if (type === undefined) throw invalid(`a handle of the unknown class ${JSON.stringify(tag)}`);
  const id = refs.push(unfinished) - 1;
  const description = readValue();
  return (refs[id] = type.revive(description, source));
}

runsInChild(readMessage, readArray, readVarint, remember);
