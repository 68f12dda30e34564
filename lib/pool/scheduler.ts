/**
 * Which worker runs which task, and when workers are forked and let go.
 *
 *     submit ─> queue ─> a worker that is idle and knows the function
 *                        else a new worker, while there are fewer than `size`
 *                        else an idle worker that does not know it is renewed: forked anew, and let go
 *                        else, as answers come: workers get tasks ahead, as much as 1 ms of them
 *
 *     a worker ends ─> its answers are read ─> the tasks it had begun fail, the others go back to the front of the queue
 *     a worker idles, the queue is empty ─> tasks that others have not begun are taken back for it
 */
import { ProcessError, TimeoutError, WorkerDiedError, AbortError, type WorkerDeath } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { runsInChild } from '../posix/precompile';
import { ClaimTable } from './claims';
import { decode } from '../ipc/serialize';
import { Deque } from './deque';
import { Kind } from './frames';
import { LatencyCounts, type Latency } from './latency';
import type { StartMethod } from '../process/popen';
import { locate, unpackError, type PackedError } from './remote-error';
import { Slabs } from './slabs';
import { READABLE, WRITABLE } from './socket';
import type { AnyFunction, Outcome, Task } from './task';
import { WorkerProcess, type WorkerListener } from './worker-process';

export interface SchedulerOptions {
  readonly size: number;
  readonly initializer: AnyFunction | undefined;
  readonly initargs: readonly unknown[];
  readonly maxTasksPerChild: number;
  readonly gracePeriod: number;
  readonly method: StartMethod;
}

/** What a pool is doing, and has done. */
export interface PoolStats {
  /** Tasks that wait for a worker. A chunk of `map` is one task. */
  readonly queued: number;
  /** Tasks handed to workers; of each worker's, one runs. */
  readonly running: number;
  readonly done: number;
  readonly failed: number;
  /** The pids of the workers. */
  readonly workers: readonly number[];
  /** Workers forked so far. */
  readonly forked: number;
  /** Percentiles, in milliseconds, from handing a task in to its answer; null before the first. */
  readonly latency: Latency | null;
}

/** The tasks that a signal gives up. */
interface Followers {
  readonly tasks: Set<Task>;
  /** Hear of the signal no more. */
  stop(): void;
}

/** An `imap` of which not all items have been handed in. */
export interface ItemSource {
  /** Hand in the rest as workers get through it. False when the event loop is needed for that. */
  hurry(): boolean;
  /** Hand in no more, and end with this error. */
  stop(error: unknown): void;
}

/** Who hears of workers. */
export interface PoolListener {
  /** The pool. It is held while there are tasks, else the sockets of idle workers would keep it for ever. */
  readonly owner: WeakRef<object>;
  onWorker(pid: number): void;
  onWorkerEnd(death: WorkerDeath, expected: boolean): void;
  onIdle(): void;
}

const enum State {
  Run,
  Close,
  Terminate,
}

/** Workers are forked ahead of need so many milliseconds after the pool was made or one has died. */
const FILL_AFTER = 20;
/** So many workers in a row may die before they have started; then the pool gives up. */
const MOST_FALSE_STARTS = 5;
/** Milliseconds to wait after the first of them; doubled after each. */
const FIRST_PAUSE = 50;
/** A task that runs so many milliseconds does not keep those sent after it. */
const LONG = 5;
const FOR_EVER = 0x7fffffff;

/** Pools that have tasks, or are joined. */
const busy = emptyInChild(new Map<Scheduler, object | undefined>());
/** Pools of this process, for its children. */
const schedulers = emptyInChild(new Set<WeakRef<Scheduler>>(), abandon);
const forgotten = new FinalizationRegistry<WeakRef<Scheduler>>((reference) => schedulers.delete(reference));

export class Scheduler implements WorkerListener {
  readonly #options: SchedulerOptions;
  readonly #listener: PoolListener;
  readonly #claims = new ClaimTable();
  /** For arguments and results that are long. */
  readonly slabs = new Slabs();
  /** This is a child of the process that made the pool. */
  #isAbandoned = false;
  #state = State.Run;
  /** Why nothing can be run here any more. */
  #broken: Error | undefined;

