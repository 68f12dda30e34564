/** The proxies of dict, list, Namespace, SharedValue, SharedArray and of iterators. */
import type { Element, ElementTypeOrCode } from '../shared/element-type';
import { invalidValue } from '../validate';
import { addMethods, addReadings, BaseProxy, defineKind, type ProxyState, type Reading, type SyncTwins } from './proxy';

/** What a `dict` can be made of, and updated with. */
export type DictSource<K, V> = ReadonlyMap<K, V> | Iterable<readonly [K, V]> | Readonly<Record<string, V>>;

/** The methods of a `dict`: those of a Map, and of Python's. */
export interface DictMethods<K, V> {
  /** The value of a key; `fallback`, or undefined, when it is not there. */
  get(key: K, fallback?: V): Promise<V | undefined>;
  set(key: K, value: V): Promise<void>;
  has(key: K): Promise<boolean>;
  /** Whether the key was there. */
  delete(key: K): Promise<boolean>;
  clear(): Promise<void>;
  keys(): Promise<K[]>;
  values(): Promise<V[]>;
  entries(): Promise<[K, V][]>;
  /** The same as `entries`, by Python's name. */
  items(): Promise<[K, V][]>;
  update(...sources: DictSource<K, V>[]): Promise<void>;
  /** Take a key out; without `fallback` one that is not there throws `ERR_NOT_FOUND`. */
  pop(key: K, ...fallback: V[]): Promise<V>;
  /** Take the last key out; throws `ERR_NOT_FOUND` when there is none. */
  popitem(): Promise<[K, V]>;
  popItem(): Promise<[K, V]>;
  /** The value of a key, which is set first when it is not there. */
  setdefault(key: K, value?: V): Promise<V>;
  setDefault(key: K, value?: V): Promise<V>;
  /** A Map. */
  copy(): Promise<Map<K, V>>;
  /** An object. */
  toObject(): Promise<Record<string, V>>;
}

/** A proxy for a `dict` in a manager. Its keys are primitive values; iteration is over a copy. */
export type DictProxy<K = unknown, V = unknown> = BaseProxy &
  DictMethods<K, V> &
  SyncTwins<DictMethods<K, V>> &
  Iterable<[K, V]> &
  AsyncIterable<[K, V]> & {
    /** How many keys there are: `await dict.size`. */
    readonly size: Reading<number>;
    readonly length: Reading<number>;
    sizeSync(): number;
    lengthSync(): number;
  };

const dictMethods = 'get set has delete clear keys values items update pop popitem setdefault copy toObject'.split(' ');

class DictProxyClass extends BaseProxy {
  [Symbol.iterator](): Iterator<unknown> {
    return (this.callMethodSync('items') as unknown[])[Symbol.iterator]();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator {
    yield* (await this.callMethod('items')) as unknown[];
  }
}
addMethods(DictProxyClass.prototype, dictMethods);
alias(DictProxyClass.prototype, { entries: 'items', popItem: 'popitem', setDefault: 'setdefault' });
addReadings(DictProxyClass.prototype, ['size', 'length'], 'length');

/** How a `list` is sorted. */
export interface SortOptions {
  readonly reverse?: boolean;
  /** Sort objects by this property. */
  readonly key?: string | number;
}

/** The methods of a `list`: those of an array, and of Python's. Equal is what `isDeepStrictEqual` calls so. */
export interface ListMethods<T> {
  /** The item at an index, from the end when negative; undefined outside. */
  at(index: number): Promise<T | undefined>;
  /** The item at an index; outside it throws `ERR_OUT_OF_RANGE`. */
  get(index: number): Promise<T>;
  /** Set the item at an index; outside it throws `ERR_OUT_OF_RANGE`. */
  set(index: number, value: T): Promise<void>;
  slice(start?: number, end?: number): Promise<T[]>;
  splice(start: number, deleteCount?: number, ...items: T[]): Promise<T[]>;
  /** Add items to the end; the new length. */
  push(...items: T[]): Promise<number>;
  append(item: T): Promise<void>;
  extend(items: Iterable<T>): Promise<void>;
  insert(index: number, item: T): Promise<void>;
  /** Take an item out, the last by default; outside of the list it throws `ERR_OUT_OF_RANGE`, as Python's does. */
  pop(index?: number): Promise<T>;
  /** Take the first item out. */
  shift(): Promise<T>;
  unshift(...items: T[]): Promise<number>;
  /** Take out the first item that is equal to `value`; throws `ERR_NOT_FOUND` when there is none. */
  remove(value: T): Promise<void>;
  /** Take the item at an index out. */
  delete(index: number): Promise<void>;
  clear(): Promise<void>;
  reverse(): Promise<void>;
  /** Sort in place: numbers by size, texts by code units. */
  sort(options?: SortOptions): Promise<void>;
  count(value: T): Promise<number>;
  /** Where `value` is first; throws `ERR_NOT_FOUND` when it is not there. */
  index(value: T, start?: number, end?: number): Promise<number>;
  /** Where `value` is first, or -1. */
  indexOf(value: T, start?: number): Promise<number>;
  includes(value: T): Promise<boolean>;
  /** An array. */
  copy(): Promise<T[]>;
}

/** A proxy for a `list` in a manager. `list[i]` is read and set as well; that blocks the process. */
export type ListProxy<T = unknown> = BaseProxy &
  ListMethods<T> &
  SyncTwins<ListMethods<T>> &
  Iterable<T> &
  AsyncIterable<T> & {
    [index: number]: T;
    /** How many items there are: `await list.length`. */
    readonly length: Reading<number>;
    lengthSync(): number;
  };

const listMethods = (
  'at get set slice splice push append extend insert pop shift unshift remove delete clear reverse sort count index ' +
  'indexOf includes copy'
).split(' ');

/** The number of a property that is an index, else undefined. */
function indexOf(name: string | symbol): number | undefined {
  return typeof name === 'string' && /^(0|[1-9]\d*)$/.test(name) ? Number(name) : undefined;
}

/** Properties that are indices are read and set in the server. */
function indexed(put: string): ProxyHandler<BaseProxy> {
  return {
    get(target, name, receiver) {
      const index = indexOf(name);
      if (index === undefined) return Reflect.get(target, name, receiver) as unknown;
      return target.callMethodSync('at', [index]);
    },
    set(target, name, value, receiver) {
      const index = indexOf(name);
      if (index === undefined) return Reflect.set(target, name, value, receiver);
      target.callMethodSync(put, [index, value]);
      return true;
    },
  };
}

class ListProxyClass extends BaseProxy {
  constructor(state: ProxyState) {
    super(state);
    return new Proxy<this>(this, indexed('put'));
  }

