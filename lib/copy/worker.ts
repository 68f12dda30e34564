/** What a worker does with a unit. It runs in a fork of the process that made the plan, and has all of it. */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { constants as os } from 'node:os';
import { errnoMessage, errnoName } from '../errors';
import { native, type NativeCopyFailure } from '../native';
import { forFs, inFolder, type BytePath } from './path';
import { EXISTS, reasonOf, sourceOf, type Plan, type PlannedFile } from './plan';
import type { RangeUnit, Unit } from './units';

/** What all workers know. */
export interface Job {
  readonly plan: Plan;
  readonly units: readonly Unit[];
  readonly force: boolean;
  /** Distinguishes the temporary names of this run. */
  readonly run: string;
  /** Called by a worker now and then: what it has copied since the last time. */
  readonly report: (bytes: number, files: number) => void;
}

/** A file, by its index, that was not copied, and why. */
export type Failure = readonly [file: number, reason: string];

/** How much of a range is copied between two reports. */
const STEP = 8 * 1024 * 1024;
/** For file systems between which the kernel cannot copy. */
const BUFFER = 1024 * 1024;

/**
 * The name under which a file that is copied in ranges is written until it is complete: of a length that fits every file
 * system, in the target's folder, and known to whoever has the plan, so that it can be cleaned up after a worker.
 */
export function temporaryOf({ run }: Pick<Job, 'run'>, { toFolder }: PlannedFile, index: number): BytePath {
  return inFolder(toFolder, `.realfork-cp-${run}-${index.toString(36)}` as BytePath);
}

/** The name that a small file of a unit may need for a moment, in its folder. */
export function temporaryNameOf({ run }: Pick<Job, 'run'>, unit: number): BytePath {
  return `.realfork-cp-${run}-unit-${unit.toString(36)}` as BytePath;
}

/** Copy a unit; the files that could not be copied. */
export function copyUnit(job: Job, index: number): Failure[] {
  const unit = job.units[index] as Unit;
  return unit.kind === 'batch' ? copyBatch(job, unit.files, temporaryNameOf(job, index)) : copyRange(job, unit);
}

/** Small files, those of one folder in one call, and each at its place before the next one begins. */
function copyBatch(job: Job, indices: readonly number[], temporary: BytePath): Failure[] {
  const failures: Failure[] = [];
  const files = indices.map((index) => job.plan.files[index] as PlannedFile);
  let bytes = 0;
  for (let start = 0; start < files.length;) {
    const { folder, toFolder } = files[start] as PlannedFile;
    const names: BytePath[] = [];
    const newNames: BytePath[] = [];
    let end = start;
    for (let file = files[end]; file?.folder === folder && file.toFolder === toFolder; file = files[++end]) {
      names.push(file.name);
      newNames.push(file.toName);
      bytes += file.size;
    }
    for (const failure of native.copyFiles(folder, toFolder, names, newNames, temporary, job.force)) {
      failures.push([indices[start + failure.index] as number, wordsFor(failure)]);
    }
    start = end;
  }
  job.report(bytes, indices.length);
  return failures;
}

function wordsFor({ errno, syscall, onSource }: NativeCopyFailure): string {
  if (errno === os.errno.EEXIST && syscall !== 'open') return EXISTS;
  const what = `${errnoName(errno)}: ${errnoMessage(errno)}, ${syscall}`;
  return onSource ? what : `${what} of the copy`;
}

/**
 * A range of a large file, written at its place in the temporary file. Whoever comes first makes that file; all give it its
 * size, so that what is not written is a hole.
 */
function copyRange(job: Job, { file: index, offset, length }: RangeUnit): Failure[] {
  const file = job.plan.files[index] as PlannedFile;
  const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const fds: number[] = [];
  const opened = (path: BytePath, flags: number): number => {
    const fd = openSync(forFs(path), flags | O_NOFOLLOW, 0o600);
    fds.push(fd);
    return fd;
  };
  try {
    const from = opened(sourceOf(file), O_RDONLY | O_NONBLOCK);
    const to = opened(temporaryOf(job, file, index), O_RDWR | O_CREAT);
    if (fstatSync(to).size < file.size) ftruncateSync(to, file.size);
    for (let at = offset; at < offset + length; at += STEP) {
      const end = Math.min(at + STEP, offset + length);
      if (file.sparse) copyData(from, to, at, end);
      else copyBytes(from, to, at, end);
      job.report(end - at, 0);
    }
    return [];
  } catch (error) {
    return [[index, reasonOf(error)]];
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** The data between two offsets, its holes left out. */
function copyData(from: number, to: number, start: number, end: number): void {
  let at = start;
  while (at < end) {
    const data = native.seekData(from, at, false);
    if (data < 0 || data >= end) return;
    const hole = native.seekData(from, data, true);
    copyBytes(from, to, data, Math.min(hole, end));
    at = hole;
  }
}

/** The bytes between two offsets: by the kernel, which shares blocks or saves two copies where it can, or by hand. */
function copyBytes(from: number, to: number, start: number, end: number): void {
  let at = start;
  while (at < end) {
    let count = kernelCopies ? native.copyFileRange(from, to, at, end - at) : -1;
    if (count < 0) {
      kernelCopies = false;
      count = readSync(from, buffer, 0, Math.min(buffer.length, end - at), at);
      for (let done = 0; done < count;) done += writeSync(to, buffer, done, count - done, at + done);
    }
    if (count === 0) throw new Error('it became shorter while it was copied');
    at += count;
  }
}

/** Until a pair of files shows that it does not; the next unit asks again. */
let kernelCopies = true;
const buffer = Buffer.allocUnsafeSlow(BUFFER);

/** Give a finished file its name. */
export function moveIntoPlace({ force }: Pick<Job, 'force'>, temporary: BytePath, target: BytePath): void {
  let moved = false;
  try {
    moved = native.renameFile(temporary, target, force);
    if (!moved) throw new Error(EXISTS);
  } finally {
    if (!moved) removeIfThere(temporary);
  }
}

/** Remove a temporary file that may be there. */
export function removeIfThere(path: BytePath): void {
  try {
    unlinkSync(forFs(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
  }
}
