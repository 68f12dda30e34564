/**
 * The globals of Node's main context. Under Jest (and in any `vm` context) a module sees copies: its `process` is not the
 * one whose `emit` Node calls at exit, its `Math` has a random generator of its own.
 */
import { runInThisContext } from 'node:vm';

/** The main context's global object, which is `globalThis` outside `vm` contexts. */
export const mainGlobal = runInThisContext('globalThis') as typeof globalThis;

/** Every `process` object that user code of this context can see: Node's own and, in a `vm` context, its copy. */
export const processObjects: readonly NodeJS.Process[] = [...new Set([mainGlobal.process, process])];