  [Symbol.iterator](): Iterator<unknown> {
    return (this.callMethodSync('copy') as unknown[])[Symbol.iterator]();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator {
    yield* (await this.callMethod('copy')) as unknown[];
  }
}
addMethods(ListProxyClass.prototype, listMethods);
addReadings(ListProxyClass.prototype, ['length']);

/** The methods of a `Namespace`, for names that its properties cannot have, and without blocking. */
export interface NamespaceMethods {
  get(name: string): Promise<unknown>;
  set(name: string, value: unknown): Promise<void>;
  has(name: string): Promise<boolean>;
  delete(name: string): Promise<boolean>;
  keys(): Promise<string[]>;
  /** An object. */
  copy(): Promise<Record<string, unknown>>;
}

/**
 * A proxy for a `Namespace` in a manager. Its properties are those of the object: reading, setting, `in` and `delete`
 * block the process. Properties whose names begin with `_` stay in this process, as in Python.
 */
export type NamespaceProxy<T extends object = Record<string, unknown>> = BaseProxy &
  NamespaceMethods &
  SyncTwins<NamespaceMethods> &
  T;

/** Properties of JavaScript's own, and of this proxy. */
function isOwn(target: object, name: string | symbol): name is symbol {
  return typeof name === 'symbol' || name.startsWith('_') || name === 'then' || name === 'toJSON' || name in target;
}

const namespaceHandler: ProxyHandler<BaseProxy> = {
  get(target, name, receiver) {
    if (isOwn(target, name)) return Reflect.get(target, name, receiver) as unknown;
    return target.callMethodSync('get', [name]);
  },
  set(target, name, value, receiver) {
    if (typeof name === 'symbol' || name.startsWith('_')) return Reflect.set(target, name, value, receiver);
    if (isOwn(target, name)) throw invalidValue('name', `is that of a method; use set('${String(name)}', value)`, name);
    target.callMethodSync('set', [name, value]);
    return true;
  },
  has(target, name) {
    return isOwn(target, name) ? Reflect.has(target, name) : (target.callMethodSync('has', [name]) as boolean);
  },
  deleteProperty(target, name) {
    if (isOwn(target, name)) return Reflect.deleteProperty(target, name);
    target.callMethodSync('delete', [name]);
    return true;
  },
  ownKeys: (target) => [...Reflect.ownKeys(target), ...(target.callMethodSync('keys') as string[])],
  getOwnPropertyDescriptor(target, name) {
    if (isOwn(target, name)) return Reflect.getOwnPropertyDescriptor(target, name);
    if (target.callMethodSync('has', [name]) === false) return undefined;
    const value = target.callMethodSync('get', [name]);
    return { value, configurable: true, enumerable: true, writable: true };
  },
};

class NamespaceProxyClass extends BaseProxy {
  constructor(state: ProxyState) {
    super(state);
    return new Proxy(this, namespaceHandler);
  }
}
addMethods(NamespaceProxyClass.prototype, 'get set has delete keys copy'.split(' '));

/** The methods of a `SharedValue` in a manager. */
export interface ValueMethods<N> {
  get(): Promise<N>;
  set(value: N | number): Promise<void>;
  /** Add to it in one step, without a lock; what it is then. */
  add(amount: N | number): Promise<N>;
  /** A lock that belongs to the value. */
  getLock(): Promise<BaseProxy>;
}

/** A proxy for a `SharedValue` in a manager. `value` is read and set as well; that blocks the process. */
export type ValueProxy<T extends ElementTypeOrCode = ElementTypeOrCode> = BaseProxy &
  ValueMethods<Element<T>> &
  SyncTwins<ValueMethods<Element<T>>> & { value: Element<T> };

class ValueProxyClass extends BaseProxy {
  get value(): unknown {
    return this.callMethodSync('get');
  }

