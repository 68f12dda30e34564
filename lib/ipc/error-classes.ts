/** The error classes that come back as themselves from another process; any other comes back as the one it extends. */
import { types } from 'node:util';
import * as own from '../errors';

const packageClasses = Object.values<unknown>(own).flatMap((Class) =>
  typeof Class === 'function' && Class.prototype instanceof Error ? [Class] : [],
);

/** Name to prototype. */
const prototypes = new Map<string, object>([
  ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError].map(
    (Class): [string, object] => [Class.name, Class.prototype],
  ),
  ...packageClasses.map((Class): [string, object] => [Class.name, Class.prototype as object]),
]);
const names = new Map([...prototypes].map(([name, prototype]) => [prototype, name]));

/** The name of the nearest known class of an error, or undefined when the object is no error. */
export function errorClassOf(object: object): string | undefined {
  const isDomException = object instanceof DOMException;
  if (!isDomException && !types.isNativeError(object) && !(object instanceof Error)) return undefined;
  if (isDomException) return 'DOMException';
  for (let at: unknown = Object.getPrototypeOf(object); at !== null; at = Object.getPrototypeOf(at)) {
    const known = names.get(at as object);
    if (known !== undefined) return known;
    // Of another context, such as that of `vm` or of a test runner: its classes have the same names.
    const Class: unknown = Object.getOwnPropertyDescriptor(at, 'constructor')?.value;
    if (typeof Class === 'function' && prototypes.has(Class.name)) return Class.name;
  }
  return 'Error';
}

/** Make an error of a class without running its constructor, and without properties. */
export function makeError(className: string): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // the stack will be the sender's
  const error = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return Object.setPrototypeOf(error, prototypes.get(className) ?? Error.prototype) as Error;
}
