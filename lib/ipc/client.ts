/** Connecting to a listener. */
import { constants } from 'node:os';
import { AbortError, AuthenticationError, PosixError, TimeoutError } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { validateAbortSignal, validateNumber, validateObject } from '../validate';
import { parseAddress, pathOf, resolved, resolvedSync, type Address, type Family, type Target } from './address';
import { shakeHands, shakeHandsSync, validateAuthKey, type AuthKey, type Side } from './challenge';
import { Connection } from './connection';
import { addInterest, dropInterest, WRITABLE, type Interest } from './poller';

const { EAGAIN } = constants.errno;

/** What a listener and its clients agree on. */
export interface SocketOptions {
  /** Both ends show each other that they have it, before anything else. Default: none, and no authentication. */
  readonly authKey?: AuthKey | undefined;
  /** The same as `authKey`, as Python writes it. */
  readonly authkey?: AuthKey | undefined;
  /** Default: what the address is. */
  readonly family?: Family | undefined;
  /** The longest message, in bytes, that is received; a longer one closes the connection. Default 2 GiB. */
  readonly maxMessageBytes?: number;
  /** Milliseconds that the authentication may take. Default 10,000. */
  readonly handshakeTimeout?: number;
}

/** How {@link Client} connects. */
export interface ClientOptions extends SocketOptions {
  /** Milliseconds for connecting, the authentication not included. Default: for ever. */
  readonly timeout?: number;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
}

/** {@link SocketOptions} with the defaults filled in. */
export interface Checked {
  readonly authKey: AuthKey | undefined;
  readonly maxMessageBytes: number;
  readonly handshakeTimeout: number;
}

const DEFAULT_MAX_MESSAGE = 2 ** 31;
const DEFAULT_HANDSHAKE = 10_000;

/** Validate what both ends take. */
export function checkOptions(options: SocketOptions): Checked {
  validateObject(options, 'options');
  const { maxMessageBytes = DEFAULT_MAX_MESSAGE, handshakeTimeout = DEFAULT_HANDSHAKE } = options;
  const authKey = options.authKey ?? options.authkey;
  if (authKey != null) validateAuthKey(authKey, 'options.authKey');
  validateNumber(maxMessageBytes, 'options.maxMessageBytes', 0, Infinity);
  validateNumber(handshakeTimeout, 'options.handshakeTimeout', 0, Infinity);
  return {
    authKey: authKey ?? undefined,
    maxMessageBytes: Math.min(Math.floor(maxMessageBytes), Number.MAX_SAFE_INTEGER),
    handshakeTimeout,
  };
}

function handshakeError(cause: unknown): unknown {
  if (cause instanceof AuthenticationError || cause instanceof AbortError) return cause;
  const why = cause instanceof TimeoutError ? 'was not finished in time' : `failed: ${(cause as Error).message}`;
  return Object.assign(new AuthenticationError(`The authentication ${why}`), { cause });
}

/** Make a connection of a connected socket, and see that the other end has the key. */
export async function authenticated(
  fd: number,
  side: Side,
  checked: Checked,
  signal?: AbortSignal,
): Promise<Connection> {
  const connection = new Connection(fd, { maxMessageBytes: checked.maxMessageBytes });
  if (checked.authKey === undefined) return connection;
  try {
    await shakeHands(connection, checked.authKey, side, checked.handshakeTimeout, signal);
    return connection;
  } catch (error) {
    connection.close();
    throw handshakeError(error);
  }
}

/** As {@link authenticated}, blocking the process. */
export function authenticatedSync(fd: number, side: Side, checked: Checked): Connection {
  const connection = new Connection(fd, { maxMessageBytes: checked.maxMessageBytes });
  if (checked.authKey === undefined) return connection;
  try {
    shakeHandsSync(connection, checked.authKey, side, checked.handshakeTimeout);
    return connection;
  } catch (error) {
    connection.close();
    throw handshakeError(error);
  }
}

/** Connects under way, which a forked child leaves to its parent. */
const connecting = emptyInChild(new Set<() => void>(), (stop) => stop());

