/** realfork/prefork: servers of several processes that share one loaded application. Re-exports only; see `prefork/`. */
export { prefork, PreforkServer } from './prefork/master';
export { type PreforkOptions, type WorkerContext } from './prefork/options';
export { type Servable } from './prefork/servable';
export { type PreforkAddress, type PreforkEvent, type PreforkEventOf, type PreforkReason } from './prefork/events';
export { type PreforkStatus, type WorkerStatus } from './prefork/status';
export { type ProcessMemory } from './prefork/memory';
