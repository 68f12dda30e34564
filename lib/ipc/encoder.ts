/**
 * From values to bytes (format.ts). The state stands in module variables, which compiled code reaches fastest; a nested
 * use, from a getter or from a handle's `reduce`, puts it aside (serialize.ts).
 */
import { types } from 'node:util';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';
import { errorClassOf } from './error-classes';
import { PACK_FROM, Tag, viewNames } from './format';
import { handleOf, type HandleType } from './handles';
import { reasonAgainst, Unclonable } from './unclonable';

// Globals are looked up once: under a test runner's `vm` context each look costs a microsecond.
const { getPrototypeOf, getOwnPropertyDescriptor, hasOwn, keys: keysOf, prototype: objectPrototype } = Object;
const { isArray: isArrayOf } = Array;
const { isView } = ArrayBuffer;
const { isBuffer } = Buffer;

/** Buffer's raw writers, which @types/node leaves out. */
export interface RawWriter {
  latin1Write(text: string, at: number, length: number): number;
  ucs2Write(text: string, at: number, length: number): number;
}

const FIRST_SIZE = 16 * 1024;
/** A bigger scratch buffer is given back after the message that needed it. */
const KEEP_SIZE = 4 * 1024 * 1024;
/** So many objects are looked for one by one; beyond, in a Map. */
const LIST_SIZE = 12;

/** Bytes that stand in the message at `at` without having been copied into the scratch buffer. */
export interface Cut {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * The number under which the receiver knows a function, or why there is none: what reads on from "cannot be cloned: ".
 */
export type NumberFunction = (fn: (...args: never[]) => unknown) => number | string;

/** Everything that belongs to one message. */
export interface EncoderState {
  readonly scratch: Buffer;
  readonly at: number;
  readonly seen: number;
  readonly list: unknown[];
  readonly map: Map<unknown, number> | undefined;
  readonly fds: number[] | undefined;
  readonly numberOf: NumberFunction | undefined;
  readonly cutFrom: number;
  readonly cuts: Cut[] | undefined;
}

let scratch: Buffer = Buffer.allocUnsafeSlow(FIRST_SIZE);
let at = 0;
let seen = 0;
let list: unknown[] = [];
let map: Map<unknown, number> | undefined;
let fds: number[] | undefined;
let numberOf: NumberFunction | undefined;
let cutFrom = Infinity;
let cuts: Cut[] | undefined;

/**
 * Begin a message after `headroom` bytes; `withFds` lets descriptors go along, `cutAt` is the size from which bytes are not
 * copied, `functions` lets functions go along.
 */
export function begin(headroom: number, withFds: boolean, cutAt: number, functions: NumberFunction | undefined): void {
  at = 0;
  reserve(headroom);
  at = headroom;
  fds = withFds ? [] : undefined;
  numberOf = functions;
  cutFrom = cutAt;
}

/** The state at the end of the message. */
export function state(): EncoderState {
  return { scratch, at, seen, list, map, fds, numberOf, cutFrom, cuts };
}

/** Forget the message, so that nothing of it is kept from the garbage collector. */
export function end(): void {
  if (seen > 0) {
    list.length = 0;
    map = undefined;
    seen = 0;
  }
  cuts = undefined;
  fds = undefined;
  numberOf = undefined;
  if (scratch.length > KEEP_SIZE) scratch = Buffer.allocUnsafeSlow(FIRST_SIZE);
}

/** Put the state of an unfinished message aside. */
export function suspend(): EncoderState {
  const suspended = state();
  scratch = Buffer.allocUnsafeSlow(FIRST_SIZE);
  seen = 0;
  list = [];
  map = undefined;
  cuts = undefined;
  return suspended;
}

/** Go on with a message that was put aside. */
export function resume(suspended: EncoderState): void {
  ({ scratch, at, seen, list, map, fds, numberOf, cutFrom, cuts } = suspended);
}

function reserve(bytes: number): void {
  if (at + bytes > scratch.length) grow(bytes);
}

function grow(bytes: number): void {
  const larger = Buffer.allocUnsafeSlow(Math.max(at + bytes, Math.min(scratch.length * 2, scratch.length + 2 ** 28)));
  larger.set(scratch.subarray(0, at));
  scratch = larger;
}

/** Up to 8 bytes; the caller has reserved them. */
function writeVarint(value: number): void {
  while (value > 0x7f) {
    scratch[at++] = (value % 128) | 0x80;
    value = Math.floor(value / 128);
  }
  scratch[at++] = value;
}

const double = new Float64Array(1);
const doubleBytes = new Uint8Array(double.buffer);
const int64 = new BigInt64Array(double.buffer);

function writeDoubleBytes(): void {
  for (let i = 0; i < 8; i++) scratch[at++] = doubleBytes[i] as number;
}

function writeNumber(value: number): void {
  reserve(9);
  if ((value | 0) !== value || (value === 0 && 1 / value < 0)) {
    scratch[at++] = Tag.Double;
    double[0] = value;
    writeDoubleBytes();
  } else if (value >= 0 && value < 128) {
    scratch[at++] = Tag.SmallInt | value;
  } else if (value >= -128 && value < 128) {
    scratch[at++] = Tag.Int8;
    scratch[at++] = value;
  } else {
    scratch[at++] = Tag.Int32;
    scratch[at++] = value;
    scratch[at++] = value >> 8;
    scratch[at++] = value >> 16;
    scratch[at++] = value >> 24;
  }
}

const ONE_BY_ONE = 40;
/** V8 answers at once for a string that it holds with one byte per character. */
const beyondLatin1 = /[^\0-\xff]/;

function writeString(text: string): void {
  const { length } = text;
  reserve(length * 2 + 10);
  const start = at;
  if (length <= ONE_BY_ONE) {
    scratch[at++] = Tag.Latin1;
    scratch[at++] = length;
    let i = 0;
    for (; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0xff) break;
      scratch[at++] = unit;
    }
    if (i === length) return;
    at = start;
  } else if (!beyondLatin1.test(text)) {
    scratch[at++] = Tag.Latin1;
    writeVarint(length);
    (scratch as unknown as RawWriter).latin1Write(text, at, length);
    at += length;
    return;
  }
  scratch[at++] = Tag.Utf16;
  writeVarint(length * 2);
  (scratch as unknown as RawWriter).ucs2Write(text, at, length * 2);
  at += length * 2;
}

