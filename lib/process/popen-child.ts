/** What the ways of holding a started process have in common: the exit code, and promises that wait for it. */
import { constants } from 'node:os';
import type { PosixError } from '../errors';
import { native } from '../native';
import type { NamedSignal, Popen } from './popen';

const { ESRCH } = constants.errno;

/** Exit code of a child whose status nobody can tell any more, as in Python's asyncio. */
export const UNKNOWN = 255;

/** A started process, held by its creator. */
export abstract class Child implements Popen {
  #exitCode: number | null = null;
  readonly #waiters = new Set<() => void>();
  #keepsLoopAlive: boolean;
  readonly #onEnd: (exitCode: number) => void;

  /** @param keepsLoopAlive - Whether the event loop stays alive until the child has ended. */
  protected constructor(
    readonly pid: number,
    keepsLoopAlive: boolean,
    onEnd: (exitCode: number) => void,
  ) {
    this.#keepsLoopAlive = keepsLoopAlive;
    this.#onEnd = onEnd;
  }

  abstract readonly sentinel: number;
  abstract close(): void;
  /** Look whether it has ended; call {@link ended} when it has. */
  protected abstract look(): void;
  /** Look until it has ended, for so many milliseconds at most. */
  protected abstract lookWithin(timeout: number): void;
  /** {@link keepsLoopAlive} may have changed. */
  protected abstract updateRef(): void;
  /** It has ended: give up what it was watched with. */
  protected abstract unwatch(): void;

  get keepsLoopAlive(): boolean {
    return this.#keepsLoopAlive || this.#waiters.size > 0;
  }

  holdLoop(holds: boolean): void {
    this.#keepsLoopAlive = holds;
    this.updateRef();
  }

  poll(): number | null {
    if (this.#exitCode === null) this.look();
    return this.#exitCode;
  }

  waitSync(timeout: number): void {
    if (this.#exitCode === null) this.lookWithin(timeout);
  }

  wait(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.poll() !== null || timeout === 0) return resolve();
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(done);
        this.updateRef();
        resolve();
      };
      this.#waiters.add(done);
      if (timeout !== Infinity) timer = setTimeout(done, timeout);
      this.updateRef();
    });
  }

  signal(signal: NamedSignal): void {
    // Looking first: once reaped the number may be another's, and until then it is not.
    if (this.poll() !== null) return;
    try {
      native.kill(this.pid, constants.signals[signal]);
    } catch (error) {
      if ((error as PosixError).errno !== -ESRCH) throw error;
    }
  }

  protected ended(exitCode: number): void {
    this.#exitCode = exitCode;
    this.unwatch();
    for (const done of [...this.#waiters]) done();
    this.#onEnd(exitCode);
  }
}
