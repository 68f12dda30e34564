/**
 * Meeting of a fixed number of parties, again and again.
 *
 *     Filling --the last comes, no action-------------------------------> told PASSED, Filling
 *     Filling --the last comes--> Acting: told ACTING, action runs -----> told PASSED, Filling
 *     either  --time over, abort(), action throws, a party died--------> told BROKEN, Broken
 *     any     --reset()-------------------------------------------------> told BROKEN, Filling
 *
 * While the action runs, the process that runs it holds the second lock. Whoever was told ACTING, or comes meanwhile,
 * waits for that lock: a robust one, so that the death of the process is noticed.
 */
import { inspect } from 'node:util';
import { BrokenBarrierError } from '../errors';
import { arena, markSent } from '../shared/arena';
import { validateFunction, validateInteger, validateObject } from '../validate';
import { cellFor, ExistingCell, kCell, Kind, objectAt, registerCell } from './cell';
import { Lock } from './lock';
import { readWait, type AsyncWaitOptions, type Wait, type WaitOptions } from './options';
import { WaitList, type Waiter } from './wait-list';

/** Options of a {@link Barrier}. */
export interface BarrierOptions {
  /** Called once for each meeting, in one of the parties, before any of them goes on. */
  readonly action?: (() => unknown) | null | undefined;
  /** Milliseconds: how long a `wait` without a timeout of its own waits. Default: for ever. */
  readonly timeout?: number | null | undefined;
}

/** Words of the barrier's cell beyond those of its list. */
const PARTIES = 3;
const STATE = 4;
const ROUND = 5;
const ACTION_LOCK = 6;
/** Two words: a double, -1 for ever. */
const TIMEOUT = 8;
const CELL_BYTES = 64;

const enum State {
  Filling,
  Acting,
  Broken,
}

/** Bits that waiters are told. */
const enum Told {
  Passed,
  Broken,
  Acting,
}

/** What a party finds when it comes. */
type Arrival =
  | { readonly kind: 'wait'; readonly waiter: Waiter; readonly index: number }
  | { readonly kind: 'pass'; readonly index: number }
  | { readonly kind: 'act'; readonly index: number; readonly round: number }
  | { readonly kind: 'later' };

/**
 * A place where `parties` processes wait for each other; when all have come, all go on.
 *
 * @remarks A party that is killed while it waits breaks the barrier as soon as the next comes, where Python's would let
 * that round pass and never fill the next. When the process that runs the action dies, the others get the error at once.
 * Several async flows of one process may be parties. An aborted wait breaks the barrier, as one does whose time is over.
 * One with an action can be sent where functions can: to processes started by 'spawn' and 'forkserver', an exported one.
 * @example
 * ```js
 * const barrier = new Barrier(3);
 * for (let i = 0; i < 2; i++) if (fork() === 0) { barrier.waitSync(); process.exit(); }
 * const index = await barrier.wait(); // 0, 1 or 2, different in each
 * ```
 * @see multiprocessing.Barrier
 */
export class Barrier {
  readonly #offset: number;
  readonly #list: WaitList;
  readonly #words = arena().words;
  readonly #at: number;
  readonly #timeout: Float64Array;
  readonly #actionLock: Lock;
  readonly #action: (() => unknown) | undefined;

  /**
   * @param parties - How many have to come, at least 1.
   * @param action - Called once for each meeting, in the party that came last, before any goes on; or all as options.
   * @param timeout - Milliseconds for a `wait` without one of its own. Default: for ever.
   * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` for anything else.
   */
  constructor(parties: number, action?: (() => unknown) | BarrierOptions | null, timeout?: number | null);
  constructor(
    parties: number | ExistingCell,
    action?: (() => unknown) | BarrierOptions | null,
    timeout?: number | null,
  ) {
    const existing = parties instanceof ExistingCell ? parties : undefined;
    if (!(parties instanceof ExistingCell)) validateInteger(parties, 'parties', 1, 2147483647);
    const options = readOptions(action, timeout);
    this.#action = options.action;
    this.#offset = cellFor(this, Kind.Barrier, existing);
    this.#list = new WaitList(this.#offset, this);
    this.#at = this.#offset / 4;
    this.#timeout = new Float64Array(this.#words.buffer, this.#offset + TIMEOUT * 4, 1);
    if (existing === undefined) {
      this.#actionLock = new Lock();
      this.#words[this.#at + PARTIES] = parties as number;
      this.#words[this.#at + ACTION_LOCK] = this.#actionLock[kCell] / CELL_BYTES;
      this.#timeout[0] = options.timeout;
    } else {
      const lock = (this.#words[this.#at + ACTION_LOCK] as number) * CELL_BYTES;
      this.#actionLock = objectAt(lock, Kind.Lock) as Lock;
    }
  }

  /** How many have to come. */
  get parties(): number {
    return this.#words[this.#at + PARTIES] as number;
  }

  /** How many are waiting at this moment. */
  get nWaiting(): number {
    return this.#locked(() =>
      this.#state === State.Filling ? this.#list.all().filter((at) => this.#list.lives(at)).length : 0,
    );
  }

