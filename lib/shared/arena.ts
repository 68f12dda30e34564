/**
 * The memory that a family of processes shares (`native/arena.h`): made when this module is first loaded, inherited by
 * every process forked from then on. What lies in it is named by its offset; passing a shared object to another member
 * of the family is passing its offset.
 *
 *     cell    64 bytes for a lock or what is like one: 12 words for its user, zeroed
 *     block   any number of bytes, zeroed, 64-byte aligned
 *
 * Both are given back when the process that made them has no reference left and no other living process can have one:
 * one forked after they were made, or, once they were sent, any.
 */
import { constants, freemem } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { codedError, PosixError } from '../errors';
import { native } from '../native';
import { registerAtFork } from '../posix/at-fork';
import { arenaSource } from './arena-source';

/** The arena as this process sees it. */
export interface Arena {
  /** The descriptor of its file, for a process that is to become a member of the family by exec. */
  readonly fd: number;
  /** The family's name: an offset means something only within it. */
  readonly id: string;
  /** The first 64 MB, where the cells are: `words[offset / 4]`. */
  readonly words: Int32Array;
  /** Where the kernel looks, at this process's death, for a word whose waiters to wake (`native.robustEntry`). */
  readonly pending: Float64Array;
}

/** A piece of the arena. */
export interface Block {
  /** Where it is, the same in every process of the family. */
  readonly offset: number;
  readonly bytes: number;
  /** The memory itself; whoever keeps a view of it keeps the block. */
  readonly buffer: ArrayBuffer;
}

export interface BlockOptions {
  /** Little of it will be in use: its length is no measure of what collecting it would free. */
  readonly isSparse?: boolean;
}

/** What a lock needs at hand: fields, not functions, since taking it is a matter of nanoseconds. */
export const self = {
  /** What this process writes into the locks that it holds: its main thread's id. */
  id: 0,
  /** Goes up in a forked child: what was set up in the parent is not set up there. */
  generation: 0,
};

const { ENOMEM } = constants.errno;
/** The first word of a cell that belongs to the allocator. */
export const CELL_WORDS = 12;
/** As in `native/arena.h`. */
const CELL_BYTES = 64;
const CELLS_BEGIN = 2 * 1024 * 1024;
const USED = 1;
/** A request from here on is first compared with the memory there is: the kernel would say yes, and kill later. */
const LARGE = 64 * 1024 * 1024;
/** What V8 is to take a sparse block for: with some sixty unused ones it collects garbage. */
const SPARSE_ACCOUNT = 1024 * 1024;
/** Every so many allocations, and before a large one, what was kept for others' sake is looked at again. */
const ROUND = 256;

/** Why there is no arena in this thread; thrown at each use, so that importing works everywhere. */
let failure: unknown;
const opened = open();

function open(): Arena | undefined {
  try {
    if (!isMainThread) {
      throw codedError(
        Error,
        'ERR_WORKER_UNSUPPORTED_OPERATION',
        'What processes share belongs to the main thread: a Worker cannot use locks, queues and shared memory of ' +
          'realfork/multiprocessing',
      );
    }
    const error = native.arenaOpen(arenaSource.fd, arenaSource.slot);
    if (error !== 0) throw new PosixError(error, 'mmap');
    const { fd, id, words, pending } = native.arenaFacts();
    self.id = native.arenaSelf();
    registerAtFork({ afterInChild: becomeChild });
    return { fd, id: id.toString('hex'), words: new Int32Array(words), pending: new Float64Array(pending) };
  } catch (error) {
    failure = error;
    return undefined;
  }
}

/** The arena; throws what has kept this process from having one. */
export function arena(): Arena {
  if (opened === undefined) throw failure;
  return opened;
}

/** The descriptor of its file, -1 when this process has no arena: for one that will join by exec. */
export function arenaFd(): number {
  return opened?.fd ?? -1;
}

/** Require that a description from another process, which bears the `id` of its family, is of ours: an offset means something there only. */
export function requireFamily(id: unknown, what: string): void {
  if (id === arena().id) return;
  throw codedError(
    Error,
    'ERR_OTHER_FAMILY',
    `This ${what} is of a family of processes that shares no memory with this one`,
  );
}

function becomeChild(): void {
  self.id = native.arenaSelf();
  self.generation += 1;
  unused.clear();
}

