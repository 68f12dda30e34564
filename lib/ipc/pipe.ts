/** Two connected ends. */
import { native } from '../native';
import { validateBoolean, validateObject } from '../validate';
import { Connection } from './connection';

/** The directions of a {@link Pipe}. */
export interface PipeOptions {
  /** False: the first end only receives and the second only sends. Default true. */
  readonly duplex?: boolean;
}

/**
 * Make two connected ends, to be shared with a child: close in each process the end that the other one uses, so that it
 * sees when the other is gone.
 *
 * @param options - `duplex`: default true; false makes the first end receive only and the second send only.
 * @returns The two ends. Their descriptors are close-on-exec.
 * @throws {@link PosixError} `EMFILE` this process, `ENFILE` the system, has no descriptors left.
 * @remarks On Linux a message of at most 64 KB is there whole or not at all, also when its sender is killed; a longer one
 * that was cut short gives the receiver an `InvalidMessageError`, and then the next message. Never parts, never a hang. A
 * boolean in place of the options is taken as `duplex`, as in Python.
 * @example
 * ```js
 * const [receiver, sender] = Pipe({ duplex: false });
 * new Process({ target: () => sender.sendSync({ from: process.pid }) }).start();
 * sender.close();
 * console.log(await receiver.recv());
 * ```
 * @see multiprocessing.Pipe, socketpair(2)
 */
export function Pipe(options: PipeOptions | boolean = {}): [Connection, Connection] {
  if (typeof options !== 'boolean') validateObject(options, 'options');
  const { duplex = true } = typeof options === 'boolean' ? { duplex: options } : options;
  validateBoolean(duplex, 'options.duplex');
  const [first, second] = native.connectionPair();
  if (duplex) return [new Connection(first), new Connection(second)];
  return [new Connection(first, { writable: false }), new Connection(second, { readable: false })];
}
