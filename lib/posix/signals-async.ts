/**
 * Waiting for signals with the event loop going on: the twins of `pause`, `sigwait` and `sigtimedwait`.
 *
 *     Linux    signalfd in the loop ── readable ──> sigtimedwait(2) with no time ──> settled, or somebody else took it
 *     macOS    a look every 10 ms   ──────────────> the same
 */
import { constants } from 'node:os';
import { AbortError, PosixError } from '../errors';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { validateAbortSignal, validateObject } from '../validate';
import { emptyInChild } from './at-fork';
import { signalInfo, timeoutOrForEver, type SignalInfo } from './signal-mask';
import { signalNumbers, type Signal, type SignalName } from './signal-names';

/** How a wait for signals is given up. */
export interface SignalWaitOptions {
  /** Rejects the promise when aborted. */
  readonly signal?: AbortSignal;
}

/** The end of each wait under way. In a forked child they are dropped: what is chained to them is the parent's. */
const waits = emptyInChild(new Set<() => void>(), (stop) => stop());

/** A promise that `start` settles, or the abort signal; `start` returns what takes its preparations back. */
function wait<T>(options: SignalWaitOptions, start: (settle: (result: T) => void) => () => void): Promise<T> {
  validateObject(options, 'options');
  const { signal } = options;
  if (signal !== undefined) validateAbortSignal(signal, 'options.signal');
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted === true) throw new AbortError(signal);
    const onAbort = () => {
      stop();
      reject(new AbortError(signal as AbortSignal));
    };
    const undo = start((result) => {
      stop();
      resolve(result);
    });
    const stop = () => {
      waits.delete(stop);
      signal?.removeEventListener('abort', onAbort);
      undo();
    };
    waits.add(stop);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Wait until a listener of a signal has run, with the event loop going on.
 *
 * @param options - `signal`: an `AbortSignal` that ends the waiting.
 * @returns The name of the signal: the first, of those that have listeners (`process.on`) now or get them meanwhile, whose
 * listeners have run. Signals without listeners keep their default action.
 * @throws {@link AbortError} `ABORT_ERR` the waiting was given up. This and wrong arguments reject; nothing is thrown.
 * @remarks Keeps the process alive, as `pause()` does. In a forked child a wait of the parent's never settles.
 * @example
 * ```js
 * process.on('SIGHUP', () => console.log('reload'));
 * setTimeout(() => kill(process.pid, 'SIGHUP'), 100);
 * pauseAsync().then(console.log); // reload, then SIGHUP
 * ```
 * @see pause(2)
 */
export async function pauseAsync(options: SignalWaitOptions = {}): Promise<SignalName> {
  if (globalThis.process.platform === 'win32') native.pause(); // throws: there are no such signals
  const { process } = mainGlobal;
  return wait<SignalName>(options, (settle) => {
    const watched = new Map<NodeJS.Signals, () => void>();
    const keepAlive = setInterval(() => {}, 0x7fffffff);
    let announced: NodeJS.Immediate | undefined;
    // 'newListener' comes before the listener is added: ours then stands in front of it, which the immediate makes good.
    const watch = (name: string | symbol) => {
      if (!isSignal(name) || watched.has(name)) return;
      const listener = () => (announced ??= setImmediate(() => settle(name)));
      watched.set(name, listener);
      process.on(name, listener);
    };
    const unwatch = (name: NodeJS.Signals, listener: () => void) => {
      watched.delete(name);
      process.off(name, listener);
    };
    // With the last listener of the user's ours goes too, so that the signal has its default action again.
    const unwatchLast = (name: string | symbol) => {
      const listener = isSignal(name) ? watched.get(name) : undefined;
      if (listener !== undefined && process.listenerCount(name) === 1) unwatch(name as NodeJS.Signals, listener);
    };
    process.eventNames().forEach(watch);
    process.on('newListener', watch);
    process.on('removeListener', unwatchLast);
    return () => {
      clearInterval(keepAlive);
      clearImmediate(announced);
      process.off('newListener', watch);
      process.off('removeListener', unwatchLast);
      for (const [name, listener] of watched) unwatch(name, listener);
    };
  });
}

function isSignal(name: string | symbol): name is NodeJS.Signals {
  return typeof name === 'string' && Object.hasOwn(constants.signals, name);
}