  set value(value: unknown) {
    this.callMethodSync('set', [value]);
  }
}
addMethods(ValueProxyClass.prototype, ['get', 'set', 'add', 'getLock']);

/** The methods of a `SharedArray` in a manager. */
export interface ArrayMethods<N> {
  /** The element at an index, from the end when negative; outside it throws `ERR_OUT_OF_RANGE`. */
  get(index: number): Promise<N>;
  set(index: number, value: N | number): Promise<void>;
  at(index: number): Promise<N | undefined>;
  /** A typed array of its own. */
  slice(start?: number, end?: number): Promise<ArrayLike<N> & Iterable<N>>;
  /** Set elements from `offset` on. */
  assign(values: Iterable<N | number>, offset?: number): Promise<void>;
  fill(value: N | number, start?: number, end?: number): Promise<void>;
  /** A lock that belongs to the array. */
  getLock(): Promise<BaseProxy>;
}

/** A proxy for a `SharedArray` in a manager. `array[i]` is read and set as well; that blocks the process. */
export type ArrayProxy<T extends ElementTypeOrCode = ElementTypeOrCode> = BaseProxy &
  ArrayMethods<Element<T>> &
  SyncTwins<ArrayMethods<Element<T>>> &
  Iterable<Element<T>> &
  AsyncIterable<Element<T>> & {
    [index: number]: Element<T>;
    /** How many elements there are: `await array.length`. */
    readonly length: Reading<number>;
    lengthSync(): number;
  };

class ArrayProxyClass extends BaseProxy {
  constructor(state: ProxyState) {
    super(state);
    return new Proxy<this>(this, indexed('set'));
  }

  [Symbol.iterator](): Iterator<unknown> {
    return (this.callMethodSync('slice') as Uint8Array)[Symbol.iterator]();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator {
    yield* (await this.callMethod('slice')) as Uint8Array;
  }
}
addMethods(ArrayProxyClass.prototype, 'get set at slice assign fill getLock'.split(' '));
addReadings(ArrayProxyClass.prototype, ['length']);

/** A proxy for an iterator, sync or async, in a manager: each step is a call. */
export interface IteratorProxy<T = unknown> extends BaseProxy, AsyncIterable<T>, Iterable<T> {
  next(): Promise<IteratorResult<T>>;
  nextSync(): IteratorResult<T>;
}

class IteratorProxyClass extends BaseProxy {
  [Symbol.iterator](): Iterator<unknown> {
    return {
      next: () => this.callMethodSync('next') as IteratorResult<unknown>,
      return: () => this.#endSync(),
    };
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return {
      next: () => this.callMethod('next') as Promise<IteratorResult<unknown>>,
      return: async () => (this.#mayReturn ? ((await this.callMethod('return')) as IteratorResult<unknown>) : over),
    };
  }

  #endSync(): IteratorResult<unknown> {
    return this.#mayReturn ? (this.callMethodSync('return') as IteratorResult<unknown>) : over;
  }

  get #mayReturn(): boolean {
    return 'return' in this;
  }
}
const over = { done: true as const, value: undefined };

/** Other names for methods, and for their blocking twins. */
export function alias(target: BaseProxy, names: Readonly<Record<string, string>>): void {
  for (const [name, method] of Object.entries(names)) {
    for (const form of ['', 'Sync']) {
      const value = Reflect.get(target, method + form) as unknown;
      Object.defineProperty(target, name + form, { value, configurable: true, writable: true, enumerable: false });
    }
  }
}

/** Exposed methods, by kind. */
export const exposed: Readonly<Record<string, readonly string[]>> = {
  dict: [...dictMethods, 'length'],
  list: [...listMethods, 'put', 'length'],
  Namespace: 'get set has delete keys copy'.split(' '),
  SharedValue: ['get', 'set', 'add', 'getLock'],
  SharedArray: 'get set at slice assign fill getLock length'.split(' '),
};

const classes = {
  dict: [DictProxyClass, 'DictProxy'],
  list: [ListProxyClass, 'ListProxy'],
  Namespace: [NamespaceProxyClass, 'NamespaceProxy'],
  SharedValue: [ValueProxyClass, 'ValueProxy'],
  SharedArray: [ArrayProxyClass, 'ArrayProxy'],
  iterator: [IteratorProxyClass, 'IteratorProxy'],
} as const;
for (const [kind, [Class, name]] of Object.entries(classes)) {
  Object.defineProperty(Class, 'name', { value: name });
  defineKind(kind, Class);
}
