/**
 * What a traced program writes down, one JSON line per event, and what the tracer adds:
 *
 *     start    a Node process began to run its script            (preload)
 *     fork     fork() has made a child                           (preload, in the child and in the parent)
 *     spawn    child_process started a program                   (preload, in the parent)
 *     exec     a process is about to become another program      (preload)
 *     exit     a process is about to end by itself               (preload)
 *     wait     a parent has waited for an ended child            (preload)
 *     ended    the kernel says that a process has ended          (tracer, from a pidfd)
 *     gone     its row in the process table has gone             (tracer, from /proc)
 */
export type TraceEvent = Stamp &
  (
    | { readonly event: 'start'; readonly ppid: number; readonly command: string }
    | { readonly event: 'fork'; readonly child: number; readonly ppid: number; readonly from: number }
    | { readonly event: 'spawn'; readonly child: number; readonly command: string }
    | { readonly event: 'exec'; readonly command: string }
    | { readonly event: 'exit'; readonly code: number }
    | { readonly event: 'wait'; readonly child: number; readonly status: number; readonly from: number }
    | { readonly event: 'ended' }
    | { readonly event: 'gone'; readonly ppid: number | null; readonly status: number | null }
  );

interface Stamp {
  /** Milliseconds of the system's monotonic clock, which all processes share. */
  readonly t: number;
  readonly pid: number;
}

/** Without its stamp: what the recording side passes on. */
export type Unstamped<E = TraceEvent> = E extends unknown ? Omit<E, 't' | 'pid'> : never;

/** The environment variable that names the file. */
export const FILE_VARIABLE = 'REALFORK_TRACE_FILE';

/** The monotonic clock in milliseconds. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
