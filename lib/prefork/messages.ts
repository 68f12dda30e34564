/**
 * What the processes of a pre-forking server say to each other:
 *
 *     master ──── Command ───> generation ──── Command ───> worker
 *     master <── FromGeneration ── generation <── FromWorker ── worker
 */
import type { EventBody, PreforkReason } from './events';
import type { WorkerStatus } from './status';

/** `retire`: connections that wait for their next request get it, and are closed then. `stop`: they are closed soon. */
export type Manner = 'retire' | 'stop' | 'kill';

/** Downwards. */
export type Command =
  | { readonly type: 'end'; readonly manner: Manner; readonly reason: PreforkReason; readonly timeout: number }
  | { readonly type: 'status'; readonly id: number };

/** What travels of an error. */
export interface ErrorText {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly code?: string | undefined;
}

/** What a worker says. */
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'limit'; readonly reason: PreforkReason }
  | { readonly type: 'failed'; readonly error: ErrorText }
  | { readonly type: 'status'; readonly id: number; readonly counts: WorkerCounts };

/** What a worker knows of itself. */
export interface WorkerCounts {
  readonly requests: number;
  readonly active: number;
  readonly connections: number;
}

/** What a generation's process says. */
export type FromGeneration =
  | { readonly type: 'event'; readonly event: EventBody; readonly time: number }
  | { readonly type: 'failed'; readonly error: ErrorText }
  | { readonly type: 'status'; readonly id: number; readonly workers: readonly WorkerStatus[] };

/** Take an error apart for a message. */
export function errorText(error: unknown): ErrorText {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    code: typeof code === 'string' ? code : undefined,
  };
}

/** And put it together again, with the stack of where it happened. */
export function errorOf({ name, message, stack, code }: ErrorText): Error {
  const error = new Error(message);
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (stack !== undefined) Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}
