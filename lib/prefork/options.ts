/** The options of `prefork()`, checked and completed. */
import { cpuCount } from '../process/cpu-count';
import {
  invalidValue,
  validateCString,
  validateBoolean,
  validateFunction,
  validateInteger,
  validateNumber,
  validateObject,
} from '../validate';
import type { PreforkEvent } from './events';
import type { Servable } from './servable';

/** What `serve` is told of the worker it runs in. */
export interface WorkerContext {
  /** 1 to `workers`; the successor of a worker has its number. */
  readonly id: number;
  /** 1 for the application as first loaded; each reload makes the next. */
  readonly generation: number;
  /** Aborted when the worker is to finish: for what `http` does not know of, such as WebSockets and jobs. */
  readonly signal: AbortSignal;
  /** Have something done after the last request and before the worker ends, such as closing a connection pool. */
  onStop(callback: () => void | Promise<void>): void;
}

/** What {@link prefork} is to load and to serve, where, and within which limits. */
export interface PreforkOptions<App> {
  /** Loads the application, and warms it up: once for a generation, in the process that its workers are forked from. */
  readonly load: () => App | PromiseLike<App>;
  /** Makes the server, in each worker: see {@link Servable}. Default: the application itself is what is served. */
  readonly serve?: ((app: App, worker: WorkerContext) => Servable | PromiseLike<Servable>) | undefined;
  /** How many processes serve. Default: the CPUs that this process may use. */
  readonly workers?: number | undefined;
  /** 0 (the default): any free port, told by {@link PreforkServer.address}. */
  readonly port?: number | undefined;
  /** Default: all addresses, as in `net`. */
  readonly host?: string | undefined;
  /** A Unix socket in place of port and host; a dead server's socket there is replaced. */
  readonly path?: string | undefined;
  /** Connections that wait to be accepted, 1 or more. Default: 511. */
  readonly backlog?: number | undefined;
  /** Bytes (PSS) above which a worker is replaced. Default: none. */
  readonly maxMemory?: number | undefined;
  /** Requests after which a worker is replaced. Default: none. */
  readonly maxRequests?: number | undefined;
  /** So many requests more, drawn for each worker from 0 to this, so that not all are replaced at once. Default: a tenth. */
  readonly maxRequestsJitter?: number | undefined;
  /** Milliseconds without an answer from a worker's event loop after which it is killed and replaced. Default: none. */
  readonly hangTimeout?: number | undefined;
  /** Milliseconds that requests have to finish in, when a worker is to end. Default: 30,000. */
  readonly stopTimeout?: number | undefined;
  /** Milliseconds that a generation has to load and to start its workers in, and a later worker to start. Default: 60,000. */
  readonly startTimeout?: number | undefined;
  /** Milliseconds before a worker that failed is started again; doubled for each failure in a row. Default: 100. */
  readonly restartDelay?: number | undefined;
  /** Milliseconds that this delay does not exceed. Default: 10,000. */
  readonly maxRestartDelay?: number | undefined;
  /** Workers in a row that may die before they accept connections, none ready: then it is given up. Default: 10. */
  readonly maxStartFailures?: number | undefined;
  /** A Unix socket that answers `GET /status` and `GET /health`. Default: none. */
  readonly statusPath?: string | undefined;
  /** Whether this process reloads on SIGHUP and stops on SIGTERM and SIGINT. Default: true. */
  readonly signals?: boolean | undefined;
  /** Is told what happens, in the process that called `prefork`. */
  readonly onEvent?: ((event: PreforkEvent) => void) | undefined;
}

/** The same with every default filled in. */
export interface Settings {
  readonly load: () => unknown;
  readonly serve: (app: unknown, worker: WorkerContext) => unknown;
  readonly workers: number;
  readonly port: number;
  readonly host: string | undefined;
  readonly path: string | undefined;
  readonly backlog: number;
  readonly maxMemory: number;
  readonly maxRequests: number;
  readonly maxRequestsJitter: number;
  readonly hangTimeout: number;
  readonly stopTimeout: number;
  readonly startTimeout: number;
  readonly restartDelay: number;
  readonly maxRestartDelay: number;
  readonly maxStartFailures: number;
  readonly statusPath: string | undefined;
  readonly signals: boolean;
  readonly onEvent: (event: PreforkEvent) => void;
}

const MOST_WORKERS = 1024;

/** What a timer of Node's can be set to. */
const LONGEST = 0x7fffffff;

function count(value: unknown, name: string, otherwise: number, min = 1): number {
  if (value === undefined) return otherwise;
  if (value !== Infinity) validateInteger(value, `options.${name}`, min);
  return value;
}

function duration(value: unknown, name: string, otherwise: number): number {
  if (value === undefined) return otherwise;
  validateNumber(value, `options.${name}`, 0, LONGEST);
  return value;
}

function text(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined;
  validateCString(value, `options.${name}`);
  if (value === '') throw invalidValue(`options.${name}`, 'must not be empty', value);
  return value;
}

/** Check what the user gave, before anything happens. */
export function settle(options: unknown): Settings {
  validateObject(options, 'options');
  const { load, serve = identity, host, path, port, signals = true, onEvent = ignore } = options;
  validateFunction(load, 'options.load');
  validateFunction(serve, 'options.serve');
  validateFunction(onEvent, 'options.onEvent');
  validateBoolean(signals, 'options.signals');
  if (port !== undefined) validateInteger(port, 'options.port', 0, 65535);
  if (path !== undefined && (port !== undefined || host !== undefined)) {
    throw invalidValue('options.path', 'cannot be combined with port or host', path);
  }
  const { workers = cpuCount(), backlog = 511 } = options;
  validateInteger(workers, 'options.workers', 1, MOST_WORKERS);
  validateInteger(backlog, 'options.backlog', 1, 0x7fffffff); // an int for listen(2)
  const maxRequests = count(options.maxRequests, 'maxRequests', Infinity);
  const hangTimeout = duration(options.hangTimeout, 'hangTimeout', 0);
  return {
    load,
    serve: serve as Settings['serve'],
    workers,
    port: port ?? 0,
    host: text(host, 'host'),
    path: text(path, 'path'),
    backlog,
    maxMemory: count(options.maxMemory, 'maxMemory', Infinity),
    maxRequests,
    maxRequestsJitter: count(
      options.maxRequestsJitter,
      'maxRequestsJitter',
      maxRequests === Infinity ? 0 : Math.floor(maxRequests / 10),
      0,
    ),
    hangTimeout: hangTimeout === 0 ? Infinity : hangTimeout,
    stopTimeout: duration(options.stopTimeout, 'stopTimeout', 30_000),
    startTimeout: duration(options.startTimeout, 'startTimeout', 60_000),
    restartDelay: duration(options.restartDelay, 'restartDelay', 100),
    maxRestartDelay: duration(options.maxRestartDelay, 'maxRestartDelay', 10_000),
    maxStartFailures: count(options.maxStartFailures, 'maxStartFailures', 10),
    statusPath: text(options.statusPath, 'statusPath'),
    signals,
    onEvent: onEvent as Settings['onEvent'],
  };
}

function identity(app: unknown): unknown {
  return app;
}

function ignore(): void {}
