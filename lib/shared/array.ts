/** Numbers that processes share, with the interface of a typed array. */
import { constants as bufferLimits } from 'node:buffer';
import { registerHandle } from '../ipc/handles';
import type { Lock } from '../sync/lock';
import type { RLock } from '../sync/rlock';
import { invalidType, outOfRange, validateInteger } from '../validate';
import { isIterable } from '../values';
import { allocate, type Block } from './arena';
import {
  elementType,
  toElement,
  views,
  type Element,
  type ElementType,
  type ElementTypeOrCode,
  type View,
} from './element-type';
import { chooseLock, describe, reach, type SharedOptions } from './guarded';

/** The typed array that a type's elements lie in. */
type ViewOf<T extends ElementTypeOrCode> = T extends 'i8' | 'b'
  ? Int8Array<ArrayBuffer>
  : T extends 'u8' | 'B' | 'c'
    ? Uint8Array<ArrayBuffer>
    : T extends 'i16' | 'h'
      ? Int16Array<ArrayBuffer>
      : T extends 'u16' | 'H'
        ? Uint16Array<ArrayBuffer>
        : T extends 'i32' | 'i'
          ? Int32Array<ArrayBuffer>
          : T extends 'u32' | 'I'
            ? Uint32Array<ArrayBuffer>
            : T extends 'i64' | 'q' | 'l'
              ? BigInt64Array<ArrayBuffer>
              : T extends 'u64' | 'Q' | 'L'
                ? BigUint64Array<ArrayBuffer>
                : T extends 'f32' | 'f'
                  ? Float32Array<ArrayBuffer>
                  : Float64Array<ArrayBuffer>;

/** What a {@link SharedArray} has beside its elements. */
interface Guarded {
  /** The lock that was given or made. Absent with `{ lock: false }`. */
  readonly getLock: () => Lock | RLock;
  /** The same memory as a plain typed array. Absent with `{ lock: false }`. */
  readonly getObj: () => View;
}

/** What it has in another form than the typed array; the first of several forms is the one that counts. */
interface Part<T extends ElementTypeOrCode> {
  /** A part of the array, shared as the whole and with the same lock. */
  subarray(begin?: number, end?: number): SharedArray<T>;
}

/** What an array of characters has beside. */
interface Text {
  /** The text that the array holds: its characters, of Latin-1, up to the first that is 0. */
  get value(): string;
  /** It has to fit; a shorter one is followed by a 0. */
  set value(text: string | Uint8Array);
}

/** Numbers in memory that this process shares with its descendants, and with every process they are sent to. */
export type SharedArray<T extends ElementTypeOrCode = ElementTypeOrCode> = Part<T> &
  ViewOf<T> &
  Guarded &
  (T extends 'c' ? Text : unknown);

/** What belongs to an array and is no element of it. */
interface Belongings {
  readonly block: Block;
  readonly type: ElementType;
  readonly lock: Lock | RLock | undefined;
}
const belongings = new WeakMap<object, Belongings>();

/** Make `view` a shared array: an object of the typed array's own class for everything but where it is sent. */
function share(view: object, block: Block, type: ElementType, lock: Lock | RLock | undefined): object {
  belongings.set(view, { block, type, lock });
  Object.setPrototypeOf(view, prototypes[type]);
  if (lock === undefined) return view;
  const hidden = { enumerable: false, configurable: true, writable: true };
  Object.defineProperty(view, 'getLock', { value: () => lock, ...hidden });
  const { byteOffset, length } = view as View;
  Object.defineProperty(view, 'getObj', { value: () => new views[type](block.buffer, byteOffset, length), ...hidden });
  return view;
}

/**
 * Numbers in memory that this process shares with its descendants, and with every process they are sent to.
 *
 * @remarks The object is a typed array: index, `length`, `set`, `fill`, `subarray` (a shared array too, with the same lock), iteration; `slice` and `map` give private copies.
 * Storing wraps as typed arrays do. One access is one access to memory; hold the lock where several belong together. Sent through a
 * pipe or a queue it is the same memory at the other end, of which a copy would be `array.slice()`.
 * @example
 * ```js
 * const sums = new SharedArray('f64', 4); // four zeros
 * sums.getLock().withSync(() => { sums[0] += 1.5; });
 * ```
 * @see multiprocessing.Array, multiprocessing.RawArray
 */
