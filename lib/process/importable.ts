/**
 * Functions and classes by module and name: how they reach a process that has nothing of this one's memory. Found by
 * identity among what the loaded modules export.
 *
 *     module   /path/to/file.js        CommonJS: as `require` takes it
 *              file:///path/file.mjs   an ES module: as `import` takes it
 *              node:fs                 one of Node's
 *              ''                      the globals
 *     name     work, Shape.area        an export; a static method of one; the default export is `default`
 *              module.exports          what a CommonJS module is as a whole
 */
import * as Module from 'node:module';
import { ProcessError } from '../errors';
import type { NumberFunction } from '../ipc/encoder';
import { mainGlobal } from '../main-context';
import { invalidType } from '../validate';
import { esModules } from './es-modules';

/** Where a process that has not got it finds a function. */
export interface Importable {
  /** A path, a URL, a `node:` name, or '' for the globals. */
  readonly module: string;
  /** The name of the export; dotted for what is a property of one. */
  readonly name: string;
}

type AnyFunction = (...args: never[]) => unknown;

interface LoadedModule {
  readonly exports: unknown;
}
const { _cache: loaded } = Module as unknown as { _cache: Record<string, LoadedModule | undefined> };
const nodeRequire = Module.createRequire(__filename);

/** How a CommonJS module is named as a whole. */
const WHOLE = 'module.exports';

const known = new WeakMap<object, Importable>();

/**
 * Name a function or class so that another process finds it.
 *
 * @param fn - Found by identity among what the loaded modules, the globals and Node's own modules export.
 * @returns Module and name; undefined when nothing exports it: a closure, a method of an object, a bound function.
 * @throws `ERR_INVALID_ARG_TYPE` it is no function.
 * @example
 * ```js
 * console.log(describeFunction(require('node:path').join)); // { module: 'node:path', name: 'join' }
 * ```
 * @see pickle: what can be pickled (Python)
 */
export function describeFunction(fn: AnyFunction): Importable | undefined {
  if (typeof fn !== 'function') throw invalidType('fn', 'of type function', fn);
  const before = known.get(fn);
  if (before !== undefined) return before;
  const found = search(fn);
  if (found !== undefined) known.set(fn, found);
  return found;
}

/** The main module last: naming what it only passes on would have it run in the new process. */
function search(fn: AnyFunction): Importable | undefined {
  const main = nodeRequire.main as LoadedModule | undefined;
  const files = Object.entries(loaded).filter(([, module]) => module !== undefined && module !== main);
  const mainFile = Object.entries(loaded).find(([, module]) => module === main);
  if (mainFile !== undefined && main !== undefined) files.push(mainFile);
  const inFiles = (readsAccessors: boolean): Importable | undefined => {
    for (const [file, module] of files) {
      const exports = module?.exports;
      if (readsAccessors && !isCompiled(exports)) continue;
      const name = nameIn(exports, fn, readsAccessors);
      if (name !== undefined) return { module: file, name: under(WHOLE, name, exports) };
    }
    return undefined;
  };
  return inFiles(false) ?? inEsModules(fn) ?? inGlobals(fn) ?? inBuiltins(fn) ?? inFiles(true);
}

/** From ES modules, by TypeScript and others, which make an accessor of what a module passes on. */
function isCompiled(exports: unknown): boolean {
  return (exports as { __esModule?: unknown } | null | undefined)?.__esModule === true;
}

function inEsModules(fn: AnyFunction): Importable | undefined {
  for (const [url, namespace] of esModules()) {
    const name = nameIn(namespace, fn, false);
    if (name !== undefined) return { module: url, name };
  }
  return undefined;
}

function inGlobals(fn: AnyFunction): Importable | undefined {
  const name = nameIn(mainGlobal, fn, false);
  return name === undefined ? undefined : { module: '', name };
}

/** '' is the module itself; a property of a function that is exported as a whole is written after it. */
function under(whole: string, name: string, exports: unknown): string {
  if (name === '') return whole;
  return typeof exports === 'function' ? `${whole}.${name}` : name;
}

/** Only among those that this program has loaded: others cannot be where it has the function from. */
function inBuiltins(fn: AnyFunction): Importable | undefined {
  const { moduleLoadList = [] } = mainGlobal.process as unknown as { moduleLoadList?: readonly string[] };
  const names = new Set(moduleLoadList.map((entry) => entry.replace(/^NativeModule /, '')));
  for (const module of Module.builtinModules) {
    if (!names.has(module) || module.startsWith('_')) continue;
    const exports: unknown = nodeRequire(`node:${module}`);
    const name = nameIn(exports, fn, false);
    if (name !== undefined) return { module: `node:${module}`, name: under(WHOLE, name, exports) };
  }
  return undefined;
}

