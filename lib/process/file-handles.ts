/**
 * `FileHandle`s that the parent had open, in a child: with the parent's functions their owners are gone, and they are
 * garbage. Node warns of a FileHandle that is closed as garbage, and from Node 25 on throws. Nobody in the child can do
 * better: for descriptors that were open at the fork it is neither said nor thrown.
 */
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';

/** What was open when this process began. */
let inherited = new Set<number>();
let installed = false;

interface Reports {
  /** Node's C++ looks it up for each exception that nobody caught; true: it is handled. */
  _fatalException: (error: unknown, fromPromise?: boolean) => boolean;
  /** Also called by Node's C++. */
  emitWarning: (this: unknown, warning: unknown, ...rest: unknown[]) => void;
}

const closing = /^Closing file descriptor (\d+) on garbage collection/;
const closed = /^A FileHandle object was closed during garbage collection.*File descriptor: (\d+)/s;

function forgive(message: unknown, pattern: RegExp): boolean {
  const fd = typeof message === 'string' ? pattern.exec(message)?.[1] : undefined;
  return fd !== undefined && inherited.delete(Number(fd)); // the next one with this number is the child's own
}

/** In a child: let the parent's FileHandles be collected in silence. */
export function forgiveFileHandles(): void {
  inherited = new Set(native.openFds());
  if (installed) return; // inherited too
  installed = true;
  const process = mainGlobal.process as unknown as Reports;
  const { _fatalException, emitWarning } = process;
  process._fatalException = (error, fromPromise) => {
    const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
    if (code === 'ERR_INVALID_STATE' && forgive(message, closed)) return true;
    return _fatalException.call(process, error, fromPromise);
  };
  process.emitWarning = function (warning, ...rest) {
    // Of all FileHandles together there is one deprecation.
    if (forgive(warning, closing) || rest[1] === 'DEP0137') return;
    emitWarning.call(this, warning, ...rest);
  };
}

runsInChild(forgiveFileHandles);
