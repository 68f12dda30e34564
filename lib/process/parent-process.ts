/** The process that started this one, as its child sees it. */
import { closeSync } from 'node:fs';
import { inspect } from 'node:util';
import { native } from '../native';
import { validateTimeout } from './timeout';

/** poll(2), as the addon has it. */
const READABLE = 1;
/** Milliseconds between two looks where there are no pidfds. */
const LOOK = 20;

/**
 * What a child knows of the process that started it.
 *
 * @see multiprocessing.parent_process
 */
export class ParentProcess {
  /** The parent's name, such as `'MainProcess'`. */
  readonly name: string;
  /** The parent's pid. */
  readonly pid: number;

  /** A connection to it, where it is not the parent in the kernel's eyes; nothing but its end comes from there. */
  readonly #lifeline: { fileno(): number } | undefined;

  /** @internal */
  constructor(name: string, pid: number, lifeline?: { fileno(): number }) {
    this.name = name;
    this.pid = pid;
    this.#lifeline = lifeline;
  }

  /** Tell whether it is still there: a process whose parent ends gets another one. */
  isAlive(): boolean {
    if (this.#lifeline !== undefined) return native.pollFd(this.#lifeline.fileno(), READABLE, 0) === 0;
    return native.getppid() === this.pid;
  }

  /**
   * Wait until the parent has ended, without blocking the event loop.
   *
   * @param timeout - Milliseconds to wait at most. Default: for ever.
   */
  join(timeout?: number): Promise<void> {
    const limit = validateTimeout(timeout);
    return new Promise((resolve) => {
      if (!this.isAlive() || limit <= 0) return resolve();
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        clearInterval(look);
        if (watch > 0) native.unwatch(watch);
        resolve();
      };
      const watch =
        this.#lifeline === undefined
          ? native.watchPid(this.pid, done)
          : native.watchDescriptor(this.#lifeline.fileno(), READABLE, done);
      // Without pidfds a look now and then has to do.
      const look = watch > 0 ? undefined : setInterval(() => !this.isAlive() && done(), LOOK);
      if (limit !== Infinity) timer = setTimeout(done, limit);
      if (!this.isAlive()) done(); // it ended before the watch, which may be another process's then
    });
  }

  /** The same as {@link ParentProcess.join}, blocking this process. */
  joinSync(timeout?: number): void {
    const end = performance.now() + validateTimeout(timeout);
    const fd = this.#lifeline?.fileno() ?? native.openPidFd(this.pid);
    try {
      for (let left = end - performance.now(); left > 0 && this.isAlive(); left = end - performance.now()) {
        if (fd >= 0) native.pollFd(fd, READABLE, left === Infinity ? -1 : left);
        else native.sleep(Math.min(LOOK, left));
      }
    } finally {
      if (this.#lifeline === undefined && fd >= 0) closeSync(fd);
    }
  }

  /** The same as {@link ParentProcess.pid}, under Python's other name. */
  get ident(): number {
    return this.pid;
  }

  /** Show it as Python does. */
  toString(): string {
    return `<ParentProcess name='${this.name}' pid=${this.pid}${this.isAlive() ? '' : ' stopped'}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
