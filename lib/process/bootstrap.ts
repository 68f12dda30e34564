/**
 * The beginning of a process that is no copy of its creator: it reads who it is to be, loads the module of its target, and
 * runs.
 *
 * While modules load, `process.argv[1]` is this package's program: the main module, should the target lie in it, is a module
 * like others, and tests like `process.argv[1] === fileURLToPath(import.meta.url)` say so too. The target sees the creator's.
 */
import { setImmediate } from 'node:timers';
import { ProcessError } from '../errors';
import type { Connection } from '../ipc/connection';
import { mainGlobal } from '../main-context';
import { finish, reportError, runToEnd } from './child-main';
import { log, logToStderr } from './logger';
import { ParentProcess } from './parent-process';
import { setForkserverPreload } from './preload';
import { useServer } from './popen-forkserver';
import { receive, revive, type Preparation, type Received } from './preparation';
import { kBootstrap, type Process } from './process';
import { registry } from './registry';
import { chooseStartMethod } from './start-method';

/** What is known before the message. */
interface Surroundings {
  /** Whether the connection is all that tells of the creator: it is no parent to the kernel. */
  readonly lifeline?: boolean;
  /** The way to the fork server that has made this process. */
  readonly server?: Connection;
}

/**
 * Become the process that is described in the next two messages, and run.
 */
export function runPrepared(control: Connection, { lifeline = false, server }: Surroundings = {}): void {
  let received: Received;
  try {
    received = receive(control);
  } catch (error) {
    reportError(
      new ProcessError('What it was to run did not arrive', { code: 'ERR_NOT_PREPARED', cause: error }),
      'unnamed',
    );
    return finish(1);
  }
  if (!lifeline) control.close();
  const { preparation } = received;
  const { name, daemon } = preparation;
  // A daemonic process has no children, and must not keep the server from ending with the creator.
  if (daemon) server?.close();
  else if (server !== undefined) useServer(server);
  adopt(preparation, lifeline ? control : undefined);
  const stopWatching = watchForSilence(name);
  revive(received).then(
    (process) => {
      // On a turn of its own, as in a forked child.
      setImmediate(() => {
        stopWatching();
        begin(process, preparation, lifeline ? control : undefined);
      });
    },
    (error: unknown) => {
      stopWatching();
      reportError(error, name);
      finish(1);
    },
  );
}

/** What is the same for all its code, that of modules being loaded included: they ask whether they are in a child. */
function adopt(preparation: Preparation, lifeline: Connection | undefined): void {
  const { startMethod, logLevel, logsToStderr, preload, folder, argv, parentName, parentPid } = preparation;
  const { process } = mainGlobal;
  registry.isLoading = true;
  registry.parent = new ParentProcess(parentName, parentPid, lifeline);
  if (startMethod !== undefined) chooseStartMethod(startMethod, true);
  log.level = logLevel;
  if (logsToStderr) logToStderr();
  setForkserverPreload(preload);
  if (process.cwd() !== folder) process.chdir(folder);
  process.argv.splice(2, Infinity, ...argv.slice(2));
}

function begin(process: Process, { argv, name }: Preparation, lifeline: Connection | undefined): void {
  registry.isLoading = false;
  mainGlobal.process.argv.splice(0, Infinity, ...argv);
  runToEnd(() => process[kBootstrap](lifeline), name);
}

/** A module whose top level awaits what never comes leaves the loop with nothing to do. */
function watchForSilence(name: string): () => void {
  const onSilence = (): void => {
    reportError(
      new ProcessError('A module that it takes did not finish loading: its top level awaits what never comes', {
        code: 'ERR_NOT_IMPORTABLE',
      }),
      name,
    );
    finish(1);
  };
  mainGlobal.process.once('beforeExit', onSilence);
  return () => mainGlobal.process.off('beforeExit', onSilence);
}
