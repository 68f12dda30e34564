/**
 * Paths as bytes. A name on Linux is any bytes, and not always UTF-8; inside the copy a path is a string with one code unit
 * a byte (latin1), which the addon takes as it is, so that every name comes through unchanged.
 */

/** A path with one code unit a byte. */
export type BytePath = string & { readonly __bytes: never };

/** The bytes of a path as the user wrote it. */
export function bytesOf(path: string): BytePath {
  return Buffer.from(path).toString('latin1') as BytePath;
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
