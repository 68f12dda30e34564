/**
 * Listeners of `process` in a child: what the parent has registered, for signals, `'exit'`, uncaught errors, is the
 * parent's. Node's own stay, and so does what this package needs.
 */
import { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import { mainGlobal, processObjects } from '../main-context';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';
import { noteWorker } from '../posix/workers';

type Listener = (...args: unknown[]) => void;

/** Node's own, by event: lib/internal/process/pre_execution.js. */
const ofNode: Readonly<Record<string, readonly string[]>> = {
  newListener: ['startListeningIfSignal'],
  removeListener: ['stopListeningIfSignal'],
  warning: ['onWarning'],
};

interface Events {
  _events: Record<string | symbol, Listener | Listener[] | undefined>;
  _eventsCount: number;
}

/** What this package listens to in every child. Put in place there without `on`, which would tell 'newListener' of each. */
const ours: Record<string, Listener> = {};

/** Have a listener on `process` in every child: the only one of its event there, at first. */
export function listenInChildren(event: string, listener: (...args: never[]) => void): void {
  ours[event] = listener as Listener;
}
listenInChildren('worker', noteWorker);

/** Remove them; signals have their default action again, and one that came meanwhile takes it. */
export function forgetListeners(): void {
  const caught = native.resetSignals();
  for (const process of processObjects) keepNodes(process, process === mainGlobal.process ? ours : {});
  for (const signal of caught) native.kill(native.getpid(), signal);
}

/** In the parent: have V8 compile the above. */
export function warmUpListeners(): void {
  const emitter = new EventEmitter();
  for (const name of mainGlobal.process.eventNames()) emitter.on(name, () => {});
  keepNodes(emitter, ours);
}

/**
 * Behind the back of `'removeListener'` listeners, whose turn it is too; but for signals, which Node watches for as long as
 * they have listeners.
 */
function keepNodes(emitter: EventEmitter, more: Readonly<Record<string, Listener>>): void {
  const internals = emitter as unknown as Events;
  const { _events: events } = internals;
  const kept = Object.assign(Object.create(null), more) as Events['_events'];
  for (const name of Object.keys(ofNode)) {
    const own = [events[name] ?? []].flat().filter((listener) => isNodes(name, listener));
    if (own.length > 0) kept[name] = own.length === 1 ? own[0] : own;
  }
  // With Node's listeners in their places, and nobody else's, the signals' are removed as usual.
  const signals = Object.keys(events).filter((name) => Object.hasOwn(constants.signals, name));
  for (const name of signals) kept[name] = events[name];
  internals._events = kept;
  internals._eventsCount = Object.keys(kept).length;
  for (const name of signals) emitter.removeAllListeners(name);
}

function isNodes(name: string | symbol, listener: (...args: never[]) => unknown): boolean {
  if (typeof name !== 'string' || !Object.hasOwn(ofNode, name)) return false;
  return ofNode[name]?.includes(listener.name) === true || watchesMultipleResolves(listener);
}

/** Node's too, without a name, until Node 24. */
function watchesMultipleResolves(listener: (...args: never[]) => unknown): boolean {
  return listener.name === '' && listener.toString().includes('hasMultipleResolvesListener');
}

runsInChild(forgetListeners);
