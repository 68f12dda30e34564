/** The kernel's process table, one row at a time: /proc where there is one, ps(1) elsewhere. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { procStat, readProc, type ProcStat } from '../posix/proc';

/** What the demonstrations look at; `state` is the kernel's letter: R running, S sleeping, Z zombie, T stopped. */
export type ProcessRow = Pick<ProcStat, 'pid' | 'ppid' | 'state' | 'name'>;

const hasProc = existsSync('/proc/self/stat');

/** The process with this pid, or undefined when there is none. */
export function processRow(pid: number): ProcessRow | undefined {
  return hasProc ? procStat(pid) : fromPs(pid);
}

function fromPs(pid: number): ProcessRow | undefined {
  let line: string;
  try {
    line = execFileSync('ps', ['-o', 'ppid=,stat=,comm=', '-p', String(pid)], { encoding: 'latin1' }).trim();
  } catch (error) {
    if ((error as { status?: number }).status === 1) return undefined; // no such process
    throw error;
  }
  const [, ppid, state = '?', name = ''] = /^(\d+)\s+(\S)\S*\s+(.*)$/.exec(line) ?? [];
  return { pid, ppid: Number(ppid), state, name };
}

/**
 * The living members of a session, and its zombies that are waiting for one of them. A zombie whose parent is no member
 * is that parent's (or init's) affair. Empty where there is no /proc.
 */
export function sessionMembers(session: number): ProcessRow[] {
  if (!hasProc) return [];
  const members = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => procStat(Number(name)) ?? [])
    .filter((row) => row.session === session);
  const pids = new Set(members.map(({ pid }) => pid));
  return members.filter((row) => row.state !== 'Z' || pids.has(row.ppid));
}

/** What a process's descriptor refers to (`pipe:[1234]`, `/tmp/file`), or undefined where the kernel does not tell. */
export function descriptorTarget(pid: number, fd: number): string | undefined {
  return hasProc ? readlinkSync(`/proc/${pid}/fd/${fd}`) : undefined;
}

/** A field of /proc/self/fdinfo/FD, such as `pos`, or undefined where the kernel does not tell. */
export function descriptorInfo(fd: number, field: string): string | undefined {
  const text = hasProc ? readProc(`/proc/self/fdinfo/${fd}`) : undefined;
  return text === undefined ? undefined : new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1];
}
