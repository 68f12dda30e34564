/** What kind of thing a value is, where the language has no test for it. */

/** Whether `await` would wait for it. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Whether it is an object to iterate over; a string is not. */
export function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

/** Whether a function was written in JavaScript; not so are bound functions, proxies, and those of V8 or of an addon. */
export function hasSource(fn: (...args: never[]) => unknown): boolean {
  return !Function.prototype.toString.call(fn).endsWith('{ [native code] }');
}
