/** Start method 'forkserver', seen from the creator: finding the server, asking it for a child, and holding that. */
import { isPeerGone, ProcessError } from '../errors';
import type { Connection } from '../ipc/connection';
import { Pipe } from '../ipc/pipe';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import type { Greeting, Readiness, Request, Status } from './fork-server';
import { startNode } from './new-node';
import { provideStartMethod } from './popen';
import { Child, UNKNOWN } from './popen-child';
import { ForkedChild } from './popen-fork';
import { sendOrKill } from './popen-spawn';
import { preloadedModules } from './preload';
import { prepareSend } from './preparation';
import { kKeepsLoopAlive } from './process';
import { registry } from './registry';

/** poll(2), as the addon has it. */
const READABLE = 1;

/** The way to the server, also in processes forked from the one that made it. */
let requests: Connection | undefined;

/** In a child of a server: ask that one. */
export function useServer(connection: Connection): void {
  requests = connection;
}

/**
 * Start the server of this process, if none runs, and wait until its modules are loaded.
 *
 * @throws `ERR_FORKSERVER_PRELOAD` a module cannot be loaded; what starting a process throws.
 */
function server(): Connection {
  if (requests !== undefined) return requests;
  const [ours, theirs] = Pipe();
  const main = mainFile();
  const { process } = mainGlobal;
  const greeting: Greeting = {
    preload: preloadedModules(),
    main,
    parentName: registry.current?.name ?? '',
    folder: process.cwd(),
    argv: process.argv,
  };
  try {
    const child = new ForkedChild(startNode('forkserver', theirs.fileno()), false, () => {
      if (requests === ours) forgetServer();
    });
    theirs.close();
    let answer: Readiness;
    try {
      ours.sendSync(greeting);
      answer = ours.recvSync<Readiness>();
    } catch (error) {
      child.waitSync(Infinity);
      throw new ProcessError(`The fork server ended with exit code ${child.poll()} before it was ready`, {
        code: 'ERR_FORKSERVER_DIED',
        cause: error,
      });
    }
    if ('error' in answer) {
      child.waitSync(Infinity);
      throw new ProcessError(
        `The fork server could not load ${answer.module}, which setForkserverPreload() names: ` +
          `${(answer.error as Error | undefined)?.message ?? String(answer.error)}`,
        { code: 'ERR_FORKSERVER_PRELOAD', cause: answer.error },
      );
    }
    return (requests = ours);
  } catch (error) {
    ours.close();
    throw error;
  } finally {
    theirs.close();
  }
}

function forgetServer(): void {
  requests?.close();
  requests = undefined;
}

/** Of the main module, whether `require` or `import` has loaded it. */
function mainFile(): string | undefined {
  const file = mainGlobal.process.argv[1];
  return file === undefined || file === '-' ? undefined : file;
}

/** Connections of this process with children of the server; one forked from it has no use for them. */
const held = emptyInChild(new Set<Connection>(), (connection) => connection.close());

/** The creator's hold on a child of the server, which reaps it and tells how it ended. */
class ServedChild extends Child {
  /** Status comes here. */
  readonly #status: Connection;
  /** Its end of file tells the child of our end. */
  readonly #control: Connection;
  #watch: number;

  constructor(pid: number, status: Connection, control: Connection, keepsLoopAlive: boolean, onEnd: () => void) {
    super(pid, keepsLoopAlive, onEnd);
    this.#status = status;
    this.#control = control;
    held.add(status).add(control);
    this.#watch = native.watchDescriptor(status.fileno(), READABLE, () => this.poll());
    this.updateRef();
  }

  get sentinel(): number {
    return this.#status.fileno();
  }

  close(): void {
    this.#status.close();
  }

  protected look(): void {
    this.lookWithin(0);
  }

  protected lookWithin(timeout: number): void {
    if (native.pollFd(this.#status.fileno(), READABLE, timeout === Infinity ? -1 : timeout) === 0) return;
    this.ended(this.#read());
  }

  /** A server that has been killed leaves nobody who could tell. */
  #read(): number {
    try {
      return this.#status.recvSync<Status>().exitCode ?? UNKNOWN;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_EOF') throw error;
      return UNKNOWN;
    }
  }

  protected updateRef(): void {
    if (this.#watch > 0) native.refWatch(this.#watch, this.keepsLoopAlive);
  }

  protected unwatch(): void {
    if (this.#watch > 0) native.unwatch(this.#watch);
    this.#watch = 0;
    this.#control.close();
    held.delete(this.#control);
    held.delete(this.#status); // closed by close(), or when the Process is collected
  }
}

/** Ask the server for a child: its pid, or undefined when the server is gone. */
function ask(request: Request, status: Connection): number | undefined {
  let answer: Status;
  try {
    request.requests.sendSync(request);
    request.status.close();
    answer = status.recvSync<Status>();
  } catch (error) {
    if (!isPeerGone(error)) throw error;
    forgetServer();
    return undefined;
  }
  if (answer.pid === undefined) throw answer.error;
  return answer.pid;
}

provideStartMethod('forkserver', (process, onEnd) => {
  const [control, theirs] = Pipe();
  let child: Child | undefined;
  try {
    const send = prepareSend(control, process, 'forkserver');
    // A server that somebody has killed is noticed by asking it: a new one takes its place, once.
    for (let attempt = 1; child === undefined; attempt++) {
      const [status, writer] = Pipe({ duplex: false });
      const pid = ask({ control: theirs, status: writer, requests: server() }, status);
      if (pid !== undefined) child = new ServedChild(pid, status, control, process[kKeepsLoopAlive], onEnd);
      else if (attempt === 2)
        throw new ProcessError('The fork server ends when asked', { code: 'ERR_FORKSERVER_DIED' });
    }
    sendOrKill(send, child);
    return child;
  } finally {
    theirs.close();
    if (child === undefined) control.close();
  }
});
