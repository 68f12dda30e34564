/**
 * What a child must renew before anybody's code runs in it, in this order. The loop and V8's threads are renewed by the
 * addon before `native.fork()` returns; here is what lives in JavaScript.
 */
import * as crypto from 'node:crypto';
import type * as Inspector from 'node:inspector';
import { createRequire } from 'node:module';
import { mainGlobal, processObjects } from '../main-context';
import { native } from '../native';
import { renewModuleHooks } from './module-hooks';
import { runsInChild } from './precompile';
import { forgetParentsWorkers } from './workers';

const nodeRequire = createRequire(__filename);

/** Make this freshly forked process itself: its pid, its randomness, its own way out, and not its parent's IPC channel. */
export function repairChild(): void {
  renewPid();
  leaveSafely();
  renewMathRandom();
  renewCryptoCaches();
  leaveParentsChannel();
  if (forgetParentsWorkers()) {
    parentHadWorkers = true;
    renewModuleHooks();
  }
  keepCredentialsWhole();
}

/**
 * In the parent, before a child whose start is to take little time: run what does no harm here, so that V8 compiles it once
 * and not in each child.
 */
export function warmUpRepair(): void {
  renewPid();
  renewCryptoCaches();
  keepCredentialsWhole();
  if (mainGlobal.process.channel == null) leaveParentsChannel();
}

/** Whether some forked ancestor had Workers: their objects are in Node's list, whose threads its teardown joins first. */
let parentHadWorkers = false;

/** `process.pid` is a value computed at start; `process.ppid` asks the kernel each time. */
function renewPid(): void {
  const value = native.getpid();
  for (const object of processObjects) {
    Object.defineProperty(object, 'pid', { value, writable: false, enumerable: true, configurable: true });
  }
}

/**
 * Take every end of this process past Node's own teardown. The addon catches the ends; what it cannot ask for at the end
 * of the loop is the exit code as the last `'exit'` listener left it. So `process.emit`, which Node looks up to emit
 * `'exit'`, becomes an accessor: seeing that lookup, it appends a listener that runs last and notes the code. (A function
 * around `emit` would stand in every stack trace.)
 */
function leaveSafely(): void {
  native.installExitHandling();
  const process = mainGlobal.process as NodeJS.Process & ExitInternals;
  if (process._exiting) {
    // Forked in an 'exit' listener: its emission goes on here, and microtasks run when it is over.
    noteExitCode(process, 0);
    queueMicrotask(() => noteExitCode(process, 0));
  }
  if (isWatched) return; // inherited from a forked parent
  isWatched = true;
  replaced = Object.getOwnPropertyDescriptor(process, 'emit')?.value as Emit | undefined;
  ending = process._exiting;
  leavePastInspector(process);
  Object.defineProperty(process, 'emit', { get: getEmit, set: setEmit, enumerable: false, configurable: true });
}

/** Whether `process.emit` is what this module has made of it. */
let isWatched = false;
/** Somebody's replacement of it. */
let replaced: Emit | undefined;
/** The lookup for `'exit'` has been seen. */
let ending = false;

/**
 * On its way out Node tells the inspector's thread, which is the parent's: in the child that thread's stack, with its loop,
 * has become that of a new thread, and the message aborts the process (Node 20 to 24).
 */
function leavePastInspector(process: ExitInternals): void {
  let reallyExit = process.reallyExit;
  // An accessor, for the reason given above: a function around it would stand in the trace of --trace-exit.
  Object.defineProperty(process, 'reallyExit', {
    get: () => (inspectorIsOpen() ? leaveAtOnce : reallyExit),
    set: (value: ExitInternals['reallyExit']) => (reallyExit = value),
    enumerable: true,
    configurable: true,
  });
}

function leaveAtOnce(code: number): never {
  return native.leaveProcess(Number(code) | 0);
}

function inspectorIsOpen(): boolean {
  if (!mainGlobal.process.features.inspector) return false; // there is no such module
  return (nodeRequire('node:inspector') as typeof Inspector).url() !== undefined;
}

function getEmit(): unknown {
  const process = mainGlobal.process as NodeJS.Process & ExitInternals;
  if (!process._exiting || ending) return replaced ?? Reflect.get(Object.getPrototypeOf(process) as object, 'emit');
  ending = true;
  return replaced === undefined ? emitNotingLast(process) : noteAfter(process, replaced);
}

function setEmit(value: Emit): void {
  replaced = value;
}

/** What Node keeps on `process` without documenting it; unchanged from 18 to 26. */
interface ExitInternals {
  /** True from just before `'exit'` is emitted. */
  readonly _exiting: boolean;
  /** EventEmitter's listeners: one function or several. */
  readonly _events: { exit?: Listener | Listener[] };
  /** The last step of `process.exit`. */
  reallyExit(code: number): never;
}
type Listener = (code: number) => void;
type Emit = (this: unknown, ...args: unknown[]) => boolean;

/** Node's own `emit`, with the noting appended to the listeners it is about to run. */
function emitNotingLast(process: NodeJS.Process & ExitInternals): Emit {
  noteExitCode(process, 0); // stays when a listener throws and somebody catches that
  // Past process.on(), which would count listeners and tell 'newListener' of this one.
  process._events.exit = [process._events.exit ?? [], noteAtExit.bind(process)].flat();
  return Reflect.get(Object.getPrototypeOf(process) as object, 'emit') as Emit;
}

/** The listener that runs last. */
function noteAtExit(this: NodeJS.Process, code: number): void {
  noteExitCode(this, code);
  if (parentHadWorkers && calledByNodeItself()) native.leaveProcess(Number(this.exitCode ?? code) | 0);
}

