/**
 * The waiting lists of one descriptor: who wants the next message, who has one to send. Promises and blocking calls
 * stand in the same lists, first come, first served.
 *
 *     read, write ── at once, when the kernel has what it takes ──> settled
 *            └────── else the list, and an interest of poller.ts ──> the event loop ──> settled
 */
import { constants } from 'node:os';
import { setImmediate } from 'node:timers';
import { AbortError, EOFError, isPeerGone, PosixError, ProcessError, TimeoutError } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { closeAll, Found, Line, MessageReader, OutgoingMessage, sendAtOnce } from './framing';
import { addInterest, dropInterest, forgetFd, READABLE, WRITABLE, type Interest } from './poller';
import type { Encoded } from './serialize';

/** How a call that can wait is given up. */
export interface TransferOptions {
  /** Milliseconds, 0 or more, after which the call fails with a `TimeoutError`. Default: never. */
  readonly timeout?: number;
  /** Fails the call when aborted. */
  readonly signal?: AbortSignal;
}

/** What a message is turned into; runs while the message is at hand, and takes its descriptors. */
export interface Accept<T> {
  (message: MessageReader): T;
  /** The longest message to accept; a longer one closes the connection. */
  readonly limit?: number;
}

/** One promise that waits. */
interface Request<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
  /** Stops its clock and its abort signal. */
  settled(): void;
}

interface ReadRequest extends Request<unknown> {
  readonly accept: Accept<unknown>;
}

interface WriteRequest extends Request<void> {
  readonly message: OutgoingMessage;
}

/**
 * So many calls in a row may find what they want at once; then the event loop has its turn. Promises alone would never
 * let it, as long as the other end keeps up.
 */
const AT_ONCE = 128;
let leftAtOnce = AT_ONCE;

/** Whether this call may; each true answer is counted. */
export function mayGoAtOnce(): boolean {
  if (leftAtOnce > 0) {
    leftAtOnce -= 1;
    return true;
  }
  return false;
}

/** The event loop has had its turn. */
export function newTurn(): void {
  leftAtOnce = AT_ONCE;
}

/** Channels that have somebody waiting, for the child that must forget them. */
const busy = emptyInChild(new Set<Channel>(), (channel) => channel.abandon());

/** Those with promises that wait to send. */
const senders = emptyInChild(new Set<Channel>());

/** Whether promises of this process wait to send: then a blocking call waits by {@link pollWhileSending}. */
export function isSending(): boolean {
  return senders.size > 0;
}

/**
 * Block until one of the descriptors is readable, or the time (milliseconds, -1 for ever) is over. What promises of this
 * process have to send goes out meanwhile: what is waited for may be the answer to it.
 *
 * @returns for each descriptor whether it is readable: 0, or else
 */
export function pollWhileSending(fds: readonly number[], milliseconds: number): readonly number[] {
  const sending = [...senders];
  const happened = native.pollFds(
    [...fds, ...sending.map(({ line }) => line.fd)],
    [...fds.map(() => READABLE), ...sending.map(() => WRITABLE)],
    milliseconds,
  );
  if (typeof happened === 'number') throw new PosixError(happened, 'poll');
  for (const [i, channel] of sending.entries()) if (happened[fds.length + i] !== 0) channel.goOnSending();
  const bad = fds.find((_, i) => happened[i] === -1);
  if (bad !== undefined) throw new PosixError(constants.errno.EBADF, 'poll', { fd: bad });
  return happened.slice(0, fds.length);
}

/** Closes what nobody closed and nobody can reach any more. */
const unreachable = new FinalizationRegistry((fd: number) => {
  forgetFd(fd);
  native.closeFd(fd);
});

export class Channel {
  readonly line: Line;
  readonly #reader: MessageReader;
  #closed = false;
  #reads: ReadRequest[] = [];
  #polls: Request<boolean>[] = [];
  #writes: WriteRequest[] = [];
  #readArmed = false;
  #writeArmed = false;
  #deferred = false;
  readonly #readInterest: Interest;
  readonly #writeInterest: Interest;

