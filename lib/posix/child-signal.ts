/**
 * SIGCHLD, shared by all who wait for children without blocking. The signal tells neither who nor how many: each listener
 * looks for itself. Waiters are told before reapers, which take what nobody has waited for.
 */
import { PosixError } from '../errors';
import { native } from '../native';
import { emptyInChild, registerAtFork } from './at-fork';

/** In this order they are told. */
export const enum Turn {
  Waiter,
  Reaper,
}

/** A listener's hold on SIGCHLD. */
export interface ChildSignalListener {
  /** Whether the event loop stays alive for it. */
  keepsLoopAlive: boolean;
  readonly turn: Turn;
  onSignal(): void;
}

const listeners = emptyInChild(new Set<ChildSignalListener>());

/** Looking at /proc needs a descriptor; without one the look is taken again after so many milliseconds. */
const RETRY_MS = 100;
const NO_DESCRIPTOR: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE']);
let retry: NodeJS.Timeout | undefined;

/** Start telling `listener` of each SIGCHLD. What ended before is for it to look at, afterwards. */
export function listen(listener: ChildSignalListener): void {
  if (listeners.size === 0) {
    const failed = native.watchChildSignal(tellAll);
    if (failed < 0) throw new PosixError(failed, 'uv_signal_start');
  }
  listeners.add(listener);
  updateRef();
}

/** Stop telling `listener`; nothing happens when it was not told. */
export function unlisten(listener: ChildSignalListener): void {
  if (!listeners.delete(listener)) return;
  if (listeners.size > 0) return updateRef();
  native.unwatchChildSignal();
  clearTimeout(retry);
  retry = undefined;
}

/** To be called after a listener's `keepsLoopAlive` has changed. */
export function updateRef(): void {
  const keep = [...listeners].some((listener) => listener.keepsLoopAlive);
  native.refChildSignal(keep);
  if (keep) retry?.ref();
  else retry?.unref();
}

/** Take another look soon, as if a SIGCHLD had come. */
function tellAgain(): void {
  retry ??= setTimeout(() => {
    retry = undefined;
    tellAll();
  }, RETRY_MS);
  updateRef();
}

/** Have a listener look; a lack of descriptors makes it look again later, and is no error. */
export function look(listener: ChildSignalListener): void {
  try {
    listener.onSignal();
  } catch (error) {
    if (!NO_DESCRIPTOR.has((error as NodeJS.ErrnoException).code)) throw error;
    tellAgain();
  }
}

function tellAll(): void {
  for (const listener of [...listeners].sort((a, b) => a.turn - b.turn)) {
    if (listeners.has(listener)) look(listener); // not when one before it has ended it
  }
}

registerAtFork({
  afterInChild() {
    native.abandonWatches(); // those of pidfds too, see wait-async.ts
    if (retry !== undefined) clearTimeout(retry);
    retry = undefined;
  },
});
