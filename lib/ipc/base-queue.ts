/** What {@link Queue}, {@link SimpleQueue} and {@link JoinableQueue} have in common. */
import { inspect } from 'node:util';
import { Empty, Full, ProcessError } from '../errors';
import { arena, requireFamily } from '../shared/arena';
import { readAcquire, type AcquireOptions, type AsyncAcquireOptions, type Wait } from '../sync/options';
import { invalidType, outOfRange, validateInteger, validateObject } from '../validate';
import { rejection } from './channel';
import type { EncoderState } from './encoder';
import { registerHandle } from './handles';
import { Inbox } from './inbox';
import { Outbox, ownMessage } from './outbox';
import { RING_OFFSET } from './ring-layout';
import { RingMemory } from './ring-memory';
import type { RingReader } from './ring-reader';
import type { Message } from './ring-writer';
import { decode, encodeWith, pieces } from './serialize';
import { kWaitable, type WaitableWord } from './waitable';

/** Options of a new queue. */
export interface QueueOptions {
  /**
   * Bytes of shared memory through which the items go; a power of two from 4,096 to 2^29. Default: 32 MiB, of which only
   * what is used at the same time takes memory. Larger items go through in parts.
   */
  readonly ringSize?: number | undefined;
}

/** Whether and how long `putSync` and `getSync` wait. */
export type QueueWaitOptions = AcquireOptions;

/** Whether and how long `put` and `get` wait, and what else ends the wait. */
export type AsyncQueueWaitOptions = AsyncAcquireOptions;

/** Names the class of a queue in its memory. */
export const enum QueueKind {
  Queue = 1,
  SimpleQueue,
  JoinableQueue,
}

/** Given to a constructor in place of its arguments. Internal: user code has no offset to make one of. */
export class ExistingQueue {
  constructor(readonly offset: number) {}
}

/** Where a queue keeps its {@link RingMemory}. */
const kMemory = Symbol('realfork.ringMemory');
const forEver: Wait = { timeout: -1, signal: undefined };

const DEFAULT_SIZE = 32 * 1024 * 1024;
/** Copying more than this is avoided. */
const encodeOptions = { cutFrom: 64 * 1024 };

const objects = new Map<number, WeakRef<object>>();
const ends = new FinalizationRegistry<number>((offset) => {
  if (objects.get(offset)?.deref() === undefined) objects.delete(offset);
});

function readSize({ ringSize = DEFAULT_SIZE }: QueueOptions): number {
  validateInteger(ringSize, 'options.ringSize', RING_OFFSET, 2 ** 29);
  if (!Number.isInteger(Math.log2(ringSize))) throw outOfRange('options.ringSize', 'a power of two', ringSize);
  return ringSize;
}

function messageOf({ scratch, at, cuts }: EncoderState): Message {
  if (cuts === undefined) return { bytes: scratch, parts: undefined, length: at, isOwn: false };
  const parts = pieces(scratch, at, cuts);
  let length = 0;
  for (const part of parts) length += part.length;
  return { bytes: scratch, parts, length, isOwn: false };
}

function toMessage(value: unknown, outbox: Outbox): Message {
  const message = encodeWith(value, encodeOptions, messageOf);
  return outbox.writer.isLarge(message.length) ? ownMessage(message) : message;
}

const adopting = { adopt: true };

function toValue({ received, length, isOwn }: RingReader): unknown {
  return decode(received, isOwn ? adopting : { length });
}

const nothing = () => new Empty();

function orFull(isPut: boolean): void {
  if (!isPut) throw new Full();
}

/** A queue between processes. */
export abstract class BaseQueue<T> {
  /** @internal */
  protected readonly memory: RingMemory;
  /** @internal */
  protected readonly outbox: Outbox;
  readonly #inbox: Inbox;
  /** Who wait for it with `wait()`. */
  readonly #onClose = new Set<() => void>();
  #isClosed = false;

  /** @internal */
  protected constructor(kind: QueueKind, maxSize: unknown, options: unknown) {
    if (maxSize instanceof ExistingQueue) {
      this.memory = new RingMemory({ offset: maxSize.offset });
    } else {
      validateInteger(maxSize, 'maxsize', -2147483648, 2147483647);
      validateObject(options, 'options');
      this.memory = new RingMemory({ kind, maxSize: Math.max(0, maxSize), size: readSize(options) });
    }
    this.outbox = new Outbox(this.memory, kind !== QueueKind.SimpleQueue && this.memory.maxSize === 0);
    this.#inbox = new Inbox(this.memory, this.outbox, toValue);
    objects.set(this.memory.offset, new WeakRef(this));
    ends.register(this, this.memory.offset);
  }

  // Not async, as the promise of what can be done at once shall cost no more than a promise.

