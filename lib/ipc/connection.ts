/** One end of a pipe or socket over which values travel. How they wait is channel.ts, how they look framing.ts. */
import { constants } from 'node:buffer';
import { inspect } from 'node:util';
import { BufferTooShort, DataCloneError, InvalidMessageError, ProcessError } from '../errors';
import {
  invalidType,
  outOfRange,
  validateAbortSignal,
  validateBoolean,
  validateFd,
  validateInteger,
  validateNumber,
  validateObject,
} from '../validate';
import { Channel, rejection, type Accept, type TransferOptions } from './channel';
import type { FunctionOfNumber } from './decoder';
import type { NumberFunction } from './encoder';
import { closeAll, HEADER_BYTES, PACKET_BYTES, type MessageReader } from './framing';
import { registerHandle } from './handles';
import './node-handles';
import { decode, encode, type Encoded } from './serialize';
import { kWaitable, type Waitable } from './waitable';

/** How a {@link Connection} is made of a descriptor. */
export interface ConnectionOptions {
  /** Default true. */
  readonly readable?: boolean;
  /** Default true. */
  readonly writable?: boolean;
  /** The longest message, in bytes, that is received; a longer one closes the connection. Default: as long as a Buffer can be. */
  readonly maxMessageBytes?: number;
}

/** Which part of a buffer to send. */
export interface SendBytesOptions extends TransferOptions {
  /** Default 0. */
  readonly offset?: number;
  /** Default: to the end. */
  readonly size?: number;
}

/** How to receive bytes. */
export interface RecvBytesOptions extends TransferOptions {
  /** A longer message closes the connection. Default: the connection's `maxMessageBytes`. */
  readonly maxLength?: number;
}

/** How long `poll` waits, by name. */
export interface PollOptions {
  /** Milliseconds to wait for a message; `null` or `Infinity` for ever. Default 0. */
  readonly timeout?: number | null | undefined;
  /** Gives up with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

/** See {@link Connection}. */
export const kPrepareSend = Symbol('realfork.prepareSend');
/** See {@link Connection}. */
export const kReceiveUnread = Symbol('realfork.receiveUnread');

/** From this size on the bytes of a buffer are sent from where they are. */
const CUT_FROM = 128 * 1024;
const WITH_FDS = { headroom: HEADER_BYTES, withFds: true, cutFrom: CUT_FROM };
const WITHOUT_FDS = { headroom: HEADER_BYTES, withFds: false, cutFrom: CUT_FROM };
/** unix(7), SCM_RIGHTS. */
const MOST_FDS = 253;
const NO_FDS: readonly number[] = [];

/** Room for a small message of bytes and its header. */
let scratch: Uint8Array | undefined;

/**
 * One end of a connection: whole messages go in and come out, in order, one at a time.
 *
 * Calls that can wait come twice: `recv()` gives a promise and leaves the event loop free, `recvSync()` blocks the process
 * without using the CPU. Waiting promises keep the process alive, and are served in the order of the calls.
 *
 * @remarks A forked child has the connection too; both processes can use it, and a message goes to the one that takes it.
 * What the parent was waiting for does not come to the child. An end that is not closed is closed when it is collected as
 * garbage. Two processes that send long messages over the same end at the same moment need a lock, as in Python.
 * @example
 * ```js
 * const [parent, child] = Pipe();
 * if (fork() === 0) {
 *   child.sendSync({ sum: parent.recvSync().reduce((a, b) => a + b) });
 *   process.exit();
 * }
 * ```
 * @see multiprocessing.connection.Connection
 */
export class Connection {
  readonly #channel: Channel;
  readonly #readable: boolean;
  readonly #writable: boolean;
  readonly #maxBytes: number;

