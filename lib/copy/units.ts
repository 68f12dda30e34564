/**
 * The plan cut into tasks for the workers: small files together, so that a task is worth its message; large ones in
 * ranges, so that several workers share a file and none is left alone with the last one.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { native } from '../native';
import { forFs } from './path';
import { sourceOf, type PlannedFile } from './plan';

/** Whole files, by their indices in the plan: `from` included, `to` not. */
export interface BatchUnit {
  readonly kind: 'batch';
  readonly files: readonly number[];
}

/** A range of a large or sparse file. */
export interface RangeUnit {
  readonly kind: 'range';
  readonly file: number;
  readonly offset: number;
  readonly length: number;
}

export type Unit = BatchUnit | RangeUnit;

const MEGABYTE = 1024 * 1024;
/** From this size on a file is copied in ranges. */
const LARGE = 64 * MEGABYTE;
/** A sparse file below this is cheaper to copy with its holes filled by the file system's own blocks. */
const SPARSE = 64 * 1024;
/** A multiple of every file system's block size, without which blocks cannot be shared (ioctl_ficlonerange(2)). */
const RANGE = 32 * MEGABYTE;
const BATCH_FILES = 64;
const BATCH_BYTES = 16 * MEGABYTE;

/** Whether a file is copied in ranges. */
export function isRanged({ size, sparse }: PlannedFile): boolean {
  return size >= LARGE || (sparse && size >= SPARSE);
}

/**
 * Cut the files of a plan into units, large files first: what takes longest must not begin last. Ranges of as many files as
 * there are workers take turns, since most file systems let one writer at a time into a file.
 */
export function cutIntoUnits(
  files: readonly PlannedFile[],
  workers: number,
  isWanted: (index: number) => boolean,
): Unit[] {
  const units: Unit[] = [];
  const ranged: number[] = [];
  const small: number[] = [];
  files.forEach((file, index) => {
    if (isWanted(index)) (isRanged(file) ? ranged : small).push(index);
  });
  ranged.sort((a, b) => (files[b] as PlannedFile).size - (files[a] as PlannedFile).size);
  const active: Iterator<RangeUnit, undefined>[] = [];
  while (active.length > 0 || ranged.length > 0) {
    while (active.length < workers && ranged.length > 0) {
      const index = ranged.shift() as number;
      active.push(rangesOf(files[index] as PlannedFile, index));
    }
    for (const ranges of [...active]) {
      const { value } = ranges.next();
      if (value === undefined) active.splice(active.indexOf(ranges), 1);
      else units.push(value);
    }
  }

  let batch: number[] = [];
  let bytes = 0;
  for (const index of small) {
    batch.push(index);
    bytes += (files[index] as PlannedFile).size;
    if (batch.length < BATCH_FILES && bytes < BATCH_BYTES) continue;
    units.push({ kind: 'batch', files: batch });
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) units.push({ kind: 'batch', files: batch });
  return units;
}

/** The ranges of a file in which there is data; at least one, so that there is a task that makes the file. */
function* rangesOf(file: PlannedFile, index: number): Generator<RangeUnit, undefined> {
  const next = file.sparse ? dataFinder(file) : (offset: number) => offset;
  let made = false;
  for (let offset = next(0); offset < file.size; offset = next(offset + RANGE)) {
    offset -= offset % RANGE;
    made = true;
    yield { kind: 'range', file: index, offset, length: Math.min(RANGE, file.size - offset) };
  }
  if (!made) yield { kind: 'range', file: index, offset: 0, length: Math.min(RANGE, file.size) };
}

/** Where a file's data goes on after an offset; Infinity after the last of it. */
function dataFinder(file: PlannedFile): (offset: number) => number {
  return (offset) => {
    let fd: number;
    try {
      fd = openSync(forFs(sourceOf(file)), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return offset; // whoever copies it will report why it cannot be read
    }
    try {
      const data = native.seekData(fd, offset, false);
      return data < 0 ? Infinity : data;
    } finally {
      closeSync(fd);
    }
  };
}
