/** Waiting for the first of several things. */
import type { Server, Socket } from 'node:net';
import { setImmediate } from 'node:timers';
import { AbortError, PosixError } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { waitWord, type WordWait } from '../shared/wait-word';
import { invalidType, validateAbortSignal, validateFd, validateNumber, validateObject } from '../validate';
import { mayGoAtOnce, newTurn, pollWhileSending } from './channel';
import { addInterest, dropInterest, READABLE, type Interest } from './poller';
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

function itemOf<T>(object: T): Item<T> {
  if (typeof object === 'number') {
    validateFd(object, 'objects');
    return { object, waitable: { fd: object }, isBorrowed: true };
  }
  if (typeof object === 'object' && object !== null) {
    if (kWaitable in object)
      return { object, waitable: (object as unknown as WaitableObject)[kWaitable](), isBorrowed: false };
    const { _handle: handle } = object as { _handle?: { fd?: unknown } | null };
    if (handle !== undefined) {
      if (typeof handle?.fd !== 'number' || handle.fd < 0) throw invalidType('objects', 'open', object);
      // A socket that reads ahead has taken from the kernel what nobody has read yet.
      const ready = () => ((object as { readableLength?: number }).readableLength ?? 0) > 0;
      return { object, waitable: { fd: handle.fd, ready }, isBorrowed: true };
    }
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
  const { items, limit } = parsed(objects, timeout);
  validateObject(options, 'options');
  const { signal } = options;
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  if (signal?.aborted === true) throw new AbortError(signal);
  const deadline = performance.now() + limit;
  if (!mayGoAtOnce()) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    newTurn();
  }
  for (;;) {
    const words = announce(items);
    const ready = look(items, 0);
    const left = deadline - performance.now();
    if (ready.length > 0 || left <= 0 || (items.length === 0 && limit === Infinity)) return ready;
    const isClosed = await somethingHappens(items, words, left, signal);
    if (isClosed) for (const { object } of items) itemOf(object); // the one that was closed throws
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
  if (typeof given !== 'object' || given === null || !(Symbol.iterator in given)) {
    throw invalidType('objects', 'iterable', given);
  }
  const items = [...objects].map((object) => itemOf(object));
  const timeout = typeof limit === 'object' && limit !== null ? limit.timeout : limit;
  if (timeout != null) validateNumber(timeout, 'timeout', -Infinity, Infinity);
  return { items, limit: Math.max(0, timeout ?? Infinity) };
}

/** Offset and expected value of each word, one after the other. */
function announce(items: readonly Item<unknown>[]): number[] {
  return items.filter(isWord).flatMap(({ waitable }) => {
    const { offset, expected } = waitable.announce();
    return [offset, expected];
  });
}

/** Resolves when one of them may be ready, the time is over, or with true when this process has closed one. */
function somethingHappens(
  items: readonly Item<unknown>[],
  words: readonly number[],
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const interests: [Interest, boolean][] = [];
    const wordWaits: WordWait[] = [];
    let timer: NodeJS.Timeout | undefined;
    const stop = () => {
      waits.delete(stop);
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      for (const [interest, isBorrowed] of interests) dropInterest(interest, isBorrowed);
      for (const each of wordWaits) each.cancel();
      for (const { waitable } of items.filter(isWord)) waitable.onClose?.delete(onClosed);
    };
    const onReady = () => {
      stop();
      newTurn();
      resolve(false);
    };
    const onAbort = () => {
      stop();
      reject(new AbortError(signal as AbortSignal));
    };
    const onClosed = () => {
      stop();
      resolve(true);
    };
    waits.add(stop);
    try {
      for (const { waitable, isBorrowed } of items.filter(isFd)) {
        const interest = { fd: waitable.fd, events: READABLE, onReady, onForgotten: onClosed };
        addInterest(interest);
        interests.push([interest, isBorrowed]);
      }
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
