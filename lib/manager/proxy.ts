/**
 * Proxies: what stands, in any process, for an object in the server of a manager. Each kind has a class; an object of
 * the user's gets one with the methods that are exposed.
 */
import { inspect } from 'node:util';
import { registerHandle } from '../ipc/handles';
import { destination } from './destination';
import { linkTo, type CallOptions, type Link } from './link';
import { unseal } from './key-seal';
import { Ask, SERVER, type Description } from './protocol';
import { Reference } from './reference';

/** Where a proxy keeps what it is. */
export const kProxy = Symbol('realfork.manager.proxy');

/** Called in the process that had the object made, with the arguments. */
export const kMade = Symbol('realfork.manager.made');

/** What a proxy is. */
export interface ProxyState {
  readonly link: Link;
  readonly id: number;
  readonly typeid: string;
  readonly kind: string;
  readonly names: readonly string[];
}

/** The class of a kind of proxies. */
export type ProxyClass = new (state: ProxyState) => BaseProxy;

/**
 * Stands for an object in the server of a manager; what the objects of all types have in common.
 *
 * @remarks A proxy can be passed to any process of the family, in `args`, through queues and pipes, inside of other
 * managed objects; the object lives as long as a process has a proxy for it. The methods of the object come twice:
 * `name()` gives a promise, `nameSync()` blocks the process. Arguments and results are copied.
 * @example
 * ```js
 * class GeneratorProxy extends BaseProxy {
 *   nextTwo() { return Promise.all([this.callMethod('next'), this.callMethod('next')]); }
 * }
 * ```
 * @see multiprocessing.managers.BaseProxy
 */
export class BaseProxy {
  /** @internal */
  declare readonly [kProxy]: ProxyState;
  /** @internal */
  [kMade]?(args: readonly unknown[]): void;

  /** @internal */
  constructor(state: ProxyState) {
    Object.defineProperty(this, kProxy, { value: state });
    for (const name of state.names) {
      if (name === 'then' || name in this) continue; // what a subclass has made of it
      addMethods(this, [name]);
    }
  }

  /**
   * Call an exposed method by its name.
   *
   * @param method - Its name.
   * @param args - Its arguments; copied.
   * @param options - `signal`: give up a call that still waits in the server.
   * @returns A copy of its result, or a proxy where `methodToTypeid` says so.
   * @throws What the method throws, with its name, message, code, cause and `remoteStack`; `ERR_MANAGER_NOT_EXPOSED`;
   * `ERR_MANAGER_GONE` the server has ended.
   */
  callMethod(method: string, args: readonly unknown[] = [], options?: CallOptions): Promise<unknown> {
    const { link, id, typeid } = this[kProxy];
    return link.call(id, method, args, `${typeid}.${method}`, options);
  }

  /** As {@link BaseProxy.callMethod}, blocking the process. */
  callMethodSync(method: string, args: readonly unknown[] = []): unknown {
    const { link, id, typeid } = this[kProxy];
    return link.callSync(id, method, args, `${typeid}.${method}`);
  }

  /** Give a copy of the object: of a `dict` a Map, of a `list` an array, of a `Namespace` an object. */
  getValue(): Promise<unknown> {
    const { link, id, typeid } = this[kProxy];
    return link.call(SERVER, Ask.Value, [id], `${typeid}.getValue`);
  }

  /** As {@link BaseProxy.getValue}, blocking the process. */
  getValueSync(): unknown {
    const { link, id, typeid } = this[kProxy];
    return link.callSync(SERVER, Ask.Value, [id], `${typeid}.getValue`);
  }

  /** Show the object, as Python's `str()` of a proxy does; blocks the process. */
  toString(): string {
    const { link, id, typeid } = this[kProxy];
    return link.callSync(SERVER, Ask.Show, [id], `${typeid}.toString`) as string;
  }

  [inspect.custom](): string {
    const { id, typeid } = this[kProxy];
    return `<${this.constructor.name}, typeid '${typeid}' at ${id}>`;
  }