  constructor(fd: number, maxBytes: number) {
    this.line = new Line(fd);
    this.#reader = new MessageReader(this.line, maxBytes);
    this.#readInterest = { fd, events: READABLE, onReady: () => this.#onReadable() };
    this.#writeInterest = { fd, events: WRITABLE, onReady: () => this.#onWritable() };
    unreachable.register(this, fd, this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get fd(): number {
    if (this.#closed) throw closedError();
    return this.line.fd;
  }

  /** The next message, for a promise. */
  read<T>(accept: Accept<T>, options: TransferOptions = {}): Promise<T> {
    try {
      this.#checkStart(options.signal);
      if (this.#reads.length === 0 && mayGoAtOnce() && this.#reader.read(false, accept.limit) !== Found.Nothing) {
        return Promise.resolve(this.#take(accept));
      }
    } catch (error) {
      return Promise.reject(this.#failed(error));
    }
    return new Promise<T>((resolve, reject) => {
      const settled = this.#limit(options, (error) => {
        this.#reads = this.#reads.filter((each) => each !== request);
        this.#settleInterests();
        reject(error);
      });
      const request: ReadRequest = { accept, resolve, reject, settled };
      this.#reads.push(request);
      this.#settleInterests();
    });
  }

  /** The next message, after those that promises wait for already. */
  readSync<T>(accept: Accept<T>, timeout?: number): T {
    this.#checkStart();
    if (this.#reads.length === 0) return this.#readNext(accept, timeout);
    try {
      return this.#readNext(accept, timeout);
    } finally {
      this.#settleInterests();
    }
  }

  #readNext<T>(accept: Accept<T>, timeout?: number): T {
    const deadline = timeout === undefined ? Infinity : performance.now() + timeout;
    for (;;) {
      const first = this.#reads[0];
      const mayBlock = deadline === Infinity && !isSending();
      let result: T | undefined;
      try {
        if (this.#reader.read(mayBlock, (first?.accept ?? accept).limit) === Found.Nothing) {
          this.#waitReadable(deadline);
          this.#checkStart(); // sending has gone on meanwhile, and may have failed
          continue;
        }
        if (first === undefined) result = this.#take(accept);
      } catch (error) {
        const failure = this.#failed(error);
        if (first === undefined || error instanceof TimeoutError) throw failure;
        this.#shift(first).reject(failure);
        this.#checkStart();
        continue;
      }
      if (first === undefined) return result as T;
      this.#serve(first);
      this.#checkStart();
    }
  }

  /** Block until something has come. */
  #waitReadable(deadline: number): void {
    const left = deadline === Infinity ? -1 : Math.max(0, deadline - performance.now());
    if (pollWhileSending([this.line.fd], left)[0] === 0 && performance.now() >= deadline) {
      throw new TimeoutError('No message has come in time');
    }
  }

  /** Send what can be sent, of what promises wait to send. */
  goOnSending(): void {
    this.#pumpWrites(false);
    this.#settleInterests();
  }

  /** Whether a message, or the end, can be read without waiting. */
  ready(): boolean {
    const { fd } = this;
    if (this.#reader.hasNext) return true;
    const happened = native.pollFd(fd, READABLE, 0);
    if (happened < 0) throw new PosixError(happened, 'poll', { fd });
    return happened > 0;
  }

  /** Whether that comes true within the time (milliseconds; `Infinity` waits for ever). */
  poll(timeout: number, signal?: AbortSignal): Promise<boolean> {
    try {
      this.#checkStart(signal);
      if (mayGoAtOnce() && this.ready()) return Promise.resolve(true);
    } catch (error) {
      return rejection(error);
    }
    return new Promise((resolve, reject) => {
      const options: TransferOptions = {
        ...(timeout === Infinity ? {} : { timeout: Math.max(0, timeout) }),
        ...(signal === undefined ? {} : { signal }),
      };
      const settled = this.#limit(options, (error) => {
        this.#polls = this.#polls.filter((each) => each !== request);
        this.#settleInterests();
        if (error instanceof TimeoutError) resolve(false);
        else reject(error);
      });
      const request: Request<boolean> = { resolve, reject, settled };
      this.#polls.push(request);
      this.#settleInterests();
    });
  }

  pollSync(timeout: number): boolean {
    if (this.ready()) return true;
    if (!(timeout > 0)) return false;
    const deadline = performance.now() + timeout;
    try {
      while (!this.ready()) this.#waitReadable(deadline);
      return true;
    } catch (error) {
      if (error instanceof TimeoutError) return false;
      throw error;
    }
  }

  /** Send a message that has room for the header in front. */
  write(encoded: Encoded, options: TransferOptions = {}): Promise<void> {
    try {
      this.#checkStart(options.signal);
      if (this.#writes.length === 0 && mayGoAtOnce() && this.#writeAtOnce(encoded)) return done;
    } catch (error) {
      return rejection(error);
    }
    const message = new OutgoingMessage(this.line, encoded.parts ?? [encoded.bytes], encoded.fds);
    try {
      if (this.#writes.length === 0 && leftAtOnce > 0 && message.write(false)) return done;
    } catch (error) {
      return Promise.reject(this.#failedSending(error, message));
    }
    message.keep();
    return new Promise<void>((resolve, reject) => {
      const settled = this.#limit(options, (error) => {
        if (!message.isUntouched) return; // half of it is out: it has to be finished
        this.#writes = this.#writes.filter((each) => each !== request);
        this.#settleInterests();
        reject(error);
      });
      const request: WriteRequest = { message, resolve, reject, settled };
      this.#writes.push(request);
      this.#settleInterests();
    });
  }

  writeSync(encoded: Encoded): void {
    this.#checkStart();
    if (this.#writes.length === 0 && this.#writeAtOnce(encoded)) return;
    const message = new OutgoingMessage(this.line, encoded.parts ?? [encoded.bytes], encoded.fds);
    if (this.#writes.length > 0) {
      this.#pumpWrites(true);
      this.#settleInterests();
    }
    try {
      message.write(true);
    } catch (error) {
      throw this.#failedSending(error, message);
    }
  }

  #writeAtOnce(encoded: Encoded): boolean {
    return encoded.parts === undefined && sendAtOnce(this.line, encoded.bytes, encoded.fds);
  }

  /** Close the descriptor; messages that promises are still sending go out first. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const error = closedError();
    for (const request of [...this.#reads, ...this.#polls]) {
      request.settled();
      request.reject(error);
    }
    this.#reads = [];
    this.#polls = [];
    this.#reader.drop();
    if (this.#writes.length === 0) this.#closeFd();
    else this.#settleInterests();
  }

  #closeFd(): void {
    unreachable.unregister(this);
    if (this.#readArmed || this.#writeArmed) this.#disarm();
    forgetFd(this.line.fd);
    native.closeFd(this.line.fd);
    busy.delete(this);
    senders.delete(this);
  }

  /** In a forked child: what was waited for is the parent's, and settles there alone. */
  abandon(): void {
    for (const request of [...this.#reads, ...this.#polls, ...this.#writes]) request.settled();
    const wasClosing = this.#closed && this.#writes.length > 0;
    this.#reads = [];
    this.#polls = [];
    this.#writes = [];
    this.#readArmed = false;
    this.#writeArmed = false;
    if (wasClosing) this.#closeFd();
  }

  #checkStart(signal?: AbortSignal): void {
    if (this.#closed) throw closedError();
    if (signal?.aborted === true) throw new AbortError(signal);
  }

  /** Turn the message that the reader has found into what is wanted. */
  #take<T>(accept: Accept<T>): T {
    const reader = this.#reader;
    if (reader.atEnd) throw new EOFError();
    try {
      return accept(reader);
    } finally {
      closeAll(reader.fds);
    }
  }

  /** A stream that makes no sense any more is closed; the error says so. */
  #failed(error: unknown): Error {
    if (this.#reader.broken) this.close();
    return error as Error;
  }

  #failedSending(error: unknown, message: OutgoingMessage): Error {
    // In a stream nobody could tell the rest of this message from the beginning of the next. Where nobody is there any more,
    // nobody will have to, and what they have sent before is still to be read.
    if (!message.mayBeCutShort && !isPeerGone(error)) this.close();
    return error as Error;
  }

  #onReadable(): void {
    this.#readArmed = false;
    newTurn();
    for (const request of this.#polls.splice(0)) {
      request.settled();
      request.resolve(true);
    }
    this.#pumpReads();
    this.#settleInterests();
  }

  #pumpReads(): void {
    for (let served = 0; served < AT_ONCE; served++) {
      const request = this.#reads[0];
      if (request === undefined) return;
      try {
        if (this.#reader.read(false, request.accept.limit) === Found.Nothing) return;
      } catch (error) {
        this.#shift(request).reject(this.#failed(error));
        continue;
      }
      this.#serve(request);
    }
  }

  /** Give the message found to the first in the list. */
  #serve(request: ReadRequest): void {
    this.#shift(request);
    try {
      request.resolve(this.#take(request.accept));
    } catch (error) {
      request.reject(error);
    }
  }

  #shift(request: ReadRequest): ReadRequest {
    this.#reads.shift();
    request.settled();
    return request;
  }

