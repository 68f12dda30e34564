/** A socket that waits for clients. */
import { mkdtempSync, rmdirSync, unlinkSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { AbortError, PosixError, ProcessError, TimeoutError } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { validateAbortSignal, validateInteger, validateNumber, validateObject } from '../validate';
import { addressOf, parseAddress, pathOf, resolvedSync, type Address, type InetAddress, type Target } from './address';
import { pollWhileSending } from './channel';
import { authenticated, authenticatedSync, checkOptions, type Checked, type SocketOptions } from './client';
import type { Connection } from './connection';
import { addInterest, dropInterest, forgetFd, READABLE, type Interest } from './poller';
import { staysHere } from './unclonable';
import { kWaitable, type Waitable } from './waitable';

/** How a {@link Listener} listens. */
export interface ListenerOptions extends SocketOptions {
  /** How many clients may wait to be accepted. Default 128. */
  readonly backlog?: number;
}

/** How waiting for a client is given up. */
export interface AcceptOptions {
  /** Milliseconds, after which `accept` fails with a `TimeoutError`. Default: for ever. */
  readonly timeout?: number;
  /** Fails `accept` when aborted. */
  readonly signal?: AbortSignal;
}

const { EAGAIN, EWOULDBLOCK } = constants.errno;
/** So many clients may be showing their keys at the same time. */
const MOST_HANDSHAKES = 64;

interface AcceptRequest {
  resolve(connection: Connection): void;
  reject(error: unknown): void;
  settled(): void;
}

/** Files of listeners that nobody closed, with the process that made them. */
const files = new Map<string, { pid: number; folder: string | undefined }>();
let watchesExit = false;

function removeFile(path: string): void {
  const made = files.get(path);
  files.delete(path);
  if (made?.pid !== native.getpid()) return; // a forked child closes what its parent still uses
  try {
    unlinkSync(path);
    if (made.folder !== undefined) rmdirSync(made.folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function removeAtExit(path: string, folder: string | undefined): void {
  files.set(path, { pid: native.getpid(), folder });
  if (watchesExit) return;
  watchesExit = true;
  process.on('exit', () => {
    for (const left of [...files.keys()]) removeFile(left);
  });
}

/** Listeners with somebody waiting, for the child that forgets them. */
const busy = emptyInChild(new Set<Listener>(), (listener) => abandon(listener));
let abandon: (listener: Listener) => void;

/**
 * A Unix or TCP socket to which clients connect, of this host or others.
 *
 * @remarks Clients that do not have the key cost `accept` an {@link AuthenticationError} and nothing else; those that are
 * slow to show it do not keep others waiting. A forked child can accept from the same listener. The file of a Unix socket is
 * removed by `close()`, or at the end of the process that made it.
 * @example
 * ```js
 * const listener = new Listener({ host: '127.0.0.1', port: 0 }, { authKey: 'secret' });
 * console.log(listener.address.port);
 * for await (const connection of listener) connection.send('hello');
 * ```
 * @see multiprocessing.connection.Listener
 */
export class Listener {
  readonly #checked: Checked;
  readonly #fd: number;
  readonly #address: string | InetAddress;
  readonly #interest: Interest;
  #lastAccepted: string | InetAddress | undefined;
  #closed = false;
  #armed = false;
  #handshakes = 0;
  #requests: AcceptRequest[] = [];
  /** Authenticated, or refused, when nobody waited any more. */
  #results: (() => Connection)[] = [];

  /**
   * @param address - A path, `{ host, port }` or `[host, port]`; port 0 is any free one. Default: a Unix socket in a new
   * folder that only this user can enter, or, with `family` `'AF_INET'` or `'AF_INET6'`, any free port of this host alone.
   * @param options - `authKey` (or `authkey`), `family`, `backlog`, `maxMessageBytes`, `handshakeTimeout`.
   */
  constructor(address?: Address | null, options: ListenerOptions = {}) {
    this.#checked = checkOptions(options);
    const { family, backlog = 128 } = options;
    validateInteger(backlog, 'options.backlog', 0, 65535);
    let folder: string | undefined;
    let target: Target;
    if (address != null) {
      target = resolvedSync(parseAddress(address, family));
    } else if (family === 'AF_INET' || family === 'AF_INET6') {
      target = parseAddress({ host: family === 'AF_INET' ? '127.0.0.1' : '::1', port: 0 }, family);
    } else {
      parseAddress('/', family);
      folder = mkdtempSync(join(tmpdir(), 'realfork-listener-'));
      target = parseAddress(join(folder, 'socket'), family);
    }
    const fd = native.listenAt(target.hostOrPath, target.port, backlog);
    if (fd < 0) {
      if (folder !== undefined) rmdirSync(folder);
      throw new PosixError(fd, 'bind', pathOf(target));
    }
    this.#fd = fd;
    this.#address = addressOf(fd, false) ?? target.hostOrPath;
    if (target.port === undefined && !target.hostOrPath.startsWith('\0')) removeAtExit(target.hostOrPath, folder);
    this.#interest = { fd, events: READABLE, onReady: () => this.#onReadable() };
  }

  /** Where it listens; the port is the one it has, also when 0 was asked for. */
  get address(): string | InetAddress {
    return this.#address;
  }

  /** The address of the client that was accepted last; `undefined` when there was none, or it has none. */
  get lastAccepted(): string | InetAddress | undefined {
    return this.#lastAccepted;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The descriptor's number. */
  fileno(): number {
    this.#checkOpen();
    return this.#fd;
  }

  /**
   * Wait for a client.
   *
   * @param options - `timeout`, `signal`.
   * @throws {@link AuthenticationError} `ERR_AUTHENTICATION` a client did not have the key; the next call waits for the next.
   * @throws {@link TimeoutError} `ERR_TIMEOUT`.
   */
  accept(options: AcceptOptions = {}): Promise<Connection> {
    return new Promise<Connection>((resolve, reject) => {
      this.#checkOpen();
      validateObject(options, 'options');
      const { timeout, signal } = options;
      if (timeout !== undefined) validateNumber(timeout, 'options.timeout', 0, Infinity);
      if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
      if (signal?.aborted === true) throw new AbortError(signal);
      const result = this.#results.shift();
      if (result !== undefined) return resolve(result());
      let timer: NodeJS.Timeout | undefined;
      const giveUp = (error: Error) => {
        request.settled();
        this.#requests = this.#requests.filter((each) => each !== request);
        this.#settleInterest();
        reject(error);
      };
      const onAbort = () => giveUp(new AbortError(signal as AbortSignal));
      const request: AcceptRequest = {
        resolve,
        reject,
        settled() {
          clearTimeout(timer);
          signal?.removeEventListener('abort', onAbort);
        },
      };
      if (timeout !== undefined && timeout < 0x7fffffff) {
        timer = setTimeout(() => giveUp(new TimeoutError('No client has come in time')), Math.ceil(timeout));
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#requests.push(request);
      this.#settleInterest();
    });
  }

  /** As {@link Listener.accept}, blocking the process. */
  acceptSync(options: Pick<AcceptOptions, 'timeout'> = {}): Connection {
    this.#checkOpen();
    validateObject(options, 'options');
    const { timeout = Infinity } = options;
    validateNumber(timeout, 'options.timeout', 0, Infinity);
    const result = this.#results.shift();
    if (result !== undefined) return result();
    const deadline = performance.now() + timeout;
    for (;;) {
      const fd = this.#takeClient();
      if (fd !== undefined) {
        const connection = authenticatedSync(fd, 'listener', this.#checked);
        this.#lastAccepted = addressOf(fd, true);
        return connection;
      }
      const left = deadline - performance.now();
      if (left <= 0) throw new TimeoutError('No client has come in time');
      pollWhileSending([this.#fd], left === Infinity ? -1 : left);
    }
  }

  /** Stop listening; connections that were accepted stay. Once more does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    busy.delete(this);
    forgetFd(this.#fd);
    native.closeFd(this.#fd);
    if (typeof this.#address === 'string') removeFile(this.#address);
    for (const request of this.#requests.splice(0)) {
      request.settled();
      request.reject(closedError());
    }
    for (const result of this.#results.splice(0)) closeResult(result);
  }

  /** The clients that have the key, as they come, until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    while (!this.#closed) {
      try {
        yield await this.accept();
      } catch (error) {
        const { code } = error as { code?: unknown };
        if (code === 'ERR_LISTENER_CLOSED') return;
        if (code !== 'ERR_AUTHENTICATION') throw error;
      }
    }
  }

  /** Stops listening, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** For `wait()`: ready when a client waits. */
  [kWaitable](): Waitable {
    this.#checkOpen();
    return { fd: this.#fd, ready: () => this.#results.length > 0 };
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError();
  }

  /** Accept without waiting; undefined when nobody waits. */
  #takeClient(): number | undefined {
    const fd = native.acceptAt(this.#fd);
    if (fd >= 0) return fd;
    if (fd === -EAGAIN || fd === -EWOULDBLOCK) return undefined;
    throw new PosixError(fd, 'accept', { fd: this.#fd });
  }

  #onReadable(): void {
    this.#armed = false;
    while (this.#wantsClients()) {
      let fd: number | undefined;
      try {
        fd = this.#takeClient();
      } catch (error) {
        // EMFILE and its like: the client stays where it is, and is there for the next call.
        const request = this.#requests.shift();
        request?.settled();
        request?.reject(error);
        continue;
      }
      if (fd === undefined) break;
      void this.#welcome(fd);
    }
    this.#settleInterest();
  }

  /** Without a key each request gets the next client; with one, slow clients are passed by others. */
  #wantsClients(): boolean {
    if (this.#requests.length === 0) return false;
    if (this.#checked.authKey === undefined) return this.#handshakes < this.#requests.length;
    return this.#handshakes < MOST_HANDSHAKES + this.#requests.length;
  }

  async #welcome(fd: number): Promise<void> {
    this.#handshakes += 1;
    let result: () => Connection;
    try {
      const from = addressOf(fd, true);
      const connection = await authenticated(fd, 'listener', this.#checked);
      result = () => {
        this.#lastAccepted = from;
        return connection;
      };
    } catch (error) {
      result = () => {
        throw error;
      };
    }
    this.#handshakes -= 1;
    if (this.#closed) return closeResult(result);
    const request = this.#requests.shift();
    if (request === undefined) {
      this.#results.push(result);
      return;
    }
    request.settled();
    try {
      request.resolve(result());
    } catch (error) {
      request.reject(error);
    }
    this.#settleInterest();
  }

  #settleInterest(): void {
    if (this.#requests.length > 0) busy.add(this);
    else busy.delete(this);
    if (this.#closed) return;
    const wants = this.#wantsClients();
    if (wants === this.#armed) return;
    if (wants) addInterest(this.#interest);
    else dropInterest(this.#interest);
    this.#armed = wants;
  }

  static {
    abandon = (listener) => {
      for (const request of listener.#requests.splice(0)) request.settled();
      listener.#armed = false;
      listener.#handshakes = 0;
    };
  }
}

staysHere(Listener);

function closedError(): ProcessError {
  return new ProcessError('The listener is closed', { code: 'ERR_LISTENER_CLOSED' });
}

/** Nobody will take it: its client is to see the end. */
function closeResult(result: () => Connection): void {
  let connection: Connection;
  try {
    connection = result();
  } catch {
    return; // it was refused already
  }
  connection.close();
}
