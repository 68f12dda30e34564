/** Leaving this program: exec, which makes the process another one, and _exit, which ends it. */
import { isMainThread } from 'node:worker_threads';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { invalidType, invalidValue, validateCString, validateInt32, validateObject } from '../validate';

/** Where `execvp` looks when there is no PATH: confstr(3) _CS_PATH of glibc, `os.defpath` of Python. */
const DEFAULT_PATH = '/bin:/usr/bin';

/** Writes to this object reach the C library's environment; other ones (a Worker's, a `vm` context's, the user's) do not. */
const systemEnvironment = isMainThread ? mainGlobal.process.env : undefined;

/**
 * End the process at once, as _exit(2): no `'exit'` listener, no pending write, no C exit handler, no flush.
 *
 * @param code - The exit code; the parent sees its lowest 8 bits.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_OUT_OF_RANGE` when `code` is not a 32-bit integer.
 * @remarks `process.exit()` is the usual end, in a forked child too. In a Worker it ends the whole process.
 * @example
 * ```js
 * if (fork() === 0) _exit(3);
 * ```
 * @see _exit(2), os._exit (Python)
 */
export function _exit(code: number): never {
  validateInt32(code, 'code');
  return native.exitNow(code);
}

/**
 * Make this process another program: same pid, parent, working directory and open descriptors that are not close-on-exec.
 * The environment is this process's own.
 *
 * @param path - The program's file.
 * @param args - Its arguments, `args[0]` (by custom the program's name) included; at least one.
 * @returns Never: on success there is no JavaScript left to return to.
 * @throws {@link PosixError} `EACCES` no permission to execute the file, or to search a folder on its path; or not a file.
 * @throws {@link PosixError} `E2BIG` arguments and environment are too long.
 * @throws {@link PosixError} `ENOENT`, `ENOTDIR`, `ELOOP`, `ENAMETOOLONG` `path` leads nowhere; `ENOENT` also when the
 * script's interpreter does not exist.
 * @throws {@link PosixError} `ENOEXEC` the file has no format that the kernel executes; `ELIBBAD` its interpreter has none.
 * @throws {@link PosixError} `EPERM`, `ETXTBSY`, `EIO`, `ENOMEM`, `EMFILE`, `ENFILE`, `EINVAL`, `EAGAIN` see execve(2).
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` when an argument is no string or has a null byte in it, or
 * `args` is empty.
 * @remarks A failure leaves the process as it was. On success:
 * - Nothing of Node runs any more: no `'exit'` listener, no `finally`. Output that Node has not written yet is dropped, as C
 *   drops stdio buffers; it exists only while the reader of a full pipe is behind. `process.stdout.write('', callback)` tells
 *   when all has been written.
 * - Descriptors 0, 1 and 2 are kept and put in blocking mode, as `child_process` does it; whatever Node has opened is
 *   close-on-exec, and so are descriptors above 2 that Node was started with (see `dup2` and `setInheritable`).
 * - Signals with a handler get their default action, and so do SIGPIPE and SIGXFSZ, which Node ignores. Signals that the
 *   program blocked, or ignores by other means, stay so, as POSIX has it.
 * - A terminal in raw mode stays raw; call `process.stdin.setRawMode(false)` before.
 * - Other threads and Workers end. In a Worker it works as in the main thread: the whole process is replaced.
 * @example
 * ```js
 * if (fork() === 0) execv('/bin/echo', ['echo', 'hello']);
 * wait();
 * ```
 * @see execv(3), execve(2), os.execv (Python)
 */
export function execv(path: string, args: readonly string[]): never {
  validateCString(path, 'path');
  validateArguments(args);
  return native.exec('execv', path, [path], args, currentEnvironment(), false);
}

