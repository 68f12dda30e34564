/** The types of what {@link SharedValue} and {@link SharedArray} hold: a number in a fixed number of bytes. */
import { invalidType, invalidValue, outOfRange, validateInteger } from '../validate';

/** A view of numbers of one type. */
export type View =
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/** Each type's view. */
export const views = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  u64: BigUint64Array,
  f32: Float32Array,
  f64: Float64Array,
  /** Python's character of one byte: a string of one character in a value, its number in an array. */
  c: Uint8Array,
} as const;

/** The name of a type: its kind (signed, unsigned, floating point) and its bits. */
export type ElementType = keyof typeof views;

/** Python's type codes, with the sizes they have on 64-bit Linux and macOS. */
const typeCodes = {
  b: 'i8',
  B: 'u8',
  h: 'i16',
  H: 'u16',
  i: 'i32',
  I: 'u32',
  l: 'i64',
  L: 'u64',
  q: 'i64',
  Q: 'u64',
  f: 'f32',
  d: 'f64',
} as const;

/** A type's name, or Python's code for it: `'i32'` or `'i'`. */
export type ElementTypeOrCode = ElementType | keyof typeof typeCodes;

/** What one element of a type is in JavaScript: a bigint for the two 64-bit integers, else a number. */
export type Element<T extends ElementTypeOrCode> = T extends 'i64' | 'u64' | 'q' | 'Q' | 'l' | 'L' ? bigint : number;

/** The name that a name or code stands for; throws for anything else. */
export function elementType(type: unknown): ElementType {
  if (typeof type !== 'string') throw invalidType('type', 'of type string', type);
  if (Object.hasOwn(views, type)) return type as ElementType;
  if (Object.hasOwn(typeCodes, type)) return typeCodes[type as keyof typeof typeCodes];
  throw invalidValue('type', `must be one of ${Object.keys(views).join(', ')} or Python's codes for them`, type);
}

/** Whether the elements are bigints. */
export function isBig(type: ElementType): type is 'i64' | 'u64' {
  return type === 'i64' || type === 'u64';
}

/** The number of a character given as Python's `c` takes it: one of Latin-1, or a Buffer of one byte. */
function characterCode(value: unknown, name: string): number {
  if (typeof value === 'string' && value.length === 1 && value.charCodeAt(0) < 256) return value.charCodeAt(0);
  if (value instanceof Uint8Array && value.length === 1) return value[0] as number;
  if (typeof value === 'number') {
    validateInteger(value, name, 0, 255);
    return value;
  }
  throw invalidType(name, 'a string of one character of Latin-1', value);
}

/** The value as an element of the type; throws when it would not come back as it is (but for f32's rounding). */
export function toElement(type: ElementType, value: unknown, name: string): number | bigint {
  if (type === 'c') return characterCode(value, name);
  if (isBig(type)) {
    const big = typeof value === 'bigint' ? value : BigInt(safeInteger(value, name));
    const fits = type === 'i64' ? BigInt.asIntN(64, big) : BigInt.asUintN(64, big);
    if (fits !== big) throw outOfRange(name, `an integer of type ${type}`, value);
    return big;
  }
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (type === 'f32' || type === 'f64') return value;
  const bits = 8 * views[type].BYTES_PER_ELEMENT;
  if (type.startsWith('i')) validateInteger(value, name, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
  else validateInteger(value, name, 0, 2 ** bits - 1);
  return value;
}

function safeInteger(value: unknown, name: string): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type bigint or number', value);
  if (!Number.isSafeInteger(value)) throw outOfRange(name, 'a safe integer, or a bigint', value);
  return value;
}
