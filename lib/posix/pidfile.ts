/**
 * A file that names a running process: one line with its pid. What says that the process runs is not the file's being
 * there but a flock(2) on it, which no crash leaves behind.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { constants as fsConstants } from 'node:fs';
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { PosixError } from '../errors';
import { mainGlobal } from '../main-context';
import { native } from '../native';
import { emptyInChild } from './at-fork';

/** A pidfile locked by this process, or by the process it was forked from. */
export class PidFile {
  readonly path: string;
  readonly #fd: number;

  /**
   * Create the file, or take over one whose process has gone, and lock it.
   *
   * @throws {@link PosixError} `EAGAIN` a running process has it; `pid` says which.
   */
  constructor(path: string) {
    this.path = resolve(path);
    this.#fd = lock(this.path);
  }

  /** Write this process's pid, and remove the file when it exits. Children that it forks later do not hold the lock. */
  own(): void {
    ftruncateSync(this.#fd, 0);
    writeSync(this.#fd, `${native.getpid()}\n`, 0);
    owned.add(this);
    const owner = native.getpid();
    mainGlobal.process.once('exit', () => {
      if (native.getpid() === owner) this.remove();
    });
  }

  /** Remove the file, unless another process has put its own there, and unlock it. */
  remove(): void {
    if (isSameFile(this.#fd, this.path)) unlinkSync(this.path);
    this.release();
  }

  /** Let go of the descriptor; the lock stays with the process that shares it, if there is one. */
  release(): void {
    owned.delete(this);
    closeSync(this.#fd);
  }
}

const owned = emptyInChild(new Set<PidFile>(), (file) => file.release());

function lock(path: string): number {
  for (;;) {
    // 'a+' would create it too, but then nothing could be written at its start.
    const fd = openSync(path, fsConstants.O_RDWR | fsConstants.O_CREAT, 0o644);
    try {
      if (!native.tryLock(fd)) throw new PosixError(constants.errno.EAGAIN, 'flock', { path, ...pidIn(fd) });
      // A process that was just ending may have removed the file between our opening and our locking it.
      if (isSameFile(fd, path)) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    closeSync(fd);
  }
}

function pidIn(fd: number): { pid?: number } {
  const pid = Number.parseInt(readFileSync(fd, 'utf8'), 10);
  return Number.isNaN(pid) ? {} : { pid }; // not written yet
}

function isSameFile(fd: number, path: string): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const here = fstatSync(fd);
  return there?.ino === here.ino && there.dev === here.dev;
}
