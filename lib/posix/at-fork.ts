/**
 * The one list of things to do around fork. User hooks (`registerAtFork`) and the package's own after-fork work stand in
 * the same registry, so that their order is written down here and nowhere else:
 *
 *     before          last registered first
 *     afterInParent   first registered first
 *     afterInChild    first registered first, the package's own (registered when its modules load) before the user's
 */
import { invalidType, validateObject } from '../validate';
import { runsInChild } from './precompile';

/** Functions to run around every `fork()` of this process and of its forked descendants. */
export interface AtForkHooks {
  /** Runs in the parent before the child exists; an exception cancels the fork. */
  readonly before?: () => void;
  /** Runs in the parent once the child exists (also when the fork failed). */
  readonly afterInParent?: () => void;
  /** Runs in the child before `fork()` returns there. */
  readonly afterInChild?: () => void;
}

const registered: AtForkHooks[] = [];
const hookNames = ['before', 'afterInParent', 'afterInChild'] as const;

/**
 * Register functions to run before and after every later `fork()`.
 *
 * @param hooks - At least one of `before`, `afterInParent`, `afterInChild`. There is no way to unregister, as in Python.
 * @throws `ERR_INVALID_ARG_TYPE` when a hook is not a function or none is given; then nothing is registered.
 * @remarks `before` hooks run last registered first, the others first registered first. An exception from `before`
 * cancels the fork and is thrown by it. An exception from an after-hook does not stop the remaining hooks; the first one
 * is thrown by `fork()` on that side, with the child's pid as `error.pid` in the parent.
 * @example
 * ```js
 * registerAtFork({ afterInChild: () => connectionPool.reset() });
 * ```
 * @see os.register_at_fork (Python), pthread_atfork(3)
 */
export function registerAtFork(hooks: AtForkHooks): void {
  validateObject(hooks, 'hooks');
  const chosen: AtForkHooks = Object.fromEntries(
    hookNames.flatMap((name) => {
      const hook: unknown = hooks[name];
      if (hook === undefined) return [];
      if (typeof hook !== 'function') throw invalidType(`hooks.${name}`, 'of type function', hook);
      return [[name, hook]];
    }),
  );
  if (Object.keys(chosen).length === 0) {
    throw invalidType('hooks', `an object with at least one of ${hookNames.join(', ')}`, hooks);
  }
  registered.push(chosen);
  if (chosen.afterInChild !== undefined) runsInChild(chosen.afterInChild);
}

/** Run the `before` hooks; the first exception ends it and is thrown. */
export function runBefore(): void {
  for (const hooks of [...registered].reverse()) hooks.before?.();
}

/** Run every after-hook of one side; the first exception is thrown when all have run. */
export function runAfter(side: 'afterInParent' | 'afterInChild'): void {
  let failure: { error: unknown } | undefined;
  for (const hooks of [...registered]) {
    try {
      hooks[side]?.();
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