/** A Unix listener with too many waiting clients says so and cannot be waited for: tried again after these times. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 50;

/** Resolves when the descriptor is writable, or after `pause` milliseconds. */
function until(fd: number | undefined, pause: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => end(() => reject(new AbortError(signal as AbortSignal)));
    const interest: Interest | undefined =
      fd === undefined ? undefined : { fd, events: WRITABLE, onReady: () => end(resolve) };
    const stop = () => {
      connecting.delete(stop);
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      if (interest !== undefined) dropInterest(interest, true);
    };
    const end = (settle: () => void) => {
      stop();
      settle();
    };
    if (signal?.aborted === true) return reject(new AbortError(signal));
    if (interest !== undefined) addInterest(interest);
    connecting.add(stop);
    if (pause < 0x7fffffff) timer = setTimeout(() => end(resolve), Math.ceil(pause));
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function connectError(code: number, target: Target): PosixError {
  return new PosixError(code, 'connect', pathOf(target));
}

function tooLate(target: Target): TimeoutError {
  return new TimeoutError(`Not connected to ${pathOf(target).path} in time`);
}

async function connect(target: Target, timeout: number, signal: AbortSignal | undefined): Promise<number> {
  const deadline = performance.now() + timeout;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const fd = native.connectTo(target.hostOrPath, target.port);
    if (fd >= 0) {
      try {
        await until(fd, deadline - performance.now(), signal);
        return finish(fd, target);
      } catch (error) {
        native.closeFd(fd);
        throw error;
      }
    }
    if (fd !== -EAGAIN || target.port !== undefined) throw connectError(fd, target);
    if (performance.now() >= deadline) throw tooLate(target);
    await until(undefined, pause, signal);
  }
}

function connectSync(target: Target, timeout: number): number {
  const deadline = performance.now() + timeout;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const fd = native.connectTo(target.hostOrPath, target.port);
    if (fd >= 0) {
      try {
        native.pollFd(fd, WRITABLE, timeout === Infinity ? -1 : Math.max(0, deadline - performance.now()));
        return finish(fd, target);
      } catch (error) {
        native.closeFd(fd);
        throw error;
      }
    }
    if (fd !== -EAGAIN || target.port !== undefined) throw connectError(fd, target);
    if (performance.now() >= deadline) throw tooLate(target);
    native.sleep(pause);
  }
}

function finish(fd: number, target: Target): number {
  if (native.pollFd(fd, WRITABLE, 0) === 0) throw tooLate(target);
  const failed = native.finishConnecting(fd);
  if (failed < 0) throw connectError(failed, target);
  return fd;
}

/**
 * Connect to a {@link Listener}, of any process that the address can be reached from.
 *
 * @param address - Its address: a path, `{ host, port }`, or `[host, port]`.
 * @param options - `authKey`: the listener's; both ends show that they have it. `timeout` and `signal` give up.
 * @returns A connection.
 * @throws {@link PosixError} `ECONNREFUSED`, `ENOENT` nobody listens there, and what else connect(2) gives.
 * @throws {@link AuthenticationError} `ERR_AUTHENTICATION` the keys differ, or one side has none.
 * @throws {@link TimeoutError} `ERR_TIMEOUT` not connected in time. All of these reject; nothing is thrown.
 * @remarks What comes over an unauthenticated TCP connection comes from anybody. With a key nothing is deserialised before
 * both ends have shown that they have it; what follows is neither encrypted nor signed.
 * @example
 * ```js
 * const connection = await Client({ host: '127.0.0.1', port: 6000 }, { authKey: 'secret' });
 * await connection.send(['hello', 42]);
 * ```
 * @see multiprocessing.connection.Client
 */
export async function Client(address: Address, options: ClientOptions = {}): Promise<Connection> {
  const checked = checkOptions(options);
  const { family, timeout = Infinity, signal } = options;
  validateNumber(timeout, 'options.timeout', 0, Infinity);
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  if (signal?.aborted === true) throw new AbortError(signal);
  const target = await resolved(parseAddress(address, family));
  return authenticated(await connect(target, timeout, signal), 'client', checked, signal);
}

/**
 * As {@link Client}, blocking the process.
 *
 * @param address - The listener's address.
 * @param options - As for {@link Client}, without `signal`.
 * @returns A connection.
 * @throws As {@link Client}.
 * @example
 * ```js
 * const connection = ClientSync('/tmp/service.sock', { authKey: 'secret' });
 * ```
 * @see multiprocessing.connection.Client
 */
export function ClientSync(address: Address, options: Omit<ClientOptions, 'signal'> = {}): Connection {
  const checked = checkOptions(options);
  const { family, timeout = Infinity } = options;
  validateNumber(timeout, 'options.timeout', 0, Infinity);
  const target = resolvedSync(parseAddress(address, family));
  return authenticatedSync(connectSync(target, timeout), 'client', checked);
}
