/** Where a listener is: a path of a Unix socket, or a host and a port. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { native } from '../native';
import { codedError } from '../errors';
import { invalidType, invalidValue, validateInteger } from '../validate';

/** A host and a port. */
export interface InetAddress {
  readonly host: string;
  readonly port: number;
}

/** A path (on Linux, beginning with `\0`, a name outside of the file system), or a host with a port. */
export type Address = string | InetAddress | readonly [host: string, port: number];

/** The kinds of addresses. */
export type Family = 'AF_UNIX' | 'AF_INET' | 'AF_INET6';

/** The kinds of addresses of this host, the quickest first. */
export const families: readonly Family[] = ['AF_UNIX', 'AF_INET', 'AF_INET6'];

/** What the addon takes: a path, or a host and a port. */
export interface Target {
  readonly hostOrPath: string;
  readonly port: number | undefined;
  /** 0 any, 4, 6; of the host, when it is a name. */
  readonly ipFamily: 0 | 4 | 6;
}

/** Validate an address; the family says what it must be. */
export function parseAddress(address: unknown, family: Family | undefined): Target {
  if (family !== undefined && !families.includes(family)) {
    throw invalidValue('options.family', `must be one of ${families.join(', ')}`, family);
  }
  if (typeof address === 'string') {
    // As Python has it: the name of a pipe of Windows.
    if (address.startsWith('\\\\'))
      throw invalidValue('address', 'is of the family AF_PIPE, which is not there', address);
    if (family !== undefined && family !== 'AF_UNIX')
      throw invalidValue('address', `is not of the family ${family}`, address);
    if (address.length === 0 || address.indexOf('\0', 1) >= 0) {
      throw invalidValue('address', 'must be a path without null bytes', address);
    }
    return { hostOrPath: address, port: undefined, ipFamily: 0 };
  }
  if (typeof address !== 'object' || address === null) {
    throw invalidType('address', 'a path, or an object with host and port', address);
  }
  const pair = address as unknown[];
  const { host, port } = Array.isArray(address) ? { host: pair[0], port: pair[1] } : (address as Partial<InetAddress>);
  if (typeof host !== 'string') throw invalidType('address.host', 'of type string', host);
  validateInteger(port, 'address.port', 0, 65535);
  if (family === 'AF_UNIX') throw invalidValue('address', 'is not of the family AF_UNIX', address);
  return { hostOrPath: host, port, ipFamily: family === 'AF_INET' ? 4 : family === 'AF_INET6' ? 6 : 0 };
}

function notFound(host: string): Error {
  return Object.assign(codedError(Error, 'ENOTFOUND', `getaddrinfo ENOTFOUND ${host}`), { hostname: host });
}

/** The target with a numeric host; blocks when it has to be looked up. */
export function resolvedSync(target: Target): Target {
  if (target.port === undefined || isIP(target.hostOrPath) !== 0) return target;
  const [first] = native.resolveHost(target.hostOrPath, target.ipFamily);
  if (first === undefined) throw notFound(target.hostOrPath);
  return { ...target, hostOrPath: first };
}

/** The target with a numeric host. */
export async function resolved(target: Target): Promise<Target> {
  if (target.port === undefined || isIP(target.hostOrPath) !== 0) return target;
  const { address } = await lookup(target.hostOrPath, { family: target.ipFamily });
  return { ...target, hostOrPath: address };
}

/** The address of a socket, or of what it is connected to. */
export function addressOf(fd: number, ofPeer: boolean): string | InetAddress | undefined {
  const address = native.socketAddress(fd, ofPeer);
  return typeof address === 'number' ? undefined : address;
}

/** The error fields that tell which address it was. */
export function pathOf({ hostOrPath, port }: Target): { path: string } {
  return {
    path: port === undefined ? hostOrPath : `${hostOrPath.includes(':') ? `[${hostOrPath}]` : hostOrPath}:${port}`,
  };
}
