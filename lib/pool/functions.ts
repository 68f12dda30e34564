/**
 * Functions by identity. Both processes of a fork have the same function objects, each its own copy; a number that was
 * given to a function before the fork means the same in the child. A worker knows the functions whose numbers are not
 * above the last one given when it was forked.
 */
import { runsInChild } from '../posix/precompile';
import type { AnyFunction } from './task';

const ids = new WeakMap<AnyFunction, number>();
/** Weak, so that closures made for one call are not kept for ever. */
const byId = new Map<number, WeakRef<AnyFunction>>();
const collected = new FinalizationRegistry<number>((id) => byId.delete(id));
let last = 0;

/** The number of a function; it gets one the first time. */
export function idOf(fn: AnyFunction): number {
  const known = ids.get(fn);
  if (known !== undefined) return known;
  const id = ++last;
  ids.set(fn, id);
  byId.set(id, new WeakRef(fn));
  collected.register(fn, id);
  return id;
}

/** The number that was given last. */
export function lastId(): number {
  return last;
}

let held: Map<number, AnyFunction> | undefined;

/**
 * Call `fork` with every function held on to. In the child nothing else may refer to them: what the parent was in the midst
 * of is dropped there, and the first collection of garbage would take the functions with it, before the worker has looked.
 */
export function holdingAll<T>(fork: () => T): T {
  held = new Map();
  for (const [id, reference] of byId) {
    const fn = reference.deref();
    if (fn !== undefined) held.set(id, fn);
  }
  try {
    return fork();
  } finally {
    held = undefined; // in the parent only: the child does not come here
  }
}

/** In a worker: the functions it knows, all that had a number when it was forked. A worker that is no fork knows none. */
export function inherited(): Map<number, AnyFunction> {
  return held ?? new Map<number, AnyFunction>();
}

runsInChild(inherited);
