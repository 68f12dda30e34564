/** The first words between a client and a server, after both have shown the key. */
import { randomBytes } from 'node:crypto';
import type { Address } from '../ipc/address';
import { Client, ClientSync } from '../ipc/client';
import type { Connection } from '../ipc/connection';
import { DupFd } from '../ipc/dup-fd';
import { native } from '../native';
import type { ServerInfo } from './protocol';

/** Milliseconds for reaching a server, and for its first answer. */
const CONNECT_MS = 10_000;

/** What a client has when it knows the server. */
export interface Greeted {
  readonly info: ServerInfo;
  /** The socket to use from here on. */
  readonly fd: number;
  readonly session: string;
}

/** A name for a client that no other has. */
export function newSessionId(): string {
  return randomBytes(12).toString('base64url');
}

/** Connect to a server. */
export async function greet(address: Address, authKey: Uint8Array): Promise<Greeted> {
  const connection = await Client(address, { authKey, timeout: CONNECT_MS });
  const ends = prepare(connection);
  try {
    await connection.send(ends.hello);
    return { ...ends.kept, info: await connection.recv<ServerInfo>({ timeout: CONNECT_MS }) };
  } catch (error) {
    native.closeFd(ends.kept.fd);
    throw error;
  } finally {
    ends.release();
    connection.close();
  }
}

/** As {@link greet}, blocking the process. */
export function greetSync(address: Address, authKey: Uint8Array): Greeted {
  const connection = ClientSync(address, { authKey, timeout: CONNECT_MS });
  const ends = prepare(connection);
  try {
    connection.sendSync(ends.hello);
    return { ...ends.kept, info: connection.recvSync<ServerInfo>({ timeout: CONNECT_MS }) };
  } catch (error) {
    native.closeFd(ends.kept.fd);
    throw error;
  } finally {
    ends.release();
    connection.close();
  }
}

/** On one host a pair of sockets that keep messages apart takes the place of the stream. */
function prepare(connection: Connection) {
  const session = newSessionId();
  const isUnix = native.socketKind(connection.fileno()) === 1;
  const [fd, servers] = isUnix ? native.connectionPair() : [native.dup(connection.fileno()), undefined];
  return {
    hello: [session, servers === undefined ? undefined : new DupFd(servers)],
    kept: { fd, session },
    release() {
      if (servers !== undefined) native.closeFd(servers);
    },
  };
}
