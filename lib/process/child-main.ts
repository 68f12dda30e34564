/** What a clean child does from its first turn to its end. */
import { inspect } from 'node:util';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';
import { isThenable } from '../values';
import { afterFlush, writeError } from './stdio';

/** Run the target; its end is the child's. */
export function runToEnd(target: () => unknown, name: string): void {
  announced = name;
  if (announcer !== native.getpid()) {
    announcer = native.getpid(); // a fork server's child comes here twice
    mainGlobal.process.on('uncaughtExceptionMonitor', announce);
  }
  const fail = (error: unknown): void => {
    reportError(error, name);
    finish(1);
  };
  let result: unknown;
  try {
    result = target();
  } catch (error) {
    return fail(error);
  }
  // Without a promise to wait for, the end is that of every Node program: when the loop has nothing left to do.
  if (isThenable(result)) result.then(finishAfter, fail);
}

let announced = '';
/** The process that has {@link announce} as a listener. */
let announcer = 0;

/** Say whose error it is that Node is about to print. */
function announce(): void {
  if (mainGlobal.process.listenerCount('uncaughtException') === 0) writeError(`Process ${announced}:\n`);
}

/** Print an error of the target: the process's name, then the error as Node shows it, causes and properties included. */
export function reportError(error: unknown, name: string): void {
  writeError(`Process ${name}:\n${inspect(error)}\n`);
}

/** Exit, `'exit'` listeners and finalizers included, when the output has left. */
export function finish(code?: number): void {
  if (code !== undefined) mainGlobal.process.exitCode = code;
  afterFlush(exit);
}

/** Nothing is left to do. The loop's own end takes longer, and is for those who listen to it: they may have more to do. */
export function finishIdle(): void {
  if (mainGlobal.process.listenerCount('beforeExit') === 0) finish();
}

function finishAfter(): void {
  finish();
}

function exit(): void {
  mainGlobal.process.exit();
}

/** Leave at once. */
export function end(code: number): never {
  return native.leaveProcess(code);
}

runsInChild(runToEnd, isThenable, finish, finishIdle, finishAfter, exit);
// Node's own: what process.exit calls, and how it reads the code.
const { exit: nodesExit, off } = process;
const { get: readExitCode = exit } = Object.getOwnPropertyDescriptor(process, 'exitCode') ?? {};
runsInChild(nodesExit, off, readExitCode);
