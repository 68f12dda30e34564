/** `BaseManager`: a server process with objects of registered types, and its clients. */
import type { Address } from '../ipc/address';
import { validateAuthKey, type AuthKey } from '../ipc/challenge';
import { parseAddress } from '../ipc/address';
import { staysHere } from '../ipc/unclonable';
import { native } from '../native';
import { currentProcess, type Process } from '../process/process';
import { validateFunction, validateObject, invalidValue } from '../validate';
import { managerMisuse } from './errors';
import { greet, greetSync, type Greeted } from './greeting';
import { Host, type HostOptions } from './host';
import { seal } from './key-seal';
import { linkTo, localServerAt, type Link } from './link';
import { Ask, SERVER } from './protocol';
import { kindOf, kMade, type BaseProxy } from './proxy';
import { ManagerServer } from './server';
import { addType, typeEntry, typesOf, type Callable, type RegisterOptions, type TypeEntry } from './types';

/** Options of a manager. */
export interface ManagerOptions {
  /**
   * Where the server listens, or which server to connect to: a path, `{ host, port }` or `[host, port]`. Default: a Unix
   * socket that only this user can reach.
   */
  readonly address?: Address | null | undefined;
  /** The key that clients have to show. Default: `currentProcess().authkey`, which the whole family has. */
  readonly authKey?: AuthKey | undefined;
  /** The same as `authKey`, as Python writes it. */
  readonly authkey?: AuthKey | undefined;
  /** Called in the server process before it listens. */
  readonly initializer?: ((...args: never[]) => unknown) | undefined;
  /** The arguments of `initializer`. */
  readonly initargs?: Iterable<unknown> | undefined;
}

/** An object of a manager, as `debugInfo` lists it. */
export interface ManagedObject {
  readonly id: number;
  readonly typeid: string;
  /** How many references processes and messages have to it. */
  readonly references: number;
  /** What it looks like, shortened. */
  readonly text: string;
}