/**
 * Make this process another program with an environment of its own.
 *
 * @param path - The program's file.
 * @param args - Its arguments, `args[0]` included; at least one.
 * @param env - Its environment, exactly: nothing of `process.env` is added. Entries that are `undefined` are left out.
 * @returns Never.
 * @throws {@link PosixError} as {@link execv}.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` as {@link execv}; also when a name in `env` is empty or has `=` in
 * it, or a value is no string.
 * @remarks As for {@link execv}.
 * @example
 * ```js
 * if (fork() === 0) execve('/usr/bin/env', ['env'], { LANG: 'C' }); // prints LANG=C
 * wait();
 * ```
 * @see execve(2), os.execve (Python)
 */
export function execve(path: string, args: readonly string[], env: NodeJS.ProcessEnv): never {
  validateCString(path, 'path');
  validateArguments(args);
  return native.exec('execve', path, [path], args, environment(env), false);
}

/**
 * Make this process another program, which is looked for in the folders of PATH as a shell does.
 *
 * @param file - The program's name, or its path when there is a `/` in it.
 * @param args - Its arguments, `args[0]` included; at least one.
 * @returns Never.
 * @throws {@link PosixError} `ENOENT` there is no such file in any folder of PATH.
 * @throws {@link PosixError} `EACCES` there is one, but it cannot be executed.
 * @throws {@link PosixError} others as {@link execv}, except `ENOEXEC`: a file without a known format is run by /bin/sh.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` as {@link execv}.
 * @remarks As for {@link execv}. Without PATH the folders are /bin and /usr/bin; an empty entry of PATH is the working
 * directory.
 * @example
 * ```js
 * if (fork() === 0) {
 *   try {
 *     execvp('ls', ['ls', '-l']);
 *   } catch (error) {
 *     console.error(error.message); // the child is still a whole Node
 *     _exit(127);
 *   }
 * }
 * wait();
 * ```
 * @see execvp(3), os.execvp (Python)
 */
export function execvp(file: string, args: readonly string[]): never {
  validateCString(file, 'file');
  validateArguments(args);
  return native.exec('execvp', file, candidates(file, process.env['PATH']), args, currentEnvironment(), true);
}

/**
 * Make this process another program with an environment of its own; it is looked for in the folders of that environment's
 * PATH.
 *
 * @param file - The program's name, or its path when there is a `/` in it.
 * @param args - Its arguments, `args[0]` included; at least one.
 * @param env - Its environment, exactly, as for {@link execve}.
 * @returns Never.
 * @throws {@link PosixError} as {@link execvp}.
 * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` as {@link execve}.
 * @remarks As for {@link execvp}. The PATH is that of `env`, as with Python's call and with `child_process`; glibc's
 * execvpe(3) takes the caller's.
 * @example
 * ```js
 * execvpe('env', ['env'], { PATH: '/usr/bin:/bin', LANG: 'C' });
 * ```
 * @see execvpe(3), os.execvpe (Python)
 */
export function execvpe(file: string, args: readonly string[], env: NodeJS.ProcessEnv): never {
  validateCString(file, 'file');
  validateArguments(args);
  const entries = environment(env);
  return native.exec('execvpe', file, candidates(file, env['PATH']), args, entries, true);
}

function validateArguments(args: unknown): asserts args is readonly string[] {
  if (!Array.isArray(args)) throw invalidType('args', 'an array of strings', args);
  if (args.length === 0) throw invalidValue('args', "must have at least one element, the program's name", args);
  for (let i = 0; i < args.length; i++) validateCString(args[i], `args[${i}]`);
}

/** The paths at which execvp(3) tries a file, in its order. */
function candidates(file: string, path = DEFAULT_PATH): readonly string[] {
  if (file === '' || file.includes('/')) return [file];
  return path.split(':').map((folder) => `${folder === '' ? '.' : folder}/${file}`);
}

/** What a new program gets; `null` stands for the environment that the C library holds, byte for byte. */
export function currentEnvironment(): readonly string[] | null {
  return process.env === systemEnvironment ? null : environment(process.env);
}

function environment(env: unknown): readonly string[] {
  validateObject(env, 'env');
  const entries: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    validateCString(name, 'env name');
    if (name === '' || name.includes('=')) throw invalidValue('env', "must have names without '='", name);
    validateCString(value, `env.${name}`);
    entries.push(`${name}=${value}`);
  }
  return entries;
}
