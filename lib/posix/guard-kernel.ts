/**
 * The kernel's own limits behind a guard, Linux only: for what the guard does not see, `child_process` and other programs.
 * Both count tasks (threads as well as processes), so that they stand well above the guard's limit.
 *
 *     cgroup   a group of our own below this process's (cgroup v1 or v2), with `pids.max`: exact, for the tree alone
 *     rlimit   RLIMIT_NPROC of this process and of what it makes: counts whatever the user runs; does not bind root
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { native } from '../native';
import { getrlimit, RLIMIT_NPROC, setrlimit } from './limits';

/** A Node process has about a dozen threads; the rest is for Workers, native threads and short-lived helpers. */
const TASKS_PER_PROCESS = 64;

/** A limit that has been set. */
export interface KernelFence {
  readonly kind: 'rlimit' | 'cgroup';
  /** Take it away again; what cannot be taken away is opened as far as it will go. */
  remove(): void;
}

/** Set the strongest kernel limit that this process may set, or none. */
export function raiseFence(maxProcesses: number): KernelFence | undefined {
  if (process.platform !== 'linux') return undefined;
  const tasks = TASKS_PER_PROCESS * (maxProcesses + 1);
  return cgroupFence(tasks) ?? rlimitFence(tasks);
}

/** What a step gives, or undefined where the kernel refuses it: then there is no such fence, which is an answer. */
function unlessRefused<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).errno === undefined) throw error;
    return undefined;
  }
}

// ------------------------------------------------------------------------------------------------ cgroup

const PREFIX = 'realfork-guard-';
let made = 0;

interface PidsGroup {
  readonly folder: string;
  readonly version: 1 | 2;
}

/** The folder of this process's cgroup in the hierarchy that counts tasks. cgroups(7), proc_pid_mountinfo(5) */
function pidsGroup(): PidsGroup | undefined {
  const groups = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  for (const version of [1, 2] as const) {
    const line = groups.find((text) => (version === 1 ? /^\d+:([^:]*,)?pids[,:]/ : /^0::/).test(text));
    const path = line?.slice(line.indexOf(':', line.indexOf(':') + 1) + 1);
    for (const mount of mounts) {
      const [before = '', after = ''] = mount.split(' - ');
      const [type, , options = ''] = after.split(' ');
      const [, , , root = '', folder = ''] = before.split(' ');
      const counts = version === 1 ? type === 'cgroup' && options.split(',').includes('pids') : type === 'cgroup2';
      if (!counts || path === undefined || !path.startsWith(root)) continue;
      return { folder: join(folder, path.slice(root === '/' ? 0 : root.length)), version };
    }
  }
  return undefined;
}

function cgroupFence(tasks: number): KernelFence | undefined {
  return unlessRefused(() => {
    const parent = pidsGroup();
    if (parent === undefined) return undefined;
    removeStale(parent.folder);
    const folder = join(parent.folder, `${PREFIX}${native.getpid()}-${++made}`);
    mkdirSync(folder);
    const undo = [() => rmdirSync(folder)];
    try {
      writeFileSync(join(folder, 'cgroup.procs'), String(native.getpid()));
      undo.unshift(() => moveAll(folder, parent.folder));
      if (parent.version === 2) undo.unshift(...delegatePids(parent.folder));
      const current = Number(readFileSync(join(folder, 'pids.current'), 'utf8'));
      writeFileSync(join(folder, 'pids.max'), String(current + tasks));
    } catch (error) {
      for (const step of undo) unlessRefused(step);
      throw error;
    }
    return {
      kind: 'cgroup',
      remove() {
        unlessRefused(() => writeFileSync(join(folder, 'pids.max'), 'max')); // in case the folder has to stay
        for (const step of undo) unlessRefused(step);
      },
    };
  });
}

/**
 * cgroup v2 lends a controller to the groups below only while the group itself has no processes ("no internal processes"):
 * where others than this one are in it the kernel says EBUSY, and there is no fence. Returns how to undo it.
 */
function delegatePids(folder: string): (() => void)[] {
  const control = join(folder, 'cgroup.subtree_control');
  if (readFileSync(control, 'utf8').trim().split(' ').includes('pids')) return [];
  writeFileSync(control, '+pids');
  return [() => writeFileSync(control, '-pids')];
}

/** Move every process, and those that the others make before they are moved themselves. */
function moveAll(from: string, to: string): void {
  for (let pass = 0; pass < 100; pass++) {
    const pids = readFileSync(join(from, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean);
    if (pids.length === 0) return;
    const moved = pids.map((pid) => unlessRefused(() => (writeFileSync(join(to, 'cgroup.procs'), pid), true)));
    if (!moved.includes(true)) return; // zombies, which cannot be moved
  }
}

/** Groups whose setter was killed before it could lift its guard; one that still has members stays (EBUSY). */
function removeStale(parent: string): void {
  for (const name of readdirSync(parent)) {
    const setter = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : NaN;
    if (setter > 0 && unlessRefused(() => process.kill(setter, 0)) === undefined) {
      unlessRefused(() => rmdirSync(join(parent, name)));
    }
  }
}

// ------------------------------------------------------------------------------------------------ rlimit

/** capabilities(7): either of CAP_SYS_ADMIN and CAP_SYS_RESOURCE frees a process from RLIMIT_NPROC, and so does uid 0. */
function isBoundByNproc(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const freeing = (1n << 21n) | (1n << 24n);
  return process.getuid?.() !== 0 && effective !== undefined && (BigInt(`0x${effective}`) & freeing) === 0n;
}

/** The tasks that RLIMIT_NPROC counts for this process: those of its real user. */
function tasksOfUser(): number {
  let tasks = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const status = unlessRefused(() => readFileSync(`/proc/${name}/status`, 'latin1')); // gone meanwhile
    const uid = /^Uid:\s*(\d+)/m.exec(status ?? '')?.[1];
    if (Number(uid) === process.getuid?.()) tasks += Number(/^Threads:\s*(\d+)/m.exec(status ?? '')?.[1] ?? 1);
  }
  return tasks;
}

function rlimitFence(tasks: number): KernelFence | undefined {
  return unlessRefused(() => {
    if (!isBoundByNproc()) return undefined;
    const { soft: before } = getrlimit(RLIMIT_NPROC);
    const soft = Math.min(before, tasksOfUser() + tasks);
    setrlimit(RLIMIT_NPROC, { soft });
    return {
      kind: 'rlimit',
      remove() {
        // Somebody else's later limit is not ours to lift.
        if (getrlimit(RLIMIT_NPROC).soft === soft) setrlimit(RLIMIT_NPROC, { soft: before });
      },
    };
  });
}
