/** `SyncManager`, with the types that programs share most, and `Manager()`, which starts one. */
import type { ElementTypeOrCode, Element } from '../shared/element-type';
import { BaseManager, type ManagerOptions } from './manager';
import type { PoolOptions } from '../pool/pool';
import { Context } from '../process/context';
import { exposedPool, type PoolProxy } from './pool-proxy';
import {
  exposed,
  type ArrayProxy,
  type DictProxy,
  type DictSource,
  type ListProxy,
  type NamespaceProxy,
  type ValueProxy,
} from './proxies';
import { BarrierReferent } from './referents/barrier';
import { ConditionReferent } from './referents/condition';
import { DictReferent, ListReferent, NamespaceReferent } from './referents/containers';
import { EventReferent } from './referents/event';
import { LockReferent, RLockReferent } from './referents/locks';
import { PoolReferent } from './referents/pool';
import { QueueReferent } from './referents/queue';
import { BoundedSemaphoreReferent, SemaphoreReferent } from './referents/semaphores';
import { SharedArrayReferent, SharedValueReferent } from './referents/shared';
import {
  exposedSync,
  type AcquirerProxy,
  type BarrierProxy,
  type ConditionProxy,
  type EventProxy,
  type JoinableQueueProxy,
  type QueueProxy,
  type SemaphoreProxy,
} from './sync-proxies';
import { registerBuiltIn, type Callable } from './types';

/** What a `SyncManager` makes. */
export interface SyncTypes {
  /** A Map that processes share; of an object, a Map, pairs, or nothing. */
  dict<K = string, V = unknown>(...sources: DictSource<K, V>[]): Promise<DictProxy<K, V>>;
  /** An array that processes share; of an iterable, or nothing. */
  list<T = unknown>(items?: Iterable<T>): Promise<ListProxy<T>>;
  /** An object whose properties processes share. */
  Namespace<T extends object = Record<string, unknown>>(values?: T): Promise<NamespaceProxy<T>>;
  /** @param maxsize - Most items at a time; 0 or less: any number. Default 0. */
  Queue<T = unknown>(maxsize?: number): Promise<QueueProxy<T>>;
  JoinableQueue<T = unknown>(maxsize?: number): Promise<JoinableQueueProxy<T>>;
  /** A lock whose holder is a process; its end frees it, and shows in `recovered`. */
  Lock(): Promise<AcquirerProxy>;
  RLock(): Promise<AcquirerProxy>;
  Semaphore(value?: number): Promise<SemaphoreProxy>;
  BoundedSemaphore(value?: number): Promise<SemaphoreProxy>;
  Event(): Promise<EventProxy>;
  /** @param lock - A Lock or RLock of this manager. Default: a new RLock. */
  Condition(lock?: AcquirerProxy | null): Promise<ConditionProxy>;
  /** @param action - Runs in a server process forked for it, which has what the program has now. */
  Barrier(parties: number, action?: (() => unknown) | null, timeout?: number | null): Promise<BarrierProxy>;
  /** Functions on all cores, by workers of the process that hands them in; `close` and `join` concern all processes. */
  Pool(processes?: number | null, options?: PoolOptions): Promise<PoolProxy>;
  SharedValue<T extends ElementTypeOrCode>(type: T, initial?: number | bigint): Promise<ValueProxy<T>>;
  SharedArray<T extends ElementTypeOrCode>(
    type: T,
    lengthOrInitial: number | Iterable<Element<T> | number>,
  ): Promise<ArrayProxy<T>>;
  /** The same as `SharedValue`. */
  Value<T extends ElementTypeOrCode>(type: T, initial?: number | bigint): Promise<ValueProxy<T>>;
  /** The same as `SharedArray`. */
  Array<T extends ElementTypeOrCode>(
    type: T,
    lengthOrInitial: number | Iterable<Element<T> | number>,
  ): Promise<ArrayProxy<T>>;
}

/** The same, blocking the process. */
export interface BlockingSyncTypes {
  dictSync<K = string, V = unknown>(...sources: DictSource<K, V>[]): DictProxy<K, V>;
  listSync<T = unknown>(items?: Iterable<T>): ListProxy<T>;
  NamespaceSync<T extends object = Record<string, unknown>>(values?: T): NamespaceProxy<T>;
  QueueSync<T = unknown>(maxsize?: number): QueueProxy<T>;
  JoinableQueueSync<T = unknown>(maxsize?: number): JoinableQueueProxy<T>;
  LockSync(): AcquirerProxy;
  RLockSync(): AcquirerProxy;
  SemaphoreSync(value?: number): SemaphoreProxy;
  BoundedSemaphoreSync(value?: number): SemaphoreProxy;
  EventSync(): EventProxy;
  ConditionSync(lock?: AcquirerProxy | null): ConditionProxy;
  BarrierSync(parties: number, action?: (() => unknown) | null, timeout?: number | null): BarrierProxy;
  PoolSync(processes?: number | null, options?: PoolOptions): PoolProxy;
  SharedValueSync<T extends ElementTypeOrCode>(type: T, initial?: number | bigint): ValueProxy<T>;
  SharedArraySync<T extends ElementTypeOrCode>(
    type: T,
    lengthOrInitial: number | Iterable<Element<T> | number>,
  ): ArrayProxy<T>;
  ValueSync<T extends ElementTypeOrCode>(type: T, initial?: number | bigint): ValueProxy<T>;
  ArraySync<T extends ElementTypeOrCode>(
    type: T,
    lengthOrInitial: number | Iterable<Element<T> | number>,
  ): ArrayProxy<T>;
}

