/** In the server: one client process, its calls and the answers to them. */
import { AbortError } from '../errors';
import type { Held, Session, Waiting } from './caller';
import { withDestination, type Destination } from './destination';
import { packError } from './errors';
import type { Holdings } from './objects';
import { Status, type Answer, type Request } from './protocol';
import { Wire } from './wire';

/** What the server does for a client. */
export interface Service {
  /** What a call gives, or a promise of it. Throws what the call throws. */
  perform(request: Request, call: number): unknown;
  /** A reference to this object is in the answer. */
  refer(id: number): void;
  /** The client has ended. */
  end(): void;
}

const aborted = AbortSignal.abort();

export class ServedClient implements Session {
  readonly waiting = new Map<number, Waiting>();
  readonly held = new Set<Held>();
  #wire: Wire | undefined;
  #service: Service | undefined;
  #destination: Destination | undefined;
  #isOpen = true;
  #localCalls = 0;

  constructor(readonly holdings: Holdings) {}

  get id(): string {
    return this.holdings.session;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Serve what comes through a socket. */
  attach(fd: number, server: string, service: Service): void {
    this.#service = service;
    this.#destination = { server, refer: (id) => service.refer(id) };
    this.#wire = new Wire(fd, {
      onMessage: (call, request, error) => this.#onRequest(call, request as Request, error),
      onEnd: () => this.#end(),
    });
    this.#wire.listen(true);
  }

  /** A number for a call that comes through no socket. */
  nextLocalCall(): number {
    return --this.#localCalls;
  }

  /** Give a waiting call up. */
  cancel(call: number): void {
    this.waiting.get(call)?.cancel(new AbortError(aborted));
  }

  close(): void {
    this.#wire?.close();
    this.#end();
  }

  /** In a fork of the server. */
  abandon(): void {
    this.#wire?.abandon();
    this.#isOpen = false;
  }

  #onRequest(call: number, request: Request, error: Error | undefined): void {
    let result: unknown;
    try {
      if (error !== undefined) throw error;
      result = this.#service?.perform(request, call);
    } catch (thrown) {
      return this.#answer(call, Status.Error, packError(thrown));
    }
    if (typeof (result as PromiseLike<unknown> | null | undefined)?.then !== 'function') {
      return this.#answer(call, Status.Value, result);
    }
    (result as PromiseLike<unknown>).then(
      (value) => this.#answer(call, Status.Value, value),
      (thrown: unknown) => this.#answer(call, Status.Error, packError(thrown)),
    );
  }

  #answer(call: number, status: Status, value: unknown): void {
    if (call === 0 || this.#wire === undefined || !this.#isOpen) return;
    try {
      this.#send(call, [status, value]);
    } catch (error) {
      if ((error as { code?: unknown }).code === 'EPIPE') return this.#end();
      // The value cannot be sent: that is the answer then.
      try {
        this.#send(call, [Status.Error, packError(error)]);
      } catch {
        this.#end();
      }
    }
  }

  #send(call: number, answer: Answer): void {
    withDestination(this.#destination as Destination, () => this.#wire?.send(call, answer));
  }

  #end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#wire?.close();
    for (const waiting of [...this.waiting.values()]) waiting.cancel(undefined);
    for (const held of [...this.held]) held.abandonedBy(this);
    this.#service?.end();
  }
}
