/** Percentiles of durations from counts: 16 buckets for each power of two, from a microsecond to half an hour. */

const PER_OCTAVE = 16;
const OCTAVES = 31;

/** Milliseconds from handing a task in to its answer. */
export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export class LatencyCounts {
  readonly #counts = new Float64Array(PER_OCTAVE * OCTAVES);
  #total = 0;
  #max = 0;

  /** @param ms - A duration. */
  add(ms: number): void {
    this.#total++;
    if (ms > this.#max) this.#max = ms;
    const index = Math.floor(Math.log2(Math.max(1, ms * 1000)) * PER_OCTAVE);
    const at = Math.min(index, this.#counts.length - 1);
    this.#counts[at] = (this.#counts[at] as number) + 1;
  }

  summary(): Latency | null {
    if (this.#total === 0) return null;
    return { p50: this.#at(0.5), p90: this.#at(0.9), p99: this.#at(0.99), max: this.#max };
  }

  #at(share: number): number {
    let left = this.#total * share;
    let index = 0;
    while (index < this.#counts.length - 1 && (left -= this.#counts[index] as number) > 0) index++;
    return Math.min(this.#max, 2 ** ((index + 0.5) / PER_OCTAVE) / 1000);
  }
}
