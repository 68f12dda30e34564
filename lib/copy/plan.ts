/**
 * What is to be copied where: the whole of it is found before the first byte is copied, and the workers, which are forks,
 * have the plan without its being sent to them.
 */
import { PosixError, errnoMessage, errnoName } from '../errors';
import { lstatSync, statSync, type BigIntStats } from 'node:fs';
import { identityOf, kindOf, listFolder, lookAt, type Entry, type Kind } from './folder';
import { folderOf, forFs, inFolder, nameOf, textOf, type BytePath } from './path';

/** A folder of the target, made before its files and given its mode and times after them. */
export interface PlannedFolder {
  readonly source: BytePath;
  readonly target: BytePath;
  readonly exists: boolean;
  /** Mode, owner and times of the source, from before it was read. */
  readonly stats: BigIntStats;
}

/** A file whose content is copied. `folder` and `name` make the source's path, `toFolder` and `toName` the target's. */
export interface PlannedFile {
  readonly folder: BytePath;
  readonly name: BytePath;
  readonly toFolder: BytePath;
  readonly toName: BytePath;
  readonly size: number;
  readonly sparse: boolean;
}

/** A symbolic link, or one more name (hard link) of a file that is copied. */
export interface PlannedLink {
  readonly source: BytePath;
  readonly target: BytePath;
  /** The first name, by its index in `files`; undefined for a symbolic link. */
  readonly first?: number;
}

/** Something that was not copied, and why. */
export interface Problem {
  readonly path: string;
  readonly reason: string;
}

export interface Plan {
  readonly folders: PlannedFolder[];
  readonly files: PlannedFile[];
  readonly links: PlannedLink[];
  /** FIFOs, sockets and devices: they have no content to copy. */
  readonly skipped: Problem[];
  readonly problems: Problem[];
  /** Of all files, holes included. */
  bytes: number;
}

/** The copy as a whole is refused; nothing was changed. */
export class Refusal extends Error {}

/** Why a file was not overwritten. */
export const EXISTS = 'its target exists; --force overwrites';

/** The source's path of a file. */
export function sourceOf({ folder, name }: PlannedFile): BytePath {
  return inFolder(folder, name);
}

/** The target's path of a file. */
export function targetOf({ toFolder, toName }: PlannedFile): BytePath {
  return inFolder(toFolder, toName);
}

/** An error in the words of a report. */
export function reasonOf(error: unknown): string {
  if (error instanceof PosixError) return `${error.code}: ${errnoMessage(-error.errno)}, ${error.syscall}`;
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  // Node's own message ends in the paths, which the report gives already.
  return code !== undefined && syscall !== undefined
    ? (message.split(` ${syscall}`)[0] as string) + ` ${syscall}`
    : message;
}

/**
 * Find out what copying `sources` to `destination` takes, as `cp -r` understands them: into an existing folder, or else
 * under this name.
 *
 * @throws {@link Refusal} a source is not there, is the destination or has it inside, or would get the name of another one.
 */
export function makePlan(sources: readonly BytePath[], destination: BytePath, force: boolean): Plan {
  return new Planner(force, sources.length > 1).plan(sources, destination);
}

/** What a name of the target stands for before the copy. */
type Named = Pick<Entry, 'kind' | 'dev' | 'ino'>;

/** What becomes a name of the target: its source, and of a folder its index in `folders`. */
interface Planned {
  readonly source: BytePath;
  readonly folder?: number;
}

class Planner {
  readonly #force: boolean;
  readonly #plan: Plan = { folders: [], files: [], links: [], skipped: [], problems: [], bytes: 0 };
  /** The first name of each file that has several, by its identity. */
  readonly #firsts = new Map<string, number>();
  /** What becomes each name of the target. One source alone wants no name twice: then it is not kept. */
  readonly #planned: Map<BytePath, Planned> | undefined;
  /** Folders still to be read, deepest last. */
  readonly #open: PlannedFolder[] = [];

  constructor(force: boolean, severalSources: boolean) {
    this.#force = force;
    this.#planned = severalSources ? new Map() : undefined;
  }

