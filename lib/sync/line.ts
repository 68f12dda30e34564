/**
 * Those of one process who wait on the loop for one lock: first come, first served among them, while between processes
 * the kernel's order counts. Only the first of the line waits for the word; the others wait for him.
 */
import { AbortError } from '../errors';
import { self } from '../shared/arena';
import { waitForPrize, type WordWait } from '../shared/wait-word';
import type { Wait } from './options';
import { Place } from './place';

/** What is waited for. */
export interface Prize {
  readonly what: 'lock' | 'count';
  /** Of the lock's word, or of the gate beside the number. */
  readonly offset: number;
  /** Whether it can be had, but others have been woken for it. */
  isForOthers(): boolean;
  /** Take it if it can be had. */
  take(): boolean;
}

/** Who wait for one lock, in the order in which they came. */
export class Line {
  readonly #prize: Prize;
  #places: Place<true>[] = [];
  #wait: WordWait | undefined;
  #generation = self.generation;

  constructor(prize: Prize) {
    this.#prize = prize;
  }

  /** Whether it was had before the time was over. Rejects when the signal is aborted. */
  async join(wait: Wait): Promise<boolean> {
    if (wait.signal?.aborted === true) throw new AbortError(wait.signal);
    if (this.#generation !== self.generation) this.#beginAnew();
    const place = new Place<true>(wait, this.#remove);
    this.#places.push(place);
    if (this.#places.length === 1) this.#begin();
    return (await place.promise) === true;
  }

  /** In a forked child: those in the line are the parent's. */
  #beginAnew(): void {
    this.#generation = self.generation;
    this.#places = [];
    this.#wait = undefined;
  }

  #begin(): void {
    if (this.#prize.isForOthers()) this.#listen(true);
    else this.#serve();
  }

  /** Give the first what can be had, and so on until nothing can be had or nobody is left. */
  readonly #serve = (): void => {
    this.#wait = undefined;
    for (let first = this.#places[0]; first !== undefined; first = this.#places[0]) {
      if (!this.#prize.take()) return this.#listen(false);
      this.#places.shift();
      first.settle(true);
    }
  };

  #listen(patient: boolean): void {
    const { offset, what } = this.#prize;
    try {
      this.#wait = waitForPrize(offset, what, patient, this.#serve);
    } catch (error) {
      // No thread to be had for the wait: nobody of the line can go on waiting.
      for (const place of this.#places.splice(0)) place.fail(error);
    }
  }

  readonly #remove = (place: Place<true>): void => {
    this.#places.splice(this.#places.indexOf(place), 1);
    if (this.#places.length > 0) return;
    this.#wait?.cancel();
    this.#wait = undefined;
  };
}
