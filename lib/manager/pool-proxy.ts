/**
 * The proxy of a Pool. A task runs in a worker that is a fork of the process which hands it in: functions and closures are
 * known there, as with a `Pool` of one's own. Closing and joining concern all processes (referents/pool.ts).
 */
import { ProcessError } from '../errors';
import { native } from '../native';
import { kInDaemonic, Pool, type PoolOptions } from '../pool/pool';
import type { AsyncResult } from '../pool/result';
import { BaseProxy, define, defineKind, kMade } from './proxy';
import type { PoolTerms } from './referents/pool';

/** The calls of a {@link Pool} that a proxy has as they are. */
const promised = ['run', 'apply', 'map', 'starmap'] as const;
const blocking = ['applySync', 'mapSync', 'starmapSync'] as const;
const pending = ['applyAsync', 'mapAsync', 'starmapAsync'] as const;
const iterated = ['imap', 'imapUnordered'] as const;

type Calls = Pick<
  Pool,
  (typeof promised)[number] | (typeof blocking)[number] | (typeof pending)[number] | (typeof iterated)[number]
>;

/** The methods of a `Pool` in a manager: those of `Pool`. */
export interface PoolMethods extends Calls {
  /** Take no more tasks, from any process. */
  close(): Promise<void>;
  closeSync(): void;
  /** Take no more tasks, from any process, and end this process's workers at once. Those of others finish what they have. */
  terminate(): Promise<void>;
  terminateSync(): void;
  /** Wait until the tasks of all processes are done; after `close()` or `terminate()`. */
  join(): Promise<void>;
  joinSync(): void;
  /** Terminates it. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A proxy for a `Pool` in a manager. Each process that uses it has workers of its own, as many as the pool says. */
export type PoolProxy = BaseProxy & PoolMethods;

type Work<T> = (pool: Pool) => T;

/** In Python its workers are children of the server, so that daemonic processes, such as workers of pools, may use it. */
class OwnPool extends Pool {
  static override readonly [kInDaemonic] = true;
}
Object.defineProperty(OwnPool, 'name', { value: 'Pool' });

class PoolProxyClass extends BaseProxy {
  #own: { readonly pool: Pool; readonly pid: number } | undefined;
  /** Known to the process that made it, and to its forks. */
  #options: PoolOptions = {};

  override [kMade](args: readonly unknown[]): void {
    this.#options = (args[1] as PoolOptions | undefined) ?? {};
  }

  async task<T>(work: Work<Promise<T>>): Promise<T> {
    const terms = (await this.callMethod('enter')) as PoolTerms;
    try {
      return await work(this.#workers(terms));
    } finally {
      await this.callMethod('leave').catch(unlessGone);
    }
  }

  taskSync<T>(work: Work<T>): T {
    const terms = this.callMethodSync('enter') as PoolTerms;
    try {
      return work(this.#workers(terms));
    } finally {
      this.#leaveSync();
    }
  }

  begin(work: Work<AsyncResult<unknown>>): AsyncResult<unknown> {
    const terms = this.callMethodSync('enter') as PoolTerms;
    let result: AsyncResult<unknown>;
    try {
      result = work(this.#workers(terms));
    } catch (error) {
      this.#leaveSync();
      throw error;
    }
    void result
      .wait()
      .then(() => this.callMethod('leave'))
      .catch(unlessGone);
    return result;
  }

  async close(): Promise<void> {
    await this.callMethod('close');
  }

  closeSync(): void {
    this.callMethodSync('close');
  }

  async terminate(): Promise<void> {
    await this.callMethod('terminate');
    this.#ownPool()?.terminate();
  }

  terminateSync(): void {
    this.callMethodSync('terminate');
    this.#ownPool()?.terminate();
  }

  async join(): Promise<void> {
    await this.callMethod('join');
    const pool = this.#ownPool();
    pool?.close();
    await pool?.join();
  }

  joinSync(): void {
    this.callMethodSync('join');
    const pool = this.#ownPool();
    pool?.close();
    pool?.joinSync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.terminate();
  }

  /** The pool of this process: a fork has its own. */
  #ownPool(): Pool | undefined {
    return this.#own?.pid === native.getpid() ? this.#own.pool : undefined;
  }

  #workers({ processes, maxTasksPerChild, gracePeriod, hasInitializer }: PoolTerms): Pool {
    const known = this.#ownPool();
    if (known !== undefined) return known;
    const { initializer, initargs } = this.#options;
    if (hasInitializer && initializer == null) {
      throw new ProcessError(
        'This process does not know the initializer of the pool; use it in the process that made the pool, or in forks of that',
        { code: 'ERR_MANAGER_NO_FUNCTION' },
      );
    }
    const pool = new OwnPool(processes, { initializer, initargs, maxTasksPerChild, gracePeriod });
    this.#own = { pool, pid: native.getpid() };
    return pool;
  }

  #leaveSync(): void {
    try {
      this.callMethodSync('leave');
    } catch (error) {
      unlessGone(error);
    }
  }
}
Object.defineProperty(PoolProxyClass, 'name', { value: 'PoolProxy' });

/** The task has come to its end all the same. */
function unlessGone(error: unknown): void {
  if ((error as { code?: unknown } | null)?.code !== 'ERR_MANAGER_GONE') throw error;
}

function call(pool: Pool, name: keyof Calls, args: readonly unknown[]): unknown {
  return Reflect.apply(pool[name] as (...args: unknown[]) => unknown, pool, args);
}

for (const name of promised) {
  define(PoolProxyClass.prototype, name, function (this: PoolProxyClass, ...args: unknown[]) {
    return this.task((pool) => call(pool, name, args) as Promise<unknown>);
  });
}
for (const name of pending) {
  define(PoolProxyClass.prototype, name, function (this: PoolProxyClass, ...args: unknown[]) {
    return this.begin((pool) => call(pool, name, args) as AsyncResult<unknown>);
  });
}
// An iterator's end is seen by its process alone, whose join() waits for it.
for (const name of [...blocking, ...iterated]) {
  define(PoolProxyClass.prototype, name, function (this: PoolProxyClass, ...args: unknown[]) {
    return this.taskSync((pool) => call(pool, name, args));
  });
}

defineKind('Pool', PoolProxyClass);

/** Exposed methods. */
export const exposedPool: readonly string[] = ['enter', 'leave', 'close', 'terminate', 'join'];
