/** `Queue`. */
import { ProcessError } from '../errors';
import type { ExistingQueue } from './base-queue';
import {
  BaseQueue,
  QueueKind,
  registerQueue,
  type AsyncQueueWaitOptions,
  type QueueOptions,
  type QueueWaitOptions,
} from './base-queue';

/**
 * A queue between processes: first in, first out, any number of producers and consumers.
 *
 * @remarks
 * Items are what structured clone takes, queues, locks and their like included; they are copied when they are put. What
 * cannot be cloned throws there, in Python only later, in its feeder thread. Promise forms leave the event loop free, Sync
 * forms block the process without using the CPU.
 *
 * Without `maxsize` putting never waits, as in Python: what the ring has no room for stays in this process until there is
 * room, and the process does not end before (see `cancelJoinThread`). A process that is killed inside a call neither blocks
 * the others nor damages what they get.
 * @example
 * ```js
 * const queue = new Queue();
 * new Process({ target: () => queue.putSync({ answer: 42 }) }).start();
 * console.log(await queue.get()); // { answer: 42 }
 * ```
 * @see multiprocessing.Queue
 */
export class Queue<T = unknown> extends BaseQueue<T> {
  /**
   * @param maxsize - Most items at a time; 0 or less: any number. Default 0.
   * @param options - `ringSize`.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE`; {@link PosixError} `ENOMEM` no shared memory is left.
   */
  constructor(maxsize?: number | null, options?: QueueOptions);
  /** @internal */
  constructor(maxsize: unknown, options: unknown, kind: QueueKind);
  constructor(maxsize?: unknown, options: unknown = {}, kind: QueueKind = QueueKind.Queue) {
    super(kind, maxsize ?? 0, options);
  }

  /**
   * Put an item, leaving the event loop free while there is no room.
   *
   * @param value - Anything that can be cloned. It is copied before the call returns.
   * @param block - False: only if there is room at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @throws {@link Full} no room, at once or in time. `DataCloneError` the item cannot be cloned; nothing is put.
   * `AbortError` the signal was aborted first; nothing is put. `ERR_QUEUE_CLOSED`.
   */
  put(value: T, block?: boolean | number | AsyncQueueWaitOptions | null, timeout?: number | null): Promise<void> {
    return this.putWithin(value, block, timeout);
  }

  /**
   * Put an item, blocking the process while there is no room.
   *
   * @param value - Anything that can be cloned.
   * @param block - False: only if there is room at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @throws As {@link put}.
   */
  putSync(value: T, block?: boolean | number | QueueWaitOptions | null, timeout?: number | null): void {
    this.putWithinSync(value, block, timeout);
  }

  /** Put an item if there is room at once; else throw {@link Full}. */
  putNowait(value: T): void {
    this.putWithinSync(value, false, undefined);
  }

  /**
   * Get the next item, leaving the event loop free while there is none.
   *
   * @param block - False: only if there is one at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns the item, this process's own.
   * @throws {@link Empty} no item, at once or in time. `AbortError` the signal was aborted first; nothing is taken.
   * `ERR_QUEUE_CLOSED`.
   */
  get(block?: boolean | number | AsyncQueueWaitOptions | null, timeout?: number | null): Promise<T> {
    return this.getWithin(block, timeout);
  }

  /**
   * Get the next item, blocking the process while there is none.
   *
   * @param block - False: only if there is one at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns the item, this process's own.
   * @throws As {@link get}.
   */
  getSync(block?: boolean | number | QueueWaitOptions | null, timeout?: number | null): T {
    return this.getWithinSync(block, timeout);
  }

  /** Get the next item if there is one at once; else throw {@link Empty}. */
  getNowait(): T {
    return this.getWithinSync(false, undefined);
  }

  /** The most items at a time; 0: any number. */
  get maxsize(): number {
    return this.memory.maxSize;
  }

  /** How many items have been put and not got; of those that a producer still keeps to itself, this process's only. */
  qsize(): number {
    this.outbox.flush();
    return this.memory.count + this.outbox.accepted;
  }

  /** Whether there are `maxsize` items; never without `maxsize`. */
  full(): boolean {
    return this.memory.maxSize > 0 && this.memory.count >= this.memory.maxSize;
  }

  /**
   * Wait until everything that this process has put is in shared memory; after `close()`.
   *
   * @throws `ERR_QUEUE_NOT_CLOSED` the queue is open.
   */
  async joinThread(): Promise<void> {
    this.#checkClosed();
    return this.outbox.flushed();
  }

  /** {@link joinThread}, blocking the process. */
  joinThreadSync(): void {
    this.#checkClosed();
    this.outbox.flushSync();
  }

  /**
   * Let this process end without waiting until everything that it has put is in shared memory; what is not is lost.
   */
  cancelJoinThread(): void {
    this.outbox.cancel();
  }

  /** Close at the end of the block of an `await using` declaration, and wait as {@link joinThread} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.joinThread();
  }

  #checkClosed(): void {
    if (this.closed) return;
    throw new ProcessError('The queue is not closed: call close() before joinThread()', {
      code: 'ERR_QUEUE_NOT_CLOSED',
    });
  }
}

registerQueue('Queue', Queue, QueueKind.Queue, (existing: ExistingQueue) => new Queue(existing, {}, QueueKind.Queue));
