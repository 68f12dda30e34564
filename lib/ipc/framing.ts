/**
 * Messages on a descriptor. Nothing is read ahead: a message that this process has not asked for stays in the kernel,
 * where a forked child, or whoever gets the connection next, finds it.
 *
 *     header, 12 bytes     length, low 32 bits | type, 8 | descriptors, 8 | length, high 16 | id, 32
 *
 *     packets (socketpair)   first: header, as much as fits      a message of one packet is whole or not there
 *                            more:  offset | type | id, then more of it
 *     stream (anything else) header, the message
 *
 * A sender that is killed between the packets of a message leaves its end unsent; the next first packet shows that, and
 * packets whose first one was never seen are dropped.
 */
import { constants } from 'node:os';
import { InvalidMessageError, PosixError } from '../errors';
import { native } from '../native';

/** What stands in front of every message; `encode` leaves room for it. */
export const HEADER_BYTES = 12;
/** The longest packet without its header. The kernel keeps about 200 KB on the way; several fit, so that both ends work. */
export const PACKET_BYTES = 64 * 1024 - HEADER_BYTES;

/** As in native/connection.cc. */
const enum Mode {
  Block = 1,
  Control = 2,
  Header = 4,
  NoSocket = 8,
}

const enum Kind {
  Packets = 0,
  UnixStream = 1,
  Stream = 2,
  NoSocket = 3,
}

const enum PacketType {
  First = 1,
  More = 2,
}

const { EAGAIN, ECONNRESET, EMFILE, ENOMEM, ENOTCONN, EPIPE, EWOULDBLOCK } = constants.errno;

/** Memory that the addon and this file share; native/connection.cc draws it. */
interface Exchange {
  readonly counts: Int32Array;
  readonly header: Uint32Array;
  readonly memory: ArrayBuffer;
  readonly inboxAt: number;
  readonly inboxBytes: number;
}
let made: Exchange | undefined;
function exchange(): Exchange {
  if (made !== undefined) return made;
  const memory = native.connectionExchange();
  const inboxAt = 1040;
  made = {
    counts: new Int32Array(memory, 0, 256),
    header: new Uint32Array(memory, 1024, 3),
    memory,
    inboxAt,
    inboxBytes: memory.byteLength - inboxAt,
  };
  return made;
}

/** What a descriptor is, found out when it is first used. */
export class Line {
  #kind: Kind | undefined;

  constructor(readonly fd: number) {}

