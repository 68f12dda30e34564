/** Where the message goes that is being encoded: a reference to an object looks different for its own server. */

export interface Destination {
  /** The server that the message goes to, or comes from. */
  readonly server: string;
  /** In the server: the client gets a reference to this object. */
  refer?(id: number): void;
}

let current: Destination | undefined;

export function destination(): Destination | undefined {
  return current;
}

/** Encode something for a server, or for a client of this one. */
export function withDestination<T>(to: Destination, work: () => T): T {
  const before = current;
  current = to;
  try {
    return work();
  } finally {
    current = before;
  }
}
