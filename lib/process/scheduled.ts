/**
 * What the parent had scheduled, forgotten in its child: ticks, timers, immediates, promises nobody has handled.
 *
 *     in the child, on the parent's stack      forgetScheduled()   empty the queues, watch for leftovers
 *     Node's frames unwind                     leftovers of a batch of immediates run off as nothing
 *     the loop's next turn, before the target  beginAfresh()       counts at zero, stop watching
 */
import { createHook, executionAsyncResource } from 'node:async_hooks';
import { mainGlobal } from '../main-context';
import { runsInChild } from '../posix/precompile';
import { ImmediateCount, internals, TickInfo } from './internals';

/** What Node keeps of an immediate, an argument of `createHook`'s callbacks. */
interface ImmediateFields {
  _onImmediate: (() => void) | null;
  _argv: unknown;
  _destroyed: boolean;
  readonly _idleNext: unknown;
}

const nothing = (): void => {};

function isImmediate(resource: unknown): resource is ImmediateFields {
  return typeof resource === 'object' && resource !== null && '_onImmediate' in resource;
}

/**
 * Node's batch of outstanding immediates hangs in a closure that nothing leads to. But a `before` hook is told of each
 * immediate before Node reads its callback, and can make it do nothing. Also, while the hook is on, promises call it
 * before they call anything else: the entry of its function is where V8 notices that microtasks are being terminated.
 */
const watch = createHook({
  before() {
    const resource: unknown = executionAsyncResource();
    if (isImmediate(resource)) {
      resource._onImmediate = nothing;
      resource._argv = null;
    }
  },
});

/** High enough not to be counted down to zero, which would stop Node's immediates. */
const MANY = 1_000_000;

/** Empty every queue. To be called on the parent's stack, which is abandoned next. */
export function forgetScheduled(): void {
  const { queue, tickInfo, timerListMap, timerListQueue, timeoutInfo, immediateQueue, immediateInfo } = internals();
  watch.enable();
  noteImmediates([immediateQueue.head, executionAsyncResource(), ...internals().execution_async_resources]);
  // The immediates on the stack are marked as run; Node, finding them at the head of its batch, would stumble.
  for (const resource of [executionAsyncResource(), ...internals().execution_async_resources]) {
    if (isImmediate(resource) && resource._destroyed && resource._onImmediate !== null) resource._destroyed = false;
  }
  ignoreUncaught(true);
  if (tickInfo[TickInfo.HasRejectionToWarn] !== 0) forgetRejections();
  while (queue.shift() !== null);
  expireCaches(timerListMap);
  forgetTimers(timerListMap as Record<string, TimerLink>);
  while (timerListQueue.peek() != null) timerListQueue.shift();
  timeoutInfo[0] = 0;
  immediateQueue.head = immediateQueue.tail = null;
  immediateInfo[ImmediateCount.All] = immediateInfo[ImmediateCount.Refed] = 0;
  // One of each, made and cleared, brings libuv's handles in line with the counts: not referenced, not spinning.
  mainGlobal.clearTimeout(mainGlobal.setTimeout(nothing, 1));
  mainGlobal.clearImmediate(mainGlobal.setImmediate(nothing));
  // In the middle of a batch Node goes on with it at once, and finds nothing or leftovers that do nothing.
  if (immediateInfo[ImmediateCount.HasOutstanding] !== 0) {
    immediateInfo[ImmediateCount.All] = immediateInfo[ImmediateCount.Refed] = MANY;
  }
  internals().clearAsyncIdStack();
}

/** A timer, or the list it is in: linked in a circle. */
interface TimerLink {
  _idleNext: TimerLink | null;
  _idlePrev: TimerLink | null;
  _onTimeout?: unknown;
  _destroyed?: boolean;
}

/** What is put back when the stack of the fork is gone. */
let setAside: { readonly timer: TimerLink; readonly callback: unknown }[] = [];
let immediatesOfParent: ImmediateFields[] = [];