  #onWritable(): void {
    this.#writeArmed = false;
    newTurn();
    this.#pumpWrites(false);
    this.#settleInterests();
  }

  #pumpWrites(block: boolean): void {
    for (let request = this.#writes[0]; request !== undefined; request = this.#writes[0]) {
      try {
        if (!request.message.write(block)) return;
      } catch (error) {
        this.#writes.shift();
        request.settled();
        request.reject(this.#failedSending(error, request.message));
        continue;
      }
      this.#writes.shift();
      request.settled();
      request.resolve();
    }
    if (this.#closed) this.#closeFd();
  }

  /** Watch the descriptor for exactly what somebody waits for. */
  #settleInterests(): void {
    const reads = this.#reads.length > 0 || this.#polls.length > 0;
    const writes = this.#writes.length > 0;
    if (reads || writes) busy.add(this);
    else busy.delete(this);
    if (writes) senders.add(this);
    else senders.delete(this);
    try {
      if (reads && !this.#readArmed) this.#armRead();
      if (writes && !this.#writeArmed) {
        addInterest(this.#writeInterest);
        this.#writeArmed = true;
      }
    } catch (error) {
      this.#failAll(error);
      return;
    }
    if (!reads && this.#readArmed) {
      dropInterest(this.#readInterest);
      this.#readArmed = false;
    }
    if (!writes && this.#writeArmed) {
      dropInterest(this.#writeInterest);
      this.#writeArmed = false;
    }
  }

  #armRead(): void {
    this.#readArmed = true;
    if (!this.#reader.hasNext) return addInterest(this.#readInterest);
    // Taken from the kernel already: no descriptor will tell.
    if (this.#deferred) return;
    this.#deferred = true;
    setImmediate(() => {
      this.#deferred = false;
      if (this.#readArmed) this.#onReadable();
    });
  }

  #disarm(): void {
    dropInterest(this.#readInterest);
    dropInterest(this.#writeInterest);
    this.#readArmed = false;
    this.#writeArmed = false;
  }

  /** The descriptor cannot be watched: not open, or no descriptor left for watching. */
  #failAll(error: unknown): void {
    const waiting = [...this.#reads, ...this.#polls, ...this.#writes];
    this.#reads = [];
    this.#polls = [];
    this.#writes = [];
    this.#disarm();
    busy.delete(this);
    senders.delete(this);
    for (const request of waiting) {
      request.settled();
      request.reject(error);
    }
  }

  /** Give up after the time, or at the signal. Returns what takes both back. */
  #limit({ timeout, signal }: TransferOptions, giveUp: (error: Error) => void): () => void {
    if (timeout === undefined && signal === undefined) return nothing;
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      settled();
      giveUp(new AbortError(signal as AbortSignal));
    };
    const settled = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    if (timeout !== undefined) {
      timer = longTimeout(timeout, () => {
        settled();
        giveUp(new TimeoutError('The connection was not ready in time'));
      });
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    return settled;
  }
}

/** A promise that is rejected with whatever was thrown. */
export function rejection(error: unknown): Promise<never> {
  return new Promise(() => {
    throw error;
  });
}

const done = Promise.resolve();
function nothing(): void {}

/** setTimeout, where a time beyond its 24.8 days is for ever. */
function longTimeout(milliseconds: number, call: () => void): NodeJS.Timeout | undefined {
  return milliseconds > 0x7fffffff ? undefined : setTimeout(call, Math.ceil(milliseconds));
}

function closedError(): ProcessError {
  return new ProcessError('The connection is closed', { code: 'ERR_CONNECTION_CLOSED' });
}
