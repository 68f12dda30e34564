/** In the server: calls that wait for the same thing, first come, first served. */
import { AbortError } from '../errors';
import { caller, type Caller, type Session } from './caller';

/** Longer is for ever: setTimeout(). */
const LONGEST = 0x7fffffff;

export interface Waiter<T> {
  readonly session: Session;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** What becomes of a call that is given up. */
export interface Giving<T> {
  /** The time is over: what the call gives then, or throws. */
  onTimeout(): T | PromiseLike<T>;
  /** The client gave it up, or has ended; by default nothing else happens. */
  onCancel?(session: Session): void;
  /** Only the end of the client gives it up. */
  readonly isFirm?: boolean;
}

const aborted = AbortSignal.abort();

export class WaitingLine<T> {
  readonly #waiters = new Set<Waiter<T>>();

  get length(): number {
    return this.#waiters.size;
  }

  /**
   * Wait in the line.
   *
   * @param timeout - Milliseconds; -1 for ever.
   */
  wait(timeout: number, giving: Giving<T>, { session, call }: Caller = caller()): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const leave = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        session.waiting.delete(call);
      };
      const waiter: Waiter<T> = {
        session,
        resolve(value) {
          leave();
          resolve(value);
        },
        reject(error) {
          leave();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      session.waiting.set(call, {
        cancel: (error) => {
          if (error !== undefined && giving.isFirm === true) return;
          leave();
          giving.onCancel?.(session);
          reject(error ?? new AbortError(aborted));
        },
      });
      if (timeout < 0 || timeout > LONGEST) return;
      const deadline = performance.now() + timeout;
      const onTime = (): void => {
        const left = deadline - performance.now();
        if (left > 0) return void (timer = setTimeout(onTime, Math.ceil(left)));
        leave();
        // What it throws is what the call throws.
        resolve(Promise.resolve().then(() => giving.onTimeout()));
      };
      timer = setTimeout(onTime, Math.ceil(timeout));
    });
  }

  /** Serve the first; false when nobody waits. */
  serve(value: (waiter: Waiter<T>) => T): boolean {
    for (const waiter of this.#waiters) {
      waiter.resolve(value(waiter));
      return true;
    }
    return false;
  }

  /** Serve everybody, or the first `most`. */
  serveAll(value: T, most = Infinity): void {
    for (const waiter of [...this.#waiters].slice(0, most)) waiter.resolve(value);
  }

  rejectAll(error: () => Error): void {
    for (const waiter of [...this.#waiters]) waiter.reject(error());
  }
}
