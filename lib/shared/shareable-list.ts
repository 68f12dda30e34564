/** A list of fixed length in shared memory, in the format of Python's `ShareableList`. */
import { inspect } from 'node:util';
import { codedError } from '../errors';
import { registerHandle } from '../ipc/handles';
import { invalidType, invalidValue, outOfRange, validateInteger, validateObject } from '../validate';
import { fitsSlot, slotFor, type Packed, type Shareable } from './list-item';
import { ListLayout } from './list-layout';
import { SharedMemory } from './memory';

/** Where a {@link ShareableList} lives. */
export interface ShareableListOptions {
  /** The name of its memory: of a new block when there are values, of an existing list when there are none. */
  readonly name?: string | null;
}

/** The list's methods run with the proxy as `this`, so its private fields have to be the proxy's: made here, before them. */
class Indexed {
  constructor() {
    return new Proxy(this, byIndex);
  }
}

const isIndex = (key: string | symbol): key is string => typeof key === 'string' && /^(0|-?[1-9]\d*)$/.test(key);

const byIndex: ProxyHandler<Indexed> = {
  get: (target, key, list) =>
    isIndex(key) ? (list as ShareableList).get(Number(key)) : (Reflect.get(target, key, list) as unknown),
  set: (target, key, value, list) => {
    if (!isIndex(key)) return Reflect.set(target, key, value, list);
    (list as ShareableList).set(Number(key), value as Shareable);
    return true;
  },
};

/**
 * A list in shared memory: each process that has it reads and changes the same values. Its length and the room for each
 * value are fixed when it is made: 8 bytes for numbers, booleans and null; for strings (UTF-8) and bytes the next
 * multiple of 8 above their length.
 *
 * `list[i]` reads and writes like `get(i)` and `set(i, value)`; negative positions count from the end.
 *
 * @throws `ERR_INVALID_ARG_TYPE` a value is not a number, bigint, boolean, string, null, Buffer or Uint8Array.
 * @throws `ERR_INVALID_ARG_VALUE` the named block does not hold a list.
 * @throws {@link PosixError} as {@link SharedMemory} does.
 * @remarks Python and this package can use each other's lists. As in Python, zero bytes at the end of a string or of
 * bytes are not kept, and nothing protects a value against being read while another process writes it. Integers are
 * 64-bit: those beyond `Number.MAX_SAFE_INTEGER` are read as bigint. Differs from Python: the room for a string follows
 * from its bytes, not its characters, so that nothing is cut off.
 * @example
 * ```js
 * const list = new ShareableList(['howdy', -273.154, 100, null, true]);
 * const same = new ShareableList({ name: list.shm.name });
 * same[2] = 42;
 * console.log(list[2], list.length, [...list]);
 * list.shm.close();
 * list.shm.unlink();
 * ```
 * @see multiprocessing.shared_memory.ShareableList
 */
export class ShareableList extends Indexed implements Iterable<Shareable>, Disposable {
  [position: number]: Shareable;
  readonly #memory: SharedMemory;
  readonly #layout: ListLayout;