  plan(sources: readonly BytePath[], to: BytePath): Plan {
    const destination = textOf(to);
    const into = lookAt(to, true)?.isDirectory() === true;
    if (!into && sources.length > 1)
      throw new Refusal(`'${destination}' is not a folder, and there are several sources`);
    if (!into && to.endsWith('/') && lookAt(sources[0] as BytePath, false)?.isDirectory() !== true) {
      throw new Refusal(`'${destination}' is not a folder`);
    }
    const parent = folderOf(to);
    if (!into && lookAt(parent, true)?.isDirectory() !== true) {
      throw new Refusal(`there is no folder '${textOf(parent)}' to make '${destination}' in`);
    }
    for (const from of sources) {
      const name = nameOf(from);
      // `SOURCE/.` and `SOURCE/..` stand for the content, as in cp: it goes into the destination itself.
      const isContent = name === '' || name === '.' || name === '..';
      this.#addSource(from, into && !isContent ? inFolder(to, name) : to, into && isContent);
    }
    this.#open.reverse(); // what the first source has comes first
    for (let folder = this.#open.pop(); folder !== undefined; folder = this.#open.pop()) this.#readFolder(folder);
    return this.#plan;
  }

  /** `isDestination`: the target is the folder that the user named. Only that may be a symbolic link to one. */
  #addSource(from: BytePath, target: BytePath, isDestination: boolean): void {
    const source = textOf(from);
    const stats = lookAt(from, false);
    if (stats === undefined) throw new Refusal(`there is no '${source}'`);
    const kind = kindOf(stats.mode);
    const other = this.#planned?.get(target);
    if (other !== undefined && (kind !== 'folder' || other.folder === undefined || isAt(other.source, stats))) {
      throw new Refusal(`'${source}' and '${textOf(other.source)}' would both become '${textOf(target)}'`);
    }
    const old = lookAt(target, isDestination);
    if (old !== undefined && old.dev === stats.dev && old.ino === stats.ino) {
      throw new Refusal(`'${source}' and '${textOf(target)}' are the same ${kind}`);
    }
    if (kind === 'folder' && isInside(target, stats)) {
      throw new Refusal(`'${source}' cannot be copied into itself, '${textOf(target)}'`);
    }
    const entry: Entry = {
      name: nameOf(from),
      kind,
      size: stats.size,
      sparse: stats.blocks * 512 < stats.size,
      dev: stats.dev,
      ino: stats.ino,
      links: stats.nlink,
      errno: 0,
    };
    this.#add(from, target, entry, old && { kind: kindOf(old.mode), dev: old.dev, ino: old.ino });
  }

