/** From events to processes: who was born when and of whom, when it ended, and how long it was a zombie. */
import type { TraceEvent } from './events';

/** One process as the trace shows it. Times are milliseconds since the trace began. */
export interface TracedProcess {
  readonly pid: number;
  readonly ppid: number;
  readonly birth: 'start' | 'fork' | 'spawn';
  command: string;
  readonly born: number;
  /** When it ended and was a zombie from; undefined when it was still running at the end of the trace. */
  ended?: number;
  /** When its parent took its status. */
  reaped?: number;
  /** Who took it; undefined when that was seen only from the outside. */
  reaper?: number;
  /** The raw wait status, where anybody has learned it. */
  status?: number;
  /** Spans in which it was blocked in a wait for a child. */
  readonly waits: { readonly from: number; readonly to: number; readonly child: number }[];
  readonly children: TracedProcess[];
}

export interface Trace {
  readonly roots: readonly TracedProcess[];
  /** All processes, parents before their children, siblings by birth. */
  readonly processes: readonly TracedProcess[];
  /** Milliseconds from the first event to the last. */
  readonly length: number;
}

/** Milliseconds for which a process was a zombie; undefined when it has not ended, or was not seen to. */
export function zombieTime(process: TracedProcess, trace: Trace): number | undefined {
  if (process.ended === undefined) return undefined;
  return Math.max(0, (process.reaped ?? trace.length) - process.ended);
}

/** The end in words: `exit 3`, `signal 9`. */
export function endOf({ status, ended }: TracedProcess): string {
  if (status === undefined) return ended === undefined ? 'still running' : 'ended';
  const signal = status & 0x7f;
  return signal === 0 ? `exit ${(status >> 8) & 0xff}` : `signal ${signal}`;
}

export function buildTrace(events: readonly TraceEvent[]): Trace {
  const sorted = [...events].sort((a, b) => timeOf(a) - timeOf(b));
  const first = sorted[0];
  const origin = first === undefined ? 0 : timeOf(first);
  const length = Math.max(0, ...sorted.map(({ t }) => t - origin));
  const all: TracedProcess[] = [];
  /** The youngest process with each pid: pids come round. */
  const byPid = new Map<number, TracedProcess>();

  const born = (pid: number, ppid: number, birth: TracedProcess['birth'], command: string, t: number): void => {
    const known = byPid.get(pid);
    if (known !== undefined && known.reaped === undefined) {
      if (birth !== 'fork') known.command = command; // a spawned program that turns out to be a Node, or an exec
      return;
    }
    const process: TracedProcess = { pid, ppid, birth, command, born: t, waits: [], children: [] };
    all.push(process);
    byPid.set(pid, process);
    byPid.get(ppid)?.children.push(process);
  };

  for (const event of sorted) {
    const t = event.t - origin;
    const process = byPid.get(event.pid);
    switch (event.event) {
      case 'start':
        born(event.pid, event.ppid, 'start', event.command, t);
        break;
      case 'fork':
        born(event.child, event.ppid, 'fork', byPid.get(event.ppid)?.command ?? '', event.from - origin);
        break;
      case 'spawn':
        born(event.child, event.pid, 'spawn', event.command, t);
        break;
      case 'exec':
        if (process !== undefined) process.command = event.command;
        break;
      case 'exit':
        if (process !== undefined) {
          process.ended = t;
          process.status ??= (event.code & 0xff) << 8;
        }
        break;
      case 'ended':
        // The exit event came a moment before the end itself; the kernel's word counts.
        if (process !== undefined && process.reaped === undefined) process.ended = t;
        break;
      case 'wait': {
        const child = byPid.get(event.child);
        process?.waits.push({ from: event.from - origin, to: t, child: event.child });
        if (child === undefined) break;
        child.status = event.status;
        child.reaped = t;
        child.reaper = event.pid;
        child.ended = Math.min(child.ended ?? t, t);
        break;
      }
      case 'gone':
        if (process === undefined || process.reaped !== undefined) break;
        process.ended = Math.min(process.ended ?? t, t);
        process.reaped = t;
        if (event.ppid !== null) process.reaper = event.ppid;
        if (event.status !== null) process.status ??= event.status;
        break;
    }
  }
  const roots = all.filter((process) => !all.some((other) => other.children.includes(process)));
  return { roots, processes: roots.flatMap(withDescendants), length };
}

/** A fork began before its child could write it down. */
function timeOf(event: TraceEvent): number {
  return event.event === 'fork' ? event.from : event.t;
}

function withDescendants(process: TracedProcess): TracedProcess[] {
  return [process, ...process.children.flatMap(withDescendants)];
}
