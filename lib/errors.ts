/**
 * Every error class and factory of the package. System errors have the shape of Node's own `fs` errors (`code`, negative
 * `errno`, `syscall`), never that of Node's class SystemError. Callers branch on `code`; messages may change.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Extra fields of a {@link PosixError}, present when the call knows them. */
export interface PosixErrorDetail {
  readonly pid?: number;
  readonly fd?: number;
  readonly path?: string;
}

/**
 * A system call that failed.
 *
 * @example
 * ```js
 * try { waitpid(1) } catch (error) { console.log(error.code, error.errno, error.syscall) } // ECHILD -10 waitpid
 * ```
 * @see errno(3)
 */
export class PosixError extends Error {
  /** The errno's name, such as `'ECHILD'`. */
  readonly code: string;
  /** The negative errno, as in libuv and Node's `fs`. */
  readonly errno: number;
  /** The call that failed, such as `'waitpid'`. */
  readonly syscall: string;
  declare readonly pid?: number;
  declare readonly fd?: number;
  declare readonly path?: string;

  constructor(errno: number, syscall: string, detail: PosixErrorDetail = {}) {
    const positive = Math.abs(errno);
    const code = errnoName(positive);
    const where = detail.path === undefined ? '' : ` '${detail.path}'`;
    super(`${code}: ${errnoMessage(positive)}, ${syscall}${where}`);
    this.code = code;
    this.errno = -positive;
    this.syscall = syscall;
    Object.assign(this, detail);
  }
}
hideName(PosixError, 'PosixError');

/** A library error with a permanent `code`. */
abstract class CodedError extends Error {
  abstract readonly code: string;
}

/** The limit that a fork would have exceeded, as `guardForks` was given it. */
export interface ForkLimit {
  readonly limit: 'maxProcesses' | 'maxDepth' | 'maxPerSecond';
  readonly value: number;
}

const limitWords = {
  maxProcesses: 'processes alive at the same time',
  maxDepth: 'generations',
  maxPerSecond: 'forks within a second',
} as const;

/**
 * A `fork()` that a guard set by `guardForks` refused; no process was made.
 *
 * @example
 * ```js
 * try { fork() } catch (error) { console.log(error.code, error.limit, error.value) } // ERR_FORK_LIMIT maxProcesses 8
 * ```
 * @see guardForks
 */
export class ForkLimitError extends CodedError implements ForkLimit {
  readonly code = 'ERR_FORK_LIMIT';
  /** Which limit it was. */
  readonly limit: ForkLimit['limit'];
  /** How high that limit is. */
  readonly value: number;

  constructor({ limit, value }: ForkLimit) {
    super(`fork() was refused by a guard: ${limit} allows ${value} ${limitWords[limit]}`);
    this.limit = limit;
    this.value = value;
  }
}
hideName(ForkLimitError, 'ForkLimitError');

/** Base class of what `realfork/multiprocessing` throws beside system errors and bad arguments. @see multiprocessing.ProcessError */
export class ProcessError extends Error {
  /** A permanent name for callers to branch on. */
  readonly code: string;

  constructor(message: string, options?: ErrorOptions & { readonly code?: string }) {
    super(message, options);
    this.code = options?.code ?? 'ERR_PROCESS';
  }
}
hideName(ProcessError, 'ProcessError');

/** A wait whose `timeout` (milliseconds) has passed. @see multiprocessing.TimeoutError */
export class TimeoutError extends ProcessError {
  constructor(message = 'The operation timed out') {
    super(message, { code: 'ERR_TIMEOUT' });
  }
}
hideName(TimeoutError, 'TimeoutError');

/** A queue had nothing to give, at once or within the timeout. @see queue.Empty */
export class Empty extends ProcessError {
  constructor(message = 'The queue is empty') {
    super(message, { code: 'ERR_QUEUE_EMPTY' });
  }
}
hideName(Empty, 'Empty');

/** A queue had no room, at once or within the timeout. @see queue.Full */
export class Full extends ProcessError {
  constructor(message = 'The queue is full') {
    super(message, { code: 'ERR_QUEUE_FULL' });
  }
}
hideName(Full, 'Full');

/** The other end of a connection is closed and everything it sent has been read. @see EOFError (Python) */
export class EOFError extends ProcessError {
  constructor(message = 'The other end of the connection is closed') {
    super(message, { code: 'ERR_EOF' });
  }
}
hideName(EOFError, 'EOFError');

/**
 * A value, or something inside it, that cannot be sent to another process; nothing was sent. Its `name` and meaning are
 * those of the web platform's.
 *
 * @see structuredClone, pickle.PicklingError (Python)
 */
export class DataCloneError extends ProcessError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, { ...options, code: 'ERR_DATA_CLONE' });
  }
}
hideName(DataCloneError, 'DataCloneError');

/** Bytes that are not a message of this package, or were cut short. @see pickle.UnpicklingError (Python) */
export class InvalidMessageError extends ProcessError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, { ...options, code: 'ERR_INVALID_MESSAGE' });
  }
}
hideName(InvalidMessageError, 'InvalidMessageError');

/** A message was longer than the buffer given for it; it is not lost. @see multiprocessing.BufferTooShort */
export class BufferTooShort extends ProcessError {
  /** The whole message. */
  readonly data: Buffer;

  constructor(whole: Buffer) {
    super(`The buffer is too short for a message of ${whole.length} bytes; it is in error.data`, {
      code: 'ERR_BUFFER_TOO_SHORT',
    });
    this.data = whole;
  }
}
hideName(BufferTooShort, 'BufferTooShort');

