/**
 * Load the addon and describe it: the typed boundary between TypeScript and C++. Arguments are validated before they
 * get here (`lib/validate.ts`); the native side asserts, calls the kernel and converts.
 */
import { join } from 'node:path';
import { errorFromNative, setErrnoNames, setStrerror, type ForkLimit } from './errors';

/** What the addon found out about this host and this Node; `posix/support.ts` draws the conclusion. */
export interface NativeForkFacts {
  readonly revivesThreads: boolean;
  readonly v8Threads: number;
  /** Workers that the last fork found running. */
  readonly workers: number;
  readonly inheritance: 'redirect' | 'scan' | 'native';
  readonly missingSymbol: string | null;
}

/** What the C library's headers define and Node's own `constants` lack. */
export type NativeConstants = Readonly<
  Record<
    | 'WNOHANG'
    | 'WUNTRACED'
    | 'WCONTINUED'
    | 'WEXITED'
    | 'WSTOPPED'
    | 'WNOWAIT'
    | 'P_ALL'
    | 'P_PID'
    | 'P_PGID'
    | 'P_PIDFD'
    | 'CLD_EXITED'
    | 'CLD_KILLED'
    | 'CLD_DUMPED'
    | 'CLD_TRAPPED'
    | 'CLD_STOPPED'
    | 'CLD_CONTINUED'
    | 'O_CLOEXEC'
    | 'O_NONBLOCK',
    number
  >
>;
/** What a waiting call learnt about a signal; see `posix/signal-mask.ts`. */
export interface NativeSignalInfo {
  readonly number: number;
  readonly code: number;
  readonly pid: number;
  readonly uid: number;
  readonly status: number;
}

/** A segment of shared memory, as `shared_memory.cc` keeps it. */
export interface NativeSegment {
  readonly segment: unique symbol;
}

export interface NativeSegmentMemory {
  readonly segment: NativeSegment;
  readonly buffer: ArrayBuffer;
}

/** A file that could not be copied: which call failed, on the source or on the target. */
export interface NativeCopyFailure {
  readonly index: number;
  readonly errno: number;
  readonly syscall: string;
  readonly onSource: boolean;
}

