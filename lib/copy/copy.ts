/**
 * The copying of a plan: a `Pool` of workers, each a fork that has the plan, is given the numbers of the units; a `Queue`
 * brings back how far they are.
 *
 *     parent    folders ── fork ── unit numbers ─────────────► finish: large files, links, folders' attributes
 *     workers                └──── small files whole, large ones in ranges
 *     queue                        [bytes, files] ───────────► progress
 */
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Queue } from '../ipc/queue'; // by their modules: a copy of a small tree takes less time than loading the rest
import { Pool } from '../pool/pool';
import { lookAt } from './folder';
import { finishFolder, finishRanged, makeFolder, makeLink } from './finish';
import { folderOf, inFolder, textOf, type BytePath } from './path';
import { reasonOf, sourceOf, targetOf, type Plan, type PlannedFile, type Problem } from './plan';
import { cutIntoUnits, type Unit } from './units';
import { copyUnit, removeIfThere, temporaryNameOf, temporaryOf, type Failure, type Job } from './worker';

export interface CopyOptions {
  /** Workers, 1 or more. */
  readonly jobs: number;
  /** Replace files that exist. */
  readonly force: boolean;
  /** Ends the copy; what is not complete is removed. */
  readonly signal: AbortSignal;
  /** Called as the copy goes on, with what has been copied so far. */
  readonly onProgress: (bytes: number, files: number) => void;
}

export interface Outcome {
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly Problem[];
}

/** Units handed in for each worker: one that it works on, one that is there when it is done. */
const AHEAD = 2;
/** After so many links the parent looks whether it has been interrupted. */
const LINKS_A_TURN = 256;

/**
 * Copy what has been planned. Problems with single files are collected, and do not end it.
 *
 * @throws the signal's reason when it was aborted; no incomplete file is left then.
 */
export function copy(plan: Plan, options: CopyOptions): Promise<Outcome> {
  return new Copying(plan, options).run();
}

class Copying {
  readonly #plan: Plan;
  readonly #options: CopyOptions;
  readonly #problems: Problem[];
  /** Files that will not be at their place, by index. */
  readonly #failed = new Set<number>();
  /** Of each file that is copied in ranges: how many are still to come, and how much they leave out because it is a hole. */
  readonly #ranged = new Map<number, { left: number; holes: number }>();
  readonly #units: readonly Unit[];
  readonly #job: Job;
  /** What workers have copied since they last told; null after the last of them has ended. */
  readonly #queue = new Queue<readonly [bytes: number, files: number] | null>();
  #bytes = 0;
  #files = 0;

