/**
 * What one process has put into a queue and is not in the ring yet, in order: items that the caller need not wait for (an
 * unbounded queue takes any number, and a large item has been put once its beginning is in the ring), and calls that wait
 * for room. It goes to the ring whenever this process uses the queue, on the event loop when the gate is opened, and at the
 * latest when the process ends.
 */
import { AbortError } from '../errors';
import { mainGlobal } from '../main-context';
import { emptyInChild } from '../posix/at-fork';
import { self } from '../shared/arena';
import type { WordWait } from '../shared/wait-word';
import { Fifo } from './fifo';
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
import { Put, RingWriter, type Message } from './ring-writer';

interface Outgoing {
  readonly message: Message;
  /** Who waits for room; undefined: the item has been accepted. */
  readonly call: Waiting<boolean> | undefined;
}

/** For so many milliseconds without anything being taken an unbounded queue's `putSync` waits, before it keeps the item. */
const STANDSTILL = 1_000;

/** Those with accepted items, which this process must not end without. */
const unflushed = emptyInChild(new Set<Outbox>());

/** Before this process blocks for something else: write what can be written; one that has to wait for room. */
export function flushBeforeBlocking(): Outbox | undefined {
  if (unflushed.size === 0) return undefined;
  let waits: Outbox | undefined;
  for (const outbox of [...unflushed]) {
    if (outbox.isFlushed) unflushed.delete(outbox);
    else if (!outbox.flushOrMark()) waits = outbox;
  }
  return waits;
}

/** The generation that listens for its end: a Process begins without its parent's listeners. */
let listening = -1;

function flushAtExit(outbox: Outbox): void {
  unflushed.add(outbox);
  if (listening === self.generation) return;
  listening = self.generation;
  // First in line: later ones may wait for children that wait for items.
  mainGlobal.process.prependListener('exit', () => {
    for (const each of [...unflushed]) if (!each.isCancelled) each.flushSync();
  });
}

/** The message in memory of its own: that of the encoder is used again. */
export function ownMessage(message: Message): Message {
  const { bytes, parts, length, isOwn } = message;
  if (isOwn) return message;
  const copy = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const part of parts ?? [bytes.subarray(0, length)]) {
    copy.set(part, at);
    at += part.length;
  }
  return { bytes: copy, parts: undefined, length, isOwn: true };
}

/** A queue's end for putting. */
export class Outbox {
  readonly writer: RingWriter;
  readonly #memory: RingMemory;
  /** Whether items that the ring has no room for are accepted all the same. */
  readonly #acceptsAll: boolean;
  /** How much had been taken when `putSync` gave up waiting. */
  #stoodStillAt: number | undefined;
  #generation = self.generation;
  #line = new Fifo<Outgoing>();
  #accepted = 0;
  /** Whether a large item of this process is half written. */
  #isWriting = false;
  #wait: WordWait | undefined;
  #flushed: (() => void)[] = [];
  #isCancelled = false;

  constructor(memory: RingMemory, acceptsAll: boolean) {
    this.#memory = memory;
    this.#acceptsAll = acceptsAll;
    this.writer = new RingWriter(memory);
  }

  /** In a forked child what waits, and what has not been written yet, is the parent's. */
  #here(): void {
    if (this.#generation === self.generation) return;
    this.#generation = self.generation;
    for (const { call } of this.#line.drain()) call?.leave();
    this.#accepted = 0;
    this.#isWriting = false;
    this.#wait = undefined;
    this.#flushed = [];
    this.#isCancelled = false;
    this.#stoodStillAt = undefined;
    this.writer.becomeChild();
  }

  /** Items accepted that are not in the ring yet, not counting one half written. */
  get accepted(): number {
    this.#here();
    return this.#accepted;
  }

  /** Whether everything accepted is in the ring. */
  get isFlushed(): boolean {
    this.#here();
    return this.#accepted === 0 && !this.#isWriting;
  }

  /** Whether the process may end before that. */
  get isCancelled(): boolean {
    this.#here();
    return this.#isCancelled;
  }

  /** Put an item, after those that are in line; else tell why that cannot be done now. */
  #tryPut(message: Message): Put | undefined {
    const before = this.#isWriting || this.#line.length > 0 ? this.flush() : undefined;
    if (before !== undefined) return before;
    const result = this.writer.put(message);
    if (result === Put.Done) return undefined;
    if (result !== Put.Begun) return result;
    this.#isWriting = true;
    this.#listen(this.flush());
    return undefined;
  }