function writeBigInt(value: bigint): void {
  if (BigInt.asIntN(64, value) === value) {
    reserve(9);
    scratch[at++] = Tag.BigInt64;
    int64[0] = value;
    return writeDoubleBytes();
  }
  const digits = (value < 0n ? -value : value).toString(16);
  reserve(digits.length + 12);
  scratch[at++] = Tag.BigInt;
  scratch[at++] = value < 0n ? 1 : 0;
  writeVarint(digits.length);
  (scratch as unknown as RawWriter).latin1Write(digits, at, digits.length);
  at += digits.length;
}

function writeBytes(bytes: Uint8Array): void {
  reserve(8);
  writeVarint(bytes.length);
  if (bytes.length >= cutFrom) {
    (cuts ??= []).push({ at, bytes });
    return;
  }
  reserve(bytes.length);
  scratch.set(bytes, at);
  at += bytes.length;
}

function idOf(object: unknown): number {
  if (map === undefined) {
    for (let i = 0; i < seen; i++) if (list[i] === object) return i;
    return -1;
  }
  return map.get(object) ?? -1;
}

function remember(object: unknown): void {
  if (map === undefined) {
    if (seen < LIST_SIZE) {
      list[seen++] = object;
      return;
    }
    map = new Map();
    for (let i = 0; i < seen; i++) map.set(list[i], i);
  }
  map.set(object, seen++);
}

/** Write any value. */
export function writeValue(value: unknown): void {
  switch (typeof value) {
    case 'number':
      return writeNumber(value);
    case 'string':
      return writeString(value);
    case 'object':
      return value === null ? writeTag(Tag.Null) : writeObject(value);
    case 'undefined':
      return writeTag(Tag.Undefined);
    case 'boolean':
      return writeTag(value ? Tag.True : Tag.False);
    case 'bigint':
      return writeBigInt(value);
    case 'function':
      return writeFunction(value as (...args: never[]) => unknown);
    case 'symbol':
      throw new Unclonable(value, String(value));
  }
}

