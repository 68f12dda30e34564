/** What shared values and arrays have in common: a block of the arena, the lock that goes with it, and how they are sent. */
import { codedError } from '../errors';
import { invalidType } from '../validate';
import { Lock } from '../sync/lock';
import { RLock } from '../sync/rlock';
import { arena, blockAt, markSent, type Block, requireFamily } from './arena';
import { elementType, views, type ElementType, type View } from './element-type';

/** How a shared value or array is guarded. */
export interface SharedOptions {
  /**
   * True (the default, and null) makes a new `RLock`; a `Lock` or `RLock` is used as it is; false makes a raw one, which has neither
   * `getLock` nor `getObj`.
   */
  readonly lock?: boolean | Lock | RLock | null;
}

/** What the options, or the lock in their place, ask for. Throws for anything but a boolean and a lock. */
export function chooseLock(options: SharedOptions | boolean | Lock | RLock | undefined): Lock | RLock | undefined {
  const given: unknown = options ?? true;
  const isLock = typeof given === 'boolean' || given instanceof Lock || given instanceof RLock;
  // Something else that locks is no set of options: its user would believe the value guarded by it.
  const isOther = !isLock && (typeof given !== 'object' || 'acquire' in (given as object));
  if (isOther) throw invalidType('options', 'of type object, or an instance of Lock or RLock', options);
  const lock: unknown = isLock ? given : ((given as SharedOptions).lock ?? true);
  if (lock === true) return new RLock();
  if (lock === false) return undefined;
  if (lock instanceof Lock || lock instanceof RLock) return lock;
  throw invalidType('options.lock', 'of type boolean or an instance of Lock or RLock', lock);
}

/** By which another process of the family reaches the same memory and the same lock. */
export interface Description {
  readonly arena: string;
  readonly offset: number;
  readonly type: ElementType;
  /** Bytes of the block before the first element. */
  readonly start: number;
  readonly length: number;
  readonly lock: Lock | RLock | undefined;
}

/** Describe the part of a block that is in `view` for another process. */
export function describe(block: Block, type: ElementType, view: View, lock: Lock | RLock | undefined): Description {
  markSent(block.offset);
  const { byteOffset: start, length } = view;
  return { arena: arena().id, offset: block.offset, type, start, length, lock };
}

/** Reach the memory that a description from another process names; throws when it names none. */
export function reach(data: unknown, what: string): { block: Block; view: View; description: Description } {
  const description = (data ?? {}) as Description;
  const { lock, start, length } = description;
  requireFamily(description.arena, what);
  const type = elementType(description.type);
  if (lock !== undefined && !(lock instanceof Lock || lock instanceof RLock)) {
    throw invalidType('lock', 'an instance of Lock or RLock', lock);
  }
  const block = blockAt(description.offset);
  const Class = views[type];
  const size = Class.BYTES_PER_ELEMENT;
  const isInside = start + length * size <= block.bytes;
  if (!isCount(start / size) || !isCount(length) || !isInside) {
    throw codedError(
      RangeError,
      'ERR_OUT_OF_RANGE',
      `There is no ${what} of ${String(length)} elements at this offset`,
    );
  }
  return { block, view: new Class(block.buffer, start, length), description: { ...description, type } };
}

function isCount(number: unknown): boolean {
  return Number.isSafeInteger(number) && (number as number) >= 0;
}
