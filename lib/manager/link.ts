/** A process's hold on the server of a manager: calls and their answers, references, and what becomes of them in a fork. */
import { AbortError, EOFError, isPeerGone, PosixError } from '../errors';
import type { Address } from '../ipc/address';
import { DupFd } from '../ipc/dup-fd';
import { forgetFd } from '../ipc/poller';
import { decode, encode } from '../ipc/serialize';
import { native } from '../native';
import { emptyInChild, registerAtFork } from '../posix/at-fork';
import { withDestination } from './destination';
import { greetSync, newSessionId } from './greeting';
import { goneError, locate, unpackError, type PackedError } from './errors';
import { Ask, SERVER, Status, type Answer, type HoldToken, type Request, type ServerInfo } from './protocol';
import { References } from './references';
import { Wire } from './wire';

/** One call that waits for its answer. */
interface Call {
  readonly what: string;
  readonly trace: { readonly stack?: string } | undefined;
  /** Keeps the event loop alive. */
  readonly isAsync: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** How a promise form is given up, and what it is called in messages. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The server, in its own process. */
export interface LocalServer {
  readonly server: string;
  readonly info: ServerInfo;
  /** What a call gives: a value, or a promise. */
  perform(request: Request): unknown;
}

/** How a server is reached. */
export interface LinkOptions {
  readonly server: string;
  readonly address: Address | undefined;
  readonly key: () => Uint8Array;
  readonly seal?: () => Uint8Array | undefined;
}

const links = new Map<string, WeakRef<Link>>();
const localServers = emptyInChild(new Map<string, LocalServer>());

/** Closes the socket of a link that nobody can use any more. */
const unreachable = new FinalizationRegistry<{ readonly server: string; readonly fd: number }>(({ server, fd }) => {
  if (links.get(server)?.deref() === undefined) links.delete(server);
  forgetFd(fd);
  native.closeFd(fd);
});

/** The link to a server, made when there is none. */
export function linkTo(options: LinkOptions): Link {
  const known = links.get(options.server)?.deref();
  if (known !== undefined) return known;
  const link = new Link(options);
  links.set(options.server, new WeakRef(link));
  return link;
}

/** Have the proxies in this process speak with the server in it. */
export function serveLocally(server: LocalServer): void {
  localServers.set(server.server, server);
}

export function stopServingLocally(server: LocalServer): void {
  localServers.delete(server.server);
}

/** The server of this process that listens at an address, if any. */
export function localServerAt(address: Address): LocalServer | undefined {
  const wanted = addressText(address);
  return [...localServers.values()].find(({ info }) => addressText(info.address) === wanted);
}

function addressText(address: Address): string {
  if (typeof address === 'string') return address;
  const [host, port] = 'host' in address ? [address.host, address.port] : address;
  return JSON.stringify([host, port]);
}

export class Link {
  readonly server: string;
  readonly references: References;
  readonly key: () => Uint8Array;
  readonly seal: () => Uint8Array | undefined;
  address: Address | undefined;
  #session = newSessionId();
  #holds = 0;
  #wire: Wire | undefined;
  #expectedEnd: string | undefined;
  #gone: { readonly why: string; readonly cause: unknown } | undefined;
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  #waiting = 0;
  /** In a fork whose server does not know it yet. */
  #mustClaim = false;
  /** Around a fork: the end of a socket which the child will use. */
  #forChild: { readonly fd: number; readonly session: string } | undefined;

  constructor({ server, address, key, seal = () => undefined }: LinkOptions) {
    this.server = server;
    this.address = address;
    this.key = key;
    this.seal = seal;
    this.references = new References((id, count) => this.post(Ask.Drop, [id, count]));
  }

  /** Whether the server is in this process. */
  get local(): LocalServer | undefined {
    return localServers.get(this.server);
  }

  get isGone(): boolean {
    return this.#gone !== undefined;
  }

  /** By which the server knows this process. */
  get session(): string {
    return this.#session;
  }

  get isConnected(): boolean {
    return this.#wire !== undefined;
  }

