/** What the two ends of a queue have in common: calls that wait, for how long, and for whom. */
import { AbortError } from '../errors';
import { waitWord, type WordWait } from '../shared/wait-word';
import type { RobustMutex } from '../sync/robust-word';

/** A call that waits. */
export interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
  /** Stop its timer and forget its signal: it will be resolved, however long that takes, or never. */
  leave(): void;
  /** After {@link leave}, if that was called: what it would have been resolved with has come to nothing. */
  comeBack(): void;
}

/** How long a call waits: milliseconds, -1 for ever, 0 not at all. */
export interface Patience {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

const LONGEST_TIMER = 2147483647;

/** The end of so many milliseconds (-1: none) from now. */
export function deadlineOf(timeout: number): number {
  return timeout < 0 ? Infinity : performance.now() + timeout;
}

/** For a wait until then: milliseconds, -1 for ever, 0 when it is over. */
export function leftUntil(deadline: number): number {
  return deadline === Infinity ? -1 : Math.max(0, deadline - performance.now());
}

/**
 * A promise that waits until it is resolved or rejected, its time is over, or its signal is aborted.
 *
 * @param begin - Puts the call in line.
 * @param remove - Takes it out of the line again; whether it was in it.
 * @param onTime - What to do with a call whose time is over, and which is out of the line.
 */
export function waiting<T>(
  { timeout, signal }: Patience,
  begin: (call: Waiting<T>) => void,
  remove: (call: Waiting<T>) => boolean,
  onTime: (call: Waiting<T>) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const end = deadlineOf(timeout);
    let timer: NodeJS.Timeout | undefined;
    let hasLeft = false;
    const startTimer = () => {
      timer = setTimeout(onTimer, Math.min(Math.max(0, end - performance.now()), LONGEST_TIMER));
    };
    const onTimer = () => {
      if (performance.now() < end) startTimer();
      else if (remove(call)) onTime(call);
    };
    const onAbort = () => {
      if (remove(call)) call.reject(new AbortError(signal as AbortSignal));
    };
    const watch = () => {
      if (timeout >= 0) startTimer();
      signal?.addEventListener('abort', onAbort, { once: true });
    };
    const call: Waiting<T> = {
      leave() {
        hasLeft = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      },
      comeBack() {
        if (!hasLeft) return;
        hasLeft = false;
        if (signal?.aborted === true) onAbort();
        else watch();
      },
      resolve(value) {
        call.leave();
        resolve(value);
      },
      reject(error) {
        call.leave();
        reject(error);
      },
    };
    watch();
    begin(call);
  });
}

/** Block until the lock is, or was, nobody's; false when the time was over. */
export function waitForLock(lock: RobustMutex, timeout: number): boolean {
  if (lock.acquire(timeout, false) === 0) return false;
  lock.unlock();
  return true;
}

/** Call back when the lock may be nobody's; undefined when it is now. */
export function listenForLock(lock: RobustMutex, onEnd: () => void, keepsLoopAlive: boolean): WordWait | undefined {
  const expected = lock.tryAcquireOrMark();
  if (expected !== 1 && expected !== 2) {
    return waitWord(lock.offset, expected, onEnd, { passesOn: true, keepsLoopAlive });
  }
  lock.unlock();
  return undefined;
}
