/**
 * Waiting for a word of the arena: until it has another value, somebody wakes it, or the time is over. Waking without
 * reason is allowed, so that whoever waits looks again.
 */
import { PosixError } from '../errors';
import { native } from '../native';
import { registerAtFork } from '../posix/at-fork';

/** Options of {@link waitWord}. */
export interface WaitWordOptions {
  /** Milliseconds; default: for ever. */
  readonly timeout?: number | undefined;
  /**
   * The word is that of a lock or gate (its low 30 bits 0 when there is something to take): a waking is meant for one
   * waiter, and goes to the next when this process is killed or its loop busy.
   */
  readonly passesOn?: boolean;
  /** False lets the process end while the wait is on. Default true. */
  readonly keepsLoopAlive?: boolean;
}

/** A wait under way. */
export interface WordWait {
  /** End it without a call of its callback; does nothing when it has ended. */
  cancel(): void;
}

interface Entry {
  readonly onEnd: (timedOut: boolean) => void;
  readonly keepsLoopAlive: boolean;
}

const entries = new Map<number, Entry>();
let alive = 0;
let isSetUp = false;

function setUp(): void {
  isSetUp = true;
  native.onWaitEnd((id, timedOut) => take(id)?.onEnd(timedOut));
  registerAtFork({
    afterInChild() {
      // The waits are the parent's, with its threads.
      entries.clear();
      alive = 0;
      native.waitAbandon();
    },
  });
}

function take(id: number): Entry | undefined {
  const entry = entries.get(id);
  if (entry === undefined) return undefined;
  entries.delete(id);
  if (entry.keepsLoopAlive) {
    alive -= 1;
    if (alive === 0) native.waitRef(false);
  }
  return entry;
}

/**
 * Call `onEnd` on the event loop when the word at `offset` is not, or is no longer, `expected`, when it is woken, or when
 * the time is over. Forgotten in a forked child.
 *
 * @param offset - Byte offset in the arena, a multiple of 4.
 * @throws {@link PosixError} `EAGAIN` no thread could be had for the wait.
 */
export function waitWord(
  offset: number,
  expected: number,
  onEnd: (timedOut: boolean) => void,
  options: WaitWordOptions = {},
): WordWait {
  return start(offset, expected, 0, false, onEnd, options);
}

/**
 * Call `onEnd` on the event loop when it looks as if the robust lock at `offset` could be taken, or the number beside the
 * gate there. This is meant for one waiter at a time: what is not taken at once, because the loop is busy or the process
 * killed, is passed on to the next.
 *
 * @param patient - First leave it for a moment to those who have been woken for it.
 * @throws {@link PosixError} `EAGAIN` no thread could be had for the wait.
 */
export function waitForPrize(
  offset: number,
  what: 'lock' | 'count',
  patient: boolean,
  onEnd: (timedOut: boolean) => void,
): WordWait {
  return start(offset, 0, what === 'lock' ? 1 : 2, patient, onEnd, { passesOn: true });
}

function start(
  offset: number,
  expected: number,
  goal: 0 | 1 | 2,
  patient: boolean,
  onEnd: (timedOut: boolean) => void,
  { timeout = -1, passesOn = false, keepsLoopAlive = true }: WaitWordOptions,
): WordWait {
  if (!isSetUp) setUp();
  const id = native.waitStart(offset, expected, timeout, goal, passesOn, patient);
  if (id < 0) throw new PosixError(id, 'pthread_create');
  entries.set(id, { onEnd, keepsLoopAlive });
  if (keepsLoopAlive) {
    alive += 1;
    if (alive === 1) native.waitRef(true);
  }
  return {
    cancel() {
      if (take(id) !== undefined) native.waitCancel(id);
    },
  };
}

/**
 * Block the process until the word at `offset` is not `expected`, is woken, or `timeout` milliseconds are over.
 *
 * @returns false when the time was over.
 */
export function waitWordSync(offset: number, expected: number, timeout?: number): boolean {
  return native.wordWait(offset, expected, timeout ?? -1);
}

/** Wake up to `count` (default: all) of those who wait for the word at `offset`, in any process; how many there were. */
export function wakeWord(offset: number, count = 2147483647): number {
  return native.wordWake(offset, count);
}
