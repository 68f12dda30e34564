/**
 * One value of a ShareableList in memory, with the `struct` format and the code by which Python tells strings, bytes and
 * None from the rest.
 */
import { endianness } from 'node:os';
import { invalidType, invalidValue, outOfRange } from '../validate';

/** What a ShareableList can hold. */
export type Shareable = number | bigint | boolean | string | Uint8Array | null;

/** How Python turns what `struct` unpacks back into a value. */
export const enum Recreate {
  AsIs = 0,
  String = 1,
  Bytes = 2,
  None = 3,
}

/** A value ready to be written. */
export interface Packed {
  /** Its `struct` format; that of strings and bytes depends on the room of the position, and is made there. */
  readonly format: 'q' | 'd' | 'xxxxxxx?' | 'xxxxxx?x' | 's';
  readonly recreate: Recreate;
  /** What is written at the position, the rest of an `s` being zeros. */
  readonly bytes: Uint8Array;
  /** The room that a list made with this value gives it. */
  readonly room: number;
}

/** Every position is a multiple of this long, and starts at one. */
export const ALIGNMENT = 8;
/** Python's limit: a format has room for 8 characters. */
const MOST_BYTES = 9_999_999 - ALIGNMENT;

/** `struct` without a prefix is in the machine's order. */
export const littleEndian = endianness() === 'LE';

/** A value as it is written; `name` is for the error. */
export function slotFor(value: unknown, name: string): Packed {
  if (value === null) return eightBytes('xxxxxx?x', () => {}, Recreate.None);
  if (typeof value === 'boolean') return eightBytes('xxxxxxx?', (view) => view.setUint8(7, Number(value)));
  if (typeof value === 'number') {
    // -0 has no integer to be; an integer beyond the safe ones is not exact, so it is no integer.
    return Number.isSafeInteger(value) && !Object.is(value, -0)
      ? eightBytes('q', (view) => view.setBigInt64(0, BigInt(value), littleEndian))
      : eightBytes('d', (view) => view.setFloat64(0, value, littleEndian));
  }
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) !== value) throw outOfRange(name, '>= -(2n ** 63n) and < 2n ** 63n', value);
    return eightBytes('q', (view) => view.setBigInt64(0, value, littleEndian));
  }
  if (typeof value === 'string') {
    if (/\p{Surrogate}/u.test(value)) {
      throw invalidValue(name, 'must have no lone surrogates: it is stored as UTF-8', value);
    }
    return variable(Buffer.from(value), Recreate.String, name);
  }
  if (value instanceof Uint8Array) return variable(value, Recreate.Bytes, name);
  throw invalidType(name, 'a number, bigint, boolean, string, null or Uint8Array', value);
}

/** Whether a value can take the place of the one that the room was made for. */
export function fitsSlot(packed: Packed, room: number): boolean {
  return packed.bytes.length <= room;
}

/** The value in `bytes`, the whole room of a position. */
export function valueOf(format: string, recreate: number, bytes: Buffer): Shareable {
  if (recreate === (Recreate.None as number)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (format) {
    case 'q': {
      const integer = view.getBigInt64(0, littleEndian);
      const number = Number(integer);
      return Number.isSafeInteger(number) ? number : integer;
    }
    case 'd':
      return view.getFloat64(0, littleEndian);
    case 'xxxxxxx?':
      return view.getUint8(7) !== 0;
  }
  const length = /^(\d+)s$/.exec(format)?.[1];
  if (length === undefined) throw new RangeError(`unknown format ${JSON.stringify(format)}`);
  // A copy: another process may write there at any time.
  const whole = Buffer.from(bytes.subarray(0, Number(length)));
  let end = whole.length;
  while (end > 0 && whole[end - 1] === 0) end--;
  const kept = whole.subarray(0, end);
  return recreate === (Recreate.String as number) ? kept.toString('utf8') : kept;
}

function eightBytes(
  format: Exclude<Packed['format'], 's'>,
  write: (view: DataView) => void,
  recreate = Recreate.AsIs,
): Packed {
  const bytes = new Uint8Array(ALIGNMENT);
  write(new DataView(bytes.buffer));
  return { format, recreate, bytes, room: ALIGNMENT };
}

function variable(bytes: Uint8Array, recreate: Recreate, name: string): Packed {
  if (bytes.length > MOST_BYTES) throw outOfRange(name, `at most ${MOST_BYTES} bytes long`, bytes.length);
  return { format: 's', recreate, bytes, room: ALIGNMENT * (Math.floor(bytes.length / ALIGNMENT) + 1) };
}
