/** What can be served, and what becomes of it: always a `net.Server` that has yet to listen. */
import { createServer, type RequestListener } from 'node:http';
import type { Server } from 'node:net';
import { invalidType } from '../validate';

/** A Fastify instance, as far as it matters here. */
interface FastifyLike {
  readonly server: Server;
  ready(): PromiseLike<unknown>;
  close(): PromiseLike<unknown>;
}

/** A Koa application, as far as it matters here. */
interface KoaLike {
  callback(): RequestListener;
}

/**
 * What a worker can serve: a server of `http`, `https`, `http2`, `tls` or `net` that does not listen yet; a request
 * listener, which an Express application is; a Fastify instance; a Koa application.
 *
 * @see http.createServer
 */
export type Servable = Server | RequestListener | FastifyLike | KoaLike;

/** A server, and how its framework is told that it is over. */
export interface Served {
  readonly server: Server;
  close?(): PromiseLike<unknown>;
}

/** Tell by its shape what `serve` gave: the frameworks need not be installed. */
export async function served(servable: unknown): Promise<Served> {
  if (isServer(servable)) return { server: servable };
  if (has(servable, 'ready') && has(servable, 'close') && isServer((servable as FastifyLike).server)) {
    const fastify = servable as FastifyLike;
    await fastify.ready();
    return { server: fastify.server, close: () => fastify.close() };
  }
  if (typeof servable === 'function') return { server: createServer(servable as RequestListener) };
  if (has(servable, 'callback')) return { server: createServer((servable as KoaLike).callback()) };
  throw invalidType(
    'serve()',
    'a server, a request listener, or an Express, Fastify or Koa application (returned by it)',
    servable,
  );
}

function isServer(value: unknown): value is Server {
  // An Express application is a function, and has `listen` too.
  return typeof value === 'object' && has(value, 'listen') && has(value, 'getConnections') && has(value, 'close');
}

function has(value: unknown, method: string): boolean {
  return typeof (value as Record<string, unknown> | null | undefined)?.[method] === 'function';
}
