/**
 * Where the parts of a ShareableList lie, exactly as in Python 3.8 and later:
 *
 *     0        8                    (N + 2) * 8
 *     +--------+--------------------+------------------+----------------+----------------------+
 *     | N      | N + 1 offsets into | data: the values | N formats of   | N codes of one byte: |
 *     |        | the data           |                  | 8 bytes each   | how to recreate      |
 *     +--------+--------------------+------------------+----------------+----------------------+
 *
 * What another process has written is not trusted: everything is checked against the size of the memory.
 */
import { ALIGNMENT, littleEndian, valueOf, type Packed, type Shareable } from './list-item';

/** A SharedMemory, whose `buf` throws once it is closed. */
interface ListMemory {
  readonly buf: Buffer;
}

/** The parts of one list in this process's view of its memory. */
export class ListLayout {
  readonly length: number;
  readonly #memory: ListMemory;
  readonly #offsets: readonly number[];
  readonly #data: number;
  readonly #formats: number;
  readonly #codes: number;

  constructor(memory: ListMemory, offsets: readonly number[]) {
    this.#memory = memory;
    this.#offsets = offsets;
    this.length = offsets.length - 1;
    this.#data = headerSize(this.length);
    this.#formats = this.#data + (offsets.at(-1) as number);
    this.#codes = this.#formats + this.length * ALIGNMENT;
  }

  /** Bytes for a list whose values have these offsets. */
  static sizeFor(offsets: readonly number[]): number {
    const length = offsets.length - 1;
    return headerSize(length) + (offsets.at(-1) as number) + length * (ALIGNMENT + 1);
  }

  /** The list that is in the memory; a RangeError when there is none. */
  static found(memory: ListMemory): ListLayout {
    const { buf } = memory;
    const length = readInteger(buf, 0);
    if (headerSize(length) > buf.length) throw new RangeError(`a list of ${length} values does not fit`);
    const offsets = Array.from({ length: length + 1 }, (_, i) => readInteger(buf, (i + 1) * ALIGNMENT));
    const isOrdered = offsets.every((offset, i) => (i === 0 ? offset === 0 : offset >= (offsets[i - 1] as number) + 8));
    if (!isOrdered || ListLayout.sizeFor(offsets) > buf.length) throw new RangeError('the offsets make no sense');
    return new ListLayout(memory, offsets);
  }

  writeHeader(): void {
    [this.length, ...this.#offsets].forEach((value, i) => {
      const bytes = this.#memory.buf.subarray(i * ALIGNMENT, (i + 1) * ALIGNMENT);
      if (littleEndian) bytes.writeBigInt64LE(BigInt(value));
      else bytes.writeBigInt64BE(BigInt(value));
    });
  }

  /** Bytes at a position. */
  room(index: number): number {
    return (this.#offsets[index + 1] as number) - (this.#offsets[index] as number);
  }

  format(index: number): string {
    const at = this.#formats + index * ALIGNMENT;
    return this.#memory.buf.toString('latin1', at, at + ALIGNMENT).replace(/\0+$/, '');
  }

  read(index: number): Shareable {
    const start = this.#data + (this.#offsets[index] as number);
    const code = this.#memory.buf.readInt8(this.#codes + index);
    return valueOf(this.format(index), code, this.#memory.buf.subarray(start, start + this.room(index)));
  }

  write(index: number, packed: Packed): void {
    const { buf } = this.#memory;
    const start = this.#data + (this.#offsets[index] as number);
    const room = this.room(index);
    const format = packed.format === 's' ? `${room}s` : packed.format;
    buf.set(Buffer.from(format.padEnd(ALIGNMENT, '\0'), 'latin1'), this.#formats + index * ALIGNMENT);
    buf.writeInt8(packed.recreate, this.#codes + index);
    buf.set(packed.bytes, start);
    buf.fill(0, start + packed.bytes.length, start + room);
  }
}

/** The number of values, and one offset more than there are values. */
function headerSize(length: number): number {
  return (length + 2) * ALIGNMENT;
}

function readInteger(memory: Buffer, at: number): number {
  const value = Number(littleEndian ? memory.readBigInt64LE(at) : memory.readBigInt64BE(at));
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no length or offset`);
  return value;
}
