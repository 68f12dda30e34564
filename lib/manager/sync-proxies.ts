/** The proxies of Queue, JoinableQueue, Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition and Barrier. */
import { OwnerDiedError } from '../errors';
import { Deadline } from '../sync/deadline';
import {
  readAcquire,
  readWait,
  type AcquireOptions,
  type AsyncAcquireOptions,
  type AsyncWaitOptions,
  type WaitOptions,
} from '../sync/options';
import { validateFunction } from '../validate';
import { addMethods, addReadings, BaseProxy, defineKind, type Reading } from './proxy';

const atOnce = [0];

/** A proxy for a `Queue` in a manager, with the calls of `Queue`: what gives no promise there gives one here. */
export class QueueProxy<T = unknown> extends BaseProxy implements AsyncIterable<T> {
  /** How many items there are. */
  declare qsize: () => Promise<number>;
  declare qsizeSync: () => number;
  /** Whether there is nothing to get. */
  declare empty: () => Promise<boolean>;
  declare emptySync: () => boolean;
  /** Whether there are `maxsize` items. */
  declare full: () => Promise<boolean>;
  declare fullSync: () => boolean;

  /**
   * Put an item.
   *
   * @param value - Anything that can be cloned.
   * @param block - False: only if there is room at once. Or everything as options. Default true.
   * @param timeout - Milliseconds to wait. Default: for ever.
   * @throws {@link Full} no room, at once or in time. `AbortError`, `ERR_MANAGER_GONE`.
   */
  async put(value: T, block?: boolean | AsyncAcquireOptions | null, timeout?: number | null): Promise<void> {
    const wait = readAcquire(block, timeout);
    await this.callMethod('put', [value, wait.timeout], wait);
  }

  /** As {@link QueueProxy.put}, blocking the process. */
  putSync(value: T, block?: boolean | AcquireOptions | null, timeout?: number | null): void {
    this.callMethodSync('put', [value, readAcquire(block, timeout).timeout]);
  }

  /** Put an item if there is room at once. */
  async putNowait(value: T): Promise<void> {
    await this.callMethod('put', [value, 0]);
  }

  /** As {@link QueueProxy.putNowait}, blocking the process. */
  putNowaitSync(value: T): void {
    this.callMethodSync('put', [value, 0]);
  }

  /**
   * Get the next item.
   *
   * @param block - False: only if there is one at once. Or everything as options. Default true.
   * @param timeout - Milliseconds to wait. Default: for ever.
   * @throws {@link Empty} no item, at once or in time. `AbortError`, `ERR_MANAGER_GONE`.
   */
  async get(block?: boolean | AsyncAcquireOptions | null, timeout?: number | null): Promise<T> {
    const wait = readAcquire(block, timeout);
    return (await this.callMethod('get', [wait.timeout], wait)) as T;
  }

  /** As {@link QueueProxy.get}, blocking the process. */
  getSync(block?: boolean | AcquireOptions | null, timeout?: number | null): T {
    return this.callMethodSync('get', [readAcquire(block, timeout).timeout]) as T;
  }

  /** Get the next item if there is one at once. */
  async getNowait(): Promise<T> {
    return (await this.callMethod('get', atOnce)) as T;
  }

  /** As {@link QueueProxy.getNowait}, blocking the process. */
  getNowaitSync(): T {
    return this.callMethodSync('get', atOnce) as T;
  }

  /** Get items for ever. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) yield await this.get();
  }
}
addMethods(QueueProxy.prototype, ['qsize', 'empty', 'full']);

/** A proxy for a `JoinableQueue` in a manager. */
export class JoinableQueueProxy<T = unknown> extends QueueProxy<T> {
  /** Say that a task taken from this queue is done, once for each. */
  declare taskDone: () => Promise<void>;
  declare taskDoneSync: () => void;

  /**
   * Wait until every item put so far is done.
   *
   * @param timeout - Milliseconds, or options. Default: for ever.
   * @returns false when they were not in time.
   */
  async join(timeout?: number | null | AsyncWaitOptions): Promise<boolean> {
    const wait = readWait(timeout);
    return (await this.callMethod('join', [wait.timeout], wait)) as boolean;
  }

