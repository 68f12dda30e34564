/** How long to wait before what has failed is tried again: doubled each time, up to a limit. */
export function backoff(failures: number, first: number, most: number): number {
  return failures === 0 ? 0 : Math.min(most, first * 2 ** Math.min(failures - 1, 30));
}

/** Milliseconds after which what ends unexpectedly counts as having worked: it is replaced at once. */
export const STABLE = 1_000;
