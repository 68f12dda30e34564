/** Amounts in the words of a progress report. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Bytes, in powers of 1000: `1.2 GB`. */
export function formatBytes(bytes: number): string {
  let unit = 0;
  let amount = bytes;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit++;
  }
  return `${unit === 0 || amount >= 99.5 ? amount.toFixed(0) : amount.toFixed(1)} ${UNITS[unit]}`;
}

/** Milliseconds, to the second from a minute on: `0.4 s`, `1 min 20 s`, `2 h 5 min`. */
export function formatTime(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return '?';
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A number of things, in the singular or plural. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