  /**
   * Make a connection of a descriptor, which it will close. {@link Pipe}, `Client` and `Listener` are the usual ways.
   *
   * @param fd - A socket whose other end is a connection of this package, or an end of a pipe.
   */
  constructor(fd: number, options: ConnectionOptions = {}) {
    validateFd(fd);
    validateObject(options, 'options');
    const { readable = true, writable = true, maxMessageBytes = constants.MAX_LENGTH } = options;
    validateBoolean(readable, 'options.readable');
    validateBoolean(writable, 'options.writable');
    if (!readable && !writable) throw outOfRange('options', 'readable, writable or both', options);
    validateInteger(maxMessageBytes, 'options.maxMessageBytes', 0);
    this.#channel = new Channel(fd, Math.min(maxMessageBytes, constants.MAX_LENGTH));
    this.#readable = readable;
    this.#writable = writable;
    this.#maxBytes = maxMessageBytes;
  }

  /** Whether messages can be received. */
  get readable(): boolean {
    return this.#readable;
  }

  /** Whether messages can be sent. */
  get writable(): boolean {
    return this.#writable;
  }

  /** Whether this end has been closed. */
  get closed(): boolean {
    return this.#channel.closed;
  }

  /** The descriptor's number. */
  fileno(): number {
    return this.#channel.fd;
  }

  /**
   * Close this end. What is waiting to be received is given up; messages that `send` has not finished go out first. Once
   * more does nothing.
   */
  close(): void {
    this.#channel.close();
  }

  /**
   * Send a value.
   *
   * @param value - Anything that structured clone takes; also connections, net.Socket, net.Server, {@link DupFd}.
   * @param options - `timeout`, `signal`: give up while nothing of the message is sent.
   * @returns Settles when the kernel has taken the message. The value may be changed as soon as the call returns.
   * @throws {@link DataCloneError} `ERR_DATA_CLONE` a function, or something else that cannot be sent; nothing is sent.
   * @throws {@link PosixError} `EPIPE` the other end is closed.
   */
  send(value: unknown, options?: TransferOptions): Promise<void> {
    try {
      return this.#channel.write(this.#encode(value), checked(options));
    } catch (error) {
      return rejection(error);
    }
  }

  /**
   * Turn a value into a message now, which is sent, as by `sendSync`, by the call given back. With `functions`, to a receiver
   * that knows their numbers. @internal
   */
  [kPrepareSend](value: unknown, functions?: NumberFunction): () => void {
    const { bytes, fds, parts } = this.#encode(value, functions);
    // The next message is written where this one stands, but for the memory of the value itself.
    const own = (part: Uint8Array) => (part.buffer === bytes.buffer ? new Uint8Array(part) : part);
    const encoded = { bytes: own(bytes), fds, parts: parts?.map(own) };
    return () => this.#channel.writeSync(encoded);
  }

  /** As {@link Connection.send}, blocking the process until the kernel has taken the message. */
  sendSync(value: unknown): void {
    this.#channel.writeSync(this.#encode(value));
  }

  /**
   * Receive a value.
   *
   * @param options - `timeout` (milliseconds) and `signal` give up; the message then goes to the next call.
   * @throws {@link EOFError} `ERR_EOF` the other end is closed and everything it sent has been received.
   * @throws {@link InvalidMessageError} `ERR_INVALID_MESSAGE` what came was not sent by `send`, or its sender was killed in
   * the middle of it.
   * @throws {@link TimeoutError} `ERR_TIMEOUT`.
   */
  recv<T = unknown>(options?: TransferOptions): Promise<T> {
    return this.#read(acceptValue as Accept<T>, options);
  }

  /** As {@link Connection.recv}, blocking the process. */
  recvSync<T = unknown>(options?: Pick<TransferOptions, 'timeout'>): T {
    return this.#readSync(acceptValue as Accept<T>, options);
  }

  /** Receive a message now, blocking the process, which is read by the call given back, to be made once. @internal */
  [kReceiveUnread](): Unread {
    return this.#readSync(acceptUnread);
  }

