/** In the server: SharedValue and SharedArray, numbers of a type as in shared memory, but in the server's own. */
import { inspect } from 'node:util';
import { invalidType, validateInteger } from '../../validate';
import { isIterable } from '../../values';
import { elementType, toElement, views, type ElementType, type View } from '../../shared/element-type';
import { kValue } from './containers';
import { RLockReferent } from './locks';

/** What {@link SharedValueReferent} and {@link SharedArrayReferent} have in common. */
abstract class SharedReferent {
  protected readonly type: ElementType;
  readonly #lock = new RLockReferent();

  constructor(type: unknown) {
    this.type = elementType(type);
  }

  getLock(): RLockReferent {
    return this.#lock;
  }
}

export class SharedValueReferent extends SharedReferent {
  #value: number | bigint;

  constructor(type: unknown, initial: unknown = 0) {
    super(type);
    this.#value = this.#checked(initial, 'initial');
  }

  get(): number | bigint {
    return this.#value;
  }

  set(value: unknown): void {
    this.#value = this.#checked(value, 'value');
  }

  /** Add to it, in one step; what it is then. */
  add(amount: unknown): number | bigint {
    const big = toElement(this.type, amount, 'amount');
    this.set(typeof big === 'bigint' ? (this.#value as bigint) + big : (this.#value as number) + big);
    return this.#value;
  }

  #checked(value: unknown, name: string): number | bigint {
    const element = toElement(this.type, value, name);
    return this.type === 'f32' ? Math.fround(element as number) : element;
  }

  [kValue](): unknown {
    return this.#value;
  }

  [inspect.custom](): string {
    return `SharedValue('${this.type}', ${inspect(this.#value)})`;
  }
}

export class SharedArrayReferent extends SharedReferent {
  readonly #view: View;

  constructor(type: unknown, lengthOrInitial: unknown) {
    super(type);
    const Class = views[this.type];
    if (typeof lengthOrInitial === 'number') {
      validateInteger(lengthOrInitial, 'lengthOrInitial', 0, 2 ** 32);
      this.#view = new Class(lengthOrInitial);
      return;
    }
    if (!isIterable(lengthOrInitial)) {
      throw invalidType('lengthOrInitial', 'of type number or an iterable of numbers', lengthOrInitial);
    }
    const initial = Array.from(lengthOrInitial, (value, i) => toElement(this.type, value, `initial[${i}]`));
    this.#view = (Class as { from(values: unknown[]): View }).from(initial);
  }

  get length(): number {
    return this.#view.length;
  }

  get(index: unknown): number | bigint {
    return this.#view[this.#place(index)] as number | bigint;
  }

  set(index: unknown, value: unknown): void {
    this.#view[this.#place(index)] = toElement(this.type, value, 'value');
  }

  /** As an index of a typed array: undefined outside. */
  at(index: unknown): number | bigint | undefined {
    validateInteger(index, 'index');
    return this.#view.at(index);
  }

  /** A typed array of its own. */
  slice(start?: number, end?: number): View {
    return this.#view.slice(start, end);
  }

  /** Put values in, from an index on. */
  assign(values: unknown, offset: unknown = 0): void {
    validateInteger(offset, 'offset', 0, this.#view.length);
    if (!isIterable(values)) {
      throw invalidType('values', 'an iterable of numbers', values);
    }
    const elements = Array.from(values, (value, i) => toElement(this.type, value, `values[${i}]`));
    (this.#view as { set(elements: unknown[], offset: number): void }).set(elements, offset);
  }

  fill(value: unknown, start?: number, end?: number): void {
    (this.#view as { fill(value: unknown, start?: number, end?: number): void }).fill(
      toElement(this.type, value, 'value'),
      start,
      end,
    );
  }

  #place(index: unknown): number {
    const { length } = this.#view;
    validateInteger(index, 'index', -length, length - 1);
    return index < 0 ? length + index : index;
  }

  [kValue](): unknown {
    return this.#view;
  }

  [inspect.custom](): string {
    return `SharedArray('${this.type}', ${inspect([...this.#view])})`;
  }
}
