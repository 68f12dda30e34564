/** `SimpleQueue`. */
import {
  BaseQueue,
  ExistingQueue,
  QueueKind,
  registerQueue,
  type AsyncQueueWaitOptions,
  type QueueOptions,
  type QueueWaitOptions,
} from './base-queue';

/**
 * A queue between processes with the least there can be: `put`, `get`, `empty`, `close`.
 *
 * @remarks Putting waits while the ring has no room: nothing stays behind in the process that put it, a large item's last
 * parts excepted. Python's has no timeouts; here `put` and `get` take those of a `Queue`.
 * @example
 * ```js
 * const queue = new SimpleQueue();
 * new Process({ target: () => queue.putSync('hello') }).start();
 * console.log(await queue.get()); // hello
 * ```
 * @see multiprocessing.SimpleQueue
 */
export class SimpleQueue<T = unknown> extends BaseQueue<T> {
  /**
   * @param options - `ringSize`.
   * @throws {@link PosixError} `ENOMEM` no shared memory is left.
   */
  constructor(options?: QueueOptions);
  /** @internal */
  constructor(existing: ExistingQueue);
  constructor(options: QueueOptions | ExistingQueue = {}) {
    super(QueueKind.SimpleQueue, options instanceof ExistingQueue ? options : 0, options);
  }

  /**
   * Put an item, leaving the event loop free while there is no room.
   *
   * @param value - Anything that can be cloned.
   * @param block - False: only if there is room at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @throws `DataCloneError` the item cannot be cloned; nothing is put. {@link Full}, `AbortError`, `ERR_QUEUE_CLOSED`.
   */
  put(value: T, block?: boolean | number | AsyncQueueWaitOptions | null, timeout?: number | null): Promise<void> {
    return this.putWithin(value, block, timeout);
  }

  /** {@link put}, blocking the process. */
  putSync(value: T, block?: boolean | number | QueueWaitOptions | null, timeout?: number | null): void {
    this.putWithinSync(value, block, timeout);
  }

  /**
   * Get the next item, leaving the event loop free while there is none.
   *
   * @param block - False: only if there is one at once. Or everything as options, or the milliseconds. Default true.
   * @param timeout - Milliseconds to wait; a negative number is 0. Default: for ever.
   * @returns the item, this process's own.
   * @throws {@link Empty} no item, at once or in time. `AbortError`, `ERR_QUEUE_CLOSED`.
   */
  get(block?: boolean | number | AsyncQueueWaitOptions | null, timeout?: number | null): Promise<T> {
    return this.getWithin(block, timeout);
  }

  /** {@link get}, blocking the process. */
  getSync(block?: boolean | number | QueueWaitOptions | null, timeout?: number | null): T {
    return this.getWithinSync(block, timeout);
  }
}

registerQueue('SimpleQueue', SimpleQueue, QueueKind.SimpleQueue, (existing) => new SimpleQueue(existing));
