/**
 * `worker_threads` Workers in a forked child: their threads are not there, as POSIX has it, but their JavaScript objects
 * are. A Worker that an ended thread will never answer for must not keep the child's loop alive, and joining its thread
 * would join whichever thread glibc has given the same stack since (nptl/allocatestack.c reuses stacks of a fork's
 * absent threads).
 */
import { AsyncResource } from 'node:async_hooks';
import { isMainThread, Worker } from 'node:worker_threads';
import { codedError } from '../errors';
import { mainGlobal } from '../main-context';
import { native } from '../native';

const running = new Set<WeakRef<Worker>>();

/** Node tells of each Worker that this process starts from here on (process event 'worker'). */
export function noteWorker(worker: Worker): void {
  const reference = new WeakRef(worker);
  running.add(reference);
  worker.once('exit', () => running.delete(reference));
}
if (isMainThread) mainGlobal.process.on('worker', noteWorker);

/** The native half of a Worker object; an AsyncWrap, whose id tells its age. */
interface WorkerHandle {
  getAsyncId(): number;
}

/**
 * In a child: make the Workers of the parent objects that no thread answers for.
 *
 * @returns whether there were any
 */
export function forgetParentsWorkers(): boolean {
  if (running.size === 0 && native.forkFacts().workers === 0) return false;
  for (const reference of running) reference.deref()?.unref();
  running.clear();
  const boundary = new AsyncResource('realfork.fork').asyncId();
  const terminate = Worker.prototype.terminate;
  Worker.prototype.terminate = function (this: Worker) {
    return isOlder(this, boundary) ? Promise.resolve(1) : terminate.call(this);
  };
  refuseEndlessWaits();
  return true;
}

let refusesEndlessWaits = false;

/**
 * Libraries ask a Worker and wait for the answer in `Atomics.wait` (esbuild's `transformSync`, and so `tsx`). Without a Worker
 * nobody is left to notify them: where they would wait for ever, they are told so.
 */
function refuseEndlessWaits(): void {
  if (refusesEndlessWaits) return; // inherited from a forked parent
  refusesEndlessWaits = true;
  const { Atomics } = mainGlobal;
  const { wait } = Atomics;
  const waitForSomebody = (array: Int32Array, index: number, value: number, timeout?: number): string => {
    const isEndless = timeout === undefined || Number.isNaN(+timeout) || +timeout === Infinity;
    if (running.size > 0 || !isEndless) return wait(array, index, value, timeout);
    const result = wait(array, index, value, 0);
    if (result !== 'timed-out') return result;
    throw codedError(
      Error,
      'ERR_WORKER_NOT_IN_CHILD',
      'Atomics.wait() without a timeout would never return in this forked child: ' +
        "its parent's Workers, which it may be waiting for, are not in it. Make a Worker in the child",
    );
  };
  Object.defineProperty(Atomics, 'wait', {
    value: waitForSomebody,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

function isOlder(worker: Worker, boundary: number): boolean {
  const symbol = Object.getOwnPropertySymbols(worker).find((key) => key.description === 'kHandle');
  const handle = symbol && (worker as unknown as Record<symbol, WorkerHandle | null>)[symbol];
  return handle != null && handle.getAsyncId() < boundary;
}
