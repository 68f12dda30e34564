/** What the demonstrations have in common: printing, looking at processes, and waiting for each other without sleeping. */
import { closeSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { pipe, sleepSync } from '../index';
import { processRow } from './process-table';

/**
 * Print one line with one write(2): lines of several processes do not mix, and no text stands in a buffer when a process
 * forks (demonstration `stdio-buffer-twice` shows what happens otherwise).
 */
export function print(line = ''): void {
  const bytes = Buffer.from(`  ${line}`.trimEnd() + '\n');
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // As SIGPIPE, which Node ignores, ends a program that nobody reads any more.
      if (code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE);
      // Somebody made the pipe non-blocking and its reader is slow.
      if (code !== 'EAGAIN') throw error;
      sleepSync(1);
    }
  }
}

/** Fail the demonstration when the evidence is not what its lesson says. */
export function check(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new Error(`the kernel showed something else; expected: ${expected}`);
}

const STATES: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'waiting for a device',
  Z: 'zombie',
  T: 'stopped',
  I: 'idle',
  X: 'dead',
};

/** Print the kernel's table of these processes, as `ps` would, each with a word on who it is. */
export function printProcesses(rows: readonly (readonly [pid: number, who: string])[]): void {
  print(`${'PID'.padStart(8)} ${'PPID'.padStart(8)}  ${'STATE'.padEnd(11)} WHO`);
  for (const [pid, who] of rows) {
    const row = processRow(pid);
    const [ppid, state] =
      row === undefined ? ['-', 'gone'] : [String(row.ppid), `${row.state} ${STATES[row.state] ?? ''}`];
    print(`${String(pid).padStart(8)} ${ppid.padStart(8)}  ${state.padEnd(11)} ${who}`);
  }
}

/** Read once from a blocking descriptor; '' at the end of file. */
function readSome(fd: number): string {
  const buffer = Buffer.alloc(4096);
  return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, null));
}

/**
 * A gate that processes wait at until its owner opens it: a pipe nobody writes to. Its end of file is the signal, and it
 * comes also when the owner dies, so that nobody waits for ever.
 */
export class Gate {
  readonly #ends = pipe();

  /** Block until the owner has opened the gate. */
  wait(): void {
    const [readEnd, writeEnd] = this.#ends;
    closeSync(writeEnd); // end of file comes when the last copy is closed, ours included
    readSome(readEnd);
    closeSync(readEnd);
  }

  /** Let everybody through. */
  open(): void {
    this.#ends.forEach((fd) => closeSync(fd));
  }

  /** Have nothing to do with this gate: its end of file does not wait for this process's copy either. */
  leave(): void {
    this.open();
  }
}

/** A pipe on which several processes send values and one, which does not send any more, receives them. */
export class Mailbox<T> {
  readonly #ends = pipe();
  #receiving = false;
  #text = '';

  /** Send a value in one write(2), which for up to 4,096 bytes is never mixed with another process's (pipe(7), PIPE_BUF). */
  send(value: T): void {
    writeSync(this.#ends[1], `${JSON.stringify(value)}\n`);
  }

  /** Block until somebody has sent a value. Throws when every sender has ended. */
  receive(): T {
    const value = this.#next();
    if (value === undefined) throw new Error('a process has ended without sending what it was to send');
    return value;
  }

  /** Block until `count` values have come. */
  receiveAll(count: number): T[] {
    return Array.from({ length: count }, () => this.receive());
  }

  /** Block until every sender has ended or closed the mailbox, and close it. */
  waitForEnd(): void {
    while (this.#next() !== undefined);
    closeSync(this.#ends[0]);
  }

  #next(): T | undefined {
    if (!this.#receiving) {
      this.#receiving = true;
      closeSync(this.#ends[1]); // end of file comes when the last copy is closed, ours included
    }
    for (;;) {
      const end = this.#text.indexOf('\n');
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return JSON.parse(line) as T;
      }
      const more = readSome(this.#ends[0]);
      if (more === '') return undefined;
      this.#text += more;
    }
  }
}
