/**
 * The master of a pre-forking server. It holds the socket, and never the application: each generation is a fork of this
 * small process, loads the application anew, and forks its workers.
 *
 *     master ──┬── generation 1 ──┬── worker 1        (retiring after a reload)
 *              │                  └── worker 2
 *              └── generation 2 ──┬── worker 1        (serving)
 *                                 └── worker 2
 */
import { ProcessError } from '../errors';
import { mainGlobal } from '../main-context';
import { emptyInChild } from '../posix/at-fork';
import { validateNumber, validateObject } from '../validate';
import { backoff, STABLE } from './backoff';
import { ChildGeneration, type GenerationListener } from './child-generation';
import type { EventBody, PreforkAddress, PreforkReason } from './events';
import { openListener, type Listener } from './listener';
import type { Manner } from './messages';
import { settle, type PreforkOptions, type Settings } from './options';
import { serveStatus, type PreforkStatus, type StatusServer } from './status';

/**
 * A running pre-forking server, in the process that called {@link prefork}.
 *
 * @example
 * ```js
 * const server = await prefork({ port: 8080, load: () => require('./app') });
 * console.log(server.address.port, (await server.status()).workers.length);
 * await server.stop();
 * ```
 * @see prefork
 */
export class PreforkServer implements AsyncDisposable {
  readonly #master: Master;

  /** @internal */
  constructor(master: Master) {
    this.#master = master;
  }

  /** Where it listens. */
  get address(): PreforkAddress {
    return this.#master.address;
  }

  /** The number of the generation that serves: 1 for the first, one more with each reload. */
  get generation(): number {
    return this.#master.generation;
  }

  /** Resolves when the server has stopped, by {@link PreforkServer.stop} or by a signal; rejects when it could not go on. */
  get stopped(): Promise<void> {
    return this.#master.stopped;
  }

  /**
   * Load the application anew and replace all workers by new ones, as SIGHUP does.
   *
   * @returns A promise that resolves when the new generation serves; the old one finishes its requests after that.
   * @throws `ERR_PREFORK_START` the new one could not be started (`cause`: why); the old one goes on serving.
   * `ERR_PREFORK_STOPPED` the server is stopping. Both reject.
   */
  reload(): Promise<void> {
    return this.#master.reload();
  }

  /**
   * Accept no more connections, answer the requests that are under way, and end all processes, as SIGTERM does.
   *
   * @param options - `timeout`: milliseconds for the requests; what is left then is cut off. Default: `stopTimeout`.
   * @returns A promise that resolves when no process is left.
   */
  async stop(options: { readonly timeout?: number | undefined } = {}): Promise<void> {
    validateObject(options, 'options');
    const { timeout } = options;
    if (timeout !== undefined) validateNumber(timeout, 'options.timeout', 0, 0x7fffffff);
    this.#master.stop('stop', 'stop', timeout);
    await this.#master.stopped;
  }

  /** Ask what all workers do, as `GET /status` on the status socket does. */
  status(): Promise<PreforkStatus> {
    return this.#master.status();
  }

