/** Standard streams of a child: input from nowhere, as in Python; output shared with the parent, written once. */
import { createReadStream, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { mainGlobal, processObjects } from '../main-context';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';

/** Give the child /dev/null as standard input: what is typed or piped there is for the parent. */
export function detachInput(): void {
  native.detachInput();
  let stream: NodeJS.ReadableStream | undefined;
  for (const process of processObjects) {
    Object.defineProperty(process, 'stdin', {
      get: () => (stream ??= Object.assign(createReadStream('/dev/null', { fd: 0, autoClose: false }), { fd: 0 })),
      enumerable: true,
      configurable: true,
    });
  }
}

interface WritableInternals {
  _writableState?: { readonly highWaterMark: number; readonly length: number };
}
const { WritableState } = Writable as unknown as {
  WritableState: new (options: object, stream: unknown, isDuplex: boolean) => object;
};

/** Have a stream whose queued writes were dropped begin anew; it would wait for their end. */
export function resetWritable(stream: object): void {
  const internals = stream as WritableInternals;
  const old = internals._writableState;
  if (old === undefined || old.length === 0) return;
  const options = { highWaterMark: old.highWaterMark, decodeStrings: false, emitClose: false };
  internals._writableState = new WritableState(options, stream, true) as typeof old;
}

/** The streams on standard output and standard error. Asking makes them: for when they are known to be in use. */
function outputs(): NodeJS.WriteStream[] {
  return [mainGlobal.process.stdout, mainGlobal.process.stderr];
}

/** In a child: what the parent has queued is written by the parent. */
export function resetOutput(): void {
  for (const stream of outputs()) resetWritable(stream);
}

/** Call back once what was written to stdout and stderr has left this process. */
export function afterFlush(then: () => void): void {
  if (!native.hasQueuedOutput()) return then();
  let left = 2;
  for (const stream of outputs()) stream.write('', () => --left === 0 && then());
}

/** Write to standard error now if possible; a closed one is no error. */
export function writeError(text: string): void {
  const bytes = Buffer.from(text);
  try {
    for (let offset = 0; offset < bytes.length;) offset += tryWrite(bytes.subarray(offset));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EBADF' && code !== 'EPIPE' && code !== 'EIO') throw error;
  }
}

/** A pipe that its other users have made non-blocking can be full. */
function tryWrite(bytes: Buffer): number {
  try {
    return writeSync(2, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    native.sleep(1);
    return 0;
  }
}

runsInChild(detachInput, afterFlush, outputs);
