/** `Process`: a function, or a subclass's `run()`, in a process of its own. */
import { constants } from 'node:os';
import { inspect } from 'node:util';
import { ProcessError } from '../errors';
import { kWaitable, type WaitableFd } from '../ipc/waitable';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';
import { invalidType, validateBoolean, validateFunction, validateObject } from '../validate';
import { isIterable } from '../values';
import { log } from './logger';
import { ParentProcess } from './parent-process';
import './popen-fork';
import { starterOf, type Popen, type StartMethod } from './popen';
import { familyKey, registry } from './registry';
import { noteDaemonic, noteEnd, noteOther } from './script-end';
import { chooseStartMethod, defaultStartMethod } from './start-method';
import { validateTimeout, type TimeoutOptions } from './timeout';

/** The inner fields of a {@link Process}, given to its constructor in place of options. */
export class ProcessState {
  readonly name!: string;
  readonly daemon!: boolean;
  readonly authkey!: Buffer;
  readonly identity!: readonly number[];
  readonly parentPid!: number;
  readonly parentName!: string;
  readonly args!: unknown[];
  readonly kwargs!: object | undefined;
  readonly target!: ((...args: never[]) => unknown) | undefined;
  /** Of one that has been started. */
  readonly pid!: number | undefined;

  constructor(fields: ProcessState) {
    Object.assign(this, fields);
  }
}

/** What subclasses of this package do when the end of the process has been seen. */
export const kEnded = Symbol('realfork.ended');

/** Whether the event loop of the creator stays alive until the end of the process. */
export const kKeepsLoopAlive = Symbol('realfork.keepsLoopAlive');

/** Whether something else than the end of the script ends a daemonic process: its pool. It leaves no orphans behind. */
export const kEndsWithOwner = Symbol('realfork.endsWithOwner');

// Methods of the package's own: names would be taken from subclasses, whose fields and methods may be called anything.

/** What a way of starting hands over to the child: arguments. */
export const kInheritance = Symbol('realfork.inheritance');

/** What a process that has nothing of this one's memory is to know of it. */
export const kState = Symbol('realfork.state');

/** In such a process: the arguments have come. */
export const kReceive = Symbol('realfork.receive');

/** In the child: become this process, and run. */
export const kBootstrap = Symbol('realfork.bootstrap');

/** What a {@link Process} is to do, and what it is called. */
export interface ProcessOptions<Args extends readonly unknown[] = readonly unknown[]> {
  /** What the child runs, sync or async: any function, closures included; by 'spawn' and 'forkserver' an exported one. Default: nothing. */
  readonly target?: ((...args: Args) => unknown) | null | undefined;
  /**
   * Its arguments. By 'fork' nothing is copied or serialised, and sockets and servers among them stay open in the child; by
   * 'spawn' and 'forkserver' they are sent, functions and classes as the exports that they are. Default: none.
   */
  readonly args?: Iterable<unknown> | null | undefined;
  /** A last argument: an object, for options by name. Default: no such argument. */
  readonly kwargs?: object | null | undefined;
  /** Default: the class's name and a number, `'Process-1'`; for a grandchild `'Process-1:2'`. */
  readonly name?: string | null | undefined;
  /** Whether it is ended with its parent, and may have no children itself. Default: as the creator is. */
  readonly daemon?: boolean | null | undefined;
}

/**
 * A process that runs one function: a fork of this one, with all its data, in which nothing else of it goes on.
 *
 * @example
 * ```js
 * const process = new Process({ target: (name) => console.log('hello', name), args: ['bob'] });
 * process.start();
 * await process.join();
 * ```
 * @see multiprocessing.Process, docs/process.md
 */
export class Process implements AsyncDisposable {
  /** The start method of a context's class; undefined: the default at the time of the start. */
  static readonly startMethod: StartMethod | undefined = undefined;

  #target: ((...args: never[]) => unknown) | undefined;
  #args: unknown[];
  #kwargs: object | undefined;
  #name: string;
  #daemon: boolean;
  #authkey: Buffer;
  #popen: Popen | undefined;
  #closed = false;
  #started = false;
  /** Of one that another process has started, and sent. */
  #sentPid: number | undefined;
  readonly #parentPid: number;
  readonly #parentName: string;
  readonly #identity: readonly number[];