  constructor(plan: Plan, options: CopyOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#problems = [...plan.problems];
    this.#makeFolders();
    const units = cutIntoUnits(plan.files, options.jobs, (index) => !this.#failed.has(index));
    for (const unit of units) {
      if (unit.kind !== 'range') continue;
      const ranges = this.#ranged.get(unit.file) ?? { left: 0, holes: this.#file(unit.file).size };
      this.#ranged.set(unit.file, { left: ranges.left + 1, holes: ranges.holes - unit.length });
    }
    const queue = this.#queue;
    const report = (bytes: number, files: number): void => queue.putSync([bytes, files]);
    this.#units = units;
    this.#job = { plan, units, force: options.force, run: randomBytes(6).toString('hex'), report };
  }

  async run(): Promise<Outcome> {
    const { signal } = this.#options;
    if (this.#units.length > 0) await this.#copyUnits();
    await this.#makeLinks();
    signal.throwIfAborted();
    for (const folder of this.#plan.folders.toReversed()) {
      if (!this.#failedFolders.has(folder.target)) this.#attempt(folder.target, () => finishFolder(folder));
    }
    return { files: this.#plan.files.length - this.#failed.size, bytes: this.#bytes, problems: this.#problems };
  }

  // Folders

  readonly #failedFolders = new Set<BytePath>();

  /** A folder that cannot be made is one problem, and not one more for everything that would be in it. */
  #makeFolders(): void {
    const failed = this.#failedFolders;
    for (const folder of this.#plan.folders) {
      if (failed.has(folderOf(folder.target)) || !this.#attempt(folder.target, () => makeFolder(folder))) {
        failed.add(folder.target);
      }
    }
    if (failed.size === 0) return;
    this.#plan.files.forEach(({ toFolder }, index) => failed.has(toFolder) && this.#failed.add(index));
  }

  // Files

  async #copyUnits(): Promise<void> {
    const { jobs, signal } = this.#options;
    const workers = Math.min(jobs, this.#units.length);
    const pool = new Pool(workers, { initializer: ignoreTerminal });
    const terminate = (): void => pool.terminate();
    signal.addEventListener('abort', terminate);
    const progress = this.#readProgress();
    const copyByNumber = (index: number): Failure[] => copyUnit(this.#job, index);
    const open = new Set<number>();
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < this.#units.length && !signal.aborted) {
        const index = next++;
        open.add(index);
        try {
          this.#settle(index, await pool.run(copyByNumber, index));
        } catch (error) {
          if (signal.aborted) return;
          this.#lose(index, error);
        }
        open.delete(index);
      }
    };
    try {
      await Promise.all(Array.from({ length: workers * AHEAD }, lane));
      pool.close();
      await pool.join();
    } finally {
      signal.removeEventListener('abort', terminate);
      this.#queue.putSync(null); // behind all that the workers have put
      await progress;
      this.#queue.close();
      if (signal.aborted) this.#cleanUp(open);
    }
    this.#options.onProgress(this.#bytes, this.#files);
  }

  /** A unit is done, but for these files. */
  #settle(index: number, failures: readonly Failure[]): void {
    const unit = this.#units[index] as Unit;
    for (const [file, reason] of failures) this.#fail(file, reason);
    if (unit.kind === 'range') this.#settleRange(unit.file);
  }

  #settleRange(index: number): void {
    const ranges = this.#ranged.get(index) as { left: number; holes: number };
    ranges.left -= 1;
    if (ranges.left > 0) return;
    const file = this.#file(index);
    this.#ranged.delete(index);
    if (!this.#failed.has(index)) {
      try {
        finishRanged(this.#job, file, index);
      } catch (error) {
        this.#fail(index, reasonOf(error));
      }
    }
    if (this.#failed.has(index)) removeIfThere(temporaryOf(this.#job, file, index));
    this.#advance(ranges.holes, 1);
  }

  /** The worker that had a unit is gone. What of it is at its place is complete: it was given its name last. */
  #lose(index: number, error: unknown): void {
    const unit = this.#units[index] as Unit;
    const reason = reasonOf(error);
    if (unit.kind === 'range') {
      this.#fail(unit.file, reason);
      this.#settleRange(unit.file);
      return;
    }
    this.#cleanUnit(index);
    for (const number of unit.files) if (!isCopied(this.#file(number))) this.#fail(number, reason);
  }

  #fail(index: number, reason: string): void {
    if (this.#failed.has(index)) return; // another range of it
    this.#failed.add(index);
    this.#problems.push({ path: textOf(sourceOf(this.#file(index))), reason });
  }

  /** The copy was interrupted, and the workers are gone. */
  #cleanUp(open: ReadonlySet<number>): void {
    for (const index of this.#ranged.keys()) removeIfThere(temporaryOf(this.#job, this.#file(index), index));
    for (const unit of open) this.#cleanUnit(unit);
  }

  /** Remove what a worker that was killed may have left of a unit of small files. */
  #cleanUnit(index: number): void {
    const unit = this.#units[index] as Unit;
    if (unit.kind !== 'batch') return;
    const folders = new Set(unit.files.map((file) => this.#file(file).toFolder));
    for (const folder of folders) removeIfThere(inFolder(folder, temporaryNameOf(this.#job, index)));
  }

  async #readProgress(): Promise<void> {
    for (let item = await this.#queue.get(); item !== null; item = await this.#queue.get()) this.#advance(...item);
  }

  #advance(bytes: number, files: number): void {
    this.#bytes += bytes;
    this.#files += files;
    this.#options.onProgress(this.#bytes, this.#files);
  }

  // Links

  async #makeLinks(): Promise<void> {
    for (const [index, link] of this.#plan.links.entries()) {
      if (index % LINKS_A_TURN === 0) {
        await nextTurn();
        if (this.#options.signal.aborted) return;
      }
      const { target, first } = link;
      if (this.#failedFolders.has(folderOf(target))) continue;
      if (first !== undefined && this.#failed.has(first)) {
        this.#problems.push({ path: textOf(link.source), reason: 'another name of a file that was not copied' });
      } else {
        this.#attempt(target, () => makeLink(this.#job, link, index));
      }
    }
  }

  #attempt(path: BytePath, act: () => void): boolean {
    try {
      act();
      return true;
    } catch (error) {
      this.#problems.push({ path: textOf(path), reason: reasonOf(error) });
      return false;
    }
  }

  #file(index: number): PlannedFile {
    return this.#plan.files[index] as PlannedFile;
  }
}

/** Ctrl-C reaches the terminal's whole foreground group: the workers leave it to their parent, which then ends them. */
function ignoreTerminal(): void {
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => {});
}

/** Whether the target is a copy of the source, as far as size and time tell. */
function isCopied(file: PlannedFile): boolean {
  const [source, target] = [lookAt(sourceOf(file), false), lookAt(targetOf(file), false)];
  return (
    source !== undefined && target !== undefined && source.size === target.size && source.mtimeMs === target.mtimeMs
  );
}
