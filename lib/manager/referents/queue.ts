/** In the server: Queue and JoinableQueue, which differ in the exposed methods. */
import { codedError, Empty, Full } from '../../errors';
import { Fifo } from '../../ipc/fifo';
import { validateInteger } from '../../validate';
import { WaitingLine } from '../waiting-line';

export class QueueReferent {
  readonly #maxsize: number;
  readonly #items = new Fifo<unknown>();
  readonly #getters = new WaitingLine<unknown>();
  readonly #putters = new WaitingLine<void>();
  readonly #joiners = new WaitingLine<void>();
  #unfinished = 0;

  constructor(maxsize?: unknown) {
    if (maxsize != null) validateInteger(maxsize, 'maxsize', -2147483648, 2147483647);
    this.#maxsize = Math.max(0, maxsize ?? 0);
  }

  /** @param timeout - Milliseconds; 0 not at all, -1 for ever. */
  put(value: unknown, timeout: number): void | Promise<void> {
    if (!this.full()) return this.#add(value);
    if (timeout === 0) throw new Full();
    const giveUp = {
      onTimeout: () => {
        throw new Full();
      },
    };
    // Who is served has a place kept for it: nobody comes between.
    return this.#putters.wait(timeout, giveUp).then(() => {
      this.#kept -= 1;
      this.#add(value);
    });
  }

  #kept = 0;

  #add(value: unknown): void {
    this.#unfinished += 1;
    if (!this.#getters.serve(() => value)) this.#items.push(value);
  }

  get(timeout: number): unknown {
    if (this.#items.length > 0) {
      const item = this.#items.shift();
      if (this.#maxsize > 0 && this.#putters.serve(() => {})) this.#kept += 1;
      return item;
    }
    if (timeout === 0) throw new Empty();
    return this.#getters.wait(timeout, {
      onTimeout: () => {
        throw new Empty();
      },
    });
  }

  qsize(): number {
    return this.#items.length;
  }

  empty(): boolean {
    return this.#items.length === 0;
  }

  full(): boolean {
    return this.#maxsize > 0 && this.#items.length + this.#kept >= this.#maxsize;
  }

  taskDone(): void {
    if (this.#unfinished === 0) {
      throw codedError(RangeError, 'ERR_OUT_OF_RANGE', 'taskDone() was called more often than items were put');
    }
    this.#unfinished -= 1;
    if (this.#unfinished === 0) this.#joiners.serveAll();
  }

  join(timeout: number): boolean | Promise<boolean> {
    if (this.#unfinished === 0) return true;
    if (timeout === 0) return false;
    return this.#joiners.wait(timeout, { onTimeout: () => {} }).then(() => this.#unfinished === 0);
  }
}
