/**
 * The parent's sockets, servers, pipes and watchers in a child: closed there, but for those that are handed over. Closing
 * a descriptor in the child leaves the parent's alone; what would call back is dropped before (native/loop.cc).
 */
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { runsInChild } from '../posix/precompile';
import { resetWritable } from './stdio';

/** A handle of libuv's as Node's JavaScript has it. */
interface Handle {
  readonly constructor: { readonly name: string };
  readonly fd?: number;
  /** Under a TLS socket: the handle that has the descriptor. */
  readonly _parent?: Handle;
  close(): void;
  ref(): void;
}

/** Kinds that are closed. A terminal is not: its state is shared. Processes and ports have no descriptor. */
const closable: ReadonlySet<string> = new Set(['TCP', 'Pipe', 'UDP', 'FSEvent', 'StatWatcher', 'Signal']);

/** So deep are plain objects and arrays searched for what is handed over. */
const DEPTH = 8;

/** What `args` hand over: the sockets and servers in them, also inside of arrays, plain objects, Maps and Sets. */
export function handedOver(values: readonly unknown[]): ReadonlySet<object> {
  const found = new Set<object>();
  const seen = new Set<object>();
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || seen.has(value) || depth > DEPTH) return;
    seen.add(value);
    if (handleOf(value) !== undefined) found.add(value);
    else if (Array.isArray(value) || value instanceof Set) for (const item of value) visit(item, depth + 1);
    else if (value instanceof Map) for (const pair of value) visit(pair, depth + 1);
    else if (isPlain(value)) for (const item of Object.values(value)) visit(item, depth + 1);
  };
  for (const value of values) visit(value, 0);
  return found;
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The handle with the descriptor of a socket, server or watcher, or of what is a handle itself. */
function handleOf(owner: object): Handle | undefined {
  let handle = ownHandle(owner);
  while (handle?._parent !== undefined) handle = handle._parent;
  return handle;
}

function ownHandle(owner: object): Handle | undefined {
  // A datagram socket has a getter `_handle` too, which warns of its deprecation.
  const symbol = Object.getOwnPropertySymbols(owner).find(({ description }) => description === 'state symbol');
  if (symbol !== undefined) return asHandle((owner as Record<symbol, { handle?: unknown }>)[symbol]?.handle);
  return asHandle((owner as { _handle?: unknown })._handle) ?? asHandle(owner);
}

function asHandle(value: unknown): Handle | undefined {
  const { hasRef, close } = (value ?? {}) as Record<string, unknown>;
  return typeof hasRef === 'function' && typeof close === 'function' ? (value as Handle) : undefined;
}

/** Close what is not handed over, and let the loop end without the rest of what was the parent's. */
export function closeParentsHandles(kept: ReadonlySet<object>): void {
  const keptHandles = new Set([...kept].map(handleOf));
  native.refParentsHandles(); // else those that do not keep the loop alive are not listed
  const owners = (mainGlobal.process as unknown as { _getActiveHandles(): object[] })._getActiveHandles();
  for (const owner of owners) {
    const handle = handleOf(owner);
    if (handle === undefined || keptHandles.has(handle)) continue;
    if (handle.constructor.name === 'MessagePort') silence(handle);
    if (!closable.has(handle.constructor.name)) continue;
    if (handle.fd !== undefined && handle.fd >= 0 && handle.fd <= 2) continue;
    // The class's own: cluster replaces that of a handle by one that tells its master.
    (Reflect.get(Object.getPrototypeOf(handle) as object, 'close') as () => void).call(handle);
  }
  native.unrefParentsHandles();
  for (const handle of keptHandles) handle?.ref();
  for (const owner of kept) revive(owner);
}

/** By this name Node finds what a port does with a message (lib/internal/per_context/messageport.js). */
const DISPATCH = Symbol.for('nodejs.internal.kHybridDispatch');

/** A port of the parent's drops its messages: Node hands over those that are queued one after the other. */
function silence(port: object): void {
  Object.defineProperty(port, DISPATCH, { value: () => {}, configurable: true });
}

interface MayHaveInterval {
  refresh?: () => void;
}

/** A stream forgets its queued writes, a http server checks its connections' timeouts again. */
function revive(owner: object): void {
  resetWritable(owner);
  const symbol = Object.getOwnPropertySymbols(owner).find(
    ({ description }) => description === 'http.server.connectionsCheckingInterval',
  );
  if (symbol !== undefined) (owner as Record<symbol, MayHaveInterval | undefined>)[symbol]?.refresh?.();
}

runsInChild(closeParentsHandles);