  get kind(): Kind {
    if (this.#kind !== undefined) return this.#kind;
    const kind = native.socketKind(this.fd);
    if (kind < 0) throw new PosixError(kind, 'getsockopt', { fd: this.fd });
    return (this.#kind = kind as Kind);
  }

  /** Whether descriptors can go along. */
  get carriesFds(): boolean {
    return this.kind <= Kind.UnixStream;
  }

  get isUnix(): boolean {
    return this.kind <= Kind.UnixStream;
  }

  get socketMode(): number {
    return this.kind === Kind.NoSocket ? Mode.NoSocket : 0;
  }
}

/** What a look for a message has found. */
export const enum Found {
  Nothing,
  Message,
  End,
}

/** At most so many packets are taken in one turn of the event loop. */
const PACKETS_A_TURN = 64;

/** The message being received. */
interface Partial {
  readonly bytes: Uint8Array;
  received: number;
  readonly id: number;
  readonly fds: number[];
  /** Why it cannot be used; it is read to its end all the same, since the next one comes after it. */
  readonly failure?: Error | undefined;
}

/** Reads one message after the other. */
export class MessageReader {
  /** The message found: in the inbox, where the next read of any connection overwrites it, or in memory of its own. */
  bytes: Uint8Array = nothing;
  isOwn = false;
  /** The descriptors that came with it, the receiver's to close. */
  fds: number[] = [];
  /** There are no more messages. */
  atEnd = false;
  /** The stream makes no sense any more. */
  broken = false;
  readonly #line: Line;
  readonly #maxBytes: number;
  #limit = 0;
  #partial: Partial | undefined;
  /** A whole message that has shown that the one before it was not. */
  #next: { bytes: Uint8Array; fds: number[] } | undefined;
  readonly #head = new Uint8Array(HEADER_BYTES);
  #headGot = 0;
  #headFds: number[] = [];

  constructor(line: Line, maxBytes: number) {
    this.#line = line;
    this.#maxBytes = maxBytes;
  }

  /** Whether a whole message has been taken from the kernel already. */
  get hasNext(): boolean {
    return this.#next !== undefined;
  }

  /**
   * Look for a message.
   *
   * @param block - Wait for it.
   * @param limit - The longest to accept; a longer one breaks the connection before memory is taken for it.
   * @throws {@link InvalidMessageError} what came is no message, or stops in the middle of one.
   * @throws {@link PosixError} `EMFILE` there is no room for the descriptors that came with a message, which is lost.
   */
  read(block: boolean, limit = Infinity): Found {
    this.#limit = Math.min(limit, this.#maxBytes);
    if (this.#next !== undefined) {
      this.#found(this.#next.bytes, true, this.#next.fds);
      this.#next = undefined;
      return Found.Message;
    }
    return this.#line.kind === Kind.Packets ? this.#readPackets(block) : this.#readStream(block);
  }

  /** Close descriptors that nobody will take. */
  drop(): void {
    for (const fds of [this.fds, this.#partial?.fds ?? [], this.#headFds, this.#next?.fds ?? []]) closeAll(fds);
    this.#partial = undefined;
    this.#next = undefined;
    this.#headGot = 0;
  }

  #found(bytes: Uint8Array, isOwn: boolean, fds: number[]): void {
    this.bytes = bytes;
    this.isOwn = isOwn;
    this.fds = fds;
  }

  #invalid(what: string): InvalidMessageError {
    this.broken = true;
    return new InvalidMessageError(`The connection is closed: ${what}`);
  }

  /** One receive; a negative result is EAGAIN. */
  #receive(mode: number, target: Uint8Array | undefined, offset: number, length: number): number {
    const { fd, isUnix, socketMode } = this.#line;
    for (;;) {
      const size = native.receive(fd, mode | socketMode, target, offset, length);
      if (size >= 0) return size;
      if (size === -EAGAIN || size === -EWOULDBLOCK) {
        if ((mode & Mode.Block) === 0) return size;
        // Somebody has made the open file non-blocking.
        const ready = native.pollFd(fd, 1, -1);
        if (ready < 0) throw new PosixError(ready, 'poll', { fd });
        continue;
      }
      // A Unix socket's other end was closed before it had read everything: said once, then comes what it has sent.
      if (size === -ECONNRESET && isUnix) continue;
      if (size === -ENOTCONN && isUnix) return 0;
      throw new PosixError(size, 'recvmsg', { fd });
    }
  }

  #readPackets(block: boolean): Found {
    const { header, memory, inboxAt, inboxBytes } = exchange();
    const mode = Mode.Header | Mode.Control | (block ? Mode.Block : 0);
    for (let packets = 0; block || packets < PACKETS_A_TURN; packets++) {
      const partial = this.#partial;
      // Straight to its place, when any packet would fit there.
      const inPlace = partial !== undefined && partial.bytes.length - partial.received >= inboxBytes;
      const size = inPlace
        ? this.#receive(mode, partial.bytes, partial.received, inboxBytes)
        : this.#receive(mode, undefined, 0, inboxBytes);
      if (size < 0) return Found.Nothing;
      if (size === 0) return this.#end();
      const length = size - HEADER_BYTES;
      const type: PacketType = (header[1] as number) & 0xff;
      if (length < 0 || (type !== PacketType.First && type !== PacketType.More)) {
        takeFds().forEach((fd) => native.closeFd(fd));
        throw this.#invalid('a packet is none of this package');
      }
      const bytes = inPlace
        ? partial.bytes.subarray(partial.received, partial.received + length)
        : new Uint8Array(memory, inboxAt, length);
      if (type === PacketType.More) {
        if (this.#addPacket(bytes, inPlace)) return Found.Message;
        continue;
      }
      const first = this.#firstPacket(inPlace ? Uint8Array.from(bytes) : bytes);
      if (partial === undefined) {
        if (first) return Found.Message;
        continue;
      }
      closeAll(partial.fds);
      if (first) this.#next = { bytes: Uint8Array.from(this.bytes), fds: this.fds };
      this.fds = [];
      throw new InvalidMessageError(
        'A message has no end: its sender died, or two processes have sent at the same time. It is left out',
      );
    }
    return Found.Nothing;
  }

  /** True when the packet is the whole message. */
  #firstPacket(bytes: Uint8Array): boolean {
    const { header } = exchange();
    const [low, word, id] = header as unknown as [number, number, number];
    const length = low + (word >>> 16) * 2 ** 32;
    this.#partial = undefined;
    const fds = this.#expectFds(takeFds(), (word >>> 8) & 0xff);
    this.#checkLength(length, fds);
    if (length === bytes.length) {
      this.#found(bytes, false, fds);
      return true;
    }
    if (bytes.length > length) {
      closeAll(fds);
      throw this.#invalid('a packet is longer than its message');
    }
    const partial = { bytes: this.#allocate(length, fds), received: bytes.length, id, fds };
    partial.bytes.set(bytes);
    this.#partial = partial;
    return false;
  }

  /** True when the packet was the last of the message. */
  #addPacket(bytes: Uint8Array, inPlace: boolean): boolean {
    const { header } = exchange();
    takeFds().forEach((fd) => native.closeFd(fd));
    const partial = this.#partial;
    if (partial === undefined || header[2] !== partial.id) return false;
    if (
      header[0] !== partial.received >>> 0 ||
      bytes.length === 0 ||
      bytes.length > partial.bytes.length - partial.received
    ) {
      throw this.#invalid('a packet is not the one that comes next');
    }
    if (!inPlace) partial.bytes.set(bytes, partial.received);
    partial.received += bytes.length;
    if (partial.received < partial.bytes.length) return false;
    this.#partial = undefined;
    this.#found(partial.bytes, true, partial.fds);
    return true;
  }