  constructor(options: ProcessOptions<never[]> = {}) {
    if (options instanceof ProcessState) {
      ({
        name: this.#name,
        daemon: this.#daemon,
        authkey: this.#authkey,
        identity: this.#identity,
        parentPid: this.#parentPid,
        parentName: this.#parentName,
        args: this.#args,
        kwargs: this.#kwargs,
        target: this.#target,
        pid: this.#sentPid,
      } = options);
      this.#started = this.#sentPid !== undefined;
      return;
    }
    validateObject(options, 'options');
    const { target, args, kwargs, name, daemon } = options;
    if (target != null) validateFunction(target, 'options.target');
    if (args != null && !isIterable(args)) throw invalidType('options.args', 'an iterable', args);
    if (kwargs != null) validateObject(kwargs, 'options.kwargs');
    if (name != null && typeof name !== 'string') throw invalidType('options.name', 'of type string', name);
    if (daemon != null) validateBoolean(daemon, 'options.daemon');
    const creator = registry.current;
    this.#target = target ?? undefined;
    this.#args = [...(args ?? [])];
    this.#kwargs = kwargs ?? undefined;
    this.#identity = creator === undefined ? [] : [...creator.#identity, ++registry.made];
    this.#name = name || `${new.target.name}-${this.#identity.join(':')}`;
    this.#daemon = daemon ?? creator?.daemon ?? false;
    this.#authkey = creator?.authkey ?? familyKey;
    this.#parentPid = creator === undefined ? -1 : native.getpid();
    this.#parentName = creator?.name ?? '';
  }