/**
 * Whether `'exit'` is emitted because the loop has ended: only then no JavaScript stands below `emit`. `process.exit` and
 * the handling of an uncaught exception have work left.
 */
function calledByNodeItself(): boolean {
  const { stackTraceLimit, prepareStackTrace } = Error;
  const mine = ['calledByNodeItself', 'noteAtExit', 'emit'].length;
  const holder: { stack?: unknown } = {};
  try {
    Error.stackTraceLimit = mine + 1;
    Error.prepareStackTrace = (_error, frames) => frames.length;
    Error.captureStackTrace(holder);
    return holder.stack === mine;
  } finally {
    Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  }
}

/** Somebody's replacement of `emit` (signal-exit, source-map-support), which may set the code after the listeners. */
function noteAfter(process: NodeJS.Process, emit: Emit): Emit {
  return function (...args) {
    try {
      return emit.apply(this, args);
    } finally {
      noteExitCode(process, Number(args[1]));
    }
  };
}

function noteExitCode(process: NodeJS.Process, otherwise: number): void {
  native.recordExitCode(Number(process.exitCode ?? otherwise) | 0);
}

/** Where V8 keeps the generator's state was not found: give the context a generator of its own (Math.random's range). */
function replaceMathRandom(target: Math): void {
  const pool = new Float64Array(512);
  const words = new BigUint64Array(pool.length);
  let next = pool.length;
  const random = {
    random(): number {
      if (next === pool.length) {
        crypto.randomFillSync(words);
        for (let i = 0; i < pool.length; i++) pool[i] = Number((words[i] as bigint) >> 11n) * 2 ** -53;
        next = 0;
      }
      return pool[next++] as number;
    },
  }.random;
  Object.defineProperty(target, 'random', { value: random, writable: true, enumerable: false, configurable: true });
}

const nativeRandom = mainGlobal.Math.random;

/** Python reseeds `random` in a forked child for the same reason: siblings would draw the same numbers. */
function renewMathRandom(): void {
  if (!native.reseedMathRandom(nativeRandom()) && mainGlobal.Math.random === nativeRandom) {
    replaceMathRandom(mainGlobal.Math);
  }
  // A `vm` context (Jest's) has a generator of its own, which the addon, a function of the main context, does not see.
  if (Math !== mainGlobal.Math) replaceMathRandom(Math);
}

/** lib/internal/crypto/random.js: 128 UUIDs' worth of random bytes, and 6 KB for randomInt (6 bytes each). */
const UUID_BATCH = 128;
const INT_BATCH = 1024;

let cryptoCaches: readonly Uint8Array[] | undefined;

/** Name those caches, once somebody has found them (lib/process/internals.ts): drawing them anew is cheaper than a walk. */
export function useCryptoCaches(caches: readonly Uint8Array[]): void {
  cryptoCaches = caches;
}

/**
 * OpenSSL notices a fork by itself; the bytes that Node has drawn in advance are copies. Walking once through each cache
 * has it filled anew.
 */
function renewCryptoCaches(): void {
  if (cryptoCaches !== undefined) {
    for (const bytes of cryptoCaches) native.drawEntropy(bytes);
    return;
  }
  for (let i = 0; i < UUID_BATCH; i++) crypto.randomUUID();
  for (let i = 0; i < INT_BATCH; i++) crypto.randomInt(2);
}

/** The pipe to the process that started our parent with `child_process.fork` or `cluster`, as Node keeps it. */
interface ChannelHandle {
  readStop(): void;
  close(): void;
}

/**
 * The channel belongs to the process that was started with it: two readers would share its messages at random, and its
 * other end would not see the parent go while we hold a copy. In a child `process.connected` is false.
 */
function leaveParentsChannel(): void {
  const { process } = mainGlobal;
  if (process.channel == null) return;
  const symbol = Object.getOwnPropertySymbols(process).find((key) => key.description === 'kChannelHandle');
  const holder = process as unknown as Record<symbol, ChannelHandle | null | undefined>;
  const handle = symbol === undefined ? undefined : holder[symbol];
  if (symbol !== undefined && handle != null) {
    handle.readStop();
    handle.close();
    holder[symbol] = null;
  }
  for (const object of processObjects) Object.assign(object, { connected: false, channel: null });
  // Under `node --watch` the channel is Node's, which tells of each module that is loaded, where `process.send` is there.
  if (!process.env['WATCH_REPORT_DEPENDENCIES']) return;
  for (const object of processObjects) Reflect.deleteProperty(object, 'send');
}

const credentialCalls = ['setuid', 'seteuid', 'setgid', 'setegid', 'setgroups', 'initgroups'] as const;
type CredentialCalls = Record<(typeof credentialCalls)[number], (...ids: unknown[]) => void>;
let credentialsAreWhole = false;

/**
 * To the kernel each thread has credentials of its own. glibc's `setuid` and the others change those of every thread it
 * knows; the threads brought back are not among them, and would stay what the parent was.
 */
function keepCredentialsWhole(): void {
  if (credentialsAreWhole) return; // inherited from a forked parent
  credentialsAreWhole = true;
  for (const object of processObjects) {
    const calls = object as unknown as CredentialCalls;
    for (const name of credentialCalls) {
      const change = calls[name];
      Object.defineProperty(object, name, {
        ...Object.getOwnPropertyDescriptor(object, name),
        value: (...ids: unknown[]) => {
          change.apply(object, ids);
          native.followCredentials();
        },
      });
    }
  }
}

runsInChild(
  repairChild,
  renewPid,
  leaveSafely,
  leavePastInspector,
  getEmit,
  emitNotingLast,
  noteAtExit,
  noteExitCode,
  renewMathRandom,
  renewCryptoCaches,
  leaveParentsChannel,
  forgetParentsWorkers,
  keepCredentialsWhole,
);
