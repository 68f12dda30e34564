/**
 * What clients and the server of a manager say to each other. Each message has the number of a call in front (wire.ts).
 *
 *     client   n: [object, method, args]  ─────>  server      a call, of an object or (object 0) of the server itself
 *              n: [Status, value]         <─────              its answer; calls are answered in any order
 *              0: [0, method, args]       ─────>              what needs no answer
 */
import type { Address, InetAddress } from '../ipc/address';

/** A call: of which object (0: the server), which method, with what. */
export type Request = readonly [object: number, method: string, args: readonly unknown[]];

export const enum Status {
  Value,
  Error,
}

/** An answer. */
export type Answer = readonly [status: Status, value: unknown];

/** The object number of the server itself. */
export const SERVER = 0;

/** What the server itself is asked; Python's `Server.public` in this package's words. */
export const enum Ask {
  /** Who are you, and is all well; a client says who it is, and gives its end of a better socket. */
  Hello = 'hello',
  /** Make an object of a registered type. */
  Create = 'create',
  /** The object made of what could not be sent: functions that the server was forked with. */
  Seeded = 'seeded',
  /** End the server. */
  Shutdown = 'shutdown',
  /** How many objects there are, and which. */
  Inspect = 'inspect',
  /** A copy of an object. */
  Value = 'value',
  /** A text that shows an object. */
  Show = 'show',
  /** Give a call up, if it still waits. */
  Cancel = 'cancel',
  /** This client's fork has the other end of this socket, and the same references. */
  Fork = 'fork',
  /** A reference is on its way to another process: keep the object until that has it. */
  Hold = 'hold',
  /** A reference has arrived. */
  Claim = 'claim',
  /** So many references to an object are gone. */
  Drop = 'drop',
}

/** What the server answers to `hello`. */
export interface ServerInfo {
  /** Which server this is: another at the same address has another one. */
  readonly server: string;
  readonly pid: number;
  readonly address: string | InetAddress;
}

/** By which a reference, once it has arrived, is told from others: the sender's session, and a number that rises there. */
export type HoldToken = readonly [session: string, serial: number];

/** How a reference to an object travels. */
export interface Description {
  readonly server: string;
  readonly address: Address;
  readonly id: number;
  readonly typeid: string;
  /** The kind of its proxy. */
  readonly kind: string;
  /** The names of its methods, for the kinds that do not know them. */
  readonly names: readonly string[];
  readonly token: HoldToken | undefined;
  /** The server's key, for the family alone (key-seal.ts). */
  readonly seal: Uint8Array | undefined;
}
