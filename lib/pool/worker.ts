/**
 * A worker: takes tasks from its socket one after the other, runs each, and answers before it begins the next, so that an
 * answer is never lost with the worker.
 */
import { native } from '../native';
import { registerAtFork } from '../posix/at-fork';
import { runsInChild } from '../posix/precompile';
import { closeSync } from 'node:fs';
import { codedError } from '../errors';
import { decode, encode } from '../ipc/serialize';
import { loadFunction, type Importable } from '../process/importable';
import { isThenable } from '../values';
import type { Claims } from './claims';
import { FrameReader, HEADER, Kind, Mode, padded, slabFrame, writeHeader } from './frames';
import { encodingError, packError, type PackedError } from './remote-error';
import { KnownSlabs, SLAB_FROM } from './slabs';
import { EAGAIN, READABLE, sendAll } from './socket';
import type { AnyFunction } from './task';

/** What a worker inherits. */
export interface WorkerSetup {
  readonly fd: number;
  readonly claims: Claims;
  /** By their numbers. A worker that is no fork is told of them. */
  readonly functions: Map<number, AnyFunction>;
  readonly initializer: AnyFunction | undefined;
}

const CUT_FROM = 16 * 1024;

/** The task that runs in this process. */
interface Current {
  readonly number: number;
  readonly functionId: number;
  controller: AbortController | undefined;
}

/**
 * Give the signal by which the running task is told that nobody wants its result any more: its own `AbortSignal` was
 * aborted, or its timeout has passed.
 *
 * @returns In a task of a {@link Pool}, its `AbortSignal`; elsewhere undefined.
 * @remarks An async task function sees the signal while it waits. One that computes without a pause cannot be told anything;
 * after the pool's `gracePeriod` the worker of either kind is killed and replaced. In an async function ask before the first
 * `await`, and keep the signal.
 * @example
 * ```js
 * await pool.apply(async (url) => fetch(url, { signal: taskSignal() }), [url], { timeout: 1000 });
 * ```
 * @see AbortSignal (Node), docs/pool.md
 */
export function taskSignal(): AbortSignal | undefined {
  const current = serving?.current;
  if (current === undefined) return undefined;
  return (current.controller ??= new AbortController()).signal;
}

let serving: Worker | undefined;

/** Run as a worker until the pool lets go of it. Its end is the process's. */
export async function runWorker(setup: WorkerSetup, initargs: readonly unknown[]): Promise<void> {
  const worker = new Worker(setup);
  serving = worker;
  process.on('uncaughtExceptionMonitor', (error) => serving?.answer(Kind.LastWords, packError(error), 'the worker'));
  if (setup.initializer !== undefined) {
    try {
      await (setup.initializer as (...args: unknown[]) => unknown)(...initargs);
    } catch (error) {
      worker.answer(Kind.LastWords, packError(error), 'the initializer');
      process.exitCode = 1;
      return;
    }
  }
  setup.claims.noteStarted();
  await worker.serve();
}

class Worker {
  current: Current | undefined;
  readonly #fd: number;
  readonly #claims: Claims;
  readonly #functions: Map<number, AnyFunction>;
  /** Modules that are being loaded by `import`, by the functions' numbers. */
  readonly #loading = new Map<number, Promise<unknown>>();
  /** Why a function could not be loaded. */
  readonly #failed = new Map<number, { readonly error: unknown }>();
  readonly #slabs = new KnownSlabs();
  readonly #reader = new FrameReader();
  readonly #pid = native.getpid();
  #watch = 0;
  #end: (() => void) | undefined;

  constructor({ fd, claims, functions }: Omit<WorkerSetup, 'initializer'>) {
    this.#fd = fd;
    this.#claims = claims;
    this.#functions = functions;
  }

  /** The promise settles when the pool has closed its end. */
  serve(): Promise<void> {
    const promise = new Promise<void>(keepResolve);
    this.#end = resolveKept;
    const onReadable = this.#onReadable.bind(this);
    this.#watch = native.watchDescriptor(this.#fd, READABLE, onReadable);
    onReadable();
    return promise;
  }

  /** Let go of the socket: in a process that this one has forked, or at the end. */
  close(): void {
    if (this.#watch > 0) native.unwatch(this.#watch);
    this.#watch = -1;
    closeSync(this.#fd);
  }

  #onReadable(): void {
    const got = this.#reader.receive(this.#fd);
    if (got === 0 || (got < 0 && got !== EAGAIN)) return this.#leave();
    if (this.current === undefined) return this.#run();
    // A task waits for something. What is there for it?
    while (this.#reader.scan()) {
      if (this.#reader.kind === Kind.Abort && this.#reader.number === this.current.number) {
        (this.current.controller ??= new AbortController()).abort(
          codedError(Error, 'ABORT_ERR', 'The task is no longer wanted'),
        );
      }
    }
  }

  /** The pool, or the whole parent, is gone. */
  #leave(): void {
    const busy = this.current !== undefined;
    this.close();
    // Nobody wants to hear of a task that still runs.
    if (busy) process.exit(0);
    this.#end?.();
  }

