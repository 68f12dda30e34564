/** What a process may use and what it has used. */
import { native } from '../native';
import { constantNumber, invalidType, invalidValue, validateInt32, validateInteger, validateObject } from '../validate';

/** No limit, in {@link getrlimit} and {@link setrlimit}. */
export const RLIM_INFINITY = Infinity;

/** native/limits.cc asserts the numbers; -1, which the kernel refuses, stands for what macOS does not have. */
function resource(linux: number, macos: number): number {
  return process.platform === 'darwin' ? macos : linux;
}

/** Address space, in bytes. */
export const RLIMIT_AS = resource(9, 5);
/** Size of a core file, in bytes. */
export const RLIMIT_CORE = resource(4, 4);
/** CPU time, in seconds; SIGXCPU at the soft limit, SIGKILL at the hard one. */
export const RLIMIT_CPU = resource(0, 0);
/** Data segment and private mappings, in bytes. */
export const RLIMIT_DATA = resource(2, 2);
/** Size of a file written, in bytes; SIGXFSZ beyond. */
export const RLIMIT_FSIZE = resource(1, 1);
/** File locks; Linux before 2.4.25 only. */
export const RLIMIT_LOCKS = resource(10, -1);
/** Memory locked in RAM, in bytes. */
export const RLIMIT_MEMLOCK = resource(8, 6);
/** Bytes in the user's POSIX message queues; Linux. */
export const RLIMIT_MSGQUEUE = resource(12, -1);
/** Ceiling of the niceness, as 20 minus the lowest value allowed; Linux. */
export const RLIMIT_NICE = resource(13, -1);
/** One more than the highest descriptor. */
export const RLIMIT_NOFILE = resource(7, 8);
/** Processes and threads of the real user; not enforced for a privileged one. */
export const RLIMIT_NPROC = resource(6, 7);
/** Resident memory, in bytes; without effect on Linux. */
export const RLIMIT_RSS = resource(5, 5);
/** Ceiling of the real-time priority; Linux. */
export const RLIMIT_RTPRIO = resource(14, -1);
/** CPU time under a real-time policy without a blocking call, in microseconds; Linux. */
export const RLIMIT_RTTIME = resource(15, -1);
/** Signals queued for the real user's processes; Linux. */
export const RLIMIT_SIGPENDING = resource(11, -1);
/** The main thread's stack, in bytes. */
export const RLIMIT_STACK = resource(3, 3);

const resources = Object.fromEntries(
  Object.entries({
    RLIMIT_AS,
    RLIMIT_CORE,
    RLIMIT_CPU,
    RLIMIT_DATA,
    RLIMIT_FSIZE,
    RLIMIT_LOCKS,
    RLIMIT_MEMLOCK,
    RLIMIT_MSGQUEUE,
    RLIMIT_NICE,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    RLIMIT_RSS,
    RLIMIT_RTPRIO,
    RLIMIT_RTTIME,
    RLIMIT_SIGPENDING,
    RLIMIT_STACK,
  }).filter(([, number]) => number >= 0),
);

/** A resource of {@link getrlimit}: one of the constants, or its name, also short as in the shell's ulimit: `'nofile'`. */
export type Resource = number | string;

function resourceNumber(value: unknown): number {
  const isShort = typeof value === 'string' && !value.startsWith('RLIMIT_');
  return constantNumber(isShort ? `RLIMIT_${value.toUpperCase()}` : value, 'resource', resources);
}

/** A soft and a hard limit, `Infinity` for none. */
export interface ResourceLimit {
  /** What is enforced. */
  readonly soft: number;
  /** How far the process may raise the soft limit. */
  readonly hard: number;
}

/**
 * Read one of the process's resource limits.
 *
 * @param resource - A constant such as `RLIMIT_NOFILE`, or its name: `'RLIMIT_NOFILE'`, `'nofile'`.
 * @returns The soft and the hard limit, in the resource's own unit, `Infinity` for none.
 * @throws {@link PosixError} `EINVAL` the number is no resource.
 * @throws `ERR_INVALID_ARG_VALUE` the name is no resource of this system.
 * @remarks Node raises its soft `RLIMIT_NOFILE` to the hard one when it starts.
 * @example
 * ```js
 * console.log(getrlimit('RLIMIT_NOFILE')); // { soft: 1048576, hard: 1048576 }
 * ```
 * @see getrlimit(2), resource.getrlimit (Python)
 */
export function getrlimit(resource: Resource): ResourceLimit {
  return native.getrlimit(resourceNumber(resource));
}

/** NaN tells the addon to keep the present value. */
function validateLimit(value: unknown, name: string): number {
  if (value === undefined) return NaN;
  if (value === Infinity) return value;
  validateInteger(value, name, 0);
  return value;
}

/**
 * Set one of the process's resource limits, for itself and for the children it will have.
 *
 * @param resource - A constant such as `RLIMIT_NOFILE`, or its name.
 * @param limits - `soft` and `hard`, whole numbers from 0 or `Infinity`; one left out keeps its value.
 * @throws {@link PosixError} `EINVAL` the number is no resource, or the soft limit would be above the hard one.
 * @throws {@link PosixError} `EPERM` raising a hard limit needs CAP_SYS_RESOURCE; `RLIMIT_NOFILE` cannot go above
 * `/proc/sys/fs/nr_open` in any case.
 * @throws `ERR_INVALID_ARG_VALUE` the name is no resource of this system, or neither limit is given.
 * @remarks Lowering a hard limit cannot be undone without privilege. A forked child has its parent's limits; changes in
 * either do not reach the other.
 * @example
 * ```js
 * setrlimit('RLIMIT_CORE', { soft: 0 });
 * ```
 * @see setrlimit(2), resource.setrlimit (Python)
 */
