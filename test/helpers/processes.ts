/** What the tests see of other processes, through /proc, and how they end what a test left behind. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';

/** One process as the kernel shows it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  /** proc_pid_stat(5)'s letter: R running, S sleeping, Z zombie, T stopped. */
  readonly state: string;
  readonly name: string;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // the process has gone meanwhile, or is not ours to look at
  }
}

/** The process with this pid, or undefined when there is none. */
export function processInfo(pid: number): ProcessInfo | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const end = stat.lastIndexOf(')');
  const [state, ppid, pgrp, session] = stat.slice(end + 2).split(' ');
  return {
    pid,
    ppid: Number(ppid),
    pgrp: Number(pgrp),
    session: Number(session),
    state: state ?? '?',
    name: stat.slice(stat.indexOf('(') + 1, end),
  };
}

/** Every process that belongs to a test program: in its session, or carrying its mark in the environment. */
export function membersOf(session: number, mark: string): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  if (!existsSync('/proc/self')) return found; // macOS: no leftover check there
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const info = processInfo(Number(entry));
    if (info === undefined || info.pid === process.pid) continue;
    const isMember = info.session === session || read(`/proc/${entry}/environ`)?.includes(mark) === true;
    // A zombie whose parent is no member waits for init (or for whoever adopted it), not for us.
    if (isMember && !(info.state === 'Z' && info.ppid !== session)) found.push(info);
  }
  return found;
}

/** Lines for a failure message: who was there, in which state, after how much CPU time, and where each thread stands. */
export function describeProcesses(processes: readonly ProcessInfo[]): string {
  return processes.map((p) => [headline(p), ...threadLines(p.pid), ...stackLines(p.pid)].join('\n')).join('\n');
}

function headline(p: ProcessInfo): string {
  const stat = read(`/proc/${p.pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  const [user, system, started] = [11, 12, 19].map((field) => Number(fields[field]) / 100);
  const up = Number(read('/proc/uptime')?.split(' ')[0]);
  const cpu = `user ${user} s, system ${system} s, started ${(up - (started ?? NaN)).toFixed(2)} s ago`;
  return `  pid ${p.pid} ppid ${p.ppid} pgrp ${p.pgrp} session ${p.session} ${p.state} ${p.name}: ${cpu}`;
}

/** proc_pid_syscall(5): the call a thread sleeps in, by number, or `running`. */
function threadLines(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((tid) => {
      const file = (name: string) => read(`/proc/${pid}/task/${tid}/${name}`)?.trim() ?? '';
      return `    thread ${tid} ${file('comm')}: ${file('syscall')} ${file('wchan')}`;
    });
  } catch {
    return []; // it has gone meanwhile
  }
}

/** The threads' stacks, where gdb is installed: a hang seen once is worth all that can be known of it. */
function stackLines(pid: number): string[] {
  const command = ['-p', String(pid), '-batch', '-nx', '-ex', 'thread apply all bt 12'];
  const { stdout } = spawnSync('gdb', command, {
    encoding: 'utf8',
    timeout: 30_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return (stdout ?? '')
    .split('\n')
    .flatMap((line) => (/^(Thread|#)/.test(line) ? [`      ${line.slice(0, 200)}`] : []));
}

/** Kill exactly these processes; one that has gone meanwhile is no error. */
export function killAll(processes: readonly ProcessInfo[]): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
