/** A flag that processes wait for. */
import { inspect } from 'node:util';
import { native } from '../native';
import { arena } from '../shared/arena';
import { waitWordSync } from '../shared/wait-word';
import { cellFor, kCell, Kind, registerCell } from './cell';
import { Deadline } from './deadline';
import { readWait, type AsyncWaitOptions, type WaitOptions } from './options';
import { WordWatch } from './watch-word';

/** The flag; the bits above it count how often it was cleared. */
const SET = 1;

/**
 * A flag that one process sets and others wait for.
 *
 * @remarks Whoever waits when it is set returns true, also when it is cleared again at once (Python's may miss that). No
 * death of a process can leave an event half set.
 * @example
 * ```js
 * const ready = new Event();
 * if (fork() === 0) { prepare(); ready.set(); process.exit(); }
 * await ready.wait();
 * ```
 * @see multiprocessing.Event
 */
export class Event {
  readonly #words = arena().words;
  readonly #offset: number;
  readonly #watch: WordWatch;

  /** @internal */
  constructor(existing?: unknown) {
    this.#offset = cellFor(this, Kind.Event, existing);
    this.#watch = new WordWatch(this.#offset);
  }

  /** Whether the flag is set. */
  isSet(): boolean {
    return (this.#value() & SET) !== 0;
  }

  /** Set the flag and wake everybody who waits for it. */
  set(): void {
    native.wordSetAndWake(this.#offset, 0);
  }

  /** Clear the flag: from now on `wait` waits. */
  clear(): void {
    const index = this.#offset / 4;
    for (let value = this.#value(); (value & SET) !== 0;) {
      const seen = Atomics.compareExchange(this.#words, index, value, (value + 1) | 0);
      if (seen === value) return;
      value = seen;
    }
  }

  /**
   * Wait until the flag is set, leaving the event loop free meanwhile.
   *
   * @param timeout - Milliseconds (a negative number is 0), or options. Default: for ever.
   * @returns false when it was not set in time.
   * @throws `AbortError` when `options.signal` is aborted first.
   */
  async wait(timeout?: number | null | AsyncWaitOptions): Promise<boolean> {
    const wait = readWait(timeout);
    const seen = this.#value();
    if ((seen & SET) !== 0 || (wait.timeout === 0 && wait.signal === undefined)) return (seen & SET) !== 0;
    return this.#watch.changed(seen, wait);
  }

  /**
   * Wait until the flag is set, blocking the process meanwhile.
   *
   * @param timeout - Milliseconds (a negative number is 0), or options. Default: for ever.
   * @returns false when it was not set in time.
   */
  waitSync(timeout?: number | null | WaitOptions): boolean {
    const wait = readWait(timeout);
    const seen = this.#value();
    if ((seen & SET) !== 0) return true;
    const deadline = new Deadline(wait.timeout);
    do {
      waitWordSync(this.#offset, seen >>> 0, deadline.left());
      if (this.#value() !== seen) return true;
    } while (!deadline.isOver());
    return false;
  }

  /** Show whether it is set: `<Event set>`, `<Event unset>`. */
  toString(): string {
    return `<${this.constructor.name} ${this.isSet() ? 'set' : 'unset'}>`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal */
  get [kCell](): number {
    return this.#offset;
  }

  #value(): number {
    return Atomics.load(this.#words, this.#offset / 4);
  }
}

registerCell('Event', Event, Kind.Event, (cell) => new Event(cell));
