/** What waits in one process for the items of a queue: first come, first served. */
import { AbortError } from '../errors';
import { self } from '../shared/arena';
import { waitWord, type WordWait } from '../shared/wait-word';
import { Fifo } from './fifo';
import { MARK_UNSIGNED } from './gate';
import { flushBeforeBlocking, type Outbox } from './outbox';
import {
  deadlineOf,
  leftUntil,
  listenForLock,
  waitForLock,
  waiting,
  type Patience,
  type Waiting,
} from './queue-waiting';
import type { RingMemory } from './ring-memory';
import { RingReader, Take } from './ring-reader';

/** A queue's end for getting. */
export class Inbox {
  readonly reader: RingReader;
  readonly #memory: RingMemory;
  /** What this process has put itself may be what it waits for. */
  readonly #outbox: Outbox;
  readonly #decode: (item: RingReader) => unknown;
  #generation = self.generation;
  #line = new Fifo<Waiting<unknown>>();
  /** Whether a large item is half read. It is read to its end, whatever happens: to stop would be to lose it. */
  #isReading = false;
  #waits: WordWait[] = [];

  constructor(memory: RingMemory, outbox: Outbox, decode: (item: RingReader) => unknown) {
    this.#memory = memory;
    this.#outbox = outbox;
    this.#decode = decode;
    this.reader = new RingReader(memory);
  }

  /** In a forked child what waits, and what is half read, is the parent's. */
  #here(): void {
    if (this.#generation === self.generation) return;
    this.#generation = self.generation;
    for (const getter of this.#line.drain()) getter.leave();
    this.#isReading = false;
    this.#waits = [];
    this.reader.becomeChild();
  }

  /** One step of taking. */
  #tryTake(): Take {
    if (!this.#outbox.isFlushed) this.#outbox.flush();
    if (!this.#isReading) {
      const result = this.reader.take();
      if (result !== Take.Begun) return result;
      this.#isReading = true;
    }
    let result = Take.Dropped;
    try {
      result = this.reader.continueTake();
    } finally {
      this.#isReading = result === Take.Empty;
    }
    return result;
  }

  /** Take an item, blocking for at most `timeout` milliseconds (-1: for ever); undefined when there was none in time. */
  takeSync(timeout: number): RingReader | undefined {
    this.#here();
    const deadline = deadlineOf(timeout);
    let mayWait = timeout !== 0;
    for (let isFirst = true; ; isFirst = false) {
      // Those who wait on the loop were first.
      const result = this.#line.length > 0 ? this.#serve() : this.#tryTake();
      if (result === Take.Item) {
        if (!isFirst) this.#passOn();
        return this.reader;
      }
      if (this.#isReading) this.#waitForPart();
      else if (result === Take.Dropped) continue;
      else if (!mayWait) return undefined;
      else mayWait = this.#waitFor(result, deadline);
    }
  }

  /** False when the time is over, and there is one last look to be taken. */
  #waitFor(result: Take, deadline: number): boolean {
    const { getGate, readLock } = this.#memory;
    const left = leftUntil(deadline);
    if (result === Take.Busy) return left !== 0 && waitForLock(readLock, left);
    getGate.mark();
    if (!this.#memory.isEmpty) return true;
    if (left === 0) return false;
    // What this process has put elsewhere, and somebody may need before there is anything for it here, has to go on.
    const other = flushBeforeBlocking();
    if (other === undefined) return getGate.waitSync(left);
    return !this.#memory.isEmpty || getGate.waitEitherSync(other.gateOffset, MARK_UNSIGNED, left);
  }

  #waitForPart(): void {
    const { getGate, writeLock } = this.#memory;
    getGate.mark();
    // The parts may be this process's own.
    if (!this.#outbox.isFlushed) this.#outbox.flush();
    if (!this.#memory.isEmpty) return;
    const expected = this.#outbox.writer.watchWriter();
    if (expected !== undefined && this.#memory.isEmpty) getGate.waitEitherSync(writeLock.offset, expected, -1);
  }

  /** There may be more items than this process takes, and nobody to tell the others: a dead producer could not. */
  #passOn(): void {
    if (!this.#memory.isEmpty) this.#memory.getGate.passOn();
  }

  /** Take an item; rejects with `nothing()` when there was none in time. */
  take(nothing: () => Error, patience: Patience): Promise<unknown> {
    this.#here();
    const { timeout, signal } = patience;
    if (signal?.aborted === true) return Promise.reject(new AbortError(signal));
    if (this.#line.length === 0) {
      const result = this.#tryTake();
      if (result === Take.Item) return Promise.resolve(this.#decode(this.reader));
      if (timeout === 0 && !this.#isReading && result !== Take.Dropped) return Promise.reject(nothing());
    }
    return waiting<unknown>(
      patience,
      (getter) => {
        this.#line.push(getter);
        this.#serve();
      },
      (getter) => {
        const wasIn = this.#line.remove(getter);
        if (this.#line.length === 0) this.#stopListening();
        return wasIn;
      },
      (getter) => getter.reject(nothing()),
    );
  }

  /** Give out what there is, until nothing is left, or nobody. */
  #serve(): Take {
    for (;;) {
      const getter = this.#line.peek();
      if (getter === undefined) {
        this.#stopListening();
        return Take.Dropped;
      }
      let result: Take;
      try {
        result = this.#tryTake();
        if (this.#isReading)
          getter.leave(); // what is being read is for this one, however long that takes
        else if (result === Take.Dropped) getter.comeBack();
        if (result === Take.Item) getter.resolve(this.#decode(this.reader));
      } catch (error) {
        getter.reject(error as Error);
        result = Take.Item;
      }
      if (result === Take.Item) this.#line.shift();
      else if (result !== Take.Dropped && !this.#listen(result)) return result;
    }
  }

  #stopListening(): void {
    for (const wait of this.#waits.splice(0)) wait.cancel();
  }

  /** Go on on the event loop when there may be something; true when there is already. */
  #listen(result: Take): boolean {
    if (this.#waits.length > 0) return false;
    const again = () => {
      this.#stopListening();
      this.#here();
      this.#serve();
      this.#passOn();
    };
    const { getGate, readLock, writeLock } = this.#memory;
    if (result === Take.Busy) {
      const wait = listenForLock(readLock, again, true);
      if (wait !== undefined) this.#waits.push(wait);
      return wait === undefined;
    }
    getGate.mark();
    if (!this.#memory.isEmpty) return true;
    if (this.#isReading) {
      const expected = this.#outbox.writer.watchWriter();
      if (expected === undefined || !this.#memory.isEmpty) return true;
      this.#waits.push(waitWord(writeLock.offset, expected, again, { passesOn: true }));
    }
    this.#waits.push(getGate.wait(again));
    return false;
  }

  /** Reject the calls that wait, but for one whose item is half read. */
  rejectAll(error: () => Error): void {
    this.#here();
    const getters = this.#line.drain();
    const reading = this.#isReading ? getters.shift() : undefined;
    if (reading !== undefined) this.#line.push(reading);
    else this.#stopListening();
    for (const getter of getters) getter.reject(error());
  }
}
