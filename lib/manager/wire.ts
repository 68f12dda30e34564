/**
 * Messages with a number in front, four bytes: that of the call which they make or answer.
 *
 * A socket on which every message goes to one function, as it comes: on the event loop, or while a blocking call waits
 * for its answer. (A `Connection` gives each message to whoever asked for one, which answers in any order do not allow.)
 */
import { PosixError } from '../errors';
import { isSending, pollWhileSending } from '../ipc/channel';
import { closeAll, Found, HEADER_BYTES, Line, MessageReader, OutgoingMessage, sendAtOnce } from '../ipc/framing';
import { addInterest, dropInterest, forgetFd, READABLE, WRITABLE, type Interest } from '../ipc/poller';
import { decode, encode, type EncodeOptions } from '../ipc/serialize';
import { native } from '../native';

/** So many messages are taken in one turn of the event loop. */
const A_TURN = 32;
const CUT_FROM = 128 * 1024;
const MAX_BYTES = 2 ** 31;
const ID_BYTES = 4;

export interface WireHandlers {
  /** A message has come; with `error` when it cannot be understood. Does not throw. */
  onMessage(id: number, message: unknown, error?: Error): void;
  /** There will be no more: the other end is closed, or what came is no message. Called once, not after `close()`. */
  onEnd(error: Error | undefined): void;
}

export class Wire {
  readonly #line: Line;
  readonly #reader: MessageReader;
  readonly #handlers: WireHandlers;
  readonly #encoding: EncodeOptions;
  #outgoing: OutgoingMessage[] = [];
  #listens = false;
  #readArmed = false;
  #writeArmed = false;
  #open = true;
  #hasFd = true;
  readonly #readInterest: Interest;
  readonly #writeInterest: Interest;

  /** @param fd - A socket, which is the wire's from here on. */
  constructor(fd: number, handlers: WireHandlers) {
    this.#line = new Line(fd);
    this.#reader = new MessageReader(this.#line, MAX_BYTES);
    this.#handlers = handlers;
    this.#encoding = { headroom: HEADER_BYTES + ID_BYTES, withFds: this.#line.carriesFds, cutFrom: CUT_FROM };
    this.#readInterest = { fd, events: READABLE, onReady: () => this.#onReadable() };
    this.#writeInterest = { fd, events: WRITABLE, onReady: () => this.#onWritable() };
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Whether descriptors can go along with a message. */
  get carriesFds(): boolean {
    return this.#line.carriesFds;
  }

  /** Take messages on the event loop, which stays alive for them; or leave them in the kernel. */
  listen(on: boolean): void {
    this.#listens = on && this.#open;
    if (this.#listens === this.#readArmed) return;
    if (this.#listens) addInterest(this.#readInterest);
    else dropInterest(this.#readInterest);
    this.#readArmed = this.#listens;
  }

  /**
   * Send a message; what the kernel does not take at once goes out on the event loop.
   *
   * @throws {@link DataCloneError} nothing is sent. {@link PosixError} the other end is closed.
   */
  send(id: number, value: unknown): void {
    const { bytes, parts, fds } = encode(value, this.#encoding);
    for (let i = 0; i < ID_BYTES; i++) bytes[HEADER_BYTES + i] = id >>> (8 * i);
    const waits = this.#outgoing.length > 0;
    if (!waits && parts === undefined && sendAtOnce(this.#line, bytes, fds)) return;
    const message = new OutgoingMessage(this.#line, parts ?? [bytes], fds);
    if (!waits && message.write(false)) return;
    message.keep();
    this.#outgoing.push(message);
    this.#armWrite();
  }

  /** Block until everything is with the kernel. */
  flushSync(): void {
    this.#pump(true);
  }

  /**
   * Block until a message has come, and hand it over.
   *
   * @param milliseconds - How long at most; -1 for ever.
   * @returns false when none has come in time, or there will be none
   */
  receiveSync(milliseconds = -1): boolean {
    if (this.#outgoing.length > 0) this.#pump(true);
    if (milliseconds < 0 && !isSending()) return this.#take(true);
    const deadline = milliseconds < 0 ? Infinity : performance.now() + milliseconds;
    for (;;) {
      const left = deadline - performance.now();
      if (pollWhileSending([this.#line.fd], left === Infinity ? -1 : Math.max(0, left))[0] !== 0) {
        if (this.#take(false)) return true;
        if (!this.#open) return false;
      } else if (performance.now() >= deadline) {
        return false;
      }
    }
  }

  /** Close it, once what waits to be sent has gone. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.listen(false);
    if (this.#outgoing.length === 0) this.#closeFd();
  }

  /** Close it in a forked child, where it is the parent's. */
  abandon(): void {
    this.#outgoing = [];
    this.#readArmed = false;
    this.#writeArmed = false;
    if (this.#hasFd) native.closeFd(this.#line.fd);
    this.#hasFd = false;
    this.#open = false;
  }

  #closeFd(): void {
    if (!this.#hasFd) return;
    this.#hasFd = false;
    this.#reader.drop();
    forgetFd(this.#line.fd);
    this.#readArmed = false;
    this.#writeArmed = false;
    native.closeFd(this.#line.fd);
  }

  #end(error: Error | undefined): void {
    if (!this.#open) return;
    this.#outgoing = [];
    this.close();
    this.#handlers.onEnd(error);
  }

  /** Hand one message over; false when there is none, or the end has come. */
  #take(block: boolean): boolean {
    try {
      const found = this.#reader.read(block);
      if (found === Found.Nothing) return false;
      if (found === Found.End || this.#reader.bytes.length < ID_BYTES) {
        this.#end(undefined);
        return false;
      }
    } catch (error) {
      this.#end(error as Error);
      return false;
    }
    const { bytes, fds, isOwn } = this.#reader;
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    let message: unknown;
    let failure: Error | undefined;
    try {
      message = decode(bytes.subarray(ID_BYTES), { fds, adopt: isOwn });
    } catch (error) {
      failure = error as Error;
    } finally {
      if (fds.length > 0) closeAll(fds);
    }
    this.#handlers.onMessage(id, message, failure);
    return true;
  }

  #onReadable(): void {
    this.#readArmed = false;
    for (let left = A_TURN; left > 0 && this.#open && this.#take(false); left--);
    if (this.#open) this.listen(this.#listens);
  }

  #armWrite(): void {
    if (this.#writeArmed) return;
    this.#writeArmed = true;
    addInterest(this.#writeInterest);
  }

  #onWritable(): void {
    this.#writeArmed = false;
    this.#pump(false);
    if (this.#outgoing.length > 0) this.#armWrite();
  }

  #pump(block: boolean): void {
    try {
      while (this.#outgoing.length > 0 && (this.#outgoing[0] as OutgoingMessage).write(block)) this.#outgoing.shift();
    } catch (error) {
      if (!(error instanceof PosixError)) throw error;
      this.#end(error);
    }
    if (!this.#open && this.#outgoing.length === 0) this.#closeFd();
  }
}