  /** {@link PreforkServer.stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * Start an HTTP server of several processes that share one loaded application.
 *
 * @param options - What to load, what to serve, where, and within which limits.
 * @returns A promise for the server, when all its workers accept connections.
 * @throws `ERR_PREFORK_START` the application or its workers could not be started; `cause` says why.
 * `EADDRINUSE`, `EACCES` and others of `net.Server.listen`; what `fork()` throws. All of these reject.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` wrong options; these reject too.
 * @remarks `load` runs in a process forked for it, `serve` in each worker: see docs/prefork.md for what is shared and
 * what has to be opened in `serve`. Each worker's memory is the application's, copied page by page where it writes.
 * Needs what `fork()` needs: Linux with glibc.
 * @example
 * ```js
 * await prefork({
 *   port: 8080,
 *   workers: 4,
 *   load: () => require('./app'), // 100 MB of it: once in memory
 *   serve: (app) => http.createServer(app),
 * });
 * ```
 * @see docs/prefork.md, gunicorn's preload_app, node:cluster
 */
export async function prefork<App>(options: PreforkOptions<App>): Promise<PreforkServer> {
  const master = new Master(settle(options));
  await master.start();
  return new PreforkServer(master);
}

/** Servers of this process that have not stopped. */
const masters = emptyInChild(new Set<Master>(), (master) => master.abandon());

/** A forked child has copies of everything: of the signal handlers, which would end its parent's server. */

/** How a signal ends the server. */
const endings = ['SIGTERM', 'SIGINT'] as const;

class Master implements GenerationListener {
  #state: PreforkStatus['state'] = 'starting';
  readonly #started = Date.now();
  #listener: Listener | undefined;
  #status: StatusServer | undefined;
  /** In a generation, which inherits the socket. */
  #isForking = false;
  #current: ChildGeneration | undefined;
  readonly #generations = new Set<ChildGeneration>();
  #made = 0;
  #restarts = 0;
  /** Generations in a row that died soon, or did not start. */
  #deaths = 0;
  #retry: NodeJS.Timeout | undefined;
  #reloading: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #wasSignalled = false;
  #failure: Error | undefined;
  #settle!: { resolve: () => void; reject: (error: Error) => void };
  readonly stopped = new Promise<void>((resolve, reject) => (this.#settle = { resolve, reject }));

  constructor(readonly settings: Settings) {}

  get address(): PreforkAddress {
    return (this.#listener as Listener).address;
  }

  get generation(): number {
    return this.#current?.number ?? 0;
  }

  async start(): Promise<void> {
    const { settings } = this;
    this.#listener = await openListener(settings);
    masters.add(this);
    try {
      this.#tell({ type: 'listening', address: this.#listener.address });
      if (settings.statusPath !== undefined) {
        this.#status = await serveStatus(settings.statusPath, () => this.status());
      }
      if (settings.signals) this.#takeSignals();
      await this.#reloads(this.#begin());
      this.#state = 'running';
    } catch (error) {
      this.stopped.catch(() => {}); // told by this call
      this.stop('kill', 'stop');
      await this.stopped;
      throw error;
    }
  }

  reload(): Promise<void> {
    if (this.#isStopping()) return Promise.reject(stoppedError());
    // One that is asked for during another comes after it: what has been loaded by then may be outdated.
    if (this.#reloading !== undefined) {
      this.#next ??= this.#reloading
        .catch(() => {})
        .then(() => {
          this.#next = undefined;
          return this.reload();
        });
      return this.#next;
    }
    clearTimeout(this.#retry);
    this.#state = 'reloading';
    return this.#reloads(
      this.#begin('reload').catch((error: Error) => {
        // The one before may have died meanwhile, and its own revival have given way to this reload.
        if (this.#current === undefined && !this.#isStopping()) {
          this.#deaths += 1;
          this.#revive(1, error);
        }
        throw error;
      }),
    );
  }

  /** A generation is on its way, the first one too: others wait for it. */
  #reloads(beginning: Promise<void>): Promise<void> {
    this.#reloading = beginning.finally(() => {
      this.#reloading = undefined;
      if (this.#state === 'reloading') this.#state = 'running';
    });
    return this.#reloading;
  }

  /** Start a generation; when it serves, let the one before finish. */
  async #begin(reason?: PreforkReason): Promise<void> {
    const { settings } = this;
    const number = (this.#made += 1);
    let next: ChildGeneration | undefined;
    try {
      next = this.#fork(number);
      this.#adopt(next);
      await next.ready;
    } catch (error) {
      if (reason !== undefined && !this.#isStopping()) {
        this.#tell({ type: 'reload-failed', error: error as Error }, next);
      }
      throw error;
    }
    const before = this.#current;
    this.#current = next;
    before?.end('retire', 'reload', settings.stopTimeout);
  }

