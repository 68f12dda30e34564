/**
 * Loaded (`--require`) into the traced script and every Node below it: writes down forks, exits and waits. Each event is one
 * write(2) to a file opened for appending, so that lines of different processes do not mix, and no descriptor stays open in a
 * program that may close or count them all.
 */
import { ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { WIFEXITED, WIFSIGNALED, WNOWAIT } from '../../index';
import type { Native } from '../../native';
import { FILE_VARIABLE, now, type Unstamped } from './events';

const file = process.env[FILE_VARIABLE];

function record(event: Unstamped): void {
  try {
    appendFileSync(file as string, `${JSON.stringify({ t: now(), pid: process.pid, ...event })}\n`);
  } catch (error) {
    // An event lost for want of descriptors or space is better than a script that behaves otherwise when traced.
    const { code } = error as NodeJS.ErrnoException;
    if (!['EMFILE', 'ENFILE', 'ENOSPC', 'ENOENT', 'EACCES'].includes(code ?? '')) throw error;
  }
}

/** The folders of compiled code of each copy of the package that the script may load: its own, and this one. */
function copies(): Set<string> {
  const folders = new Set([join(__dirname, '..', '..')]);
  const script = process.argv[1];
  if (script !== undefined) {
    try {
      folders.add(dirname(createRequire(resolve(script)).resolve('realfork')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error; // it uses none, or this one
    }
  }
  return folders;
}

function traceCopy(folder: string): void {
  const load = createRequire(__filename);
  const { registerAtFork } = load(folder) as typeof import('../../index');
  const { native } = load(join(folder, 'native')) as { native: Native };
  let from = 0;
  registerAtFork({
    before: () => (from = now()),
    afterInChild: () => record({ event: 'fork', child: process.pid, ppid: process.ppid, from }),
  });
  // A child that is killed at once has no time to speak for itself, so both sides do.
  replace(native, 'fork', (fork) => () => {
    const result = fork();
    if (typeof result === 'number' && result > 0) {
      record({ event: 'fork', child: result, ppid: process.pid, from });
    }
    return result;
  });
  traceWaits(native);
  traceExec(native);
}

/** Put another function in the place of one of the addon's; the package looks them up on each call. */
function replace<Name extends keyof Native>(
  native: Native,
  name: Name,
  make: (original: Native[Name]) => Native[Name],
) {
  Object.defineProperty(native, name, {
    value: make(native[name]),
    configurable: true,
    enumerable: true,
    writable: true,
  });
}

function traceExec(native: Native): void {
  replace(native, 'exec', (exec) => (syscall, file, candidates, args, env, scripts) => {
    record({ event: 'exec', command: args.join(' ') });
    return exec(syscall, file, candidates, args, env, scripts);
  });
}

/** Note that `child` has been waited for, if the status tells of an end and not of a stop or a continue. */
function waited(child: number, status: number, from: number): void {
  if (child > 0 && (WIFEXITED(status) || WIFSIGNALED(status))) record({ event: 'wait', child, status, from });
}

/** Every call of the addon that can take a child's status. */
function traceWaits(native: Native): void {
  const noting = <Args extends unknown[], Result extends { readonly pid: number; readonly status: number }>(
    call: (...args: Args) => Result,
  ) => {
    return (...args: Args): Result => {
      const from = now();
      const result = call(...args);
      waited(result.pid, result.status, from);
      return result;
    };
  };
  replace(native, 'wait', noting);
  replace(native, 'waitpid', noting);
  replace(native, 'wait4', noting);
  replace(native, 'waitid', (waitid) => (idtype, id, options) => {
    const from = now();
    const result = waitid(idtype, id, options);
    if ((options & WNOWAIT) === 0) waited(result.pid, rawStatus(result.code, result.status), from);
    return result;
  });

  // The calls behind waitpidAsync and Reaper: they do not block, so the wait has no length.
  replace(native, 'pollChild', (pollChild) => (pid, options) => {
    const status = pollChild(pid, options);
    if (status !== null && status >= 0) waited(pid, status, now());
    return status;
  });
  const watched = new Map<number, number>();
  replace(native, 'watchPid', (watchPid) => (pid, onReady) => {
    const watch = watchPid(pid, onReady);
    watched.set(watch, pid);
    return watch;
  });
  replace(native, 'collectWatched', (collectWatched) => (watch) => {
    const status = collectWatched(watch);
    if (status !== null && status >= 0) waited(watched.get(watch) ?? 0, status, now());
    return status;
  });
  replace(native, 'unwatch', (unwatch) => (watch) => {
    watched.delete(watch);
    return unwatch(watch);
  });
}

/** waitid(2)'s code and status as the one number that waitpid(2) gives: CLD_EXITED, else killed, perhaps with a core. */
function rawStatus(code: number, status: number): number {
  const [EXITED, KILLED, DUMPED] = [1, 2, 3];
  if (code === EXITED) return (status & 0xff) << 8;
  return code === KILLED ? status : code === DUMPED ? status | 0x80 : 0x7f;
}

function traceChildProcess(): void {
  const prototype = ChildProcess.prototype as unknown as {
    spawn(options: { readonly file: string; readonly args?: readonly string[] }): number;
  };
  const { spawn } = prototype;
  prototype.spawn = function (this: ChildProcess, options) {
    const result = spawn.call(this, options);
    const child = this.pid;
    if (child !== undefined) {
      record({ event: 'spawn', child, command: (options.args ?? [options.file]).join(' ') });
      this.once('exit', (code, signal) => {
        const status = signal === null ? (code ?? 0) << 8 : constants.signals[signal];
        record({ event: 'wait', child, status, from: now() });
      });
    }
    return result;
  };
}

if (file !== undefined && existsSync(file)) {
  record({ event: 'start', ppid: process.ppid, command: ['node', ...process.argv.slice(1)].join(' ') });
  for (const folder of copies()) traceCopy(folder);
  traceChildProcess();
  process.on('exit', (code) => record({ event: 'exit', code }));
}
