/** The connections and requests of a worker's server: counted, and brought to their end. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server, type Socket } from 'node:net';
import type { Manner, WorkerCounts } from './messages';

/** Milliseconds in which a connection may still bring a request when the server stops: one that is on its way gets its answer. */
const STOP_GRACE = 200;

/** The same when a worker is replaced and the server has no `keepAliveTimeout` of its own. */
const RETIRE_GRACE = 5_000;

/** What `http.Server` has beyond `net.Server`. */
interface MaybeHttp {
  readonly keepAliveTimeout?: number;
  closeIdleConnections?(): void;
}

/** An `http2` session. */
interface Session {
  close(): void;
}

/** What passes through one server, from before it listens. */
export class Traffic {
  #requests = 0;
  #draining = false;
  readonly #active = new Set<ServerResponse>();
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<Session>();
  readonly #closed: Promise<void>;

  constructor(
    readonly server: Server,
    onRequest: (total: number) => void,
  ) {
    // One for all: it is called with the response as `this`.
    const end = (response: ServerResponse): void => this.#end(response);
    const onResponseClose = function (this: ServerResponse): void {
      end(this);
    };
    // First of all listeners: a header can be changed as long as the application has not answered.
    server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
      this.#active.add(response);
      response.on('close', onResponseClose);
      if (this.#draining) closeAfter(response);
      onRequest((this.#requests += 1));
    });
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.on('session', (session: Session & NodeJS.EventEmitter) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
    });
    this.#closed = new Promise((resolve) => server.once('close', resolve));
  }

  get counts(): WorkerCounts {
    return { requests: this.#requests, active: this.#active.size, connections: this.#sockets.size };
  }

  /** Resolves when the server has been closed and its last connection is over. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /**
   * Accept no more, answer what has been asked, and let go of the connections: each one with its next answer, those
   * without a request after a grace, all of them at the deadline.
   */
  drain(manner: Manner, timeout: number): void {
    this.#draining = true;
    // http's own close() ends idle connections at once: a request on its way would be lost.
    Server.prototype.close.call(this.server);
    for (const response of this.#active) closeAfter(response);
    for (const session of this.#sessions) session.close();
    const { keepAliveTimeout = 0 } = this.server as MaybeHttp;
    const grace = manner === 'stop' ? STOP_GRACE : keepAliveTimeout || RETIRE_GRACE;
    const idle = setTimeout(() => (this.server as MaybeHttp).closeIdleConnections?.(), Math.min(grace, timeout));
    const deadline = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, timeout);
    void this.#closed.then(() => {
      clearTimeout(idle);
      clearTimeout(deadline);
    });
  }

  #end(response: ServerResponse): void {
    this.#active.delete(response);
    // It had promised to keep the connection before there was a reason not to.
    if (this.#draining && response.shouldKeepAlive) {
      const { socket } = response.req;
      for (const other of this.#active) if (other.req.socket === socket) return;
      socket.end();
    }
  }
}

/** Have Node say `Connection: close`, if the head of the answer has not left. HTTP/2 has sessions for that. */
function closeAfter(response: ServerResponse): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
}
