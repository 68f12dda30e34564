/** A worker as the process sees it that has forked it. */
import { closeSync } from 'node:fs';
import { native } from '../native';
import { kill } from '../posix/signals';
import { startClean } from '../process/clean-child';
import { Channel } from './channel';
import type { PreforkReason } from './events';
import { exitOf } from './exit';
import { processMemory } from './memory';
import type { Command, ErrorText, FromWorker, Manner, WorkerCounts } from './messages';
import type { WorkerStatus } from './status';
import { runWorker, type WorkerPlan } from './worker';

/** Milliseconds for an answer. */
const ANSWER = 1_000;

/** What is told of a worker. */
export interface WorkerListener {
  onReady(worker: ChildWorker): void;
  onLimit(worker: ChildWorker, reason: PreforkReason): void;
  onExit(worker: ChildWorker, exitCode: number): void;
}

/** Forked by its constructor. */
export class ChildWorker {
  readonly id: number;
  readonly pid: number;
  readonly started = Date.now();
  state: WorkerStatus['state'] = 'starting';
  /** Why it could not begin, when it said so. */
  failure: ErrorText | undefined;
  /** When its event loop was last known to turn: `performance.now()`. */
  lastSign = performance.now();
  readonly #generation: number;
  readonly #channel: Channel<FromWorker, Command>;
  readonly #listener: WorkerListener;
  #counts: WorkerCounts = { requests: 0, active: 0, connections: 0 };
  #asked = 0;
  readonly #waiting = new Map<number, () => void>();
  #ended = false;

  /** @throws What `fork()` throws; no process was made then. */
  constructor(plan: Omit<WorkerPlan, 'channel'>, listener: WorkerListener) {
    this.id = plan.id;
    this.#generation = plan.generation;
    this.#listener = listener;
    const [mine, its] = native.socketpair();
    try {
      this.pid = startClean(() => {
        closeSync(mine);
        return runWorker({ ...plan, channel: its });
      }, `worker ${plan.id} of generation ${plan.generation}`);
    } catch (error) {
      closeSync(mine);
      throw error;
    } finally {
      closeSync(its);
    }
    this.#channel = new Channel(
      mine,
      (message) => this.#hear(message),
      () => {},
    );
    void this.#wait();
  }

  /** In a fork of its parent: it is the parent's. */
  abandon(): void {
    this.#channel.close();
  }

  /** Tell it to end. */
  end(manner: Manner, reason: PreforkReason, timeout: number): void {
    this.state = 'retiring';
    this.#channel.send({ type: 'end', manner, reason, timeout });
  }

  /** End it by SIGKILL. It is a child not yet waited for, so the pid is its own. */
  kill(): void {
    if (!this.#ended) kill(this.pid, 'SIGKILL');
  }

  /** Ask for a sign of life, unless it owes one. */
  ping(): void {
    if (this.#waiting.size > 0) return;
    const id = (this.#asked += 1);
    this.#waiting.set(id, () => this.#waiting.delete(id));
    this.#channel.send({ type: 'status', id });
  }

  /** What it does now, or last did if it does not answer. */
  async status(): Promise<WorkerStatus> {
    const responsive = await this.#ask();
    const { id, pid, started, state } = this;
    const memory = this.#ended ? null : processMemory(pid);
    return { id, pid, generation: this.#generation, state, started, ...this.#counts, responsive, memory };
  }

  #ask(): Promise<boolean> {
    return new Promise((resolve) => {
      const id = (this.#asked += 1);
      const done = (answered: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answered);
      };
      const timer = setTimeout(() => done(false), ANSWER);
      this.#waiting.set(id, () => done(!this.#ended));
      this.#channel.send({ type: 'status', id });
    });
  }

  #hear(message: FromWorker): void {
    this.lastSign = performance.now();
    switch (message.type) {
      case 'ready':
        if (this.state === 'starting') this.state = 'ready';
        return this.#listener.onReady(this);
      case 'limit':
        return this.#listener.onLimit(this, message.reason);
      case 'failed':
        this.failure = message.error;
        return;
      case 'status':
        this.#counts = message.counts;
        this.#waiting.get(message.id)?.();
    }
  }

  async #wait(): Promise<void> {
    const exitCode = await exitOf(this.pid);
    this.#ended = true;
    for (const done of [...this.#waiting.values()]) done();
    await this.#channel.end(); // what it has said last is read first
    this.#listener.onExit(this, exitCode);
  }
}
