/** HTTP as the tests of servers need it: single requests, and clients that ask without a pause. Runs inside programs. */
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import type { PreforkAddress } from 'realfork/prefork';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Where to: a server's address, or the path of a Unix socket. */
export type Target = PreforkAddress | string;

function place(target: Target): { socketPath: string } | { port: number; host: string } {
  if (typeof target === 'string') return { socketPath: target };
  return 'path' in target ? { socketPath: target.path } : { port: target.port, host: '127.0.0.1' };
}

/** One request: on a connection of its own, or on the agent's. Rejects with the error of the connection. */
export function ask(target: Target, path = '/', agent: Agent | false = false): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...place(target), path, agent }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => (body += chunk));
      incoming.on('error', reject);
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

/** The same, parsed. */
export async function askJson<T>(target: Target, path = '/'): Promise<T> {
  return JSON.parse((await ask(target, path)).body) as T;
}

/** Clients with one kept-alive connection each, asking one thing after the other until they are stopped. */
export class Load {
  /** How often each answer came. */
  readonly answers = new Map<string, number>();
  /** Codes of the errors there were. */
  readonly errors: string[] = [];
  #stopped = false;
  readonly #clients: Promise<void>[];

  constructor(
    readonly target: Target,
    clients: number,
    readonly path = '/',
  ) {
    this.#clients = Array.from({ length: clients }, () => this.#client());
  }

  get total(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #client(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!this.#stopped) {
      try {
        const { body } = await ask(this.target, this.path, agent);
        this.answers.set(body, (this.answers.get(body) ?? 0) + 1);
      } catch (error) {
        this.errors.push((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
    agent.destroy();
  }
}