/**
 * Leave every timer as if it had been cleared, so that clearing it once more does not count down what keeps the child's own
 * timers alive, while `refresh()` starts it anew.
 */
function forgetTimers(lists: Record<string, TimerLink>): void {
  for (const [duration, list] of Object.entries(lists)) {
    Reflect.deleteProperty(lists, duration);
    // Forked in a microtask between two timers of a list, Node goes on with the next one, which it has taken already: V8
    // takes the request to unwind the stack for done when the microtasks end.
    const next = list._idlePrev;
    if (next !== null && next !== list) {
      setAside.push({ timer: next, callback: next._onTimeout });
      next._onTimeout = null;
    }
    for (let timer = list._idleNext; timer !== null && timer !== list;) {
      const following: TimerLink | null = timer._idleNext;
      timer._destroyed = true;
      timer._idleNext = timer._idlePrev = null;
      timer = following;
    }
    list._idleNext = list._idlePrev = list;
  }
}

/** The same for immediates, those of the batch that Node is at included; marked when it is through with them. */
function noteImmediates(firsts: readonly unknown[]): void {
  for (const first of firsts) {
    for (let at = first; isImmediate(at); at = at._idleNext) immediatesOfParent.push(at);
  }
}

const resetCache = /^function resetCache\(\)\s*{\s*utcCache = undefined/;

/**
 * Run the timer by which Node renews the text of http's `Date` header each second (lib/internal/http.js). A child without
 * it would say for ever when its parent last answered a request.
 */
function expireCaches(lists: Readonly<Record<string, unknown>>): void {
  for (const list of Object.values(lists) as TimerLink[]) {
    for (let timer = list._idleNext; timer != null && timer !== list; timer = timer._idleNext) {
      const callback = timer._onTimeout;
      if (
        typeof callback === 'function' &&
        callback.name === 'resetCache' &&
        resetCache.test(Function.prototype.toString.call(callback))
      ) {
        (callback as () => void)();
      }
    }
  }
}

/** To be called on the loop, before the child's own code. */
export function beginAfresh(): void {
  const { immediateInfo } = internals();
  immediateInfo[ImmediateCount.All] = immediateInfo[ImmediateCount.Refed] = 0;
  immediateInfo[ImmediateCount.HasOutstanding] = 0;
  watch.disable();
  for (const { timer, callback } of setAside) timer._onTimeout = callback;
  for (const immediate of immediatesOfParent) immediate._destroyed = true;
  setAside = [];
  immediatesOfParent = [];
  ignoreUncaught(false);
}

/** Node's list of rejected promises is emptied by having it reported to nobody. */
function forgetRejections(): void {
  const { process } = mainGlobal;
  process.on('unhandledRejection', nothing);
  process.on('rejectionHandled', nothing);
  try {
    internals().processPromiseRejections();
  } finally {
    process.off('unhandledRejection', nothing);
    process.off('rejectionHandled', nothing);
  }
}

/**
 * Until the child begins, an uncaught exception is the parent's: of a promise (--unhandled-rejections=strict), or the
 * termination itself, which an addon that calls into JavaScript may take for an error.
 */
function ignoreUncaught(on: boolean): void {
  const { exceptionHandlerState, shouldAbortOnUncaughtToggle } = internals();
  exceptionHandlerState.captureFn = on ? nothing : null;
  shouldAbortOnUncaughtToggle[0] = on ? 0 : 1;
}

/** In the parent: have V8 compile the above, as far as running it does no harm. */
export function warmUpScheduled(): void {
  watch.enable();
  watch.disable();
  mainGlobal.clearTimeout(mainGlobal.setTimeout(nothing, 1));
  mainGlobal.clearImmediate(mainGlobal.setImmediate(nothing));
  expireCaches({});
  executionAsyncResource();
  const { queue } = internals();
  if (queue.isEmpty()) queue.shift();
}

runsInChild(forgetScheduled, isImmediate, noteImmediates, forgetTimers, ignoreUncaught, beginAfresh);
