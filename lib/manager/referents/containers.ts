/** In the server: dict, list and Namespace. */
import { inspect, isDeepStrictEqual } from 'node:util';
import { codedError } from '../../errors';
import { invalidType, outOfRange, validateInteger } from '../../validate';
import { isIterable } from '../../values';

/** How an object is copied, for `getValue()`. */
export const kValue = Symbol('realfork.manager.value');

function missing(what: string, value: unknown): RangeError & { code: string } {
  return codedError(RangeError, 'ERR_NOT_FOUND', `${what}: ${inspect(value, { depth: 1 })}`);
}

/** The pairs of a Map, of an iterable of pairs, or of an object. */
function pairs(source: unknown): Iterable<readonly [unknown, unknown]> {
  if (source == null) return [];
  if (isIterable(source)) {
    return Array.from(source, (pair) => {
      if (!Array.isArray(pair)) throw invalidType('entries', 'an object, a Map, or pairs of key and value', source);
      return pair as unknown as [unknown, unknown];
    });
  }
  if (typeof source !== 'object') throw invalidType('entries', 'an object, a Map, or pairs of key and value', source);
  return Object.entries(source);
}

/** Objects are compared by identity, which no copy has: they are no keys. */
function checkKey(key: unknown): unknown {
  if (typeof key === 'object' && key !== null) throw invalidType('key', 'a primitive value', key);
  return key;
}

export class DictReferent {
  readonly #map = new Map<unknown, unknown>();

  constructor(...sources: unknown[]) {
    this.update(...sources);
  }

  get(key: unknown, fallback?: unknown): unknown {
    checkKey(key);
    return this.#map.has(key) ? this.#map.get(key) : fallback;
  }

  set(key: unknown, value: unknown): void {
    this.#map.set(checkKey(key), value);
  }

  has(key: unknown): boolean {
    return this.#map.has(checkKey(key));
  }

  delete(key: unknown): boolean {
    return this.#map.delete(checkKey(key));
  }

  clear(): void {
    this.#map.clear();
  }