/** The two ends of a connection do not have the same key. @see multiprocessing.AuthenticationError */
export class AuthenticationError extends ProcessError {
  constructor(message: string) {
    super(message, { code: 'ERR_AUTHENTICATION' });
  }
}
hideName(AuthenticationError, 'AuthenticationError');

/** A barrier was broken while, or before, this party waited. @see threading.BrokenBarrierError */
export class BrokenBarrierError extends ProcessError {
  constructor(message = 'The barrier is broken: a party timed out, was aborted, or called abort() or reset()') {
    super(message, { code: 'ERR_BROKEN_BARRIER' });
  }
}
hideName(BrokenBarrierError, 'BrokenBarrierError');

/** The process that held a lock ended without releasing it; what the lock protects may be half changed. @see pthread_mutex_lock(3) EOWNERDEAD */
export class OwnerDiedError extends ProcessError {
  constructor(message = 'The process that held the lock ended without releasing it; check what the lock protects') {
    super(message, { code: 'ERR_OWNER_DIED' });
  }
}
hideName(OwnerDiedError, 'OwnerDiedError');

/** What a {@link WorkerDiedError} knows of the end of a worker. */
export interface WorkerDeath {
  readonly pid: number;
  /** The exit code, null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The worker process that ran a task ended before the task did. @see concurrent.futures.process.BrokenProcessPool */
export class WorkerDiedError extends ProcessError implements WorkerDeath {
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The name of the task's function, or what the worker was doing. */
  readonly task: string;

  constructor(death: WorkerDeath, task: string, cause?: unknown) {
    const how = death.signal === null ? `ended with exit code ${death.exitCode}` : `was killed by ${death.signal}`;
    super(`Worker ${death.pid} ${how} in ${task}`, {
      code: 'ERR_WORKER_DIED',
      ...(cause === undefined ? {} : { cause }),
    });
    this.pid = death.pid;
    this.exitCode = death.exitCode;
    this.signal = death.signal;
    this.task = task;
  }
}
hideName(WorkerDiedError, 'WorkerDiedError');

/**
 * A task's result, or what it threw, could not be sent back from the worker. Only that task fails.
 *
 * @see multiprocessing.pool.MaybeEncodingError
 */
export class MaybeEncodingError extends ProcessError {
  /** What could not be sent, as text. */
  readonly value: string;

  constructor(value: string, reason: unknown, task: string) {
    super(
      `The result of ${task} cannot be sent to the parent: ${reason instanceof Error ? reason.message : String(reason)}`,
      {
        code: 'ERR_RESULT_NOT_CLONEABLE',
        cause: reason,
      },
    );
    this.value = value;
  }

  /** The same as `cause`, under Python's name: why it could not be sent. */
  get exc(): unknown {
    return this.cause;
  }
}
hideName(MaybeEncodingError, 'MaybeEncodingError');

/** A wait that an `AbortSignal` ended, as Node's own calls give it: `code` `'ABORT_ERR'`, `cause` the signal's reason. */
export class AbortError extends CodedError {
  readonly code = 'ABORT_ERR';

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason });
  }
}
hideName(AbortError, 'AbortError');

/** Make an error of a built-in class with a Node-style `code`, `name` staying that of the class. */
export function codedError<E extends Error>(
  Class: new (message: string, options?: ErrorOptions) => E,
  code: string,
  message: string,
  options?: ErrorOptions,
): E & { code: string } {
  return Object.assign(new Class(message, options), { code });
}

/** Whether sending or receiving has failed because the other end is there no more, which the end of what it sent also tells. */
export function isPeerGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_EOF';
}

/** The first name of each errno in `os.constants.errno` (libuv's own table lacks ECHILD, EDEADLK, ENOLCK, EINPROGRESS). */
const names = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  // EAGAIN before EWOULDBLOCK, ENOTSUP before EOPNOTSUPP: the pairs share a number on Linux.
  if (name === 'EWOULDBLOCK' || name === 'EOPNOTSUPP') continue;
  if (!names.has(value)) names.set(value, name);
}

/** Add the names that `os.constants.errno` lacks, from the C library's headers. Called once by `native.ts`. */
export function setErrnoNames(more: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(more)) if (!names.has(value)) names.set(value, name);
}

/** The name of a positive errno: `errnoName(10)` is `'ECHILD'`; an unknown number gives `'E<number>'`. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `E${errno}`;
}

let strerror: ((errno: number) => string) | undefined;

/** Hand over the C library's strerror, for the errnos that libuv has no words for. Called once by `native.ts`. */
export function setStrerror(call: (errno: number) => string): void {
  strerror = call;
}

/** The text of a positive errno in libuv's words, or the C library's where libuv has none. */
export function errnoMessage(errno: number): string {
  const known = getSystemErrorMap().get(-errno)?.[1];
  if (known !== undefined) return known;
  const text = strerror?.(errno) ?? `unknown error ${errno}`;
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** What the addon calls to make an error; see `ThrowErrno` in `native/posix_error.cc`. */
export function errorFromNative(errno: number, syscall: string, detail: PosixErrorDetail): PosixError {
  return new PosixError(errno, syscall, detail);
}

/** Put `name` on the prototype, non-enumerable, as the language's own error classes have it. */
function hideName(Class: { prototype: Error }, name: string): void {
  Object.defineProperty(Class.prototype, 'name', { value: name, configurable: true, writable: true });
}