/** The name of `fn` in what a module exports: of an export, or of a property of an exported class or object. */
function nameIn(exports: unknown, fn: AnyFunction, readsAccessors: boolean): string | undefined {
  if (exports === fn) return '';
  if (!isHolder(exports)) return undefined;
  const inside: [string, object][] = [];
  for (const [key, value] of properties(exports, readsAccessors)) {
    if (value === fn) return key;
    // The globals of this process have what this process put there.
    if (isHolder(value) && value !== exports && value !== mainGlobal) inside.push([key, value]);
  }
  for (const [key, holder] of inside) {
    for (const [inner, value] of properties(holder, false)) if (value === fn) return `${key}.${inner}`;
  }
  return undefined;
}

function isHolder(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** What can be reached by a name with dots; an accessor may be a door to what nobody has loaded yet. */
function* properties(holder: object, readsAccessors: boolean): Generator<[string, unknown]> {
  for (const key of Object.getOwnPropertyNames(holder)) {
    if (key.includes('.') || key === 'prototype') continue;
    let descriptor: PropertyDescriptor | undefined;
    try {
      descriptor = Object.getOwnPropertyDescriptor(holder, key);
      if (descriptor?.get === undefined) yield [key, descriptor?.value];
      else if (readsAccessors) yield [key, descriptor.get.call(holder)];
    } catch {
      continue; // an export that has no value yet, or an accessor that throws
    }
  }
}

/** The error for a function that {@link describeFunction} does not find. */
export function notImportable(what: string, fn: AnyFunction, method: string): ProcessError {
  const where = hasFile() ? '' : ' Code of `node -e` and of standard input has no file: put the function into one.';
  return new ProcessError(
    `${what} is ${called(fn)}, which no module exports; the start method '${method}' takes functions by their module and ` +
      `name, since the new process has nothing of this one's memory. Export it from a file, before start() is called ` +
      `(${exported(fn)}), or use the start method 'fork', which takes any function.${where}`,
    { code: 'ERR_NOT_IMPORTABLE' },
  );
}

function called(fn: AnyFunction): string {
  return fn.name === '' ? 'a function without a name' : `the function ${fn.name}`;
}

function exported(fn: AnyFunction): string {
  const name = /^[\p{L}_$][\p{L}\d_$]*$/u.test(fn.name) ? fn.name : 'work'; // a bound function's has a space in it
  return `module.exports = { ${name} }, or export function ${name}`;
}

function hasFile(): boolean {
  const file = mainGlobal.process.argv[1];
  return file !== undefined && file !== '-';
}

/**
 * For functions inside of a message: what {@link describeFunction} finds takes the next place in `list`, which is for the
 * receiver, and that place is its number.
 */
export function numberIn(list: Importable[]): NumberFunction {
  const numbers = new Map<AnyFunction, number>();
  return (fn) => {
    const before = numbers.get(fn);
    if (before !== undefined) return before;
    const found = describeFunction(fn);
    if (found === undefined) return reasonAgainst(fn);
    const number = list.push(found) - 1;
    numbers.set(fn, number);
    return number;
  };
}

/** For a function inside of a message that no module exports: reads on from "cannot be cloned: ". */
export function reasonAgainst(fn: AnyFunction): string {
  const where = hasFile() ? '' : '; code of `node -e` and of standard input has none';
  return `${called(fn)}, which no module exports (export it from a file: ${exported(fn)}${where})`;
}

/**
 * Find a function by its description, loading its module if need be.
 *
 * @param importable - What {@link describeFunction} gave, in this process or another.
 * @returns The function; a promise of it when the module is loaded by `import`.
 * @throws `ERR_NOT_IMPORTABLE` the module has no such function. What loading the module throws.
 * @example
 * ```js
 * console.log(loadFunction({ module: 'node:path', name: 'join' })('a', 'b')); // a/b
 * ```
 * @see pickle.Unpickler.find_class (Python)
 */
export function loadFunction(importable: Importable): AnyFunction | Promise<AnyFunction> {
  const { module, name } = importable;
  if (module === '') return pick(mainGlobal, name, importable);
  if (/^[a-z][a-z0-9+.-]+:/i.test(module) && !module.startsWith('node:')) {
    return import(module).then((namespace: object) => pick(namespace, name, importable));
  }
  const exports: unknown = nodeRequire(module);
  if (name === WHOLE) return pick({ [name]: exports }, name, importable);
  return pick(exports, name.startsWith(`${WHOLE}.`) ? name.slice(WHOLE.length + 1) : name, importable);
}

function pick(exports: unknown, name: string, { module }: Importable): AnyFunction {
  let value = exports;
  for (const key of name === WHOLE ? [WHOLE] : name.split('.')) {
    value = (value as Record<string, unknown> | null | undefined)?.[key];
  }
  if (typeof value === 'function') return value as AnyFunction;
  throw new ProcessError(`${module || 'the globals'} has no function ${name} in the process that is to run it`, {
    code: 'ERR_NOT_IMPORTABLE',
  });
}
