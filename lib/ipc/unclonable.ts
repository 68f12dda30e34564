/** What cannot be cloned, and where in a value it stands. */
import { types } from 'node:util';
import { DataCloneError } from '../errors';
import { hasSource } from '../values';

/** Thrown inside the encoder; `encode` makes a {@link DataCloneError} of it, which names the place. */
export class Unclonable extends Error {
  constructor(
    /** The function, symbol or object. */
    readonly culprit: unknown,
    /** Reads on from "cannot be cloned: ". */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}

/** Make the error for a culprit somewhere inside `root`. The search is made only now, so that no path is kept while encoding. */
export function cloneError(root: unknown, { culprit, reason, cause }: Unclonable): DataCloneError {
  const path = pathOf(root, culprit);
  const where = path === undefined ? 'A part of the value' : `value${path}`;
  return new DataCloneError(`${where} cannot be cloned: ${reason}`, cause === undefined ? {} : { cause });
}

function pathOf(root: unknown, culprit: unknown): string | undefined {
  try {
    return search(root, culprit, new Set());
  } catch {
    return undefined; // a getter or proxy that throws, or nesting deeper than the stack: the error does without a place
  }
}

function search(value: unknown, culprit: unknown, seen: Set<object>): string | undefined {
  if (value === culprit) return '';
  if (value === null || typeof value !== 'object' || seen.has(value)) return undefined;
  seen.add(value);
  for (const [step, inner] of steps(value)) {
    const rest = search(inner, culprit, seen);
    if (rest !== undefined) return step + rest;
  }
  return undefined;
}

/** The values directly inside one, each with how to write it. */
function* steps(value: object): Generator<[string, unknown]> {
  if (types.isMap(value)) {
    for (const [key, inner] of Map.prototype.entries.call(value)) {
      yield ['.keys()', key];
      yield [`.get(${typeof key === 'object' ? '...' : JSON.stringify(key)})`, inner];
    }
  } else if (types.isSet(value)) {
    for (const inner of Set.prototype.values.call(value)) yield ['.values()', inner];
  } else if (ArrayBuffer.isView(value)) {
    yield ['.buffer', value.buffer];
    return;
  }
  const keys = types.isNativeError(value) ? [...Object.keys(value), 'cause', 'errors'] : Object.keys(value);
  const isArray = Array.isArray(value);
  for (const key of keys) {
    const step =
      isArray && /^\d+$/.test(key)
        ? `[${key}]`
        : /^[\p{L}_$][\p{L}\d_$]*$/u.test(key)
          ? `.${key}`
          : `[${JSON.stringify(key)}]`;
    yield [step, (value as Record<string, unknown>)[key]];
  }
}

/** Of the iterators of arrays, strings and expressions, which have no class of their own. */
const iteratorPrototype: unknown = Object.getPrototypeOf(Object.getPrototypeOf([].values()));

const known = new WeakMap<object, boolean>();

/** Whether a class is no JavaScript: one of `Intl`, `WebAssembly`, `Temporal`, of `node:vm` or of an addon. */
function isNative(Class: (...args: never[]) => unknown): boolean {
  let native = known.get(Class);
  if (native === undefined) {
    // A proxy for a class of the user's reads as native too.
    native = !types.isProxy(Class) && !hasSource(Class);
    known.set(Class, native);
  }
  return native;
}

/** Prototypes of classes of this package. */
const local = new WeakSet<object>();

/**
 * Say that the instances of a class hold what is in their process alone, children and sockets it waits for: elsewhere they
 * would be empty. Python refuses to pickle them.
 */
export function staysHere(Class: abstract new (...args: never[]) => object): void {
  local.add(Class.prototype as object);
}

/** Say what kind of thing an object is that no process could make sense of, or undefined when it can be cloned. */
export function reasonAgainst(object: object): string | undefined {
  if (types.isPromise(object)) return 'a Promise';
  if (types.isWeakMap(object)) return 'a WeakMap';
  if (types.isWeakSet(object)) return 'a WeakSet';
  if (types.isSharedArrayBuffer(object)) {
    return 'a SharedArrayBuffer, which threads share and processes do not (use SharedArray)';
  }
  if (types.isGeneratorObject(object)) return 'a generator';
  if (types.isMapIterator(object) || types.isSetIterator(object)) return 'an iterator';
  if (types.isExternal(object)) return 'an external pointer';
  if (types.isKeyObject(object) || types.isCryptoKey(object)) return 'a key of node:crypto';
  if (Object.getOwnPropertySymbols(object).some(({ description }) => description === 'kHandle')) {
    return `an instance of ${object.constructor.name}, a handle of Node's`; // BlockList, X509Certificate, Histogram
  }
  for (let at: unknown = Object.getPrototypeOf(object); at !== null; at = Object.getPrototypeOf(at)) {
    if (at === iteratorPrototype) return 'an iterator';
    const Class: unknown = Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
    if (typeof Class !== 'function') continue;
    if (local.has(at as object)) return `a ${Class.name}, which works in its own process only`;
    // Classes of the language and the platform (WeakRef, URL, AbortSignal) have insides that no property shows. A class
    // of the user's that extends one of the open ones (EventTarget, Object) has what it needs in its properties.
    if (Class.name === 'Object' || Class.name === 'EventTarget') return undefined;
    if (Class === (globalThis as Record<string, unknown>)[Class.name] || isNative(Class as never)) {
      return `an instance of ${Class.name}`;
    }
  }
  return undefined;
}
