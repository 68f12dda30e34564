/** The long loops of test/stress run in full by `npm run stress`, and as a share of that where time is short. */

const scale = Number(process.env.REALFORK_STRESS_SCALE ?? '1');
if (!(scale > 0 && scale <= 1)) throw new RangeError('REALFORK_STRESS_SCALE must be a number above 0, at most 1');

/** This run's share of `full` rounds, at least `least`. */
export function share(full: number, least = 1): number {
  return Math.max(least, Math.round(full * scale));
}

/**
 * Milliseconds after which a loop that takes at most `full` on a quiet machine has hung: twice that, since two run at a
 * time on two cores, and never less than four minutes.
 */
export function limitFor(full: number): number {
  return Math.max(240_000, 2 * full * scale);
}
