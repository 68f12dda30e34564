/** Where tasks were handed in: a stack costs more than a small task, so those of a loop share one. */
import { registerAtFork } from '../posix/at-fork';
import type { AnyFunction } from './task';

/** Holds a stack; it becomes text when somebody reads it. */
export interface Trace {
  readonly stack?: string;
}

/** So many calls with the same function, in one run of code without a pause, have stacks of their own. */
const OWN = 8;

let lastFunction: AnyFunction | undefined;
let last: Trace | undefined;
let count = 0;

function forget(): void {
  lastFunction = undefined;
  last = undefined;
  count = 0;
}

/** The stack of the call of `entry` that hands in a task with `fn`. */
export function traceOf(fn: AnyFunction, entry: AnyFunction): Trace {
  if (fn === lastFunction && last !== undefined && count++ >= OWN) return last;
  if (lastFunction === undefined) queueMicrotask(forget);
  if (fn !== lastFunction) count = 1;
  lastFunction = fn;
  last = {};
  Error.captureStackTrace(last, entry);
  return last;
}

registerAtFork({ afterInChild: forget });
