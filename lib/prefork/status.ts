/** The state of a pre-forking server as data, and the small server that gives it over a Unix socket. */
import { chmodSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { PreforkAddress } from './events';
import { listenAtPath } from './listener';
import type { ProcessMemory } from './memory';

/** A worker, as its parent sees it. */
export interface WorkerStatus {
  /** 1 to `workers`. */
  readonly id: number;
  readonly pid: number;
  readonly generation: number;
  /** Starting; accepting connections; or finishing what it has begun. */
  readonly state: 'starting' | 'ready' | 'retiring';
  /** When it was forked: milliseconds since 1970. */
  readonly started: number;
  /** How many it has got. */
  readonly requests: number;
  /** How many it is answering now. */
  readonly active: number;
  readonly connections: number;
  /** False when its event loop did not answer within a second; the counts are then those of the last answer. */
  readonly responsive: boolean;
  /** Null when the kernel does not tell. */
  readonly memory: ProcessMemory | null;
}

/** A pre-forking server as a whole. */
export interface PreforkStatus {
  /** Of the process that called `prefork`. */
  readonly pid: number;
  readonly state: 'starting' | 'running' | 'reloading' | 'stopping' | 'stopped';
  readonly address: PreforkAddress | null;
  /** When it began: milliseconds since 1970. */
  readonly started: number;
  /** The number of the generation that serves; 0 before the first is ready. */
  readonly generation: number;
  /** Workers that were replaced because they died. */
  readonly restarts: number;
  /** Workers of all generations, those that finish included. */
  readonly workers: readonly WorkerStatus[];
}

/** The server of the status socket. */
export interface StatusServer {
  close(): void;
  /** The same, leaving the path to the process whose server it is. */
  abandon(): void;
}

/**
 * Answer `GET /status` with the state as JSON, and `GET /health` with 200 when a worker accepts connections, else with 503.
 * Only this process's user can connect.
 */
export async function serveStatus(path: string, read: () => Promise<PreforkStatus>): Promise<StatusServer> {
  const server = createServer((request, response) => {
    const answer = (code: number, body: object): void => {
      response.writeHead(code, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(`${JSON.stringify(body, null, 2)}\n`);
    };
    const [pathname] = (request.url ?? '/').split('?', 1); // not new URL(), which throws at some of what HTTP lets through
    if (request.method !== 'GET') return answer(405, { error: 'only GET is answered' });
    if (pathname !== '/status' && pathname !== '/health')
      return answer(404, { error: 'there are /status and /health' });
    read().then(
      (status) => {
        if (pathname === '/status') return answer(200, status);
        const ready = status.workers.filter(({ state }) => state === 'ready').length;
        answer(ready > 0 ? 200 : 503, { state: status.state, ready });
      },
      (error: Error) => answer(500, { error: error.message }),
    );
  });
  server.keepAliveTimeout = 1_000;
  const { remove } = await listenAtPath<Server>(server, path, 16, (own) => chmodSync(own, 0o600));
  const abandon = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return {
    abandon,
    close() {
      remove();
      abandon();
    },
  };
}
