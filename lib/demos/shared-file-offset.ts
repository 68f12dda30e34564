import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fork, getpid, waitpid } from '../index';
import type { Demo } from './demo';
import { descriptorInfo } from './process-table';
import { check, print } from './stage';

export const sharedFileOffset: Demo = {
  name: 'shared-file-offset',
  title: 'an open file is shared, its reading position included',
  plan: `Open a file with the letters A to L and fork. The child reads four letters, then the parent reads four. Then the child of
    another fork opens the file by itself and does the same.`,
  lesson: `Descriptors are copied by fork(), but both copies refer to one open file in the kernel, and the position belongs to that: what
    the child read, the parent did not get. It is why two processes can append to one log without overwriting each other. A file
    opened after the fork has a position of its own.`,

  run() {
    const folder = mkdtempSync(join(tmpdir(), 'realfork-demo-'));
    try {
      const path = join(folder, 'letters');
      writeFileSync(path, 'ABCDEFGHIJKL');

      print('opened before the fork:');
      const shared = openSync(path, 'r');
      const inParent = childReadsFirst(() => shared, shared);
      check(inParent === 'EFGH', "the parent read on where the child had stopped: 'EFGH'");
      closeSync(shared);

      print('opened by each process after the fork:');
      const own = openSync(path, 'r');
      const alone = childReadsFirst(() => openSync(path, 'r'), own);
      check(alone === 'ABCD', "the parent read from its own position: 'ABCD'");
      closeSync(own);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Fork; the child reads four letters from its descriptor, then the parent four from its own. */
function childReadsFirst(descriptorOfChild: () => number, descriptorOfParent: number): string {
  const pid = fork();
  if (pid === 0) {
    readFour('child ', descriptorOfChild());
    process.exit(0);
  }
  waitpid(pid);
  return readFour('parent', descriptorOfParent);
}

function readFour(who: string, fd: number): string {
  const before = descriptorInfo(fd, 'pos') ?? '?';
  const buffer = Buffer.alloc(4);
  readSync(fd, buffer, 0, 4, null); // null: at the file's position, and moving it
  const letters = buffer.toString();
  const after = descriptorInfo(fd, 'pos') ?? '?';
  print(`  ${who} ${getpid()} read '${letters}'; the kernel's position went from ${before} to ${after}`);
  return letters;
}
