/**
 * A word of the arena that processes wait at until something has changed, and that costs a look when nobody waits:
 *
 *     waiter                                   who changes something
 *     1  mark the gate                         1  `guard` it
 *     2  look whether there is anything        2  make the change, by an atomic store
 *     3  wait, while the mark is there         3  `open` it: when there is a mark, take it away and wake everybody
 *
 * All are woken, so that the death of one of them is nothing to the others. Who changes something and is killed before he
 * could open the gate has named it to the kernel, which wakes one waiter; that one finds its mark untouched, and opens the
 * gate for the others.
 */
import { arena } from '../shared/arena';
import { waitWord, type WaitWordOptions, type WordWait } from '../shared/wait-word';
import { native } from '../native';

/** Its low 30 bits are 0, which the kernel wants of a word whose waiters it is to wake (native/robust.h). */
const MARK = 1 << 31;
export const MARK_UNSIGNED = 0x80000000;
const OPENED_BIT = 30;
const OPENED = MARK | (1 << OPENED_BIT);

/** Something to wait at. */
export class Gate {
  /** In the arena, in bytes. */
  readonly offset: number;
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #pending: Float64Array;
  readonly #entry: number;

  /** The gate at `words[index]`, where `words` begins at `base` of the arena. */
  constructor(words: Int32Array, index: number, base: number) {
    this.#words = words;
    this.#index = index;
    this.offset = base + index * 4;
    this.#pending = arena().pending;
    this.#entry = native.robustEntry(this.offset);
  }

  /** Should this process die from now on, the kernel wakes one waiter. Nothing that takes a lock may come in between. */
  guard(): void {
    this.#pending[0] = this.#entry;
  }

  /** Wake all who wait; ends what {@link guard} began. */
  open(): void {
    if (Atomics.load(this.#words, this.#index) !== 0) this.#open();
    this.#pending[0] = 0;
  }

  #open(): void {
    native.wordSetAndWake(this.offset, OPENED_BIT);
    Atomics.compareExchange(this.#words, this.#index, OPENED, 0);
  }

  /** Say that somebody is about to wait; look once more after that. */
  mark(): void {
    Atomics.store(this.#words, this.#index, MARK);
  }

  /** {@link mark} for somebody who waits for the word himself. */
  announce(): { readonly offset: number; readonly expected: number } {
    this.mark();
    return { offset: this.offset, expected: MARK_UNSIGNED };
  }

  /** Wake everybody if the mark is untouched. Call it after a wait when there is something to wake for. */
  passOn(): void {
    if (Atomics.load(this.#words, this.#index) === MARK) this.#open();
  }

  /** After {@link mark}: block for at most `timeout` milliseconds (-1: for ever). False when they are over. */
  waitSync(timeout: number): boolean {
    this.#pending[0] = this.#entry;
    const woken = native.wordWait(this.offset, MARK_UNSIGNED, timeout);
    this.#pending[0] = 0;
    return woken;
  }

  /** {@link waitSync}, which a change of the word at `offset` from `expected`, or its being woken, ends as well. */
  waitEitherSync(offset: number, expected: number, timeout: number): boolean {
    return native.wordWaitEither(this.offset, MARK_UNSIGNED, offset, expected, timeout);
  }

  /** After {@link mark}: call back when the gate has been opened, or without reason. */
  wait(onEnd: () => void, options: WaitWordOptions = {}): WordWait {
    return waitWord(this.offset, MARK_UNSIGNED, onEnd, { ...options, passesOn: true });
  }
}
