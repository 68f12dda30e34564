/** Errors of managers, and errors on their way from a server to the caller. */
import { ProcessError } from '../errors';

/** The server has ended, or cannot be reached. */
export function goneError(why: string, cause?: unknown): ProcessError {
  return new ProcessError(`The manager is gone: ${why}. Its objects are lost; start a new manager`, {
    code: 'ERR_MANAGER_GONE',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The manager is used before its start, or in the wrong process. */
export function managerMisuse(code: string, message: string): ProcessError {
  return new ProcessError(message, { code });
}

/** A thrown value, packed: the value, the name of its class, its stack. */
export type PackedError = readonly [thrown: unknown, className: string | undefined, stack: string | undefined];

/** In the server. */
export function packError(thrown: unknown): PackedError {
  if (!(thrown instanceof Error)) return [thrown, undefined, undefined];
  const { name } = thrown.constructor;
  return [thrown, name === '' ? undefined : name, thrown.stack];
}

/** The frames of a trace, without what stands in front of them. */
function framesOf(trace: { readonly stack?: string } | undefined): string {
  const stack = trace?.stack ?? '';
  const first = stack.indexOf('\n    at ');
  return first < 0 ? '' : stack.slice(first);
}

/** In the client: the error with both stacks; the remote one also in `remoteStack`. */
export function unpackError(
  packed: PackedError,
  what: string,
  trace: { readonly stack?: string } | undefined,
): unknown {
  const [thrown, className, remoteStack] = packed;
  if (!(thrown instanceof Error)) return thrown;
  const stack = remoteStack ?? String(thrown);
  hide(thrown, 'remoteStack', stack);
  hide(thrown, 'stack', `${stack}\n    in the manager, called as ${what}${framesOf(trace)}`);
  // A class of the user's, which came back as the class of the language that it extends.
  if (className !== undefined && thrown.constructor.name !== className && !Object.hasOwn(thrown, 'name')) {
    hide(thrown, 'name', className);
  }
  return thrown;
}

/** Give an error that was made on the event loop the stack of the call that it belongs to. */
export function locate<E extends Error>(error: E, trace: { readonly stack?: string } | undefined): E {
  const frames = framesOf(trace);
  if (frames !== '') hide(error, 'stack', `${String(error)}${frames}`);
  return error;
}

function hide(error: Error, key: string, value: string): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false });
}
