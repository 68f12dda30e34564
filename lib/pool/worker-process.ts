/** The pool's hold on one worker: its process, its socket, and the tasks it was sent. */
import { closeSync } from 'node:fs';
import type { WorkerDeath } from '../errors';
import { DupFd } from '../ipc/dup-fd';
import { native } from '../native';
import { signalName } from '../posix/signal-names';
import { runsInChild } from '../posix/precompile';
import { setParentDeathSignal } from '../posix/prctl';
import { describeFunction } from '../process/importable';
import type { StartMethod } from '../process/popen';
import { kEnded, kEndsWithOwner, Process } from '../process/process';
import { ahead, COUNT, type Claims } from './claims';
import { Channel } from './channel';
import { Deque } from './deque';
import { bareFrame, Kind, putNumber, slabFrame, valueFrame } from './frames';
import { allFunctions, idOf, lastId } from './functions';
import type { AnyFunction, Task } from './task';
import { remoteWorker } from './remote-worker';
import { Grants, type Slabs } from './slabs';
import { runWorker, type WorkerSetup } from './worker';

/** Milliseconds of work that a worker has in its socket at most, beside the task it runs. */
const AHEAD_MS = 1;
const MOST_AHEAD = 512;

/** The process object of a worker; the names are Python's. */
abstract class PoolWorker extends Process {
  onEnd: (() => void) | undefined;

  /** @internal */
  override get [kEndsWithOwner](): boolean {
    return true;
  }

  /** @internal */
  override [kEnded](): void {
    this.onEnd?.();
  }
}

class ForkPoolWorker extends PoolWorker {
  static override readonly startMethod = 'fork';
}

export class SpawnPoolWorker extends PoolWorker {
  static override readonly startMethod = 'spawn';
}

export class ForkServerPoolWorker extends PoolWorker {
  static override readonly startMethod = 'forkserver';
}

export interface WorkerOptions {
  readonly method: StartMethod;
  readonly initializer: AnyFunction | undefined;
  readonly initargs: readonly unknown[];
}

/** Who hears of a worker. */
export interface WorkerListener {
  onReady(worker: WorkerProcess, events: number): void;
  onEnd(worker: WorkerProcess, death: WorkerDeath): void;
}

function forked(ours: number, theirs: number, claims: Claims, { initializer, initargs }: WorkerOptions): PoolWorker {
  const setup = { fd: theirs, claims, functions: allFunctions(), initializer };
  const inherited = { ours, parent: native.getpid(), setup };
  return new ForkPoolWorker({ daemon: true, args: initargs, target: beginWork.bind(undefined, inherited) });
}

interface Inherited {
  /** The pool's end of the socket. */
  readonly ours: number;
  readonly parent: number;
  readonly setup: WorkerSetup;
}

/** In the worker. */
function beginWork({ ours, parent, setup }: Inherited, ...initargs: unknown[]): Promise<void> {
  closeSync(ours); // else the end of the stream would never come
  // A parent that is killed tells nobody; one that was gone before this line never will.
  if (canFollowParent) setParentDeathSignal('SIGKILL');
  if (native.getppid() !== parent) native.leaveProcess(1);
  return runWorker(setup, initargs);
}

runsInChild(beginWork);

function remote(theirs: number, claims: Claims, { method, initializer, initargs }: WorkerOptions): PoolWorker {
  const named = initializer === undefined ? undefined : describeFunction(initializer);
  const options = { daemon: true, target: remoteWorker, args: [new DupFd(theirs), claims.place(), named, initargs] };
  return method === 'spawn' ? new SpawnPoolWorker(options) : new ForkServerPoolWorker(options);
}

/** Elsewhere the end of the socket has to tell, which a worker that computes does not read. */
const canFollowParent = process.platform === 'linux';

let numbers = 0;

export class WorkerProcess {
  readonly pid: number;
  readonly channel: Channel;
  /** The functions it knows have at most this number. */
  readonly knows: number;
  /** Sent and not answered, in order; the first may be running. */
  readonly sent = new Deque<{ readonly task: Task; readonly number: number }>();
  /** Tasks it has been given in its life. */
  given = 0;
  answers = 0;
  /** It gets no more tasks. */
  leaving = false;
  /** It was killed on purpose: whose death is no news. */
  condemned = false;
  /** When something has to be done about its task; see scheduler.ts. */
  deadline = Infinity;
  /** An error that may be the end of it. */
  lastWords: unknown;
  /** Its task is given up, and the worker has until the deadline to come to its end. */
  givenUp: Task | undefined;
  /** How many tasks it may have at a time. */
  depth = 1;
  /** When it last answered, or got its first task. */
  mark = 0;
  /** The slabs that it may write results into. */
  readonly grants: Grants;
  #average = Infinity;
  #death: WorkerDeath | undefined;
  /** Tasks at the front of `sent` that belong to the time before the last Resume: they were begun. */
  #old = 0;
  #resumes = 0;
  /** Answers since the last Resume. */
  #answered = 0;
  /** Functions that a worker which is no fork was told of. */
  readonly #told = new Set<number>();
  readonly #process: PoolWorker;
  readonly #listener: WorkerListener;

