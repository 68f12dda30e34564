/** What fork can do here, and why: the one place that decides it. */
import { native } from '../native';

/** The answer of {@link forkSupport}. */
export interface ForkSupport {
  /**
   * - `'full'`: V8's threads are brought back; the child is a whole Node (Linux with glibc, x64 and arm64).
   * - `'single-threaded'`: this Node was started with `--single-threaded --v8-pool-size=0`, so that V8 has no threads to
   *   lose: the way for hosts where threads cannot be brought back (macOS, musl).
   * - `'unavailable'`: `fork()` throws; `reason` says why and what to do.
   */
  readonly mode: 'full' | 'single-threaded' | 'unavailable';
  /** One sentence on how the mode was found. */
  readonly reason: string;
  /** How many V8 threads a fork brings back. */
  readonly v8Threads: number;
  /** How V8's memory reaches the child: its `madvise` calls redirected, marks removed before each fork, or never marked. */
  readonly inheritance: 'redirect' | 'scan' | 'native' | 'none';
}

const FLAGS = '--single-threaded --v8-pool-size=0';

/** Both flags: without the second the platform has threads that wait for work, and signalling an absent waiter can hang. */
function startedSingleThreaded(): boolean {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ').replaceAll('_', '-');
  return /(?:^|\s)--single-threaded(?=\s|$)/.test(given) && /(?:^|\s)--v8-pool-size[= ]0(?=\s|$)/.test(given);
}

function decide(): ForkSupport {
  const none = { v8Threads: 0, inheritance: 'none' } as const;
  if (process.platform === 'win32') {
    return { mode: 'unavailable', reason: 'Windows has no fork(); use Linux, macOS or WSL', ...none };
  }
  const { revivesThreads, v8Threads, inheritance, missingSymbol } = native.forkFacts();
  if (missingSymbol !== null) {
    return {
      mode: 'unavailable',
      reason: `this Node (${process.version}) does not export ${missingSymbol}, without which a child cannot end safely`,
      ...none,
    };
  }
  if (v8Threads === 0 && startedSingleThreaded()) {
    return { mode: 'single-threaded', reason: `Node was started with ${FLAGS}`, v8Threads, inheritance };
  }
  if (!revivesThreads) {
    return {
      mode: 'unavailable',
      reason:
        `threads cannot be brought back on ${process.platform} ${process.arch} with this C library; ` +
        `start Node with ${FLAGS} to fork without them`,
      ...none,
    };
  }
  if (v8Threads === 0) {
    return {
      mode: 'unavailable',
      reason: `V8's threads were not recognised in this process (is /proc mounted?); start Node with ${FLAGS} to fork without them`,
      ...none,
    };
  }
  return { mode: 'full', reason: `${v8Threads} V8 threads are brought back in the child`, v8Threads, inheritance };
}

let decided: ForkSupport | undefined;

/**
 * Tell how `fork()` works in this process, or why it cannot.
 *
 * @returns The mode and the reason for it; found once, at the first call, and the same ever after.
 * @example
 * ```js
 * console.log(forkSupport().mode); // 'full'
 * ```
 * @see fork(2), multiprocessing.get_all_start_methods (Python)
 */
export function forkSupport(): ForkSupport {
  decided ??= decide();
  return decided;
}
