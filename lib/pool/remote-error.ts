/**
 * Errors on their way from a worker to whoever handed in the task. The serialiser keeps message, cause, code and the other
 * properties; added here are the name of a class of the user's and both stacks.
 */
import { inspect, types } from 'node:util';
import { MaybeEncodingError } from '../errors';

/** A thrown value, packed: the value, the name of its class, and its stack. */
export type PackedError = readonly [thrown: unknown, className: string | undefined, stack: string | undefined];

/** In the worker. */
export function packError(thrown: unknown): PackedError {
  return isError(thrown) ? [thrown, className(thrown), stackOf(thrown)] : [thrown, undefined, undefined];
}

/** Also one of another realm's, from `node:vm`. */
function isError(thrown: unknown): thrown is Error {
  try {
    return types.isNativeError(thrown) || thrown instanceof Error;
  } catch {
    return false; // a proxy that answers no more
  }
}

function className(error: Error): string | undefined {
  const Class: unknown = (error as { constructor?: unknown }).constructor;
  return typeof Class === 'function' && Class.name !== '' ? Class.name : undefined;
}

function stackOf(error: Error): string | undefined {
  try {
    const stack: unknown = error.stack;
    return typeof stack === 'string' ? stack : undefined;
  } catch {
    return undefined; // it is written when it is first read, by code of the error's own that throws
  }
}

/** In the worker: what stands for a result, or a thrown value, that cannot be sent. */
export function encodingError(value: unknown, reason: unknown, task: string): MaybeEncodingError {
  return new MaybeEncodingError(describe(value), reason, task);
}

function describe(value: unknown): string {
  try {
    const text = inspect(value, { depth: 1, breakLength: Infinity });
    return text.length > 200 ? `${text.slice(0, 197)}...` : text;
  } catch {
    return typeof value; // its own code that shows it throws
  }
}

/** Classes made here for errors whose class this process has not, or cannot tell from another of the same name. */
const classes = new Map<string, Map<object, object>>();

function prototypeFor(name: string, base: object): object {
  let ofName = classes.get(name);
  if (ofName === undefined) classes.set(name, (ofName = new Map<object, object>()));
  let prototype = ofName.get(base);
  if (prototype === undefined) {
    const Base = (base as { constructor: new () => Error }).constructor;
    const Class = { [name]: class extends Base {} }[name] as { prototype: object };
    prototype = Class.prototype;
    Object.defineProperty(prototype, 'name', { value: name, configurable: true, writable: true });
    ofName.set(base, prototype);
  }
  return prototype;
}

/** Where the error was thrown, when `trace` says where the task was handed in. */
export function unpackError(packed: PackedError, pid: number, trace: { readonly stack?: string } | undefined): unknown {
  const [thrown, name, remoteStack] = packed;
  if (!(thrown instanceof Error)) return thrown;
  const base = Object.getPrototypeOf(thrown) as { constructor?: { name?: string } };
  if (name !== undefined && base.constructor?.name !== name) {
    Object.setPrototypeOf(thrown, prototypeFor(name, base));
  }
  const here = framesOf(trace);
  const stack = remoteStack ?? String(thrown);
  hide(thrown, 'remoteStack', stack);
  hide(thrown, 'stack', here === '' ? stack : `${stack}\n    in worker ${pid}, for the task handed in\n${here}`);
  return thrown;
}

/** Give an error made here the stack of the call that handed the task in. */
export function locate<E extends Error>(error: E, trace: { readonly stack?: string } | undefined): E {
  const here = framesOf(trace);
  if (here !== '') hide(error, 'stack', `${String(error)}\n${here}`);
  return error;
}

function framesOf(trace: { readonly stack?: string } | undefined): string {
  const stack = trace?.stack;
  if (stack === undefined) return '';
  const first = stack.indexOf('\n    at ');
  return first < 0 ? '' : stack.slice(first + 1);
}

function hide(error: Error, key: string, value: string): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false });
}
