import { program } from '../helpers/program';

test('fork with io_uring in the loop: its kernel threads, which answer no signal, are not waited for', async () => {
  const run = await program(
    async (rf, t) => {
      const { readFile } = require('node:fs/promises') as typeof import('node:fs/promises');
      const { readdirSync, readFileSync } = require('node:fs') as typeof import('node:fs');
      await readFile(__filename);
      const names = readdirSync('/proc/self/task').map((tid) => readFileSync(`/proc/self/task/${tid}/comm`, 'utf8'));
      await new Promise((resolve) => setImmediate(resolve)); // out of the completion's callback
      const pid = rf.fork();
      const text = await readFile(__filename, 'utf8');
      if (pid === 0) process.exit(text.length > 0 ? 7 : 1);
      t.report({ rings: names.filter((name) => name.startsWith('iou-')).length, status: rf.waitpid(pid).status });
    },
    { env: { UV_USE_IO_URING: '1' } },
  );
  // Nodes whose libuv keeps io_uring off, and hosts that forbid it, have no such threads: then this is a plain fork.
  expect(run.reports).toEqual([{ rings: expect.any(Number), status: 7 << 8 }]);
  expect(run.code).toBe(0);
});

test('hazard: fork in the callback of a request that io_uring did is refused with the reason, or right', async () => {
  const run = await program(
    (rf, t) => {
      const { readFile } = require('node:fs') as typeof import('node:fs');
      let read = 0;
      for (let i = 0; i < 8; i++) {
        readFile(__filename, () => {
          read += 1;
          if (read !== 3) return;
          let pid: number;
          try {
            pid = rf.fork();
          } catch (error) {
            t.report((error as NodeJS.ErrnoException).code);
            return;
          }
          if (pid === 0) {
            readFile(__filename, () => process.exit(7));
            return;
          }
          t.report(rf.waitpid(pid).status === 7 << 8 ? 'complete child' : 'broken child');
        });
      }
    },
    { env: { UV_USE_IO_URING: '1' } },
  );
  expect(run.code).toBe(0);
  expect(['ERR_FORK_IN_IO_URING', 'complete child']).toContain(run.reports[0]);
});
