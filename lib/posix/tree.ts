/** Process trees and zombies as the kernel shows them: /proc on Linux, ps(1) on macOS (which is untested). */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { codedError, PosixError } from '../errors';
import { native } from '../native';
import { validateInteger } from '../validate';
import { parseStat, procIsOurs, readProc, ticksToMs } from './proc';

/** A process at the moment of looking. */
export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  /** R running, S sleeping, D in an uninterruptible wait, Z zombie, T stopped, t traced, X dead, I idle. */
  readonly state: string;
  /** The kernel's short name, 15 bytes at most on Linux. */
  readonly name: string;
  /** The command line, its arguments joined with spaces; `[name]` where there is none, as for a zombie. */
  readonly command: string;
  /** When it started: milliseconds since 1970, exact to a clock tick (10 ms) on Linux, to a second on macOS. */
  readonly startTime: number;
}

/** A process and its descendants. */
export interface ProcessNode extends ProcessEntry {
  /** In the order of their start. */
  readonly children: readonly ProcessNode[];
}

/** What is read of every process; the rest only of those that are asked for. */
interface Seen {
  readonly pid: number;
  readonly ppid: number;
  readonly state: string;
  readonly name: string;
  /** In any unit, only to be compared. */
  readonly started: number;
  entry(): ProcessEntry;
}

/**
 * List a process's zombies: children that have ended and that it has not waited for.
 *
 * @param pid - The parent. Default: this process.
 * @returns The zombies in the order of their start; `[]` when there are none.
 * @throws {@link PosixError} `ESRCH` no process has this pid.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` `pid` is no positive integer.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` /proc is not mounted, or belongs to another PID namespace.
 * @remarks Reads every process's entry in /proc, some 10 µs each, while the event loop waits. macOS: through ps(1).
 * @example
 * ```js
 * const pid = fork();
 * if (pid === 0) process.exit();
 * while (zombies().length === 0) sleepSync(1);
 * console.log(zombies()); // [ { pid, ppid, state: 'Z', ... } ]
 * waitpid(pid);
 * console.log(zombies()); // []
 * ```
 * @see wait(2) NOTES, proc_pid_stat(5)
 */
export function zombies(pid: number = native.getpid()): ProcessEntry[] {
  validateInteger(pid, 'pid', 1, 2147483647);
  const all = look();
  find(all, pid);
  return inOrder(all.filter((seen) => seen.ppid === pid && seen.state === 'Z')).map((seen) => seen.entry());
}

/**
 * Show a process and its descendants.
 *
 * @param pid - The root. Default: this process.
 * @returns The root with its `children`, each with its own.
 * @throws {@link PosixError} `ESRCH` no process has this pid.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` `pid` is no positive integer.
 * @throws `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM` /proc is not mounted, or belongs to another PID namespace.
 * @remarks The kernel has no call that freezes the tree: a process that ends while it is being read is left out, one that is
 * made meanwhile may be. A descendant whose parent has ended belongs to whoever adopted it. Reads every process's entry in
 * /proc, some 10 µs each, while the event loop waits. macOS: through ps(1).
 * @example
 * ```js
 * const show = (node, depth = 0) => {
 *   console.log('  '.repeat(depth) + node.pid, node.state, node.command);
 *   for (const child of node.children) show(child, depth + 1);
 * };
 * show(processTree());
 * ```
 * @see pstree(1), proc_pid_stat(5)
 */
export function processTree(pid: number = native.getpid()): ProcessNode {
  validateInteger(pid, 'pid', 1, 2147483647);
  const all = look();
  const root = find(all, pid);
  const childrenOf = new Map<number, Seen[]>();
  for (const seen of all) {
    const siblings = childrenOf.get(seen.ppid);
    if (siblings === undefined) childrenOf.set(seen.ppid, [seen]);
    else siblings.push(seen);
  }
  // Entries are read one after another: a pid that changed hands meanwhile could stand in two places.
  const placed = new Set<number>();
  const grow = (seen: Seen): ProcessNode => {
    placed.add(seen.pid);
    const children: ProcessNode[] = [];
    for (const child of inOrder(childrenOf.get(seen.pid) ?? [])) {
      if (!placed.has(child.pid)) children.push(grow(child));
    }
    return { ...seen.entry(), children };
  };
  return grow(root);
}

function find(all: readonly Seen[], pid: number): Seen {
  const found = all.find((seen) => seen.pid === pid);
  if (found === undefined) throw new PosixError(constants.errno.ESRCH, 'getpgid', { pid });
  return found;
}

function inOrder(processes: readonly Seen[]): Seen[] {
  return [...processes].sort((a, b) => a.started - b.started || a.pid - b.pid);
}

function look(): Seen[] {
  if (process.platform !== 'linux') return parsePs(ps(), native.getpid());
  if (!procIsOurs()) {
    throw codedError(
      Error,
      'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM',
      "the process tree is unknown: /proc is not mounted, or is another PID namespace's; mount one of this namespace",
    );
  }
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const text = readProc(`/proc/${entry}/stat`);
    return text === undefined ? [] : [seenInProc(text)];
  });
}

/** When the host started, by the wall clock; once, so that a process's `startTime` is the same at each look. */
let bootTime: number | undefined;

function seenInProc(text: string): Seen {
  const { pid, ppid, state, name, startTicks } = parseStat(text);
  return {
    pid,
    ppid,
    state,
    name,
    started: startTicks,
    entry() {
      bootTime ??= Math.round(Date.now() - native.bootClock());
      // Arguments end with a NUL each; a process may have put something else there (setproctitle), and a zombie nothing.
      const line = (readProc(`/proc/${pid}/cmdline`) ?? '').replace(/\0+$/, '').replaceAll('\0', ' ');
      const command = state === 'Z' || line === '' ? `[${name}]` : line;
      return { pid, ppid, state, name, command, startTime: bootTime + ticksToMs(startTicks) };
    },
  };
}

const PS = ['-axww', '-o', 'pid=,ppid=,stat=,lstart=,command='] as const;

function ps(): string {
  return execFileSync('ps', PS, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' }, maxBuffer: 64 << 20 });
}

/** `pid ppid stat`, the five words of lstart (`Mon Nov 21 09:40:00 2022`), and the command line to the end. */
const PS_LINE = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.*)$/;

/** Read the output of ps(1), leaving out ps itself, a child of `own`. */
export function parsePs(text: string, own: number): Seen[] {
  return text.split('\n').flatMap((line) => {
    const [, pid, ppid, stat, started, command] = PS_LINE.exec(line) ?? [];
    if (pid === undefined || stat === undefined || started === undefined || command === undefined) return [];
    if (Number(ppid) === own && command.endsWith(PS.join(' '))) return [];
    const startTime = Date.parse(started);
    const name = (command.split(' ')[0] ?? '').split('/').pop() ?? '';
    const seen = { pid: Number(pid), ppid: Number(ppid), state: stat.charAt(0), name };
    return [{ ...seen, started: startTime, entry: () => ({ ...seen, command, startTime }) }];
  });
}
