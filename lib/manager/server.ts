/**
 * The server of a manager: one event loop that keeps the objects and serves all clients. A call that has to wait is a
 * promise, so that it keeps nobody else waiting.
 *
 *     Listener ── authenticated ──> hello ──> Client ── call ──> an object's method ── answer ──> Client
 */
import { inspect } from 'node:util';
import { PosixError, ProcessError } from '../errors';
import type { Address, InetAddress } from '../ipc/address';
import type { Connection } from '../ipc/connection';
import type { DupFd } from '../ipc/dup-fd';
import { Listener } from '../ipc/listener';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { isThenable } from '../values';
import { servingFor, type Caller } from './caller';
import { ServedClient } from './client';
import { managerMisuse } from './errors';
import { newSessionId } from './greeting';
import { linkTo, serveLocally, stopServingLocally, type Link, type LocalServer } from './link';
import { Objects, type Entry, type Holdings } from './objects';
import { Ask, SERVER, type HoldToken, type Request, type ServerInfo } from './protocol';
import { kValue } from './referents/containers';
import { BaseProxy, kProxy } from './proxy';
import { Reference } from './reference';
import { construct, publicMethods, type TypeEntry } from './types';

/** Milliseconds that a client may take to say hello. */
const HELLO_MS = 10_000;
/** After an accept that failed for want of descriptors or memory. */
const PAUSE_MS = 50;

export interface ServerOptions {
  readonly server: string;
  readonly address: Address | undefined;
  readonly authKey: Uint8Array;
  readonly types: ReadonlyMap<string, TypeEntry>;
  readonly seal?: Uint8Array | undefined;
}

/** Servers of this process, for the child that must forget them. */
const running = emptyInChild(new Set<ManagerServer>(), (server) => abandon(server));
let abandon: (server: ManagerServer) => void;

/** What one server process does. */
export class ManagerServer implements LocalServer {
  readonly server: string;
  readonly #listener: Listener;
  readonly #options: ServerOptions;
  readonly #objects = new Objects();
  readonly #clients = new Set<ServedClient>();
  readonly #own: ServedClient;
  /** By which the proxies in this process, those inside of other objects among them, reach their objects. */
  readonly #link: Link;
  #seeded: Entry | undefined;
  #stopped = false;
  #onStop: () => void = () => {};
  /** Settles when a client, or this process, has asked for the end. */
  readonly ended: Promise<void>;