  /**
   * Send bytes as one message.
   *
   * @param bytes - A Buffer, a typed array, a DataView or an ArrayBuffer.
   * @param offset - Where to begin, in bytes; or options with `offset`, `size`, `timeout`, `signal`. Default 0.
   * @param size - How many bytes. Default: to the end.
   * @throws `ERR_OUT_OF_RANGE` the range is not inside `bytes`; nothing is sent.
   */
  sendBytes(
    bytes: NodeJS.ArrayBufferView | ArrayBuffer,
    offset?: number | SendBytesOptions | null,
    size?: number | null,
  ): Promise<void> {
    try {
      const range = rangeOf(bytes, offset, size);
      return this.#channel.write(this.#frame(range), checked(optionsOf(offset)));
    } catch (error) {
      return rejection(error);
    }
  }

  /** As {@link Connection.sendBytes}, blocking the process. */
  sendBytesSync(
    bytes: NodeJS.ArrayBufferView | ArrayBuffer,
    offset?: number | Omit<SendBytesOptions, keyof TransferOptions> | null,
    size?: number | null,
  ): void {
    this.#channel.writeSync(this.#frame(rangeOf(bytes, offset, size)));
  }

  /**
   * Receive the bytes of one message.
   *
   * @param options - `timeout`, `signal`, `maxLength`; or `maxLength` alone.
   * @throws {@link EOFError} `ERR_EOF` the other end is closed.
   * @throws {@link InvalidMessageError} `ERR_INVALID_MESSAGE` the message is longer than `maxLength`; the connection is closed.
   */
  recvBytes(options?: number | RecvBytesOptions | null): Promise<Buffer> {
    try {
      return this.#read(acceptAtMost(maxLengthOf(options)), optionsOf(options));
    } catch (error) {
      return rejection(error);
    }
  }

  /** As {@link Connection.recvBytes}, blocking the process. */
  recvBytesSync(options?: number | Omit<RecvBytesOptions, 'signal'> | null): Buffer {
    return this.#readSync(acceptAtMost(maxLengthOf(options)), optionsOf(options));
  }

  /**
   * Receive the bytes of one message into a buffer.
   *
   * @param buffer - A Buffer, a typed array, a DataView or an ArrayBuffer.
   * @param offset - Where to put the first byte. Default 0.
   * @returns The length of the message.
   * @throws {@link BufferTooShort} `ERR_BUFFER_TOO_SHORT` with the whole message in `data`; nothing is lost.
   */
  recvBytesInto(
    buffer: NodeJS.ArrayBufferView | ArrayBuffer,
    offset?: number,
    options?: TransferOptions,
  ): Promise<number> {
    try {
      return this.#read(acceptInto(rangeOf(buffer, offset, undefined)), options);
    } catch (error) {
      return rejection(error);
    }
  }

  /** As {@link Connection.recvBytesInto}, blocking the process. */
  recvBytesIntoSync(
    buffer: NodeJS.ArrayBufferView | ArrayBuffer,
    offset?: number,
    options?: Pick<TransferOptions, 'timeout'>,
  ): number {
    return this.#readSync(acceptInto(rangeOf(buffer, offset, undefined)), options);
  }

  /**
   * Tell whether a message, or the end, is there to be received.
   *
   * @param timeout - Milliseconds to wait for one; `null` or `Infinity` for ever, 0 or less not at all; or the options.
   * Default 0.
   * @param options - `signal` gives up with an AbortError.
   */
  poll(
    timeout: number | null | PollOptions = 0,
    options: PollOptions = typeof timeout === 'object' && timeout !== null ? timeout : {},
  ): Promise<boolean> {
    try {
      this.#checkReadable();
      validateObject(options, 'options');
      const { signal } = options;
      if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
      return this.#channel.poll(pollTimeout(timeout), signal);
    } catch (error) {
      return rejection(error);
    }
  }

  /** As {@link Connection.poll}, blocking the process. */
  pollSync(timeout: number | null | Pick<PollOptions, 'timeout'> = 0): boolean {
    this.#checkReadable();
    return this.#channel.pollSync(pollTimeout(timeout));
  }