  #accept(message: Message): void {
    this.#line.push({ message: ownMessage(message), call: undefined });
    this.#accepted += 1;
    this.#listen(this.flush());
  }

  /** Write what there is to be written; undefined when that is all, else why it is not. */
  flush(): Put | undefined {
    this.#here();
    for (;;) {
      if (this.#isWriting) {
        if (this.writer.continuePut() === Put.NoRoom) return Put.NoRoom;
        this.#isWriting = false;
      }
      const first = this.#line.peek();
      if (first === undefined) break;
      const result = this.writer.put(first.message);
      if (result === Put.Begun) this.#isWriting = true;
      else if (result !== Put.Done) return result;
      this.#line.shift();
      if (first.call === undefined) this.#accepted -= 1;
      else first.call.resolve(true);
    }
    unflushed.delete(this);
    this.#stopListening();
    for (const call of this.#flushed.splice(0)) call();
    return undefined;
  }

  /** Write what can be written; false, with the gate marked, when the rest has to wait for room. */
  flushOrMark(): boolean {
    if (this.flush() === undefined) return true;
    this.#memory.putGate.mark();
    return this.flush() === undefined;
  }

  /** Where to wait for room. */
  get gateOffset(): number {
    return this.#memory.putGate.offset;
  }

  #stopListening(): void {
    this.#wait?.cancel();
    this.#wait = undefined;
  }

  /** Go on on the event loop when what is in the way has changed. */
  #listen(reason: Put | undefined): void {
    if (reason === undefined) return;
    if (!this.isFlushed) flushAtExit(this);
    if (this.#wait !== undefined) return;
    const again = () => {
      this.#wait = undefined;
      this.#here();
      const next = this.flush();
      this.#passOn();
      this.#listen(next);
    };
    const keepsLoopAlive = !this.#isCancelled || this.#line.length > this.#accepted;
    if (reason === Put.Busy) {
      this.#wait = listenForLock(this.#memory.writeLock, again, keepsLoopAlive);
      if (this.#wait === undefined) this.#listen(this.flush());
      return;
    }
    const { putGate } = this.#memory;
    putGate.mark();
    const now = this.flush();
    if (now === Put.Full || now === Put.NoRoom) this.#wait = putGate.wait(again, { keepsLoopAlive });
    else this.#listen(now);
  }

  /** There may be more room than this process needs, and nobody to tell the others: a dead consumer could not. */
  #passOn(): void {
    const { maxSize, count, putGate } = this.#memory;
    if (maxSize === 0 || count < maxSize) putGate.passOn();
  }

  #waitFor(reason: Put, timeout: number): boolean {
    const { writeLock, putGate } = this.#memory;
    return reason === Put.Busy ? waitForLock(writeLock, timeout) : putGate.waitSync(timeout);
  }

  /** Put an item, blocking for at most `timeout` milliseconds (-1: for ever); false when there was no room in time. */
  putSync(message: Message, timeout: number): boolean {
    this.#here();
    let reason = this.#tryPut(message);
    if (reason !== undefined) {
      if (this.#acceptsAll) {
        if (timeout !== 0) reason = this.#waitWhileTaken(() => this.#tryPut(message));
        if (reason !== undefined) this.#accept(message);
        return true;
      }
      if (timeout === 0) return false;
      const deadline = deadlineOf(timeout);
      for (;;) {
        this.#memory.putGate.mark();
        reason = this.#tryPut(message);
        if (reason === undefined) break;
        const left = leftUntil(deadline);
        if (left === 0 || !this.#waitFor(reason, left)) return this.#tryPut(message) === undefined;
      }
      this.#passOn();
    }
    // The rest of a large item: what is behind it, in this process or another, would have to wait for this process's loop.
    if (this.#isWriting && timeout !== 0) this.#waitWhileTaken(() => this.flush());
    return true;
  }

  /** Try until it is done, or until nobody has taken anything for a while: then nobody may come, and waiting be in vain. */
  #waitWhileTaken(attempt: () => Put | undefined): Put | undefined {
    for (;;) {
      this.#memory.putGate.mark();
      const reason = attempt();
      if (reason === undefined) {
        this.#stoodStillAt = undefined;
        return undefined;
      }
      const { taken } = this.#memory;
      if (taken === this.#stoodStillAt) return reason;
      if (this.#waitFor(reason, STANDSTILL) || this.#memory.taken !== taken) continue;
      this.#stoodStillAt = taken;
      return reason;
    }
  }

  /** Put an item: true when that is done, otherwise a promise, of false when there was no room in time. */
  put(message: Message, patience: Patience): true | Promise<boolean> {
    this.#here();
    if (patience.signal?.aborted === true) throw new AbortError(patience.signal);
    const reason = this.#tryPut(message);
    if (reason === undefined) return true;
    if (this.#acceptsAll) {
      this.#accept(message);
      return true;
    }
    if (patience.timeout === 0) return Promise.resolve(false);
    let entry: Outgoing;
    return waiting<boolean>(
      patience,
      (call) => {
        entry = { message: ownMessage(message), call };
        this.#line.push(entry);
        this.#listen(reason);
      },
      () => {
        const wasIn = this.#line.remove(entry);
        if (this.#line.length === 0 && !this.#isWriting) this.#stopListening();
        return wasIn;
      },
      (call) => call.resolve(false),
    );
  }

  /** Resolves when everything accepted is in the ring. */
  async flushed(): Promise<void> {
    if (this.isFlushed) return;
    const done = new Promise<void>((resolve) => this.#flushed.push(resolve));
    this.#listen(this.flush());
    return done;
  }

  /** {@link flushed}, blocking. */
  flushSync(): void {
    while (!this.isFlushed) {
      this.#memory.putGate.mark();
      const reason = this.flush();
      if (this.isFlushed) break;
      this.#waitFor(reason as Put, -1);
    }
  }

  /** Let the process end without what is not in the ring by then. */
  cancel(): void {
    this.#here();
    this.#isCancelled = true;
    if (this.#wait === undefined) return;
    this.#stopListening();
    this.#listen(this.flush());
  }

  /** Reject the calls that wait. */
  rejectAll(error: () => Error): void {
    this.#here();
    for (const entry of this.#line.drain()) {
      if (entry.call === undefined) this.#line.push(entry);
      else entry.call.reject(error());
    }
    if (this.#line.length === 0 && !this.#isWriting) this.#stopListening();
  }
}
