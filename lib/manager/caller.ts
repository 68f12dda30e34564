/** In the server: whose call is being served. Set while a method runs, until it returns or gives its promise. */

/** A client process, as long as it is connected. */
export interface Session {
  readonly id: string;
  readonly isOpen: boolean;
  /** Calls of it that wait. */
  readonly waiting: Map<number, Waiting>;
  /** Locks that it holds. */
  readonly held: Set<Held>;
}

/** A call that waits, which can be given up. */
export interface Waiting {
  /** With the error for the client, or because there is no client any more. */
  cancel(error: Error | undefined): void;
}

/** What a session can leave behind at its end. */
export interface Held {
  abandonedBy(session: Session): void;
}

/** A call. */
export interface Caller {
  readonly session: Session;
  readonly call: number;
}

let current: Caller | undefined;

/** Run a method for a caller. */
export function servingFor<T>(caller: Caller, work: () => T): T {
  const before = current;
  current = caller;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** Who calls; to be asked before the first `await`. */
export function caller(): Caller {
  if (current === undefined) throw new Error('no call is being served');
  return current;
}
