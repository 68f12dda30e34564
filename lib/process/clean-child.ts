/**
 * A child that runs one function, and nothing of its parent's: no continuation, tick, timer, callback, `finally` or
 * listener, from wherever it was started. docs/process.md has the whole story.
 *
 *     parent   startClean ── fork(2) ──> returns the pid
 *     child         └─> repaired as every forked child ─> cleaned ─> stack abandoned ─> the loop's next turn: the target
 */
import { AsyncResource } from 'node:async_hooks';
import { native } from '../native';
import { warmUpRepair } from '../posix/after-fork';
import { checkMainThread, fork } from '../posix/fork';
import { runsInChild } from '../posix/precompile';
import { mainGlobal } from '../main-context';
import { ProcessError } from '../errors';
import { end, finishIdle, reportError, runToEnd } from './child-main';
import { forgiveFileHandles } from './file-handles';
import { closeParentsHandles, handedOver } from './handles';
import { internals } from './internals';
import { forgetListeners, warmUpListeners } from './listeners';
import { beginAfresh, forgetScheduled, warmUpScheduled } from './scheduled';
import { detachInput, resetOutput } from './stdio';

/**
 * Fork a child in which only `target` runs, on a fresh turn of the event loop, at depth zero.
 *
 * @param target - What the child does. The child ends when its promise settles; after a function that returns no promise,
 * when the child's event loop has nothing left to do. What it throws is printed with `name`, and makes the exit code 1.
 * @param name - For messages about the child.
 * @param keep - Values whose sockets and servers (also in arrays, plain objects, Maps and Sets in them) stay open in the
 * child.
 * @returns The child's pid. Never returns in the child.
 * @throws What `fork()` throws; `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` this Node cannot have clean children;
 * `ERR_PROCESS_EXITING` in an `'exit'` listener, after which no loop turns any more.
 */
export function startClean(target: () => unknown, name: string, keep: readonly unknown[] = []): number {
  checkMainThread();
  checkNotExiting();
  internals(); // found in the parent, once, and inherited
  warmUp();
  const kept = handedOver(keep);
  native.flushStdio();
  const parent = native.getpid();
  let pid: number;
  try {
    pid = fork();
  } catch (error) {
    if (native.getpid() === parent) throw error;
    return abort(error, name); // an after-fork hook
  }
  return pid > 0 ? pid : begin(target, name, kept);
}

/** In an `'exit'` listener no loop turns any more, and nobody would wait for the child. */
export function checkNotExiting(): void {
  if ((mainGlobal.process as unknown as { _exiting?: boolean })._exiting === true) {
    throw new ProcessError('A process cannot be started while its parent is exiting', { code: 'ERR_PROCESS_EXITING' });
  }
}

let isWarm = false;

/** In the parent, before its first child: have V8 compile what each child runs of Node's own. */
function warmUp(): void {
  if (isWarm) return;
  isWarm = true;
  warmUpRepair();
  warmUpListeners();
  warmUpScheduled();
  handedOver([[{}]]);
  new AsyncResource('realfork.Process').runInAsyncScope(nothing);
}

/** In the child. */
function begin(target: () => unknown, name: string, kept: ReadonlySet<object>): never {
  // Holds what `AsyncLocalStorage` has here; with the stack of async ids, emptied below, that would be lost.
  const scope = new AsyncResource('realfork.Process');
  try {
    forgetListeners();
    forgetScheduled();
    if (native.dropParentsWork()) resetOutput();
    closeParentsHandles(kept);
    detachInput();
    forgiveFileHandles();
    mainGlobal.process.exitCode = undefined;
  } catch (error) {
    return abort(error, name);
  }
  const run = scope.runInAsyncScope.bind(scope, runToEnd, undefined, target, name);
  native.abandonStack(beginAfresh, run, finishIdle, nothing);
  return unreachable();
}

/** In a child that could not be made clean: nothing of the parent's may run in it. */
function abort(error: unknown, name: string): never {
  reportError(error, name);
  return native.leaveProcess(1);
}

/** V8 unwinds the stack before this is reached. */
function unreachable(): never {
  return end(1);
}

function nothing(): void {}

runsInChild(begin, nothing);