  /** As {@link JoinableQueueProxy.join}, blocking the process. */
  joinSync(timeout?: number | null | WaitOptions): boolean {
    return this.callMethodSync('join', [readWait(timeout).timeout]) as boolean;
  }
}
addMethods(JoinableQueueProxy.prototype, ['taskDone']);

/** What can be acquired and released, in a manager. */
export class AcquirerProxy extends BaseProxy {
  /** An `OwnerDiedError` when the last `acquire` of this process got the lock of a holder that died, else null. */
  declare recovered: OwnerDiedError | null;
  /** Release it. */
  declare release: () => Promise<void>;
  declare releaseSync: () => void;
  /** Whether somebody holds it at this moment. */
  declare locked: () => Promise<boolean>;
  declare lockedSync: () => boolean;

  /**
   * Acquire it.
   *
   * @param block - False: only if it can be had at once. Or everything as options. Default true.
   * @param timeout - Milliseconds to wait. Default: for ever.
   * @returns false when it could not be had, or not in time.
   */
  async acquire(block?: boolean | AsyncAcquireOptions | null, timeout?: number | null): Promise<boolean> {
    const wait = readAcquire(block, timeout);
    return this.#took(await this.callMethod('acquire', [wait.timeout], wait));
  }

  /** As {@link AcquirerProxy.acquire}, blocking the process. */
  acquireSync(block?: boolean | AcquireOptions | null, timeout?: number | null): boolean {
    return this.#took(this.callMethodSync('acquire', [readAcquire(block, timeout).timeout]));
  }

  /** 0, 1, or 2: from a holder that died. Of a semaphore false or true. */
  #took(taken: unknown): boolean {
    if (taken === 2) this.recovered = new OwnerDiedError();
    else if (taken === 1 && this.recovered !== null) this.recovered = null;
    return Boolean(taken);
  }

  /**
   * Acquire it, run `fn`, and release it whatever becomes of that.
   *
   * @param fn - Sync or async.
   * @returns What `fn` gives.
   */
  async with<R>(fn: () => R | PromiseLike<R>): Promise<R> {
    await this.acquire();
    try {
      return await fn();
    } finally {
      await this.release();
    }
  }

  /** As {@link AcquirerProxy.with}, blocking the process. */
  withSync<R>(fn: () => R): R {
    this.acquireSync();
    try {
      return fn();
    } finally {
      this.releaseSync();
    }
  }

  /** Release it at the end of the block of a `using` declaration. */
  [Symbol.dispose](): void {
    this.releaseSync();
  }

  /** Release it at the end of the block of an `await using` declaration. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
addMethods(AcquirerProxy.prototype, ['release', 'locked']);
Object.defineProperty(AcquirerProxy.prototype, 'recovered', { value: null, writable: true, configurable: true });

/** A proxy for a `Semaphore` or `BoundedSemaphore` in a manager. */
export class SemaphoreProxy extends AcquirerProxy {
  /** The number now. */
  declare getValue: () => Promise<number>;
  declare getValueSync: () => number;
}
addMethods(SemaphoreProxy.prototype, ['getValue']);

/** A proxy for an `Event` in a manager. */
export class EventProxy extends BaseProxy {
  declare isSet: () => Promise<boolean>;
  declare isSetSync: () => boolean;
  /** Set the flag and wake everybody who waits for it. */
  declare set: () => Promise<void>;
  declare setSync: () => void;
  declare clear: () => Promise<void>;
  declare clearSync: () => void;

  /**
   * Wait until the flag is set.
   *
   * @param timeout - Milliseconds, or options. Default: for ever.
   * @returns false when it was not set in time.
   */
  async wait(timeout?: number | null | AsyncWaitOptions): Promise<boolean> {
    const wait = readWait(timeout);
    return (await this.callMethod('wait', [wait.timeout], wait)) as boolean;
  }

  /** As {@link EventProxy.wait}, blocking the process. */
  waitSync(timeout?: number | null | WaitOptions): boolean {
    return this.callMethodSync('wait', [readWait(timeout).timeout]) as boolean;
  }
}
addMethods(EventProxy.prototype, ['isSet', 'set', 'clear']);

/** A proxy for a `Condition` in a manager. */
export class ConditionProxy extends AcquirerProxy {
  /** Wake those who have waited longest, one by default. The lock has to be held. */
  declare notify: (n?: number) => Promise<void>;
  declare notifySync: (n?: number) => void;
  /** Wake everybody who waits. */
  declare notifyAll: () => Promise<void>;
  declare notifyAllSync: () => void;

  /**
   * Give the lock up until notified, and acquire it again.
   *
   * @param timeout - Milliseconds, or options. Default: for ever.
   * @returns false when there was no notification in time. The lock is held again either way.
   */
  async wait(timeout?: number | null | AsyncWaitOptions): Promise<boolean> {
    const wait = readWait(timeout);
    return (await this.callMethod('wait', [wait.timeout], wait)) as boolean;
  }