/** Without signalfd. */
const LOOK_EVERY_MS = 10;
/** What setTimeout takes. */
const LONGEST_TIMER_MS = 0x7fffffff;

function take(numbers: readonly number[], timeout: number, options: SignalWaitOptions): Promise<SignalInfo | null> {
  return wait<SignalInfo | null>(options, (settle) => {
    const deadline = timeout < 0 ? Infinity : performance.now() + timeout;
    let undone = false;
    let timer: NodeJS.Timeout | undefined;
    let watch = 0;
    const look = () => {
      const info = native.sigtimedwait(numbers, 0);
      if (info !== null) settle(signalInfo(info));
      else if (performance.now() >= deadline) settle(null);
    };
    const arm = (longest: number) => {
      const left = Math.ceil(deadline - performance.now());
      timer = setTimeout(
        () => {
          look();
          if (!undone) arm(longest);
        },
        Math.max(0, Math.min(left, longest)),
      );
    };
    watch = native.watchSignals(numbers, look);
    if (watch < 0 && watch !== -constants.errno.ENOSYS) throw new PosixError(watch, 'signalfd');
    if (watch < 0) arm(LOOK_EVERY_MS);
    else if (deadline !== Infinity) arm(LONGEST_TIMER_MS);
    return () => {
      undone = true;
      clearTimeout(timer);
      if (watch > 0) native.unwatch(watch);
    };
  });
}

/**
 * Wait for a signal and take it, with the event loop going on: no handler runs, no default action happens.
 *
 * @param signals - The signals to wait for. Block them first (`sigprocmask`): one that is not blocked when it comes goes
 * to its handler or its default action and is not seen here.
 * @param options - `signal`: an `AbortSignal` that ends the waiting.
 * @returns The name of the signal that was taken; of several pending ones the lowest number, on Linux those sent to
 * this thread (`raise`) first.
 * @throws {@link PosixError} `EINVAL` the C library keeps a signal for itself (32, 33).
 * @throws {@link PosixError} `EMFILE`, `ENFILE` there is no descriptor left for the signalfd.
 * @throws {@link AbortError} `ABORT_ERR` the waiting was given up.
 * @throws `ERR_OUT_OF_RANGE`, `ERR_UNKNOWN_SIGNAL`, `ERR_INVALID_ARG_TYPE` wrong arguments. All of these reject; nothing
 * is thrown.
 * @remarks Keeps the process alive. A signal goes to one of several waits for it. On Linux one descriptor is in use while
 * the wait lasts; macOS has no signalfd, and there the pending signals are looked at every 10 ms. In a forked child a wait
 * of the parent's never settles.
 * @example
 * ```js
 * sigprocmask(SIG_BLOCK, ['SIGTERM', 'SIGINT']);
 * sigwaitAsync(['SIGTERM', 'SIGINT']).then((name) => console.log('shutting down after', name));
 * ```
 * @see sigwait(3), signalfd(2), loop.add_signal_handler (Python's asyncio)
 */
export async function sigwaitAsync(signals: Iterable<Signal>, options: SignalWaitOptions = {}): Promise<SignalName> {
  const info = await take(signalNumbers(signals), -1, options);
  return (info as SignalInfo).signal;
}

/**
 * Wait for a signal for a limited time and take it, with the event loop going on.
 *
 * @param signals - The signals to wait for; block them first, see {@link sigwaitAsync}.
 * @param timeout - Milliseconds, 0 or more; 0 only looks. Default: for ever.
 * @param options - `signal`: an `AbortSignal` that ends the waiting.
 * @returns What is known about the signal, or `null` when none came in time.
 * @throws As {@link sigwaitAsync}, and `ERR_OUT_OF_RANGE` for a negative timeout.
 * @remarks As {@link sigwaitAsync}.
 * @example
 * ```js
 * sigprocmask(SIG_BLOCK, ['SIGUSR2']);
 * sigtimedwaitAsync(['SIGUSR2'], 500).then((info) => console.log(info?.pid ?? 'nobody'));
 * ```
 * @see sigtimedwait(2), signalfd(2)
 */
export async function sigtimedwaitAsync(
  signals: Iterable<Signal>,
  timeout?: number,
  options: SignalWaitOptions = {},
): Promise<SignalInfo | null> {
  return take(signalNumbers(signals), timeoutOrForEver(timeout), options);
}