  readonly #queue = new Deque<Task>();
  readonly #workers = new Set<WorkerProcess>();
  readonly #idle: WorkerProcess[] = [];
  /** Let go, and not yet ended. */
  readonly #leaving = new Set<WorkerProcess>();

  readonly #latency = new LatencyCounts();
  #done = 0;
  #failed = 0;
  #forked = 0;

  #falseStarts = 0;
  /** The end of a pause; 0 when there is none, or tick() has seen its end. */
  #mayForkAt = 0;
  /** Why there is no worker: the last fork failed. */
  #forkFailure: { readonly error: unknown } | undefined;
  /** The worker whose answers are being taken. */
  #answering: WorkerProcess | undefined;
  #fillAt: number;
  #pumping = false;
  #isForking = false;
  /** Those whose end was seen while another was forked, which reaps them; see noteEnds(). */
  readonly #ended: [worker: WorkerProcess, death: WorkerDeath][] = [];
  /** Pids of workers that the listener has not been told of. */
  readonly #untold: number[] = [];

  /** Weak, because an iterator may be dropped before its end. */
  readonly #sources = new Set<WeakRef<ItemSource>>();
  /** Those that there were when the pool was closed. */
  readonly #finishing = new Set<ItemSource>();

  readonly #followers = new Map<AbortSignal, Followers>();
  readonly #joiners: (() => void)[] = [];
  /** Tasks not settled. */
  #pending = 0;
  /** No task is left, and the listener knows. */
  #isIdle = true;
  #keepAlive: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(options: SchedulerOptions, listener: PoolListener) {
    this.#options = options;
    this.#listener = listener;
    this.#fillAt = performance.now() + FILL_AFTER;
    const reference = new WeakRef(this);
    schedulers.add(reference);
    forgotten.register(this, reference);
    this.#armTimer();
  }

  get isRunning(): boolean {
    return this.#state === State.Run && !this.#isAbandoned;
  }

  /** As Python calls it. */
  get state(): 'RUN' | 'CLOSE' | 'TERMINATE' {
    return this.#state === State.Run ? 'RUN' : this.#state === State.Close ? 'CLOSE' : 'TERMINATE';
  }

  get size(): number {
    return this.#options.size;
  }

  get hasPending(): boolean {
    return this.#pending > 0;
  }

  /** @throws `ERR_POOL_NOT_RUNNING` in a child. */
  checkOwner(): void {
    if (this.#isAbandoned) throw notRunning('it belongs to the process that made it');
  }

  /** @throws `ERR_POOL_NOT_RUNNING` */
  checkRunning(): void {
    this.checkOwner();
    if (this.#state !== State.Run) throw notRunning('it was closed or terminated');
  }

  /** Wait, when closed, for what is still to come from there. Gives what is to be called when all of it has been submitted. */
  follow(source: ItemSource): () => void {
    for (const each of this.#sources) if (each.deref() === undefined) this.#sources.delete(each);
    const reference = new WeakRef(source);
    this.#sources.add(reference);
    return () => {
      this.#sources.delete(reference);
      if (!this.#finishing.delete(source)) return;
      this.#afterwards();
      this.#checkJoined();
    };
  }

  /** Take a task, which {@link giveOut} is then to be called for. It is settled later, or, when workers cannot start, at once. */
  submit(task: Task, signal?: AbortSignal): void {
    if (signal?.aborted === true) return task.fail(new AbortError(signal));
    if (this.#broken !== undefined) return task.fail(this.#broken);
    if (signal !== undefined) this.#follow(task, signal);
    task.submitted = performance.now();
    this.#queue.push(task);
    this.#isIdle = false;
    if (this.#pending++ === 0) this.#updateAlive();
  }

  /** Give to workers what was submitted. */
  giveOut(): void {
    if (this.#idle.length > 0 || this.#workers.size < this.size) this.#pump();
  }

  /** One listener for all tasks of a signal: the chunks of a map may be thousands. */
  #follow(task: Task, signal: AbortSignal): void {
    const followers = this.#followers.get(signal) ?? this.#listenTo(signal);
    followers.tasks.add(task);
    task.release = () => {
      if (followers.tasks.delete(task) && followers.tasks.size === 0) followers.stop();
    };
  }

  #listenTo(signal: AbortSignal): Followers {
    const tasks = new Set<Task>();
    const onAbort = (): void => {
      this.#followers.delete(signal);
      for (const task of tasks) this.#giveUp(task, new AbortError(signal));
    };
    const stop = (): void => {
      this.#followers.delete(signal);
      signal.removeEventListener('abort', onAbort);
    };
    const followers = { tasks, stop };
    this.#followers.set(signal, followers);
    signal.addEventListener('abort', onAbort, { once: true });
    return followers;
  }

  // ------------------------------------------------------------------------------------------- giving out

  /** Give queued tasks to workers that have nothing to do. */
  #pump(): void {
    if (this.#pumping || this.#isForking) return; // what a fork below, or the end of another worker, has called
    if (this.#state === State.Terminate) return; // called back while the tasks in the queue are being failed
    do this.#giveQueued();
    while (this.#noteEnds()); // not within: those who are told of them may wait for what is in the queue
    this.#tellOfWorkers();
    this.#afterwards();
  }

  /** As far as there are workers, or until one was seen to end. */
  #giveQueued(): void {
    this.#pumping = true;
    try {
      for (let task = this.#front(); task !== undefined; task = this.#front()) {
        this.#queue.shift(); // before a fork, in which other workers' ends may change the queue
        const worker = this.#workerFor(task);
        if (worker === undefined) {
          if (!task.settled) this.#queue.unshift(task);
          return;
        }
        // With others to come for the workers that there are, as much as this one does in a moment, but its share.
        const share =
          this.#workers.size < this.size ? 1 : Math.ceil((this.#queue.length + 1) / (this.#idle.length + 1));
        const more = this.#next(
          worker,
          Math.min(share, worker.depth, this.#options.maxTasksPerChild - worker.given) - 1,
        );
        this.#give(worker, [task, ...more], performance.now());
        if (this.#ended.length > 0) return;
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** Let go of the worker that has idled longest. */
  #letGoOfIdle(): void {
    const worker = this.#idle.shift();
    if (worker !== undefined) this.#letGo(worker);
  }

  /** The first task of the queue that is still wanted. */
  #front(): Task | undefined {
    for (;;) {
      const task = this.#queue.peek();
      if (task === undefined || !task.settled) return task;
      this.#queue.shift();
    }
  }

  #workerFor(task: Task): WorkerProcess | undefined {
    const idle = this.#idle;
    for (let i = idle.length - 1; i >= 0; i--) {
      const worker = idle[i] as WorkerProcess;
      if (!worker.knowsFunctionsOf(task)) continue;
      idle.splice(i, 1);
      return worker;
    }
    if (this.#workers.size >= this.size && idle.length === 0) return undefined;
    if (performance.now() < this.#mayForkAt) return undefined;
    const worker = this.#fork();
    // After the fork, so that a processor is free for the new one, and nobody is gone when there cannot be another. One that
    // there is no room for, by a limit on processes, gets that of a worker which does not know the function.
    const isRefused = worker === undefined && this.#leaving.size === 0;
    if (isRefused || this.#workers.size > this.size) this.#letGoOfIdle();
    return worker;
  }

  #give(worker: WorkerProcess, tasks: readonly Task[], now: number): void {
    const wasIdle = worker.sent.length === 0;
    worker.send(tasks, now);
    if (wasIdle) this.#watchFirst(worker, now);
  }

  /** At most so many tasks for this worker from the front of the queue, which they leave. */
  #next(worker: WorkerProcess, most: number): Task[] {
    const tasks: Task[] = [];
    while (tasks.length < most) {
      const task = this.#front();
      if (task === undefined || !worker.knowsFunctionsOf(task)) break;
      tasks.push(task);
      this.#queue.shift();
    }
    return tasks;
  }

  /** After answers: more for this worker, as far ahead as its pace allows. */
  #refill(worker: WorkerProcess, now: number): void {
    if (worker.leaving || worker.givenUp !== undefined) return;
    const room = Math.min(worker.depth - worker.sent.length, this.#options.maxTasksPerChild - worker.given);
    const tasks = this.#next(worker, room);
    const index = this.#idle.indexOf(worker); // when it was done within a callback as well; see drive()
    if (index >= 0) this.#idle.splice(index, 1);
    if (tasks.length > 0) this.#give(worker, tasks, now);
    if (worker.sent.length > 0) return;
    if (worker.given >= this.#options.maxTasksPerChild) this.#letGo(worker);
    else this.#idle.push(worker);
  }

  /** What follows from the queue's being empty, or not. */
  #afterwards(): void {
    if (this.#forkFailure !== undefined && this.#isDeserted) this.#failQueued(this.#forkFailure.error);
    if (this.#queue.length === 0) {
      if (this.#idle.length > 0) this.#spread();
      if (this.#state === State.Close && this.#pending === 0 && this.#finishing.size === 0) this.#letAllGo();
    }
    this.#armTimer();
  }

  /** Idle workers get what busy ones have not begun; one that does not know the function is renewed for it. */
  #spread(): void {
    for (const worker of this.#workers) {
      if (worker.sent.length < 2 || worker.leaving || !this.#takeBack(worker)) continue;
      return this.#pump();
    }
  }

  /** What was sent ahead to workers whose task turns out to be long goes to those that answer. */
  #unstick(now: number): void {
    for (const worker of this.#workers) {
      if (worker.sent.length < 2 || now - worker.mark <= LONG || worker.leaving) continue;
      this.#takeBack(worker);
      worker.depth = 1; // its pace is not what it was
    }
  }

  /** Put what a worker has not begun at the front of the queue. False when there was nothing. */
  #takeBack(worker: WorkerProcess): boolean {
    const tasks = worker.takeBack();
    for (let i = tasks.length - 1; i >= 0; i--) this.#queue.unshift(tasks[i] as Task);
    if (worker.sent.length === 0) this.#idle.push(worker); // it had begun none of them
    return tasks.length > 0;
  }

  // ------------------------------------------------------------------------------------------- workers

  #fork(): WorkerProcess | undefined {
    const claims = this.#claims.take();
    let worker: WorkerProcess;
    this.#isForking = true;
    try {
      worker = new WorkerProcess(this, claims, this.#options, this.slabs);
    } catch (error) {
      this.#claims.giveBack(claims);
      this.#pauseForking();
      // With workers left the tasks can wait for them; without, nothing but this error would ever come of them.
      if (this.#ended.length === this.#workers.size + this.#leaving.size) this.#forkFailure = { error };
      return undefined;
    } finally {
      this.#isForking = false;
    }
    this.#forkFailure = undefined;
    this.#forked++;
    this.#workers.add(worker);
    this.#untold.push(worker.pid);
    return worker;
  }

  /** What follows from an end may be a fork: not before the new worker has its place, else there would be one too many. */
  #noteEnds(): boolean {
    const some = this.#ended.length > 0;
    // One by one: a callback among the last answers of one may wait for what another had.
    for (let next = this.#ended.shift(); next !== undefined; next = this.#ended.shift()) this.onEnd(...next);
    return some;
  }

  /** After they have their place and tasks: the listener may wait for what they do. */
  #tellOfWorkers(): void {
    for (let pid = this.#untold.shift(); pid !== undefined; pid = this.#untold.shift()) this.#listener.onWorker(pid);
  }

  #pauseForking(): void {
    const pause = FIRST_PAUSE * 2 ** Math.min(this.#falseStarts, 6);
    this.#mayForkAt = performance.now() + pause;
    this.#fillAt = this.#mayForkAt;
  }

  /** Have a worker without tasks end. */
  #letGo(worker: WorkerProcess): void {
    worker.leaving = true;
    worker.deadline = Infinity;
    this.#workers.delete(worker);
    this.#leaving.add(worker);
    worker.channel.close(); // which it sees as the end of the stream
    if (this.#state === State.Run && this.#workers.size < this.size) this.#fillAt = performance.now() + FILL_AFTER;
  }

  #letAllGo(): void {
    for (const worker of this.#idle.splice(0)) this.#letGo(worker);
    // One that starts, or that has a task nobody waits for any more, reads the end when it comes to it.
    for (const worker of this.#workers) {
      worker.condemned = true;
      if (worker.sent.length === 0) this.#letGo(worker);
      else if (worker.givenUp === undefined) worker.deadline = performance.now() + this.#options.gracePeriod;
    }
    this.#checkJoined();
  }

  /** As Python, where a pool has all its workers from the beginning: each runs the initializer, also of one closed at once. */
  #startAll(): void {
    while (this.#forked < this.size && this.#broken === undefined) {
      const worker = this.#fork();
      if (worker !== undefined) this.#idle.push(worker);
      this.#noteEnds();
      if (worker === undefined) break;
    }
    this.#pump();
  }

  /** Fork workers that nobody has asked for yet: a pool has `size` of them. */
  #fill(now: number): void {
    if (this.#state !== State.Run || this.#broken !== undefined || this.#workers.size >= this.size) {
      this.#fillAt = Infinity;
      return;
    }
    const worker = this.#fork();
    if (worker !== undefined) {
      this.#idle.push(worker);
      // One at a time, so that the loop goes on in between.
      this.#fillAt = this.#workers.size < this.size ? now : Infinity;
    }
    this.#noteEnds();
    this.#pump();
  }

  onReady(worker: WorkerProcess, events: number): void {
    if (events < 0 || (events & WRITABLE) !== 0) worker.channel.flush();
    if (events < 0 || (events & READABLE) !== 0) {
      this.#take(worker);
      if (worker.channel.ended) this.#onHangUp(worker);
    }
  }

  /** The worker's end of the socket is closed: it is ending, or it lost its socket and is of no more use. */
  #onHangUp(worker: WorkerProcess): void {
    worker.look();
    worker.signal('SIGKILL');
  }

  onEnd(worker: WorkerProcess, death: WorkerDeath): void {
    if (this.#isAbandoned) return;
    if (this.#isForking) {
      this.#ended.push([worker, death]);
      return;
    }
    const wasLeaving = worker.leaving;
    worker.leaving = true;
    this.#countOut(worker); // before its last answers, among which callbacks may wait for tasks of other workers
    while (worker.channel.receive()) this.#takeFrames(worker);
    const unbegun = worker.unbegun();
    const hadStarted = worker.claims.hasStarted;
    this.#remove(worker);
    this.#tellOfWorkers(); // of its beginning, if nobody has been told
    this.#listener.onWorkerEnd(death, wasLeaving || worker.condemned);
    if (!hadStarted && !worker.condemned && !wasLeaving) this.#falseStart(death, unbegun, worker.lastWords);
    else if (hadStarted) this.#falseStarts = 0;
    for (const { task } of worker.sent) {
      this.#settleFailed(task, locate(new WorkerDiedError(death, task.name, worker.lastWords), task.trace));
    }
    for (let i = unbegun.length - 1; i >= 0; i--) this.#queue.unshift(unbegun[i] as Task);
    if (this.#broken !== undefined) this.#failQueued(this.#broken);
    if (this.#state === State.Run && !wasLeaving && this.#fillAt === Infinity) {
      this.#fillAt = performance.now() + FILL_AFTER;
    }
    this.#pump();
    this.#checkJoined();
    this.#updateAlive();
  }

  #remove(worker: WorkerProcess): void {
    worker.deadline = Infinity;
    worker.close();
    this.#claims.giveBack(worker.claims);
    this.#countOut(worker);
  }

  #countOut(worker: WorkerProcess): void {
    this.#workers.delete(worker);
    this.#leaving.delete(worker);
    const index = this.#idle.indexOf(worker);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** It has died before its initializer was done. */
  #falseStart(death: WorkerDeath, unbegun: readonly Task[], cause: unknown): void {
    this.#falseStarts++;
    if (this.#falseStarts >= MOST_FALSE_STARTS) {
      this.#broken = new WorkerDiedError(death, 'its initializer', cause);
      for (const task of unbegun) this.#settleFailed(task, this.#broken);
      return;
    }
    this.#pauseForking();
  }

  // ------------------------------------------------------------------------------------------- answers

  #take(worker: WorkerProcess): void {
    if (!worker.channel.receive()) return;
    const before = worker.answers;
    const outer = this.#answering;
    this.#answering = worker;
    this.#takeFrames(worker);
    this.#answering = outer;
    const count = worker.answers - before;
    if (count > 0) this.#goOn(worker, count);
  }

  /** It has answered: more for it to do. */
  #goOn(worker: WorkerProcess, count: number): void {
    const now = performance.now();
    if (count > 0) worker.noteAnswers(count, now);
    this.#unstick(now);
    this.#falseStarts = 0;
    if (worker.givenUp !== undefined && worker.first !== worker.givenUp) worker.givenUp = undefined;
    this.#watchFirst(worker, now);
    worker.grant();
    this.#refill(worker, now);
    if (this.#queue.length > 0 && this.#idle.length > 0) this.#pump();
    else this.#afterwards();
  }

  #takeFrames(worker: WorkerProcess): void {
    const { reader } = worker.channel;
    while (reader.next()) {
      if (reader.kind === Kind.LastWords) {
        worker.lastWords = unpackError(decode(reader.value) as PackedError, worker.pid, undefined);
        continue;
      }
      worker.lastWords = undefined; // it has outlived them: a listener of its own has dealt with the error
      const task = worker.answer();
      const { inSlab } = reader;
      const slab = inSlab ? worker.grants.used(reader.slab.offset) : undefined;
      const length = inSlab ? reader.slab.length : reader.value.length;
      worker.grants.note(length);
      try {
        if (task === undefined || task.settled) continue; // given up meanwhile
        const value = slab === undefined ? decode(reader.value, { adopt: reader.adopt }) : decode(slab.read(length));
        this.#settle(task, worker, reader.kind, value);
      } catch (error) {
        this.#settleFailed(task as Task, error); // decoding: a handle that this process cannot reach
      } finally {
        if (slab !== undefined) this.slabs.giveBack(slab);
      }
    }
  }

  #settle(task: Task, worker: WorkerProcess, kind: Kind, value: unknown): void {
    if (kind === Kind.Thrown) {
      return this.#settleFailed(task, unpackError(value as PackedError, worker.pid, task.trace));
    }
    this.#note(task);
    this.#done++;
    if (kind === Kind.Mixed) task.come(outcomesOf(value as MixedAnswer, worker.pid, task.trace));
    else task.succeed(value);
    this.#tellOfIdling();
  }

  #settleFailed(task: Task, error: unknown): void {
    if (task.settled) return;
    this.#note(task);
    this.#failed++;
    task.fail(error);
    this.#tellOfIdling();
  }

  #note(task: Task): void {
    this.#latency.add(performance.now() - task.submitted);
    if (--this.#pending === 0) this.#updateAlive();
  }

  /** After the last task is settled: the listener may terminate, which fails those that are not. */
  #tellOfIdling(): void {
    if (this.#pending > 0 || this.#isIdle) return;
    this.#isIdle = true;
    this.#listener.onIdle();
  }

  #failQueued(error: unknown): void {
    for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) {
      this.#settleFailed(task, error);
    }
  }

  // ------------------------------------------------------------------------------------------- time

  /** A worker has come to its next task: its time runs from here. */
  #watchFirst(worker: WorkerProcess, now: number): void {
    if (worker.givenUp !== undefined || worker.condemned) return;
    const timeout = worker.first?.timeout ?? Infinity;
    worker.deadline = timeout === Infinity ? Infinity : now + timeout;
    if (timeout !== Infinity) this.#armTimer();
  }

  /** Settle a task that runs too long or is no longer wanted, and see to it that its worker is free again soon. */
  #giveUp(task: Task, error: unknown): void {
    if (task.settled) return;
    const worker = this.#holderOf(task);
    if (worker !== undefined) this.#takeFrom(worker, task);
    this.#settleFailed(task, error); // which may call back, and wait there for other tasks, while the worker ends
    if (worker !== undefined) this.#pump();
  }

  /** The worker is not to run this task, or to come to its end if it does. */
  #takeFrom(worker: WorkerProcess, task: Task): void {
    for (const other of worker.takeBack().reverse()) if (other !== task && !other.settled) this.#queue.unshift(other);
    if (worker.first === task) {
      worker.givenUp = task;
      worker.deadline = performance.now() + this.#options.gracePeriod;
      worker.abortFirst();
    } else if (worker.sent.length === 0) {
      this.#refill(worker, performance.now());
    }
  }

  #holderOf(task: Task): WorkerProcess | undefined {
    for (const worker of this.#workers) {
      for (const sent of worker.sent) if (sent.task === task) return worker;
    }
    return undefined;
  }

  #tick(now: number): void {
    for (const worker of [...this.#workers, ...this.#leaving]) {
      if (worker.deadline > now) continue;
      worker.deadline = Infinity;
      const task = worker.first;
      if (task !== undefined && !task.settled && worker.givenUp === undefined && !worker.condemned) {
        const error = new TimeoutError(`The task ${task.name} has run for ${task.timeout} ms`);
        this.#giveUp(task, locate(error, task.trace));
      } else {
        worker.condemned = true;
        worker.signal('SIGKILL');
      }
    }
    if (this.#mayForkAt <= now) {
      this.#mayForkAt = 0;
      if (this.#queue.length > 0) this.#pump();
    }
    if (this.#fillAt <= now) this.#fill(now); // after those that are wanted: a fork that fails puts off both
    this.#armTimer();
  }

  /** The next time at which something has to be done, Infinity when there is nothing. */
  #nextDeadline(): number {
    let next = this.#fillAt;
    if (this.#queue.length > 0 && this.#mayForkAt > 0) next = Math.min(next, this.#mayForkAt); // past, perhaps: to be pumped
    for (const { deadline } of this.#workers) if (deadline < next) next = deadline;
    for (const { deadline } of this.#leaving) if (deadline < next) next = deadline;
    return next;
  }

  #armTimer(): void {
    const next = this.#nextDeadline();
    if (next === this.#timerAt) return;
    this.#timerAt = next;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (next === Infinity) return;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Infinity;
        this.#tick(performance.now());
      },
      Math.max(0, Math.ceil(next - performance.now())),
    );
    this.#timer.unref();
  }

  /** While there is work the loop stays alive, by nothing else of the pool's. */
  #updateAlive(): void {
    const wanted = this.#pending > 0 || (this.#joiners.length > 0 && !this.#isGone);
    if (wanted) {
      busy.set(this, this.#listener.owner.deref());
      this.#keepAlive ??= setTimeout(() => {}, FOR_EVER);
      this.#keepAlive.ref();
    } else {
      busy.delete(this);
      this.#keepAlive?.unref();
    }
  }

  // ------------------------------------------------------------------------------------------- blocking

  /** Do the pool's work, and nothing else in this process, until `isDone` or the deadline. */
  drive(isDone: () => boolean, until: number): void {
    if (this.#answering !== undefined && !isDone()) {
      // Called back from among the answers of a worker: it has more of them, perhaps, and nothing to do until they are taken.
      const worker = this.#answering;
      this.#takeFrames(worker);
      this.#goOn(worker, 0);
    }
    while (!isDone()) {
      this.#noteEnds();
      const now = performance.now();
      if (now >= until) return;
      this.#tick(now);
      if (isDone()) return;
      const watched = [...this.#workers, ...this.#leaving];
      const fds: number[] = [];
      const events: number[] = [];
      for (const worker of watched) {
        if (worker.death !== undefined) break;
        const { channel, sentinel } = worker;
        fds.push(channel.isOpen && !channel.ended ? channel.fd : -1, sentinel); // poll(2) passes over -1
        events.push(channel.events, READABLE);
      }
      // To make a sentinel is to look whether the process has ended, from which everything may follow.
      if (watched.some(({ death }) => death !== undefined)) continue;
      const next = Math.min(until, this.#nextDeadline());
      const wait = next === Infinity ? -1 : Math.max(0, next - performance.now());
      const ready = native.pollFds(fds, events, wait);
      if (typeof ready === 'number') continue;
      watched.forEach((worker, index) => {
        const channel = ready[index * 2] as number;
        if (channel !== 0) this.onReady(worker, channel);
        if (ready[index * 2 + 1] !== 0) worker.look();
      });
    }
  }

  // ------------------------------------------------------------------------------------------- the end

  close(): void {
    if (this.#isAbandoned || this.#state !== State.Run) return;
    if (this.#options.initializer !== undefined) this.#startAll();
    this.#state = State.Close;
    for (const reference of this.#sources) {
      const source = reference.deref();
      if (source !== undefined) this.#finishing.add(source);
    }
    this.#fillAt = Infinity;
    this.#afterwards();
    this.#checkJoined();
  }

  terminate(): void {
    if (this.#isAbandoned || this.#state === State.Terminate) return;
    this.#state = State.Terminate;
    this.#broken ??= terminated(); // also for a task whose arguments are being read: a getter among them has called this
    this.#fillAt = Infinity;
    // First of all: for each task that fails they would hand in another.
    for (const source of [...this.#sources]) source.deref()?.stop(terminated());
    const killAt = performance.now() + this.#options.gracePeriod;
    for (const worker of [...this.#workers, ...this.#leaving]) {
      worker.condemned = true;
      worker.deadline = killAt; // one that ignores SIGTERM
      worker.signal('SIGTERM');
    }
    for (const worker of this.#workers) {
      for (const { task } of worker.sent) this.#settleFailed(task, terminated());
    }
    this.#failQueued(terminated());
    this.#armTimer();
    this.#checkJoined();
    this.#updateAlive();
  }

  get #isDeserted(): boolean {
    return this.#workers.size === 0 && this.#leaving.size === 0;
  }

  get #isGone(): boolean {
    return this.#isDeserted && this.#pending === 0 && this.#finishing.size === 0;
  }

  /** @throws `ERR_POOL_RUNNING` */
  checkJoinable(): void {
    this.checkOwner();
    if (this.#state === State.Run) {
      throw new ProcessError('Pool is still running: close or terminate it before join', { code: 'ERR_POOL_RUNNING' });
    }
  }

  join(): Promise<void> {
    for (const source of [...this.#finishing]) source.hurry();
    return new Promise((resolve) => {
      this.#joiners.push(resolve);
      this.#updateAlive();
      this.#checkJoined();
    });
  }

  joinSync(): void {
    for (const source of [...this.#finishing]) {
      if (!source.hurry()) source.stop(notRunning('joinSync() leaves no time for an async iterable'));
    }
    this.drive(() => this.#isGone, Infinity);
  }

  #checkJoined(): void {
    if (this.#state === State.Run || !this.#isGone) return;
    clearTimeout(this.#timer);
    this.slabs.drop();
    for (const resolve of this.#joiners.splice(0)) resolve();
    this.#updateAlive();
    clearTimeout(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  stats(): PoolStats {
    let running = 0;
    for (const worker of this.#workers) running += worker.sent.length;
    let queued = 0;
    for (const task of this.#queue) if (!task.settled) queued++; // those given up leave it when their turn comes
    return {
      queued,
      running,
      done: this.#done,
      failed: this.#failed,
      workers: [...this.#workers].map(({ pid }) => pid),
      forked: this.#forked,
      latency: this.#latency.summary(),
    };
  }

  /** In a child: the workers are the parent's. */
  abandon(): void {
    this.#isAbandoned = true;
    for (const worker of [...this.#workers, ...this.#leaving]) worker.channel.close();
    clearTimeout(this.#timer);
    this.#keepAlive?.unref();
  }
}

type MixedAnswer = readonly [values: unknown[], failures: [index: number, error: PackedError][]];

function outcomesOf(
  [values, failures]: MixedAnswer,
  pid: number,
  trace: { readonly stack?: string } | undefined,
): Outcome[] {
  const outcomes = values.map((value): Outcome => ({ ok: true, value }));
  for (const [index, error] of failures) outcomes[index] = { ok: false, error: unpackError(error, pid, trace) };
  return outcomes;
}

function notRunning(why: string): ProcessError {
  return new ProcessError(`Pool not running: ${why}`, { code: 'ERR_POOL_NOT_RUNNING' });
}

function terminated(): ProcessError {
  return new ProcessError('The pool was terminated before the task was done', { code: 'ERR_POOL_TERMINATED' });
}

function abandon(reference: WeakRef<Scheduler>): void {
  reference.deref()?.abandon();
}

runsInChild(abandon, Scheduler.prototype.abandon);