  /** @internal */
  protected putWithin(value: T, block: unknown, timeout: unknown): Promise<void> {
    try {
      this.#checkOpen();
      const wait = readWaiting(block, timeout);
      const isPut = this.outbox.put(toMessage(value, this.outbox), wait);
      return isPut === true ? Promise.resolve() : isPut.then(orFull);
    } catch (error) {
      return rejection(error);
    }
  }

  /** @internal */
  protected putWithinSync(value: T, block: unknown, timeout: unknown): void {
    this.#checkOpen();
    const wait = readWaiting(block, timeout);
    orFull(this.outbox.putSync(toMessage(value, this.outbox), wait.timeout));
  }

  /** @internal */
  protected getWithin(block?: unknown, timeout?: unknown): Promise<T> {
    try {
      this.#checkOpen();
      return this.#inbox.take(nothing, readWaiting(block, timeout)) as Promise<T>;
    } catch (error) {
      return rejection(error);
    }
  }

  /** @internal */
  protected getWithinSync(block: unknown, timeout: unknown): T {
    this.#checkOpen();
    const item = this.#inbox.takeSync(readWaiting(block, timeout).timeout);
    if (item === undefined) throw new Empty();
    return toValue(item) as T;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError();
  }

  /** Whether there is nothing to get at this moment, as far as this process can tell. */
  empty(): boolean {
    this.outbox.flush();
    return this.memory.isEmpty && this.outbox.accepted === 0;
  }

  /** Whether `close()` has been called in this process. */
  get closed(): boolean {
    return this.#isClosed;
  }

  /**
   * Items lost so far because a process was killed while it was writing them, or reading them in parts.
   *
   * @remarks Python's queues have no such count: there the death of a process inside `put` or `get` may block all others.
   */
  get dropped(): number {
    return this.memory.dropped;
  }

  /**
   * Say that this process puts and gets no more. Its calls that wait are rejected with `ERR_QUEUE_CLOSED`; what it has put
   * goes its way. May be called more than once.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#inbox.rejectAll(closedError);
    this.outbox.rejectAll(closedError);
    for (const tell of [...this.#onClose]) tell();
  }

  /** Get items for ever: the loop ends when this process closes the queue. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    while (!this.#isClosed) {
      let item: T;
      try {
        item = await this.getWithin();
      } catch (error) {
        if (error instanceof ProcessError && error.code === 'ERR_QUEUE_CLOSED') return;
        throw error;
      }
      yield item;
    }
  }

  /** Close at the end of the block of a `using` declaration. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Show how much is in it: `<Queue items=2 maxsize=6>`. */
  toString(): string {
    const { count, maxSize } = this.memory;
    const state = this.#isClosed ? 'closed' : `items=${count + this.outbox.accepted}`;
    return `<${this.constructor.name} ${state}${maxSize > 0 ? ` maxsize=${maxSize}` : ''}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal */
  [kWaitable](): WaitableWord {
    this.#checkOpen();
    const { memory, outbox } = this;
    return {
      onClose: this.#onClose,
      announce: () => memory.getGate.announce(),
      ready() {
        if (!outbox.isFlushed) outbox.flush();
        if (memory.isEmpty) return false;
        memory.getGate.passOn();
        return true;
      },
    };
  }

  /** @internal */
  get [kMemory](): RingMemory {
    return this.memory;
  }
}

function closedError(): ProcessError {
  return new ProcessError('The queue is closed in this process', { code: 'ERR_QUEUE_CLOSED' });
}

/** The arguments of `get(block | options, timeout)`. */
function readWaiting(block: unknown, timeout: unknown): Wait {
  return block === undefined && timeout === undefined ? forEver : readAcquire(block, timeout);
}

/** Let the instances of a class be sent between the processes of a family. */
export function registerQueue<Q extends BaseQueue<unknown>>(
  name: string,
  Class: abstract new (...args: never[]) => Q,
  kind: QueueKind,
  revive: (existing: ExistingQueue) => Q,
): void {
  registerHandle<Q>({
    tag: name,
    Class,
    reduce(queue) {
      const memory = queue[kMemory];
      memory.markSent();
      return { arena: arena().id, offset: memory.offset };
    },
    revive(data) {
      const { arena: id, offset } = (data ?? {}) as { arena?: unknown; offset?: unknown };
      requireFamily(id, name);
      if (RingMemory.kindAt(offset) !== kind) throw invalidType('offset', `that of a ${name}`, offset);
      const known = objects.get(offset as number)?.deref() as Q | undefined;
      // One that was closed here is a new one when it is received again, as it would be in another process.
      return known === undefined || known.closed ? revive(new ExistingQueue(offset as number)) : known;
    },
  });
}
