/**
 * Which of the tasks that were sent to a worker it has begun: a word in memory that both share. The pool sends tasks ahead;
 * what a dead worker had not begun is given to another, what a busy one has not begun can be taken back, and no task is ever
 * run twice.
 *
 *     bit 31 clear   bits 0-29: tasks begun since the last Resume
 *     bit 31 set     tasks were taken back, and what comes is to be dropped, up to the Resume whose number is in bits 0-29
 *
 * The worker counts a task as begun, and the pool takes back the others, by one compare-and-exchange each: one of the two is
 * first. When tasks are taken back again before the worker has come to the Resume, the number in the word is that of the
 * next one, and the worker goes on dropping.
 */
import { runsInChild } from '../posix/precompile';
import { allocate, arena, blockAt, markSent, requireFamily, type Block } from '../shared/arena';

const TAKEN = 1 << 31;
/** Counts, and numbers of Resumes, begin again at 0 after this. */
export const COUNT = 2 ** 30 - 1;
/** Words of a worker: a cache line, so that workers do not slow each other down. */
const WORDS = 16;
const enum Word {
  Begun = 0,
  Started = 1,
}

/** The worker's words, as they are told to one that has not inherited them. */
export interface ClaimsPlace {
  readonly arena: string;
  readonly offset: number;
  readonly at: number;
}

/** The worker's words. */
export class Claims {
  private readonly words: Int32Array;

  static {
    const { noteStarted, begin, load, exchange } = Claims.prototype;
    runsInChild(noteStarted, begin, load, exchange);
  }

  constructor(
    private readonly block: Block,
    private readonly at: number,
  ) {
    this.words = new Int32Array(block.buffer);
  }

  /** In a worker that has not inherited them. */
  static at({ arena, offset, at }: ClaimsPlace): Claims {
    requireFamily(arena, 'pool');
    return new Claims(blockAt(offset), at);
  }

  /** For a worker that will not inherit them. */
  place(): ClaimsPlace {
    markSent(this.block.offset);
    return { arena: arena().id, offset: this.block.offset, at: this.at };
  }

  /** Worker: its initializer is done. */
  noteStarted(): void {
    Atomics.store(this.words, this.at + Word.Started, 1);
  }

  get hasStarted(): boolean {
    return Atomics.load(this.words, this.at + Word.Started) === 1;
  }

  /** Worker: begin the next task. False when it was taken back. */
  begin(): boolean {
    for (let word = this.load(); word >= 0;) {
      const before = this.exchange(word, (word + 1) & COUNT);
      if (before === word) return true;
      word = before;
    }
    return false;
  }

  /** Worker: at the Resume with this number. */
  resume(number: number): void {
    this.exchange(TAKEN | number, 0);
  }

  /** Pool: how many were begun of those sent since the last Resume; 0 when the worker has not come to that Resume. */
  begun(): number {
    return Math.max(0, this.load());
  }

  /** Pool: the same, and no further one will be begun before the Resume with this number. */
  takeBack(number: number): number {
    for (let word = this.load(); ;) {
      const before = this.exchange(word, TAKEN | number);
      if (before === word) return Math.max(0, word);
      word = before;
    }
  }

  private load(): number {
    return Atomics.load(this.words, this.at + Word.Begun);
  }

  private exchange(expected: number, next: number): number {
    return Atomics.compareExchange(this.words, this.at + Word.Begun, expected, next);
  }

  reset(): void {
    Atomics.store(this.words, this.at + Word.Begun, 0);
    Atomics.store(this.words, this.at + Word.Started, 0);
  }
}

/** How far a count of begun tasks is ahead of a count of answered ones. */
export function ahead(begun: number, answered: number): number {
  return (begun - answered) & COUNT;
}

/** Claims for as many workers as there are, used again. */
export class ClaimTable {
  readonly #free: Claims[] = [];
  /** Memory lives as long as its block is held. */
  readonly #blocks: Block[] = [];

  take(): Claims {
    if (this.#free.length === 0) this.#grow();
    const claims = this.#free.pop() as Claims;
    claims.reset();
    return claims;
  }

  giveBack(claims: Claims): void {
    this.#free.push(claims);
  }

  #grow(): void {
    const block = allocate(4096);
    this.#blocks.push(block);
    for (let at = 0; at < block.bytes / 4; at += WORDS) this.#free.push(new Claims(block, at));
  }
}