  /** Use a socket whose other end the server has already, under the name of a session. */
  attach(fd: number, session = this.#session): void {
    this.#session = session;
    unreachable.register(this, { server: this.server, fd }, this);
    this.#wire = new Wire(fd, {
      onMessage: (id, answer, error) => this.#onAnswer(id, answer as Answer, error),
      onEnd: (error) => this.#onEnd(error),
    });
  }

  /** The server is about to end, for this reason. */
  expectEnd(why: string): void {
    this.#expectedEnd ??= why;
  }

  /** Say that the server has ended: every call fails from now on. */
  markGone(why: string, cause?: unknown): void {
    this.#gone ??= { why: this.#expectedEnd ?? why, cause };
    unreachable.unregister(this);
    this.#wire?.close();
    this.#wire = undefined;
    this.#failAll();
  }

  /** Call a method; the promise keeps the event loop alive. */
  call(
    object: number,
    method: string,
    args: readonly unknown[],
    what: string,
    options: CallOptions = {},
  ): Promise<unknown> {
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(new AbortError(signal));
    const { local } = this;
    if (local !== undefined) return this.#callLocally(local, [object, method, args]);
    const trace: { stack?: string } = {};
    Error.captureStackTrace(trace, this.call);
    return new Promise((resolve, reject) => {
      const id = this.#newId();
      let settle = nothing;
      if (signal !== undefined) {
        const onAbort = () => this.post(Ask.Cancel, [id]);
        signal.addEventListener('abort', onAbort, { once: true });
        settle = () => signal.removeEventListener('abort', onAbort);
      }
      const call: Call = {
        what,
        trace,
        isAsync: true,
        resolve(value) {
          settle();
          resolve(value);
        },
        reject(error) {
          settle();
          const isAbort = signal?.aborted === true && (error as { code?: unknown } | null)?.code === 'ABORT_ERR';
          reject(isAbort ? locate(new AbortError(signal), trace) : (error as Error));
        },
      };
      this.#begin(id, call, [object, method, args]);
    });
  }

  /** Call a method, blocking the process until the answer has come, or for so many milliseconds. */
  callSync(object: number, method: string, args: readonly unknown[], what: string, milliseconds = -1): unknown {
    const { local } = this;
    if (local !== undefined) return this.#callLocallySync(local, [object, method, args], what);
    let outcome: { value: unknown } | { error: unknown } | undefined;
    const id = this.#newId();
    const call: Call = {
      what,
      trace: undefined,
      isAsync: false,
      resolve: (value) => (outcome = { value }),
      reject: (error) => (outcome = { error }),
    };
    this.#begin(id, call, [object, method, args]);
    const settled = () => outcome;
    for (const deadline = performance.now() + milliseconds; settled() === undefined;) {
      const left = milliseconds < 0 ? -1 : deadline - performance.now();
      if (milliseconds >= 0 && left <= 0) {
        this.#calls.delete(id);
        throw goneError('it does not answer');
      }
      this.#wire?.receiveSync(left);
    }
    const given = settled() as { value: unknown } | { error: unknown };
    if ('value' in given) return given.value;
    const error = given.error as Error; // or whatever else was thrown
    const here: { stack?: string } = {};
    Error.captureStackTrace(here, this.callSync);
    if (error instanceof Error && 'remoteStack' in error) locateRemote(error, here);
    else if (error instanceof Error) locate(error, here);
    throw error;
  }

  /** Tell the server something that needs no answer. Who cannot be told any more needs not. */
  post(method: Ask, args: readonly unknown[]): void {
    const { local } = this;
    if (local !== undefined) return void local.perform([SERVER, method, args]);
    try {
      this.#wire?.send(0, [SERVER, method, args]);
    } catch (error) {
      if (!(error instanceof PosixError)) throw error;
      this.#onEnd(error);
    }
  }

  /** Have an object kept while a reference to it is on its way to another process. */
  hold(id: number): HoldToken | undefined {
    if (this.isGone) return undefined;
    const token: HoldToken = [this.#session, ++this.#holds];
    this.post(Ask.Hold, [token, id]);
    return token;
  }

  /** A reference has come in a message of another process. */
  claim(id: number, token: HoldToken | undefined): void {
    if (this.isGone) return;
    try {
      if (this.local === undefined) this.#connected();
    } catch {
      return; // the first call will say so
    }
    this.post(Ask.Claim, [id, 1, token]);
  }

  #newId(): number {
    do this.#lastCall = this.#lastCall >= 0xffffffff ? 1 : this.#lastCall + 1;
    while (this.#calls.has(this.#lastCall));
    return this.#lastCall;
  }

  #begin(id: number, call: Call, request: Request): void {
    try {
      const wire = this.#connected();
      this.#calls.set(id, call);
      withDestination(this, () => wire.send(id, request));
    } catch (error) {
      this.#calls.delete(id);
      if (!(error instanceof PosixError)) return call.reject(error);
      this.#onEnd(error);
      return call.reject(this.#goneError());
    }
    if (!call.isAsync) return;
    this.#waiting += 1;
    if (this.#waiting === 1) this.#wire?.listen(true);
  }

  #onAnswer(id: number, answer: Answer, error: Error | undefined): void {
    const call = this.#calls.get(id);
    if (call === undefined) return; // nobody waits for it any more
    this.#calls.delete(id);
    if (call.isAsync && --this.#waiting === 0) this.#wire?.listen(false);
    if (error !== undefined) return call.reject(locate(error, call.trace));
    const [status, value] = answer;
    if (status === Status.Value) call.resolve(value);
    else call.reject(unpackError(value as PackedError, call.what, call.trace));
  }

  #onEnd(error: Error | undefined): void {
    const isEof = error === undefined || error instanceof EOFError;
    const why = isEof ? 'its process has ended' : `the connection to it is broken (${error.message})`;
    this.markGone(why, error);
  }

  #goneError(): Error {
    const { why, cause } = this.#gone ?? { why: 'its process has ended', cause: undefined };
    return goneError(why, cause);
  }

  #failAll(): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#waiting = 0;
    for (const call of calls) call.reject(locate(this.#goneError(), call.trace));
  }

  /** The wire, made now where there is none; this blocks until the server has answered. */
  #connected(): Wire {
    if (this.#gone !== undefined) throw this.#goneError();
    if (this.#wire !== undefined) return this.#wire;
    if (this.address === undefined) throw goneError('this process does not know where it listens');
    let info: ServerInfo;
    try {
      info = this.#connect(this.address);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ECONNREFUSED' || code === 'ENOENT') this.markGone(`nobody listens at its address (${code})`, error);
      else if (isPeerGone(error)) this.markGone(message, error);
      throw this.#gone === undefined ? error : this.#goneError();
    }
    if (info.server !== this.server) {
      this.markGone('another one listens at its address');
      throw this.#goneError();
    }
    const wire = this.#wire as Wire | undefined;
    if (wire === undefined) throw this.#goneError();
    if (this.#mustClaim) {
      this.#mustClaim = false;
      for (const id of this.references.restart()) this.post(Ask.Claim, [id, 1, undefined]);
    }
    return wire;
  }

  #connect(address: Address): ServerInfo {
    const { info, fd, session } = greetSync(address, this.key());
    this.attach(fd, session);
    return info;
  }

  async #callLocally(local: LocalServer, request: Request): Promise<unknown> {
    return this.#copy(await local.perform(this.#copy(request) as Request));
  }

  #callLocallySync(local: LocalServer, request: Request, what: string): unknown {
    const result = local.perform(this.#copy(request) as Request);
    if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return this.#copy(result);
    (result as Promise<unknown>).catch(nothing);
    throw goneErrorOfItself(what);
  }

  /** As it would be after its way through a socket. */
  #copy(value: unknown): unknown {
    return decode(Uint8Array.from(withDestination(this, () => encode(value)).bytes));
  }

  /** Before a fork: a socket for the child, whose references are this process's at this moment. */
  prepareFork(): void {
    const wire = this.#wire;
    if (wire?.carriesFds !== true) return;
    const [childs, servers] = native.connectionPair();
    const session = newSessionId();
    try {
      wire.send(0, [SERVER, Ask.Fork, [session, new DupFd(servers)]]);
      wire.flushSync();
      this.#forChild = { fd: childs, session };
    } catch {
      native.closeFd(childs); // the server is gone, which is seen by the next call
    } finally {
      native.closeFd(servers);
    }
  }

  afterForkInParent(): void {
    if (this.#forChild !== undefined) native.closeFd(this.#forChild.fd);
    this.#forChild = undefined;
  }

  afterForkInChild(): void {
    unreachable.unregister(this);
    this.#wire?.abandon();
    this.#wire = undefined;
    this.#calls.clear();
    this.#waiting = 0;
    this.#holds = 0;
    const forChild = this.#forChild;
    this.#forChild = undefined;
    this.#session = newSessionId();
    if (forChild === undefined) this.#mustClaim = true;
    else this.attach(forChild.fd, forChild.session);
  }
}

function nothing(): void {}

function goneErrorOfItself(what: string): Error {
  return Object.assign(new Error(`${what} would block the manager's own process; use the promise form there`), {
    code: 'ERR_MANAGER_WOULD_BLOCK',
  });
}

function locateRemote(error: Error, here: { readonly stack?: string }): void {
  const frames = here.stack ?? '';
  const first = frames.indexOf('\n    at ');
  if (first < 0) return;
  Object.defineProperty(error, 'stack', {
    value: error.stack + frames.slice(first),
    configurable: true,
    writable: true,
  });
}

/** Those with a wire, or that were used, as long as a proxy or manager refers to them. */
function living(): Link[] {
  return [...links.values()].flatMap((ref) => ref.deref() ?? []);
}

registerAtFork({
  before() {
    for (const link of living()) link.prepareFork();
  },
  afterInParent() {
    for (const link of living()) link.afterForkInParent();
  },
  afterInChild() {
    for (const link of living()) link.afterForkInChild();
  },
});
