/** The seam between `Process` and the ways of starting one. */
import type { Process } from './process';

/** What a process is told to end by. */
export type NamedSignal = 'SIGTERM' | 'SIGKILL';

/** A started process, as its creator holds it. */
export interface Popen {
  readonly pid: number;
  /** A descriptor that is readable once the process has ended. */
  readonly sentinel: number;
  /** The exit code, negative for a signal, or null while it runs. Reaps. */
  poll(): number | null;
  /** Block until the end, or so many milliseconds. */
  waitSync(timeout: number): void;
  /** The same with the event loop going on. */
  wait(timeout: number): Promise<void>;
  /** Set whether the event loop stays alive until its end, also when nobody waits for it. */
  holdLoop(holds: boolean): void;
  /** Send a signal, unless it has ended. */
  signal(signal: NamedSignal): void;
  /** Give up descriptors; the process has ended. */
  close(): void;
}

/** Start this process in one of the ways; in the new process, `process[kBootstrap]()` has to be run. */
export type StartProcess = (process: Process, onEnd: () => void) => Popen;

/** The names of the ways there are. */
export type StartMethod = 'fork' | 'spawn' | 'forkserver';

const starters = new Map<StartMethod, StartProcess>();

/** Called by the module that knows how. */
export function provideStartMethod(method: StartMethod, start: StartProcess): void {
  starters.set(method, start);
}

/** How to start a process by this method, or undefined when nothing here knows. */
export function starterOf(method: StartMethod): StartProcess | undefined {
  return starters.get(method);
}
