/** What `realfork doctor` looks at, one entry per line of its output. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { promises as fs } from 'node:fs';
import { arch, release } from 'node:os';
import { dirname, join } from 'node:path';
import {
  WEXITSTATUS,
  WIFEXITED,
  fork,
  forkSupport,
  getpid,
  getrlimit,
  kill,
  setChildSubreaper,
  waitpidAsync,
} from '../index';
import { errnoName } from '../errors';
import { native } from '../native';
import { processRow } from '../demos/process-table';

export interface Finding {
  readonly name: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do about it. */
  readonly advice?: string;
}

type Answer = Omit<Finding, 'name'>;

interface Check {
  readonly name: string;
  look(): Answer | Promise<Answer>;
}

const isLinux = process.platform === 'linux';
const onlyLinux: Answer = { level: 'warn', found: `not on ${process.platform}` };

function ok(found: string): Answer {
  return { level: 'ok', found };
}

function warn(found: string, advice: string): Answer {
  return { level: 'warn', found, advice };
}

function fail(found: string, advice: string): Answer {
  return { level: 'fail', found, advice };
}

/** A one-line file's content, or undefined when there is no such file for us. */
function line(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EPERM') return undefined;
    throw error;
  }
}

const TESTED_NODES: readonly number[] = [20, 22, 24, 26];
const SELF_TEST_LIMIT = 10_000;
/** Fewer free processes than this is worth a word. */
const FEW_PROCESSES = 64;

export const checks: readonly Check[] = [
  { name: 'node', look: node },
  { name: 'platform', look: platform },
  { name: 'C library', look: libc },
  { name: 'fork', look: forkMode },
  { name: 'fork, tried', look: tryFork },
  { name: 'pidfd', look: pidfd },
  { name: 'futex', look: futex },
  { name: 'subreaper', look: subreaper },
  { name: '/proc', look: proc },
  { name: 'pid 1', look: firstProcess },
  { name: 'memory overcommit', look: overcommit },
  { name: 'RLIMIT_NPROC', look: processLimit },
  { name: 'cgroup pids.max', look: cgroupLimit },
  { name: 'pid_max', look: pidMax },
  { name: 'io_uring', look: ioUring },
];

function node(): Answer {
  const major = Number(process.versions.node.split('.')[0]);
  const found = `${process.version} (V8 ${process.versions.v8}, libuv ${process.versions.uv})`;
  if (major < 20) return fail(found, 'install Node 20 or newer');
  if (!TESTED_NODES.includes(major)) return warn(found, `tested on Node ${TESTED_NODES.join(', ')}, not on this one`);
  return ok(found);
}

function platform(): Answer {
  const found = `${process.platform} ${release()} ${arch()}`;
  if (process.platform === 'win32') return fail(found, 'Windows has no fork(); use Linux, macOS or WSL');
  if (isLinux && process.arch === 'x64') return ok(found);
  return warn(found, 'tested on Linux x64 only; "fork, tried" below tells whether it works here');
}

function libc(): Answer {
  if (!isLinux) return ok(`the one of ${process.platform}`);
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const version = header.glibcVersionRuntime;
  if (version !== undefined) return ok(`glibc ${version}`);
  return warn(
    'not glibc (musl?)',
    "V8's threads cannot be brought back with it; start Node with --single-threaded --v8-pool-size=0, or use a glibc image",
  );
}

function forkMode(): Answer {
  const { mode, reason, inheritance } = forkSupport();
  if (mode === 'full') return ok(`${mode}: ${reason} (memory: ${inheritance})`);
  if (mode === 'single-threaded') return warn(`${mode}: ${reason}`, 'JavaScript Workers and concurrent GC are off');
  return fail(mode, reason);
}

/** Fork once and have the child use what a bare fork() would have broken: a timer, libuv's pool, its exit. */
async function tryFork(): Promise<Answer> {
  const advice = 'please report it, with the output of "realfork doctor --json"';
  const started = performance.now();
  const pid = fork();
  if (pid === 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await fs.stat('/');
    process.exit(42);
  }
  const timer = setTimeout(() => kill(pid, 'SIGKILL'), SELF_TEST_LIMIT);
  const { status } = await waitpidAsync(pid);
  clearTimeout(timer);
  if (WIFEXITED(status) && WEXITSTATUS(status) === 42) {
    return ok(
      `a child ran timers and fs.promises and was waited for, in ${(performance.now() - started).toFixed(0)} ms`,
    );
  }
  return fail(`the child ended with wait status 0x${status.toString(16)}`, advice);
}

