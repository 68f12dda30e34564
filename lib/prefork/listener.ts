/**
 * The listening socket of a pre-forking server: bound once, by the master, which never accepts from it. It holds a
 * descriptor that its event loop does not watch; each worker makes a server of its own on the inherited copy. While the
 * master lives, connections queue on it, whatever happens to the workers.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { connect, createServer, type ListenOptions, type Server } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { PosixError } from '../errors';
import { native } from '../native';
import type { PreforkAddress } from './events';

/** Bytes of a Unix socket's path, unix(7). */
const LONGEST = process.platform === 'darwin' ? 104 : 108;

/** A bound socket. */
export interface Listener {
  readonly fd: number;
  readonly address: PreforkAddress;
  /** Accept no more: connections that wait are refused once the workers too have closed it. */
  close(): void;
  /** The same, leaving the path of a Unix socket to the process that made it. */
  abandon(): void;
}

/** Bind and listen, without accepting. Rejects with what `net` says: `EADDRINUSE`, `EACCES`, `ENOTFOUND`. */
export async function openListener(options: {
  readonly port: number;
  readonly host: string | undefined;
  readonly path: string | undefined;
  readonly backlog: number;
}): Promise<Listener> {
  const { port, host, path, backlog } = options;
  if (path === undefined) {
    const server = await listening(createServer(), { port, ...(host !== undefined && { host }), backlog });
    const address = server.address() as { address: string; family: string; port: number };
    return held(takeDescriptor(server), address, () => {});
  }
  const { server, remove } = await listenAtPath(createServer(), path, backlog);
  return held(takeDescriptor(server), { path }, remove);
}

function held(fd: number, address: PreforkAddress, onClose: () => void): Listener {
  let open = true;
  const abandon = (): void => {
    if (open) closeSync(fd);
    open = false;
  };
  return {
    fd,
    address,
    abandon,
    close() {
      if (open) onClose();
      abandon();
    },
  };
}

/**
 * Have a server listen at a path that is taken over in one step: bound under a name of its own, then renamed. So a dead
 * server's socket is no obstacle; and libuv, which removes the name it has bound when a copy of the handle is closed in
 * some forked child, removes nothing.
 */
export async function listenAtPath<S extends Server>(
  server: S,
  path: string,
  backlog: number,
  beforeItIsKnown: (own: string) => void = () => {},
): Promise<{ server: S; remove: () => void }> {
  // Hardly longer than the path itself, which may be as long as a socket's can be.
  const name = `.${randomBytes(9).toString('base64url')}`.slice(0, Math.max(basename(path).length, 5));
  const own = join(dirname(path), name);
  // libuv of Node 20 and 22 would take the beginning of it.
  if (Buffer.byteLength(own) > LONGEST) throw new PosixError(constants.errno.ENAMETOOLONG, 'listen', { path });
  if (await isAlive(path))
    throw Object.assign(new PosixError(constants.errno.EADDRINUSE, 'listen', { path }), { address: path });
  try {
    await listening(server, { path: own, backlog });
  } catch (error) {
    const { message } = error as Error;
    throw Object.assign(error as Error, { address: path, message: message.replace(own, path) }); // the name that is known
  }
  const place = resolve(path); // for the time when the working directory is another one
  try {
    beforeItIsKnown(own);
    renameSync(own, place);
  } catch (error) {
    server.close();
    throw error;
  }
  const { ino, dev } = lstatSync(place);
  return {
    server,
    remove() {
      const now = lstatSync(place, { throwIfNoEntry: false });
      if (now?.ino === ino && now.dev === dev) rmSync(place);
    },
  };
}

/** Whether somebody accepts connections there. What is no socket is in the way too. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return resolve(false);
      if (error.code !== 'ECONNREFUSED') return reject(error);
      resolve(lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false);
    });
  });
}

function listening<S extends Server>(server: S, options: ListenOptions): Promise<S> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options, exclusive: true }, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

interface Handle {
  readonly fd: number;
}

/** Keep the socket and give up the server. No event loop has turned since it listens: nothing was accepted. */
function takeDescriptor(server: Server): number {
  const { fd } = (server as unknown as { readonly _handle: Handle })._handle;
  const own = native.dup(fd);
  server.close();
  return own;
}
