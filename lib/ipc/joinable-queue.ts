/** `JoinableQueue`. */
import { codedError } from '../errors';
import type { ExistingQueue } from './base-queue';
import { QueueKind, registerQueue, type QueueOptions } from './base-queue';
import { Queue } from './queue';

/**
 * A {@link Queue} whose items are tasks: who gets one says when it is done, and `join` waits until all are.
 *
 * @example
 * ```js
 * const tasks = new JoinableQueue();
 * new Process({ daemon: true, target: async () => { for await (const task of tasks) { await work(task); tasks.taskDone(); } } }).start();
 * for (const task of ['a', 'b', 'c']) tasks.putNowait(task);
 * await tasks.join();
 * ```
 * @see multiprocessing.JoinableQueue
 */
export class JoinableQueue<T = unknown> extends Queue<T> {
  /**
   * @param maxsize - Most items at a time; 0 or less: any number. Default 0.
   * @param options - `ringSize`.
   */
  constructor(maxsize?: number | null, options?: QueueOptions);
  /** @internal */
  constructor(existing: ExistingQueue);
  constructor(maxsize?: unknown, options: unknown = {}) {
    super(maxsize ?? 0, options, QueueKind.JoinableQueue);
  }

  /**
   * Say that a task taken from this queue is done, once for each.
   *
   * @throws `ERR_OUT_OF_RANGE` there is no task that is not done.
   */
  taskDone(): void {
    if (!this.memory.taskDone()) {
      throw codedError(RangeError, 'ERR_OUT_OF_RANGE', 'taskDone() was called more often than items were put');
    }
  }

  /**
   * Wait until every item put so far is done, leaving the event loop free.
   *
   * @remarks An item that was lost because a process was killed while writing or reading it counts as done. A task whose
   * process dies after it has got it never is, as in Python.
   */
  async join(): Promise<void> {
    await this.outbox.flushed();
    const { memory } = this;
    const before = memory.timesDone;
    const isDone = () => memory.unfinished === 0 || memory.timesDone !== before;
    while (!isDone()) {
      memory.joinGate.mark();
      if (isDone()) break;
      await new Promise<void>((resolve) => void memory.joinGate.wait(resolve));
    }
    memory.joinGate.passOn();
  }

  /** {@link join}, blocking the process. */
  joinSync(): void {
    this.outbox.flushSync();
    const { memory } = this;
    const before = memory.timesDone;
    const isDone = () => memory.unfinished === 0 || memory.timesDone !== before;
    while (!isDone()) {
      memory.joinGate.mark();
      if (isDone()) break;
      memory.joinGate.waitSync(-1);
    }
    memory.joinGate.passOn();
  }
}

registerQueue('JoinableQueue', JoinableQueue, QueueKind.JoinableQueue, (existing) => new JoinableQueue(existing));
