/**
 * Blocks of memory that processes share, reachable by inheritance and by name. `native/shared_memory.cc` says how they
 * come and go, `native/tracker_process.cc` who removes their names.
 */
import { constants as bufferLimits } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { codedError, PosixError } from '../errors';
import { registerHandle } from '../ipc/handles';
import { native, type NativeSegment } from '../native';
import {
  invalidType,
  invalidValue,
  validateBoolean,
  validateCString,
  validateInteger,
  validateObject,
} from '../validate';
import { forgetAtExit, unlinkAtExit } from './unlink-at-exit';

/** What to create, or what to attach to. */
export interface SharedMemoryOptions {
  /** The block's name, as `shm_open(3)` takes it; a leading slash makes no difference. Needed to attach. */
  readonly name?: string | null;
  /** Make a new block (`true`), or attach to an existing one (`false`, the default). */
  readonly create?: boolean;
  /** Bytes of the new block, greater than 0. Ignored when attaching. */
  readonly size?: number;
}

/** As in Python, made longer: a name that is free is not looked for, it is given when somebody asks for it. */
const prefix = 'psm_';

/** NAME_MAX; on macOS PSHMNAMLEN, in which the leading slash counts. */
const LONGEST_NAME = process.platform === 'darwin' ? 30 : 255;

/**
 * A block of memory that several processes see, each through its own `buf`.
 *
 * A process forked from this one has it without further ado. Others attach by its name, or get the object through a
 * connection or a queue, which passes the name. A block whose name nobody has asked for has none in the system, and
 * vanishes with its last user whatever happens. A named one is found in `/dev/shm` until `unlink()`, or until its users
 * are gone: see `docs/shared-memory.md`.
 *
 * @throws `ERR_OUT_OF_RANGE`, `ERR_INVALID_ARG_TYPE` `size` is 0, negative, missing or no integer while `create` is true.
 * @throws `ERR_INVALID_ARG_VALUE` there is no name to attach to, or the name has a slash inside.
 * @throws {@link PosixError} `ENOENT` no block has this name; `EEXIST` a block to be created has it already.
 * @throws {@link PosixError} `ENOSPC` the file system behind shared memory is full: the whole block is reserved when it is
 * made, so that no later write fails. `EMFILE`, `ENFILE` no descriptor is left; a block keeps none once it is named.
 * `EACCES` it is another user's. `ENOMEM` no address space is left. `EFBIG` it is larger than a buffer can be.
 * @remarks Sending one sends its name: the receiver attaches, which is an `ENOENT` error there when the block has gone.
 * Mode 0600, as in Python: for processes of the same user. `size` is exact on Linux and rounded up to pages on
 * macOS. Differs from Python: a block that another program made is never removed on its behalf (bpo-38119).
 * @example
 * ```js
 * const memory = new SharedMemory({ create: true, size: 512 });
 * const pid = fork();
 * if (pid === 0) { memory.buf.write('howdy'); process.exit(); }
 * waitpid(pid);
 * console.log(memory.buf.toString('latin1', 0, 5)); // howdy
 * memory.close();
 * ```
 * @see multiprocessing.shared_memory.SharedMemory, shm_open(3), mmap(2)
 */
export class SharedMemory implements Disposable {
  readonly #segment: NativeSegment;
  readonly #memory: ArrayBuffer;
  readonly #view: Buffer;
  readonly #name: string;
  readonly #size: number;
  /** Whether the system knows the name, as far as this object can tell. */
  #naming: 'unnamed' | 'named' | 'unlinked';
  #isClosed = false;

  constructor(options: SharedMemoryOptions) {
    const { name, create, size } = validated(options);
    this.#name = name ?? prefix + randomBytes(8).toString('hex');
    this.#naming = name === null ? 'unnamed' : 'named';
    const { segment, buffer } = create
      ? native.createSegment(this.#name, size, name === null)
      : native.attachSegment(this.#name, bufferLimits.MAX_LENGTH);
    this.#segment = segment;
    this.#memory = buffer;
    this.#view = Buffer.from(buffer);
    this.#size = buffer.byteLength;
    if (create) unlinkAtExit(this.#name, this);
  }

  /**
   * The contents. Its memory is that of the block: what one process writes the others read.
   *
   * @throws `ERR_INVALID_STATE` after `close()`. Views taken before have length 0 then.
   */
  get buf(): Buffer {
    if (this.#isClosed) throw invalidState(`The shared memory ${this.#name} is closed`);
    return this.#view;
  }

  /**
   * The name by which others attach. The first look at the name of a block made without one gives it to the system.
   *
   * @throws `ERR_INVALID_STATE` when the block was closed before anybody asked: its memory is gone.
   */
  get name(): string {
    if (this.#naming === 'unnamed') this.#giveName();
    return this.#name;
  }

  /** Bytes, also after `close()`. */
  get size(): number {
    return this.#size;
  }

  /**
   * Give up this object's access to the memory; others keep theirs, and the name stays. Again does nothing.
   *
   * @remarks Every view of `buf` has length 0 afterwards.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    native.closeSegment(this.#segment, this.#memory);
  }

  /**
   * Remove the name: nobody can attach any more. Who has the memory keeps it. Works before and after `close()`.
   *
   * @throws {@link PosixError} `ENOENT` the name was removed already, by whomever, or is another block's by now.
   */
  unlink(): void {
    forgetAtExit(this.#name);
    native.unlinkSegment(this.#segment, this.#name);
    this.#naming = 'unlinked';
  }

  /** `close()`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  toString(): string {
    const name = this.#naming === 'unnamed' && this.#isClosed ? this.#name : this.name;
    return `${this.constructor.name}('${name}', size=${this.#size})`;
  }

  [inspect.custom](): string {
    return this.toString();
  }

  #giveName(): void {
    try {
      native.linkSegment(this.#segment, this.#name);
    } catch (error) {
      // A process forked from this one may have named and unlinked it; then there is nothing left to do.
      if (!(error instanceof PosixError) || error.code !== 'ENOENT') throw error;
      if (this.#isClosed) {
        throw invalidState(
          'The shared memory was closed before its name was asked for, and is gone. Read `name` before close()',
          error,
        );
      }
    }
    this.#naming = 'named';
  }
}

registerHandle({
  tag: 'SharedMemory',
  Class: SharedMemory,
  reduce: (memory) => memory.name,
  revive: (name) => new SharedMemory({ name: name as string }),
});

function invalidState(message: string, cause?: Error): Error {
  return codedError(Error, 'ERR_INVALID_STATE', message, cause === undefined ? undefined : { cause });
}

function validated(options: SharedMemoryOptions): { name: string | null; create: boolean; size: number } {
  validateObject(options, 'options');
  const { name: given = null, create = false, size = 0 } = options as SharedMemoryOptions;
  validateBoolean(create, 'options.create');
  const name = given === null ? null : validatedName(given);
  if (create) {
    if (options.size === undefined) throw invalidType('options.size', 'of type number', undefined);
    validateInteger(size, 'options.size', 1, bufferLimits.MAX_LENGTH);
  } else {
    validateInteger(size, 'options.size', 0);
    if (name === null) throw invalidValue('options.name', 'is needed unless options.create is true', given);
  }
  return { name, create, size };
}

function validatedName(given: unknown): string {
  validateCString(given, 'options.name');
  const name = given.startsWith('/') ? given.slice(1) : given;
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    throw invalidValue('options.name', 'must be a file name without slashes', given);
  }
  if (Buffer.byteLength(name) > LONGEST_NAME) {
    throw invalidValue('options.name', `must be at most ${LONGEST_NAME} bytes long`, given);
  }
  return name;
}