  #readStream(block: boolean): Found {
    const blocking = block ? Mode.Block : 0;
    while (this.#headGot < HEADER_BYTES) {
      const control = this.#line.isUnix ? Mode.Control : 0;
      const size = this.#receive(blocking | control, this.#head, this.#headGot, HEADER_BYTES - this.#headGot);
      if (size < 0) return Found.Nothing;
      if (size === 0) return this.#end();
      this.#headFds.push(...takeFds());
      this.#headGot += size;
    }
    this.#partial ??= this.#startStreamMessage();
    const partial = this.#partial;
    for (let budget = 16; partial.received < partial.bytes.length; budget--) {
      if (!block && budget === 0) return Found.Nothing;
      const left = partial.bytes.length - partial.received;
      const size = this.#receive(blocking, partial.bytes, partial.received, left);
      if (size < 0) return this.#saveInbox(partial);
      if (size === 0) return this.#end();
      partial.received += size;
    }
    this.#partial = undefined;
    this.#headGot = 0;
    if (partial.failure !== undefined) throw partial.failure;
    this.#found(partial.bytes, partial.bytes.buffer !== exchange().memory, partial.fds);
    return Found.Message;
  }

  #startStreamMessage(): Partial {
    const view = new DataView(this.#head.buffer);
    const word = view.getUint32(4, true);
    const fds = this.#headFds;
    this.#headFds = [];
    if ((word & 0xff) !== (PacketType.First as number)) {
      closeAll(fds);
      throw this.#invalid('what came is no message of this package');
    }
    const length = view.getUint32(0, true) + (word >>> 16) * 2 ** 32;
    const { memory, inboxAt, inboxBytes } = exchange();
    this.#checkLength(length, fds);
    const failure = this.#expectFdsLater(fds, (word >>> 8) & 0xff);
    const bytes = length <= inboxBytes ? new Uint8Array(memory, inboxAt, length) : this.#allocate(length, fds);
    return { bytes, received: 0, id: 0, fds, failure };
  }

  /** The rest of a short message has not come yet; by then the inbox belongs to another. */
  #saveInbox(partial: Partial): Found {
    if (partial.bytes.buffer === exchange().memory)
      this.#partial = { ...partial, bytes: Uint8Array.from(partial.bytes) };
    return Found.Nothing;
  }

  #allocate(length: number, fds: number[]): Uint8Array {
    try {
      // Not touched: the kernel gives the pages as the message comes in, whatever length a peer has announced.
      return Buffer.allocUnsafeSlow(length);
    } catch (cause) {
      closeAll(fds);
      this.broken = this.#line.kind !== Kind.Packets;
      throw Object.assign(new PosixError(ENOMEM, 'recvmsg', { fd: this.#line.fd }), { cause });
    }
  }

  #checkLength(length: number, fds: number[]): void {
    if (length <= this.#limit) return;
    closeAll(fds);
    throw this.#invalid(`a message of ${length} bytes is longer than allowed, ${this.#limit}`);
  }

  #expectFds(fds: number[], announced: number): number[] {
    if (fds.length === announced) return fds;
    const truncated = exchange().counts[1] !== 0;
    closeAll(fds);
    if (truncated) throw new PosixError(EMFILE, 'recvmsg', { fd: this.#line.fd });
    throw this.#invalid(`${fds.length} descriptors came with a message that has ${announced}`);
  }

  #expectFdsLater(fds: number[], announced: number): Error | undefined {
    try {
      this.#expectFds(fds, announced);
      return undefined;
    } catch (error) {
      if (this.broken) throw error;
      return error as Error;
    }
  }

  #end(): Found {
    if (this.#partial === undefined && this.#headGot === 0) {
      this.atEnd = true;
      return Found.End;
    }
    this.drop();
    throw this.#invalid('it ended in the middle of a message');
  }
}