function writeFunction(fn: (...args: never[]) => unknown): void {
  const number = numberOf?.(fn) ?? (fn.name === '' ? 'a function' : `the function ${fn.name}`);
  if (typeof number === 'string') throw new Unclonable(fn, number);
  reserve(9);
  scratch[at++] = Tag.Function;
  writeVarint(number);
}

function writeTag(tag: Tag): void {
  reserve(1);
  scratch[at++] = tag;
}

function writeObject(object: object): void {
  const id = idOf(object);
  if (id >= 0) {
    reserve(9);
    scratch[at++] = Tag.Reference;
    return writeVarint(id);
  }
  let prototype: unknown;
  let isArray: boolean;
  try {
    isArray = isArrayOf(object);
    prototype = getPrototypeOf(object);
  } catch (error) {
    if (!types.isProxy(object)) throw error;
    throw new Unclonable(object, 'a proxy that answers no more', { cause: error });
  }
  if (isArray) return writeArray(object as unknown[]);
  if (prototype !== objectPrototype && prototype !== null) return writeSpecial(object);
  remember(object);
  writeTag(Tag.Object);
  writeProperties(object, keysOf(object));
}

function writeProperties(object: object, keys: readonly string[]): void {
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    const value = (object as Record<string, unknown>)[key];
    // A getter of an earlier property may have deleted this one: the web platform's algorithm leaves it out.
    if (value === undefined && !hasOwn(object, key)) continue;
    writeString(key);
    writeValue(value);
  }
  writeTag(Tag.End);
}

function writeArray(array: unknown[]): void {
  remember(array);
  const { length } = array;
  const named = namedKeys(array);
  if (length >= PACK_FROM && named === undefined && writePacked(array)) return;
  reserve(9);
  scratch[at++] = named === undefined ? Tag.Array : Tag.ArrayWithKeys;
  writeVarint(length);
  let i = 0;
  for (; i < length; i++) {
    const value = array[i];
    if (value === undefined && !hasOwn(array, i)) break;
    writeValue(value);
  }
  if (i < length) writeFromHole(array, i, length);
  if (named !== undefined) writeProperties(array, named);
}

/**
 * The rest of an array from its first hole on, by its keys: there may be 4 billion holes. The array may have become shorter
 * than it was announced, or have lost elements, by a getter of an earlier one: what is gone is a hole.
 */
function writeFromHole(array: unknown[], from: number, length: number): void {
  let next = from;
  const hole = (run: number) => {
    if (run === 0) return;
    reserve(9);
    scratch[at++] = Tag.Hole;
    writeVarint(run);
  };
  for (const key of keysOf(array)) {
    const index = Number(key);
    if (!(index >= from) || !isIndex(key) || index >= length) continue;
    const value = array[index];
    if (value === undefined && !hasOwn(array, key)) continue;
    hole(index - next);
    writeValue(value);
    next = index + 1;
  }
  hole(length - next);
}

function isIndex(key: string): boolean {
  const index = Number(key);
  return index >>> 0 === index && index !== 0xffffffff && String(index) === key;
}

/** Enumerable properties of an array beside its elements, as the results of RegExp.exec have them. */
function namedKeys(array: unknown[]): string[] | undefined {
  const { length } = array;
  if (length <= 8) {
    const keys = keysOf(array);
    if (keys.length === length && (length === 0 || keys[length - 1] === String(length - 1))) return undefined;
    const named = keys.filter((key) => !isIndex(key));
    return named.length === 0 ? undefined : named;
  }
  // Object.keys would make a string of each index; V8 can be asked for the others alone.
  if (!types.isProxy(array) && native.hasNamedKeys(array) === false) return undefined;
  const named = keysOf(array).filter((key) => !isIndex(key));
  return named.length === 0 ? undefined : named;
}