  constructor(values?: Iterable<Shareable> | null, options?: ShareableListOptions);
  /** Attach to the list of that name, as `SharedMemory` does. */
  constructor(options: ShareableListOptions);
  constructor(given?: Iterable<Shareable> | ShareableListOptions | null, second?: ShareableListOptions) {
    super();
    // Python's ShareableList(name='...').
    const isAlone = second === undefined && given != null && !hasIterator(given) && Object.hasOwn(given, 'name');
    const values = isAlone ? undefined : given;
    const options: unknown = (isAlone ? given : second) ?? {};
    validateObject(options, 'options');
    const { name = null } = options as ShareableListOptions;
    if (values == null && name !== null) {
      this.#memory = new SharedMemory({ name });
      this.#layout = attached(this.#memory);
      return;
    }
    const packed = pack(values ?? []);
    const offsets = [0];
    for (const { room } of packed) offsets.push((offsets.at(-1) as number) + room);
    this.#memory = new SharedMemory({ name, create: true, size: ListLayout.sizeFor(offsets) });
    this.#layout = new ListLayout(this.#memory, offsets);
    this.#layout.writeHeader();
    packed.forEach((value, position) => this.#layout.write(position, value));
  }

  /** The memory, for its `name`, `close()` and `unlink()`. */
  get shm(): SharedMemory {
    return this.#memory;
  }

  /** How many values there are. */
  get length(): number {
    return this.#layout.length;
  }

  /** The formats of the present values as Python's `struct` writes them, such as `'8sdq'`. */
  get format(): string {
    let format = '';
    for (let i = 0; i < this.length; i++) format += this.#layout.format(i);
    return format;
  }

  /**
   * Read the value at a position.
   *
   * @param position - From 0, or from -1 for the last.
   * @throws `ERR_OUT_OF_RANGE` there is no such position.
   */
  get(position: number): Shareable {
    return this.#layout.read(this.#index(position));
  }

  /** The same as `get`. */
  at(position: number): Shareable {
    return this.get(position);
  }

  /**
   * Change the value at a position; it may be of another type, and has to fit the room there.
   *
   * @throws `ERR_OUT_OF_RANGE` there is no such position, the string or bytes need more room than the value had that the
   * list was made with, or the bigint needs more than 64 bits. Nothing has changed then.
   */
  set(position: number, value: Shareable): void {
    const index = this.#index(position);
    const packed = slotFor(value, `list[${position}]`);
    const room = this.#layout.room(index);
    if (!fitsSlot(packed, room)) {
      throw outOfRange(`list[${position}]`, `at most ${room} bytes, the storage of this position`, value);
    }
    this.#layout.write(index, packed);
  }

  /** How many of the values are equal to this one; bytes are when they have the same contents. */
  count(value: Shareable): number {
    let count = 0;
    for (const entry of this) if (isEqual(entry, value)) count++;
    return count;
  }

  /**
   * The first position of a value.
   *
   * @throws `ERR_INVALID_ARG_VALUE` it is not in the list.
   */
  index(value: Shareable): number {
    let position = 0;
    for (const entry of this) {
      if (isEqual(entry, value)) return position;
      position++;
    }
    throw invalidValue('value', 'is not in the list', value);
  }

  *[Symbol.iterator](): IterableIterator<Shareable> {
    for (let i = 0; i < this.length; i++) yield this.#layout.read(i);
  }

  /** Close the memory, for `using`. */
  [Symbol.dispose](): void {
    this.#memory.close();
  }

  /** For `JSON.stringify`: an array. */
  toJSON(): Shareable[] {
    return [...this];
  }

  override toString(): string {
    return `${this.constructor.name}(${inspect([...this])}, name='${this.#memory.name}')`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  #index(position: number): number {
    validateInteger(position, 'position');
    const index = position < 0 ? position + this.length : position;
    if (index < 0 || index >= this.length) {
      throw outOfRange('position', `a position of a list of ${this.length} values`, position);
    }
    return index;
  }
}

registerHandle({
  tag: 'ShareableList',
  Class: ShareableList,
  reduce: (list) => list.shm.name,
  revive: (name) => new ShareableList(undefined, { name: name as string }),
});

function pack(values: unknown): Packed[] {
  if (!hasIterator(values)) throw invalidType('values', 'an iterable', values);
  return Array.from(values, (value, position) => slotFor(value, `values[${position}]`));
}

function hasIterator(value: unknown): value is Iterable<unknown> {
  return typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function';
}

function attached(memory: SharedMemory): ListLayout {
  try {
    return ListLayout.found(memory);
  } catch (cause) {
    memory.close();
    throw codedError(TypeError, 'ERR_INVALID_ARG_VALUE', `The shared memory ${memory.name} holds no ShareableList`, {
      cause,
    });
  }
}

function isEqual(one: Shareable, other: unknown): boolean {
  if (one instanceof Uint8Array) return other instanceof Uint8Array && Buffer.compare(one, other) === 0;
  if (typeof one === 'bigint' || typeof other === 'bigint') {
    // eslint-disable-next-line eqeqeq -- 5n and 5 are the same entry: how it is read depends on its size
    return isNumeric(one) && isNumeric(other) && one == other;
  }
  return one === other;
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'bigint' || typeof value === 'number';
}