/** The functions of the addon, grouped by the C++ file that defines them. */
export interface Native {
  // posix_error.cc
  setErrorFactory(factory: typeof errorFromNative): void;
  strerror(errno: number): string;
  errnoNames(): Record<string, number>;
  // arena_bindings.cc; see shared/arena.ts and sync/
  /** 0, or an errno. `fd` -1: a new one; `slot` -1: none was reserved. */
  arenaOpen(fd: number, slot: number): number;
  /** A slot for a process that will join by exec, -1 when there is none. */
  reserveSlot(): number;
  arenaFacts(): { fd: number; size: number; id: Buffer; words: ArrayBuffer; pending: ArrayBuffer };
  arenaSelf(): number;
  /** 0 when there is none left. */
  allocateCell(): number;
  allocateBlock(bytes: number): number;
  /** `isSparse`: V8 does not take its length for memory that it could free. */
  blockBuffer(offset: number, isSparse: boolean): ArrayBuffer | undefined;
  /** What V8 is to take for memory that it could free. */
  accountFor(bytes: number): void;
  markSent(offset: number): void;
  reclaim(offset: number): 'freed' | 'later' | 'never';
  freeCell(offset: number): void;
  arenaSlot(): [slot: number, born: number];
  slotLives(slot: number, born: number): boolean;
  sweepArena(): void;
  robustLink(offset: number): void;
  robustUnlink(offset: number): void;
  /** 0: held by somebody; 1: taken; 2: taken, the last holder had died. */
  robustTry(offset: number): 0 | 1 | 2;
  robustAcquire(offset: number, milliseconds: number, patient: boolean): 0 | 1 | 2;
  /** 1 or 2, or the value of the word to wait for. */
  robustTryOrMark(offset: number): number;
  robustRelease(offset: number, own: boolean): boolean;
  robustEntry(offset: number): number;
  gateOpen(gate: number): void;
  gateTakeOrMark(gate: number, count: number): boolean;
  gateWait(gate: number, count: number, milliseconds: number): boolean;
  wordWait(offset: number, expected: number, milliseconds: number): boolean;
  wordWake(offset: number, count: number): number;
  wordSetAndWake(offset: number, bit: number): void;
  onWaitEnd(onEnd: (id: number, timedOut: boolean) => void): void;
  /** The wait's id (greater than 0), or a negative errno. `goal`: 0 another value, 1 the lock, 2 the number beside the gate. */
  waitStart(
    offset: number,
    expected: number,
    milliseconds: number,
    goal: 0 | 1 | 2,
    passesOn: boolean,
    patient: boolean,
  ): number;
  waitCancel(id: number): void;
  waitRef(keepsLoopAlive: boolean): void;
  waitAbandon(): void;
  // buffer_cache.cc
  takeBuffer(length: number): ArrayBuffer | undefined;
  trimBuffers(): void;
  // children.cc
  childProcessPids(): number[];
  /** The raw status, null when the child has not changed state, or a negative errno. */
  pollChild(pid: number, options: number): number | null;
  /** The raw status, null when the child has not ended within `ms` (less than 0: for ever), or a negative errno. */
  awaitChild(pid: number, ms: number): number | null;
  /** A descriptor, or a negative errno. */
  openPidFd(pid: number): number;
  /** The process group, or a negative errno. */
  groupOf(pid: number): number;
  bootClock(): number;
  clockTicks(): number;
  // clean_child.cc
  flushStdio(): void;
  /** The signals that came meanwhile and were dropped. */
  resetSignals(): number[];
  /** Whether writes to stdout or stderr were among it. */
  dropParentsWork(): boolean;
  refParentsHandles(): void;
  unrefParentsHandles(): void;
  hasQueuedOutput(): boolean;
  /** Does not return to JavaScript; the loop calls the two instead, and `idle` if nothing is left to do then. */
  abandonStack(prepare: () => void, target: () => void, idle: () => void, empty: () => void): void;
  detachInput(): void;
  // connection.cc
  connectionExchange(): ArrayBuffer;
  connectionPair(): [number, number];
  /** 0 packets, 1 a Unix stream, 2 another stream, 3 no socket; or a negative errno. */
  socketKind(fd: number): number;
  /** Bytes, 0 at the end of file, or a negative errno. `target` undefined: the exchange's inbox. */
  receive(fd: number, mode: number, target: Uint8Array | undefined, offset: number, length: number): number;
  /** Bytes, or a negative errno. */
  send(fd: number, mode: number, bytes: Uint8Array, offset: number, length: number, fds?: readonly number[]): number;
  /** 1 readable | 2 writable, 0 when the time is over, or a negative errno; -1 ms waits for ever. */
  pollFd(fd: number, events: number, milliseconds: number): number;
  /** For each descriptor as pollFd, -1 when it is not open; or a negative errno. */
  pollFds(fds: readonly number[], events: readonly number[], milliseconds: number): readonly number[] | number;
  /** `words`: offset and expected value of each. 0 when the time is over, 1 for anything else, or a negative errno. */
  pollFdsAndWords(fds: readonly number[], words: readonly number[], milliseconds: number): number;
  /** 0 or a negative errno. */
  closeFd(fd: number): number;
  // constants.cc
  constants(): NativeConstants;
  // copy.cc; paths have one code unit a byte (latin1)
  /** Mode, times and, where permitted, owner. */
  giveAttributes(from: number, to: number): void;
  /** False when the target exists and is not to be replaced. */
  renameFile(from: string, to: string, replace: boolean): boolean;
  /** Does not follow a symbolic link. */
  setTimes(path: string, accessSeconds: number, accessNanoseconds: number, seconds: number, nanoseconds: number): void;
  /** The bytes copied, 0 at the end of the file, -1 when the kernel cannot copy between the two. */
  copyFileRange(from: number, to: number, offset: number, length: number): number;
  /** Where the next data or hole begins; -1 when there is no more data. */
  seekData(fd: number, offset: number, hole: boolean): number;
  // copy_files.cc
  /** The files, by their index in `names`, that could not be copied. */
  copyFiles(
    folder: string,
    toFolder: string,
    names: readonly string[],
    newNames: readonly string[],
    temporary: string,
    replace: boolean,
  ): NativeCopyFailure[];
  // exec.cc
  /** Returns only by throwing. `env` null: the environment that the C library holds. `scripts`: sh runs what has no format. */
  exec(
    syscall: string,
    file: string,
    candidates: readonly string[],
    args: readonly string[],
    env: readonly string[] | null,
    scripts: boolean,
  ): never;
  // fd.cc
  pipe2(flags: number, syscall: 'pipe' | 'pipe2'): [number, number];
  socketpair(): [number, number];
  dup(fd: number): number;
  dup2(from: number, to: number): number;
  openFds(): number[];
  getCloseOnExec(fd: number): boolean;
  setCloseOnExec(fd: number, on: boolean): void;
  // file_lock.cc
  /** False when another process holds the lock. */
  tryLock(fd: number): boolean;
  // folder.cc
  /** Names of one code unit a byte (latin1), and six numbers for each: mode, size, blocks, dev, ino, nlink. */
  listFolder(path: string): { names: string[]; stats: Float64Array };
  // fork.cc
  /** The child's pid, 0 in the child, or a refusal (see `posix/fork.ts`): a negative number, or a guard's limit. */
  fork(): number | ForkLimit;
  forkFacts(): NativeForkFacts;
  // guard.cc
  /** A negative number is no limit. */
  setForkGuard(maxProcesses: number, maxDepth: number, maxPerSecond: number): number;
  countForkGuard(id: number): number;
  /** False when this process is not the one that set it. */
  liftForkGuard(id: number): boolean;
  // leave.cc
  exitNow(code: number): never;
  leaveProcess(code: number): never;
  // identity.cc
  followCredentials(): void;
  getpid(): number;
  getppid(): number;
  gettid(): number;
  getpgid(pid: number): number;
  setpgid(pid: number, pgid: number): void;
  getpgrp(): number;
  setsid(): number;
  getsid(pid: number): number;
  tcgetpgrp(fd: number): number;
  tcsetpgrp(fd: number, pgid: number): void;
  // listener.cc
  /** A descriptor, or a negative errno; so all of them. `port` undefined: a path. */
  listenAt(hostOrPath: string, port: number | undefined, backlog: number): number;
  acceptAt(fd: number): number;
  connectTo(hostOrPath: string, port: number | undefined): number;
  finishConnecting(fd: number): number;
  socketAddress(fd: number, ofPeer: boolean): string | { host: string; port: number } | number;
  /** Numeric addresses; family 0 is any, 4 or 6. Blocks. */
  resolveHost(name: string, family: number): string[];
  // poller.cc
  pollerOpen(onReady: (...fdsAndEvents: number[]) => void): void;
  /** 0, or a negative errno. */
  pollerArm(fd: number, events: number): number;
  pollerDisarm(fd: number, forget: boolean): void;
  pollerAbandon(): void;
  // spawn.cc
  /** The pid. `fds` become 3, 4, ...; `env` null: the environment that the C library holds. */
  spawn(
    path: string,
    args: readonly string[],
    env: readonly string[] | null,
    fds: readonly number[],
    slot: number,
  ): number;
  // stdio.cc
  /** Whether `process.stdin` has been used and is a terminal, pipe or socket. */
  hasInputHandle(): boolean;
  // v8_bridge.cc
  reseedMathRandom(drawn: number): boolean;
  /** Whether an array has enumerable properties beside its elements; null when V8 cannot be asked. */
  hasNamedKeys(array: readonly unknown[]): boolean | null;
  installExitHandling(): void;
  recordExitCode(code: number): void;
  // random.cc
  drawEntropy(bytes: Uint8Array): void;
  // clock.cc
  sleep(milliseconds: number): void;
  // limits.cc
  getrlimit(resource: number): { soft: number; hard: number };
  /** NaN keeps the present value. */
  setrlimit(resource: number, soft: number, hard: number): void;
  getrusage(who: number): NodeJS.ResourceUsage;
  times(): { user: number; system: number; childrenUser: number; childrenSystem: number; elapsed: number };
  /** -1 only reads. */
  umask(mask: number): number;
  sysconf(name: number): number | null;
  sysconfNames(): Record<string, number>;
  // prctl.cc
  setChildSubreaper(on: 0 | 1): void;
  getChildSubreaper(): number;
  setParentDeathSignal(signal: number): void;
  getParentDeathSignal(): number;
  // priority.cc
  nice(increment: number): number;
  getpriority(which: number, who: number): number;
  setpriority(which: number, who: number, priority: number): void;
  // shared_memory.cc
  /** `unnamed`: the name is given with `linkSegment`, if ever; the host may give it at once. */
  createSegment(name: string, size: number, unnamed: boolean): NativeSegmentMemory;
  attachSegment(name: string, maxSize: number): NativeSegmentMemory;
  linkSegment(segment: NativeSegment, name: string): void;
  unlinkSegment(segment: NativeSegment, name: string): void;
  /** Detaches the buffer; the segment may be closed more than once. */
  closeSegment(segment: NativeSegment, buffer: ArrayBuffer): void;
  // queue.cc
  /** False when the time was over. */
  wordWaitEither(
    first: number,
    expected: number,
    second: number,
    secondExpected: number,
    milliseconds: number,
  ): boolean;
  givePagesBack(offset: number, bytes: number): void;
  writeFresh(offset: number, bytes: Uint8Array): boolean;
  // signal.cc
  kill(pid: number, signal: number): void;
  killpg(pgid: number, signal: number): void;
  raise(signal: number): void;
  alarm(seconds: number): number;
  pause(): void;
  sigprocmask(how: number, signals: readonly number[]): number[];
  sigpending(): number[];
  sigwait(signals: readonly number[]): number;
  /** -1 waits for ever. */
  sigtimedwait(signals: readonly number[], milliseconds: number): NativeSignalInfo | null;
  setitimer(which: number, value: number, interval: number): { value: number; interval: number };
  getitimer(which: number): { value: number; interval: number };
  // wait.cc
  wait(): { pid: number; status: number };
  waitpid(pid: number, options: number): { pid: number; status: number };
  wait4(
    pid: number,
    options: number,
    syscall: 'wait3' | 'wait4',
  ): { pid: number; status: number; rusage: NodeJS.ResourceUsage };
  waitid(
    idtype: number,
    id: number,
    options: number,
  ): { pid: number; uid: number; signo: number; code: number; status: number };
  // watch.cc
  /** The watch's id (greater than 0), or a negative errno. */
  watchPid(pid: number, onReady: () => void): number;
  /** The raw status, null when the child is not ready, or a negative errno. */
  collectWatched(id: number): number | null;
  /** The watch's id (greater than 0), or a negative errno. */
  watchSignals(signals: readonly number[], onReady: () => void): number;
  /**
   * The watch's id (greater than 0), or a negative errno. `onReady` gets UV_READABLE (1) and UV_WRITABLE (2), or a
   * negative errno; the descriptor stays the caller's, to be closed after `unwatch`.
   */
  watchDescriptor(fd: number, events: number, onReady: (events: number) => void): number;
  setWatchEvents(id: number, events: number): void;
  refWatch(id: number, keepsLoopAlive: boolean): void;
  unwatch(id: number): void;
  /** 0, or a negative errno. */
  watchChildSignal(onSignal: () => void): number;
  refChildSignal(keepsLoopAlive: boolean): void;
  unwatchChildSignal(): void;
  abandonWatches(): void;
}

