/** The duty of a process that adopts orphans: wait for them when they end, and for nobody else's children. */
import { EventEmitter } from 'node:events';
import { isMainThread } from 'node:worker_threads';
import { codedError } from '../errors';
import { native } from '../native';
import { invalidType, validateInteger, validateObject } from '../validate';
import { isIterable } from '../values';
import { emptyInChild } from './at-fork';
import { listen, look, Turn, unlisten, updateRef, type ChildSignalListener } from './child-signal';
import { childProcessPids, isForked, listsChildren, ownChildren } from './children';
import { procStat } from './proc';
import { awaited } from './wait-async';
import type { WaitResult } from './wait';

/** An adopted orphan that has ended and been collected. */
export type Orphan = WaitResult;

/** Options of {@link Reaper}. */
export interface ReaperOptions {
  /** Children to leave alone from the start; see {@link Reaper.ignore}. */
  readonly ignore?: Iterable<number>;
}

/** So many ignored pids are kept before those without a process are dropped. */
const PRUNE_FROM = 256;

/** The events of a {@link Reaper}. */
export interface ReaperEvents {
  /** An adopted orphan has ended and is no zombie any more. */
  orphan: [orphan: Orphan];
}

/**
 * Collect the orphans that this process adopts, as PID 1 or as a subreaper, so that they do not stay zombies for ever.
 *
 * @remarks Never collected: children made by `fork()` and not yet waited for, children of `child_process` (those of
 * Workers included), pids that a `waitpidAsync` names, and those given to {@link Reaper.ignore}. A `waitpidAsync` for any
 * child is served first. A child that another addon made is told from an orphan by nothing: `ignore` it.
 *
 * It looks when SIGCHLD arrives, and does not poll. It does not keep the event loop alive unless asked with
 * {@link Reaper.ref}, as a signal listener does not. In a forked child, which has adopted nobody, it is stopped.
 *
 * Linux only in effect: elsewhere only PID 1 adopts. It needs a /proc of its own PID namespace.
 * @example
 * ```js
 * setChildSubreaper(true);
 * const reaper = new Reaper().start();
 * reaper.on('orphan', ({ pid, status }) => console.log(pid, waitStatusToExitCode(status)));
 * ```
 * @see prctl(2) PR_SET_CHILD_SUBREAPER, pid_namespaces(7), wait(2) NOTES
 */
export class Reaper extends EventEmitter<ReaperEvents> implements Disposable {
  /** Pids to leave alone, each with the start of the process that had it when it was named (undefined: had nobody). */
  readonly #ignored = new Map<number, number | undefined>();
  #pruneAt = PRUNE_FROM;
  readonly #listener: ChildSignalListener = {
    keepsLoopAlive: false,
    turn: Turn.Reaper,
    onSignal: () => this.#collect(),
  };

  constructor(options: ReaperOptions = {}) {
    super();
    validateObject(options, 'options');
    const { ignore = [] } = options;
    if (!isIterable(ignore)) throw invalidType('options.ignore', 'an iterable of pids', ignore);
    for (const pid of ignore as Iterable<number>) this.ignore(pid);
  }

  /** Whether it is at work. */
  get running(): boolean {
    return running.has(this);
  }

  /**
   * Begin to collect, with what has ended already.
   *
   * @returns The reaper. Starting one that runs changes nothing.
   * @throws `ERR_REAPER_IN_WORKER` in a `worker_threads` Worker: orphans come to the main thread.
   * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` /proc is not mounted, or is another PID namespace's, so that adopted
   * children cannot be found.
   * @throws {@link PosixError} `EMFILE` no descriptor left for libuv's signal pipe.
   * @remarks Events come from the next tick on: a listener added right after `start()` misses none.
   */
  start(): this {
    if (this.running) return this;
    if (!isMainThread) {
      throw codedError(
        Error,
        'ERR_REAPER_IN_WORKER',
        'a Reaper must be started in the main thread, which adopts orphans',
      );
    }
    if (!listsChildren()) {
      throw codedError(
        Error,
        'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM',
        'adopted orphans cannot be found: a Reaper needs Linux and a /proc of its own PID namespace',
      );
    }
    listen(this.#listener);
    running.add(this);
    look(this.#listener);
    return this;
  }

  /**
   * Stop collecting.
   *
   * @returns The reaper, which can be started again. Orphans that end meanwhile stay zombies until then.
   */
  stop(): this {
    running.delete(this);
    unlisten(this.#listener);
    return this;
  }

  /**
   * Leave a child alone, because somebody else waits for it.
   *
   * @param pid - A pid greater than 0. What is meant is the process that has it now; a later one with the same pid is not.
   * @returns The reaper.
   * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` `pid` is no positive integer.
   */
  ignore(pid: number): this {
    validateInteger(pid, 'pid', 1, 2147483647);
    if (this.#ignored.size >= this.#pruneAt) this.#prune();
    this.#ignored.set(pid, procStat(pid)?.startTicks);
    return this;
  }

  /** Keep the event loop alive while it runs. */
  ref(): this {
    this.#listener.keepsLoopAlive = true;
    updateRef();
    return this;
  }

  /** Let the event loop end while it runs, as by default. */
  unref(): this {
    this.#listener.keepsLoopAlive = false;
    updateRef();
    return this;
  }

  /** The same as {@link Reaper.stop}. */
  [Symbol.dispose](): void {
    this.stop();
  }

  #collect(): void {
    const taken = childProcessPids();
    const isAwaited = awaited();
    for (const pid of ownChildren()) {
      if (taken.has(pid) || isAwaited(pid) || isForked(pid) || this.#isIgnored(pid)) continue;
      const status = native.pollChild(pid, 0);
      // null: lives. A negative errno is ECHILD: another thread's, found where children are listed by a scan.
      if (status === null || status < 0) continue;
      const owner = native.getpid();
      // In a tick of its own: an exception from a listener must not keep the next orphan waiting.
      process.nextTick(() => {
        if (native.getpid() === owner) this.emit('orphan', { pid, status });
      });
    }
  }

  #prune(): void {
    for (const [pid, start] of this.#ignored) {
      if (start !== undefined && procStat(pid)?.startTicks !== start) this.#ignored.delete(pid);
    }
    this.#pruneAt = Math.max(PRUNE_FROM, this.#ignored.size * 2);
  }

  #isIgnored(pid: number): boolean {
    if (!this.#ignored.has(pid)) return false;
    const known = this.#ignored.get(pid);
    const stat = procStat(pid);
    if (known === undefined || stat === undefined || stat.startTicks === known) return true;
    this.#ignored.delete(pid);
    return false;
  }
}

const running = emptyInChild(new Set<Reaper>());
