import { closeSync, readFileSync, writeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fork, getpid, waitpid } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

export const stdioBufferTwice: Demo = {
  name: 'stdio-buffer-twice',
  title: 'text waiting in a buffer at fork() is written twice',
  plan: `Put a line into a buffered writer (as C's stdio is one) and fork before the buffer has been written out. Both processes flush
    at their end. Then flush before the fork. Last, do the same to Node's own process.stdout by corking it.`,
  lesson: `A buffer is a variable, and variables are copied: each process owned the unwritten line and wrote it. Flush before you
    fork, and let only one of the two flush afterwards (a child that leaves by _exit() writes nothing more). console.log and an
    uncorked process.stdout write at once to files, terminals and pipes, so there is nothing to flush in an ordinary program.`,

  run() {
    const unflushed = linesWritten(false);
    print(`flushed only after the fork:  ${unflushed.length} lines in the file`);
    unflushed.forEach((line) => print(`  ${line}`));
    check(unflushed.length === 2 && unflushed[0] === unflushed[1], 'the same line, twice');

    const flushed = linesWritten(true);
    print(`flushed before the fork:      ${flushed.length} line in the file`);
    flushed.forEach((line) => print(`  ${line}`));
    check(flushed.length === 1, 'the line, once');

    print('process.stdout, corked before the fork and uncorked by both:');
    process.stdout.cork();
    process.stdout.write(`    put into process.stdout by ${getpid()}\n`);
    const pid = fork();
    process.stdout.uncork();
    if (pid === 0) process.exit(0);
    waitpid(pid);
  },
};

/** What is in the file after a line was buffered, the process forked, and both sides flushed. */
function linesWritten(flushBeforeFork: boolean): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-demo-'));
  try {
    const path = join(folder, 'output');
    const writer = new BufferedWriter(openSync(path, 'a'));
    writer.write(`put into the buffer by ${getpid()}\n`);
    if (flushBeforeFork) writer.flush();

    const pid = fork();
    if (pid === 0) {
      writer.flush();
      process.exit(0);
    }
    waitpid(pid);
    writer.close();
    return readFileSync(path, 'utf8').trimEnd().split('\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What C's stdio does for a file: collect, and write when told to. */
class BufferedWriter {
  readonly #fd: number;
  #buffer = '';

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(text: string): void {
    this.#buffer += text;
  }

  flush(): void {
    if (this.#buffer !== '') writeSync(this.#fd, this.#buffer);
    this.#buffer = '';
  }

  close(): void {
    this.flush();
    closeSync(this.#fd);
  }
}
