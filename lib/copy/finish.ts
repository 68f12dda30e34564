/** What the parent does itself: folders before the files, and, when they are there, links and the folders' attributes. */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  symlinkSync,
  type BigIntStats,
} from 'node:fs';
import { native } from '../native';
import { folderOf, forFs, inFolder, type BytePath } from './path';
import { sourceOf, targetOf, type PlannedFile, type PlannedFolder, type PlannedLink } from './plan';
import { moveIntoPlace, removeIfThere, temporaryOf, type Job } from './worker';

const SET_ID = 0o6000;
const BILLION = 1_000_000_000n;

/** Make a folder, for its owner alone until its attributes are given. */
export function makeFolder({ target, exists }: PlannedFolder): void {
  if (!exists) mkdirSync(forFs(target), 0o700);
}

/** Give a folder what its source has, when nothing will be put into it any more. */
export function finishFolder({ target, exists, stats }: PlannedFolder): void {
  // "/.": the destination may have been a symbolic link to a folder, and the folder is meant.
  const folder = exists ? inFolder(target, '.' as BytePath) : target;
  const owned = giveOwner(folder, stats);
  giveTimes(folder, stats);
  // Last: it may take away the right to get at the folder.
  chmodSync(forFs(folder), Number(stats.mode) & (owned ? 0o7777 : 0o7777 & ~SET_ID));
}

/** Give a file that was copied in ranges its attributes and its name. */
export function finishRanged(job: Job, file: PlannedFile, index: number): void {
  const temporary = temporaryOf(job, file, index);
  const from = openSync(forFs(sourceOf(file)), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (fstatSync(from).size < file.size) throw new Error('it became shorter while it was copied');
    const to = openSync(forFs(temporary), constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      native.giveAttributes(from, to);
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
  moveIntoPlace(job, temporary, targetOf(file));
}

/** Make a symbolic link, or a further name of a file that has been copied. */
export function makeLink(job: Job, { source, target, first }: PlannedLink, index: number): void {
  const temporary = inFolder(folderOf(target), `.realfork-cp-${job.run}-link-${index.toString(36)}` as BytePath);
  if (first !== undefined) {
    linkSync(forFs(targetOf(job.plan.files[first] as PlannedFile)), forFs(temporary));
  } else {
    const stats = lstatSync(forFs(source), { bigint: true });
    symlinkSync(readlinkSync(forFs(source), 'buffer'), forFs(temporary));
    giveOwner(temporary, stats);
    giveTimes(temporary, stats);
  }
  moveIntoPlace(job, temporary, target);
  // rename(2): between two names of the same file it does nothing.
  if (first !== undefined && job.force) removeIfThere(temporary);
}

/** Owner and group as far as this process may give them; whether both are those of the source. */
function giveOwner(path: BytePath, { uid, gid }: BigIntStats): boolean {
  const now = lstatSync(forFs(path));
  if (now.uid === Number(uid) && now.gid === Number(gid)) return true;
  for (const owner of [Number(uid), now.uid]) {
    try {
      lchownSync(forFs(path), owner, Number(gid));
      return owner === Number(uid);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    }
  }
  return false;
}

function giveTimes(path: BytePath, { atimeNs, mtimeNs }: BigIntStats): void {
  const [atime, mtime] = [atimeNs, mtimeNs].map((time) => {
    const nanoseconds = ((time % BILLION) + BILLION) % BILLION; // before 1970 too, they count forwards
    return [Number((time - nanoseconds) / BILLION), Number(nanoseconds)] as const;
  }) as [readonly [number, number], readonly [number, number]];
  native.setTimes(path, ...atime, ...mtime);
}