/** A proxy with the methods of a class, each of which gives a promise and has a blocking twin. */
export type ObjectProxy<T> = BaseProxy & {
  [K in keyof T & string as T[K] extends (...args: never[]) => unknown ? K : never]: T[K] extends (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
} & {
  [K in keyof T & string as T[K] extends (...args: never[]) => unknown ? `${K}Sync` : never]: T[K] extends (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Awaited<R>
    : never;
};

/** What makes objects of a registered type. */
export interface Creator<C> {
  (...args: ArgumentsOf<C>): Promise<ObjectProxy<ObjectOf<C>>>;
  /** The same, blocking the process. */
  sync(...args: ArgumentsOf<C>): ObjectProxy<ObjectOf<C>>;
}

type ArgumentsOf<C> = C extends abstract new (...args: infer A) => object
  ? A
  : C extends (...args: infer A) => unknown
    ? A
    : unknown[];
type ObjectOf<C> = C extends abstract new (...args: never[]) => infer T
  ? T
  : C extends (...args: never[]) => infer R
    ? Awaited<R>
    : Record<string, (...args: unknown[]) => unknown>;

let managers = 0;

/**
 * A server process that keeps objects, which any process with a proxy can use; the types are registered by the user.
 *
 * @remarks `SyncManager`, which `Manager()` starts, has types of its own beside those. A type registered after the start,
 * or an argument that is a function, gets a server process of its own, forked at that moment: it has what the program has
 * then. In a forked child the manager still makes objects, and `shutdown` there does nothing.
 * @example
 * ```js
 * class Counters extends BaseManager {}
 * Counters.register('Counter', class { #n = 0; next() { return ++this.#n; } });
 * await using counters = await new Counters().start();
 * const counter = await counters.create('Counter');
 * console.log(await counter.next()); // 1
 * ```
 * @see multiprocessing.managers.BaseManager
 */
export class BaseManager implements AsyncDisposable {
  readonly #options: ManagerOptions;
  readonly #authKey: Buffer;
  readonly #types: Map<string, TypeEntry>;
  readonly #name: string;
  /** The server processes; the first is the one with the address. */
  #hosts: Host[] = [];
  /** The server that this object is a client of. */
  #connected: Link | undefined;
  #state: 'initial' | 'started' | 'ended' = 'initial';
  #pid = 0;

  /** @param options - `address`, `authKey`, `initializer`, `initargs`. */
  constructor(options: ManagerOptions = {}) {
    validateObject(options, 'options');
    const key = options.authKey ?? options.authkey ?? currentProcess().authkey;
    validateAuthKey(key, 'options.authKey');
    if (options.address != null) parseAddress(options.address, undefined);
    if (options.initializer != null) validateFunction(options.initializer, 'options.initializer');
    this.#options = options;
    this.#authKey = Buffer.from(key as Uint8Array);
    this.#types = new Map(typesOf(new.target));
    this.#name = `${new.target.name}-${++managers}`;
    for (const { typeid, createMethod } of this.#types.values()) if (createMethod) this.#addCreator(typeid);
  }

  /**
   * Register a type with this class of managers, before they are started. Each gets a method of its name.
   *
   * @param typeid - Its name.
   * @param callable - A class, or a function that gives an object. Absent in a client of a server that has the type.
   * @param options - `exposed`, `methodToTypeid`, `createMethod`, `proxytype`.
   */
  static register(typeid: string, callable?: Callable | null, options: RegisterOptions = {}): void {
    if (typeid in BaseManager.prototype) throw invalidValue('typeid', 'is the name of a method of managers', typeid);
    addType(this, makeEntry(typeid, callable, options));
  }

  /**
   * Register a type with this manager, at any time.
   *
   * @param typeid - Its name, which is also that of a new method.
   * @param callable - A class, or a function that gives an object.
   * @param options - `exposed`, `methodToTypeid`, `createMethod`, `proxytype`.
   * @returns What makes objects of the type: the same as the new method.
   */
  register<C extends Callable>(typeid: string, callable?: C | null, options: RegisterOptions = {}): Creator<C> {
    if (typeid in this && !this.#types.has(typeid)) {
      throw invalidValue('typeid', 'is the name of a method of managers', typeid);
    }
    this.#types.set(typeid, makeEntry(typeid, callable, options));
    if (options.createMethod !== false) this.#addCreator(typeid);
    const create = (...args: unknown[]) => this.create(typeid, ...args);
    return Object.assign(create, {
      sync: (...args: unknown[]) => this.createSync(typeid, ...args),
    }) as unknown as Creator<C>;
  }

  /** Where the server listens; what was given, before the start. */
  get address(): Address | undefined {
    return this.#hosts[0]?.link.address ?? this.#connected?.address ?? this.#options.address ?? undefined;
  }

  /** The server process, in the process that has started it; null before the start. */
  get process(): Process | null {
    return this.#hosts[0]?.process ?? null;
  }

  /**
   * Start the server process, a fork of this one.
   *
   * @param initializer - Called in the server before it listens. Default: the option.
   * @param initargs - Its arguments.
   * @returns This manager, when the server listens.
   * @throws What the initializer throws; {@link PosixError} `EADDRINUSE` and its like; `ERR_MANAGER_STARTED`.
   */
  async start(initializer?: (...args: never[]) => unknown, initargs?: Iterable<unknown>): Promise<this> {
    await this.#begin(initializer, initargs).ready();
    return this;
  }

  /** As {@link BaseManager.start}, blocking the process. */
  startSync(initializer?: (...args: never[]) => unknown, initargs?: Iterable<unknown>): this {
    this.#begin(initializer, initargs).readySync();
    return this;
  }

  /**
   * Connect to a server that another process has started, at `address` with the same `authKey`.
   *
   * @returns This manager.
   * @throws {@link AuthenticationError} the keys differ; {@link PosixError} `ECONNREFUSED` and its like.
   */
  async connect(): Promise<this> {
    const address = this.#addressToConnect();
    const local = localServerAt(address);
    if (local === undefined) this.#join(address, await greet(address, this.#authKey));
    else this.#joinLocal(local.server);
    return this;
  }

  /** As {@link BaseManager.connect}, blocking the process. */
  connectSync(): this {
    const address = this.#addressToConnect();
    const local = localServerAt(address);
    if (local === undefined) this.#join(address, greetSync(address, this.#authKey));
    else this.#joinLocal(local.server);
    return this;
  }

  /**
   * Make this process the server.
   *
   * @returns A server that listens; `await server.serveForever()` serves clients until one of them asks for the end, or
   * `server.stop()` is called.
   */
  getServer(): ManagerServer {
    this.#checkInitial();
    return new ManagerServer({
      server: native.getpid().toString(36) + seal(this.#authKey).toString('base64url').slice(0, 16),
      address: this.#options.address ?? undefined,
      authKey: this.#authKey,
      types: new Map(this.#types),
      seal: seal(this.#authKey),
    });
  }

  /**
   * Make an object of a registered type in the server.
   *
   * @param typeid - The name of the type.
   * @param args - What the class or function gets.
   * @returns A proxy.
   * @throws What the constructor throws; `ERR_MANAGER_NO_TYPE`, `ERR_MANAGER_NOT_STARTED`, `ERR_MANAGER_GONE`.
   */
  async create(typeid: string, ...args: unknown[]): Promise<BaseProxy> {
    const link = this.#linkFor(typeid, args);
    if (link !== undefined) return made(await link.call(SERVER, Ask.Create, [typeid, args], typeid), args);
    const host = this.#addHost(typeid, args);
    await host.ready();
    return made(await host.link.call(SERVER, Ask.Seeded, [], typeid), args);
  }

  /** As {@link BaseManager.create}, blocking the process. */
  createSync(typeid: string, ...args: unknown[]): BaseProxy {
    const link = this.#linkFor(typeid, args);
    if (link !== undefined) return made(link.callSync(SERVER, Ask.Create, [typeid, args], typeid), args);
    const host = this.#addHost(typeid, args);
    host.readySync();
    return made(host.link.callSync(SERVER, Ask.Seeded, [], typeid), args);
  }

  /** List the objects of the server. */
  async debugInfo(): Promise<ManagedObject[]> {
    const all = this.#links().map((link) => link.call(SERVER, Ask.Inspect, [], 'debugInfo'));
    return ((await Promise.all(all)) as ManagedObject[][]).flat();
  }

  /** Count the objects of the server. */
  async numberOfObjects(): Promise<number> {
    return (await this.debugInfo()).length;
  }

  /**
   * End the server; its objects are lost. Again it does nothing, and neither in a fork of the process that started it.
   *
   * @returns When the process has ended: by itself, else by a signal.
   * @throws `ERR_MANAGER_NOT_OWNER` this manager is connected to a server of another process.
   */
  async shutdown(): Promise<void> {
    if (!this.#mayShutDown()) return;
    await Promise.all(this.#hosts.map((host) => host.end()));
  }

  /** As {@link BaseManager.shutdown}, blocking the process. */
  shutdownSync(): void {
    if (!this.#mayShutDown()) return;
    for (const host of this.#hosts) host.endSync();
  }

  /** Wait until the server process has ended, at most so many milliseconds. */
  async join(timeout?: number): Promise<void> {
    await this.process?.join(timeout);
  }

  /** As {@link BaseManager.join}, blocking the process. */
  joinSync(timeout?: number): void {
    this.process?.joinSync(timeout);
  }

  /** Shuts the server down, at the end of an `await using` block; only lets go of one that it is connected to. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connected === undefined) await this.shutdown();
  }

  /** As the end of an `await using` block, blocking the process. */
  [Symbol.dispose](): void {
    if (this.#connected === undefined) this.shutdownSync();
  }

  #begin(initializer: unknown, initargs: Iterable<unknown> | undefined): Host {
    this.#checkInitial();
    if (initializer != null) validateFunction(initializer, 'initializer');
    const host = new Host(this.#hostOptions(initializer ?? this.#options.initializer, initargs));
    this.#hosts = [host];
    this.#pid = native.getpid();
    this.#state = 'started';
    return host;
  }

  #hostOptions(initializer: HostOptions['initializer'], initargs?: Iterable<unknown>): HostOptions {
    return {
      name: this.#name,
      address: this.#options.address ?? undefined,
      authKey: this.#authKey,
      types: this.#types,
      initializer,
      initargs: [...(initargs ?? this.#options.initargs ?? [])],
    };
  }

  /** A further server, which has the type or the functions that no server has. */
  #addHost(typeid: string, args: readonly unknown[]): Host {
    const options = this.#hostOptions(this.#options.initializer);
    const name = `${this.#name}:${this.#hosts.length}`;
    const host = new Host({ ...options, name, address: undefined, seed: { typeid, args } });
    this.#hosts.push(host);
    return host;
  }

  /** The server for a new object; undefined when there has to be another. */
  #linkFor(typeid: string, args: readonly unknown[]): Link | undefined {
    const [first] = this.#links();
    const entry = this.#types.get(typeid);
    if (first === undefined) throw this.#notRunning();
    if (this.#connected !== undefined || entry === undefined) return first;
    const host = this.#hosts.find(({ types, link }) => types.get(typeid) === entry && !link.isGone);
    if (native.getpid() !== this.#pid) return host?.link ?? first;
    if (this.#state === 'ended' || this.#hosts[0]?.link.isGone === true) return first;
    return holdsFunction(args) ? undefined : host?.link;
  }

  #links(): Link[] {
    if (this.#state === 'initial') throw this.#notRunning();
    return this.#connected === undefined ? this.#hosts.map(({ link }) => link) : [this.#connected];
  }

  #notRunning(): Error {
    return managerMisuse(
      'ERR_MANAGER_NOT_STARTED',
      'The manager has not been started; call start() or connect() first',
    );
  }

  #checkInitial(): void {
    if (this.#state === 'initial') return;
    throw managerMisuse('ERR_MANAGER_STARTED', 'A manager can be started or connected only once');
  }

  #addressToConnect(): Address {
    this.#checkInitial();
    const { address } = this.#options;
    if (address == null) throw invalidValue('options.address', 'has to be given for connect()', address);
    return address;
  }

  #join(address: Address, { info, fd, session }: Greeted): void {
    const closed = seal(this.#authKey);
    const link = linkTo({ server: info.server, address, key: () => this.#authKey, seal: () => closed });
    if (link.isConnected || link.local !== undefined) native.closeFd(fd);
    else link.attach(fd, session);
    link.address ??= address;
    this.#connected = link;
    this.#state = 'started';
  }

  #joinLocal(server: string): void {
    const closed = seal(this.#authKey);
    this.#connected = linkTo({ server, address: undefined, key: () => this.#authKey, seal: () => closed });
    this.#state = 'started';
  }

  #mayShutDown(): boolean {
    if (this.#connected !== undefined) {
      throw managerMisuse('ERR_MANAGER_NOT_OWNER', 'Only the process that has started a manager can shut it down');
    }
    if (this.#state === 'initial') throw this.#notRunning();
    if (native.getpid() !== this.#pid) return false;
    this.#state = 'ended';
    return true;
  }

  #addCreator(typeid: string): void {
    const hidden = { configurable: true, writable: true, enumerable: false };
    Object.defineProperty(this, typeid, { value: (...args: unknown[]) => this.create(typeid, ...args), ...hidden });
    Object.defineProperty(this, `${typeid}Sync`, {
      value: (...args: unknown[]) => this.createSync(typeid, ...args),
      ...hidden,
    });
  }
}

function made(proxy: unknown, args: readonly unknown[]): BaseProxy {
  (proxy as BaseProxy)[kMade]?.(args);
  return proxy as BaseProxy;
}

function makeEntry(typeid: string, callable: unknown, options: RegisterOptions): TypeEntry {
  if (typeid === 'then') throw invalidValue('typeid', 'would make a promise of the manager', typeid);
  const proxytype: unknown = (options as RegisterOptions | undefined)?.proxytype;
  return typeEntry(typeid, callable, options, typeof proxytype === 'function' ? kindOf(proxytype as never) : 'auto');
}

/** Whether an argument is a function, or an object of options with one: no message can carry it. */
function holdsFunction(args: readonly unknown[]): boolean {
  return args.some((arg) => {
    if (typeof arg === 'function') return true;
    if (typeof arg !== 'object' || arg === null || Object.getPrototypeOf(arg) !== Object.prototype) return false;
    return Object.values(arg).some((value) => typeof value === 'function');
  });
}

staysHere(BaseManager);