  /** Whether the barrier is broken: every `wait` throws until `reset()`. */
  get broken(): boolean {
    return this.#locked(() => this.#state === State.Broken);
  }

  /**
   * Wait until all parties have come, leaving the event loop free meanwhile. An action may be async.
   *
   * @param timeout - Milliseconds (a negative number is 0), or options. Default: the barrier's.
   * @returns a number from 0 to `parties` - 1, another for each.
   * @throws {@link BrokenBarrierError} the barrier is broken, or is meanwhile: by a time that is over, `abort()`,
   * `reset()`, an action that throws, a party that died.
   * @throws `AbortError` when `options.signal` is aborted first; the others then get the error above.
   */
  async wait(timeout?: number | null | AsyncWaitOptions): Promise<number> {
    const wait = this.#read(timeout);
    for (;;) {
      const arrival = this.#arrive();
      switch (arrival.kind) {
        case 'pass':
          return arrival.index;
        case 'act':
          return this.#act(arrival.index, arrival.round);
        case 'wait':
          return this.#waitForOthers(arrival.waiter, arrival.index, wait);
        case 'later':
          await this.#actionLock.acquire();
          this.#afterAction();
          break;
      }
    }
  }

  /**
   * Wait until all parties have come, blocking the process meanwhile. An action has to be sync.
   *
   * @param timeout - Milliseconds (a negative number is 0), or options. Default: the barrier's.
   * @returns a number from 0 to `parties` - 1, another for each.
   * @throws {@link BrokenBarrierError} the barrier is broken, or is meanwhile: by a time that is over, `abort()`,
   * `reset()`, an action that throws, a party that died.
   */
  waitSync(timeout?: number | null | WaitOptions): number {
    const wait = this.#read(timeout);
    for (;;) {
      const arrival = this.#arrive();
      switch (arrival.kind) {
        case 'pass':
          return arrival.index;
        case 'act':
          return this.#actSync(arrival.index, arrival.round);
        case 'wait':
          return this.#waitForOthersSync(arrival.waiter, arrival.index, wait);
        case 'later':
          this.#actionLock.acquireSync();
          this.#afterAction();
          break;
      }
    }
  }

