/** Contexts: the module's calls, bound to one start method. */
import { AuthenticationError, BufferTooShort, ProcessError, TimeoutError } from '../errors';
import { JoinableQueue } from '../ipc/joinable-queue';
import { Pipe } from '../ipc/pipe';
import { Queue } from '../ipc/queue';
import { SimpleQueue } from '../ipc/simple-queue';
import { SharedArray } from '../shared/array';
import { SharedValue } from '../shared/value';
import { Barrier } from '../sync/barrier';
import { Condition } from '../sync/condition';
import { Event } from '../sync/event';
import { Lock } from '../sync/lock';
import { RLock } from '../sync/rlock';
import { BoundedSemaphore, Semaphore } from '../sync/semaphore';
import { validateBoolean, validateObject } from '../validate';
import { cpuCount } from './cpu-count';
import { getLogger, logToStderr } from './logger';
import { setExecutable } from './new-node';
import type { StartMethod } from './popen';
import { activeChildren, currentProcess, parentProcess, type Process } from './process';
import { processClass } from './process-classes';
import './popen-forkserver';
import './popen-spawn';
import { setForkserverPreload } from './preload';
import {
  chooseStartMethod,
  chosenStartMethod,
  defaultStartMethod,
  startMethods,
  validateStartMethod,
} from './start-method';

/** Options of {@link setStartMethod}. */
export interface SetStartMethodOptions {
  /** Whether a method that was set before may be replaced. Default false. */
  readonly force?: boolean;
}

/** Options of {@link getStartMethod}. */
export interface GetStartMethodOptions {
  /** Whether `null` is given when no method was set, in place of fixing the default. Default false. */
  readonly allowNone?: boolean;
}

/**
 * The calls of `realfork/multiprocessing`, bound to one start method: what `getContext()` gives. Locks, queues and shared
 * values are the same in each: a process started by any method can be given any of them.
 *
 * @see multiprocessing.context.BaseContext
 */
export class Context {
  /** `Process` that starts by this context's method. */
  readonly Process: typeof Process;
  readonly #method: StartMethod | undefined;

  /** @internal */
  constructor(method: StartMethod | undefined) {
    this.#method = method;
    this.Process = processClass(method);
  }

  /** The start method of this context. */
  getStartMethod(options: GetStartMethodOptions = {}): StartMethod | null {
    return this.#method ?? getStartMethod(options);
  }

  /**
   * Set the start method, if this is the default context.
   *
   * @throws `ERR_START_METHOD_SET` this context has one for good.
   */
  setStartMethod(method: StartMethod | null, options: SetStartMethodOptions = {}): void {
    if (this.#method !== undefined) {
      throw new ProcessError(`The start method of a context cannot be changed; it is '${this.#method}'`, {
        code: 'ERR_START_METHOD_SET',
      });
    }
    setStartMethod(method, options);
  }

  /** Another context, see {@link getContext}; without a method: this one. */
  getContext(method?: StartMethod): Context {
    return method === undefined ? this : getContext(method);
  }

  readonly getAllStartMethods = getAllStartMethods;
  readonly currentProcess = currentProcess;
  readonly parentProcess = parentProcess;
  readonly activeChildren = activeChildren;
  readonly cpuCount = cpuCount;
  readonly getLogger = getLogger;
  readonly logToStderr = logToStderr;
  readonly setForkserverPreload = setForkserverPreload;
  readonly setExecutable = setExecutable;

  // The same for every start method.
  readonly Pipe = Pipe;
  readonly Queue = Queue;
  readonly SimpleQueue = SimpleQueue;
  readonly JoinableQueue = JoinableQueue;
  readonly Lock = Lock;
  readonly RLock = RLock;
  readonly Semaphore = Semaphore;
  readonly BoundedSemaphore = BoundedSemaphore;
  readonly Condition = Condition;
  readonly Event = Event;
  readonly Barrier = Barrier;
  readonly SharedValue = SharedValue;
  readonly SharedArray = SharedArray;
  readonly ProcessError = ProcessError;
  readonly TimeoutError = TimeoutError;
  readonly AuthenticationError = AuthenticationError;
  readonly BufferTooShort = BufferTooShort;
}

const contexts = new Map<StartMethod, Context>();
const defaultContext = new Context(undefined);

/**
 * Give the calls of this module bound to a start method.
 *
 * @param method - `'fork'`, `'spawn'` or `'forkserver'`. Default: the context that follows {@link setStartMethod}.
 * @returns The same object for the same method.
 * @throws `ERR_INVALID_ARG_VALUE` no such start method.
 * @example
 * ```js
 * const { Process } = getContext('fork');
 * ```
 * @see multiprocessing.get_context
 */
export function getContext(method?: StartMethod): Context {
  if (method == null) return defaultContext;
  validateStartMethod(method);
  let context = contexts.get(method);
  if (context === undefined) contexts.set(method, (context = new Context(method)));
  return context;
}

/**
 * Set how processes are started; once, early in the program.
 *
 * @param method - One of {@link getAllStartMethods}; with `force`, null unsets it.
 * @param options - `force`: replace a method that was set, or used, before.
 * @throws `ERR_START_METHOD_SET` it was set, or used, before; `ERR_INVALID_ARG_VALUE` no such start method.
 * @example
 * ```js
 * setStartMethod('fork');
 * ```
 * @see multiprocessing.set_start_method
 */
export function setStartMethod(method: StartMethod | null, options: SetStartMethodOptions = {}): void {
  validateObject(options, 'options');
  const { force = false } = options;
  validateBoolean(force, 'options.force');
  if (!(method === null && force)) validateStartMethod(method);
  chooseStartMethod(method, force);
}

/**
 * Tell how processes are started.
 *
 * @param options - `allowNone`: give null when no method was set; else the default is fixed by asking.
 * @returns The start method.
 * @example
 * ```js
 * console.log(getStartMethod()); // fork
 * ```
 * @see multiprocessing.get_start_method
 */
export function getStartMethod(options: GetStartMethodOptions = {}): StartMethod | null {
  validateObject(options, 'options');
  return options.allowNone === true ? (chosenStartMethod() ?? null) : defaultStartMethod();
}

/**
 * List the start methods, the default first.
 *
 * @returns `'fork'`, `'spawn'`, `'forkserver'`; on macOS `'spawn'` is first, as in Python.
 * @example
 * ```js
 * console.log(getAllStartMethods()); // [ 'fork', 'spawn', 'forkserver' ]
 * ```
 * @see multiprocessing.get_all_start_methods
 */
export function getAllStartMethods(): StartMethod[] {
  return startMethods();
}
