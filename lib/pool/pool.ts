/** `Pool`: functions on all cores. */
import { AsyncResource } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import { inspect } from 'node:util';
import { ProcessError } from '../errors';
import { staysHere } from '../ipc/unclonable';
import { checkMainThread } from '../posix/fork';
import { Context } from '../process/context';
import { describeFunction, notImportable } from '../process/importable';
import { cpuCount } from '../process/cpu-count';
import { currentProcess } from '../process/process';
import type { StartMethod } from '../process/popen';
import { defaultStartMethod, validateStartMethod } from '../process/start-method';
import { validateTimeout } from '../process/timeout';
import {
  invalidType,
  validateAbortSignal,
  validateFunction,
  validateInteger,
  validateNumber,
  validateObject,
} from '../validate';
import { isIterable } from '../values';
import { Mode } from './frames';
import { MapJob, type MapReceiver } from './map-job';
import { AsyncResult, tell, type ResultCallbacks } from './result';
import { ITERATOR_MODE, ResultIterator } from './result-iterator';
import { Scheduler, type ItemSource, type PoolStats } from './scheduler';
import { Task, type AnyFunction, type Receiver } from './task';
import { traceOf, type Trace } from './trace';

/** Options of {@link Pool}. */
export interface PoolOptions {
  /**
   * Called in each worker before its first task, with `initargs`; may be async. Closing the pool starts workers that are
   * missing, so that it is called `processes` times at least, as in Python. Default: none.
   */
  readonly initializer?: ((...args: never[]) => unknown) | undefined;
  /** Arguments of the initializer; inherited, not serialised, by workers that are forks. Default: none. */
  readonly initargs?: Iterable<unknown> | undefined;
  /** Tasks after which a worker is replaced; a chunk counts as one. Default: never. */
  readonly maxTasksPerChild?: number | null | undefined;
  /** How workers are started; by 'spawn' and 'forkserver' functions have to be exported. Default: as set by `setStartMethod()`. */
  readonly context?: StartMethod | Context | undefined;
  /**
   * Milliseconds that a worker has to come to its end when its task was aborted or has timed out, or the pool was
   * terminated, before it is killed. Default 1000.
   */
  readonly gracePeriod?: number | undefined;
}

/** What a single task may be given. */
export interface TaskOptions {
  /** Gives the task up: its promise rejects with `ABORT_ERR`, the worker is told, and killed after the grace period. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds that the task may run, from when a worker comes to it; then {@link TimeoutError}. Default: for ever. */
  readonly timeout?: number | undefined;
}

/** Options of {@link Pool.apply}. */
export interface ApplyOptions extends TaskOptions {
  /** A last argument: an object, for options by name. */
  readonly kwargs?: object | null | undefined;
}

/** Options of {@link Pool.map} and its relatives. `signal` and `timeout` are those of each chunk. */
export interface MapOptions extends TaskOptions {
  /** Items that are sent together. Default: so that each worker gets four chunks; for `imap` 1. */
  readonly chunkSize?: number | undefined;
}

/** Options of {@link Pool.imap}. */
export interface ImapOptions extends MapOptions {
  /** Chunks that are handed in ahead of the results that have been taken. Default: 16 for each worker. */
  readonly window?: number | undefined;
}

type Returned<R> = R extends PromiseLike<infer T> ? T : R;

/** Events of a {@link Pool}: a worker was forked, one has ended (`expected`: the pool let it go), no task is left. */
export interface PoolEvents {
  worker: [pid: number];
  workerEnd: [death: { pid: number; exitCode: number | null; signal: NodeJS.Signals | null }, expected: boolean];
  idle: [];
}

/** How a task is to be done. */
interface Terms {
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  readonly trace: Trace | undefined;
  /** Others follow at once, and are given to the workers together with it. */
  readonly more?: boolean;
}

/** A pool that is collected as garbage has no tasks, and gets no more: its workers end, as in Python. */
const dropped = new FinalizationRegistry<Scheduler>((scheduler) => scheduler.close());

