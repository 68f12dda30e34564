/** V8's idle threads stay in their signal handler from one fork to the next: native/thread_stay.h. */
import { cleanProgram, program } from '../helpers/program';
import { asRoot } from '../helpers/root';

/** Runs in the programs: garbage whose collection V8 shares among its threads. */
const collectGarbage = `
  const kept = [];
  for (let i = 0; i < 300_000; i++) kept[i % 100_000] = { i, text: 'item ' + i };
`;

test('a hundred forks of an idle process wake no thread of V8', async () => {
  const run = await cleanProgram((rf, t) => {
    const forkOnce = () => {
      const pid = rf.fork();
      if (pid === 0) rf._exit(0);
      return rf.waitpid(pid).status;
    };
    // In the handler everything is blocked but 33; SIGKILL and SIGSTOP never are.
    const staying = () => t.threads().filter(({ blocked }) => blocked === 'fffffffefffbfeff');
    for (let i = 0; i < 50; i++) forkOnce(); // until V8 has compiled what is hot here
    while (rf.forkSupport().v8Threads > 0 && staying().length === 0) forkOnce();
    const before = staying();
    for (let i = 0; i < 100; i++) forkOnce();
    const after = new Map(t.threads().map(({ tid, waits }) => [tid, waits]));
    const woken = before.reduce((sum, { tid, waits }) => sum + after.get(tid)! - waits, 0);
    t.report(woken);
  });
  expect(run.reports[0]).toBeLessThan(50); // V8 has a task for them now and then
});

test('threads that stay are there for V8 in parent, child and grandchild', async () => {
  const run = await program(
    (rf, t) => {
      const load = new Function(t.args[0]) as () => void;
      const threadTime = () => t.threads().reduce((sum, { cpu }) => sum + cpu, 0);
      const helped = () => {
        const before = threadTime();
        load();
        return threadTime() - before > 1;
      };
      const inChild = (depth: number): void => {
        for (let i = 0; i < 3; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            if (depth > 0) inChild(depth - 1);
            t.report(helped());
            process.exit(0);
          }
          if (rf.waitpid(pid).status !== 0) t.report('a child failed');
        }
      };
      inChild(1);
      t.report(helped());
    },
    { args: [collectGarbage] },
  );
  expect(run.stderr).toBe('');
  expect(run.reports).toEqual(Array(13).fill(true));
});

asRoot('setuid(2) reaches the threads that stay, in the parent and in a child that has forked', async () => {
  const run = await cleanProgram((rf, t) => {
    const users = () => [...new Set(t.threads().map(({ uid, gid }) => `${uid},${gid}`))];
    const forkOnce = () => {
      const pid = rf.fork();
      if (pid === 0) rf._exit(0);
      rf.waitpid(pid);
    };
    forkOnce();
    const pid = rf.fork();
    if (pid === 0) {
      forkOnce();
      process.setgid!(12346);
      process.setuid!(12347);
      forkOnce();
      t.report(['child', users()]);
      process.exit(0);
    }
    rf.waitpid(pid);
    process.setgid!(12348);
    process.setuid!(12349);
    forkOnce();
    t.report(['parent', users()]);
  });
  expect(run.reports).toEqual([
    ['child', ['12347,12346']],
    ['parent', ['12349,12348']],
  ]);
});

test('a mask set while threads stay is theirs when they leave, and keeps a signal for the main thread', async () => {
  const run = await program(
    (rf, t) => {
      const load = new Function(t.args[0]) as () => void;
      const forkOnce = () => {
        const pid = rf.fork();
        if (pid === 0) rf._exit(0);
        rf.waitpid(pid);
      };
      forkOnce();
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2']);
      load(); // the threads leave
      process.kill(process.pid, 'SIGUSR2');
      load();
      t.report(rf.sigpending());
      rf.sigprocmask(rf.SIG_UNBLOCK, ['SIGUSR2']);
    },
    { args: [collectGarbage] },
  );
  expect(run.stderr).toBe('');
  expect(run.reports).toEqual([['SIGUSR2']]);
  expect(run.signal).toBe('SIGUSR2');
});
