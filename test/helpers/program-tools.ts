/** What a test program gets as its second argument; see program.ts. Runs inside the program. */
import { writeSync } from 'node:fs';
import { pace } from './pace';

/** test/native/helper.c. Calls that can fail return the errno, 0 for success. */
export interface NativeHelper {
  /** pthread_sigmask(3): the mask of the calling thread alone. */
  blockInThisThread(signal: number): number;
  readonly F_RDLCK: number;
  readonly F_WRLCK: number;
  readonly F_UNLCK: number;
  readonly LOCK_SH: number;
  readonly LOCK_EX: number;
  readonly LOCK_UN: number;
  readonly LOCK_NB: number;
  pipe(): [number, number];
  socketpair(): [number, number];
  setRecordLock(fd: number, type: number): number;
  recordLockHolder(fd: number): number;
  flock(fd: number, operation: number): number;
  map(fd: number, length: number, isShared: boolean): ArrayBuffer;
  lockMemory(memory: ArrayBuffer): number;
  setSchedulerBatch(): number;
  isSchedulerBatch(): boolean;
  createTimer(): number;
  timerState(): number;
  startThread(): number;
  threadTicks(): number;
  startEmitter(callback: () => void, burst: number): number;
  stopEmitter(): number;
  unrefEmitter(): number;
}

export interface ThreadState {
  readonly tid: number;
  /** How often it has gone to wait. */
  readonly waits: number;
  /** Its CPU time in milliseconds. */
  readonly cpu: number;
  readonly uid: number;
  readonly gid: number;
  /** The signals it has blocked, bit 0 for signal 1, as hexadecimal digits. */
  readonly blocked: string;
}

export interface Tools {
  /** System calls that only tests need; loaded at first use. */
  readonly helper: NativeHelper;
  /** `realfork/multiprocessing`, loaded at first use. */
  readonly mp: typeof import('realfork/multiprocessing');
  /** A module of the package that is not an entry point, such as `internal('shared/arena')`. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the caller knows the module's type
  internal(path: string): any;
  /** `realfork/prefork`, loaded at first use. */
  readonly prefork: typeof import('realfork/prefork').prefork;
  /** A client for the servers of a test. */
  readonly http: typeof import('./http-client');
  /** How slow this machine is, from 1: for times that a test chooses. */
  readonly pace: number;
  /** `options.args` of the test. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- JSON of any shape
  readonly args: readonly any[];
  /** One pipe(2) for each name: checkpoints between the processes. */
  pipes<Name extends string>(...names: Name[]): Record<Name, { readonly read: number; readonly write: number }>;
  /** Give the test a JSON value, from any process of the program: one write(2), so that lines do not mix. */
  report(value: unknown): void;
  /** Keep the CPU busy for so many milliseconds. */
  burn(ms: number): void;
  /** Use so many milliseconds of CPU time, however long that takes on a busy machine. */
  burnCpu(ms: number): void;
  /** Wait until `condition` holds; after `deadlineMs`, multiplied by the pace of the machine, throw, naming `what`. */
  waitUntil(condition: () => unknown, what: string, deadlineMs?: number): Promise<void>;
  /** The fields of /proc/<pid>/stat after the name: [state, ppid, ...], or undefined when the process is gone. */
  stat(pid: number): string[] | undefined;
  /** The threads beside the main one: from /proc/self/task. */
  threads(): ThreadState[];
  /** What `call` throws, as data: `{ name, code, errno, syscall, pid, fd, path }`, absent fields left out. */
  caught(call: () => unknown): Readonly<Record<string, unknown>>;
}

export function tools(args: readonly unknown[]): Tools {
  const { readFileSync } = require('node:fs') as typeof import('node:fs');
  return {
    get helper() {
      return require('../../test/native/build/Release/test_helper.node') as NativeHelper;
    },
    get mp() {
      return require('../../dist/multiprocessing.js') as Tools['mp'];
    },
    internal(path) {
      return require(`../../dist/${path}.js`) as unknown;
    },
    get prefork() {
      return (require('../../dist/prefork.js') as typeof import('realfork/prefork')).prefork;
    },
    get http() {
      return require('./http-client.js') as Tools['http'];
    },
    pace,
    args,
    pipes(...names) {
      const made = names.map((name) => {
        const [read, write] = this.helper.pipe();
        return [name, { read, write }];
      });
      return Object.fromEntries(made) as ReturnType<Tools['pipes']>;
    },
    report(value) {
      writeSync(1, `@report ${JSON.stringify(value ?? null)}\n`);
    },
    burn(ms) {
      const end = performance.now() + ms;
      while (performance.now() < end);
    },
    burnCpu(ms) {
      const used = () => {
        const { user, system } = process.cpuUsage();
        return user + system;
      };
      for (const end = used() + ms * 1000; used() < end;) this.burn(1);
    },
    async waitUntil(condition, what, deadlineMs = 5_000) {
      const deadline = performance.now() + deadlineMs * pace;
      for (let pause = 1; !condition(); pause = Math.min(pause * 2, 50)) {
        if (performance.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    },
    threads() {
      const { readdirSync } = require('node:fs') as typeof import('node:fs');
      const tids = readdirSync('/proc/self/task').filter((tid) => Number(tid) !== process.pid);
      return tids.map((tid) => {
        const read = (file: string) => readFileSync(`/proc/self/task/${tid}/${file}`, 'latin1');
        const status = read('status');
        const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)![1]);
        return {
          tid: Number(tid),
          waits: field('voluntary_ctxt_switches'),
          cpu: parseInt(read('schedstat'), 10) / 1e6,
          uid: field('Uid'),
          gid: field('Gid'),
          blocked: /^SigBlk:\s+(\w+)/m.exec(status)![1] as string,
        };
      });
    },
    stat(pid) {
      try {
        const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
        return text.slice(text.lastIndexOf(')') + 2).split(' ');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH') {
          return undefined;
        }
        throw error;
      }
    },
    caught(call) {
      let result: unknown;
      try {
        result = call();
      } catch (error) {
        const { name, code, errno, syscall, pid, fd, path } = error as NodeJS.ErrnoException & Record<string, unknown>;
        return JSON.parse(JSON.stringify({ name, code, errno, syscall, pid, fd, path })) as Record<string, unknown>;
      }
      throw new Error(`no exception; the result is ${JSON.stringify(result)}`);
    },
  };
}