  /** Listens from here on; who connects is served when {@link ManagerServer.serve} is called. */
  constructor(options: ServerOptions) {
    this.#options = options;
    this.server = options.server;
    this.ended = new Promise((resolve) => (this.#onStop = resolve));
    this.#listener = new Listener(options.address, { authKey: options.authKey });
    this.#own = new ServedClient(this.#objects.open(newSessionId()));
    const { server, authKey, seal } = options;
    this.#link = linkTo({ server, address: this.address, key: () => authKey, seal: () => seal });
    this.#link.address = this.address;
    running.add(this);
    serveLocally(this);
  }

  /** Where it listens. */
  get address(): string | InetAddress {
    return this.#listener.address;
  }

  get info(): ServerInfo {
    return { server: this.server, pid: native.getpid(), address: this.address };
  }

  /** Accept clients until the end. */
  async serve(): Promise<void> {
    while (!this.#stopped) {
      try {
        void this.#welcome(await this.#listener.accept());
      } catch (error) {
        const { code } = error as ProcessError;
        if (code === 'ERR_LISTENER_CLOSED') break;
        if (code !== 'ERR_AUTHENTICATION') await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
    await this.ended;
  }

  /** The same as {@link ManagerServer.serve}, by Python's name. */
  serveForever(): Promise<void> {
    return this.serve();
  }

  /** Serve a client whose socket this is. */
  adopt(fd: number, session: string, copyOf?: Holdings): void {
    const client = new ServedClient(this.#objects.open(session, copyOf));
    this.#clients.add(client);
    client.attach(fd, this.server, {
      perform: (request, call) => this.#performFor(client, request, call),
      refer: (id) => this.#objects.refer(client.holdings, id),
      end: () => this.#forget(client),
    });
  }

  /** A call of this process. */
  perform(request: Request): unknown {
    return this.#performFor(this.#own, request, this.#own.nextLocalCall());
  }

  /** Make the object that {@link Ask.Seeded} asks for. */
  async seed(typeid: string, args: readonly unknown[]): Promise<void> {
    const entry = await this.#create(typeid, args);
    this.#seeded = entry;
    this.#objects.refer(this.#own.holdings, entry.id);
  }

  /** Stop listening, end the objects, and let go of the clients once they have their answers. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    running.delete(this);
    stopServingLocally(this);
    this.#listener.close();
    this.#objects.clear();
    // The answer to who has asked for it goes first.
    setImmediate(() => {
      for (const client of this.#clients) client.close();
      this.#onStop();
    });
  }

  /** The object behind a proxy of this server, given to an object as an argument. */
  objectOf(proxy: BaseProxy): object | undefined {
    const { link, id } = proxy[kProxy];
    return link === this.#link ? this.#objects.get(id)?.object : undefined;
  }

  async #welcome(connection: Connection): Promise<void> {
    try {
      const [session, pair] = await connection.recv<[string, DupFd | undefined]>({ timeout: HELLO_MS });
      const fd = pair?.detach() ?? native.dup(connection.fileno());
      this.adopt(fd, String(session));
      await connection.send(this.info);
    } catch (error) {
      // Gone again before it has said who it is, or said something else: nobody is waiting for an answer.
      if (!(error instanceof ProcessError || error instanceof PosixError || error instanceof TypeError)) throw error;
    } finally {
      connection.close();
    }
  }

  #forget(client: ServedClient): void {
    this.#clients.delete(client);
    this.#objects.close(client.holdings);
  }

  #performFor(client: ServedClient, [object, method, args]: Request, call: number): unknown {
    if (object === SERVER) return this.#ask(client, method as Ask, args, call);
    const entry = this.#entry(object);
    if (!entry.methods.has(method)) {
      throw managerMisuse('ERR_MANAGER_NOT_EXPOSED', `A '${entry.typeid}' of this manager has no method '${method}'`);
    }
    return this.#invoke({ session: client, call }, entry, method, args);
  }

  #entry(id: number): Entry {
    const entry = this.#objects.get(id);
    if (entry !== undefined) return entry;
    throw managerMisuse('ERR_MANAGER_NO_OBJECT', 'The object is not in the manager any more: nobody referred to it');
  }

  #invoke(caller: Caller, entry: Entry, method: string, args: readonly unknown[]): unknown {
    const fn = (entry.object as Record<string, unknown>)[method];
    const result = servingFor(caller, () =>
      typeof fn === 'function' ? (Reflect.apply(fn, entry.object, args) as unknown) : fn,
    );
    const typeid = entry.methodToTypeid[method];
    if (typeid === undefined) return result;
    if (!isThenable(result)) return this.#referenceTo(this.#register(result, typeid));
    return result.then((value) => this.#referenceTo(this.#register(value, typeid)));
  }

  #ask(client: ServedClient, method: Ask, args: readonly unknown[], call: number): unknown {
    const { holdings } = client;
    switch (method) {
      case Ask.Hello:
        return this.info;
      case Ask.Create: {
        const [typeid, given] = args as [string, unknown[]];
        const made = servingFor({ session: client, call }, () => this.#create(typeid, given));
        return isThenable(made) ? made.then((entry) => this.#referenceTo(entry)) : this.#referenceTo(made);
      }
      case Ask.Seeded:
        if (this.#seeded === undefined) throw new Error('nothing was seeded');
        return this.#referenceTo(this.#seeded);
      case Ask.Shutdown:
        this.stop();
        return undefined;
      case Ask.Inspect:
        return this.#objects.all().map(({ id, typeid, object, references }) => ({
          id,
          typeid,
          references,
          text: inspect(object, { depth: 1 }).slice(0, 75),
        }));
      case Ask.Value: {
        const { object } = this.#entry(args[0] as number);
        const value = (object as { [kValue]?: () => unknown })[kValue];
        return value === undefined ? object : Reflect.apply(value, object, []);
      }
      case Ask.Show:
        return inspect(this.#entry(args[0] as number).object);
      case Ask.Cancel:
        return client.cancel(args[0] as number);
      case Ask.Fork: {
        const [session, end] = args as [string, DupFd];
        return this.adopt(end.detach(), session, holdings);
      }
      case Ask.Hold: {
        const [[, serial], id] = args as [HoldToken, number];
        return this.#objects.hold(holdings, serial, id);
      }
      case Ask.Claim: {
        const [id, count, token] = args as [number, number, HoldToken | undefined];
        return this.#objects.claim(holdings, id, count, token);
      }
      case Ask.Drop: {
        const [id, count] = args as [number, number];
        return this.#objects.drop(holdings, id, count);
      }
      default:
        throw managerMisuse('ERR_MANAGER_NOT_EXPOSED', `A manager is not asked for '${String(method)}'`);
    }
  }

  #create(typeid: string, args: readonly unknown[]): Entry | PromiseLike<Entry> {
    const type = this.#options.types.get(typeid);
    if (type?.callable === undefined) {
      throw managerMisuse('ERR_MANAGER_NO_TYPE', `The manager has no type '${typeid}'; register it before the start`);
    }
    // An object of this server's stands for itself: a Condition gets its Lock.
    const isBuiltIn = type.kind !== 'auto';
    const given = args.map((arg) => (isBuiltIn && arg instanceof BaseProxy ? (this.#lockOf(arg) ?? arg) : arg));
    const made = construct(type.callable, given);
    return isThenable(made) ? made.then((object) => this.#register(object, typeid)) : this.#register(made, typeid);
  }

  #lockOf(proxy: BaseProxy): object | undefined {
    const object = this.objectOf(proxy);
    return object !== undefined && 'acquireAgain' in object ? object : undefined;
  }

  #register(object: unknown, typeid: string): Entry {
    const type = this.#options.types.get(typeid);
    if (type === undefined) throw managerMisuse('ERR_MANAGER_NO_TYPE', `The manager has no type '${typeid}'`);
    if ((typeof object !== 'object' && typeof object !== 'function') || object === null) {
      throw new TypeError(`The callable of '${typeid}' must give an object. Received ${inspect(object)}`);
    }
    const known = this.#objects.known(object, typeid);
    if (known !== undefined) return known;
    const isIterator = type.kind === 'auto' && 'next' in object && typeof object.next === 'function';
    return this.#objects.add({
      typeid,
      kind: isIterator ? 'iterator' : type.kind,
      object,
      methods: new Set(type.exposed ?? publicMethods(object)),
      methodToTypeid: type.methodToTypeid,
    });
  }

  #referenceTo(entry: Entry): Reference {
    return new Reference({
      server: this.server,
      address: this.address,
      id: entry.id,
      typeid: entry.typeid,
      kind: entry.kind,
      names: entry.kind === 'auto' || entry.kind === 'iterator' || entry.kind.startsWith('@') ? [...entry.methods] : [],
      token: undefined,
      seal: this.#options.seal,
    });
  }

  static {
    abandon = (server) => {
      server.#stopped = true;
      for (const client of server.#clients) client.abandon();
      server.#clients.clear();
      native.closeFd(server.#listener.fileno());
    };
  }
}
