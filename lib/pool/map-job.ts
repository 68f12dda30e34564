/** A `map`: chunks that go out as tasks, and come back as one array in the order of the items. */
import type { Receiver } from './task';

/** Who gets the whole. */
export interface MapReceiver {
  onValue(values: unknown[]): void;
  onError(error: unknown): void;
}

export class MapJob {
  readonly #results: unknown[];
  #left: number;
  #failure: { readonly chunk: number; readonly error: unknown } | undefined;

  constructor(
    length: number,
    private readonly chunkSize: number,
    chunks: number,
    private readonly result: MapReceiver,
  ) {
    this.#results = chunks > 1 ? new Array<unknown>(length) : [];
    this.#left = chunks;
  }

  /** Who hears of the chunk with this number. */
  receiver(chunk: number): Receiver {
    return {
      onValue: (values) => this.#onValues(chunk, values as unknown[]),
      onError: (error) => this.#onError(chunk, error),
    };
  }

  #onValues(chunk: number, values: unknown[]): void {
    if (this.#results.length === 0 && chunk === 0) return this.#finish(values); // the only one
    const results = this.#results;
    const start = chunk * this.chunkSize;
    for (let i = 0; i < values.length; i++) results[start + i] = values[i];
    this.#finish(results);
  }

  #onError(chunk: number, error: unknown): void {
    if (this.#failure === undefined || chunk < this.#failure.chunk) this.#failure = { chunk, error };
    this.#finish(this.#results);
  }

  /** Like Python, wait for all: when the promise settles, no item is being worked on any more. */
  #finish(results: unknown[]): void {
    if (--this.#left > 0) return;
    if (this.#failure === undefined) this.result.onValue(results);
    else this.result.onError(this.#failure.error);
  }
}
