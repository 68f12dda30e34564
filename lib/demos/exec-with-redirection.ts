import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WEXITSTATUS, dup2, execvp, fork, getpid, waitpid } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

export const execWithRedirection: Demo = {
  name: 'exec-with-redirection',
  title: 'what the shell does for "command > file"',
  plan: `Fork; in the child open a file, put it in the place of descriptor 1, and call execvp() to become sh, which prints its pid and
    its parent's. Then read the file in the parent.`,
  lesson: `execvp() replaced the program and kept the process: same pid, same parent, same descriptor 1. That is why fork and exec are two
    calls: between them the child, still running your code, can arrange the process that the new program will find.`,

  run() {
    const folder = mkdtempSync(join(tmpdir(), 'realfork-demo-'));
    try {
      const path = join(folder, 'output');

      const pid = fork();
      if (pid === 0) {
        dup2(openSync(path, 'w'), 1);
        execvp('sh', ['sh', '-c', 'echo "pid $$, parent $PPID, program $0"']); // does not return
      }

      const { status } = waitpid(pid);
      print(`fork() returned ${pid} to process ${getpid()}`);
      const text = readFileSync(path, 'utf8').trim();
      print(`the file holds: ${text}`);
      check(WEXITSTATUS(status) === 0, 'sh ended with status 0');
      check(text === `pid ${pid}, parent ${getpid()}, program sh`, "the forked child's pid and parent");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