/** Numbers only: as they lie in memory. False, with nothing written, when something else is among them. */
function writePacked(array: unknown[]): boolean {
  const { length } = array;
  let i = 0;
  for (; i < length; i++) {
    const value = array[i] as number;
    if ((value | 0) !== value || (value === 0 && 1 / value < 0)) break;
  }
  const integers = i === length;
  for (; i < length; i++) if (typeof array[i] !== 'number') return false;
  const start = at;
  reserve(length * 8 + 24);
  scratch[at++] = integers ? Tag.Int32s : Tag.Doubles;
  writeVarint(length);
  const pad = (8 - ((at + 1) & 7)) & 7;
  scratch[at++] = pad;
  scratch.fill(0, at, at + pad);
  at += pad;
  const Numbers = integers ? Int32Array : Float64Array;
  const numbers = new Numbers(scratch.buffer as ArrayBuffer, scratch.byteOffset + at, length);
  for (i = 0; i < length; i++) numbers[i] = array[i] as number;
  at += numbers.byteLength;
  return at > start;
}

function writeHandle(object: object, handle: HandleType): void {
  remember(object);
  const description = handle.reduce(object, { fd: addFd, takesFunctions: numberOf !== undefined });
  writeTag(Tag.Handle);
  writeString(handle.tag);
  writeValue(description);
}

/** Everything that is neither a plain object nor an array. */
function writeSpecial(object: object): void {
  if (isView(object)) {
    const shared = handleOf(object); // a view of memory that both sides share
    return shared === undefined ? writeView(object) : writeHandle(object, shared);
  }
  if (types.isMap(object)) {
    remember(object);
    writeTag(Tag.Map);
    return writeAll(entriesOf(object));
  }
  if (types.isSet(object)) {
    remember(object);
    writeTag(Tag.Set);
    return writeAll([...Set.prototype.values.call(object)]);
  }
  if (types.isDate(object)) {
    remember(object);
    reserve(9);
    scratch[at++] = Tag.Date;
    double[0] = Date.prototype.getTime.call(object);
    return writeDoubleBytes();
  }
  const handle = handleOf(object);
  if (handle !== undefined) return writeHandle(object, handle);
  const errorClass = errorClassOf(object);
  if (errorClass !== undefined) return writeError(object as Error, errorClass);
  if (types.isRegExp(object)) {
    remember(object);
    writeTag(Tag.RegExp);
    writeString(sourceOf.call(object));
    return writeString(flagsOf.call(object));
  }
  if (types.isAnyArrayBuffer(object) && !types.isSharedArrayBuffer(object)) {
    const bytes = bytesOf(object, object, 0, object.byteLength);
    remember(object);
    writeTag(Tag.ArrayBuffer);
    return writeBytes(bytes);
  }
  if (types.isBoxedPrimitive(object)) {
    remember(object);
    const value: unknown = unbox(object);
    if (typeof value === 'symbol') throw new Unclonable(object, String(value));
    writeTag(Tag.Boxed);
    return writeValue(value);
  }
  const reason = reasonAgainst(object);
  if (reason !== undefined) throw new Unclonable(object, reason);
  remember(object);
  writeTag(Tag.Object);
  writeProperties(object, keysOf(object));
}

/** Keys and values of a map, each key before its value. */
function entriesOf(map: Map<unknown, unknown>): unknown[] {
  const entries: unknown[] = [];
  Map.prototype.forEach.call(map, (value, key) => void entries.push(key, value));
  return entries;
}

/** What a collection had when its turn came: getters of its values may change it, or fill it for ever. */
function writeAll(values: readonly unknown[]): void {
  for (let i = 0; i < values.length; i++) writeValue(values[i]);
  writeTag(Tag.End);
}

/** An accessor of the language's own, which properties of the object do not hide. */
function accessor(prototype: object, key: PropertyKey): (this: unknown) => never {
  return getOwnPropertyDescriptor(prototype, key)?.get as (this: unknown) => never;
}

const sourceOf: (this: unknown) => string = accessor(RegExp.prototype, 'source');
const flagsOf: (this: unknown) => string = accessor(RegExp.prototype, 'flags');

function unbox(object: object): unknown {
  if (types.isNumberObject(object)) return Number.prototype.valueOf.call(object);
  if (types.isStringObject(object)) return String.prototype.valueOf.call(object);
  if (types.isBooleanObject(object)) return Boolean.prototype.valueOf.call(object);
  if (types.isBigIntObject(object)) return BigInt.prototype.valueOf.call(object as unknown as bigint);
  return Symbol.prototype.valueOf.call(object as unknown as symbol);
}