/** Whether a daemonic process may have a pool of this class. */
export const kInDaemonic = Symbol('realfork.pool.inDaemonic');

/**
 * Worker processes that run functions of this one: forks of it, with all its data.
 *
 * @example
 * ```js
 * const pool = new Pool(4);
 * console.log(await pool.map((x) => x * x, [1, 2, 3])); // [ 1, 4, 9 ]
 * pool.close();
 * await pool.join();
 * ```
 * @see multiprocessing.Pool, docs/pool.md
 */
export class Pool extends EventEmitter<PoolEvents> implements AsyncDisposable {
  /** @internal */
  static readonly [kInDaemonic]: boolean = false;

  readonly #method: StartMethod;
  readonly #scheduler: Scheduler;

  /**
   * @param processes - Workers, 1 or more. Default: the CPUs that this process may use.
   * @param options - See {@link PoolOptions}.
   * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` wrong arguments; no process is made.
   * @throws `ERR_PROCESS_DAEMONIC` in a daemonic process, such as a worker of another pool; `ERR_FORK_IN_WORKER` in a
   * `worker_threads` Worker.
   * @remarks Workers are forked when they are first needed, the others soon afterwards, not here: the functions of the first
   * tasks are then known to all of them. The pool keeps the event loop alive while it has tasks, or is joined.
   */
  constructor(processes?: number | null, options: PoolOptions = {}) {
    super();
    if (processes != null) validateInteger(processes, 'processes', 1, 4096);
    validateObject(options, 'options');
    const { initializer, initargs = [], maxTasksPerChild, context, gracePeriod = 1000 } = options;
    if (initializer != null) validateFunction(initializer, 'options.initializer');
    const initialArguments = listOf(initargs, 'options.initargs');
    if (maxTasksPerChild != null) validateInteger(maxTasksPerChild, 'options.maxTasksPerChild', 1);
    validateNumber(gracePeriod, 'options.gracePeriod', 0, 0x7fffffff);
    const method = methodOf(context);
    this.#method = method;
    if (initializer != null) this.#checkFunction(initializer, 'The initializer of the pool');
    checkMainThread();
    if (currentProcess().daemon && !new.target[kInDaemonic]) {
      throw new ProcessError('A daemonic process, such as a worker of a pool, can have no pool of its own', {
        code: 'ERR_PROCESS_DAEMONIC',
      });
    }
    const pool = new WeakRef(this);
    this.#scheduler = new Scheduler(
      {
        size: processes ?? cpuCount(),
        initializer: initializer ?? undefined,
        initargs: initialArguments,
        maxTasksPerChild: maxTasksPerChild ?? Infinity,
        gracePeriod,
        method,
      },
      {
        owner: pool,
        onWorker: (pid) => tell(() => pool.deref()?.emit('worker', pid)),
        onWorkerEnd: (death, expected) => tell(() => pool.deref()?.emit('workerEnd', death, expected)),
        onIdle: () => tell(() => pool.deref()?.emit('idle')),
      },
    );
    dropped.register(this, this.#scheduler);
  }

  /**
   * Call a function in a worker.
   *
   * @param fn - Any function, closures included, sync or async.
   * @param args - Its arguments, copied as structured clone does.
   * @returns A promise of its result. It rejects with what it threw, or with {@link WorkerDiedError}.
   * @throws `ERR_POOL_NOT_RUNNING` the pool was closed or terminated. This rejects, too.
   * @example
   * ```js
   * console.log(await pool.run(() => heavy(x)));
   * ```
   * @see concurrent.futures.Executor.submit
   */
  run<A extends unknown[], R>(fn: (...args: A) => R, ...args: A): Promise<Returned<R>> {
    return this.#promised(fn, args, undefined, this.run);
  }