export const SharedArray = class {
  /**
   * @param type - `'i8'`, `'u8'`, `'i16'`, `'u16'`, `'i32'`, `'u32'`, `'i64'`, `'u64'`, `'f32'`, `'f64'`, or Python's code: `'i'`, `'d'`, `'c'`.
   * @param lengthOrInitial - The number of elements, all 0, or the elements; for `'c'` also a string.
   * @param options - The lock, as `{ lock }` or as it is; by default a new `RLock`.
   */
  constructor(type: unknown, lengthOrInitial: unknown, options?: SharedOptions | boolean | Lock | RLock) {
    const name = elementType(type);
    const View = views[name];
    const initial = elementsOf(name, lengthOrInitial);
    const length = initial?.length ?? (lengthOrInitial as number);
    const lock = chooseLock(options);
    const block = allocate(Math.max(1, length * View.BYTES_PER_ELEMENT));
    const view = new View(block.buffer, 0, length);
    if (initial !== undefined) (view as { set(elements: ArrayLike<unknown>): void }).set(initial);
    return share(view, block, name, lock);
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && belongings.has(value);
  }
} as unknown as {
  new <T extends ElementTypeOrCode>(
    type: T,
    lengthOrInitial: number | Iterable<Element<T> | number> | (T extends 'c' ? string : never),
    options?: SharedOptions | boolean | Lock | RLock,
  ): SharedArray<T>;
};

/** The most elements: what a typed array may have, in what a buffer may have (4 GB in Node 20). */
const mostOf = (type: ElementType): number =>
  Math.min(2 ** 32, Math.floor(bufferLimits.MAX_LENGTH / views[type].BYTES_PER_ELEMENT));

/** The elements of an initial value, checked; undefined when it is a length. */
function elementsOf(type: ElementType, given: unknown): ArrayLike<unknown> | undefined {
  if (typeof given === 'number') {
    validateInteger(given, 'lengthOrInitial', 0, mostOf(type));
    return undefined;
  }
  if (typeof given === 'string' && type === 'c') {
    return Array.from(given, (character, i) => toElement(type, character, `initial[${i}]`));
  }
  if (!isIterable(given)) {
    throw invalidType('lengthOrInitial', 'of type number or an iterable of numbers', given);
  }
  const elements = Array.from(given, (element, i) => toElement(type, element, `initial[${i}]`));
  const most = mostOf(type);
  if (elements.length > most) throw outOfRange('lengthOrInitial.length', `<= ${most}`, elements.length);
  return elements;
}

function textOf(this: Uint8Array): string {
  const end = this.indexOf(0);
  return Buffer.from(this.buffer, this.byteOffset, end < 0 ? this.length : end).toString('latin1');
}

function setText(this: Uint8Array, text: unknown): void {
  if (typeof text !== 'string' && !(text instanceof Uint8Array)) {
    throw invalidType('value', 'of type string or an instance of Uint8Array', text);
  }
  const codes = Array.from<string | number, number>(text, (each, i) => Number(toElement('c', each, `value[${i}]`)));
  if (codes.length > this.length) throw outOfRange('value.length', `<= ${this.length}`, codes.length);
  this.set(codes);
  if (codes.length < this.length) this[codes.length] = 0;
}

/** One prototype for each type, between the array and its typed array's: by it the array is recognised where it is sent. */
const prototypes = Object.fromEntries(
  (Object.keys(views) as ElementType[]).map((type) => {
    const View = views[type];
    const Class = class extends (View as typeof Uint8Array) {
      // A copy (slice, map, filter) is an ordinary typed array, in this process's own memory.
      static get [Symbol.species](): Uint8ArrayConstructor {
        return View as unknown as Uint8ArrayConstructor;
      }

      // A part of the array is as shared as the whole, with the same lock.
      override subarray(begin?: number, end?: number): Uint8Array<ArrayBuffer> {
        const { block, lock } = belongings.get(this) as Belongings;
        return share(super.subarray(begin, end), block, type, lock) as Uint8Array<ArrayBuffer>;
      }
    };
    Object.defineProperty(Class, 'name', { value: 'SharedArray' });
    if (type === 'c')
      Object.defineProperty(Class.prototype, 'value', { get: textOf, set: setText, configurable: true });
    registerHandle<object>({
      tag: `SharedArray.${type}`,
      Class,
      reduce(array) {
        const { block, lock } = belongings.get(array) as Belongings;
        return describe(block, type, array as View, lock);
      },
      revive(data) {
        const { block, view, description } = reach(data, 'SharedArray');
        return share(view, block, description.type, description.lock);
      },
    });
    return [type, Class.prototype];
  }),
) as Readonly<Record<ElementType, object>>;
