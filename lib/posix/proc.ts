/** proc(5) as the kernel writes it: typed, and calm about processes that vanish while one reads. */
import { readFileSync, readlinkSync } from 'node:fs';
import { native } from '../native';

/** The fields of proc_pid_stat(5) that the package uses. */
export interface ProcStat {
  readonly pid: number;
  /** The kernel's name of the process: 15 bytes at most, of the thread that started it in Node 22 and newer. */
  readonly name: string;
  /** R running, S sleeping, D in an uninterruptible wait, Z zombie, T stopped, t traced, X dead, I idle. */
  readonly state: string;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  /** When it started, in clock ticks since the host's start. Together with the pid it names a process for good. */
  readonly startTicks: number;
}

/** What reading says of a process that has gone: no such file, or no such process once the file had been opened. */
const GONE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ESRCH']);

/** The text of a file below /proc, or undefined when its process is no more. */
export function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (GONE.has((error as NodeJS.ErrnoException).code)) return undefined;
    throw error;
  }
}

/** proc_pid_stat(5)'s fields by the position they have after the name, which is the second. */
const STATE = 0;
const PPID = 1;
const PGRP = 2;
const SESSION = 3;
const START = 19;

/** Read the text of a `stat` file. The name may hold spaces, parentheses and line ends: it goes to the last `)`. */
export function parseStat(text: string): ProcStat {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  return {
    pid: Number(text.slice(0, open)),
    name: text.slice(open + 1, close),
    state: fields[STATE] ?? '?',
    ppid: Number(fields[PPID]),
    pgrp: Number(fields[PGRP]),
    session: Number(fields[SESSION]),
    startTicks: Number(fields[START]),
  };
}

/** What the kernel knows of a process, or undefined when there is none with this pid. */
export function procStat(pid: number): ProcStat | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

/**
 * Tell whether /proc is there and speaks of the pids that this process knows: in a new PID namespace, until /proc has been
 * mounted again, it is the old namespace's.
 */
export function procIsOurs(): boolean {
  try {
    return Number(readlinkSync('/proc/self')) === native.getpid();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

let ticksPerSecond: number | undefined;

/** Clock ticks as milliseconds, both since the host's start; what {@link native.bootClock} counts. */
export function ticksToMs(ticks: number): number {
  ticksPerSecond ??= native.clockTicks();
  return (ticks * 1000) / ticksPerSecond;
}
