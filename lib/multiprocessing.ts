/** `realfork/multiprocessing`: Python's multiprocessing for Node. Re-exports only. */
export {
  AuthenticationError,
  BrokenBarrierError,
  BufferTooShort,
  DataCloneError,
  Empty,
  EOFError,
  Full,
  InvalidMessageError,
  MaybeEncodingError,
  OwnerDiedError,
  ProcessError,
  TimeoutError,
  WorkerDiedError,
} from './errors';

export { families, type Address, type Family, type InetAddress } from './ipc/address';
export {
  answerChallenge,
  answerChallengeSync,
  deliverChallenge,
  deliverChallengeSync,
  type AuthKey,
  type ChallengeConnection,
  type ChallengeConnectionSync,
} from './ipc/challenge';
export type { TransferOptions } from './ipc/channel';
export { Client, ClientSync, type ClientOptions, type SocketOptions } from './ipc/client';

export {
  Connection,
  type ConnectionOptions,
  type PollOptions,
  type RecvBytesOptions,
  type SendBytesOptions,
} from './ipc/connection';
export { DupFd } from './ipc/dup-fd';
export { Listener, type AcceptOptions, type ListenerOptions } from './ipc/listener';
export { Pipe, type PipeOptions } from './ipc/pipe';
export { wait, waitSync, type WaitObject, type WaitOptions as ConnectionWaitOptions } from './ipc/wait';

export { SharedArray } from './shared/array';
export type { Element, ElementType, ElementTypeOrCode } from './shared/element-type';
export type { SharedOptions } from './shared/guarded';
export { SharedMemory, type SharedMemoryOptions } from './shared/memory';
export { SharedValue } from './shared/value';
export { ShareableList, type ShareableListOptions } from './shared/shareable-list';
export type { Shareable } from './shared/list-item';

export { Barrier, type BarrierOptions } from './sync/barrier';
export { Condition } from './sync/condition';
export { Event } from './sync/event';
export { Lock } from './sync/lock';
export { RLock } from './sync/rlock';
export { BoundedSemaphore, Semaphore } from './sync/semaphore';
export type { AcquireOptions, AsyncAcquireOptions, AsyncWaitOptions, WaitOptions } from './sync/options';

export {
  Context,
  getAllStartMethods,
  getContext,
  getStartMethod,
  setStartMethod,
  type GetStartMethodOptions,
  type SetStartMethodOptions,
} from './process/context';
export { cpuCount } from './process/cpu-count';
export { describeFunction, loadFunction, type Importable } from './process/importable';
export { setExecutable } from './process/new-node';
export { setForkserverPreload } from './process/preload';
export { getLogger, logToStderr, type Logger, type LogLevel, type LogRecord } from './process/logger';
export { type ParentProcess } from './process/parent-process';
export { type StartMethod } from './process/popen';
export type { TimeoutOptions } from './process/timeout';
export { activeChildren, currentProcess, parentProcess, Process, type ProcessOptions } from './process/process';
export {
  BaseManager,
  type Creator,
  type ManagedObject,
  type ManagerOptions,
  type ObjectProxy,
} from './manager/manager';
export type {
  ArrayMethods,
  ArrayProxy,
  DictMethods,
  DictProxy,
  DictSource,
  IteratorProxy,
  ListMethods,
  ListProxy,
  NamespaceMethods,
  NamespaceProxy,
  SortOptions,
  ValueMethods,
  ValueProxy,
} from './manager/proxies';
export type { PoolMethods, PoolProxy } from './manager/pool-proxy';
export { BaseProxy, type ProxyClass, type Reading, type SyncTwins } from './manager/proxy';
export type { ManagerServer } from './manager/server';
export {
  connectManager,
  Manager,
  ManagerSync,
  SyncManager,
  type BlockingSyncTypes,
  type SyncTypes,
} from './manager/sync-manager';
export {
  AcquirerProxy,
  BarrierProxy,
  ConditionProxy,
  EventProxy,
  JoinableQueueProxy,
  QueueProxy,
  SemaphoreProxy,
} from './manager/sync-proxies';
export type { Callable, RegisterOptions } from './manager/types';

export { Queue } from './ipc/queue';
export { SimpleQueue } from './ipc/simple-queue';
export { JoinableQueue } from './ipc/joinable-queue';
export type { AsyncQueueWaitOptions, QueueOptions, QueueWaitOptions } from './ipc/base-queue';
export { type Latency } from './pool/latency';
export {
  Pool,
  type ApplyOptions,
  type ImapOptions,
  type MapOptions,
  type PoolEvents,
  type PoolOptions,
  type TaskOptions,
} from './pool/pool';
export { type AsyncResult, type ResultCallbacks } from './pool/result';
export { type ResultIterator } from './pool/result-iterator';
export { type PoolStats } from './pool/scheduler';
export { taskSignal } from './pool/worker';