  static {
    registerHandle<BaseProxy>({
      tag: 'manager.proxy',
      Class: BaseProxy,
      reduce: (proxy) => describe(proxy[kProxy]),
      revive: (data) => proxyOf(data as Description),
    });
  }
}

function describe({ link, id, typeid, kind, names }: ProxyState): Description {
  const to = destination();
  const isForOwn = to?.server === link.server;
  if (isForOwn) to?.refer?.(id);
  return {
    server: link.server,
    address: link.address ?? '',
    id,
    typeid,
    kind,
    names,
    token: isForOwn ? undefined : link.hold(id),
    seal: isForOwn && to?.refer === undefined ? undefined : link.seal(),
  };
}

registerHandle<Reference>({
  tag: 'manager.reference',
  Class: Reference,
  reduce({ description }) {
    destination()?.refer?.(description.id);
    return description;
  },
  revive: (data) => proxyOf(data as Description) as unknown as Reference,
});

const kinds = new Map<string, ProxyClass>();

/** Name the class of a kind of proxies. */
export function defineKind(kind: string, Class: ProxyClass): void {
  kinds.set(kind, Class);
}

let ownKinds = 0;

/** The kind for a class of the user's: the same in all descendants. */
export function kindOf(Class: ProxyClass): string {
  for (const [kind, known] of kinds) if (known === Class) return kind;
  const kind = `@${Class.name}:${++ownKinds}`;
  defineKind(kind, Class);
  return kind;
}

/** The proxy for what a message describes. */
function proxyOf(description: Description): BaseProxy {
  const { server, id, token, seal } = description;
  const address = description.address === '' ? undefined : description.address;
  const link = linkTo({ server, address, key: () => unseal(seal), seal: () => seal });
  link.address ??= address;
  const proxy = link.references.receive(id, () => makeProxy(link, description)) as BaseProxy;
  // The references in its answers the server has counted.
  if (token !== undefined || link.local !== undefined) link.claim(id, token);
  return proxy;
}

function makeProxy(link: Link, { id, typeid, kind, names }: Description): BaseProxy {
  const Class = kinds.get(kind) ?? BaseProxy;
  return new Class({ link, id, typeid, kind, names: names.map(String) });
}

/** Give an object, or a class's prototype, methods that are called in the server. */
export function addMethods(target: BaseProxy, names: readonly string[]): void {
  for (const name of names) {
    define(target, name, function (this: BaseProxy, ...args: unknown[]) {
      return this.callMethod(name, args);
    });
    define(target, `${name}Sync`, function (this: BaseProxy, ...args: unknown[]) {
      return this.callMethodSync(name, args);
    });
  }
}

/** Give a class's prototype something that is not seen by who lists its properties. */
export function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, configurable: true, writable: true, enumerable: false });
}

/** Something that is read in the server: `await list.length`, or `await list.length()`. */
export interface Reading<T> extends PromiseLike<T> {
  (): Promise<T>;
}

/** Give a class properties that are read in the server: `await proxy.name`, `proxy.nameSync()`. */
export function addReadings(target: BaseProxy, names: readonly string[], method?: string): void {
  for (const name of names) {
    const asked = method ?? name;
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: false,
      get(this: BaseProxy) {
        const ask = () => this.callMethod(asked);
        return Object.assign(ask, {
          then: (onValue: (value: unknown) => unknown, onError: (error: unknown) => unknown) =>
            ask().then(onValue, onError),
          [Symbol.toPrimitive]: () => this.callMethodSync(asked),
        });
      },
    });
    define(target, `${name}Sync`, function (this: BaseProxy) {
      return this.callMethodSync(asked);
    });
  }
}

/** The blocking twins of methods that give promises. */
export type SyncTwins<M> = {
  [K in keyof M & string as `${K}Sync`]: M[K] extends (...args: infer A) => Promise<infer R>
    ? (...args: A) => R
    : never;
};
