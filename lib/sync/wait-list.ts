/**
 * Those who wait for a condition or at a barrier: a list in shared memory, one cell for each of them, changed under a
 * robust mutex. Every change of the list is one store, so that a process killed inside leaves a whole list behind; of
 * processes killed while they wait, the cells stay until somebody looks at the list.
 *
 *     waiter's cell   0 what it has been told, as bits; 0 at first   1 next waiter's cell / 64   2 slot and 3 birth of its
 *                     process   4 its number, in the order of arrival
 *     list's cell     0 mutex   1 first waiter's cell / 64   2 number given last
 */
import { native } from '../native';
import { arena, CELL_WORDS, makeCell, markSent, self } from '../shared/arena';
import { waitWordSync } from '../shared/wait-word';
import { Kind } from './cell';
import { Deadline } from './deadline';
import type { Wait } from './options';
import { RobustMutex } from './robust-word';
import { WordWatch } from './watch-word';

const CELL_BYTES = 64;
const WORDS = CELL_BYTES / 4;
const FIRST = 1;
const LAST_NUMBER = 2;
const NEXT = 1;
const SLOT = 2;
const BIRTH = 3;
const NUMBER = 4;

/** One who waits, of this process. */
export class Waiter {
  readonly offset: number;
  readonly index: number;
  readonly #watch: WordWatch;
  readonly #words = arena().words;

  constructor() {
    this.offset = makeCell(this);
    this.index = this.offset / 4;
    this.#words[this.index + CELL_WORDS - 1] = Kind.Waiter;
    // The list may lead to it after this process's death: whoever takes it off the list frees it then.
    markSent(this.offset);
    this.#watch = new WordWatch(this.offset);
  }

  /** What it has been told: bits, 0 at first. */
  told(): number {
    return Atomics.load(this.#words, this.index);
  }

  /** Wait until it has been told another than `known`; false when the time is over first. */
  async wait(known: number, wait: Wait): Promise<boolean> {
    return this.#watch.changed(known, wait);
  }

  /** The same, blocking the process. */
  waitSync(known: number, { timeout }: Wait): boolean {
    const deadline = new Deadline(timeout);
    while (this.told() === known) {
      waitWordSync(this.offset, known, deadline.left());
      if (deadline.isOver()) return this.told() !== known;
    }
    return true;
  }
}

/** Cells of this process that nobody waits in. A forked child gets its own: these may be in use in the parent. */
let spare: Waiter[] = [];
let generation = -1;
let identity: readonly [slot: number, born: number] = [0, 0];

function spareWaiter(): Waiter {
  if (generation !== self.generation) {
    generation = self.generation;
    spare = [];
    identity = native.arenaSlot();
  }
  return spare.pop() ?? new Waiter();
}

/** A list of waiters. Its cell's words from the fourth on are for its owner. */
export class WaitList {
  readonly mutex: RobustMutex;
  readonly #words = arena().words;
  readonly #index: number;

  /**
   * @param offset - Of the list's cell.
   * @param holder - The object that keeps the cell.
   */
  constructor(offset: number, holder: object) {
    this.mutex = new RobustMutex(offset, holder);
    this.#index = offset / 4;
  }

  /** Add one, who waits from now on. Under the mutex. */
  join(): Waiter {
    const waiter = spareWaiter();
    const words = this.#words;
    const at = waiter.index;
    const number = ((words[this.#index + LAST_NUMBER] as number) + 1) | 0;
    words[this.#index + LAST_NUMBER] = number;
    [words[at + SLOT], words[at + BIRTH]] = identity;
    words[at + NUMBER] = number;
    words[at + NEXT] = words[this.#index + FIRST] as number;
    Atomics.store(words, at, 0);
    Atomics.store(words, this.#index + FIRST, waiter.offset / CELL_BYTES);
    return waiter;
  }

  /** Take one off the list, if it is on it, and have its cell back. Under the mutex. */
  leave(waiter: Waiter): void {
    this.#unlink((at) => at === waiter.index);
    spare.push(waiter);
  }

  /** Those who wait and live, first come first; the dead are taken off. Under the mutex. */
  living(): number[] {
    const words = this.#words;
    this.#unlink((at) => words[at] === 0 && !this.lives(at));
    const found: number[] = [];
    this.#each((at) => void (words[at] === 0 && found.push(at)));
    return found.sort((a, b) => ((words[a + NUMBER] as number) - (words[b + NUMBER] as number)) | 0);
  }

  /** Whether somebody died waiting. Under the mutex. */
  hasDead(): boolean {
    let found = false;
    this.#each((at) => (found ||= !this.lives(at)));
    return found;
  }

  /** Everybody on the list. Under the mutex. */
  all(): number[] {
    const found: number[] = [];
    this.#each((at) => found.push(at));
    return found;
  }

  /** Set a bit in what these have been told; they stay on the list. Under the mutex. */
  tell(waiters: readonly number[], bit: number): void {
    // Telling and waking are one system call: a killed process has done both or neither.
    for (const at of waiters) native.wordSetAndWake(at * 4, bit);
  }

  /** The same, and take them off the list. Under the mutex. */
  dismiss(waiters: readonly number[], bit: number): void {
    this.tell(waiters, bit);
    const told = new Set(waiters);
    this.#unlink((at) => told.has(at));
  }

  /** Whether the process that waits there lives. */
  lives(at: number): boolean {
    return native.slotLives((this.#words[at + SLOT] as number) >>> 0, (this.#words[at + BIRTH] as number) >>> 0);
  }

  #each(visit: (at: number) => unknown): void {
    const words = this.#words;
    for (let cell = words[this.#index + FIRST] as number; cell !== 0;) {
      const at = cell * WORDS;
      cell = words[at + NEXT] as number;
      visit(at);
    }
  }

  #unlink(isMeant: (at: number) => boolean): void {
    const words = this.#words;
    let link = this.#index + FIRST;
    for (let cell = words[link] as number; cell !== 0; cell = words[link] as number) {
      const at = cell * WORDS;
      if (!isMeant(at)) {
        link = at + NEXT;
        continue;
      }
      const lives = this.lives(at);
      Atomics.store(words, link, words[at + NEXT] as number);
      if (!lives) native.freeCell(at * 4);
    }
  }
}
