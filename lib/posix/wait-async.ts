/**
 * waitpid(2) that leaves the event loop free.
 *
 *     one pid, its end only     pidfd in the loop ── readable ──> waitid(P_PIDFD) ──> settled
 *     anything else             SIGCHLD ──> look at each child it can mean ──> settled, or wait for the next SIGCHLD
 *
 * The second way also serves where there is no pidfd: macOS, Linux before 5.3, no descriptor left.
 */
import { constants } from 'node:os';
import { AbortError, PosixError } from '../errors';
import { native } from '../native';
import { invalidType, validateAbortSignal, validateInt32 } from '../validate';
import { emptyInChild } from './at-fork';
import { listen, look, Turn, unlisten, type ChildSignalListener } from './child-signal';
import { childProcessPids, isClaimed, mayCollect, noteCollected, ownChildren } from './children';
import { WCONTINUED, WNOHANG, WUNTRACED, type WaitResult } from './wait';

/** Options of {@link waitpidAsync} when a number is not enough. */
export interface WaitAsyncOptions {
  /** `WNOHANG`, `WUNTRACED`, `WCONTINUED`, or several of them joined with `|`. Default 0. */
  readonly options?: number;
  /** Gives up the wait when aborted; the child stays to be waited for. */
  readonly signal?: AbortSignal;
}

const { ECHILD, EINVAL, ESRCH } = constants.errno;
const KNOWN_OPTIONS = WNOHANG | WUNTRACED | WCONTINUED;
/** The one negative pid that has no group: waitpid(2) ERRORS, ESRCH. */
const INT_MIN = -2147483648;

/** One promise under way. */
class Wait implements ChildSignalListener {
  readonly keepsLoopAlive = true;
  readonly turn = Turn.Waiter;
  readonly promise: Promise<WaitResult>;
  #resolve!: (result: WaitResult) => void;
  #reject!: (error: unknown) => void;
  /** The process group meant by pid 0 or less than -1; waitpid(2): that of the caller at the time of the call. */
  readonly group: number | undefined;
  /** The id of the pidfd's watch. */
  #watch: number | undefined;
  readonly #onAbort = () => this.#fail(new AbortError(this.signal as AbortSignal));

  constructor(
    readonly pid: number,
    readonly options: number,
    readonly signal: AbortSignal | undefined,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (pid === 0) this.group = native.groupOf(0);
    else if (pid < -1) this.group = -pid;
  }