  /** Everything that has arrived, until a task has to be waited for. */
  #run(): void {
    const reader = this.#reader;
    while (this.current === undefined && reader.next()) {
      const kind: Kind = reader.kind;
      if (kind === Kind.Resume) this.#claims.resume(reader.number);
      else if (kind === Kind.Function) this.#learn(reader.functionId, decode(reader.value) as Importable);
      else if (kind === Kind.Grant) this.#slabs.granted(reader.slab.offset, reader.slab.capacity);
      else if (kind === Kind.Task && this.#claims.begin()) this.#begin();
    }
  }

  /** A module that is loaded by `import`, or cannot be loaded, is an affair of the tasks that need it. */
  #learn(id: number, importable: Importable): void {
    const know = (fn: AnyFunction) => this.#functions.set(id, fn);
    try {
      const found = loadFunction(importable);
      if (typeof found === 'function') return void know(found);
      know(async (...args: never[]) => (await found)(...args));
      const loading = found
        .then(know, (error: unknown) => this.#failed.set(id, { error })) // told to each task
        .finally(() => this.#loading.delete(id));
      this.#loading.set(id, loading);
    } catch (error) {
      this.#failed.set(id, { error });
      know(() => {
        throw error;
      });
    }
  }

  #begin(): void {
    const { mode, functionId, number } = this.#reader;
    this.current = { number, functionId, controller: undefined };
    let result: unknown;
    let pending: Promise<unknown> | undefined;
    try {
      if ((mode & Mode.Functions) === 0) result = this.#call(this.#arguments(), mode, functionId);
      else result = this.#callWithFunctions(mode & ~Mode.Functions, functionId);
      if (isThenable(result)) pending = settling(result);
    } catch (error) {
      this.#done(Kind.Thrown, packError(error));
      return;
    }
    if (pending === undefined) {
      this.#finish(result);
      return;
    }
    pending.then(
      (settled) => {
        this.#finish(settled);
        this.#run();
      },
      (error: unknown) => {
        this.#done(Kind.Thrown, packError(error));
        this.#run();
      },
    );
  }