  keys(): unknown[] {
    return [...this.#map.keys()];
  }

  values(): unknown[] {
    return [...this.#map.values()];
  }

  items(): [unknown, unknown][] {
    return [...this.#map];
  }

  update(...sources: unknown[]): void {
    const all = sources.flatMap((source) => [...pairs(source)]);
    for (const [key] of all) checkKey(key);
    for (const [key, value] of all) this.#map.set(key, value);
  }

  /** With a second argument that is given instead of the error. */
  pop(key: unknown, ...fallback: unknown[]): unknown {
    const value = this.get(key);
    if (this.#map.delete(key)) return value;
    if (fallback.length > 0) return fallback[0];
    throw missing('The dict has no such key', key);
  }

  popitem(): [unknown, unknown] {
    const last = [...this.#map].at(-1);
    if (last === undefined) throw missing('The dict is empty', this.#map);
    this.#map.delete(last[0]);
    return last;
  }

  setdefault(key: unknown, value: unknown): unknown {
    if (!this.has(key)) this.#map.set(key, value);
    return this.#map.get(key);
  }

  copy(): Map<unknown, unknown> {
    return this.#map;
  }

  toObject(): object {
    return Object.fromEntries(this.#map as Map<string, unknown>);
  }

  length(): number {
    return this.#map.size;
  }

  [kValue](): unknown {
    return this.#map;
  }

  [inspect.custom](): string {
    return inspect(this.toObject());
  }
}

/** Numbers by size, everything else as `<` has it: what Python's sort does, as far as there is an order. */
function compare(a: unknown, b: unknown): number {
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

interface SortOptions {
  readonly reverse?: boolean;
  /** Sort objects by this property. */
  readonly key?: string | number;
}

export class ListReferent {
  readonly #items: unknown[];

  constructor(items?: unknown) {
    if (items != null && typeof items !== 'string' && !isIterable(items))
      throw invalidType('items', 'an iterable', items);
    this.#items = items == null ? [] : [...(items as Iterable<unknown>)];
  }

  at(index: unknown): unknown {
    validateInteger(index, 'index');
    return this.#items.at(index);
  }

  get(index: unknown): unknown {
    return this.#items[this.#place(index)];
  }

  set(index: unknown, value: unknown): void {
    this.#items[this.#place(index)] = value;
  }

  /** As `list[i] = value` of an array: the place after the last is there too. */
  put(index: number, value: unknown): void {
    if (index === this.#items.length) this.#items.push(value);
    else this.set(index, value);
  }

  slice(start?: number, end?: number): unknown[] {
    return this.#items.slice(start, end);
  }

  splice(start: number, ...rest: unknown[]): unknown[] {
    if (rest.length === 0) return this.#items.splice(start);
    const [deleteCount, ...items] = rest;
    return this.#items.splice(start, deleteCount as number, ...items);
  }

  push(...items: unknown[]): number {
    for (const item of items) this.#items.push(item);
    return this.#items.length;
  }

  append(item: unknown): void {
    this.#items.push(item);
  }

  extend(items: unknown): void {
    if (typeof items !== 'string' && !isIterable(items)) throw invalidType('items', 'an iterable', items);
    for (const item of [...(items as Iterable<unknown>)]) this.#items.push(item);
  }

  insert(index: unknown, item: unknown): void {
    validateInteger(index, 'index');
    this.#items.splice(index, 0, item);
  }

  pop(index: unknown = -1): unknown {
    const [item] = this.#items.splice(this.#place(index), 1);
    return item;
  }

  shift(): unknown {
    return this.pop(0);
  }

  unshift(...items: unknown[]): number {
    return this.#items.unshift(...items);
  }

  remove(value: unknown): void {
    this.#items.splice(this.index(value), 1);
  }

  delete(index: unknown): void {
    this.#items.splice(this.#place(index), 1);
  }

  clear(): void {
    this.#items.length = 0;
  }

  reverse(): void {
    this.#items.reverse();
  }

  sort(options: SortOptions | null = {}): void {
    const { reverse = false, key } = options ?? {};
    const by = (item: unknown): unknown => (key === undefined ? item : (item as Record<string, unknown>)[key]);
    this.#items.sort((a, b) => compare(by(a), by(b)));
    if (reverse) this.#items.reverse();
  }

  count(value: unknown): number {
    return this.#items.filter((item) => isDeepStrictEqual(item, value)).length;
  }

  index(value: unknown, start = 0, end = this.#items.length): number {
    const index = this.indexOf(value, start);
    if (index < 0 || index >= (end < 0 ? this.#items.length + end : end)) {
      throw missing('The list has no such value', value);
    }
    return index;
  }

  indexOf(value: unknown, start = 0): number {
    const from = start < 0 ? Math.max(0, this.#items.length + start) : start;
    return this.#items.findIndex((item, i) => i >= from && isDeepStrictEqual(item, value));
  }

  includes(value: unknown): boolean {
    return this.indexOf(value) >= 0;
  }

  copy(): unknown[] {
    return this.#items;
  }

  length(): number {
    return this.#items.length;
  }

  #place(index: unknown): number {
    validateInteger(index, 'index');
    const place = index < 0 ? this.#items.length + index : index;
    if (place < 0 || place >= this.#items.length) {
      throw outOfRange('index', `that of one of the ${this.#items.length} items of the list`, index);
    }
    return place;
  }

  [kValue](): unknown {
    return this.#items;
  }

  [inspect.custom](): string {
    return inspect(this.#items);
  }
}

export class NamespaceReferent {
  readonly #values: Map<string, unknown>;

  constructor(values?: unknown) {
    this.#values = new Map(pairs(values) as Iterable<[string, unknown]>);
  }

  get(name: string): unknown {
    return this.#values.get(name);
  }

  set(name: string, value: unknown): void {
    if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
    this.#values.set(name, value);
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  delete(name: string): boolean {
    return this.#values.delete(name);
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  copy(): object {
    return Object.fromEntries(this.#values);
  }

  [kValue](): unknown {
    return this.copy();
  }

  [inspect.custom](): string {
    const body = [...this.#values].map(([name, value]) => `${name}=${inspect(value, { depth: 1 })}`);
    return `Namespace(${body.join(', ')})`;
  }
}
