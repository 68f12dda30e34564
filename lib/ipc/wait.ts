/** Waiting for the first of several things. */
import type { Server, Socket } from 'node:net';
import { setImmediate } from 'node:timers';
import { AbortError, PosixError } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { waitWord, type WordWait } from '../shared/wait-word';
import { invalidType, validateAbortSignal, validateFd, validateNumber, validateObject } from '../validate';
import { isIterable } from '../values';
import { mayGoAtOnce, newTurn, pollWhileSending } from './channel';
import { addInterest, dropInterest, READABLE, woken, type Interest } from './poller';
import { kWaitable, type Waitable, type WaitableFd, type WaitableObject, type WaitableWord } from './waitable';

/**
 * What {@link wait} takes: a descriptor or `sentinel`, a process, a connection, a queue, a listener, a socket or server of
 * Node's.
 */
export type WaitObject = number | WaitableObject | Socket | Server;

/** How {@link wait} is given up. */
export interface WaitOptions {
  /** Milliseconds, where the options stand in the timeout's place. */
  readonly timeout?: number | null | undefined;
  /** Rejects the promise when aborted. */
  readonly signal?: AbortSignal;
}

/** An object, and how to wait for it. */
interface Item<T> {
  readonly object: T;
  readonly waitable: Waitable;
  /** The descriptor is registered for this wait only. */
  readonly isBorrowed: boolean;
}

/** How to wait for a socket or server of Node's, which Node reads from, and closes, when it likes. */
function waitableOf(object: Partial<Socket>, fd: unknown): WaitableFd {
  // Node has taken from the kernel what nobody has read yet.
  if (typeof fd === 'number' && fd >= 0) return { fd, ready: () => (object.readableLength ?? 0) > 0 };
  // One that is at its end stays ready when Node has closed it. poll(2) leaves out a descriptor of -1.
  if (object.readableEnded === true || object.errored != null) return { fd: -1, ready: () => true };
  throw invalidType('objects', 'open', object);
}

function itemOf<T>(object: T): Item<T> {
  if (typeof object === 'number') {
    validateFd(object, 'objects');
    return { object, waitable: { fd: object }, isBorrowed: true };
  }
  if (typeof object === 'object' && object !== null) {
    if (kWaitable in object)
      return { object, waitable: (object as unknown as WaitableObject)[kWaitable](), isBorrowed: false };
    const { _handle: handle } = object as { _handle?: { fd?: unknown } | null };
    if (handle !== undefined) return { object, waitable: waitableOf(object, handle?.fd), isBorrowed: true };
  }
  throw invalidType('objects', 'descriptors, processes, connections, queues, listeners or sockets', object);
}

const isFd = <T>(item: Item<T>): item is Item<T> & { waitable: WaitableFd } => 'fd' in item.waitable;
const isWord = <T>(item: Item<T>): item is Item<T> & { waitable: WaitableWord } => !('fd' in item.waitable);

/** Those that are ready, after at most so many milliseconds (-1: for ever) of blocking for descriptors. */
function look<T>(items: readonly Item<T>[], milliseconds: number): T[] {
  const early = new Set(items.filter(({ waitable }) => waitable.ready?.() === true));
  const fds = items.filter(isFd);
  const limit = early.size > 0 ? 0 : milliseconds;
  const readable =
    fds.length > 0
      ? pollWhileSending(
          fds.map(({ waitable }) => waitable.fd),
          limit,
        )
      : [];
  for (const [i, item] of fds.entries()) if (readable[i] !== 0) early.add(item);
  return items.filter((item) => early.has(item)).map(({ object }) => object);
}

/** The ends of the waits under way; in a forked child they are dropped. */
const waits = emptyInChild(new Set<() => void>(), (stop) => stop());

/**
 * Wait until at least one of several objects is ready: a connection or socket with something to be read or at its end, a
 * queue with an item, a listener with a client, a process that has ended (or its `sentinel`), any other descriptor that is
 * readable.
 *
 * @param objects - What to wait for.
 * @param timeout - Milliseconds; 0 or less only looks, `undefined`, `null` or `Infinity` waits for ever. Or the options.
 * @param options - `signal`: an `AbortSignal` that ends the waiting.
 * @returns All that are ready, in the order given; none when the time was over.
 * @throws {@link PosixError} `EBADF` a descriptor is not open.
 * @throws {@link AbortError} `ABORT_ERR` the waiting was given up.
 * @throws `ERR_CONNECTION_CLOSED`, `ERR_QUEUE_CLOSED`, `ERR_LISTENER_CLOSED` one was closed, before or meanwhile. These and wrong arguments reject; nothing is thrown.
 * @remarks The process stays alive while it waits. Of nothing, without a timeout, nothing is ready at once, where Python
 * waits for ever. In a forked child a wait of the parent's never settles.
 * @example
 * ```js
 * for (let open = connections; open.length > 0;) {
 *   for (const connection of await wait(open)) {
 *     try { console.log(await connection.recv()) } catch { open = open.filter((other) => other !== connection) }
 *   }
 * }
 * ```
 * @see multiprocessing.connection.wait
 */