  #call(values: unknown, mode: number, functionId: number): unknown {
    const fn = this.#functions.get(functionId) as ((...args: unknown[]) => unknown) | undefined;
    if (fn === undefined) throw codedError(Error, 'ERR_INTERNAL', `Worker ${this.#pid} does not know the function`);
    if ((mode as Mode) === Mode.Call) return fn(...(values as unknown[]));
    return runChunk(fn, values as unknown[], mode);
  }

  /** Functions that are arguments have to be there before the arguments can be read. */
  #callWithFunctions(mode: number, functionId: number): unknown {
    if (this.#loading.size === 0) return this.#call(this.#argumentsWithFunctions(this.#bytes()), mode, functionId);
    const bytes = Buffer.from(this.#bytes()); // frames that come meanwhile are written over them
    return Promise.all(this.#loading.values()).then(() =>
      this.#call(this.#argumentsWithFunctions(bytes), mode, functionId),
    );
  }

  #argumentsWithFunctions(bytes: Uint8Array): unknown {
    let failure: { readonly error: unknown } | undefined;
    const values = decode(bytes, {
      functions: (id) => {
        failure ??= this.#failed.get(id);
        return this.#functions.get(id);
      },
    });
    if (failure !== undefined) throw failure.error;
    return values;
  }

  #arguments(): unknown {
    return decode(this.#bytes(), { adopt: !this.#reader.inSlab && this.#reader.adopt });
  }

  #bytes(): Uint8Array {
    const { inSlab, value } = this.#reader;
    if (!inSlab) return value;
    const { offset, capacity, length } = this.#reader.slab;
    return this.#slabs.at(offset, capacity).read(length);
  }

  #finish(result: unknown): void {
    if (result instanceof MixedResults) this.#done(Kind.Mixed, [result.values, result.failures]);
    else this.#done(Kind.Value, result);
  }

  #done(kind: Kind, value: unknown): void {
    if (native.getpid() !== this.#pid) process.exit(); // a copy that the task forked has come to the end of the task
    const { functionId = 0 } = this.current ?? {};
    const name = this.#functions.get(functionId)?.name ?? '';
    this.current = undefined;
    this.answer(kind, value, name === '' ? 'an anonymous function' : `${name}()`);
  }

  /** Send an answer, whole, before anything else happens: once here, it survives this process. */
  answer(kind: Kind, value: unknown, task: string): void {
    let encoded;
    try {
      encoded = encode(value, { headroom: HEADER, cutFrom: CUT_FROM });
    } catch (error) {
      const failure = packError(encodingError(kind === Kind.Value ? value : (value as PackedError)[0], error, task));
      kind = kind === Kind.LastWords ? kind : Kind.Thrown;
      encoded = encode(failure, { headroom: HEADER, cutFrom: CUT_FROM });
    }
    const { bytes, parts = [bytes] } = encoded;
    let length = 0;
    for (const part of parts) length += part.length;
    if (length >= SLAB_FROM && kind !== Kind.LastWords && this.#sendBySlab(kind, parts, length - HEADER)) return;
    const [first = bytes] = parts;
    writeHeader(first, 0, length, kind, 0, 0, 0);
    if (parts.length === 1) return this.#send(first, length);
    for (const part of parts) this.#sendAll(part, part.length);
    if (padded(length) > length) this.#sendAll(padding, padded(length) - length);
  }

  #sendBySlab(kind: Kind, parts: readonly Uint8Array[], length: number): boolean {
    const slab = this.#slabs.take(length);
    if (slab === undefined) return false;
    slab.write(parts, HEADER);
    const { bytes, size } = slabFrame(kind, slab.offset, slab.capacity, length);
    this.#sendAll(bytes, size);
    return true;
  }

  #send(bytes: Uint8Array, length: number): void {
    const whole = padded(length);
    if (whole > outgoing.length) {
      this.#sendAll(bytes, length);
      if (whole > length) this.#sendAll(padding, whole - length);
      return;
    }
    outgoing.set(bytes, 0);
    this.#sendAll(outgoing, whole);
  }

  #sendAll(bytes: Uint8Array, length: number): void {
    // EPIPE: the parent is gone, and so is this process soon.
    if (sendAll(this.#fd, bytes, length) < 0) process.exit(1);
  }

  static {
    // What every worker runs before its first task and after it. Private methods can be named through an instance only.
    const some = new Worker({ fd: -1, claims: undefined as unknown as Claims, functions: new Map() });
    runsInChild(runWorker, Worker, keepResolve, settling, some.serve, some.answer, some.close);
    runsInChild(some.#onReadable, some.#run, some.#begin, some.#call, some.#arguments, some.#bytes);
    runsInChild(some.#finish, some.#done, some.#send, some.#sendAll, some.#leave);
  }
}

let resolveKept: (() => void) | undefined;

function keepResolve(resolve: () => void): void {
  resolveKept = resolve;
}

const outgoing = new Uint8Array(64 * 1024);
const padding = new Uint8Array(8);

/** Results of a chunk of which some calls failed. */
class MixedResults {
  constructor(
    readonly values: unknown[],
    readonly failures: [index: number, error: PackedError][],
  ) {}
}

/** Call the function with each of the values; the first promise makes the rest asynchronous. */
function runChunk(fn: (...args: unknown[]) => unknown, values: readonly unknown[], mode: number): unknown {
  const results: unknown[] = [];
  if ((mode as Mode) === Mode.Map) {
    // The usual case, without anything else in the loop.
    for (let i = 0; i < values.length; i++) {
      const result = fn(values[i]);
      if (isThenable(result)) return runChunkAsync(fn, values, mode, results, result);
      results.push(result);
    }
    return results;
  }
  if ((mode & Mode.GoOn) !== 0) return runChunkAsync(fn, values, mode, results, undefined);
  for (let i = 0; i < values.length; i++) {
    const result = fn(...(values[i] as unknown[]));
    if (isThenable(result)) return runChunkAsync(fn, values, mode, results, result);
    results.push(result);
  }
  return results;
}

async function runChunkAsync(
  fn: (...args: unknown[]) => unknown,
  values: readonly unknown[],
  mode: number,
  results: unknown[],
  pending: PromiseLike<unknown> | undefined,
): Promise<unknown> {
  const failures: [number, PackedError][] = [];
  const goesOn = (mode & Mode.GoOn) !== 0;
  const spreads = (mode & Mode.StarMap) !== 0;
  if (pending !== undefined) results.push(await pending);
  for (let i = results.length; i < values.length; i++) {
    try {
      const result = spreads ? fn(...(values[i] as unknown[])) : fn(values[i]);
      results.push(isThenable(result) ? await result : result);
    } catch (error) {
      if (!goesOn) throw error;
      failures.push([i, packError(error)]);
      results.push(undefined);
    }
  }
  return failures.length === 0 ? results : new MixedResults(results, failures);
}

/** As `await` has it: other thenables than promises may throw, settle twice, or come to a further thenable. */
function settling(thenable: PromiseLike<unknown>): Promise<unknown> {
  return thenable instanceof Promise ? thenable : Promise.resolve(thenable);
}

registerAtFork({
  // What a task forks is no worker: with a copy of the socket it could answer, and hide the worker's end.
  afterInChild() {
    serving?.close();
    serving = undefined;
  },
});
