/** The classes of processes that are started by one method: one for each, named as Python names them. */
import type { StartMethod } from './popen';
import { Process } from './process';

const names: Readonly<Record<StartMethod, string>> = {
  fork: 'ForkProcess',
  spawn: 'SpawnProcess',
  forkserver: 'ForkServerProcess',
};
const classes = new Map<StartMethod, typeof Process>();

/** `Process` for a start method; without one, that which follows `setStartMethod()`. */
export function processClass(method: StartMethod | undefined): typeof Process {
  if (method === undefined) return Process;
  let Class = classes.get(method);
  if (Class === undefined) classes.set(method, (Class = make(method)));
  return Class;
}

function make(method: StartMethod): typeof Process {
  const Class = class extends Process {
    static override readonly startMethod = method;
  };
  Object.defineProperty(Class, 'name', { value: names[method] });
  return Class;
}