  /**
   * Send a descriptor. The receiver gets one of its own for the same open file; this process keeps its own.
   *
   * @param fd - Any descriptor of this process.
   * @throws {@link DataCloneError} `ERR_DATA_CLONE` the connection is no Unix socket.
   * @throws {@link PosixError} `EBADF` `fd` is not open.
   * @see multiprocessing.reduction.send_handle
   */
  sendFd(fd: number, options?: TransferOptions): Promise<void> {
    try {
      return this.#channel.write(this.#frameFd(fd), checked(options));
    } catch (error) {
      return rejection(error);
    }
  }

  /** As {@link Connection.sendFd}, blocking the process. */
  sendFdSync(fd: number): void {
    this.#channel.writeSync(this.#frameFd(fd));
  }

  /**
   * Receive a descriptor.
   *
   * @returns Its number in this process, close-on-exec; the caller's to close.
   * @throws {@link InvalidMessageError} `ERR_INVALID_MESSAGE` the next message, which is taken, has no descriptor.
   * @throws {@link PosixError} `EMFILE` this process has no descriptors left; the one that was sent is lost.
   * @see multiprocessing.reduction.recv_handle
   */
  recvFd(options?: TransferOptions): Promise<number> {
    return this.#read(acceptFd, options);
  }

  /** As {@link Connection.recvFd}, blocking the process. */
  recvFdSync(options?: Pick<TransferOptions, 'timeout'>): number {
    return this.#readSync(acceptFd, options);
  }

