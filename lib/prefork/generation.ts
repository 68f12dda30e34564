/**
 * A generation: the process that loads the application and forks the workers from what it then holds.
 *
 *     load ──> collect garbage ──> fork the workers ──> watch them ──────────────> end them, and itself
 *                                        ^                  │ died: back-off          ^
 *                                        └──────────────────┘ limit: successor first  │ told so, or the master died
 */
import { closeSync } from 'node:fs';
import { mainGlobal } from '../main-context';
import { emptyInChild } from '../posix/at-fork';
import { backoff, STABLE } from './backoff';
import { Channel } from './channel';
import { ChildWorker, type WorkerListener } from './child-worker';
import { collectGarbage } from './collect-garbage';
import type { EventBody, PreforkReason } from './events';
import { processMemory } from './memory';
import { errorText, type Command, type ErrorText, type FromGeneration, type Manner } from './messages';
import type { Settings } from './options';
import { never, takeSignals } from './worker';

/** What a generation is made from; all of it inherited. */
export interface GenerationPlan {
  readonly settings: Settings;
  readonly generation: number;
  readonly listener: number;
  readonly channel: number;
  /** Open as long as the generation or a worker of it lives: {@link ChildGeneration.ended}. */
  readonly lifeline: number;
}

/** Milliseconds between looks at the workers. */
const LOOK = 1_000;

/** Milliseconds beyond their deadline that workers have for their last callbacks. */
const LAST_CALLBACKS = 1_000;

/** The place of a worker among its siblings. */
interface Slot {
  readonly id: number;
  /** Serves. */
  current?: ChildWorker | undefined;
  /** Will, and then the other one retires. */
  successor?: ChildWorker | undefined;
  /** Runs when it is time to try again. */
  retry?: NodeJS.Timeout | undefined;
  /** Why the current worker is to be replaced. */
  reason?: PreforkReason | undefined;
  failures: number;
}

/** In the forked process: load, and keep the workers. Settles when all have ended. */
export async function runGeneration(plan: GenerationPlan): Promise<void> {
  await new Generation(plan).run();
}

/** The generation that this process is. */
const generations = emptyInChild(new Set<Generation>(), (generation) => generation.abandon());

class Generation implements WorkerListener {
  readonly #settings: Settings;
  readonly #channel: Channel<Command, FromGeneration>;
  readonly #slots: Slot[];
  readonly #workers = new Set<ChildWorker>();
  #app: unknown;
  readonly #leaveSignals: () => void;
  #wasReady = false;
  /** In a worker, which inherits the socket. */
  #isForking = false;
  #isAbandoned = false;
  #ending: Manner | undefined;
  /** Workers in a row that died before they were ready. */
  #startFailures = 0;
  #over!: () => void;
  readonly #isOver = new Promise<void>((resolve) => (this.#over = resolve));