const nothing = new Uint8Array(0);

/** The descriptors of the last receive. */
function takeFds(): number[] {
  const { counts } = exchange();
  const count = counts[0] as number;
  if (count === 0) return [];
  counts[0] = 0;
  return Array.from(counts.subarray(2, 2 + count));
}

/** Close descriptors and forget them; -1 stands for one that was taken. */
export function closeAll(fds: number[]): void {
  for (const fd of fds.splice(0)) if (fd >= 0) native.closeFd(fd);
}

let nextId = 0;

/** A message on its way out. */
export class OutgoingMessage {
  /** Nothing of it is out yet. */
  get isUntouched(): boolean {
    return this.#part === 0 && this.#at === 0;
  }
  /** The receiver notices when the rest does not come, and can go on. */
  get mayBeCutShort(): boolean {
    return this.isUntouched || this.line.kind === Kind.Packets;
  }
  #part = 0;
  #at = 0;
  #sent = 0;
  readonly #id: number;

  /** `parts` begin with room for the header. */
  constructor(
    readonly line: Line,
    private parts: readonly Uint8Array[],
    private readonly fds: readonly number[],
  ) {
    this.#id = nextId = (nextId + 0x9e3779b1) >>> 0;
    const first = parts[0] as Uint8Array;
    const length = parts.reduce((sum, part) => sum + part.length, -HEADER_BYTES);
    writeHeader(
      first,
      length,
      fds.length,
      length + HEADER_BYTES > first.length || first.length > PACKET_BYTES ? this.#id : 0,
    );
  }

