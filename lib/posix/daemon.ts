/**
 * A process without a terminal, a session of its own, and nobody who waits for it.
 *
 *     caller ── fork ──> leader: setsid ── fork ──> daemon: chdir, umask, pidfile, stdio
 *       │                  └ _exit(0)                  │
 *       │ <─────────────── pipe: ready, or the error ──┘
 *       └ _exit(0), or throws
 *
 * The session's leader ends, so that the daemon, which leads no session, cannot acquire a controlling terminal by opening
 * one; and the daemon's parent is init, or a subreaper, which waits for it.
 */
import { closeSync, constants as fsConstants, openSync, readSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { codedError, ForkLimitError, PosixError, type ForkLimit } from '../errors';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { invalidType, validateCString, validateFd, validateInteger, validateObject } from '../validate';
import { emptyInChild } from './at-fork';
import { dup, dup2, pipe, setInheritable } from './fd';
import { fork } from './fork';
import { setsid } from './identity';
import { PidFile } from './pidfile';
import { waitpid } from './wait';

/** Where a standard stream of a daemon goes: a path or an open descriptor. */
export type DaemonStream = string | number;

/** Options of {@link daemonize}. */
export interface DaemonOptions {
  /** The daemon's working directory. Default `'/'`, so that no mounted file system is kept busy. */
  readonly cwd?: string;
  /** The daemon's file mode creation mask, 0 to 0o777. Default 0o022. */
  readonly umask?: number;
  /** A file to read from, or a descriptor. Default `'/dev/null'`. */
  readonly stdin?: DaemonStream;
  /** A file to append to, created with mode 0o666 less the caller's umask, or a descriptor. Default `'/dev/null'`. */
  readonly stdout?: DaemonStream;
  /** As `stdout`. Default `'/dev/null'`. */
  readonly stderr?: DaemonStream;
  /** A file to write the daemon's pid to, locked while it runs and removed when it exits. Default: none. */
  readonly pidfile?: string;
  /** Whether the caller's process waits until the daemon calls `ready()`. Default false: until it is set up. */
  readonly waitUntilReady?: boolean;
}

/** What {@link daemonize} returns, in the daemon. */
export interface Daemon {
  /** The daemon's pid. */
  readonly pid: number;
  /** Let the caller's process exit with code 0; needed with `waitUntilReady` only, and only once. */
  ready(): void;
}

/** What goes through the pipe, one JSON text a line. */
type Report = { readonly ready: true } | { readonly error: ReportedError };
interface ReportedError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly syscall?: unknown;
  readonly path?: unknown;
  /** Of a ForkLimitError. */
  readonly refused?: ForkLimit;
}

const STREAMS = ['stdin', 'stdout', 'stderr'] as const;

/**
 * Go on as a daemon: in the background, in a session of its own, without a terminal.
 *
 * @param options - See {@link DaemonOptions}. Paths are relative to the caller's working directory.
 * @returns In the daemon only. The calling process waits until the daemon is set up (or ready) and ends with code 0, by
 * `_exit`: without `'exit'` events, and without what is scheduled in it, both of which the daemon has inherited.
 * @throws {@link PosixError} In the calling process, which then goes on: what fork(2), open(2) of a stream or of the
 * pidfile, or chdir(2) reports. `EAGAIN` with `syscall` `'flock'`: the pidfile belongs to a running process, `error.pid`.
 * @throws `ERR_DAEMON_NOT_READY` In the calling process: the daemon ended before it was set up, or before `ready()`.
 * @throws {@link ForkLimitError} `ERR_FORK_LIMIT` a guard refuses one of the two forks.
 * @throws `ERR_FORK_IN_WORKER` and the other refusals of {@link fork}.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE` wrong options.
 * @remarks The daemon is a forked copy of the caller and goes on from this call, with its timers, listeners and open
 * descriptors; hooks of `registerAtFork` run for both forks. `process.stdin` is destroyed when it was in use;
 * `process.stdout` and `process.stderr` write to the new targets. Children of `child_process` stay the caller's.
 * Blocks the event loop until the daemon reports.
 * @example
 * ```js
 * const { pid } = daemonize({ stdout: 'server.log', stderr: 'server.log', pidfile: 'server.pid' });
 * console.log('daemon', pid); // into server.log
 * ```
 * @see daemon(7), daemon(3), setsid(2), PEP 3143
 */
export function daemonize(options: DaemonOptions = {}): Daemon {
  const { cwd, umask, streams, pidfile, waitUntilReady } = validated(options);
  const caller = native.getpid();
  const held: number[] = []; // to be closed whatever happens
  let file: PidFile | undefined;
  let writing: number | undefined;
  try {
    const targets = STREAMS.map((name, index) => openStream(streams[index] as DaemonStream, name, held));
    if (pidfile !== undefined) file = new PidFile(pidfile);
    const [readEnd, writeEnd] = pipe();
    held.push(readEnd, writeEnd);
    writing = writeEnd;

    const leader = fork();
    if (leader > 0) {
      closeNow(held, writeEnd); // or the end of the daemon's report would never be seen
      return leaveOrThrow(readEnd, leader);
    }
    closeNow(held, readEnd);
    setsid();
    if (fork() > 0) native.exitNow(0);
    process.chdir(cwd);
    process.umask(umask);
    file?.own();
    redirect(targets);
    if (!waitUntilReady) {
      report(writeEnd, { ready: true });
      return { pid: native.getpid(), ready: () => {} };
    }
    held.splice(held.indexOf(writeEnd), 1);
    return { pid: native.getpid(), ready: once(writeEnd) };
  } catch (error) {
    // What goes wrong in the children is the caller's to hear about; nothing else of the caller may run in them.
    if (native.getpid() !== caller) giveUp(writing as number, error);
    file?.remove();
    throw error;
  } finally {
    for (const fd of held) closeSync(fd);
  }
}