export function setrlimit(resource: Resource, limits: Partial<ResourceLimit>): void {
  const number = resourceNumber(resource);
  validateObject(limits, 'limits');
  const soft = validateLimit(limits.soft, 'limits.soft');
  const hard = validateLimit(limits.hard, 'limits.hard');
  if (Number.isNaN(soft) && Number.isNaN(hard)) throw invalidValue('limits', 'must have soft or hard', limits);
  native.setrlimit(number, soft, hard);
}

/** For {@link getrusage}: the process, all its threads together. */
export const RUSAGE_SELF = 0;
/** The children that have ended and been waited for, and theirs. */
export const RUSAGE_CHILDREN = -1;
/** The calling thread; Linux. */
export const RUSAGE_THREAD = 1;
type RusageName = 'RUSAGE_SELF' | 'RUSAGE_CHILDREN' | 'RUSAGE_THREAD';

/**
 * Tell what a process has used: CPU time, memory, page faults, context switches.
 *
 * @param who - {@link RUSAGE_SELF} (the default), {@link RUSAGE_CHILDREN} or {@link RUSAGE_THREAD}, or one of these
 * names.
 * @returns The shape of `process.resourceUsage()`: CPU times in microseconds, `maxRSS` in kilobytes.
 * @throws {@link PosixError} `EINVAL` `who` is none of the three (macOS: of the two).
 * @remarks A forked child starts at 0, but for `maxRSS`, which covers the memory it has from its parent.
 * `RUSAGE_CHILDREN` counts a child from the moment it has been waited for.
 * @example
 * ```js
 * console.log(getrusage(RUSAGE_CHILDREN).userCPUTime / 1000, 'ms');
 * ```
 * @see getrusage(2), resource.getrusage (Python)
 */
export function getrusage(who: number | RusageName = RUSAGE_SELF): NodeJS.ResourceUsage {
  return native.getrusage(constantNumber(who, 'who', { RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD }));
}

/** CPU times in milliseconds; see {@link times}. */
export interface ProcessTimes {
  /** This process in user mode, its threads together. */
  readonly user: number;
  /** The kernel on its behalf. */
  readonly system: number;
  /** The same of the children that have ended and been waited for, and of theirs. */
  readonly childrenUser: number;
  readonly childrenSystem: number;
  /** Real time since a fixed moment in the past; only differences mean something. */
  readonly elapsed: number;
}

/**
 * Tell the CPU times of this process and of its children that were waited for.
 *
 * @returns Milliseconds, in steps of the kernel's clock tick (10 ms).
 * @remarks All but `elapsed` start at 0 in a forked child. {@link getrusage} counts finer.
 * @example
 * ```js
 * const { user, system } = times();
 * ```
 * @see times(2), os.times (Python, in seconds)
 */
export function times(): ProcessTimes {
  return native.times();
}

/**
 * Read or set the process's file mode mask: the permission bits that new files do not get.
 *
 * @param mask - The new mask, 0 to 0o7777, of which the lowest nine bits count, or the same in octal digits (`'027'`).
 * Left out: only read.
 * @returns The mask as it was.
 * @throws `ERR_INVALID_ARG_VALUE` a string that is no octal number.
 * @remarks One for all threads, Workers included. A forked child has its parent's, and changing it there leaves the parent's alone. Reading does not
 * change it for a moment, on Linux, as `process.umask()` does.
 * @example
 * ```js
 * const old = umask(0o077);
 * ```
 * @see umask(2), os.umask (Python)
 */
export function umask(mask?: number | string): number {
  if (mask === undefined) return native.umask(-1);
  let bits: unknown = mask;
  if (typeof mask === 'string') {
    if (!/^[0-7]+$/.test(mask)) throw invalidValue('mask', 'must be a number or an octal string', mask);
    bits = parseInt(mask, 8);
  } else if (typeof mask !== 'number') {
    throw invalidType('mask', 'of type number or string', mask);
  }
  validateInteger(bits, 'mask', 0, 0o7777);
  return native.umask(bits);
}

/**
 * Ask for a limit or an option of the system.
 *
 * @param name - `'_SC_NPROCESSORS_ONLN'`, also without `_SC_` or with Python's `SC_`, or the number that this system's
 * headers give it.
 * @returns The value; `null` when there is no fixed limit or the system does not have the option (sysconf's -1).
 * @throws {@link PosixError} `EINVAL` the number means nothing here.
 * @throws `ERR_INVALID_ARG_VALUE` the name is not known on this system.
 * @example
 * ```js
 * console.log(sysconf('_SC_PAGESIZE')); // 4096
 * ```
 * @see sysconf(3), os.sysconf (Python)
 */
export function sysconf(name: string | number): number | null {
  if (typeof name === 'number') {
    validateInt32(name, 'name');
    return native.sysconf(name);
  }
  if (typeof name !== 'string') throw invalidType('name', 'of type string or number', name);
  sysconfNames ??= new Map(Object.entries(native.sysconfNames()));
  const number = sysconfNames.get(`_SC_${name.replace(/^_?SC_/, '')}`);
  if (number === undefined) throw invalidValue('name', 'must be a name that sysconf(3) knows on this system', name);
  return native.sysconf(number);
}
let sysconfNames: ReadonlyMap<string, number> | undefined;