function load(): Native | undefined {
  if (process.platform === 'win32') return undefined;
  const loader = require('node-gyp-build') as (root: string) => Native;
  const root = join(__dirname, '..');
  let addon: Native;
  try {
    addon = loader(root);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('No native build was found'))) throw error;
    // Package managers more and more skip install scripts that were not approved, and say so only in passing.
    throw new Error(
      `The addon of realfork is not built in ${root}: its install script did not run, or failed. ` +
        'Allow it (npm install-scripts approve realfork, pnpm approve-builds), then npm rebuild realfork; ' +
        'compiling needs python3, make and a C++ compiler.',
      { cause: error },
    );
  }
  addon.setErrorFactory(errorFromNative);
  setStrerror(addon.strerror);
  setErrnoNames(addon.errnoNames());
  return addon;
}

const addon = load();

/**
 * The addon. Where the host has no fork (Windows) every property is a function that throws
 * `ERR_FEATURE_UNAVAILABLE_ON_PLATFORM`, so that importing works and calling explains itself.
 */
export const native: Native =
  addon ??
  new Proxy({} as Native, {
    get: (_target, name) => () => {
      throw Object.assign(
        new TypeError(
          `The feature ${String(name)} is unavailable on the current platform (${process.platform}), ` +
            'which has no fork(); run under Linux or macOS, or in WSL',
        ),
        { code: 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM' },
      );
    },
  });

/** The C library's numbers; every one is 0 where the host has no fork, and no call to give it to. */
export const hostConstants: NativeConstants = addon?.constants() ?? new Proxy({} as NativeConstants, { get: () => 0 });
