/** One number that processes share. */
import { inspect } from 'node:util';
import { registerHandle } from '../ipc/handles';
import type { Lock } from '../sync/lock';
import type { RLock } from '../sync/rlock';
import { allocate, type Block } from './arena';
import {
  elementType,
  isBig,
  toElement,
  views,
  type Element,
  type ElementType,
  type ElementTypeOrCode,
  type View,
} from './element-type';
import { chooseLock, describe, reach, type SharedOptions } from './guarded';

/** What a value of a type is: its element, but for characters. */
type ValueOf<T extends ElementTypeOrCode> = T extends 'c' ? string : Element<T>;

/** What a value is made from when it has come from another process. */
class Received {
  constructor(
    readonly block: Block,
    readonly view: View,
    readonly type: ElementType,
    readonly lock: Lock | RLock | undefined,
  ) {}
}

/**
 * One number in memory that this process shares with its descendants, and with every process it is sent to.
 *
 * @remarks Reading or writing `value` is one access to memory. Changing it (`value += 1`) is two, between which another process may
 * write: hold the lock meanwhile. Unlike Python's ctypes, a number that does not fit the type throws.
 * @example
 * ```js
 * const counter = new SharedValue('i32', 0);
 * counter.getLock().withSync(() => { counter.value += 1; });
 * ```
 * @see multiprocessing.Value, multiprocessing.RawValue
 */
export class SharedValue<T extends ElementTypeOrCode = ElementTypeOrCode> {
  /** The lock that was given or made. Absent with `{ lock: false }`. */
  declare readonly getLock: () => Lock | RLock;
  /** The memory itself, a typed array of one element. Absent with `{ lock: false }`. */
  declare readonly getObj: () => View;
  readonly #type: ElementType;
  readonly #block: Block;
  readonly #view: View;
  readonly #lock: Lock | RLock | undefined;

  /**
   * @param type - `'i8'`, `'u8'`, `'i16'`, `'u16'`, `'i32'`, `'u32'`, `'i64'`, `'u64'`, `'f32'`, `'f64'`, or Python's code: `'i'`, `'d'`, `'c'`.
   * @param initial - Its first value; a bigint or a safe integer for the two 64-bit integers. Default 0.
   * @param options - The lock, as `{ lock }` or as it is; by default a new `RLock`.
   * @throws `ERR_OUT_OF_RANGE` `initial` does not fit the type.
   * @throws {@link PosixError} `ENOMEM` no shared memory is left.
   */
  constructor(
    type: T,
    initial?: number | bigint | (T extends 'c' ? string : never),
    options?: SharedOptions | boolean | Lock | RLock,
  ) {
    const received = (type as unknown) instanceof Received ? (type as unknown as Received) : undefined;
    this.#type = received?.type ?? elementType(type);
    const first = received === undefined ? toElement(this.#type, initial ?? 0, 'initial') : undefined;
    this.#lock = received === undefined ? chooseLock(options) : received.lock;
    this.#block = received?.block ?? allocate(8);
    this.#view = received?.view ?? new views[this.#type](this.#block.buffer, 0, 1);
    if (first !== undefined) this.#view[0] = first;
    const lock = this.#lock;
    if (lock === undefined) return;
    const hidden = { enumerable: false, configurable: true, writable: true };
    Object.defineProperty(this, 'getLock', { value: () => lock, ...hidden });
    Object.defineProperty(this, 'getObj', { value: () => this.#view, ...hidden });
  }

  /**
   * The number: a bigint for the two 64-bit integers, a string of one character for `'c'`. Setting it takes a safe integer
   * for a bigint as well.
   */
  get value(): ValueOf<T> {
    const value = this.#view[0] as number | bigint;
    return (this.#type === 'c' ? String.fromCharCode(Number(value)) : value) as ValueOf<T>;
  }

  set value(value: ValueOf<T> | (ValueOf<T> extends bigint ? number : never)) {
    this.#view[0] = toElement(this.#type, value, 'value');
  }

  /** What `JSON.stringify` gives: the number, or the decimal digits of a bigint. */
  toJSON(): number | string {
    const value = this.#view[0] as number | bigint;
    if (this.#type === 'c') return this.value as string;
    return isBig(this.#type) ? String(value) : Number(value);
  }

  /** Show the type and the number: `<SharedValue i32 5>`. */
  toString(): string {
    return `<SharedValue ${this.#type} ${String(this.value)}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  static {
    registerHandle<SharedValue>({
      tag: 'SharedValue',
      Class: SharedValue,
      reduce: (value) => describe(value.#block, value.#type, value.#view, value.#lock),
      revive(data) {
        const { block, view, description } = reach(data, 'SharedValue');
        if (view.length !== 1) throw new RangeError('a SharedValue has one element');
        const received = new Received(block, view, description.type, description.lock);
        return new SharedValue(received as unknown as ElementType);
      },
    });
  }
}
