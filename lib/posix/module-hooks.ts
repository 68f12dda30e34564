/**
 * Hooks of `module.register()` and `--experimental-loader` in a forked child. They run on a thread of Node's own, which a
 * child lacks: its first `import()` waited for ever. There a new thread answers instead, started when it is first asked
 * for. It has the hooks of `--experimental-loader`, and what the child registers; what was registered before the fork Node
 * has told the old thread only. The names are those of Node 20 to 26 (lib/internal/modules/esm/loader.js, hooks.js).
 */
import { mainGlobal } from '../main-context';
import { searchScopes } from './scope-search';

/** Node's end of the thread. Its own methods wait for an answer, some of them without turning the loop. */
interface HooksThread {
  constructor: new () => HooksThread;
  makeSyncRequest(...request: unknown[]): unknown;
  makeAsyncRequest(...request: unknown[]): unknown;
  waitForWorker(): unknown;
}

/** In a child whose parent had Workers, of which that thread is one. */
export function renewModuleHooks(): void {
  const lost = hooksThread();
  if (lost === undefined) return;
  let thread: HooksThread | undefined;
  const started = (): HooksThread => {
    if (thread !== undefined) return thread;
    mainGlobal.process.emitWarning(
      'Hooks that module.register() installed before the fork, if any, are not in this child: its imports go without ' +
        'them. Those of module.registerHooks() are',
      { type: 'RealforkWarning', code: 'REALFORK_MODULE_HOOKS' },
    );
    return (thread = new lost.constructor());
  };
  lost.makeSyncRequest = (...request) => started().makeSyncRequest(...request);
  lost.makeAsyncRequest = (...request) => started().makeAsyncRequest(...request);
  lost.waitForWorker = () => started().waitForWorker();
}

/** The object that the parent has talked to its thread by; undefined when there is none, or this Node hides it. */
function hooksThread(): HooksThread | undefined {
  try {
    return searchScopes((scopes) => {
      const loader = scopes.requireBuiltin<Record<string, unknown>>('internal/modules/esm/loader');
      const hooks = scopes.requireBuiltin<Record<string, unknown>>('internal/modules/esm/hooks');
      const from24 = hooks.AsyncLoaderHooksProxiedToLoaderHookWorker;
      const name = from24 === undefined ? 'hooksProxy' : 'asyncLoaderHookWorker';
      return scopes.find(from24 ?? loader.getOrInitializeCascadedLoader, [name])[name] as HooksThread | undefined;
    });
  } catch {
    return undefined; // a Node without inspector, or whose permissions do not allow it
  }
}