  #fork(generation: number): ChildGeneration {
    const { settings } = this;
    this.#isForking = true;
    try {
      return new ChildGeneration({ settings, generation, listener: (this.#listener as Listener).fd }, this);
    } finally {
      this.#isForking = false; // in the master: the generation does not come back here
    }
  }

  #adopt(generation: ChildGeneration): void {
    this.#generations.add(generation);
    void generation.ended.then(() => {
      this.#generations.delete(generation);
      this.#tell({ type: 'generation-ended' }, generation);
      this.#checkStopped();
    });
  }

  onEvent(generation: ChildGeneration, event: EventBody, time: number): void {
    if (event.type === 'worker-restart') this.#restarts += 1;
    this.#tell(event, generation, time);
  }

  onDeath(generation: ChildGeneration, exitCode: number, error: Error | undefined): void {
    // Its workers notice, and finish what they have begun; connections queue until the next generation serves.
    generation.end('retire', 'parent-died', this.settings.stopTimeout);
    if (generation !== this.#current || this.#isStopping()) return;
    this.#current = undefined;
    this.#deaths = Date.now() - generation.started >= STABLE ? 0 : this.#deaths + 1;
    this.#revive(exitCode, error, generation);
  }

  /** Start the next generation in place of one that is no more. */
  #revive(exitCode: number, error: Error | undefined, generation?: ChildGeneration): void {
    const { restartDelay, maxRestartDelay, maxStartFailures } = this.settings;
    if (this.#deaths >= maxStartFailures) {
      this.#failure = error ?? new ProcessError('The application died too often', { code: 'ERR_PREFORK_START' });
      return this.stop('kill', 'stop');
    }
    const delay = backoff(this.#deaths, restartDelay, maxRestartDelay);
    this.#tell({ type: 'generation-died', exitCode, delay }, generation);
    this.#retry = setTimeout(() => {
      if (this.#reloading !== undefined || this.#isStopping()) return;
      this.reload().catch(() => {}); // it has been told, and the next revival begun
    }, delay);
  }

  stop(manner: Manner, reason: PreforkReason, timeout = this.settings.stopTimeout): void {
    if (this.#state === 'stopped') return;
    if (!this.#isStopping()) {
      this.#state = 'stopping';
      this.#tell({ type: 'stopping', reason });
    }
    clearTimeout(this.#retry);
    this.#listener?.close();
    for (const generation of this.#generations) generation.end(manner, reason, manner === 'kill' ? 0 : timeout);
    this.#checkStopped();
  }

  /** In a forked child: the server is the parent's, and only what has a descriptor has to be let go of. */
  abandon(): void {
    this.#state = 'stopped';
    clearTimeout(this.#retry);
    this.#leaveSignals();
    for (const generation of this.#generations) generation.abandon();
    this.#status?.abandon();
    if (!this.#isForking) this.#listener?.abandon();
  }

  #isStopping(): boolean {
    return this.#state === 'stopping' || this.#state === 'stopped';
  }

  #checkStopped(): void {
    if (this.#state !== 'stopping' || this.#generations.size > 0) return;
    this.#state = 'stopped';
    masters.delete(this);
    this.#status?.close();
    this.#leaveSignals();
    this.#tell({ type: 'stopped' });
    if (this.#failure === undefined) this.#settle.resolve();
    else this.#settle.reject(this.#failure);
  }

  async status(): Promise<PreforkStatus> {
    const workers = await Promise.all([...this.#generations].map((generation) => generation.workers()));
    return {
      pid: mainGlobal.process.pid,
      state: this.#state,
      address: this.#listener?.address ?? null,
      started: this.#started,
      generation: this.generation,
      restarts: this.#restarts,
      workers: workers.flat(),
    };
  }

  readonly #onHangup = (): void => {
    this.reload().catch(() => {}); // 'reload-failed' tells
  };

  readonly #onEnd = (_signal: NodeJS.Signals, number: number): void => {
    if (!this.#wasSignalled) {
      this.#wasSignalled = true;
      if (!this.#isStopping()) this.stop('stop', 'signal'); // else stop() was called, and does what the signal asks for
      return;
    }
    mainGlobal.process.exitCode = 128 + number;
    this.stop('kill', 'signal');
  };

  #takeSignals(): void {
    mainGlobal.process.on('SIGHUP', this.#onHangup);
    for (const signal of endings) mainGlobal.process.on(signal, this.#onEnd);
  }

  #leaveSignals(): void {
    mainGlobal.process.off('SIGHUP', this.#onHangup);
    for (const signal of endings) mainGlobal.process.off(signal, this.#onEnd);
  }

  #tell(event: EventBody, generation?: ChildGeneration, time = Date.now()): void {
    const pid = generation?.pid ?? mainGlobal.process.pid;
    try {
      this.settings.onEvent({ ...event, time, generation: generation?.number ?? 0, pid });
    } catch (error) {
      // Uncaught as that of any listener; thrown here it would leave undone what is being told of.
      setImmediate(() => {
        throw error;
      });
    }
  }
}

function stoppedError(): ProcessError {
  return new ProcessError('The server was stopped', { code: 'ERR_PREFORK_STOPPED' });
}
