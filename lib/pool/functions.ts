/**
 * Functions by identity. Both processes of a fork have the same function objects, each its own copy; a number that was
 * given to a function before the fork means the same in the child. A worker knows the functions whose numbers are not
 * above the last one given when it was forked.
 */
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

/**
 * All functions that have a number, for a worker that is about to be forked. They have to be held on to until it has looked:
 * what the parent was in the midst of is dropped in the child, and the first collection of garbage would take them with it.
 */
export function allFunctions(): Map<number, AnyFunction> {
  const functions = new Map<number, AnyFunction>();
  for (const [id, reference] of byId) {
    const fn = reference.deref();
    if (fn !== undefined) functions.set(id, fn);
  }
  return functions;
}