  /**
   * The same as {@link Pool.run}, with the arguments as a list, and options.
   *
   * @param options - `kwargs`: a last argument; `signal`, `timeout`: see {@link TaskOptions}.
   */
  apply<A extends unknown[], R>(
    fn: (...args: A) => R,
    args?: Iterable<unknown>,
    options?: ApplyOptions,
  ): Promise<Returned<R>> {
    return this.#promised(fn, args ?? [], options, this.apply);
  }

  #promised<R>(
    fn: AnyFunction,
    args: Iterable<unknown>,
    options: ApplyOptions | undefined,
    entry: AnyFunction,
  ): Promise<R> {
    return new Promise<R>((onValue, onError) => {
      this.#scheduler.checkRunning();
      this.#call(fn, args, options, { onValue, onError }, entry);
    });
  }

  /**
   * The same as {@link Pool.apply}, blocking this process, which uses no CPU meanwhile and runs no callbacks.
   *
   * @returns The result of the function.
   */
  applySync<A extends unknown[], R>(
    fn: (...args: A) => R,
    args: Iterable<unknown> = [],
    options?: ApplyOptions,
  ): Returned<R> {
    this.#scheduler.checkRunning();
    const result = new AsyncResult<Returned<R>>(this.#scheduler, {});
    this.#call(fn, args, options, result, this.applySync);
    return result.getSync();
  }

  /**
   * The same as {@link Pool.apply}, giving an object that can be asked.
   *
   * @param options - Beside those of `apply`: `callback`, `errorCallback`.
   */
  applyAsync<A extends unknown[], R>(
    fn: (...args: A) => R,
    args: Iterable<unknown> = [],
    options: ApplyOptions & ResultCallbacks<Returned<R>> = {},
  ): AsyncResult<Returned<R>> {
    this.#scheduler.checkRunning();
    const result = new AsyncResult<Returned<R>>(this.#scheduler, callbacksOf(options));
    this.#call(fn, args, options, result, this.applyAsync);
    return result;
  }

  #call(
    fn: AnyFunction,
    args: Iterable<unknown>,
    options: ApplyOptions | undefined,
    receiver: Receiver,
    entry: AnyFunction,
  ): void {
    validateFunction(fn, 'fn');
    let values = Array.isArray(args) ? args : listOf(args, 'args');
    let signal: AbortSignal | undefined;
    let timeout = Infinity;
    if (options !== undefined) {
      ({ signal, timeout } = taskOptions(options));
      const { kwargs } = options;
      if (kwargs != null) {
        validateObject(kwargs, 'options.kwargs');
        values = [...(values as unknown[]), kwargs];
      }
    }
    this.#submit(fn, Mode.Call, values, receiver, { signal, timeout, trace: traceOf(fn, entry) });
  }

  /** Workers that are no forks are told of functions by module and name. */
  #checkFunction(fn: AnyFunction, what: string): void {
    if (this.#method !== 'fork' && describeFunction(fn) === undefined) throw notImportable(what, fn, this.#method);
  }

  #submit(
    fn: AnyFunction,
    mode: number,
    values: unknown,
    receiver: Receiver,
    { signal, timeout, trace, more = false }: Terms,
  ): void {
    let task: Task;
    try {
      this.#checkFunction(fn, 'The function of the task');
      task = new Task(fn, mode, values, receiver, this.#scheduler.slabs);
    } catch (error) {
      receiver.onError(error); // arguments that cannot be sent
      if (!more) this.#scheduler.giveOut();
      return;
    }
    task.timeout = timeout;
    task.trace = trace;
    this.#scheduler.submit(task, signal);
    if (!more) this.#scheduler.giveOut();
  }

  /**
   * Call a function with each of some items, in chunks.
   *
   * @param fn - Called with one argument.
   * @param items - Copied as structured clone does.
   * @param options - `chunkSize`: items sent together.
   * @returns A promise of the results in the order of the items. When calls failed it rejects with the error of the first of
   * the chunks that failed, once all chunks have been done, as in Python.
   * @example
   * ```js
   * console.log(await pool.map(Math.sqrt, [1, 4, 9])); // [ 1, 2, 3 ]
   * ```
   * @see multiprocessing.pool.Pool.map
   */
  map<T, R>(fn: (item: T) => R, items: Iterable<T>, options: MapOptions = {}): Promise<Returned<R>[]> {
    return this.#mapPromised(fn, items, Mode.Map, options, this.map);
  }

  /** The same as {@link Pool.map}, blocking this process. */
  mapSync<T, R>(fn: (item: T) => R, items: Iterable<T>, options: MapOptions = {}): Returned<R>[] {
    return this.mapAsync(fn, items, options).getSync();
  }

  /** The same as {@link Pool.map}, giving an object that can be asked. */
  mapAsync<T, R>(
    fn: (item: T) => R,
    items: Iterable<T>,
    options: MapOptions & ResultCallbacks<Returned<R>[]> = {},
  ): AsyncResult<Returned<R>[]> {
    return this.#mapAsync(fn, items, Mode.Map, options, this.mapAsync);
  }

  /**
   * The same as {@link Pool.map} for items that are lists of arguments.
   *
   * @example
   * ```js
   * console.log(await pool.starmap(Math.pow, [[2, 3], [3, 2]])); // [ 8, 9 ]
   * ```
   */
  starmap<A extends readonly unknown[], R>(
    fn: (...args: [...A]) => R,
    items: Iterable<Readonly<A>>,
    options: MapOptions = {},
  ): Promise<Returned<R>[]> {
    return this.#mapPromised(fn, items, Mode.StarMap, options, this.starmap);
  }

  /** The same as {@link Pool.starmap}, blocking this process. */
  starmapSync<A extends readonly unknown[], R>(
    fn: (...args: [...A]) => R,
    items: Iterable<Readonly<A>>,
    options: MapOptions = {},
  ): Returned<R>[] {
    return this.starmapAsync(fn, items, options).getSync();
  }

  /** The same as {@link Pool.starmap}, giving an object that can be asked. */
  starmapAsync<A extends readonly unknown[], R>(
    fn: (...args: [...A]) => R,
    items: Iterable<Readonly<A>>,
    options: MapOptions & ResultCallbacks<Returned<R>[]> = {},
  ): AsyncResult<Returned<R>[]> {
    return this.#mapAsync(fn, items, Mode.StarMap, options, this.starmapAsync);
  }

  #mapPromised<R>(
    fn: AnyFunction,
    items: Iterable<unknown>,
    mode: Mode,
    options: MapOptions,
    entry: AnyFunction,
  ): Promise<R[]> {
    return new Promise<R[]>((onValue, onError) => {
      this.#map(fn, items, mode, options, { onValue: onValue as MapReceiver['onValue'], onError }, entry);
    });
  }

  #mapAsync<R>(
    fn: AnyFunction,
    items: Iterable<unknown>,
    mode: Mode,
    options: MapOptions & ResultCallbacks<R[]>,
    entry: AnyFunction,
  ): AsyncResult<R[]> {
    validateObject(options, 'options');
    const result = new AsyncResult<R[]>(this.#scheduler, callbacksOf(options));
    this.#map(fn, items, mode, options, result, entry);
    return result;
  }

  #map(
    fn: AnyFunction,
    items: Iterable<unknown>,
    mode: Mode,
    options: MapOptions,
    result: MapReceiver,
    entry: AnyFunction,
  ): void {
    this.#scheduler.checkRunning();
    validateFunction(fn, 'fn');
    validateObject(options, 'options');
    const { signal, timeout } = taskOptions(options);
    let values = Array.isArray(items) ? (items as unknown[]) : listOf(items, 'items');
    // Arguments may come as any iterable, and go as arrays.
    if (mode === Mode.StarMap)
      values = values.map((args) => (Array.isArray(args) ? (args as unknown[]) : listOf(args, 'items')));
    const chunkSize = chunkSizeOf(options, Math.max(1, Math.ceil(values.length / (this.#scheduler.size * 4))));
    const chunks = Math.ceil(values.length / chunkSize);
    if (chunks === 0) return result.onValue([]);
    const job = new MapJob(values.length, chunkSize, chunks, result);
    const trace = traceOf(fn, entry);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const some = chunks === 1 ? values : values.slice(chunk * chunkSize, (chunk + 1) * chunkSize);
      this.#submit(fn, mode, some, job.receiver(chunk), { signal, timeout, trace, more: chunk < chunks - 1 });
    }
  }

  /**
   * Call a function with each of some items, and give the results one by one, in the order of the items, as they come.
   *
   * @param fn - Called with one argument.
   * @param items - Any iterable, also an endless or an async one: items are taken as results are.
   * @param options - `chunkSize`: items sent together, default 1; `window`: chunks handed in ahead of the results taken.
   * @returns An async iterator, which has begun. A call that failed makes one `next()` reject, and those after it go on. It has
   * `nextSync()` and is an iterable for `for`, too, which block this process. A `signal` that is aborted ends it: no more items
   * are taken, and the last `next()` before the end rejects.
   * @example
   * ```js
   * for await (const line of pool.imap(parse, readLines())) console.log(line);
   * ```
   * @see multiprocessing.pool.Pool.imap
   */
  imap<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: ImapOptions = {},
  ): ResultIterator<Returned<R>> {
    return this.#imap(fn, items, true, options);
  }

  /** The same as {@link Pool.imap}, with the results in the order in which they come. */
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
    options: ImapOptions = {},
  ): ResultIterator<Returned<R>> {
    return this.#imap(fn, items, false, options);
  }

  #imap<R>(fn: AnyFunction, items: unknown, ordered: boolean, options: ImapOptions): ResultIterator<R> {
    this.#scheduler.checkRunning();
    validateFunction(fn, 'fn');
    validateObject(options, 'options');
    const { signal, timeout } = taskOptions(options);
    const chunkSize = chunkSizeOf(options, 1);
    const { window = Math.max(32, 16 * this.#scheduler.size) } = options;
    validateInteger(window, 'options.window', 1);
    const runner = {
      signal,
      drive: (isDone: () => boolean, until: number): void => this.#scheduler.drive(isDone, until),
      begin: (iterator: ItemSource) => this.#scheduler.follow(iterator),
      submit: (chunk: readonly unknown[], receiver: Receiver): void => {
        try {
          this.#scheduler.checkOwner(); // it may be closed: the iterator was made before
        } catch (error) {
          return receiver.onError(error);
        }
        this.#submit(fn, ITERATOR_MODE, chunk, receiver, { signal, timeout, trace: undefined });
      },
    };
    return new ResultIterator<R>(runner, iteratorOf(items), chunkSize, ordered, window);
  }

  /**
   * Take no more tasks; the workers end when those handed in are done. The items of an `imap` are handed in, also those that
   * its iterator has not taken from their source yet.
   */
  close(): void {
    this.#scheduler.close();
  }

  /** End the workers at once, by SIGTERM; tasks that are not done fail with `ERR_POOL_TERMINATED`. */
  terminate(): void {
    this.#scheduler.terminate();
  }

  /**
   * Wait until all workers have ended, after {@link Pool.close} or {@link Pool.terminate}. The items of each `imap` are taken
   * from their source now, whether or not results are used.
   *
   * @throws `ERR_POOL_RUNNING` neither was called. This rejects.
   */
  async join(): Promise<void> {
    this.#scheduler.checkJoinable();
    await this.#scheduler.join();
  }

  /**
   * The same as {@link Pool.join}, blocking this process. An `imap` whose items come from an async iterable ends with
   * `ERR_POOL_NOT_RUNNING`, unless it has them all.
   */
  joinSync(): void {
    this.#scheduler.checkJoinable();
    this.#scheduler.joinSync();
  }

  /**
   * Call a function with this pool, and terminate and join the pool when it has returned or thrown.
   *
   * @returns What the function has given.
   * @throws `ERR_POOL_NOT_RUNNING` the pool was closed or terminated before. This rejects.
   * @see multiprocessing.pool.Pool.__enter__
   */
  async with<R>(fn: (pool: this) => R): Promise<Awaited<R>> {
    this.#scheduler.checkRunning();
    validateFunction(fn, 'fn');
    try {
      return await fn(this);
    } finally {
      await this[Symbol.asyncDispose]();
    }
  }

  /** Tell how many tasks there are and were, who the workers are, and how long tasks take. */
  stats(): PoolStats {
    return this.#scheduler.stats();
  }

  /** Show the state and the number of workers: `<Pool state=RUN size=4>`. */
  override toString(): string {
    return `<${this.constructor.name} state=${this.#scheduler.state} size=${this.#scheduler.size}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** Terminate, and wait until all workers have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.terminate();
    await this.#scheduler.join();
  }
}

declare module '../process/context' {
  interface Context {
    /** `Pool` whose workers are started by this context's method. */
    readonly Pool: typeof Pool;
  }
}

const ofContexts = new WeakMap<Context, typeof Pool>();

// A layer above `process` gives its name to the contexts; a pool of a context takes that context.
Object.defineProperty(Context.prototype, 'Pool', {
  configurable: true,
  get(this: Context): typeof Pool {
    let OfContext = ofContexts.get(this);
    if (OfContext === undefined) {
      // eslint-disable-next-line @typescript-eslint/no-this-alias -- the class has a `this` of its own
      const context = this;
      OfContext = class extends Pool {
        constructor(processes?: number | null, options: PoolOptions = {}) {
          validateObject(options, 'options');
          super(processes, { ...options, context });
        }
      };
      Object.defineProperty(OfContext, 'name', { value: 'Pool' });
      ofContexts.set(this, OfContext);
    }
    return OfContext;
  },
});

function methodOf(context: unknown): StartMethod {
  if (context instanceof Context) return context.getStartMethod() ?? defaultStartMethod();
  if (context === undefined || context === null) return defaultStartMethod();
  validateStartMethod(context);
  return context;
}

function taskOptions(options: TaskOptions): { signal: AbortSignal | undefined; timeout: number } {
  validateObject(options, 'options');
  const { signal, timeout } = options;
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  return { signal, timeout: validateTimeout(timeout, 'options.timeout') };
}

function callbacksOf<T>(options: ResultCallbacks<T>): ResultCallbacks<T> {
  const given: unknown = options;
  validateObject(given, 'options');
  return {
    callback: bound(options.callback, 'options.callback'),
    errorCallback: bound(options.errorCallback, 'options.errorCallback'),
  };
}

/** A callback that runs with the async local storage of the call that hands the task in. */
function bound<V>(callback: ((value: V) => void) | null | undefined, name: string): ((value: V) => void) | undefined {
  if (callback == null) return undefined;
  const given: unknown = callback;
  validateFunction(given, name);
  return AsyncResource.bind(callback, 'REALFORK_RESULT');
}

function chunkSizeOf({ chunkSize }: MapOptions, otherwise: number): number {
  if (chunkSize === undefined || chunkSize === null) return otherwise;
  validateInteger(chunkSize, 'options.chunkSize', 1);
  return chunkSize;
}

function listOf(items: unknown, name: string): unknown[] {
  if (typeof items !== 'string' && !isIterable(items)) throw invalidType(name, 'an iterable', items);
  return [...(items as Iterable<unknown>)];
}

function iteratorOf(items: unknown): Iterator<unknown> | AsyncIterator<unknown> {
  if (typeof items === 'string') return items[Symbol.iterator]();
  if (typeof items === 'object' && items !== null) {
    if (Symbol.asyncIterator in items) return (items as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in items) return (items as Iterable<unknown>)[Symbol.iterator]();
  }
  throw invalidType('items', 'an iterable or an async iterable', items);
}

staysHere(Pool);