export async function wait<T extends WaitObject>(
  objects: Iterable<T>,
  timeout?: number | null | WaitOptions,
  options: WaitOptions = typeof timeout === 'object' && timeout !== null ? timeout : {},
): Promise<T[]> {
  const given = parsed(objects, timeout);
  const { limit } = given;
  let { items } = given;
  validateObject(options, 'options');
  const { signal } = options;
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  if (signal?.aborted === true) throw new AbortError(signal);
  const deadline = performance.now() + limit;
  if (!mayGoAtOnce()) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    newTurn();
    items = anew(items);
  }
  for (;;) {
    const words = announce(items);
    const ready = look(items, 0);
    const left = deadline - performance.now();
    if (ready.length > 0 || left <= 0 || (items.length === 0 && limit === Infinity)) return ready;
    await somethingHappens(items, words, left, signal);
    items = anew(items);
  }
}

/**
 * As {@link wait}, blocking the process without using the CPU.
 *
 * @param objects - What to wait for.
 * @param timeout - Milliseconds, or `{ timeout }`; 0 or less only looks, `undefined`, `null` or `Infinity` waits for ever.
 * @returns All that are ready, in the order given; none when the time was over.
 * @throws As {@link wait}.
 * @example
 * ```js
 * const [ended] = waitSync(workers.map((worker) => worker.sentinel));
 * ```
 * @see multiprocessing.connection.wait
 */
export function waitSync<T extends WaitObject>(
  objects: Iterable<T>,
  timeout?: number | null | Pick<WaitOptions, 'timeout'>,
): T[] {
  const { items, limit } = parsed(objects, timeout);
  const deadline = performance.now() + limit;
  for (;;) {
    const words = announce(items);
    let ready = look(items, 0);
    const left = deadline - performance.now();
    if (ready.length > 0 || left <= 0 || (items.length === 0 && limit === Infinity)) return ready;
    const milliseconds = limit === Infinity ? -1 : left;
    if (words.length === 0) {
      ready = look(items, milliseconds);
      if (ready.length > 0) return ready;
    } else {
      const fds = items.filter(isFd).map(({ waitable }) => waitable.fd);
      const failed = native.pollFdsAndWords(fds, words, milliseconds);
      if (failed < 0) throw new PosixError(failed, 'poll');
    }
  }
}

function parsed<T extends WaitObject>(objects: Iterable<T>, limit: number | null | undefined | WaitOptions) {
  const given: unknown = objects;
  if (!isIterable(given)) {
    throw invalidType('objects', 'iterable', given);
  }
  const items = [...objects].map((object) => itemOf(object));
  const timeout = typeof limit === 'object' && limit !== null ? limit.timeout : limit;
  if (timeout != null) validateNumber(timeout, 'timeout', -Infinity, Infinity);
  return { items, limit: Math.max(0, timeout ?? Infinity) };
}

/** After a pause, in which some may have been closed: one that was throws, but for a socket of Node's at its end. */
function anew<T>(items: readonly Item<T>[]): Item<T>[] {
  return items.map(({ object }) => itemOf(object));
}

/** Offset and expected value of each word, one after the other. */
function announce(items: readonly Item<unknown>[]): number[] {
  return items.filter(isWord).flatMap(({ waitable }) => {
    const { offset, expected } = waitable.announce();
    return [offset, expected];
  });
}

/** Resolves when one of them may be ready or has been closed, or when the time is over. */
function somethingHappens(
  items: readonly Item<unknown>[],
  words: readonly number[],
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const interests: [Interest, boolean][] = [];
    const ofNode = items.flatMap(({ object, isBorrowed }) =>
      isBorrowed && typeof object === 'object' ? [object as Socket] : [],
    );
    const wordWaits: WordWait[] = [];
    let timer: NodeJS.Timeout | undefined;
    const stop = () => {
      waits.delete(stop);
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      for (const [interest, isBorrowed] of interests) dropInterest(interest, isBorrowed);
      for (const each of wordWaits) each.cancel();
      for (const { waitable } of items.filter(isWord)) waitable.onClose?.delete(onClosed);
      woken.delete(onWoken);
      for (const object of ofNode) object.off('close', onClosed);
    };
    const onReady = () => {
      stop();
      newTurn();
      resolve();
    };
    const onWoken = () => {
      if (items.some(({ waitable, isBorrowed }) => isBorrowed && waitable.ready?.() === true)) onReady();
    };
    const onAbort = () => {
      stop();
      reject(new AbortError(signal as AbortSignal));
    };
    const onClosed = () => {
      stop();
      resolve();
    };
    waits.add(stop);
    try {
      for (const { waitable, isBorrowed } of items.filter(isFd)) {
        const interest = { fd: waitable.fd, events: READABLE, onReady, onForgotten: onClosed };
        addInterest(interest);
        interests.push([interest, isBorrowed]);
      }
      if (ofNode.length > 0) woken.add(onWoken);
      for (const object of ofNode) object.on('close', onClosed);
      for (const { waitable } of items.filter(isWord)) waitable.onClose?.add(onClosed);
      for (let i = 0; i < words.length; i += 2) {
        wordWaits.push(waitWord(words[i] as number, words[i + 1] as number, onReady, { passesOn: true }));
      }
    } catch (error) {
      stop();
      throw error;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    // A longer time than a timer can take is looked at again.
    if (milliseconds !== Infinity) timer = setTimeout(onReady, Math.min(Math.ceil(milliseconds), 0x7fffffff));
  });
}