function validated(options: unknown) {
  validateObject(options, 'options');
  const { cwd = '/', umask = 0o022, pidfile, waitUntilReady = false } = options;
  validateCString(cwd, 'options.cwd');
  validateInteger(umask, 'options.umask', 0, 0o777);
  if (pidfile !== undefined) validateCString(pidfile, 'options.pidfile');
  if (typeof waitUntilReady !== 'boolean') {
    throw invalidType('options.waitUntilReady', 'of type boolean', waitUntilReady);
  }
  const streams = STREAMS.map((name): DaemonStream => {
    const { [name]: target = '/dev/null' } = options;
    if (typeof target === 'number') validateFd(target, `options.${name}`);
    else if (typeof target === 'string') validateCString(target, `options.${name}`);
    else throw invalidType(`options.${name}`, 'of type string or number', target);
    return target;
  });
  return { cwd, umask, streams, pidfile, waitUntilReady };
}

/** A descriptor of this call's own, above the standard ones, which are replaced one after the other. */
function openStream(target: DaemonStream, name: (typeof STREAMS)[number], held: number[]): number {
  const { O_RDONLY, O_WRONLY, O_CREAT, O_APPEND, O_NOCTTY } = fsConstants;
  const flags = name === 'stdin' ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND;
  const fd = typeof target === 'number' ? dup(target) : openSync(target, flags | O_NOCTTY, 0o666);
  held.push(fd);
  if (fd > 2) return fd;
  // The caller has closed a standard stream: its number is free, and would be overwritten.
  const higher = openStream(fd, name, held);
  closeNow(held, fd);
  return higher;
}

function closeNow(held: number[], fd: number): void {
  held.splice(held.indexOf(fd), 1);
  closeSync(fd);
}

/** A standard stream's libuv handle, where Node has made one: a terminal's has a descriptor of its own. */
interface StandardStream {
  readonly _handle?: { readonly fd?: number } | null;
  isTTY?: boolean;
}

function redirect(targets: readonly number[]): void {
  const usedInput = native.hasInputHandle();
  targets.forEach((target, fd) => dup2(target, fd));
  const { stdin, stdout, stderr } = mainGlobal.process;
  for (const [index, stream] of ([stdin, stdout, stderr] as StandardStream[]).entries()) {
    const own = stream._handle?.fd;
    if (own === undefined || own <= 2) continue;
    // libuv opens a terminal a second time: writing would go there still, and keep it in use.
    dup2(targets[index] as number, own);
    setInheritable(own, false);
    stream.isTTY = isatty(index); // no colours for a log file
  }
  // The event loop can wait for a terminal, pipe or socket, and not for what has taken its place.
  if (usedInput) stdin.destroy();
}

/** In the caller: wait for the daemon's word, then end, or throw what it says. */
function leaveOrThrow(reading: number, leader: number): never {
  const text = readToEnd(reading); // the end: leader and daemon have closed their copies
  waitpid(leader);
  const reports = text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Report]));
  for (const said of reports) if ('error' in said) throw revive(said.error);
  if (reports.length === 0) {
    throw codedError(Error, 'ERR_DAEMON_NOT_READY', 'the daemon ended before it was ready');
  }
  native.exitNow(0);
}

function readToEnd(fd: number): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(4096);
    const length = readSync(fd, chunk);
    if (length === 0) return Buffer.concat(chunks).toString();
    chunks.push(chunk.subarray(0, length));
  }
}

function report(fd: number, said: Report): void {
  writeSync(fd, `${JSON.stringify(said)}\n`);
}

/** In a child that cannot go on. The caller may have ended meanwhile, and then nobody wants to know. */
function giveUp(writing: number, error: unknown): never {
  try {
    report(writing, { error: describe(error) });
  } finally {
    native.exitNow(1);
  }
}

/** The pipe to the caller, in a daemon that has yet to get ready. The caller waits for its end: what it forks lets go of it. */
const unreported = emptyInChild(new Set<number>(), (fd) => closeSync(fd));

/** The daemon's `ready()`: the first call reports, others do nothing. */
function once(writing: number): () => void {
  unreported.add(writing);
  return () => {
    if (!unreported.delete(writing)) return;
    try {
      report(writing, { ready: true });
    } catch (error) {
      // The caller has been killed while it waited: the daemon is ready all the same.
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
    } finally {
      closeSync(writing);
    }
  };
}

function describe(error: unknown): ReportedError {
  if (error instanceof ForkLimitError)
    return { name: error.name, message: error.message, refused: { limit: error.limit, value: error.value } };
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, code, errno, syscall, path } = error as NodeJS.ErrnoException;
  return { name, message, code, errno, syscall, path };
}

function revive({ name, message, code, errno, syscall, path, refused }: ReportedError): Error {
  if (refused !== undefined) return new ForkLimitError(refused);
  if (typeof errno === 'number' && typeof syscall === 'string') {
    return new PosixError(errno, syscall, typeof path === 'string' ? { path } : {});
  }
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}
