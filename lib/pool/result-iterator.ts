/** `imap` and `imapUnordered`: results as they come, and items taken from their source no faster than results are used. */
import { AbortError, ProcessError, TimeoutError } from '../errors';
import { staysHere } from '../ipc/unclonable';
import { validateTimeout } from '../process/timeout';
import { Deque } from './deque';
import { Mode } from './frames';
import type { Driver } from './result';
import type { ItemSource } from './scheduler';
import type { Outcome, Receiver } from './task';

/** What the iterator needs of its pool. */
export interface ChunkRunner extends Driver {
  /** Aborted, it ends the iterator: nothing that is taken from the source after that would be done. */
  readonly signal: AbortSignal | undefined;
  /** Hand in a chunk; false when the pool does not take it, and has told the receiver so. */
  submit(items: readonly unknown[], receiver: Receiver): void;
  /** Note that items are to come from this iterator. Gives what is to be called when they have all been handed in. */
  begin(iterator: ItemSource): () => void;
}

/** Results of one chunk, or the error by which the source ended. */
interface Slot {
  outcomes: readonly Outcome[] | undefined;
  at: number;
}

/** Who waits for a result; undefined stands for the end. */
interface Waiter {
  take(outcome: Outcome | undefined): void;
}

function late(): TimeoutError {
  return new TimeoutError('The next result has not come in time');
}

function wouldBlock(): ProcessError {
  return new ProcessError('The items come from an async iterable, which needs the event loop; use next()', {
    code: 'ERR_POOL_WOULD_BLOCK',
  });
}

/** Iterators as the language has them: what `next` gives is unknown, in @types `any` when it is the last. */
type Source = Iterator<unknown, unknown> | AsyncIterator<unknown, unknown>;

/**
 * Results of `imap` and `imapUnordered`, for `for await`, or one by one; or for `for`, which blocks the process.
 *
 * @see multiprocessing.pool.IMapIterator
 */
export class ResultIterator<T> implements AsyncIterableIterator<T>, Iterable<T>, ItemSource {
  readonly #runner: ChunkRunner;
  readonly #chunkSize: number;
  readonly #ordered: boolean;
  /** Chunks handed in of which not every result has been taken. */
  readonly #window: number;
  #outstanding = 0;
  /** Chunks handed in of which no result has come. */
  #underWay = 0;
  /** The pool is joined: items are taken as fast as results come, whether these are used or not. */
  #isHurried = false;
  #source: Source | undefined;
  #pulling = false;
  #isAsync = false;
  readonly #release: () => void;
  /** Ordered: in the order of the items. Unordered: as they arrived. */
  readonly #slots = new Deque<Slot>();
  readonly #waiting = new Deque<Waiter>();
  /** Unordered: the error by which the source ended, told when everything before it has been. */
  #sourceError: Slot | undefined;