  start(): void {
    if (this.signal?.aborted === true) return this.#reject(new AbortError(this.signal));
    pending.add(this);
    this.signal?.addEventListener('abort', this.#onAbort, { once: true });
    try {
      if ((this.options & WNOHANG) !== 0) {
        if (!this.#settleIfPossible()) this.#succeed({ pid: 0, status: 0 });
      } else if (this.options === 0 && this.pid > 0) {
        if (!this.#settleIfPossible()) this.#watchPid();
      } else {
        this.#listen();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** After each SIGCHLD. */
  onSignal(): void {
    this.#settleIfPossible();
  }

  /** In a forked child, which is not the parent of what is waited for. The watches themselves are gone already. */
  abandon(): void {
    this.signal?.removeEventListener('abort', this.#onAbort);
    // What the parent had chained to the promise must not run here: it never settles. Whoever comes to it in the child
    // finds the answer that waitpid gives here. `await` and Promise.all take a promise without `constructor` by `then`.
    const gone = new PosixError(ECHILD, 'waitpid', { pid: this.pid });
    const { promise } = this;
    void Object.defineProperties(promise, {
      constructor: { value: undefined, configurable: true },
      then: {
        value: (...handlers: Parameters<Promise<WaitResult>['then']>) => Promise.reject(gone).then(...handlers),
        configurable: true,
      },
    });
  }

  /** Listening comes before the look: what happens in between is then seen by one of them. */
  #listen(): void {
    listen(this);
    look(this);
  }

  /** A pidfd stays readable from the child's end on: an end between the look and the watch is seen too. */
  #watchPid(): void {
    const watch = native.watchPid(this.pid, () => this.#collectWatched());
    if (watch > 0) this.#watch = watch;
    else this.#listen();
  }

  #collectWatched(): void {
    const status = native.collectWatched(this.#watch as number);
    if (status === null) {
      // Ended, but held back by a tracer, ptrace(2): the descriptor stays readable all the while.
      this.#unwatch();
      this.#listen();
    } else if (status >= 0) {
      this.#succeed({ pid: this.pid, status });
    } else if (status === -EINVAL) {
      // Linux 5.3 can watch a pidfd and not yet wait for it.
      if (!this.#settleIfPossible()) this.#fail(new PosixError(ECHILD, 'waitpid', { pid: this.pid }));
    } else {
      this.#fail(new PosixError(status, 'waitpid', { pid: this.pid }));
    }
  }

  /** Look at every child that is meant; true when that settled the promise, one way or the other. */
  #settleIfPossible(): boolean {
    let found: WaitResult | undefined;
    try {
      found = this.#collect();
    } catch (error) {
      if (!(error instanceof PosixError)) throw error;
      this.#fail(error);
      return true;
    }
    if (found === undefined) return false;
    this.#succeed(found);
    return true;
  }

  #collect(): WaitResult | undefined {
    let lives = false;
    for (const pid of this.#candidates()) {
      const status = native.pollChild(pid, this.options);
      if (status === null) lives = true;
      else if (status >= 0) return { pid, status };
      else if (status !== -ECHILD) throw new PosixError(status, 'waitpid', { pid });
    }
    if (!lives) throw new PosixError(ECHILD, 'waitpid', { pid: this.pid });
    return undefined;
  }

  #candidates(): number[] {
    const taken = childProcessPids();
    if (this.pid > 0) return taken.has(this.pid) || !mayCollect(this.pid) ? [] : [this.pid];
    const free = ownChildren().filter((pid) => !taken.has(pid) && !isClaimed(pid));
    return this.group === undefined ? free : free.filter((pid) => native.groupOf(pid) === this.group);
  }

  #succeed(result: WaitResult): void {
    this.#end();
    if (result.pid > 0 && hasEnded(result.status)) noteCollected(result.pid);
    this.#resolve(result);
  }

  #fail(error: unknown): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    pending.delete(this);
    this.signal?.removeEventListener('abort', this.#onAbort);
    unlisten(this);
    this.#unwatch();
  }

  #unwatch(): void {
    if (this.#watch !== undefined) native.unwatch(this.#watch);
    this.#watch = undefined;
  }
}

const pending = emptyInChild(new Set<Wait>(), (wait) => wait.abandon());

/**
 * Tell whether a `waitpidAsync` under way is to have this child's status. One that waits for any child has looked before
 * the Reaper does, and may have found a child alive that has ended since: its SIGCHLD is still to come, to both.
 */
export function awaited(): (pid: number) => boolean {
  const named = new Set([...pending].map((wait) => wait.pid));
  if (named.has(-1)) return () => true;
  const groups = new Set([...pending].flatMap((wait) => wait.group ?? []));
  return (pid) => named.has(pid) || (groups.size > 0 && groups.has(native.groupOf(pid)));
}

/** Not stopped (low byte 0x7f) and not continued (0xffff): wait(2)'s macros, for which this is all that is needed. */
function hasEnded(status: number): boolean {
  return (status & 0xff) !== 0x7f && status !== 0xffff;
}

/**
 * Wait until a child changes state, without blocking the event loop.
 *
 * @param pid - The child's pid; -1 for any child; 0 for any child in the caller's process group; less than -1 for any
 * child in the process group `-pid`.
 * @param options - `WNOHANG`, `WUNTRACED`, `WCONTINUED` joined with `|`, or an object with these as `options` and an
 * `AbortSignal` as `signal`. Default 0.
 * @returns A promise of the child's pid and raw wait status; `pid` 0 when `WNOHANG` was given and no child has changed
 * state.
 * @throws {@link PosixError} `ECHILD` no child matches `pid`, or somebody else has waited for it; also for every child of
 * `child_process`, whose status stays its own, and in a Worker, whose only children are those.
 * @throws {@link PosixError} `EINVAL` `options` has other bits than the three.
 * @throws {@link PosixError} `ESRCH` `pid` is -2147483648.
 * @throws {@link AbortError} `ABORT_ERR` the signal was aborted; the child stays to be waited for.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` wrong arguments. All of these reject; nothing is thrown.
 * @remarks The wait keeps the event loop alive, as a running `child_process` does. Of two waits for one child the first
 * gets the status and the other `ECHILD`. For -1, 0 and less, children of `child_process` and of
 * `Process` (`realfork/multiprocessing`) do not count, neither as candidates nor for `ECHILD`.
 *
 * The end of one pid is learnt through pidfd_open(2), with one descriptor while the wait lasts; the other forms, macOS, and
 * hosts without pidfds or descriptors use SIGCHLD. On macOS only children made by `fork()` can be waited for.
 *
 * In a forked child, waits that were under way in the parent stay the parent's: nothing that was chained to their promises
 * runs in the child and its event loop does not wait for them; to await such a promise there gives `ECHILD`.
 * @example
 * ```js
 * const pid = fork();
 * if (pid === 0) process.exit(7);
 * const { status } = await waitpidAsync(pid);
 * console.log(WEXITSTATUS(status)); // 7
 * ```
 * @see waitpid(2), pidfd_open(2), asyncio.PidfdChildWatcher (Python)
 */
export function waitpidAsync(pid: number, options: number | WaitAsyncOptions = 0): Promise<WaitResult> {
  try {
    validateInt32(pid, 'pid');
    const { flags, signal } = parseOptions(options);
    if ((flags & ~KNOWN_OPTIONS) !== 0) throw new PosixError(EINVAL, 'waitpid', { pid });
    if (pid === INT_MIN) throw new PosixError(ESRCH, 'waitpid', { pid });
    const wait = new Wait(pid, flags, signal);
    wait.start();
    return wait.promise;
  } catch (error) {
    return new Promise(() => {
      throw error;
    });
  }
}

function parseOptions(options: number | WaitAsyncOptions): { flags: number; signal: AbortSignal | undefined } {
  if (typeof options === 'number') {
    validateInt32(options, 'options');
    return { flags: options, signal: undefined };
  }
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw invalidType('options', 'of type number or object', options);
  }
  const { options: flags = 0, signal } = options;
  validateInt32(flags, 'options.options');
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  return { flags, signal };
}
