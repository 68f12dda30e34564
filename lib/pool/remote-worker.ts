/** A worker that is no fork of the pool's process: what it would have inherited comes as arguments. */
import type { DupFd } from '../ipc/dup-fd';
import { native } from '../native';
import { setParentDeathSignal } from '../posix/prctl';
import { loadFunction, type Importable } from '../process/importable';
import { parentProcess } from '../process/process';
import { Claims, type ClaimsPlace } from './claims';
import type { AnyFunction } from './task';
import { runWorker } from './worker';

/** The target of such a worker's process, named by module and export as any. */
export async function remoteWorker(
  socket: DupFd,
  claims: ClaimsPlace,
  initializer: Importable | undefined,
  initargs: readonly unknown[],
): Promise<void> {
  // Of a fork server's worker the server is the parent; it ends with the pool's process.
  if (process.platform === 'linux') setParentDeathSignal('SIGKILL');
  if (parentProcess()?.isAlive() !== true) native.leaveProcess(1);
  const setup = {
    fd: socket.detach(),
    claims: Claims.at(claims),
    functions: new Map<number, AnyFunction>(),
    initializer: initializer === undefined ? undefined : await loadFunction(initializer),
  };
  return runWorker(setup, initargs);
}