  /** Empty the barrier: who waits gets a {@link BrokenBarrierError}, and it can be used again. */
  reset(): void {
    this.#locked(() => {
      this.#list.dismiss(this.#list.all(), Told.Broken);
      this.#nextRound(State.Filling);
    });
  }

  /** Break the barrier: who waits, and whoever comes later, gets a {@link BrokenBarrierError} until `reset()`. */
  abort(): void {
    this.#locked(() => this.#break());
  }

  /** Show who waits, or that it is broken: `<Barrier waiters=1/3>`. */
  toString(): string {
    return `<${this.constructor.name} ${this.broken ? 'broken' : `waiters=${this.nWaiting}/${this.parties}`}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal */
  get [kCell](): number {
    return this.#offset;
  }

  /** For its description: the action goes along where functions can. @internal */
  static beforeSending(barrier: Barrier): unknown {
    markSent(barrier.#actionLock[kCell]);
    return barrier.#action;
  }

  get #state(): State {
    return this.#words[this.#at + STATE] as State;
  }

  #read(timeout: unknown): Wait {
    const wait = readWait(timeout);
    const own = this.#timeout[0] as number;
    return wait.timeout === -1 && own >= 0 ? { timeout: own, signal: wait.signal } : wait;
  }

  /** Do something under the mutex. What a process left half done that was killed there breaks the barrier. */
  #locked<R>(work: () => R): R {
    const fromDead = this.#list.mutex.lock();
    try {
      if (fromDead) this.#break();
      return work();
    } finally {
      this.#list.mutex.unlock();
    }
  }

  #nextRound(state: State): void {
    this.#words[this.#at + ROUND] = ((this.#words[this.#at + ROUND] as number) + 1) | 0;
    this.#words[this.#at + STATE] = state;
  }

  #break(): void {
    this.#list.dismiss(this.#list.all(), Told.Broken);
    this.#nextRound(State.Broken);
  }

  #arrive(): Arrival {
    return this.#locked((): Arrival => {
      if (this.#state === State.Acting) return { kind: 'later' };
      if (this.#state === State.Filling && this.#list.hasDead()) this.#break();
      if (this.#state === State.Broken) throw new BrokenBarrierError();
      const index = this.#list.all().length;
      if (index + 1 < this.parties) return { kind: 'wait', waiter: this.#list.join(), index };
      if (this.#action === undefined) {
        this.#list.dismiss(this.#list.all(), Told.Passed);
        this.#nextRound(State.Filling);
        return { kind: 'pass', index };
      }
      // Another can have this lock: who is only looking, or an action that reset() has left behind.
      if (!this.#actionLock.acquireSync(false)) return { kind: 'later' };
      this.#words[this.#at + STATE] = State.Acting;
      this.#list.tell(this.#list.all(), Told.Acting);
      return { kind: 'act', index, round: this.#words[this.#at + ROUND] as number };
    });
  }

  async #act(index: number, round: number): Promise<number> {
    let done = false;
    try {
      await this.#action?.();
      done = true;
    } finally {
      this.#endAction(round, done);
    }
    return index;
  }

  #actSync(index: number, round: number): number {
    let done = false;
    try {
      this.#action?.();
      done = true;
    } finally {
      this.#endAction(round, done);
    }
    return index;
  }

  #endAction(round: number, done: boolean): void {
    const isMeant = this.#locked(() => {
      if (this.#words[this.#at + ROUND] !== round || this.#state !== State.Acting) return false;
      if (done) {
        this.#list.dismiss(this.#list.all(), Told.Passed);
        this.#nextRound(State.Filling);
      } else {
        this.#break();
      }
      return true;
    });
    this.#actionLock.release();
    if (done && !isMeant) throw new BrokenBarrierError(); // abort() or reset() meanwhile
  }

  /** With the second lock held: the action is over, or the process that ran it. */
  #afterAction(): void {
    // A lock from the living means that the action was ended in order.
    if (this.#actionLock.recovered !== null) {
      this.#locked(() => {
        if (this.#state === State.Acting) this.#break();
      });
    }
    this.#actionLock.release();
  }

  async #waitForOthers(waiter: Waiter, index: number, wait: Wait): Promise<number> {
    let aborted: { error: unknown } | undefined;
    try {
      await waiter.wait(0, wait);
    } catch (error) {
      aborted = { error };
    }
    if (this.#breakIfAlone(waiter) && waiter.told() === 1 << Told.Acting) {
      await this.#actionLock.acquire();
      this.#afterAction();
    }
    const passed = this.#leave(waiter);
    if (aborted !== undefined && !passed) throw aborted.error;
    if (!passed) throw new BrokenBarrierError();
    return index;
  }

  #waitForOthersSync(waiter: Waiter, index: number, wait: Wait): number {
    waiter.waitSync(0, wait);
    if (this.#breakIfAlone(waiter) && waiter.told() === 1 << Told.Acting) {
      this.#actionLock.acquireSync();
      this.#afterAction();
    }
    if (!this.#leave(waiter)) throw new BrokenBarrierError();
    return index;
  }

  /** Break the barrier when the waiter has been told nothing: its time is over. Whether it has been told something. */
  #breakIfAlone(waiter: Waiter): boolean {
    return this.#locked(() => {
      if (waiter.told() !== 0) return true;
      this.#break();
      return false;
    });
  }

  /** Whether the waiter's round was completed. */
  #leave(waiter: Waiter): boolean {
    return this.#locked(() => {
      const told = waiter.told();
      this.#list.leave(waiter);
      return (told & (1 << Told.Passed)) !== 0 && (told & (1 << Told.Broken)) === 0;
    });
  }
}

function readOptions(
  action: unknown,
  timeout: unknown,
): { readonly action: (() => unknown) | undefined; readonly timeout: number } {
  if (action === undefined || action === null || typeof action === 'function') {
    return { action: (action ?? undefined) as (() => unknown) | undefined, timeout: readWait({ timeout }).timeout };
  }
  validateObject(action, 'options');
  const options = action as BarrierOptions;
  if (options.action != null) validateFunction(options.action, 'options.action');
  return { action: options.action ?? undefined, timeout: readWait({ timeout: options.timeout }).timeout };
}

registerCell(
  'Barrier',
  Barrier,
  Kind.Barrier,
  (cell, action) => new Barrier(cell as unknown as number, action as (() => unknown) | undefined),
  Barrier.beforeSending,
);
