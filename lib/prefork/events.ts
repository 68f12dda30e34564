/** What a pre-forking server tells of itself, as data: one object per event, ready to be logged. */

/** Why a worker is replaced, or a server's process ends. */
export type PreforkReason = 'reload' | 'stop' | 'maxRequests' | 'maxMemory' | 'hang' | 'signal' | 'parent-died';

/** Fields by the type of event. */
interface Details {
  /** The socket is bound, and connections queue on it. */
  listening: { readonly address: PreforkAddress };
  /** A generation's process was forked and calls `load`. */
  loading: object;
  /** The application is loaded; its memory is what the workers share. */
  loaded: { readonly milliseconds: number };
  'worker-started': { readonly worker: number; readonly workerPid: number };
  /** It accepts connections. */
  'worker-ready': { readonly worker: number; readonly workerPid: number };
  /** It finishes what it has begun and ends. */
  'worker-retiring': { readonly worker: number; readonly workerPid: number; readonly reason: PreforkReason };
  'worker-exited': {
    readonly worker: number;
    readonly workerPid: number;
    /** Negative for a signal. */
    readonly exitCode: number;
    /** Whether it was told to end. */
    readonly expected: boolean;
  };
  /** A worker that died is replaced after `delay` milliseconds. */
  'worker-restart': { readonly worker: number; readonly delay: number; readonly failures: number };
  /** It did not end in time, or did not answer, and was ended by SIGKILL. */
  'worker-killed': { readonly worker: number; readonly workerPid: number; readonly reason: PreforkReason };
  /** Every worker of the generation accepts connections. */
  ready: object;
  /** A generation could not be started; the one before goes on. */
  'reload-failed': { readonly error: Error };
  /** A generation's process died. Its workers finish what they have begun; the next generation is started. */
  'generation-died': { readonly exitCode: number; readonly delay: number };
  /** No process of the generation is left. */
  'generation-ended': object;
  stopping: { readonly reason: PreforkReason };
  stopped: object;
}

/** Where the server listens: an address and a port, or the path of a Unix socket. */
export type PreforkAddress =
  { readonly address: string; readonly family: string; readonly port: number } | { readonly path: string };

/** An event of one type. `pid` is that of the process it is about: the generation's, or the master's own. */
export type PreforkEventOf<Type extends keyof Details> = {
  readonly type: Type;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** 1 for the first; each reload makes the next. 0: the server as a whole. */
  readonly generation: number;
  readonly pid: number;
} & Details[Type];

/** Something that happened to a pre-forking server. */
export type PreforkEvent = { [Type in keyof Details]: PreforkEventOf<Type> }[keyof Details];

/** An event without the fields that the sender's process fills in. */
export type EventBody = {
  [Type in keyof Details]: { readonly type: Type } & Details[Type];
}[keyof Details];
