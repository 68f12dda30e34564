/** Run a script under trace: collect what its processes write down, and watch from outside what they cannot know of themselves. */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { native } from '../../native';
import { readProc } from '../../posix/proc';
import { exitCodeOf } from '../exit-codes';
import { FILE_VARIABLE, now, type TraceEvent } from './events';

export interface Recording {
  readonly events: readonly TraceEvent[];
  /** The script's own exit code, 128+n for signal n. */
  readonly exitCode: number;
}

/** How often the tracer looks for new events and at zombies, in milliseconds. */
const LOOK_EVERY = 2;
/** How long an orphan that has ended may take its new parent before the trace ends without that. */
const REAPED_WITHIN = 100;
/** proc_pid_stat(5): state, ppid and exit_code by their position after the name. */
const STATE = 0;
const PPID = 1;
const EXIT_CODE = 49;

export async function recordScript(script: string, args: readonly string[], lingerMs: number): Promise<Recording> {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-trace-'));
  try {
    const file = join(folder, 'events');
    writeFileSync(file, '');
    return await new Recorder(file).run(script, args, lingerMs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Recorder {
  readonly #file: string;
  readonly #events: TraceEvent[] = [];
  #unread = '';
  #position = 0;
  /** Processes that have begun and whose row in the process table has not been seen to go, with their pidfd watch. */
  readonly #alive = new Map<number, Watched>();

  constructor(file: string) {
    this.#file = file;
  }

  async run(script: string, args: readonly string[], lingerMs: number): Promise<Recording> {
    const fd = openSync(this.#file, 'r');
    const root = spawn(process.execPath, [...process.execArgv, script, ...args], {
      stdio: 'inherit',
      env: { ...process.env, [FILE_VARIABLE]: this.#file, NODE_OPTIONS: withPreload(process.env['NODE_OPTIONS']) },
    });
    // Control-C goes to the script as well, which decides; other requests to end are passed on.
    const passOn = (signal: NodeJS.Signals): void => void root.kill(signal);
    process.on('SIGINT', () => {});
    (['SIGTERM', 'SIGHUP', 'SIGQUIT'] as const).forEach((signal) => process.on(signal, passOn));

    const look = setInterval(() => {
      this.#read(fd);
      this.#lookAtZombies();
    }, LOOK_EVERY);
    try {
      const exitCode = await new Promise<number>((resolve, reject) => {
        root.on('error', reject);
        root.on('exit', (code, signal) => {
          const status = signal === null ? (code ?? 0) << 8 : exitCodeOf(null, signal) - 128;
          this.#read(fd);
          this.#gone(root.pid as number, { ppid: null, status });
          resolve(exitCodeOf(code, signal));
        });
      });
      await this.#linger(lingerMs, () => [...this.#alive.values()].some(({ ended }) => !ended));
      await this.#linger(REAPED_WITHIN, () => this.#alive.size > 0);
      this.#read(fd);
      return { events: this.#events, exitCode };
    } finally {
      clearInterval(look);
      for (const { watch } of this.#alive.values()) if (watch !== undefined) native.unwatch(watch);
      closeSync(fd);
    }
  }

  async #linger(limit: number, condition: () => boolean): Promise<void> {
    const deadline = now() + limit;
    while (condition() && now() < deadline) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }

  /** Take in what has been written since the last time. */
  #read(fd: number): void {
    const buffer = Buffer.alloc(65536);
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, this.#position);
      if (length === 0) break;
      this.#position += length;
      this.#unread += buffer.toString('utf8', 0, length);
    }
    const lines = this.#unread.split('\n');
    this.#unread = lines.pop() ?? '';
    for (const line of lines) this.#note(JSON.parse(line) as TraceEvent);
  }

  #note(event: TraceEvent): void {
    this.#events.push(event);
    if (event.event === 'start') this.#watch(event.pid);
    else if (event.event === 'fork' || event.event === 'spawn') this.#watch(event.child);
    else if (event.event === 'wait') this.#forget(event.child);
  }

  #watch(pid: number): void {
    if (this.#alive.has(pid)) return;
    const process: Watched = { watch: undefined, ended: false, last: undefined };
    this.#alive.set(pid, process);
    // A pidfd tells the moment of the end, whoever the parent is; where it cannot be had, looking has to do.
    const watch = native.watchPid(pid, () => {
      this.#events.push({ event: 'ended', t: now(), pid });
      process.ended = true;
      this.#unwatch(pid);
      this.#lookAtZombies();
    });
    if (watch > 0) process.watch = watch;
  }

  #unwatch(pid: number): void {
    const process = this.#alive.get(pid);
    if (process?.watch === undefined) return;
    native.unwatch(process.watch);
    process.watch = undefined;
  }

  /** Zombies are shown until somebody waits for them; only there does the table tell the status of a killed process. */
  #lookAtZombies(): void {
    for (const [pid, process] of this.#alive) {
      if (process.watch !== undefined) continue; // the kernel will tell of its end
      const stat = readStat(pid);
      if (stat === undefined) this.#gone(pid, process.last);
      else if (stat[STATE] === 'Z') {
        if (!process.ended) this.#events.push({ event: 'ended', t: now(), pid });
        process.ended = true;
        process.last = { ppid: Number(stat[PPID]), status: Number(stat[EXIT_CODE]) };
      }
    }
  }

  #gone(pid: number, last: LastSeen | undefined): void {
    if (!this.#alive.has(pid)) return;
    this.#events.push({ event: 'gone', t: now(), pid, ppid: last?.ppid ?? null, status: last?.status ?? null });
    this.#forget(pid);
  }

  #forget(pid: number): void {
    this.#unwatch(pid);
    this.#alive.delete(pid);
  }
}

interface Watched {
  /** The pidfd's watch; undefined once the end is known, or where there are no pidfds. */
  watch: number | undefined;
  ended: boolean;
  last: LastSeen | undefined;
}

/** What was in the process table when the process was last seen there, as a zombie. */
interface LastSeen {
  /** Its parent, who alone can wait for it; null when that is the tracer. */
  readonly ppid: number | null;
  readonly status: number;
}

/** The fields of /proc/PID/stat after the name, or undefined when the process has gone. */
function readStat(pid: number): string[] | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** NODE_OPTIONS reaches every Node below the script; its own quoting rules are those of a JSON string. */
function withPreload(options = ''): string {
  return `${options} --require ${JSON.stringify(join(__dirname, 'preload.js'))}`.trim();
}
