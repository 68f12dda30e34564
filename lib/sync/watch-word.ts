/** Those of one process who wait on the loop until a word is no longer what they saw: one wait of the kernel for all. */
import { AbortError } from '../errors';
import { arena, self } from '../shared/arena';
import { waitWord, type WordWait } from '../shared/wait-word';
import type { Wait } from './options';
import { Place } from './place';

/** Who wait for a change of one word. */
export class WordWatch {
  readonly #offset: number;
  readonly #words = arena().words;
  #places = new Map<Place<true>, number>();
  #wait: WordWait | undefined;
  #generation = self.generation;

  /** @param offset - Of the word, among the cells. */
  constructor(offset: number) {
    this.#offset = offset;
  }

  /** Whether the word was, or became, another than `seen` before the time was over. Rejects when the signal is aborted. */
  async changed(seen: number, wait: Wait): Promise<boolean> {
    if (wait.signal?.aborted === true) throw new AbortError(wait.signal);
    if (this.#generation !== self.generation) {
      this.#generation = self.generation;
      this.#places = new Map();
      this.#wait = undefined;
    }
    const place = new Place<true>(wait, this.#remove);
    this.#places.set(place, seen);
    if (this.#wait === undefined) this.#look();
    else if (this.#value() !== seen) this.#settle(place);
    return (await place.promise) === true;
  }

  #value(): number {
    return Atomics.load(this.#words, this.#offset / 4);
  }

  #settle(place: Place<true>): void {
    this.#remove(place);
    place.settle(true);
  }

  readonly #look = (): void => {
    this.#wait = undefined;
    const value = this.#value();
    for (const [place, seen] of this.#places) if (seen !== value) this.#settle(place);
    if (this.#places.size === 0) return;
    try {
      this.#wait = waitWord(this.#offset, value >>> 0, this.#look);
    } catch (error) {
      for (const place of this.#places.keys()) place.fail(error);
      this.#places.clear();
    }
  };

  readonly #remove = (place: Place<true>): void => {
    this.#places.delete(place);
    if (this.#places.size > 0) return;
    this.#wait?.cancel();
    this.#wait = undefined;
  };
}