const types: Readonly<Record<string, Callable>> = {
  dict: DictReferent,
  list: ListReferent,
  Namespace: NamespaceReferent,
  Queue: QueueReferent,
  JoinableQueue: QueueReferent,
  Lock: LockReferent,
  RLock: RLockReferent,
  Semaphore: SemaphoreReferent,
  BoundedSemaphore: BoundedSemaphoreReferent,
  Event: EventReferent,
  Condition: ConditionReferent,
  Barrier: BarrierReferent,
  Pool: PoolReferent,
  SharedValue: SharedValueReferent,
  SharedArray: SharedArrayReferent,
};

class SyncManagerClass extends BaseManager {}
Object.defineProperty(SyncManagerClass, 'name', { value: 'SyncManager' });

const methods: Readonly<Record<string, readonly string[]>> = { ...exposed, ...exposedSync, Pool: exposedPool };
for (const [typeid, callable] of Object.entries(types)) {
  registerBuiltIn(SyncManagerClass, typeid, callable, typeid, methods[typeid] ?? []);
}
registerBuiltIn(SyncManagerClass, 'Value', SharedValueReferent, 'SharedValue', methods['SharedValue'] ?? []);
registerBuiltIn(SyncManagerClass, 'Array', SharedArrayReferent, 'SharedArray', methods['SharedArray'] ?? []);

/**
 * A manager with `dict`, `list`, `Namespace`, `Queue`, the locks, `SharedValue` and `SharedArray`; `Manager()` starts one.
 *
 * @example
 * ```js
 * class MyManager extends SyncManager {}
 * MyManager.register('Tally', Tally);
 * await using manager = await new MyManager().start();
 * ```
 * @see multiprocessing.managers.SyncManager
 */
export type SyncManager = BaseManager & SyncTypes & BlockingSyncTypes;

/** The class of {@link SyncManager}. */
export const SyncManager = SyncManagerClass as unknown as Omit<typeof BaseManager, 'prototype'> &
  (new (options?: ManagerOptions) => SyncManager);

/**
 * Start a server process for objects that processes share.
 *
 * @param options - `address`, `authKey`: for clients of other families; `initializer`, `initargs`.
 * @returns The manager. Its server ends by `shutdown()`, at the end of an `await using` block, or with this process.
 * @throws What the initializer throws; {@link PosixError} `EADDRINUSE` and its like. All of these reject.
 * @example
 * ```js
 * await using manager = await Manager();
 * const counts = await manager.dict({ done: 0 });
 * const worker = new Process({ target: () => counts.setSync('done', 1) });
 * worker.start();
 * await worker.join();
 * console.log(await counts.get('done')); // 1
 * ```
 * @see multiprocessing.Manager
 */
export async function Manager(options: ManagerOptions = {}): Promise<SyncManager> {
  return new SyncManager(options).start();
}

/**
 * As {@link Manager}, blocking the process.
 *
 * @param options - As for {@link Manager}.
 * @returns The manager.
 * @example
 * ```js
 * const counts = ManagerSync().dictSync({ done: 0 });
 * ```
 * @see multiprocessing.Manager
 */
export function ManagerSync(options: ManagerOptions = {}): SyncManager {
  return new SyncManager(options).startSync();
}

/**
 * Connect to the server of a manager that another process has started.
 *
 * @param options - `address` and `authKey`: the server's.
 * @returns A manager that makes objects there; it cannot shut the server down.
 * @throws {@link AuthenticationError} the keys differ; {@link PosixError} `ECONNREFUSED` and its like.
 * @example
 * ```js
 * const manager = await connectManager({ address: { host: '127.0.0.1', port: 50000 }, authKey: 'secret' });
 * ```
 * @see multiprocessing.managers.BaseManager.connect
 */
export async function connectManager(options: ManagerOptions): Promise<SyncManager> {
  return new SyncManager(options).connect();
}

declare module '../process/context' {
  interface Context {
    /** The same for every start method: the server is a fork, so that it knows all types. */
    readonly Manager: typeof Manager;
    readonly ManagerSync: typeof ManagerSync;
  }
}

// A layer above `process` gives its names to the contexts.
for (const value of [Manager, ManagerSync]) Object.defineProperty(Context.prototype, value.name, { value });
