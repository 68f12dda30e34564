import { program } from '../helpers/program';

test('a child that forks in its first moment, its threads being just about back', async () => {
  const run = await program(
    (rf, t) => {
      const { never } = t.pipes('never');
      const { readFileSync, readSync } = require('node:fs') as typeof import('node:fs');
      const childrenOf = (pid: number) =>
        readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
      const ended: number[] = [];
      for (let i = 0; i < 100; i++) {
        const child = rf.fork();
        if (child === 0) {
          rf.fork();
          for (;;) readSync(never.read, Buffer.alloc(1));
        }
        // This waiting without rest is what delays the child's threads.
        while (childrenOf(child).length === 0 && t.stat(child)?.[0] !== 'Z');
        const grandchildren = childrenOf(child);
        process.kill(child, 'SIGKILL');
        const { status } = rf.waitpid(child);
        if (status !== 9) ended.push(status);
        for (const pid of grandchildren) process.kill(pid, 'SIGKILL');
      }
      t.report(ended);
    },
    { timeout: 25_000 },
  );
  expect(run.reports).toEqual([[]]);
  expect(run.stderr).toBe('');
});
