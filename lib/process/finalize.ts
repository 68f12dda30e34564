/**
 * The end of a process that uses this layer: finalizers by priority, then children, in Python's order.
 *
 *     1  finalizers with a priority of 0 or more, highest first
 *     2  daemonic children are terminated
 *     3  all children are waited for
 *     4  the other finalizers, newest first
 */
import { isMainThread } from 'node:worker_threads';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { emptyInChild, registerAtFork } from '../posix/at-fork';
import { runsInChild } from '../posix/precompile';
import { listenInChildren } from './listeners';

/** Finalizers of this process; a forked child starts without. */
const registered = emptyInChild(new Set<Finalize>());
let serial = 0;

/** Options of {@link Finalize}. */
export interface FinalizeOptions {
  /** When it runs at exit: those with 0 or more before the children are waited for, highest first. Default: afterwards. */
  readonly exitPriority?: number | undefined;
}

/**
 * A call that is made once: by hand, or at this process's end; never in another process.
 *
 * @see multiprocessing.util.Finalize
 */
export class Finalize {
  readonly exitPriority: number | undefined;
  readonly #callback: () => void;
  readonly #pid = native.getpid();
  readonly serial = ++serial;

  constructor(callback: () => void, { exitPriority }: FinalizeOptions = {}) {
    this.#callback = callback;
    this.exitPriority = exitPriority;
    registered.add(this);
  }

  /** Whether it is still to be called. */
  get active(): boolean {
    return registered.has(this);
  }

  /** Make the call, unless it was made, cancelled, or belongs to another process. */
  call(): void {
    if (registered.delete(this) && this.#pid === native.getpid()) this.#callback();
  }

  /** Have it never called. */
  cancel(): void {
    registered.delete(this);
  }
}

function runFinalizers(atLeast: number): void {
  const chosen = [...registered].filter(({ exitPriority = -Infinity }) => exitPriority >= atLeast);
  const rank = ({ exitPriority = -Infinity }: Finalize) => exitPriority;
  chosen.sort((a, b) => rank(b) - rank(a) || b.serial - a.serial);
  for (const finalizer of chosen) {
    try {
      finalizer.call();
    } catch (error) {
      console.error(error);
    }
  }
}

/** What to do with the children between the two rounds of finalizers. Given by the registry, which is above. */
let endChildren: (() => void) | undefined;

export function onEndOfChildren(call: () => void): void {
  endChildren = call;
}

let ended = false;

function onExit(): void {
  if (ended) return;
  ended = true;
  runFinalizers(0);
  endChildren?.();
  runFinalizers(-Infinity);
}

if (isMainThread) {
  runsInChild(onExit, runFinalizers);
  mainGlobal.process.on('exit', onExit);
  listenInChildren('exit', onExit);
  registerAtFork({
    afterInChild() {
      ended = false;
    },
  });
}
