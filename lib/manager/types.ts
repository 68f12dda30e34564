/** Types of objects that a server makes, by name. */
import { invalidType, invalidValue, validateBoolean, validateFunction, validateObject } from '../validate';
import type { ProxyClass } from './proxy';

/** Makes the objects of a type: a class, or a function. */
export type Callable = (abstract new (...args: never[]) => object) | ((...args: never[]) => object | Promise<object>);

/** How the objects of a registered type are used through their proxies. */
export interface RegisterOptions {
  /** The methods that a proxy has. Default: all but those whose name begins with `_`. */
  readonly exposed?: readonly string[] | undefined;
  /** Methods whose result stays in the server, with the type by which it is used: `{ child: 'Node' }`. */
  readonly methodToTypeid?: Readonly<Record<string, string>> | undefined;
  /** Whether the manager gets a method of the type's name. Default true. */
  readonly createMethod?: boolean | undefined;
  /** A subclass of `BaseProxy` for the proxies. Default: one with the exposed methods. */
  readonly proxytype?: ProxyClass | undefined;
}

/** A registered type. */
export interface TypeEntry {
  readonly typeid: string;
  /** Undefined in a client of a server that knows it. */
  readonly callable: Callable | undefined;
  readonly exposed: readonly string[] | undefined;
  readonly methodToTypeid: Readonly<Record<string, string>>;
  readonly createMethod: boolean;
  /** The kind of its proxies (proxy.ts). */
  readonly kind: string;
}

/** Check what `register` is given. */
export function typeEntry(typeid: unknown, callable: unknown, options: unknown, kind: string): TypeEntry {
  if (typeof typeid !== 'string') throw invalidType('typeid', 'of type string', typeid);
  if (!/^[\p{L}_$][\p{L}\d_$]*$/u.test(typeid)) throw invalidValue('typeid', 'must be an identifier', typeid);
  if (callable != null) validateFunction(callable, 'callable');
  validateObject(options, 'options');
  const { exposed, methodToTypeid = {}, createMethod = true } = options as RegisterOptions;
  if (exposed !== undefined && !Array.isArray(exposed))
    throw invalidType('options.exposed', 'an array of names', exposed);
  validateObject(methodToTypeid, 'options.methodToTypeid');
  validateBoolean(createMethod, 'options.createMethod');
  return { typeid, callable: (callable as Callable | null) ?? undefined, exposed, methodToTypeid, createMethod, kind };
}

/** Types registered with a class of managers; a subclass has those of its base as well. */
const registries = new WeakMap<object, Map<string, TypeEntry>>();

/** The types of a class of managers. */
export function typesOf(Class: object): ReadonlyMap<string, TypeEntry> {
  const inherited = Class === Function.prototype ? [] : typesOf(Object.getPrototypeOf(Class) as object);
  return new Map([...inherited, ...(registries.get(Class) ?? [])]);
}

/** Add a type to a class of managers. */
export function addType(Class: object, entry: TypeEntry): void {
  let own = registries.get(Class);
  if (own === undefined) registries.set(Class, (own = new Map<string, TypeEntry>()));
  own.set(entry.typeid, entry);
}

/** Add one of the package's own types. */
export function registerBuiltIn(
  Class: object,
  typeid: string,
  callable: Callable,
  kind: string,
  methods: readonly string[],
): void {
  const methodToTypeid: Record<string, string> = methods.includes('getLock') ? { getLock: 'RLock' } : {};
  addType(Class, { typeid, callable, exposed: methods, methodToTypeid, createMethod: true, kind });
}

/** Make an object of a type. */
export function construct(callable: Callable, args: readonly unknown[]): unknown {
  return isClass(callable)
    ? Reflect.construct(callable as new () => object, args)
    : Reflect.apply(callable as () => object, undefined, args);
}

/** A class, whose call without `new` would throw. Functions with a prototype that can be written are called. */
function isClass(callable: Callable): boolean {
  return Object.getOwnPropertyDescriptor(callable, 'prototype')?.writable === false;
}

/** The methods of an object that are public: its own and inherited ones, those of Object apart. */
export function publicMethods(object: object): string[] {
  const names = new Set<string>();
  for (
    let at: object | null = object;
    at !== null && !isBuiltinBase(at);
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (name === 'constructor' || name === 'then' || name.startsWith('_')) continue;
      if (typeof Object.getOwnPropertyDescriptor(at, name)?.value === 'function') names.add(name);
    }
  }
  // A proxy has a Sync twin of every method: the object's own would block the server.
  return [...names].filter((name) => !(name.endsWith('Sync') && names.has(name.slice(0, -4))));
}

function isBuiltinBase(object: object): boolean {
  return object === Object.prototype || object === Function.prototype;
}
