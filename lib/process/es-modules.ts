/**
 * The ES modules that this process has loaded, by Node's own list of them. The names are those of Node 20 to 26
 * (lib/internal/modules/esm/loader.js, module_map.js, module_job.js).
 */
import { types } from 'node:util';
import { searchScopes } from '../posix/scope-search';

interface LoaderModule {
  getOrInitializeCascadedLoader(): { readonly loadCache?: unknown };
}

/** By URL, then by the `type` of the import's attributes. */
type LoadCache = Map<string, Record<string, ModuleJob | undefined>>;

interface ModuleJob {
  readonly module?: { getNamespace?(): object };
}

let cache: LoadCache | undefined;

function loadCache(): LoadCache | undefined {
  if (cache !== undefined) return cache;
  try {
    const loader = searchScopes((scopes) => scopes.requireBuiltin<LoaderModule>('internal/modules/esm/loader'));
    const found = loader.getOrInitializeCascadedLoader().loadCache;
    return (cache = types.isMap(found) ? (found as LoadCache) : undefined); // not one of the global Map's
  } catch {
    return undefined; // a Node without inspector, or one that keeps them elsewhere: functions of ES modules are not found
  }
}

/** URL and namespace of each ES module that runs or has run, in the order of loading. */
export function* esModules(): Generator<readonly [url: string, namespace: object]> {
  const entries = Map.prototype.entries.call(loadCache() ?? new Map()) as ReturnType<LoadCache['entries']>;
  for (const [url, byType] of entries) {
    for (const job of Object.values(byType)) {
      const namespace = namespaceOf(job);
      if (namespace !== undefined) yield [url, namespace];
    }
  }
}

function namespaceOf(job: ModuleJob | undefined): object | undefined {
  try {
    return job?.module?.getNamespace?.();
  } catch {
    return undefined; // it is not linked yet: nothing in it exists
  }
}
