/**
 * Paths as bytes. A name on Linux is any bytes, and not always UTF-8; inside the copy a path is a string with one code unit
 * a byte (latin1), which the addon takes as it is, so that every name comes through unchanged.
 */
import { readFileSync } from 'node:fs';

/** A path with one code unit a byte. */
export type BytePath = string & { readonly __bytes: never };

/** What Node has put in the place of bytes that are not UTF-8. */
const REPLACED = '\uFFFD';

/**
 * The bytes of paths that are arguments of this program, in their order. Where Node's `process.argv` has lost some, the
 * kernel still has them: the n-th argument that reads like this path is the n-th such path.
 */
export function bytesOfArguments(paths: readonly string[]): BytePath[] {
  const originals = paths.some((path) => path.includes(REPLACED)) ? originalArguments() : [];
  return paths.map((path) => {
    const index = path.includes(REPLACED) ? originals.findIndex((original) => textOf(original) === path) : -1;
    return index < 0 ? (Buffer.from(path).toString('latin1') as BytePath) : (originals.splice(index, 1)[0] as BytePath);
  });
}

/** proc(5): /proc/pid/cmdline has the arguments as exec was given them, each with a null byte behind it. */
function originalArguments(): BytePath[] {
  if (process.platform !== 'linux') return [];
  return readFileSync('/proc/self/cmdline', 'latin1').split('\0') as BytePath[];
}

/** For Node's fs. */
export function forFs(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** For people: what is not UTF-8 shows as U+FFFD. */
export function textOf(path: BytePath): string {
  return Buffer.from(path, 'latin1').toString();
}

/** A name in a folder. */
export function inFolder(folder: BytePath, name: BytePath): BytePath {
  return (folder.endsWith('/') ? `${folder}${name}` : `${folder}/${name}`) as BytePath;
}

/** The folder that a path's last component is in. */
export function folderOf(path: BytePath): BytePath {
  const end = path.replace(/\/+$/, '').lastIndexOf('/');
  return (end < 0 ? '.' : end === 0 ? '/' : path.slice(0, end)) as BytePath;
}

/** The last component of a path, without slashes; empty for the root. */
export function nameOf(path: BytePath): BytePath {
  const bare = path.replace(/\/+$/, '');
  return bare.slice(bare.lastIndexOf('/') + 1) as BytePath;
}