  constructor(readonly plan: GenerationPlan) {
    this.#settings = plan.settings;
    this.#slots = Array.from({ length: plan.settings.workers }, (_, index) => ({ id: index + 1, failures: 0 }));
    this.#channel = new Channel(
      plan.channel,
      (command) => this.#obey(command),
      () => this.#end('stop', 'parent-died', this.#settings.stopTimeout),
    );
    this.#leaveSignals = takeSignals(() => this.#end('stop', 'signal', this.#settings.stopTimeout));
    generations.add(this);
  }

  async run(): Promise<void> {
    const begun = performance.now();
    this.#tell({ type: 'loading' });
    try {
      this.#app = await this.#settings.load();
    } catch (error) {
      this.#fail(errorText(error));
    }
    if (this.#isAbandoned) await never;
    if (this.#ending === undefined) {
      await collectGarbage();
      this.#tell({ type: 'loaded', milliseconds: performance.now() - begun });
      for (const slot of this.#slots) this.#fork(slot);
      this.#watch();
    }
    this.#checkOver();
    await this.#isOver;
    await this.#channel.end();
  }

  /** In a fork that the application made: the workers are its parent's. */
  abandon(): void {
    if (this.#isForking) return;
    this.#isAbandoned = true;
    this.#channel.close();
    for (const worker of this.#workers) worker.abandon();
    for (const slot of this.#slots) clearTimeout(slot.retry);
    this.#workers.clear();
    closeSync(this.plan.lifeline);
    closeSync(this.plan.listener);
    this.#leaveSignals();
  }

  onReady(worker: ChildWorker): void {
    this.#tell({ type: 'worker-ready', worker: worker.id, workerPid: worker.pid });
    this.#startFailures = 0;
    const slot = this.#slotOf(worker);
    if (slot.successor === worker) {
      slot.successor = undefined;
      if (slot.current !== undefined) this.#retire(slot.current, slot.reason ?? 'signal');
      slot.current = worker;
      slot.reason = undefined;
    }
    if (!this.#wasReady && this.#slots.every(({ current }) => current?.state === 'ready')) {
      this.#wasReady = true;
      this.#tell({ type: 'ready' });
    }
  }

  onLimit(worker: ChildWorker, reason: PreforkReason): void {
    const slot = this.#slotOf(worker);
    if (slot.current !== worker || slot.reason !== undefined || this.#ending !== undefined) return;
    slot.reason = reason;
    this.#fork(slot);
  }

  onExit(worker: ChildWorker, exitCode: number): void {
    this.#workers.delete(worker);
    const slot = this.#slotOf(worker);
    const held = slot.current === worker ? 'current' : slot.successor === worker ? 'successor' : undefined;
    const expected = worker.state === 'retiring' || slot.reason === 'signal';
    this.#tell({ type: 'worker-exited', worker: worker.id, workerPid: worker.pid, exitCode, expected });
    if (held !== undefined) {
      slot[held] = undefined;
      this.#replace(slot, worker);
    }
    this.#checkOver();
  }

  #slotOf(worker: ChildWorker): Slot {
    return this.#slots[worker.id - 1] as Slot;
  }

  /** A worker that served, or was to serve, is no more. */
  #replace(slot: Slot, worker: ChildWorker): void {
    if (this.#ending !== undefined || slot.successor !== undefined || slot.retry !== undefined) return;
    const neverServed = worker.state === 'starting';
    if (neverServed) {
      this.#startFailures += 1;
      const given = this.#startFailures >= this.#settings.maxStartFailures;
      if (given && ![...this.#workers].some(({ state }) => state === 'ready')) {
        const failure = { name: 'Error', message: `${this.#startFailures} workers in a row ended before they served` };
        return this.#fail(worker.failure ?? failure);
      }
    }
    slot.failures = !neverServed && Date.now() - worker.started >= STABLE ? 0 : slot.failures + 1;
    this.#retry(slot);
  }

  #retry(slot: Slot): void {
    const { restartDelay, maxRestartDelay } = this.#settings;
    const delay = backoff(slot.failures, restartDelay, maxRestartDelay);
    this.#tell({ type: 'worker-restart', worker: slot.id, delay, failures: slot.failures });
    slot.retry = setTimeout(() => {
      slot.retry = undefined;
      this.#fork(slot);
    }, delay);
  }

  /** Start a worker in a place where none serves, or the successor of the one that does. */
  #fork(slot: Slot): void {
    if (this.#ending !== undefined || slot.successor !== undefined || slot.retry !== undefined) return;
    const { settings, generation, listener, lifeline } = this.plan;
    let worker: ChildWorker;
    this.#isForking = true;
    try {
      worker = new ChildWorker({ settings, app: this.#app, id: slot.id, generation, listener, lifeline }, this);
    } catch (error) {
      // No process could be made (EAGAIN, ENOMEM): as if it had died at once.
      slot.failures += 1;
      this.#startFailures += 1;
      if (this.#startFailures >= this.#settings.maxStartFailures && this.#workers.size === 0) {
        return this.#fail(errorText(error));
      }
      return this.#retry(slot);
    } finally {
      this.#isForking = false; // in the generation: the worker does not come back here
    }
    slot.successor = worker;
    this.#workers.add(worker);
    this.#tell({ type: 'worker-started', worker: slot.id, workerPid: worker.pid });
    // The master's limit is for the generation as a whole, until it first serves: a later worker is nobody else's affair.
    setTimeout(() => worker.state === 'starting' && this.#kill(worker, 'hang'), settings.startTimeout).unref();
  }

  #retire(worker: ChildWorker, reason: PreforkReason): void {
    const { stopTimeout } = this.#settings;
    this.#tell({ type: 'worker-retiring', worker: worker.id, workerPid: worker.pid, reason });
    worker.end('retire', reason, stopTimeout);
    setTimeout(() => this.#kill(worker, reason), stopTimeout + LAST_CALLBACKS).unref();
  }

  #kill(worker: ChildWorker, reason: PreforkReason): void {
    if (!this.#workers.has(worker)) return;
    this.#tell({ type: 'worker-killed', worker: worker.id, workerPid: worker.pid, reason });
    worker.kill();
  }

  #obey(command: Command): void {
    if (command.type === 'end') return this.#end(command.manner, command.reason, command.timeout);
    void Promise.all([...this.#workers].map((worker) => worker.status())).then((workers) =>
      this.#channel.send({ type: 'status', id: command.id, workers }),
    );
  }

  #end(manner: Manner, reason: PreforkReason, timeout: number): void {
    if (this.#isAbandoned) return;
    const rank: readonly (Manner | undefined)[] = [undefined, 'retire', 'stop', 'kill'];
    if (rank.indexOf(manner) <= rank.indexOf(this.#ending)) return;
    this.#ending = manner;
    for (const slot of this.#slots) clearTimeout(slot.retry);
    for (const worker of this.#workers) {
      if (manner === 'kill') worker.kill();
      else worker.end(manner, reason, timeout);
    }
    if (manner !== 'kill') {
      setTimeout(() => {
        for (const worker of this.#workers) this.#kill(worker, reason);
      }, timeout + LAST_CALLBACKS).unref();
    }
    this.#checkOver();
  }

  /** Say why it is given up, and give it up. */
  #fail(error: ErrorText): void {
    this.#channel.send({ type: 'failed', error });
    mainGlobal.process.exitCode = 1;
    this.#end('kill', 'stop', 0);
  }

  #checkOver(): void {
    if (this.#ending !== undefined && this.#workers.size === 0) this.#over();
  }

  /** Look after what only the kernel knows: memory, and whether an event loop still turns. */
  #watch(): void {
    const { maxMemory, hangTimeout } = this.#settings;
    if (maxMemory === Infinity && hangTimeout === Infinity) return;
    const interval = Math.min(LOOK, hangTimeout / 4);
    let looked = performance.now();
    const look = (): void => {
      // Time in which this process did not run either (Ctrl-Z stops all of them) says nothing about the workers.
      const missed = Math.max(0, performance.now() - looked - interval);
      looked = performance.now();
      for (const worker of this.#workers) {
        worker.lastSign += missed;
        if (worker.state === 'starting') continue;
        if (hangTimeout !== Infinity) {
          if (performance.now() - worker.lastSign > hangTimeout) this.#kill(worker, 'hang');
          else worker.ping();
        }
        if (worker.state === 'ready' && (processMemory(worker.pid)?.pss ?? 0) > maxMemory) {
          this.onLimit(worker, 'maxMemory');
        }
      }
    };
    setInterval(look, interval).unref();
  }

  #tell(event: EventBody): void {
    this.#channel.send({ type: 'event', event, time: Date.now() });
  }
}
