/** What is in a folder, and what a path stands for, in the few words that a copy needs. */
import { lstatSync, statSync, type Stats } from 'node:fs';
import { constants } from 'node:fs';
import { native } from '../native';
import { forFs, type BytePath } from './path';

/** What an entry is. `unknown`: it could not be looked at. */
export type Kind = 'file' | 'folder' | 'symlink' | 'FIFO' | 'socket' | 'device' | 'unknown';

export interface Entry {
  readonly name: BytePath;
  readonly kind: Kind;
  /** Bytes, holes included. */
  readonly size: number;
  /** Whether fewer blocks are allotted than the size takes. */
  readonly sparse: boolean;
  readonly dev: number;
  readonly ino: number;
  readonly links: number;
  /** Why it could not be looked at: a positive errno. */
  readonly errno: number;
}

const FIELDS = 6;
const BLOCK = 512;

/** The entries of a folder, in the folder's own order. @throws {@link PosixError} it cannot be read. */
export function listFolder(path: BytePath): Entry[] {
  const { names, stats } = native.listFolder(path);
  const entries: Entry[] = [];
  for (let index = 0, at = 0; index < names.length; index++, at += FIELDS) {
    const mode = stats[at] as number;
    const size = stats[at + 1] as number;
    entries.push({
      name: names[index] as BytePath,
      kind: mode < 0 ? 'unknown' : kindOf(mode),
      size,
      sparse: (stats[at + 2] as number) * BLOCK < size,
      dev: stats[at + 3] as number,
      ino: stats[at + 4] as number,
      links: stats[at + 5] as number,
      errno: mode < 0 ? -mode : 0,
    });
  }
  return entries;
}

/** What a mode says an entry is. */
export function kindOf(mode: number): Kind {
  switch (mode & constants.S_IFMT) {
    case constants.S_IFREG:
      return 'file';
    case constants.S_IFDIR:
      return 'folder';
    case constants.S_IFLNK:
      return 'symlink';
    case constants.S_IFIFO:
      return 'FIFO';
    case constants.S_IFSOCK:
      return 'socket';
    default:
      return 'device';
  }
}

/** Device and inode as one word, equal for two names of one file (hard links); empty where a double cannot hold them. */
export function identityOf({ dev, ino }: Pick<Entry, 'dev' | 'ino'>): string {
  return Number.isSafeInteger(dev) && Number.isSafeInteger(ino) ? `${dev}:${ino}` : '';
}

/** What a path stands for, or undefined when there is nothing. `follow`: through symbolic links. */
export function lookAt(path: BytePath, follow: boolean): Stats | undefined {
  try {
    return follow ? statSync(forFs(path)) : lstatSync(forFs(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (follow && code === 'ELOOP') return undefined; // a symbolic link that leads nowhere, like one to what is not there
    throw error;
  }
}