  /** @internal */
  constructor(runner: ChunkRunner, source: Source, chunkSize: number, ordered: boolean, window: number) {
    this.#runner = runner;
    this.#source = source;
    this.#chunkSize = chunkSize;
    this.#ordered = ordered;
    this.#window = window;
    const release = runner.begin(this);
    const unfollow = this.#follow(runner.signal);
    this.#release = () => {
      unfollow();
      release();
    };
    this.#pull();
  }

  #follow(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => {};
    const reference = new WeakRef(this); // a signal may outlive many an iterator that was dropped before its end
    const onAbort = (): void => reference.deref()?.stop(new AbortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    return () => signal.removeEventListener('abort', onAbort);
  }

  /**
   * Give the next result.
   *
   * @param timeout - Milliseconds to wait at most. Default: for ever.
   * @returns A promise. It rejects with what the item's call threw; the results after it can still be asked for.
   * @throws {@link TimeoutError} it has not come in time; a later `next` still gives it.
   */
  next(timeout?: number): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      const limit = validateTimeout(timeout);
      const timer: { handle?: NodeJS.Timeout } = {};
      const waiter = {
        take: (outcome: Outcome | undefined): void => {
          clearTimeout(timer.handle);
          if (outcome === undefined) resolve({ done: true, value: undefined });
          else if (outcome.ok) resolve({ done: false, value: outcome.value as T });
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what the task threw
          else reject(outcome.error);
        },
      };
      this.#waiting.push(waiter);
      this.#serve();
      if (limit === Infinity || ![...this.#waiting].includes(waiter)) return;
      timer.handle = setTimeout(() => {
        this.#forget(waiter);
        reject(late());
      }, limit);
    });
  }

  /**
   * The same as {@link ResultIterator.next}, blocking this process.
   *
   * @throws `ERR_POOL_WOULD_BLOCK` the items come from an async iterable, and the next is not there yet.
   */
  nextSync(timeout?: number): IteratorResult<T, undefined> {
    const until = performance.now() + validateTimeout(timeout);
    let given: { readonly outcome: Outcome | undefined } | undefined;
    const waiter = { take: (outcome: Outcome | undefined): void => void (given = { outcome }) };
    this.#waiting.push(waiter);
    this.#serve();
    const mustTurn = (): boolean => this.#isAsync && this.#underWay === 0;
    this.#runner.drive(() => given !== undefined || mustTurn(), until);
    const settled = given as { readonly outcome: Outcome | undefined } | undefined;
    if (settled === undefined) {
      this.#forget(waiter);
      throw mustTurn() ? wouldBlock() : late();
    }
    const { outcome } = settled;
    if (outcome === undefined) return { done: true, value: undefined };
    if (outcome.ok) return { done: false, value: outcome.value as T };
    throw outcome.error;
  }

  #forget(waiter: Waiter): void {
    const others = [...this.#waiting].filter((other) => other !== waiter);
    while (this.#waiting.length > 0) this.#waiting.shift();
    for (const other of others) this.#waiting.push(other);
  }

  /** Stop taking items; results that have not been asked for are dropped. `break` in a `for await` calls it. */
  async return(): Promise<IteratorResult<T, undefined>> {
    const source = this.#drop();
    await source?.return?.();
    return { done: true, value: undefined };
  }

  #drop(): Source | undefined {
    const source = this.#source;
    this.#source = undefined;
    this.#sourceError = undefined;
    while (this.#slots.length > 0) this.#slots.shift();
    this.#outstanding = 0;
    this.#release();
    this.#serve();
    return source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.iterator](): Iterator<T, undefined> {
    return {
      next: () => this.nextSync(),
      return: () => {
        void this.#drop()?.return?.();
        return { done: true, value: undefined };
      },
    };
  }

  /** @internal */
  hurry(): boolean {
    this.#isHurried = true;
    this.#serve();
    return !this.#isAsync;
  }

  /** @internal */
  stop(error: unknown): void {
    const source = this.#source;
    if (source === undefined) return;
    this.#onSourceError(error);
    this.#release();
    // What the source says to its end is nobody's: the iterator ends with the error of the pool.
    new Promise((resolve) => resolve(source.return?.())).catch(() => {});
  }

  get #hasRoom(): boolean {
    return (this.#isHurried ? this.#underWay : this.#outstanding) < this.#window;
  }

  /** Take chunks from the source while there is room for them. */
  #pull(): void {
    if (this.#pulling) return;
    this.#pulling = true;
    let chunk: unknown[] = [];
    try {
      const { signal } = this.#runner;
      while (this.#source !== undefined && this.#hasRoom) {
        if (signal?.aborted === true) {
          this.stop(new AbortError(signal));
          break;
        }
        const step = this.#source.next();
        if ('then' in step) {
          this.#isAsync = true;
          void this.#pullAsync(step, chunk);
          return;
        }
        const { done, value } = step;
        if ((this.#source as unknown) === undefined) break; // it has called terminate() or return()
        if (done === true) this.#source = undefined;
        else chunk.push(value);
        if (chunk.length === this.#chunkSize || (done === true && chunk.length > 0)) {
          this.#submit(chunk);
          chunk = [];
        }
      }
    } catch (error) {
      this.#onSourceError(error);
    }
    this.#pulling = false;
    if (this.#source === undefined) this.#release();
  }

  async #pullAsync(first: Promise<IteratorResult<unknown, unknown>>, begun: unknown[]): Promise<void> {
    let chunk = begun;
    let step: Promise<IteratorResult<unknown, unknown>> | undefined = first;
    try {
      while (step !== undefined) {
        const { done, value }: IteratorResult<unknown, unknown> = await step;
        if (this.#source === undefined) break; // return() was called meanwhile
        if (done === true) this.#source = undefined;
        else chunk.push(value);
        if (chunk.length === this.#chunkSize || (done === true && chunk.length > 0)) {
          this.#submit(chunk);
          chunk = [];
        }
        const goesOn: boolean = done !== true && (chunk.length > 0 || this.#hasRoom);
        step = goesOn ? (this.#source as AsyncIterator<unknown, unknown> | undefined)?.next() : undefined;
      }
    } catch (error) {
      this.#onSourceError(error);
    }
    this.#pulling = false;
    if (this.#source === undefined) this.#release();
    this.#serve();
  }

  #onSourceError(error: unknown): void {
    this.#source = undefined;
    const slot: Slot = { outcomes: [{ ok: false, error }], at: 0 };
    this.#outstanding++;
    if (this.#ordered) this.#slots.push(slot);
    else this.#sourceError = slot;
    this.#serve();
  }

  #submit(items: unknown[]): void {
    const slot: Slot = { outcomes: undefined, at: 0 };
    this.#outstanding++;
    this.#underWay++;
    if (this.#ordered) this.#slots.push(slot);
    const arrive = (outcomes: readonly Outcome[]): void => {
      this.#underWay--;
      slot.outcomes = outcomes;
      if (!this.#ordered && this.#outstanding > 0) this.#slots.push(slot);
      this.#serve();
    };
    this.#runner.submit(items, {
      onValue: (values) => arrive((values as unknown[]).map((value) => ({ ok: true, value }))),
      onError: (error) => arrive(items.map(() => ({ ok: false, error }))),
      onOutcomes: arrive,
    });
  }

  /** Give what there is to those who wait. */
  #serve(): void {
    while (this.#waiting.length > 0) {
      const slot = this.#slots.peek();
      if (slot?.outcomes !== undefined) {
        const outcome = slot.outcomes[slot.at++];
        if (slot.at >= slot.outcomes.length) {
          this.#slots.shift();
          this.#outstanding--;
        }
        this.#waiting.shift()?.take(outcome);
        continue;
      }
      if (this.#sourceError !== undefined && this.#outstanding === 1) {
        this.#slots.push(this.#sourceError);
        this.#sourceError = undefined;
        continue;
      }
      if (this.#outstanding > 0 || this.#source !== undefined) break;
      this.#waiting.shift()?.take(undefined);
    }
    if (this.#source !== undefined && this.#hasRoom) this.#pull();
  }
}

/** How the chunks of an iterator are called: what fails does not keep the rest of its chunk from being done. */
export const ITERATOR_MODE = Mode.Map | Mode.GoOn;

staysHere(ResultIterator);
