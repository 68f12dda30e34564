/** Bytes on the socket between a pool and a worker: the calls of native/connection.cc, without messages. */
import { constants } from 'node:os';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';

export const READABLE = 1;
export const WRITABLE = 2;
export const EAGAIN = -constants.errno.EAGAIN;
const AT_ONCE = 0;

/** How many bytes came, 0 at the end of the stream, or a negative errno. */
export function receive(fd: number, bytes: Uint8Array, offset: number, length: number): number {
  return native.receive(fd, AT_ONCE, bytes, offset, length);
}

/** How many bytes went, or a negative errno. */
export function send(fd: number, bytes: Uint8Array, offset: number, length: number): number {
  return native.send(fd, AT_ONCE, bytes, offset, length);
}

/** Send all of them, waiting for room. 0, or a negative errno. */
export function sendAll(fd: number, bytes: Uint8Array, length: number): number {
  let sent = 0;
  while (sent < length) {
    const now = native.send(fd, AT_ONCE, bytes, sent, length - sent);
    if (now >= 0) sent += now;
    else if (now === EAGAIN) native.pollFd(fd, WRITABLE, -1);
    else return now;
  }
  return 0;
}

native.connectionExchange(); // has to be made before the first call

runsInChild(sendAll);