  #readFolder(folder: PlannedFolder): void {
    let entries: Entry[];
    const present = new Map<string, Entry>();
    try {
      entries = listFolder(folder.source);
    } catch (error) {
      this.#problem(folder.source, reasonOf(error));
      return;
    }
    if (folder.exists) {
      try {
        for (const entry of listFolder(folder.target)) present.set(entry.name, entry);
      } catch (error) {
        this.#problem(folder.target, reasonOf(error));
        return;
      }
    }
    for (const entry of entries) {
      const { name } = entry;
      if (entry.kind === 'file' && !folder.exists && entry.links === 1 && this.#planned === undefined) {
        this.#addFile(folder.source, name, folder.target, name, entry); // the usual case
      } else {
        this.#add(inFolder(folder.source, name), inFolder(folder.target, name), entry, present.get(name));
      }
    }
  }

  /** Plan one entry; `old` is what the target's name stands for now. */
  #add(source: BytePath, target: BytePath, entry: Entry, old: Named | undefined): void {
    switch (entry.kind) {
      case 'unknown':
        return this.#problem(source, `${errnoName(entry.errno)}: ${errnoMessage(entry.errno)}`);
      case 'folder':
        if (old !== undefined && old.kind !== 'folder') {
          return this.#problem(target, `is a ${old.kind}, and a folder is not put in its place`);
        }
        if (this.#isTaken(source, target, true)) return;
        return this.#addFolder(source, target, old !== undefined);
      case 'file':
      case 'symlink':
        if (old !== undefined && !this.#mayReplace(source, target, entry, old)) return;
        if (this.#isTaken(source, target, false)) return;
        this.#planned?.set(target, { source });
        if (entry.kind === 'symlink') this.#plan.links.push({ source, target });
        else this.#addNamedFile(source, target, entry);
        return;
      case 'FIFO':
      case 'socket':
      case 'device':
        this.#plan.skipped.push({ path: textOf(source), reason: `a ${entry.kind}` });
    }
  }

  #mayReplace(source: BytePath, target: BytePath, entry: Entry, old: Named): boolean {
    if (old.kind !== 'file' && old.kind !== 'symlink') {
      // A FIFO, socket or device is somebody's way to a process or a driver (/dev/null): --force is not about those.
      this.#problem(target, `is a ${old.kind}, and a ${entry.kind} is not put in its place`);
    } else if (isSame(old, entry)) {
      this.#problem(target, `is the same file as '${textOf(source)}'`);
    } else if (!this.#force) {
      this.#problem(source, EXISTS);
    } else if (entry.kind === 'symlink' && leadsTo(source, old)) {
      this.#problem(target, `is the file that '${textOf(source)}' leads to, and would be lost`);
    } else {
      return true;
    }
    return false;
  }

  /** Whether another source becomes this already. Folders are merged; of two files one would be lost. */
  #isTaken(source: BytePath, target: BytePath, isFolder: boolean): boolean {
    const other = this.#planned?.get(target);
    if (other === undefined || (isFolder && other.folder !== undefined)) return false;
    this.#problem(source, `'${textOf(other.source)}' becomes '${textOf(target)}' already`);
    return true;
  }

  #addNamedFile(source: BytePath, target: BytePath, entry: Entry): void {
    const identity = entry.links > 1 ? identityOf(entry) : '';
    if (identity !== '') {
      const first = this.#firsts.get(identity);
      if (first !== undefined) {
        this.#plan.links.push({ source, target, first });
        return;
      }
      this.#firsts.set(identity, this.#plan.files.length);
    }
    this.#addFile(folderOf(source), nameOf(source), folderOf(target), nameOf(target), entry);
  }

  #addFile(folder: BytePath, name: BytePath, toFolder: BytePath, toName: BytePath, { size, sparse }: Entry): void {
    this.#plan.files.push({ folder, name, toFolder, toName, size, sparse });
    this.#plan.bytes += size;
  }

  #addFolder(source: BytePath, target: BytePath, exists: boolean): void {
    let stats: BigIntStats;
    try {
      stats = lstatSync(forFs(source), { bigint: true });
    } catch (error) {
      this.#problem(source, reasonOf(error));
      return;
    }
    const folder = { source, target, exists, stats };
    const index = this.#planned?.get(target)?.folder ?? this.#plan.folders.length;
    this.#plan.folders[index] = folder; // merged with another one: the last gives the attributes
    this.#planned?.set(target, { source, folder: index });
    this.#open.push(folder);
  }

  #problem(path: BytePath, reason: string): void {
    this.#plan.problems.push({ path: textOf(path), reason });
  }
}

/** Whether two names are of one file. */
function isSame(one: Pick<Entry, 'dev' | 'ino'>, other: Pick<Entry, 'dev' | 'ino'>): boolean {
  const identity = identityOf(one);
  return identity !== '' && identity === identityOf(other);
}

/** Whether a path leads to this file or folder. */
function isAt(path: BytePath, file: Pick<Entry, 'dev' | 'ino'>): boolean {
  const stats = lookAt(path, false);
  return stats !== undefined && isSame(stats, file);
}

/** Whether a symbolic link ends at this file. */
function leadsTo(link: BytePath, file: Named): boolean {
  try {
    return isSame(statSync(forFs(link)), file);
  } catch {
    return false; // it leads nowhere, in a circle, or where we may not look; the file is within reach under its own name
  }
}

/** Whether a path, which need not exist, lies below a folder: one of the folders that it is in is the same one. */
function isInside(path: BytePath, folder: { dev: number; ino: number }): boolean {
  for (let at = folderOf(path); ; at = inFolder(at, '..' as BytePath)) {
    const stats = lookAt(at, true);
    if (stats === undefined) return false;
    if (stats.dev === folder.dev && stats.ino === folder.ino) return true;
    const above = lookAt(inFolder(at, '..' as BytePath), true);
    if (above === undefined || (above.dev === stats.dev && above.ino === stats.ino)) return false; // the root
  }
}

export type { Kind };
