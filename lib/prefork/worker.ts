/** A worker: a forked copy of the loaded application that serves until it is told to end, or has served enough. */
import { closeSync } from 'node:fs';
import type { Server } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { mainGlobal } from '../main-context';
import { emptyInChild } from '../posix/at-fork';
import { setParentDeathSignal } from '../posix/prctl';
import { Channel } from './channel';
import type { PreforkReason } from './events';
import { errorText, type Command, type FromWorker, type Manner } from './messages';
import type { Settings, WorkerContext } from './options';
import { served, type Served } from './servable';
import { Traffic } from './traffic';

/** What a worker is made from; all of it inherited. */
export interface WorkerPlan {
  readonly settings: Settings;
  readonly app: unknown;
  readonly id: number;
  readonly generation: number;
  /** The listening socket; closed with the server. */
  readonly listener: number;
  readonly channel: number;
  /** Open as long as the worker lives: {@link ChildGeneration.ended}. */
  readonly lifeline: number;
}

/** In the forked process: serve. Settles when it is over; rejects when it could not be begun. */
export async function runWorker(plan: WorkerPlan): Promise<void> {
  // The space for young objects begins small, to be small in memory, and is collected often. V8 hands each collection to
  // several threads and waits for all of them: with as many workers as CPUs that costs more than the collection itself.
  // V8 looks at this flag at each one.
  setFlagsFromString('--no-parallel-scavenge');
  await new Worker(plan).run();
}

/**
 * What the master decides for everybody must not end anybody else: a terminal sends SIGINT and SIGHUP to the whole group.
 * And a parent that is killed can tell nobody.
 *
 * @returns A function that takes the handlers away, for a fork; the parent-death signal is not inherited, prctl(2).
 */
export function takeSignals(onTerminate: () => void): () => void {
  const { process } = mainGlobal;
  const handlers = { SIGINT: () => {}, SIGHUP: () => {}, SIGTERM: onTerminate };
  const names = ['SIGINT', 'SIGHUP', 'SIGTERM'] as const;
  for (const name of names) process.on(name, handlers[name]);
  if (process.platform === 'linux') setParentDeathSignal('SIGTERM');
  return () => {
    for (const name of names) process.off(name, handlers[name]);
  };
}

/** What a fork of a worker or generation waits for, in place of what its parent does next: it has its own life. */
export const never = new Promise<never>(() => {});

/** The worker that this process is. */
const workers = emptyInChild(new Set<Worker>(), (worker) => worker.abandon());

class Worker {
  readonly #abort = new AbortController();
  readonly #channel: Channel<Command, FromWorker>;
  readonly #callbacks: (() => void | Promise<void>)[] = [];
  readonly #leaveSignals: () => void;
  #server: Server | undefined;
  #traffic: Traffic | undefined;
  #isAbandoned = false;
  #ending: { readonly manner: Manner; readonly timeout: number } | undefined;
  #requestsLeft: number;

  constructor(readonly plan: WorkerPlan) {
    const { maxRequests, maxRequestsJitter } = plan.settings;
    this.#requestsLeft = maxRequests + Math.floor(Math.random() * (maxRequestsJitter + 1));
    this.#channel = new Channel(
      plan.channel,
      (command) => this.#obey(command),
      () => this.#end('retire', 'parent-died'),
    );
    this.#leaveSignals = takeSignals(() => this.#end('retire', 'signal'));
    workers.add(this);
  }

  async run(): Promise<void> {
    const { closed, close } = await this.#begin();
    await closed;
    if (this.#isAbandoned) await never;
    await runAll([...this.#callbacks, () => close?.()]);
    await this.#channel.end();
  }

  /** In a fork that the application made: it is no worker, accepts no connections, and the server does not wait for it. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#channel.close();
    closeSync(this.plan.lifeline);
    this.#leaveSignals();
    if (this.#server === undefined) closeSync(this.plan.listener);
    else if (this.#server.listening) this.#server.close(); // else it has finished, and the descriptor is gone
  }

  async #begin(): Promise<Pick<Served, 'close'> & { readonly closed: Promise<void> }> {
    try {
      const { settings, app, listener } = this.plan;
      const context: WorkerContext = {
        id: this.plan.id,
        generation: this.plan.generation,
        signal: this.#abort.signal,
        onStop: (callback) => void this.#callbacks.push(callback),
      };
      const result = await served(await settings.serve(app, context));
      if (this.#isAbandoned) await never;
      this.#server = result.server;
      const traffic = new Traffic(result.server, (total) => this.#count(total));
      await listen(result.server, listener, settings.backlog);
      this.#traffic = traffic;
      this.#channel.send({ type: 'ready' });
      if (this.#ending !== undefined) this.#drain();
      return { ...result, closed: traffic.closed };
    } catch (error) {
      this.#channel.send({ type: 'failed', error: errorText(error) });
      await this.#channel.end();
      throw error;
    }
  }

  #obey(command: Command): void {
    if (command.type === 'status') {
      const counts = this.#traffic?.counts ?? { requests: 0, active: 0, connections: 0 };
      this.#channel.send({ type: 'status', id: command.id, counts });
    } else {
      this.#end(command.manner, command.reason, command.timeout);
    }
  }

  #count(total: number): void {
    if (total === this.#requestsLeft) this.#channel.send({ type: 'limit', reason: 'maxRequests' });
  }

  #end(manner: Manner, reason: PreforkReason, timeout = this.plan.settings.stopTimeout): void {
    if (this.#isAbandoned) return;
    if (this.#ending !== undefined) {
      if (manner !== 'stop' || this.#ending.manner === 'stop') return;
    } else if (reason === 'signal') {
      this.#channel.send({ type: 'limit', reason }); // nobody else knows, and a successor is needed
    }
    this.#ending = { manner, timeout };
    this.#abort.abort(reason);
    this.#drain();
  }

  #drain(): void {
    if (this.#ending !== undefined) this.#traffic?.drain(this.#ending.manner, this.#ending.timeout);
  }
}

/** One after the other, and each of them; the first exception is thrown when all have run. */
async function runAll(callbacks: readonly (() => unknown)[]): Promise<void> {
  let failure: { error: unknown } | undefined;
  for (const callback of callbacks) {
    try {
      await callback();
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

function listen(server: Server, fd: number, backlog: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, backlog, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