  /** The values received, up to the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator {
    for (;;) {
      try {
        yield await this.recv();
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ERR_EOF') return;
        throw error;
      }
    }
  }

  /** Closes this end, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Show the descriptor, or that it is closed: `<Connection fd=20 readable writable>`. */
  toString(): string {
    if (this.closed) return '<Connection closed>';
    const directions = [this.#readable ? ' readable' : '', this.#writable ? ' writable' : ''];
    return `<Connection fd=${this.fileno()}${directions.join('')}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** For `wait()`. */
  [kWaitable](): Waitable {
    this.#checkReadable();
    return { fd: this.#channel.fd, ready: () => this.#channel.ready() };
  }

  #encode(value: unknown, functions?: NumberFunction): Encoded {
    this.#checkWritable();
    const usual = this.#channel.line.carriesFds ? WITH_FDS : WITHOUT_FDS;
    const encoded = encode(value, functions === undefined ? usual : { ...usual, functions });
    if (encoded.fds.length > MOST_FDS) {
      throw new DataCloneError(
        `value cannot be cloned: it needs ${encoded.fds.length} descriptors, a message takes ${MOST_FDS}`,
      );
    }
    return encoded;
  }

  #frame(bytes: Uint8Array): Encoded {
    this.#checkWritable();
    scratch ??= Buffer.allocUnsafeSlow(PACKET_BYTES + HEADER_BYTES);
    if (bytes.length > PACKET_BYTES) {
      const header = new Uint8Array(HEADER_BYTES);
      return { bytes: header, fds: NO_FDS, parts: [header, bytes] };
    }
    scratch.set(bytes, HEADER_BYTES);
    return { bytes: scratch.subarray(0, HEADER_BYTES + bytes.length), fds: NO_FDS, parts: undefined };
  }

  #frameFd(fd: number): Encoded {
    validateFd(fd);
    this.#checkWritable();
    if (!this.#channel.line.carriesFds) {
      throw new DataCloneError('A descriptor can be sent over a Unix socket only');
    }
    return { bytes: new Uint8Array(HEADER_BYTES), fds: [fd], parts: undefined };
  }

  #read<T>(accept: Accept<T>, options?: TransferOptions): Promise<T> {
    try {
      this.#checkReadable();
      return this.#channel.read(accept, checked(options));
    } catch (error) {
      return rejection(error);
    }
  }

  #readSync<T>(accept: Accept<T>, options?: Pick<TransferOptions, 'timeout'>): T {
    this.#checkReadable();
    return this.#channel.readSync(accept, checked(options).timeout);
  }

  #checkReadable(): void {
    if (this.#channel.closed) this.fileno(); // throws
    if (!this.#readable) throw new ProcessError('The connection is write-only', { code: 'ERR_CONNECTION_WRITE_ONLY' });
  }

  #checkWritable(): void {
    if (this.#channel.closed) this.fileno(); // throws
    if (!this.#writable) throw new ProcessError('The connection is read-only', { code: 'ERR_CONNECTION_READ_ONLY' });
  }

  static {
    registerHandle<Connection>({
      tag: 'connection',
      Class: Connection,
      reduce: (connection, sink) => [
        sink.fd(connection.fileno()),
        connection.#readable,
        connection.#writable,
        connection.#maxBytes,
      ],
      revive(data, source) {
        const [fd, readable, writable, maxMessageBytes] = data as [number, boolean, boolean, number];
        return new Connection(source.fd(fd), { readable, writable, maxMessageBytes });
      },
    });
  }
}

function acceptValue(message: MessageReader): unknown {
  return decode(message.bytes, { fds: message.fds, adopt: message.isOwn });
}

/** A message that has come, its descriptors with it. */
export type Unread = (functions: FunctionOfNumber) => unknown;

function acceptUnread(message: MessageReader): Unread {
  const bytes = acceptBytes(message);
  const fds = message.fds.splice(0);
  return (functions) => {
    try {
      return decode(bytes, { fds, adopt: true, functions });
    } finally {
      closeAll(fds);
    }
  };
}

function acceptBytes({ bytes, isOwn }: MessageReader): Buffer {
  if (isOwn) return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  return copy;
}

function acceptAtMost(limit: number | undefined): Accept<Buffer> {
  return limit === undefined ? acceptBytes : Object.assign((message: MessageReader) => acceptBytes(message), { limit });
}

function acceptInto(target: Uint8Array): Accept<number> {
  return (message) => {
    if (message.bytes.length > target.length) throw new BufferTooShort(acceptBytes(message));
    target.set(message.bytes);
    return message.bytes.length;
  };
}

function acceptFd({ fds }: MessageReader): number {
  const fd = fds.shift();
  if (fd === undefined) throw new InvalidMessageError('The message came without a descriptor');
  return fd;
}

/** Validate what all waiting calls take. */
function checked(options: TransferOptions = {}): TransferOptions {
  validateObject(options, 'options');
  const { timeout, signal } = options;
  if (timeout !== undefined) validateNumber(timeout, 'options.timeout', 0, Infinity);
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  return options;
}

function pollTimeout(given: number | null | PollOptions): number {
  const { timeout = 0 } = typeof given === 'object' && given !== null ? given : { timeout: given };
  if (timeout === null) return Infinity;
  validateNumber(timeout, 'timeout', -Infinity, Infinity);
  return timeout;
}

function maxLengthOf(options: number | RecvBytesOptions | null | undefined): number | undefined {
  const maxLength = typeof options === 'object' ? options?.maxLength : options;
  if (maxLength == null) return undefined;
  validateInteger(maxLength, 'maxLength', 0);
  return maxLength;
}

/** The options, where they may stand in a number's place; null is nothing, as Python's None. */
function optionsOf<O extends object>(given: number | O | null | undefined): O | undefined {
  return typeof given === 'object' && given !== null ? given : undefined;
}

function rangeOf(
  bytes: NodeJS.ArrayBufferView | ArrayBuffer,
  where: number | SendBytesOptions | null | undefined,
  length: number | null | undefined,
): Uint8Array {
  if (!ArrayBuffer.isView(bytes) && Object.prototype.toString.call(bytes) !== '[object ArrayBuffer]') {
    throw invalidType('bytes', 'an instance of Buffer, TypedArray, DataView or ArrayBuffer', bytes);
  }
  const given = typeof where === 'object' && where !== null ? where : { offset: where, size: length };
  const offset = given.offset ?? 0;
  const { size } = given;
  validateInteger(offset, 'offset', 0, bytes.byteLength);
  if (size != null) validateInteger(size, 'size', 0, bytes.byteLength - offset);
  const [buffer, start] = ArrayBuffer.isView(bytes) ? [bytes.buffer, bytes.byteOffset] : [bytes, 0];
  return new Uint8Array(buffer, start + offset, size ?? bytes.byteLength - offset);
}