  /** What the child does; for subclasses to override. By default it calls the target. */
  run(): unknown {
    const target = this.#target as ((...args: unknown[]) => unknown) | undefined;
    return target?.(...this.#args, ...(this.#kwargs === undefined ? [] : [this.#kwargs]));
  }

  /**
   * Start the process. Returns at once in the parent, with {@link Process.pid} set, and never in the child.
   *
   * @throws `ERR_PROCESS_STARTED` it was started before; `ERR_PROCESS_NOT_CREATOR` another process made this object;
   * `ERR_PROCESS_DAEMONIC` this process is daemonic and may have no children; `ERR_PROCESS_EXITING` in an `'exit'` listener.
   * @throws By 'spawn' and 'forkserver': `ERR_NOT_IMPORTABLE` target or class is not exported; `ERR_DATA_CLONE` an argument cannot
   * be sent, such as a function that is not exported; `ERR_PROCESS_BOOTSTRAPPING` a module starts it whenever it is loaded; `ERR_FORKSERVER_PRELOAD`. Nothing is started then.
   * @throws What `fork()` throws.
   */
  start(): void {
    this.#checkOpen();
    if (this.#started) throw misuse('ERR_PROCESS_STARTED', 'A process can be started only once');
    this.#checkCreator('start a process object created by another process');
    const current = currentProcess();
    if (current.#daemon && !this[kEndsWithOwner]) {
      throw misuse('ERR_PROCESS_DAEMONIC', `${current.#name} is daemonic, and daemonic processes have no children`);
    }
    for (const child of registry.children) child.#popen?.poll(); // as Python: no zombie outlives the next start
    const method = (this.constructor as typeof Process).startMethod ?? defaultStartMethod();
    const start = starterOf(method);
    if (start === undefined) {
      throw misuse('ERR_START_METHOD_UNAVAILABLE', `The start method '${method}' needs realfork/multiprocessing`);
    }
    const popen = start(this, () => {
      registry.children.delete(this);
      if (this.#popen !== undefined) noteEnd(this.#popen);
      this[kEnded]();
    });
    this.#popen = popen;
    this.#started = true;
    registry.children.add(this);
    if (this[kKeepsLoopAlive]) noteOther(popen);
    else if (this.#daemon && !this[kEndsWithOwner]) noteDaemonic(popen);
    if (popen.poll() !== null) noteEnd(popen); // it had ended before it was noted
    // What the target holds is the child's; here it would keep garbage, and this object if the target refers to it.
    this.#target = undefined;
    this.#args = [];
    this.#kwargs = undefined;
  }

  /** @internal */
  [kInheritance](): readonly unknown[] {
    return [...this.#args, this.#kwargs];
  }

  /** @internal */
  [kReceive](args: unknown[], kwargs: object | undefined): void {
    this.#args = args;
    this.#kwargs = kwargs;
  }

  /** For `wait()`: ready when it has ended. @internal */
  [kWaitable](): WaitableFd {
    return { fd: this.sentinel };
  }

  /** @internal */
  get [kKeepsLoopAlive](): boolean {
    return !this.#daemon;
  }

  /** @internal */
  get [kEndsWithOwner](): boolean {
    return false;
  }

  /** @internal */
  [kState](): ProcessState {
    return new ProcessState({
      name: this.#name,
      daemon: this.#daemon,
      authkey: this.#authkey,
      identity: this.#identity,
      parentPid: this.#parentPid,
      parentName: this.#parentName,
      args: this.#args,
      kwargs: this.#kwargs,
      target: this.#target,
      pid: this.#popen?.pid,
    });
  }

  /** In the creator: its end has been seen. @internal */
  [kEnded](): void {}

  /** @internal */
  [kBootstrap](lifeline?: { fileno(): number }): unknown {
    registry.current = this;
    registry.parent = new ParentProcess(this.#parentName, this.#parentPid, lifeline);
    registry.made = 0;
    this.#started = true;
    const { startMethod } = this.constructor as typeof Process;
    if (startMethod !== undefined) chooseStartMethod(startMethod, true); // as in Python, for its own children
    log.info('child process calling run()');
    return this.run();
  }

  /**
   * Wait until the process has ended, with the event loop going on.
   *
   * @param timeout - Milliseconds to wait at most, or options; 0 or less only looks. Default: for ever.
   * @returns A promise; whether it has ended is then told by {@link Process.exitCode}.
   * @throws `ERR_PROCESS_NOT_STARTED`, `ERR_PROCESS_NOT_CREATOR`, `ERR_PROCESS_CLOSED`. All of these reject.
   */
  async join(timeout?: number | null | TimeoutOptions): Promise<void> {
    const limit = validateTimeout(timeout);
    await this.#joinable().wait(limit);
  }

  /** The same as {@link Process.join}, blocking this process. */
  joinSync(timeout?: number | null | TimeoutOptions): void {
    const limit = validateTimeout(timeout);
    this.#joinable().waitSync(limit);
  }

  /** Tell whether it runs: started, and not ended. Reaps it when it has ended. */
  isAlive(): boolean {
    this.#checkOpen();
    if (this === registry.current) return true;
    this.#checkCreator('look at a process object created by another process');
    return this.#popen !== undefined && this.#popen.poll() === null;
  }

  /** End it by SIGTERM: no `finally`, no `'exit'` listener runs in it, unless it listens to that signal. */
  terminate(): void {
    this.#startedHere().signal('SIGTERM');
  }

  /** End it by SIGKILL. */
  kill(): void {
    this.#startedHere().signal('SIGKILL');
  }

  /**
   * Give up what this object holds, its sentinel among it. No other method works afterwards.
   *
   * @throws `ERR_PROCESS_RUNNING` it has not ended.
   */
  close(): void {
    if (this.#popen !== undefined && native.getpid() === this.#parentPid) {
      if (this.#popen.poll() === null) {
        throw misuse('ERR_PROCESS_RUNNING', 'A process cannot be closed while it runs; join or terminate it first');
      }
      this.#popen.close();
      registry.children.delete(this);
    }
    this.#popen = undefined;
    this.#closed = true;
  }

  /** Wait until it has ended, then close it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    if (this.#popen !== undefined) await this.join();
    this.close();
  }

  /** What it is called in messages. */
  get name(): string {
    return this.#name;
  }

  set name(name: string) {
    if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
    this.#name = name;
  }

  /** Whether it is ended with its parent, and may have no children. To be set before the start. */
  get daemon(): boolean {
    return this.#daemon;
  }

  set daemon(daemon: boolean) {
    validateBoolean(daemon, 'daemon');
    if (this.#started) throw misuse('ERR_PROCESS_STARTED', 'daemon cannot be set once the process has been started');
    this.#daemon = daemon;
  }

  /** The pid; null before the start. */
  get pid(): number | null {
    this.#checkOpen();
    return this === registry.current ? native.getpid() : (this.#popen?.pid ?? this.#sentPid ?? null);
  }

  /** The same as {@link Process.pid}, under Python's other name. */
  get ident(): number | null {
    return this.pid;
  }

  /** The exit code, negative when a signal ended it (-15); null before the start and while it runs. */
  get exitCode(): number | null {
    this.#checkOpen();
    if (this === registry.current || native.getpid() !== this.#parentPid) return null;
    return this.#popen?.poll() ?? null;
  }

  /** A descriptor that is readable once it has ended: for `wait()`, or for poll(2). Closed by {@link Process.close}. */
  get sentinel(): number {
    return this.#startedHere().sentinel;
  }

  /** The key with which connections of this family of processes prove themselves; inherited from the creator. */
  get authkey(): Buffer {
    return this.#authkey;
  }

  set authkey(key: Uint8Array) {
    if (!(key instanceof Uint8Array)) throw invalidType('authkey', 'an instance of Uint8Array', key);
    this.#authkey = Buffer.from(key);
  }

  /** Show it as Python does: `<Process name='Process-1' pid=4711 parent=4710 stopped exitcode=0>`. */
  toString(): string {
    const state = this.#state();
    const pid = state === 'closed' ? null : this.pid;
    const exitCode = state === 'stopped' ? (this.#popen?.poll() ?? null) : null;
    const parts = [
      this.constructor.name,
      `name='${this.#name}'`,
      ...(pid === null ? [] : [`pid=${pid}`]),
      `parent=${this.#parentPid < 0 ? 'None' : this.#parentPid}`,
      state,
      ...(exitCode === null ? [] : [`exitcode=${exitCodeName(exitCode)}`]),
      ...(this.#daemon ? ['daemon'] : []),
    ];
    return `<${parts.join(' ')}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  #state(): 'started' | 'closed' | 'unknown' | 'initial' | 'stopped' {
    if (this === registry.current) return 'started';
    if (this.#closed) return 'closed';
    if (native.getpid() !== this.#parentPid) return 'unknown';
    if (this.#popen === undefined) return 'initial';
    return this.#popen.poll() === null ? 'started' : 'stopped';
  }

  #checkOpen(): void {
    if (this.#closed) throw misuse('ERR_PROCESS_CLOSED', 'The process object is closed');
  }

  #checkCreator(what: string): void {
    if (native.getpid() !== this.#parentPid) throw misuse('ERR_PROCESS_NOT_CREATOR', `A process cannot ${what}`);
  }

  #startedHere(): Popen {
    this.#checkOpen();
    this.#checkCreator('use a process object created by another process');
    if (this.#popen === undefined) {
      throw misuse('ERR_PROCESS_NOT_STARTED', `${this.#name} has not been started`);
    }
    return this.#popen;
  }

  #joinable(): Popen {
    this.#checkOpen();
    this.#checkCreator('join itself, or a process that it has not made');
    return this.#startedHere();
  }
}

/** The object of a process that no `Process` started. */
class MainProcess extends Process {
  constructor() {
    super({ name: 'MainProcess', daemon: false });
  }

  /** There is nothing to give up. */
  override close(): void {}
}

function misuse(code: string, message: string): ProcessError {
  return new ProcessError(message, { code });
}

function exitCodeName(exitCode: number): string {
  const signal = Object.entries(constants.signals).find(([, number]) => number === -exitCode)?.[0];
  return signal === undefined ? String(exitCode) : `-${signal}`;
}

registry.current = new MainProcess();
runsInChild(Process.prototype[kBootstrap], Process.prototype.run, ParentProcess);

/**
 * Give the object of the process that calls.
 *
 * @returns In a child: the `Process` it was started as. Else an object with the name `'MainProcess'`.
 * @example
 * ```js
 * console.log(currentProcess().name, currentProcess().pid); // MainProcess 4711
 * ```
 * @see multiprocessing.current_process
 */
export function currentProcess(): Process {
  return registry.current as Process;
}

/**
 * Give what is known of the process that started this one.
 *
 * @returns Its name and pid, and ways to tell and to wait for its end; null in the main process.
 * @example
 * ```js
 * new Process({ target: () => console.log(parentProcess().name) }).start(); // MainProcess
 * ```
 * @see multiprocessing.parent_process
 */
export function parentProcess(): ParentProcess | null {
  return registry.parent;
}

/**
 * List the children of this process that have not ended; those that have are reaped.
 *
 * @returns `Process` objects started here, oldest first.
 * @remarks What `fork()` or `child_process` made is not among them.
 * @example
 * ```js
 * for (const child of activeChildren()) child.terminate();
 * ```
 * @see multiprocessing.active_children
 */
export function activeChildren(): Process[] {
  return [...registry.children].filter((child) => child.isAlive());
}