  /** Starts it. @throws What `Process.start` throws. */
  constructor(
    listener: WorkerListener,
    readonly claims: Claims,
    options: WorkerOptions,
    slabs: Slabs,
  ) {
    this.grants = new Grants(slabs);
    const [ours, theirs] = native.socketpair();
    const isFork = options.method === 'fork';
    this.knows = isFork ? lastId() : Infinity;
    const process = isFork ? forked(ours, theirs, claims, options) : remote(theirs, claims, options);
    try {
      process.start();
    } catch (error) {
      closeSync(ours);
      throw error;
    } finally {
      closeSync(theirs);
    }
    // One that has ended within start() tells nobody; its socket will, and look() finds it.
    process.onEnd = () => this.#end();
    this.#listener = listener;
    this.#process = process;
    this.pid = process.pid as number;
    this.channel = new Channel(ours, (events) => listener.onReady(this, events));
  }

  get name(): string {
    return this.#process.name;
  }

  /** The first of the tasks it has: the one that runs, or is about to. */
  get first(): Task | undefined {
    return this.sent.peek()?.task;
  }

  knowsFunctionsOf(task: Task): boolean {
    return task.newestId <= this.knows;
  }

  /** Send tasks; they are noted as sent whatever becomes of them. */
  send(tasks: readonly Task[], now: number): void {
    if (this.sent.length === 0) this.mark = now;
    for (const task of tasks) {
      const number = numbers;
      numbers = (numbers + 1) >>> 0;
      putNumber(task, number);
      task.hasWorker = true;
      this.sent.push({ task, number });
    }
    this.given += tasks.length;
    if (this.knows === Infinity) this.#tell(tasks);
    this.channel.write(tasks);
  }

  /** Name the functions that it does not know yet; the pool has made sure that they have names. */
  #tell(tasks: readonly Task[]): void {
    for (const { functionId, fn, passed } of tasks) {
      if (fn === undefined) continue;
      this.#tellOf(functionId, fn);
      if (passed !== undefined) for (const each of passed) this.#tellOf(idOf(each), each);
    }
  }

  #tellOf(id: number, fn: AnyFunction): void {
    if (this.#told.has(id)) return;
    this.#told.add(id);
    this.channel.write([valueFrame(Kind.Function, id, describeFunction(fn))]);
  }

  /** Let it have slabs for its results. */
  grant(): void {
    for (const { offset, capacity } of this.grants.more()) {
      this.channel.write([slabFrame(Kind.Grant, offset, capacity, 0)]);
    }
  }

  /** The task that an answer is for. */
  answer(): Task | undefined {
    const entry = this.sent.shift();
    if (entry === undefined) return undefined;
    this.#giveBack(entry.task);
    this.answers++;
    if (this.#old > 0) this.#old--;
    else this.#answered++;
    return entry.task;
  }

  /** How long its tasks take decides how many it has waiting. */
  noteAnswers(count: number, now: number): void {
    const each = (now - this.mark) / count;
    this.mark = now;
    this.#average = this.#average === Infinity ? each : (this.#average + each) / 2;
    this.depth = Math.max(1, Math.min(MOST_AHEAD, this.depth * 4, Math.floor(AHEAD_MS / this.#average)));
  }

  /** After its end: the tasks it had not begun, in order; those left in `sent` it had. */
  unbegun(): Task[] {
    return this.#cut(this.claims.begun());
  }

  /** Take back, for others, the tasks it has not begun. */
  takeBack(): Task[] {
    this.#resumes = (this.#resumes + 1) & COUNT;
    const tasks = this.#cut(this.claims.takeBack(this.#resumes));
    this.#old = this.sent.length;
    this.#answered = 0;
    this.channel.write([bareFrame(Kind.Resume, this.#resumes)]);
    return tasks;
  }

  #cut(begun: number): Task[] {
    const running = this.#old + ahead(begun, this.#answered);
    const tasks: Task[] = [];
    while (this.sent.length > running) {
      const { task } = this.sent.pop() as { task: Task };
      task.hasWorker = false;
      if (task.settled) this.#giveBack(task);
      tasks.unshift(task);
    }
    this.given -= tasks.length;
    return tasks;
  }

  #giveBack({ slab }: Task): void {
    if (slab !== undefined) this.grants.slabs.giveBack(slab);
  }

  /** Tell it that its first task is no longer wanted. */
  abortFirst(): void {
    const entry = this.sent.peek();
    if (entry !== undefined) this.channel.write([bareFrame(Kind.Abort, entry.number)]);
  }

  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#death !== undefined) return;
    if (signal === 'SIGKILL') this.#process.kill();
    else this.#process.terminate();
  }

  /** Look whether it has ended, which calls `onEnd` if so. */
  look(): void {
    if (this.#death === undefined && this.#process.exitCode !== null) this.#end();
  }

  /** Readable from its end on. */
  get sentinel(): number {
    return this.#process.sentinel;
  }

  /** How it ended; undefined before. */
  get death(): WorkerDeath | undefined {
    return this.#death;
  }

  #end(): void {
    if (this.#death !== undefined) return; // told by the process while look() asked it
    const code = this.#process.exitCode ?? 0;
    this.#death =
      code < 0
        ? { pid: this.pid, exitCode: null, signal: signalName(-code) as NodeJS.Signals }
        : { pid: this.pid, exitCode: code, signal: null };
    this.#listener.onEnd(this, this.#death);
  }

  /** Give up what it holds here. It has ended. */
  close(): void {
    for (const { task } of this.sent) this.#giveBack(task);
    this.grants.end();
    this.channel.close();
    if (this.#death !== undefined) this.#process.close();
  }
}
