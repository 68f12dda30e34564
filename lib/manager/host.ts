/** The server process of a manager, as the process that has started it sees it; and what that process does. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Address } from '../ipc/address';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { Finalize } from '../process/finalize';
import { kEnded, kKeepsLoopAlive, parentProcess, Process } from '../process/process';
import { packError } from './errors';
import { seal } from './key-seal';
import { linkTo, type Link } from './link';
import { Ask, SERVER, Status, type ServerInfo } from './protocol';
import { ManagerServer } from './server';
import type { TypeEntry } from './types';
import { Wire } from './wire';

/** Milliseconds that a server has to end in, before it is told by a signal, and again before it is killed. */
const GRACE_MS = 1_000;

/** How a server process is started. */
export interface HostOptions {
  readonly name: string;
  readonly address: Address | undefined;
  readonly authKey: Uint8Array;
  readonly types: ReadonlyMap<string, TypeEntry>;
  readonly initializer: ((...args: never[]) => unknown) | undefined;
  readonly initargs: readonly unknown[];
  /** An object to make at once, of what cannot be sent. */
  readonly seed?: { readonly typeid: string; readonly args: readonly unknown[] };
}

/** A process that keeps no event loop alive: it is ended at its creator's end. */
class ServerProcess extends Process {
  // Whatever the start method is: types are classes and functions of this process, closures among them.
  static override readonly startMethod = 'fork';

  onEnded: (() => void) | undefined;

  override get [kKeepsLoopAlive](): boolean {
    return false;
  }

  override [kEnded](): void {
    this.onEnded?.();
  }
}

export class Host {
  readonly types: ReadonlyMap<string, TypeEntry>;
  readonly process: Process;
  readonly link: Link;
  readonly #folder: string | undefined;
  readonly #finalize: Finalize;
  #ending: Promise<void> | undefined;

  constructor(options: HostOptions) {
    const { authKey, address } = options;
    this.types = new Map(options.types);
    const server = randomBytes(12).toString('base64url');
    const closed = seal(authKey);
    this.link = linkTo({ server, address: undefined, key: () => authKey, seal: () => closed });
    this.#folder = address === undefined ? mkdtempSync(join(tmpdir(), 'realfork-manager-')) : undefined;
    const [mine, theirs] = native.connectionPair();
    const { session } = this.link;
    const listenAt = this.#folder === undefined ? address : join(this.#folder, 'socket');
    const target = async (): Promise<void> => {
      native.closeFd(mine);
      const more = { server, address: listenAt, seal: closed, types: this.types };
      await runServer({ ...options, ...more }, theirs, session, this.#folder);
    };
    const child = new ServerProcess({ target, name: options.name, daemon: false });
    child.onEnded = () => this.#onEnded();
    this.process = child;
    try {
      child.start();
    } catch (error) {
      native.closeFd(mine);
      this.#removeFolder();
      throw error;
    } finally {
      native.closeFd(theirs);
    }
    this.link.attach(mine);
    this.#finalize = new Finalize(() => this.endSync(), { exitPriority: 0 });
  }

  /** Wait until the server listens. Throws what its start has thrown. */
  async ready(): Promise<void> {
    try {
      this.link.address = ((await this.link.call(SERVER, Ask.Hello, [], 'start')) as ServerInfo).address;
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  /** As {@link Host.ready}, blocking the process. */
  readySync(): void {
    try {
      this.link.address = (this.link.callSync(SERVER, Ask.Hello, [], 'start') as ServerInfo).address;
    } catch (error) {
      this.endSync();
      throw error;
    }
  }

  /** End the server: it is asked, then told by SIGTERM, then killed. */
  end(): Promise<void> {
    return (this.#ending ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#finalize.cancel();
    this.link.expectEnd('it was shut down');
    if (!this.link.isGone) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, GRACE_MS)));
      const asked = this.link.call(SERVER, Ask.Shutdown, [], 'shutdown').catch(nothing); // gone already
      await Promise.race([asked, late]);
      clearTimeout(timer);
    }
    this.link.markGone('it was shut down');
    await this.process.join(GRACE_MS);
    if (this.process.exitCode === null) {
      this.process.terminate();
      await this.process.join(GRACE_MS);
    }
    if (this.process.exitCode === null) this.process.kill();
    await this.process.join();
    this.#removeFolder();
  }

  /** As {@link Host.end}, blocking the process. */
  endSync(): void {
    this.#finalize.cancel();
    this.#ending ??= Promise.resolve();
    this.link.expectEnd('it was shut down');
    if (!this.link.isGone) {
      try {
        this.link.callSync(SERVER, Ask.Shutdown, [], 'shutdown', GRACE_MS);
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'ERR_MANAGER_GONE') throw error;
      }
    }
    this.link.markGone('it was shut down');
    this.process.joinSync(GRACE_MS);
    if (this.process.exitCode === null) {
      this.process.terminate();
      this.process.joinSync(GRACE_MS);
    }
    if (this.process.exitCode === null) this.process.kill();
    this.process.joinSync();
    this.#removeFolder();
  }

  #onEnded(): void {
    this.link.markGone('its process has ended');
    this.#finalize.cancel();
    this.#removeFolder();
  }

  #removeFolder(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }
}

function nothing(): void {}

/** In the server process, to its end. */
async function runServer(
  options: HostOptions & { readonly server: string; readonly seal: Uint8Array },
  creator: number,
  session: string,
  folder: string | undefined,
): Promise<void> {
  const { process } = mainGlobal;
  process.on('SIGINT', nothing); // of the terminal, meant for the parent, which ends this one in order
  void parentProcess()
    ?.join()
    .then(() => process.exit(0));
  let server: ManagerServer;
  try {
    await options.initializer?.(...(options.initargs as never[]));
    server = new ManagerServer(options);
    if (options.seed !== undefined) await server.seed(options.seed.typeid, options.seed.args);
  } catch (error) {
    return failStart(error, creator);
  }
  new Finalize(() => {
    server.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });
  server.adopt(creator, session);
  await server.serve();
}

/** The creator asks how it is, and is told. */
function failStart(error: unknown, creator: number): Promise<void> {
  mainGlobal.process.exitCode = 1;
  return new Promise((resolve) => {
    const wire = new Wire(creator, {
      onMessage: (call) => {
        wire.send(call, [Status.Error, packError(error)]);
        wire.close();
        resolve();
      },
      onEnd: () => resolve(),
    });
    wire.listen(true);
  });
}
