/**
 * In the server: Pool. No message can carry a function, so the workers are forks of the process that hands a task in, which
 * has it (pool-proxy.ts). What all processes have in common is here: whether the pool is open, and who has tasks in it.
 */
import { ProcessError } from '../../errors';
import { cpuCount } from '../../process/cpu-count';
import { validateInteger, validateObject } from '../../validate';
import { caller, type Held, type Session } from '../caller';
import { WaitingLine } from '../waiting-line';

/** What each process that uses the pool makes its workers by. */
export interface PoolTerms {
  readonly processes: number;
  readonly maxTasksPerChild: number | undefined;
  readonly gracePeriod: number | undefined;
  /** There is one, which only the process that made the pool and its forks have. */
  readonly hasInitializer: boolean;
}

interface Given {
  readonly maxTasksPerChild?: number | null;
  readonly gracePeriod?: number;
  readonly initializer?: unknown;
}

export class PoolReferent implements Held {
  readonly #terms: PoolTerms;
  readonly #tasks = new Map<Session, number>();
  readonly #joiners = new WaitingLine<void>();
  #isRunning = true;

  constructor(processes?: unknown, options: unknown = {}) {
    if (processes != null) validateInteger(processes, 'processes', 1, 4096);
    validateObject(options, 'options');
    const { maxTasksPerChild, gracePeriod, initializer } = options as Given;
    if (maxTasksPerChild != null) validateInteger(maxTasksPerChild, 'options.maxTasksPerChild', 1);
    this.#terms = {
      processes: processes ?? cpuCount(),
      maxTasksPerChild: maxTasksPerChild ?? undefined,
      gracePeriod,
      hasInitializer: initializer != null,
    };
  }

  /** A process is about to hand a task in. */
  enter(): PoolTerms {
    if (!this.#isRunning) {
      throw new ProcessError('Pool not running: it was closed or terminated', { code: 'ERR_POOL_NOT_RUNNING' });
    }
    const { session } = caller();
    this.#tasks.set(session, (this.#tasks.get(session) ?? 0) + 1);
    session.held.add(this);
    return this.#terms;
  }

  /** A task of a process has come to its end. */
  leave(): void {
    const { session } = caller();
    const left = (this.#tasks.get(session) ?? 0) - 1;
    if (left > 0) this.#tasks.set(session, left);
    else this.abandonedBy(session);
  }

  abandonedBy(session: Session): void {
    this.#tasks.delete(session);
    session.held.delete(this);
    if (this.#tasks.size === 0) this.#joiners.serveAll();
  }

  close(): void {
    this.#isRunning = false;
  }

  terminate(): void {
    this.#isRunning = false;
  }

  join(): void | Promise<void> {
    if (this.#isRunning) {
      throw new ProcessError('Pool is still running: close or terminate it before join', { code: 'ERR_POOL_RUNNING' });
    }
    if (this.#tasks.size > 0) return this.#joiners.wait(-1, { onTimeout: () => {} });
  }
}
