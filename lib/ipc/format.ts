/**
 * The bytes of a serialised value. One tag, then what it announces; lengths are LEB128 varints, numbers little-endian.
 *
 *     0x80..0xff                    an integer from 0 to 127
 *     int8 | int32 | double         1, 4, 8 bytes
 *     latin1 | utf16    n           n bytes; n bytes (2 for each code unit)
 *     object                        (key value)* end            a key is a string with its tag
 *     array | arrayWithKeys n       n elements, holes as `hole run`; then, with keys, as an object
 *     int32s | doubles  n pad       pad bytes, so that the numbers stand aligned; then n numbers
 *     map                           (key value)* end
 *     set                           value* end
 *     date | regexp | boxed         a double; source and flags; the primitive
 *     error             class       (key value)* end  (key value)* end      not enumerable, then enumerable properties
 *     arrayBuffer | buffer  n       n bytes
 *     view      kind    n           n bytes: a view of the whole of a buffer of its own, which takes the next id
 *     viewOn    kind    id at n     a view of n bytes, from `at` on, of the buffer with that id
 *     handle            tag value   what the class registered under that tag made of the object (handles.ts)
 *     reference         id          the object with that id; ids count objects in the order of their tags
 *     function          number      what sender and receiver mean by that number; only where both have agreed on functions
 */
export const enum Tag {
  Undefined = 0,
  Null = 1,
  True = 2,
  False = 3,
  Int8 = 4,
  Int32 = 5,
  Double = 6,
  BigInt64 = 7,
  BigInt = 8,
  Latin1 = 9,
  Utf16 = 10,
  Reference = 11,
  End = 12,
  Hole = 13,
  Object = 14,
  Array = 15,
  ArrayWithKeys = 16,
  Int32s = 17,
  Doubles = 18,
  Map = 19,
  Set = 20,
  Date = 21,
  RegExp = 22,
  Boxed = 23,
  Error = 24,
  ArrayBuffer = 25,
  Buffer = 26,
  View = 27,
  ViewOn = 28,
  Handle = 29,
  Function = 30,
  SmallInt = 0x80,
}

/** The classes of views, by the number that stands for them. `Float16Array` came with Node 24. */
export const viewNames = [
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'Float16Array',
] as const;

/** Arrays of numbers shorter than this are written one by one. */
export const PACK_FROM = 16;
