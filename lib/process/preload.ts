/** What the server of start method 'forkserver' loads before its first fork. */
import { invalidType } from '../validate';

/** Stands for the main module, as in Python. */
export const MAIN = '__main__';

let preload: readonly string[] = [];

/**
 * Set the modules that the server of start method 'forkserver' loads once, for all processes forked from it.
 *
 * @param modules - Paths, `file:` URLs, or names as in `require()`, seen from the main module; `'__main__'` is the main
 * module itself, which is loaded as any other: `require.main` is not it. Default: none.
 * @throws `ERR_INVALID_ARG_TYPE` it is no array of strings.
 * @remarks For a server that is yet to be started: call it before the first process. A module that cannot be loaded makes
 * the next `start()` throw `ERR_FORKSERVER_PRELOAD`.
 * @example
 * ```js
 * setForkserverPreload(['./model.js', 'lodash']);
 * ```
 * @see multiprocessing.set_forkserver_preload
 */
export function setForkserverPreload(modules: readonly string[]): void {
  if (!Array.isArray(modules)) throw invalidType('modules', 'an array of strings', modules);
  for (const [index, name] of modules.entries()) {
    if (typeof name !== 'string') throw invalidType(`modules[${index}]`, 'of type string', name);
  }
  preload = [...(modules as readonly string[])];
}

export function preloadedModules(): readonly string[] {
  return preload;
}