function addFd(fd: number): number {
  if (fds === undefined) {
    throw new Unclonable(undefined, 'it needs a descriptor, which travels over a Connection between processes only');
  }
  return fds.push(fd) - 1;
}

const toStringTag: (this: unknown) => string | undefined = accessor(
  getPrototypeOf(Uint8Array.prototype) as object,
  Symbol.toStringTag,
);
const viewKinds = new Map<string | undefined, number>(viewNames.map((name, kind) => [name, kind]));
viewKinds.set(undefined, 0);

function bytesOf(object: object, buffer: ArrayBufferLike, offset: number, length: number): Uint8Array {
  try {
    return new Uint8Array(buffer, offset, length);
  } catch (error) {
    throw new Unclonable(object, 'its memory was transferred away', { cause: error });
  }
}

function rangeOf(view: ArrayBufferView): [offset: number, length: number] {
  try {
    return [view.byteOffset, view.byteLength];
  } catch (error) {
    throw new Unclonable(view, 'its memory was transferred away', { cause: error }); // a DataView says so itself
  }
}

function writeView(view: ArrayBufferView): void {
  if (isBuffer(view)) {
    if (view.length === 0) bytesOf(view, view.buffer, 0, 0); // throws when it once had some
    remember(view);
    writeTag(Tag.Buffer);
    return writeBytes(view);
  }
  const { buffer } = view;
  const [byteOffset, byteLength] = rangeOf(view);
  if (types.isSharedArrayBuffer(buffer)) throw new Unclonable(buffer, reasonAgainst(buffer) as string);
  const kind = viewKinds.get(toStringTag.call(view));
  if (kind === undefined) throw new Unclonable(view, `an instance of ${toStringTag.call(view)}`);
  const owner = idOf(buffer);
  if (owner >= 0) {
    remember(view);
    reserve(40);
    scratch[at++] = Tag.ViewOn;
    scratch[at++] = kind;
    writeVarint(owner);
    writeVarint(byteOffset);
    return writeVarint(byteLength);
  }
  const bytes = bytesOf(view, buffer, byteOffset, byteLength);
  remember(view);
  // A view of a part is sent without the rest of its buffer, which is then not the buffer that the receiver gets.
  remember(byteLength === buffer.byteLength ? buffer : bytes);
  reserve(2);
  scratch[at++] = Tag.View;
  scratch[at++] = kind;
  writeBytes(bytes);
}

const hidden = ['stack', 'message', 'name', 'cause', 'errors'];

function writeError(error: Error, className: string): void {
  remember(error);
  writeTag(Tag.Error);
  writeString(className);
  if (className === 'DOMException') {
    // Accessors of its prototype, which only its constructor can set.
    writeString(error.message);
    writeString(error.name);
  }
  const own = (key: string) => getOwnPropertyDescriptor(error, key);
  // A class that the receiver does not know may have its name on its prototype.
  const isNamedByClass = className !== 'DOMException' && !hasOwn(error, 'name') && error.name !== className;
  writeOptional(
    error,
    hidden.filter((key) => key === 'stack' || own(key)?.enumerable === false || (key === 'name' && isNamedByClass)),
  );
  writeOptional(
    error,
    keysOf(error).filter((key) => key !== 'stack'),
  );
}

/** The properties that can be cloned: an error is sent to be known, also when it carries a request or a callback. */
function writeOptional(error: Error, keys: readonly string[]): void {
  for (const key of keys) {
    const before = { at, seen, cuts: cuts?.length ?? 0, fds: fds?.length ?? 0 };
    try {
      const value = (error as unknown as Record<string, unknown>)[key];
      if (value === undefined && !hasOwn(error, key)) continue;
      writeString(key);
      writeValue(value);
    } catch (failure) {
      if (!(failure instanceof Unclonable)) throw failure;
      takeBack(before);
    }
  }
  writeTag(Tag.End);
}

function takeBack(before: { at: number; seen: number; cuts: number; fds: number }): void {
  ({ at } = before);
  cuts?.splice(before.cuts);
  fds?.splice(before.fds);
  if (map === undefined) list.length = before.seen;
  else for (const [object, id] of map) if (id >= before.seen) map.delete(object);
  seen = before.seen;
}

runsInChild(writeNumber);