  /** As {@link ConditionProxy.wait}, blocking the process. */
  waitSync(timeout?: number | null | WaitOptions): boolean {
    return this.callMethodSync('wait', [readWait(timeout).timeout]) as boolean;
  }

  /**
   * Wait until `predicate`, asked with the lock held, now and after each notification, gives something true.
   *
   * @param predicate - Sync or async; runs in this process.
   * @param timeout - Milliseconds for all of it, or options. Default: for ever.
   * @returns What `predicate` gave last.
   */
  async waitFor<R>(predicate: () => R | PromiseLike<R>, timeout?: number | null | AsyncWaitOptions): Promise<R> {
    validateFunction(predicate, 'predicate');
    const { timeout: limit, signal } = readWait(timeout);
    const deadline = new Deadline(limit);
    let result = await predicate();
    while (!result && !deadline.isOver()) {
      await this.callMethod('wait', [deadline.left()], { signal });
      result = await predicate();
    }
    return result;
  }

  /** As {@link ConditionProxy.waitFor}, blocking the process. */
  waitForSync<R>(predicate: () => R, timeout?: number | null | WaitOptions): R {
    validateFunction(predicate, 'predicate');
    const deadline = new Deadline(readWait(timeout).timeout);
    let result = predicate();
    while (!result && !deadline.isOver()) {
      this.callMethodSync('wait', [deadline.left()]);
      result = predicate();
    }
    return result;
  }
}
addMethods(ConditionProxy.prototype, ['notify', 'notifyAll']);

/** A proxy for a `Barrier` in a manager. */
export class BarrierProxy extends BaseProxy {
  /** How many have to come: `await barrier.parties`. */
  declare readonly parties: Reading<number>;
  declare partiesSync: () => number;
  /** How many are waiting at this moment: `await barrier.nWaiting`. */
  declare readonly nWaiting: Reading<number>;
  declare nWaitingSync: () => number;
  /** Whether the barrier is broken: `await barrier.broken`. */
  declare readonly broken: Reading<boolean>;
  declare brokenSync: () => boolean;
  /** Empty the barrier: who waits gets a `BrokenBarrierError`, and it can be used again. */
  declare reset: () => Promise<void>;
  declare resetSync: () => void;
  /** Break the barrier until `reset()`. */
  declare abort: () => Promise<void>;
  declare abortSync: () => void;

  /**
   * Wait until all parties have come.
   *
   * @param timeout - Milliseconds, or options. Default: the barrier's.
   * @returns A number from 0 to `parties` - 1, another for each.
   * @throws {@link BrokenBarrierError} the barrier is broken, or is meanwhile, also by the end of a party that waits.
   */
  async wait(timeout?: number | null | AsyncWaitOptions): Promise<number> {
    const wait = readWait(timeout);
    return (await this.callMethod('wait', [wait.timeout], wait)) as number;
  }

  /** As {@link BarrierProxy.wait}, blocking the process. */
  waitSync(timeout?: number | null | WaitOptions): number {
    return this.callMethodSync('wait', [readWait(timeout).timeout]) as number;
  }
}
addMethods(BarrierProxy.prototype, ['reset', 'abort']);
addReadings(BarrierProxy.prototype, ['parties', 'nWaiting', 'broken']);

const acquirer = ['acquire', 'release', 'locked'];
const queue = ['put', 'get', 'qsize', 'empty', 'full'];

/** Exposed methods, by kind. */
export const exposedSync: Readonly<Record<string, readonly string[]>> = {
  Queue: queue,
  JoinableQueue: [...queue, 'taskDone', 'join'],
  Lock: acquirer,
  RLock: acquirer,
  Semaphore: [...acquirer, 'getValue'],
  BoundedSemaphore: [...acquirer, 'getValue'],
  Event: ['isSet', 'set', 'clear', 'wait'],
  Condition: [...acquirer, 'wait', 'notify', 'notifyAll'],
  Barrier: ['wait', 'reset', 'abort', 'parties', 'nWaiting', 'broken'],
};

defineKind('Queue', QueueProxy);
defineKind('JoinableQueue', JoinableQueueProxy);
for (const kind of ['Lock', 'RLock']) defineKind(kind, AcquirerProxy);
for (const kind of ['Semaphore', 'BoundedSemaphore']) defineKind(kind, SemaphoreProxy);
defineKind('Event', EventProxy);
defineKind('Condition', ConditionProxy);
defineKind('Barrier', BarrierProxy);
