/**
 * What Node has scheduled, as Node keeps it: the queues of ticks, timers and immediates. They stand in closures, which an
 * in-process inspector session shows without any flag; that costs some milliseconds, once for a process and all its
 * descendants. The names are those of Node 20 to 26 (lib/internal/process/task_queues.js, promises.js and
 * execution.js, timers.js, async_hooks.js, crypto/random.js); one that is missing is an error that names it.
 */
import * as crypto from 'node:crypto';
import { createRequire } from 'node:module';
import { codedError } from '../errors';
import { mainGlobal } from '../main-context';
import { useCryptoCaches } from '../posix/after-fork';
import { searchScopes } from '../posix/scope-search';

/** Node's queues and counters, live. */
export interface Internals {
  readonly queue: { isEmpty(): boolean; shift(): unknown };
  /** See {@link TickInfo}. */
  readonly tickInfo: Uint8Array;
  /** Reports rejected promises that nobody has handled. */
  readonly processPromiseRejections: () => boolean;
  readonly timerListMap: Record<string, unknown>;
  readonly timerListQueue: { peek(): unknown; shift(): unknown };
  /** [0]: timers that keep the loop alive. */
  readonly timeoutInfo: Int32Array;
  readonly immediateQueue: { head: unknown; tail: unknown };
  /** See {@link ImmediateCount}. */
  readonly immediateInfo: Uint32Array;
  readonly clearAsyncIdStack: () => void;
  /** The resources whose callbacks are on the stack. */
  readonly execution_async_resources: readonly unknown[];
  /** What `process.setUncaughtExceptionCaptureCallback` sets. */
  readonly exceptionHandlerState: { captureFn: ((error: unknown) => void) | null };
  /** [0]: under --abort-on-uncaught-exception, whether an exception that nobody catches ends the process at once. */
  readonly shouldAbortOnUncaughtToggle: Uint32Array;
  /** Random bytes drawn in advance, for `randomUUID` and for `randomInt`. */
  readonly uuidData: Uint8Array;
  readonly randomCache: Uint8Array;
}

/** What `tickInfo` says. */
export const enum TickInfo {
  HasTickScheduled,
  HasRejectionToWarn,
}

/** What `immediateInfo` counts. */
export const enum ImmediateCount {
  All,
  Refed,
  /** 1 while Node runs a batch of immediates. */
  HasOutstanding,
}

/** In whose closure a name stands. Taken when this module loads: later, somebody may have wrapped them. */
const { setTimeout, clearTimeout, setImmediate, clearImmediate } = mainGlobal;
const { nextTick, setUncaughtExceptionCaptureCallback } = mainGlobal.process;
const holders: readonly (readonly [holder: () => unknown, names: readonly (keyof Internals)[]])[] = [
  [() => nextTick, ['queue', 'tickInfo', 'processPromiseRejections']],
  [timeoutMethod, ['timerListMap', 'timerListQueue', 'timeoutInfo']],
  [immediateClass, ['immediateQueue', 'immediateInfo']],
  [() => Reflect.get(mainGlobal.process, '_fatalException') as unknown, ['clearAsyncIdStack']],
  [() => nodeRequire('node:async_hooks').executionAsyncId, ['execution_async_resources']],
  [() => setUncaughtExceptionCaptureCallback, ['exceptionHandlerState', 'shouldAbortOnUncaughtToggle']],
  [randomUUID, ['uuidData', 'randomCache']],
];

function timeoutMethod(): unknown {
  const timeout = setTimeout(() => {}, 1);
  clearTimeout(timeout);
  return (Object.getPrototypeOf(timeout) as NodeJS.Timeout).refresh;
}

function immediateClass(): unknown {
  const immediate = setImmediate(() => {});
  clearImmediate(immediate);
  return immediate.constructor;
}

function randomUUID(): unknown {
  crypto.randomUUID(); // makes the cache
  return crypto.randomUUID;
}

const nodeRequire = createRequire(__filename) as (name: 'node:async_hooks') => typeof import('node:async_hooks');

let found: Internals | undefined;

/**
 * Find them, once.
 *
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` this Node was built without the inspector, or keeps them elsewhere.
 */
export function internals(): Internals {
  return (found ??= find());
}

function find(): Internals {
  const all: Record<string, unknown> = {};
  try {
    searchScopes((scopes) => {
      for (const [holder, names] of holders) Object.assign(all, scopes.find(holder(), names));
    });
  } catch (error) {
    throw unavailable((error as Error).message, error);
  }
  const missing = holders.flatMap(([, names]) => names).filter((name) => !(name in all));
  if (missing.length > 0) throw unavailable(`Node ${process.version} keeps ${missing.join(', ')} elsewhere`);
  const internals = all as unknown as Internals;
  useCryptoCaches([internals.uuidData, internals.randomCache]);
  return internals;
}

function unavailable(reason: string, cause?: unknown): Error {
  return codedError(
    Error,
    'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM',
    `A clean child cannot be made: ${reason}`,
    cause === undefined ? {} : { cause },
  );
}
