/** A generation as the master sees it. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { ProcessError, type PosixError } from '../errors';
import { native } from '../native';
import { procStat } from '../posix/proc';
import { kill } from '../posix/signals';
import { startClean } from '../process/clean-child';
import { Channel } from './channel';
import type { EventBody, PreforkReason } from './events';
import { exitOf } from './exit';
import { runGeneration, type GenerationPlan } from './generation';
import { errorOf, type Command, type FromGeneration, type Manner } from './messages';
import type { WorkerStatus } from './status';

/** Milliseconds that a generation has beyond its workers' deadline, before all of it is ended by SIGKILL. */
const MARGIN = 3_000;

/** What is told of a generation. */
export interface GenerationListener {
  onEvent(generation: ChildGeneration, event: EventBody, time: number): void;
  /** Its process ended without having been told to. */
  onDeath(generation: ChildGeneration, exitCode: number, error: Error | undefined): void;
}

/** Forked by its constructor. */
export class ChildGeneration {
  readonly number: number;
  readonly pid: number;
  readonly started = Date.now();
  /** Resolves when all its workers serve, rejects when that will never be. */
  readonly ready: Promise<void>;
  /** Resolves when none of its processes is left, workers included. */
  readonly ended: Promise<void>;
  readonly #channel: Channel<FromGeneration, Command>;
  readonly #lifeline: Socket;
  readonly #listener: GenerationListener;
  /** Workers that run, by pid; with the time of their start, since a pid alone may be another's later. */
  readonly #workers = new Map<number, number | undefined>();
  readonly #waiting = new Map<number, (workers: readonly WorkerStatus[]) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #asked = 0;
  #isEnding = false;
  #isGone = false;
  #failure: Error | undefined;
  #settleReady!: { resolve: () => void; reject: (error: Error) => void };

  /** @throws What `fork()` throws; no process was made then. */
  constructor(plan: Omit<GenerationPlan, 'channel' | 'lifeline'>, listener: GenerationListener) {
    this.number = plan.generation;
    this.#listener = listener;
    const [mine, its] = native.socketpair();
    // The generation and its workers have the writing end, and nobody writes: when the last one ends, so does the pipe.
    const [lifeline, held] = native.pipe2(0, 'pipe2');
    native.setCloseOnExec(lifeline, true);
    native.setCloseOnExec(held, true);
    try {
      this.pid = startClean(() => {
        closeSync(mine);
        closeSync(lifeline);
        return runGeneration({ ...plan, channel: its, lifeline: held });
      }, `generation ${plan.generation}`);
    } catch (error) {
      closeSync(mine);
      closeSync(lifeline);
      throw error;
    } finally {
      closeSync(its);
      closeSync(held);
    }
    this.#channel = new Channel(
      mine,
      (message) => this.#hear(message),
      () => {},
    );
    this.ready = new Promise((resolve, reject) => (this.#settleReady = { resolve, reject }));
    this.ready.catch(() => {});
    this.#lifeline = new Socket({ fd: lifeline, readable: true, writable: false }).resume();
    const lastEnded = new Promise<void>((resolve) => this.#lifeline.on('close', () => resolve()));
    // The kernel closes descriptors one by one: only a process that has been waited for has certainly left its socket.
    this.ended = Promise.all([lastEnded, this.#wait()]).then(() => {});
    const { startTimeout } = plan.settings;
    const timer = this.#timer(() => this.#tooLate(startTimeout), startTimeout);
    this.ready.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
  }

  /** Tell it to end, and see to it that it does. */
  end(manner: Manner, reason: PreforkReason, timeout: number): void {
    this.#isEnding = true;
    this.#settleReady.reject(new ProcessError('The server was stopped', { code: 'ERR_PREFORK_STOPPED' }));
    this.#channel.send({ type: 'end', manner, reason, timeout });
    const latest = this.#timer(() => this.#killAll(), Math.min(timeout + MARGIN, 0x7fffffff));
    void this.ended.then(() => clearTimeout(latest));
  }

  /** In a forked child of the master: the generation is the parent's. Both ends of the channel would be lost on us. */
  abandon(): void {
    this.#channel.close();
    this.#lifeline.destroy();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** What its workers do; empty when it does not answer. */
  workers(): Promise<readonly WorkerStatus[]> {
    return new Promise((resolve) => {
      if (this.#isGone) return resolve([]);
      const id = (this.#asked += 1);
      const done = (workers: readonly WorkerStatus[]): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(workers);
      };
      const timer = setTimeout(done, 2_000, []);
      this.#waiting.set(id, done);
      this.#channel.send({ type: 'status', id });
    });
  }

  #timer(callback: () => void, delay: number): NodeJS.Timeout {
    const timer = setTimeout(callback, delay);
    this.#timers.add(timer);
    return timer;
  }

  #hear(message: FromGeneration): void {
    if (message.type === 'failed') this.#failure = errorOf(message.error);
    else if (message.type === 'status') this.#waiting.get(message.id)?.(message.workers);
    else this.#note(message.event, message.time);
  }

  #note(event: EventBody, time: number): void {
    if (event.type === 'worker-started') this.#workers.set(event.workerPid, procStat(event.workerPid)?.startTicks);
    if (event.type === 'worker-exited') this.#workers.delete(event.workerPid);
    this.#listener.onEvent(this, event, time);
    if (event.type === 'ready') this.#settleReady.resolve();
  }

  async #wait(): Promise<void> {
    const exitCode = await exitOf(this.pid);
    this.#isGone = true;
    for (const done of [...this.#waiting.values()]) done([]);
    await this.#channel.end(); // what it has said last is read first
    this.#settleReady.reject(startError(`Its process ended with ${exitCode} before its workers served`, this.#failure));
    if (!this.#isEnding) this.#listener.onDeath(this, exitCode, this.#failure);
  }

  #tooLate(milliseconds: number): void {
    this.#isEnding = true;
    this.#settleReady.reject(startError(`Its workers did not serve within ${milliseconds} ms`, this.#failure));
    this.#killAll();
  }

  /** Its process may be unable to do that. */
  #killAll(): void {
    if (!this.#isGone) kill(this.pid, 'SIGKILL');
    for (const [pid, startTicks] of this.#workers) {
      if (startTicks === undefined || procStat(pid)?.startTicks !== startTicks) continue;
      try {
        kill(pid, 'SIGKILL');
      } catch (error) {
        if ((error as PosixError).code !== 'ESRCH') throw error;
      }
    }
  }
}

function startError(why: string, cause: Error | undefined): ProcessError {
  return new ProcessError(`The application could not be started. ${cause === undefined ? why : cause.message}`, {
    code: 'ERR_PREFORK_START',
    ...(cause !== undefined && { cause }),
  });
}