/** How many objects of this process stand for what is at an offset. */
const holders = new Map<number, number>();
/** Offsets without holder here that another process may still have. */
const unused = new Set<number>();
/** Offsets of the blocks held here of which V8 is told {@link SPARSE_ACCOUNT}. */
const sparse = new Set<number>();
const ends = new FinalizationRegistry<number>(forget);
const blocks = new Map<number, WeakRef<Block>>();
let sinceRound = 0;

/**
 * Keep what is at `offset` for as long as `holder` lives in this process.
 *
 * @param holder - An object that every use of the cell or block goes through.
 */
export function hold(offset: number, holder: object): void {
  unused.delete(offset);
  holders.set(offset, (holders.get(offset) ?? 0) + 1);
  ends.register(holder, offset, holder);
}

/** End what {@link hold} began before `holder` is collected: it will not be used again. */
export function release(offset: number, holder: object): void {
  if (ends.unregister(holder)) forget(offset);
}

function forget(offset: number): void {
  const left = (holders.get(offset) ?? 1) - 1;
  if (left > 0) {
    holders.set(offset, left);
    return;
  }
  holders.delete(offset);
  if (sparse.delete(offset)) native.accountFor(-SPARSE_ACCOUNT);
  if (!reclaimed(offset)) unused.add(offset);
}

function reclaimed(offset: number): boolean {
  if (native.reclaim(offset) === 'later') return false;
  blocks.delete(offset);
  return true;
}

/** Look again at what other processes may have had, and at what processes that are gone have left. */
function makeRoom(): void {
  sinceRound = 0;
  for (const offset of unused) if (reclaimed(offset)) unused.delete(offset);
  native.sweepArena();
}

function allocated(allocate: () => number, isLarge: boolean): number {
  arena();
  sinceRound += 1;
  if (isLarge || sinceRound >= ROUND) makeRoom();
  let offset = allocate();
  if (offset === 0) {
    makeRoom();
    offset = allocate();
  }
  if (offset === 0) throw new PosixError(ENOMEM, 'mmap');
  return offset;
}

/** Whether this is the offset of a cell that is in use. */
export function isCell(offset: unknown): offset is number {
  if (typeof offset !== 'number' || !Number.isInteger(offset / CELL_BYTES)) return false;
  const { words } = arena();
  return offset >= CELLS_BEGIN && offset / 4 < words.length && words[(offset + CELL_BYTES) / 4 - 1] === USED;
}

/** A zeroed cell, which is kept for as long as `holder` lives. */
export function makeCell(holder: object): number {
  const offset = allocated(() => native.allocateCell(), false);
  hold(offset, holder);
  return offset;
}

/** Let another process, whenever it was forked, have what is at `offset`: call it before the offset is sent. */
export function markSent(offset: number): void {
  native.markSent(offset);
}

/**
 * So many zeroed bytes that the whole family can reach.
 *
 * @throws {@link PosixError} `ENOMEM` the arena, or the machine's memory, has not so much left.
 */
export function allocate(bytes: number, { isSparse = false }: BlockOptions = {}): Block {
  const isLarge = bytes >= LARGE;
  if (isLarge && bytes > availableMemory()) throw new PosixError(ENOMEM, 'mmap');
  const offset = allocated(() => native.allocateBlock(bytes), isLarge);
  return newBlock(offset, isSparse);
}

/** The block at an offset that another process has given us; the same object for as long as somebody here has it. */
export function blockAt(offset: number, { isSparse = false }: BlockOptions = {}): Block {
  arena();
  return blocks.get(offset)?.deref() ?? newBlock(offset, isSparse);
}

function newBlock(offset: number, isSparse: boolean): Block {
  const buffer = native.blockBuffer(offset, isSparse);
  if (buffer === undefined) {
    throw codedError(RangeError, 'ERR_OUT_OF_RANGE', `There is no block at offset ${offset} of the shared memory`);
  }
  if (isSparse && !sparse.has(offset)) {
    sparse.add(offset);
    native.accountFor(SPARSE_ACCOUNT);
  }
  const block: Block = { offset, bytes: buffer.byteLength, buffer };
  hold(offset, buffer);
  blocks.set(offset, new WeakRef(block));
  return block;
}

/** What a process may take now: of the machine, or of its cgroup where Node knows that (from 20.13 on). */
function availableMemory(): number {
  return (process as { availableMemory?: () => number }).availableMemory?.() ?? freemem();
}
