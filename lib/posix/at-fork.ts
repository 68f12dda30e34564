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

type Side = keyof AtForkHooks;

const sides: readonly Side[] = ['before', 'afterInParent', 'afterInChild'];

/** A Set, or a Map. */
interface Collection<T> {
  readonly size: number;
  clear(): void;
  forEach(call: (member: T) => void): void;
}

/** What {@link emptyInChild} was given. */
interface Belongings<T> {
  readonly members: Collection<T>;
  readonly letGo: ((member: T) => void) | undefined;
}

function forget<T>({ members, letGo }: Belongings<T>): void {
  if (letGo !== undefined) members.forEach(letGo);
  members.clear();
}

type Step = (() => void) | Belongings<never>;

/** In the order in which they run; never changed in place, so that a hook may register more. */
const registered = {
  before: [] as readonly (() => void)[],
  afterInParent: [] as readonly (() => void)[],
  afterInChild: [] as readonly Step[],
};

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
  const chosen = sides.flatMap((side): [Side, () => void][] => {
    const hook: unknown = hooks[side];
    if (hook === undefined) return [];
    if (typeof hook !== 'function') throw invalidType(`hooks.${side}`, 'of type function', hook);
    return [[side, hook.bind(hooks) as () => void]];
  });
  if (chosen.length === 0) {
    throw invalidType('hooks', `an object with at least one of ${sides.join(', ')}`, hooks);
  }
  for (const [side, hook] of chosen) {
    if (side === 'before') registered.before = [hook, ...registered.before];
    else if (side === 'afterInParent') registered.afterInParent = [...registered.afterInParent, hook];
    else addInChild(hook);
    if (side === 'afterInChild') runsInChild(hooks.afterInChild as () => void);
  }
}

function addInChild(step: Step): void {
  registered.afterInChild = [...registered.afterInChild, step];
}

/**
 * Have a Set or Map, of what is an affair of this process alone, begin empty in every child.
 *
 * @param letGo - What the child does with each of its parent's members first. Default: nothing.
 * @returns the collection.
 */
export function emptyInChild<C extends Collection<T>, T = C extends Collection<infer M> ? M : never>(
  members: C,
  letGo?: (member: T) => void,
): C {
  addInChild({ members, letGo } as unknown as Belongings<never>);
  return members;
}

/** Run the `before` hooks; the first exception ends it and is thrown. */
export function runBefore(): void {
  for (const hook of registered.before) hook();
}

/** Run every after-hook of one side; the first exception is thrown when all have run. */
export function runAfter(side: 'afterInParent' | 'afterInChild'): void {
  let failure: { error: unknown } | undefined;
  for (const step of registered[side]) {
    try {
      if (typeof step === 'function') step();
      else if (step.members.size > 0) forget(step); // most often there is nothing
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

runsInChild(forget);
