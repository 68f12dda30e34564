/**
 * Objects that are a cell of the arena: how one is made, found again and sent. A process has one object for each cell,
 * so that what is sent back is the object that went out.
 */
import { registerHandle } from '../ipc/handles';
import { arena, CELL_WORDS, hold, isCell, makeCell, markSent, requireFamily } from '../shared/arena';
import { codedError } from '../errors';
import { invalidType } from '../validate';

/** Names what a cell is: in its last word, so that a message cannot take it for something else. */
export const enum Kind {
  Lock = 1,
  RLock,
  Semaphore,
  BoundedSemaphore,
  Event,
  Condition,
  Barrier,
  /** One who waits, in a list of waiters. */
  Waiter,
}

/** Where an object keeps the offset of its cell. */
export const kCell = Symbol('realfork.cell');

/** An object that is a cell. */
export interface CellObject {
  readonly [kCell]: number;
}

/** Given to a constructor in place of a new cell. Internal: user code has no offset to make one of. */
export class ExistingCell {
  constructor(readonly offset: number) {}
}

const objects = new Map<number, WeakRef<object>>();
const ends = new FinalizationRegistry<number>((offset) => {
  if (objects.get(offset)?.deref() === undefined) objects.delete(offset);
});

const revivers = new Map<Kind, (cell: ExistingCell, extra: unknown) => object>();

/** The object of this process for the cell at `offset`, which is known to be of that kind. */
export function objectAt(offset: number, kind: Kind, extra?: unknown): object {
  const known = objects.get(offset)?.deref();
  if (known !== undefined) return known;
  const revive = revivers.get(kind);
  if (revive === undefined) throw new Error(`there is no class for cells of kind ${kind}`);
  return revive(new ExistingCell(offset), extra);
}

/** The cell of an object under construction: a new one, or the one it was given. */
export function cellFor(object: object, kind: Kind, existing: unknown): number {
  const { words } = arena();
  if (existing !== undefined && !(existing instanceof ExistingCell)) {
    throw invalidType('existing', 'undefined: there is no such argument', existing);
  }
  let offset: number;
  if (existing === undefined) {
    offset = makeCell(object);
    words[offset / 4 + CELL_WORDS - 1] = kind;
  } else {
    offset = existing.offset;
    hold(offset, object);
  }
  objects.set(offset, new WeakRef(object));
  ends.register(object, offset);
  return offset;
}

/** The description under which a cell is sent. */
interface Description {
  readonly arena: string;
  readonly offset: number;
  /** What a class has beside the cell. */
  readonly extra: unknown;
}

/** Check that a description from another process names a cell of this family and this kind. */
function offsetOf(data: unknown, kind: Kind, name: string): number {
  const { arena: id, offset } = (data ?? {}) as Partial<Description>;
  const { words } = arena();
  requireFamily(id, name);
  if (!isCell(offset) || words[offset / 4 + CELL_WORDS - 1] !== kind) {
    throw codedError(RangeError, 'ERR_OUT_OF_RANGE', `There is no ${name} at offset ${String(offset)}`);
  }
  return offset;
}

/** Let the instances of a class be sent between the processes of a family. */
export function registerCell<T extends CellObject>(
  name: string,
  Class: new (...args: never[]) => T,
  kind: Kind,
  /** Make the object; `extra` comes from another process. */
  revive: (cell: ExistingCell, extra: unknown) => T,
  /** Let what else belongs to the object go along; what it gives is `extra` for the receiver. */
  beforeSending: (object: T) => unknown = () => {},
): void {
  revivers.set(kind, revive);
  registerHandle<T>({
    tag: name,
    Class,
    reduce(object): Description {
      const extra = beforeSending(object);
      markSent(object[kCell]);
      return { arena: arena().id, offset: object[kCell], extra };
    },
    revive(data) {
      return objectAt(offsetOf(data, kind, name), kind, (data as Description).extra) as T;
    },
  });
}
