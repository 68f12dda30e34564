import { program } from '../helpers/program';

test('forkSupport tells that V8 threads are brought back, and how memory reaches the child', async () => {
  const run = await program((rf, t) => {
    const before = rf.forkSupport();
    const pid = rf.fork();
    if (pid === 0) {
      t.report(rf.forkSupport());
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report(before);
  });
  const full = { mode: 'full', v8Threads: expect.any(Number), inheritance: 'redirect', reason: expect.any(String) };
  expect(run.reports).toEqual([full, full]);
  expect(run.reports[1].v8Threads).toBeGreaterThan(0);
});

test('the flags for hosts that cannot bring threads back leave fork working where they can be', async () => {
  const run = await program(
    (rf, t) => {
      const statuses: number[] = [];
      for (let i = 0; i < 20; i++) {
        const hot = new Function('n', `let s = 0; for (let i = 0; i < n; i++) s += i % ${i + 3}; return s`) as (
          n: number,
        ) => number;
        hot(100_000);
        const pid = rf.fork();
        if (pid === 0) {
          for (let a: object[] = [], k = 0; k < 500_000; k++) if (a.push({ k }) > 100_000) a = [];
          hot(1_000_000);
          setTimeout(() => process.exit(5), 1);
          return;
        }
        statuses.push(rf.waitpid(pid).status >> 8);
      }
      t.report({ mode: rf.forkSupport().mode, wrong: statuses.filter((status) => status !== 5) });
    },
    { nodeFlags: ['--single-threaded', '--v8-pool-size=0'] },
  );
  expect(run.reports).toEqual([{ mode: expect.stringMatching(/^(full|single-threaded)$/), wrong: [] }]);
});

test('V8 marks no mapping as absent in a child once the first fork has been made', async () => {
  const run = await program((rf, t) => {
    const { readFileSync } = require('node:fs') as typeof import('node:fs');
    const marked = () => readFileSync('/proc/self/smaps', 'latin1').match(/^VmFlags:.* dc /gm)?.length ?? 0;
    const before = marked();
    let kept: object[] = [];
    for (let i = 0; i < 3; i++) {
      const pid = rf.fork();
      if (pid === 0) process.exit(0);
      rf.waitpid(pid);
      for (let k = 0; k < 200_000; k++) kept.push({ k }); // new pages of V8's heap
      if (i === 1) kept = [];
    }
    t.report({ before, after: marked() });
  });
  expect(run.reports[0].before).toBeGreaterThan(0); // the mark that makes this test worth something
  expect(run.reports[0].after).toBe(0);
});