function pidfd(): Answer {
  if (!isLinux) return warn(`not on ${process.platform}`, 'waitpidAsync() uses SIGCHLD instead');
  const watch = native.watchPid(getpid(), () => {});
  if (watch < 0) return warn(`none: ${errnoName(-watch)}`, 'waitpidAsync() uses SIGCHLD instead; Linux 5.4 has pidfds');
  native.unwatch(watch);
  return ok('children can be waited for without SIGCHLD');
}

/** Reached only after a fork that has worked: holding V8's threads still takes futex(2). */
function futex(): Answer {
  if (!isLinux) return onlyLinux;
  return ok(
    forkSupport().mode === 'full' ? "works: it held V8's threads during the fork above" : 'not used in this mode',
  );
}

function subreaper(): Answer {
  if (!isLinux) return onlyLinux;
  setChildSubreaper(true);
  setChildSubreaper(false);
  return ok('orphans can be adopted (prctl PR_SET_CHILD_SUBREAPER)');
}

function proc(): Answer {
  if (!isLinux) return onlyLinux;
  if (!existsSync('/proc/self/stat')) {
    return fail('not mounted', 'mount -t proc proc /proc; fork() reads the list of threads there');
  }
  if (!existsSync('/proc/thread-self/children')) {
    return warn('mounted, without children files', 'zombies() and processTree() read the whole of /proc instead');
  }
  return ok('mounted, with children files');
}

function firstProcess(): Answer {
  if (!isLinux) return ok('the system');
  const name = processRow(1)?.name;
  if (name === undefined) return warn('not to be seen', 'whether it reaps orphans cannot be told');
  const zombies = readdirSync('/proc').filter((entry) => {
    const row = /^\d+$/.test(entry) ? processRow(Number(entry)) : undefined;
    return row?.state === 'Z' && row.ppid === 1;
  }).length;
  if (zombies === 0) return ok(`${name}, which has no zombies`);
  return warn(`${name}, which has ${zombies} zombies`, 'start the container with "realfork init -- command"');
}

function overcommit(): Answer {
  if (!isLinux) return onlyLinux;
  const mode = line('/proc/sys/vm/overcommit_memory');
  if (mode !== '2') return ok(`mode ${mode ?? 'unknown'}`);
  return warn('mode 2 (never)', 'a fork needs as much free commit as the process has memory; ENOMEM otherwise');
}

function processLimit(): Answer {
  const { soft } = getrlimit('RLIMIT_NPROC');
  const found = Number.isFinite(Number(soft)) ? `${soft} threads for this user` : 'none';
  const note = process.getuid?.() === 0 ? ' (not enforced for root)' : '';
  if (Number(soft) < FEW_PROCESSES && note === '') {
    return warn(found, `a Node process has about 11 threads; raise it with "ulimit -u" or in limits.conf`);
  }
  return ok(found + note);
}

/** The lowest pids.max on the way from this process's cgroup to the root, version 2 or 1. */
function cgroupLimit(): Answer {
  if (!isLinux) return onlyLinux;
  const entries = (line('/proc/self/cgroup') ?? '').split('\n').map((entry) => entry.split(':'));
  const v1 = entries.find(([, controllers]) => controllers?.split(',').includes('pids'));
  const [root, path] =
    v1 !== undefined ? ['/sys/fs/cgroup/pids', v1[2]] : ['/sys/fs/cgroup', entries.find(([n]) => n === '0')?.[2]];
  let tightest: { folder: string; max: number } | undefined;
  for (let folder = join(root, path ?? '/'); folder.startsWith(root); folder = dirname(folder)) {
    const max = Number(line(join(folder, 'pids.max'))); // 'max' and a missing file give NaN
    if (max < (tightest?.max ?? Infinity)) tightest = { folder, max };
  }
  if (tightest === undefined) return ok('none');
  const used = Number(line(join(tightest.folder, 'pids.current')) ?? 0);
  const found = `${tightest.max} threads, ${used} in use (${tightest.folder})`;
  return tightest.max - used < FEW_PROCESSES ? warn(found, 'raise it, or expect EAGAIN from fork()') : ok(found);
}

function pidMax(): Answer {
  if (!isLinux) return onlyLinux;
  const max = Number(line('/proc/sys/kernel/pid_max') ?? NaN);
  const [, running = '0', total = '0'] = /(\d+)\/(\d+)/.exec(line('/proc/loadavg') ?? '') ?? [];
  const found = `${max} pids, ${total} threads exist, ${running} runnable`;
  return max - Number(total) < 1000 ? warn(found, 'raise kernel.pid_max') : ok(found);
}

function ioUring(): Answer {
  if (!isLinux) return onlyLinux;
  if (process.env['UV_USE_IO_URING'] === '1') {
    return warn('switched on (UV_USE_IO_URING=1)', "a child does without it; requests under way stay the parent's");
  }
  return ok('not used by this Node');
}
