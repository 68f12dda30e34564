/** Limits on fork() for a whole tree of processes. The table that enforces them is in `native/guard.cc`. */
import { isMainThread } from 'node:worker_threads';
import { codedError } from '../errors';
import { native } from '../native';
import { invalidType, invalidValue, validateInteger, validateObject } from '../validate';
import { raiseFence, type KernelFence } from './guard-kernel';

/** What {@link guardForks} allows below the process that calls it. At least one limit must be given. */
export interface ForkLimits {
  /** Processes that may exist at the same time, zombies included. 0 to 4,194,304. Default: no limit. */
  readonly maxProcesses?: number;
  /** Generations: 1 allows children, 2 children of children. 0 to 2,147,483,647. Default: no limit. */
  readonly maxDepth?: number;
  /** Forks within any sliding second, counted over the whole tree. 0 to 1,000,000. Default: no limit. */
  readonly maxPerSecond?: number;
  /**
   * Have the kernel limit the tree as well, where it lets this process do that; `ForkGuard.kernel` tells what was done.
   * Needs `maxProcesses`. Linux. Default: false.
   */
  readonly kernel?: boolean;
}

/** Upper ends of the limits: PID_MAX_LIMIT of Linux, the table's depth counter, the length of the table of fork times. */
const highest = { maxProcesses: 4_194_304, maxDepth: 2_147_483_647, maxPerSecond: 1_000_000 } as const;

/** A guard set by {@link guardForks}. It stays in force when this object is forgotten. */
export class ForkGuard {
  /**
   * The kernel's limit behind this guard, with room for 64 tasks (processes and threads) per process:
   * - `'cgroup'`: this process has moved to a cgroup of its own below its former one, with `pids.max` set.
   * - `'rlimit'`: the soft `RLIMIT_NPROC` of this process was lowered; it counts all tasks of the user.
   * - `'none'`: not asked for, or not possible: no writable cgroup, and a user whom `RLIMIT_NPROC` does not bind, as root.
   */
  readonly kernel: 'none' | 'rlimit' | 'cgroup';
  readonly #id: number;
  readonly #setter = native.getpid();
  #fence: KernelFence | undefined;

  /** @internal */
  constructor(id: number, fence: KernelFence | undefined) {
    this.#id = id;
    this.#fence = fence;
    this.kernel = fence?.kind ?? 'none';
  }

  /**
   * How many processes the tree below the setter has, zombies and forks under way included; 0 once the guard is lifted.
   * May be asked in every process of the tree. Costs about 10 µs per process.
   */
  get count(): number {
    return native.countForkGuard(this.#id);
  }

  /**
   * Remove this guard for the whole tree. Other guards stay. Does nothing when the guard has been lifted before.
   * Of a kernel limit the cgroup goes, its members back to where it was; `RLIMIT_NPROC` is raised again for this process,
   * while descendants keep what they were born with.
   *
   * @throws `ERR_WRONG_PROCESS` when this process did not set the guard: a descendant cannot free itself.
   */
  lift(): void {
    if (!native.liftForkGuard(this.#id)) {
      throw codedError(
        Error,
        'ERR_WRONG_PROCESS',
        'lift() was called in a descendant; only the process that called guardForks() can lift its guard',
      );
    }
    if (native.getpid() === this.#setter) this.#fence?.remove();
    this.#fence = undefined;
  }

  /** Same as {@link ForkGuard.lift}. */
  [Symbol.dispose](): void {
    this.lift();
  }
}

/**
 * Limit what `fork()` may make below this process: how many processes, how many generations, how fast.
 *
 * @param limits - `maxProcesses`, `maxDepth`, `maxPerSecond`, at least one, and `kernel`; see {@link ForkLimits}.
 * @returns The guard, in force from now on until `lift()`.
 * @throws `ERR_INVALID_ARG_TYPE` or `ERR_OUT_OF_RANGE` a limit is not an integer in its range.
 * @throws `ERR_INVALID_ARG_VALUE` no limit was given, or `kernel` without `maxProcesses`.
 * @throws `ERR_FORK_IN_WORKER` in a `worker_threads` Worker, which cannot fork either.
 * @throws {@link PosixError} `ENOMEM` no memory for the table.
 * @remarks Over a limit `fork()` throws {@link ForkLimitError} and makes no process. The limits hold for every `fork()`
 * of this process and of the processes forked below it, also after this process has ended. This process itself is not
 * counted, nor are children that it had before. A process that has ended is counted until it is waited for: it
 * still has its pid. Processes that were killed, at whatever moment, are noticed: counts correct themselves (a fork cut
 * short by the death of the forking process within a second).
 *
 * Guards nest: each process may set further ones, and a fork must be allowed by all of them.
 *
 * Only `fork()` of this package is guarded, and what is built on it; `child_process` is not. A forked process that
 * replaces its program with `exec` stays counted, but what the new program makes is neither counted nor limited.
 * `kernel: true` sets a limit of the kernel's behind the guard, which binds these too (a fork beyond it fails with
 * `EAGAIN`): a coarse one, since the kernel counts threads.
 * @example
 * ```js
 * const guard = guardForks({ maxProcesses: 20, maxDepth: 3, maxPerSecond: 100 });
 * try {
 *   while (true) fork();
 * } catch (error) {
 *   console.log(process.pid, error.code, error.limit, guard.count);
 * }
 * ```
 * @see fork(2), cgroups(7) pids, getrlimit(2) RLIMIT_NPROC
 */
export function guardForks(limits: ForkLimits): ForkGuard {
  validateObject(limits, 'limits');
  const limit = (name: keyof typeof highest): number => {
    const value: unknown = limits[name];
    if (value === undefined) return -1;
    validateInteger(value, `limits.${name}`, 0, highest[name]);
    return value;
  };
  const chosen = [limit('maxProcesses'), limit('maxDepth'), limit('maxPerSecond')] as const;
  if (chosen.every((value) => value < 0)) {
    throw invalidValue('limits', `must have at least one of ${Object.keys(highest).join(', ')}`, limits);
  }
  const kernel: unknown = limits.kernel ?? false;
  if (typeof kernel !== 'boolean') throw invalidType('limits.kernel', 'of type boolean', kernel);
  if (kernel && chosen[0] < 0) throw invalidValue('limits', 'must have maxProcesses for kernel', limits);
  if (!isMainThread) {
    throw codedError(
      Error,
      'ERR_FORK_IN_WORKER',
      'guardForks() was called in a worker_threads Worker; call it in the main thread, which alone can fork',
    );
  }
  const id = native.setForkGuard(...chosen);
  return new ForkGuard(id, kernel ? raiseFence(chosen[0]) : undefined);
}
