/** A fresh Node that belongs to this family of processes: it shares the family's memory, and runs one of our programs. */
import type { PathLike } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { codedError } from '../errors';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { noteForked } from '../posix/children';
import { currentEnvironment } from '../posix/exec';
import { validateCString } from '../validate';
import { arenaFd } from '../shared/arena';
import { checkNotExiting } from './clean-child';

/** What the new process does: `lib/spawned.ts`. */
export type Role = 'process' | 'forkserver';

/** Where it finds what it is handed: the connection to its creator, and the family's memory. */
export const CONTROL_FD = 3;
export const ARENA_FD = 4;

const program = join(__dirname, '..', 'spawned.js');
let executable: string | undefined;

/**
 * Set the Node that start methods 'spawn' and 'forkserver' run.
 *
 * @param path - Its file, as `fs` takes it: a string, a Buffer or a `file:` URL. Default: that of this process.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` it is none of these, or has a null byte in it.
 * @example
 * ```js
 * setExecutable('/opt/node-24/bin/node');
 * ```
 * @see multiprocessing.set_executable
 */
export function setExecutable(path: PathLike): void {
  const text: unknown = path instanceof URL ? fileURLToPath(path) : Buffer.isBuffer(path) ? path.toString() : path;
  validateCString(text, 'path');
  executable = text;
}

/** Flags of Node that say what to run, or that only one process can have; each with whether a value follows. */
const notInherited: Readonly<Record<string, boolean>> = {
  '-e': true,
  '--eval': true,
  '-p': true,
  '-pe': true,
  '--print': true,
  '-c': false,
  '--check': false,
  '-i': false,
  '--interactive': false,
  '--input-type': true,
  '--test': false,
  '--test-only': false,
  '--watch': false,
  '--watch-path': true,
  '--watch-preserve-output': false,
  '--inspect': false,
  '--inspect-brk': false,
  '--inspect-wait': false,
  '--inspect-port': true,
  '--debug-port': true,
  '--prof': false,
  '--cpu-prof': false,
  '--heap-prof': false,
};

/** The flags that this Node was started with, and another one can be too. */
export function inheritedFlags(flags: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < flags.length; i++) {
    const flag = flags[i] as string;
    const [name = flag] = flag.split('=', 1);
    if (!Object.hasOwn(notInherited, name)) kept.push(flag);
    else if (notInherited[name] === true && !flag.includes('=')) i += 1;
  }
  return kept;
}

/**
 * Start one, as a child of this process that the package waits for.
 *
 * @param control - The end of a connection that it is to have; the caller's to close.
 * @returns Its pid.
 * @throws {@link PosixError} `EAGAIN`, `ENOMEM`, `EMFILE`; `ENOENT`, `EACCES` Node is not where it was.
 */
export function startNode(role: Role, control: number): number {
  if (!isMainThread) {
    throw codedError(
      Error,
      'ERR_FORK_IN_WORKER',
      'A process was started in a worker_threads Worker; start it in the main thread',
    );
  }
  checkNotExiting();
  const { process } = mainGlobal;
  const path = executable ?? process.execPath;
  const arena = arenaFd();
  const slot = arena < 0 ? -1 : native.reserveSlot();
  const args = [
    path,
    ...inheritedFlags(process.execArgv),
    program,
    role,
    String(arena < 0 ? -1 : ARENA_FD),
    String(slot),
  ];
  native.flushStdio();
  const pid = native.spawn(path, args, currentEnvironment(), arena < 0 ? [control] : [control, arena], slot);
  noteForked(pid);
  return pid;
}
