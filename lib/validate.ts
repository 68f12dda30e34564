/**
 * Argument checks in Node's own style: they throw `ERR_INVALID_ARG_TYPE` or `ERR_OUT_OF_RANGE` before anything happens.
 */
import { inspect } from 'node:util';
import { codedError } from './errors';

/** The error Node gives for an argument of the wrong type. `expected` reads on from "must be". */
export function invalidType(name: string, expected: string, actual: unknown): TypeError & { code: string } {
  return codedError(
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    `The "${name}" argument must be ${expected}. Received ${describe(actual)}`,
  );
}

/** The error Node gives for a value outside its range. `range` reads on from "It must be". */
export function outOfRange(name: string, range: string, actual: unknown): RangeError & { code: string } {
  return codedError(
    RangeError,
    'ERR_OUT_OF_RANGE',
    `The value of "${name}" is out of range. It must be ${range}. Received ${inspect(actual)}`,
  );
}

/** The error Node gives for a value of the right type that makes no sense, such as an unknown signal name. */
export function invalidValue(name: string, reason: string, actual: unknown): TypeError & { code: string } {
  return codedError(
    TypeError,
    'ERR_INVALID_ARG_VALUE',
    `The argument '${name}' ${reason}. Received ${inspect(actual)}`,
  );
}

/** Require an integer between `min` and `max`, both included. */
export function validateInteger(
  value: unknown,
  name: string,
  min = Number.MIN_SAFE_INTEGER,
  max = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
}

/** Require a number, fractions allowed, between `min` and `max`, both included; NaN is out of every range. */
export function validateNumber(value: unknown, name: string, min: number, max: number): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!(value >= min && value <= max)) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
}

/** Require a value that fits a C `int`. */
export function validateInt32(
  value: unknown,
  name: string,
  min = -2147483648,
  max = 2147483647,
): asserts value is number {
  validateInteger(value, name, min, max);
}

/**
 * The number of a C constant given as itself or by its name, as long as it fits a C `int`: which numbers mean something
 * is for the kernel to say (`EINVAL`).
 */
export function constantNumber(value: unknown, name: string, constants: Readonly<Record<string, number>>): number {
  if (typeof value === 'number') {
    validateInt32(value, name);
    return value;
  }
  if (typeof value !== 'string') throw invalidType(name, 'of type string or number', value);
  const number = Object.hasOwn(constants, value) ? constants[value] : undefined;
  if (number === undefined) throw invalidValue(name, `must be one of ${Object.keys(constants).join(', ')}`, value);
  return number;
}

/** Require a file descriptor: an integer from 0 to 2^31-1. */
export function validateFd(value: unknown, name = 'fd'): asserts value is number {
  validateInteger(value, name, 0, 2147483647);
}

/** Require a string without NUL bytes, as the kernel's path and argument strings are. */
export function validateCString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
  if (value.includes('\0')) throw invalidValue(name, 'must be a string without null bytes', value);
}

/** Require a boolean. */
export function validateBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
}

/** Require a function. */
export function validateFunction(value: unknown, name: string): asserts value is (...args: never[]) => unknown {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
}

/** Require a plain options object (not null, not an array). */
export function validateObject(value: unknown, name: string): asserts value is Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalidType(name, 'of type object', value);
  }
}

/** Require an `AbortSignal`, of this realm or another. */
export function validateAbortSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (value === null || typeof value !== 'object' || !('aborted' in value) || !('addEventListener' in value)) {
    throw invalidType(name, 'an instance of AbortSignal', value);
  }
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const name = value.constructor?.name;
    return name ? `an instance of ${name}` : inspect(value, { depth: -1 });
  }
  const text = inspect(value, { colors: false });
  return `type ${typeof value} (${text.length > 28 ? `${text.slice(0, 25)}...` : text})`;
}