  /** Take a copy of what is not sent yet: the memory may change from here on. */
  keep(): void {
    const rest = this.parts
      .slice(this.#part)
      .map((part, i) => Uint8Array.from(i === 0 ? part.subarray(this.#at) : part));
    if (this.isUntouched) {
      this.parts = rest;
      return;
    }
    // Stays "touched", and without a header to come.
    this.parts = [nothing, ...rest];
    this.#part = 1;
    this.#at = 0;
  }

  /**
   * Send what the kernel takes.
   *
   * @param block - Wait until it has taken everything.
   * @returns whether everything is sent
   * @throws {@link PosixError} `EPIPE` the other end is closed.
   */
  write(block: boolean): boolean {
    const { fd, kind, isUnix, socketMode } = this.line;
    const packets = kind === Kind.Packets;
    const blocking = block ? Mode.Block : 0;
    for (let budget = PACKETS_A_TURN; this.#part < this.parts.length; budget--) {
      if (!block && budget === 0) return false;
      const part = this.parts[this.#part] as Uint8Array;
      const isFirst = this.isUntouched;
      let mode = blocking | socketMode;
      let length = part.length - this.#at;
      if (isFirst && this.fds.length > 0) mode |= Mode.Control;
      if (packets) {
        length = Math.min(length, isFirst ? PACKET_BYTES + HEADER_BYTES : PACKET_BYTES);
        if (!isFirst) mode |= this.#headOfMore();
      }
      const size = native.send(fd, mode, part, this.#at, length, isFirst ? this.fds : undefined);
      if (size < 0) {
        if (size === -EAGAIN || size === -EWOULDBLOCK) {
          if (!block) return false;
          const ready = native.pollFd(fd, 2, -1);
          if (ready < 0) throw new PosixError(ready, 'poll', { fd });
          continue;
        }
        // Said once when the other end was closed with unread data; the next answer is EPIPE.
        if (size === -ECONNRESET && isUnix) continue;
        throw new PosixError(size === -ENOTCONN && isUnix ? -EPIPE : size, 'sendmsg', { fd });
      }
      this.#advance(part, size - (packets && !isFirst ? HEADER_BYTES : 0), isFirst);
    }
    return true;
  }

  #headOfMore(): number {
    const { header } = exchange();
    header[0] = this.#sent >>> 0;
    header[1] = PacketType.More;
    header[2] = this.#id;
    return Mode.Header;
  }

  #advance(part: Uint8Array, size: number, isFirst: boolean): void {
    this.#sent += isFirst ? size - HEADER_BYTES : size;
    this.#at += size;
    if (this.#at < part.length) return;
    this.#part += 1;
    this.#at = 0;
  }
}

/** Write the header into the room left for it. */
export function writeHeader(bytes: Uint8Array, length: number, fdCount: number, id: number): void {
  bytes[0] = length;
  bytes[1] = length >>> 8;
  bytes[2] = length >>> 16;
  bytes[3] = length >>> 24;
  bytes[4] = PacketType.First;
  bytes[5] = fdCount;
  const high = Math.floor(length / 2 ** 32);
  bytes[6] = high;
  bytes[7] = high >>> 8;
  bytes[8] = id;
  bytes[9] = id >>> 8;
  bytes[10] = id >>> 16;
  bytes[11] = id >>> 24;
}

/**
 * Send a message that fits in one call, without making anything of it.
 *
 * @returns whether it is sent; when not, nothing of it is
 */
export function sendAtOnce(line: Line, bytes: Uint8Array, fds: readonly number[]): boolean {
  if (line.kind !== Kind.Packets || bytes.length > PACKET_BYTES) return false;
  writeHeader(bytes, bytes.length - HEADER_BYTES, fds.length, 0);
  return native.send(line.fd, fds.length > 0 ? Mode.Control : 0, bytes, 0, bytes.length, fds) === bytes.length;
}
