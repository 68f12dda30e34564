/**
 * The server of start method 'forkserver': a fresh Node that loads some modules, and then forks a child for each request.
 *
 *     creator ── request: ends of two connections, and of the way to this server ──> server ── fork ──> child
 *        │  <── status: its pid; later its wait status ──────────────────────────────┘                   │
 *        └── control: who it is, what to run; its end of file is the creator's end ─────────────────────>┘
 *
 * Who holds the other end of `requests` may ask: its maker, processes forked from it, and the server's own children. The
 * server ends when nobody does.
 */
import { isAbsolute, join } from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ProcessError } from '../errors';
import type { Connection } from '../ipc/connection';
import { Pipe } from '../ipc/pipe';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { runPrepared } from './bootstrap';
import { reportError } from './child-main';
import { startClean } from './clean-child';
import { ForkedChild } from './popen-fork';
import { ParentProcess } from './parent-process';
import { MAIN } from './preload';
import { prepareSend, receive, revive } from './preparation';
import { processClass } from './process-classes';
import { registry } from './registry';

/** The first message to a server. */
export interface Greeting {
  readonly preload: readonly string[];
  /** The file of the creator's main module, if it has one. */
  readonly main: string | undefined;
  /** The creator's name. */
  readonly parentName: string;
  readonly folder: string;
  readonly argv: readonly string[];
}

/** Its answer: `error` when a module could not be loaded, and the server has ended. */
export interface Readiness {
  readonly error?: unknown;
  readonly module?: string;
}

/** Asks for a child. */
export interface Request {
  readonly control: Connection;
  readonly status: Connection;
  /** The end by which requests are made. */
  readonly requests: Connection;
}

/** What a server tells of a child: first the pid, or why there is none; then how it ended. */
export interface Status {
  readonly pid?: number;
  readonly error?: unknown;
  readonly exitCode?: number;
}

/** The connections over which the ends of children are told. A child has no use for those of its siblings. */
const statuses = emptyInChild(new Set<Connection>(), (status) => status.close());

/** Serve requests, for as long as somebody can make them. */
export async function serve(requests: Connection): Promise<void> {
  const greeting = requests.recvSync<Greeting>();
  // A terminal's ^C is for the children, each of which does with it what it likes.
  mainGlobal.process.on('SIGINT', () => {});
  mainGlobal.process.argv.splice(2, Infinity, ...greeting.argv.slice(2));
  // What modules ask before they start processes. One that does not is refused here as in a child: its processes would be
  // those of the server, which nobody asked for.
  registry.parent = new ParentProcess(greeting.parentName, native.getppid());
  registry.isLoading = true;
  for (const module of greeting.preload) {
    try {
      await load(module, greeting);
    } catch (error) {
      requests.sendSync({ error, module } satisfies Readiness);
      return mainGlobal.process.exit(1);
    }
  }
  registry.isLoading = false;
  await warmUp();
  requests.sendSync({} satisfies Readiness);
  for await (const request of requests) startChild(request as Request, requests);
  mainGlobal.process.exit();
}

/** Before the first fork: have V8 compile what each child does to find out who it is. */
async function warmUp(): Promise<void> {
  const [reader, writer] = Pipe({ duplex: false });
  prepareSend(writer, new (processClass('forkserver'))({ target: nothing, args: [nothing] }), 'forkserver')();
  await revive(receive(reader));
  writer.close();
  reader.close();
}

/** Named by module and export, as any target. @internal */
export function nothing(): void {}

async function load(module: string, { main, folder }: Greeting): Promise<void> {
  if (/^[a-z]{2,}:/.test(module)) return void (await import(module));
  const from = createRequire(main ?? join(folder, 'main.js'));
  if (module === MAIN && main === undefined) {
    throw new ProcessError('The main program has no file', { code: 'ERR_NOT_IMPORTABLE' });
  }
  const file = from.resolve(module === MAIN ? (main as string) : module);
  await import(isAbsolute(file) ? pathToFileURL(file).href : file);
}

function startChild({ control, status, requests: way }: Request, requests: Connection): void {
  let pid: number;
  try {
    pid = startClean(() => {
      requests.close();
      status.close();
      runPrepared(control, { lifeline: true, server: way });
    }, 'of the fork server');
  } catch (error) {
    tell(status, { error });
    status.close();
    return;
  } finally {
    control.close();
    way.close();
  }
  statuses.add(status);
  tell(status, { pid });
  new ForkedChild(pid, true, (exitCode) => {
    tell(status, { exitCode });
    statuses.delete(status);
    status.close();
  });
}

/** Tell the creator, unless it is gone. */
function tell(status: Connection, news: Status): void {
  try {
    status.sendSync(news);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') reportError(error, `${native.getpid()}, a fork server`);
  }
}
