import { join } from 'node:path';
import { asPid1, asPid1WithForeignProc, testAsPid1 } from '../helpers/namespace';
import { program, type Realfork } from '../helpers/program';
import type { Tools } from '../helpers/program-tools';

/** Shell texts that leave so many orphans behind, which end after 0 to 40 ms with code 50 + i % 50. */
function orphanScripts(count: number): string[] {
  const lines = Array.from({ length: count }, (_, i) => `(sleep 0.0${i % 5}; exit ${50 + (i % 50)}) &`);
  return Array.from({ length: Math.ceil(count / 50) }, (_, i) => lines.slice(50 * i, 50 * (i + 1)).join('\n'));
}
const expectedCodes = (count: number) => Array.from({ length: count }, (_, i) => 50 + (i % 50)).sort((a, b) => a - b);

/** Orphans by the hundred, while everything else that has children in this process goes on. */
async function everythingAtOnce(rf: Realfork, t: Tools): Promise<void> {
  const cp = require('node:child_process') as typeof import('node:child_process');
  const { once } = require('node:events') as typeof import('node:events');
  const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
  const { scripts, subreaper } = t.args[0] as { scripts: string[]; subreaper: boolean };
  if (subreaper) rf.setChildSubreaper(true);
  const orphans: { pid: number; status: number }[] = [];
  const reaper = new rf.Reaper().start();
  reaper.on('orphan', (orphan) => orphans.push(orphan));

  const forked: number[] = [];
  for (let i = 0; i < 12; i++) {
    const pid = rf.fork();
    if (pid === 0) process.exit(i); // at once: zombies that must stay
    forked.push(pid);
  }
  const awaited = forked.slice(0, 6).map(async (pid, i) => (i % 2 ? rf.waitpidAsync(pid) : rf.waitpidAsync(pid, 2)));

  const source = `
    const cp = require('child_process'), { parentPort } = require('worker_threads');
    const codes = [];
    for (let i = 0; i < 30; i++) cp.spawn('sh', ['-c', 'exit ' + i]).on('exit', (code) => codes.push(code) === 40 && parentPort.postMessage(codes));
    for (let i = 0; i < 10; i++) codes.push(cp.spawnSync('sh', ['-c', 'sleep 0.01; exit ' + i]).status);`;
  const worker = new Worker(source, { eval: true });
  const fromWorker = once(worker, 'message');
  const leaving = scripts.map((text) => once(cp.spawn('sh', ['-c', text], { stdio: 'ignore' }), 'exit'));
  const spawned = Array.from({ length: 40 }, (_, i) =>
    once(cp.spawn('sh', ['-c', `sleep 0.0${i % 7}; exit ${i}`]), 'exit'),
  );
  const executed = Array.from(
    { length: 10 },
    (_, i) => new Promise((resolve) => cp.exec(`sleep 0.02; exit ${i}`, (error) => resolve(error?.code ?? 0))),
  );
  const sync = Array.from({ length: 20 }, (_, i) => cp.spawnSync('sh', ['-c', `exit ${i}`]).status);
  t.report((await Promise.all(spawned)).map(([code]) => code));
  t.report(await Promise.all(executed));
  t.report(sync);
  t.report((await fromWorker)[0].sort((a: number, b: number) => a - b));
  t.report((await Promise.all(awaited)).map(({ status }) => status >> 8));
  t.report((await Promise.all(leaving)).map(([code]) => code));
  await t.waitUntil(() => orphans.length === 300, 'all orphans are reaped');
  t.report(orphans.map(({ status }) => status >> 8).sort((a, b) => a - b));
  t.report(new Set(orphans.map(({ pid }) => pid)).size);
  // What was forked and not waited for is still there, and nothing else.
  t.report(rf.zombies().map(({ pid }) => forked.indexOf(pid)));
  t.report(forked.slice(6).map((pid) => rf.waitpid(pid).status >> 8));
  t.report(rf.zombies());
  await worker.terminate();
  await t.waitUntil(() => rf.processTree().children.length === 0, 'no child is left');
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
const everythingRight = [
  upTo(40),
  upTo(10),
  upTo(20),
  [...upTo(10), ...upTo(30)].sort((a, b) => a - b),
  upTo(6),
  Array(6).fill(0),
  expectedCodes(300),
  300,
  [6, 7, 8, 9, 10, 11],
  [6, 7, 8, 9, 10, 11],
  [],
];

testAsPid1('as PID 1: 300 orphans are reaped, and every other wait gets its own status', async () => {
  const run = await program(everythingAtOnce, {
    wrapper: asPid1,
    args: [{ scripts: orphanScripts(300), subreaper: false }],
    timeout: 25_000,
  });
  expect(run.reports).toEqual(everythingRight);
  expect(run.stderr).toBe('');
});

test('as a subreaper: 300 orphans are reaped, and every other wait gets its own status', async () => {
  const args = [{ scripts: orphanScripts(300), subreaper: true }];
  const run = await program(everythingAtOnce, { args, timeout: 25_000 });
  expect(run.reports).toEqual(everythingRight);
  expect(run.stderr).toBe('');
});

test('without a Reaper the orphans stay zombies: the detector sees them', async () => {
  const run = await program(
    async (rf, t) => {
      rf.setChildSubreaper(true);
      const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
      const leave = (script: string) => spawnSync('sh', ['-c', script], { stdio: 'ignore' });
      leave(t.args[0]);
      await t.waitUntil(() => rf.zombies().length === 20, '20 zombies');
      // start() begins with what is there already; a listener added after it misses nothing.
      const reaper = new rf.Reaper().start();
      t.report(rf.zombies());
      const codes: number[] = [];
      reaper.on('orphan', ({ status }) => codes.push(status >> 8));
      await new Promise(setImmediate);
      t.report(codes.sort((a, b) => a - b));
      // Stopped, it lets them gather again; started again, it takes them.
      reaper.stop();
      leave(t.args[1]);
      await t.waitUntil(() => rf.zombies().length === 3, '3 zombies');
      reaper.start();
      t.report([rf.zombies().length, reaper.running]);
      reaper[Symbol.dispose]();
      t.report(reaper.running);
    },
    { args: [...orphanScripts(20), ...orphanScripts(3)] },
  );
  expect(run.reports).toEqual([[], expectedCodes(20), [0, true], false]);
});

test('an orphan that somebody waits for, or that is to be ignored, is left alone', async () => {
  const run = await program(async (rf, t) => {
    const { once } = require('node:events') as typeof import('node:events');
    rf.setChildSubreaper(true);
    const reaper = new rf.Reaper().start();
    const seen: number[] = [];
    reaper.on('orphan', ({ pid }) => seen.push(pid));
    /** The pid of an orphan that ends when it is killed. */
    const adopt = async () => {
      const cp = require('node:child_process') as typeof import('node:child_process');
      const sh = cp.spawn('sh', ['-c', 'sleep 60 >/dev/null & echo $!']);
      const [[text]] = await Promise.all([once(sh.stdout, 'data'), once(sh, 'exit')]);
      const pid = Number(String(text));
      await t.waitUntil(() => t.stat(pid)?.[1] === String(process.pid), 'adopted');
      return pid;
    };
    const [named, ignored, plain] = [await adopt(), await adopt(), await adopt()];
    reaper.ignore(ignored);
    const wait = rf.waitpidAsync(named);
    for (const pid of [named, ignored, plain]) process.kill(pid, 'SIGKILL');
    t.report((await wait).status);
    await t.waitUntil(
      () => seen.length > 0 && rf.zombies().length > 0,
      'the plain one is reaped, the ignored has ended',
    );
    process.kill(process.pid, 'SIGCHLD'); // another look, at what has ended now
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    t.report([seen.length, seen[0] === plain, rf.zombies().map((z) => z.pid === ignored)]);
    t.report(rf.waitpid(ignored).status);

    const [first, second] = [await adopt(), await adopt()];
    const any = rf.waitpidAsync(-1);
    process.kill(first, 'SIGKILL');
    t.report((await any).pid === first); // who waits for any child is served first
    process.kill(second, 'SIGKILL');
    await t.waitUntil(() => seen.length === 2, 'the second is reaped');
    t.report(seen[1] === second);
  });
  expect(run.reports).toEqual([9, [1, true, [true]], 9, true, true]);
});

test("an orphan that ends between the look of who waits for any child and that of the Reaper is still the former's", async () => {
  const run = await program(
    async (rf, t) => {
      const { native } = require(t.args[0]) as typeof import('../../dist/native');
      const cp = require('node:child_process') as typeof import('node:child_process');
      rf.setChildSubreaper(true);
      const seen: number[] = [];
      new rf.Reaper().start().on('orphan', ({ pid }) => seen.push(pid));
      for (const [waitFor, group] of [
        ['any', false],
        ['group', true],
      ] as const) {
        // In a group of its own where that is what is waited for: setsid makes one.
        const script = `${group ? 'setsid ' : ''}sh -c 'echo $$; exec sleep 60 >&-' &`;
        const orphan = Number(String(cp.execFileSync('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })));
        await t.waitUntil(() => t.stat(orphan)?.[1] === String(process.pid), 'adopted');
        const wait = rf.waitpidAsync(group ? -orphan : -1);
        const { pollChild } = native;
        native.pollChild = (pid, options) => {
          native.pollChild = pollChild;
          const status = pollChild(pid, options); // alive
          process.kill(orphan, 'SIGKILL');
          while (native.groupOf(orphan) > 0 && t.stat(orphan)?.[0] !== 'Z');
          return status;
        };
        process.kill(process.pid, 'SIGCHLD');
        t.report([waitFor, (await wait).pid === orphan, seen.length]);
      }
    },
    { args: [join(__dirname, '..', '..', 'dist', 'native')] },
  );
  expect(run.reports).toEqual([
    ['any', true, 0],
    ['group', true, 0],
  ]);
});

testAsPid1('a pid that comes back as that of an orphan is not mistaken for the child that had it before', async () => {
  const run = await program(
    async (rf, t) => {
      const { once } = require('node:events') as typeof import('node:events');
      const { writeFileSync } = require('node:fs') as typeof import('node:fs');
      const cp = require('node:child_process') as typeof import('node:child_process');
      const reaper = new rf.Reaper().start();
      const ignored = cp.spawn('true');
      reaper.ignore(ignored.pid as number);
      const forked = rf.fork();
      if (forked === 0) process.exit(0);
      rf.waitpid(forked);
      await once(ignored, 'exit');
      const seen: number[] = [];
      reaper.on('orphan', ({ pid }) => seen.push(pid));
      for (const pid of [forked, ignored.pid as number]) {
        await new Promise((resolve) => setTimeout(resolve, 50)); // some clock ticks (10 ms) later
        // The next process but one of this namespace gets this pid: the shell, then the orphan.
        const shell = `echo ${pid - 1} > /proc/sys/kernel/ns_last_pid; (exit 7) & exec true`;
        await once(cp.spawn('sh', ['-c', shell], { stdio: ['ignore', 'ignore', 'inherit'] }), 'exit');
        await t.waitUntil(() => seen.length > 0, 'the orphan is reaped');
        t.report(seen.splice(0).map((other) => other === pid));
      }
      writeFileSync('/proc/sys/kernel/ns_last_pid', '1000');
    },
    { wrapper: asPid1 },
  );
  expect(run.reports).toEqual([[true], [true]]);
  expect(run.stderr).toBe('');
});

test('an exception from a listener does not keep the other orphans waiting', async () => {
  const run = await program(
    async (rf, t) => {
      rf.setChildSubreaper(true);
      const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
      const leave = (script: string) => spawnSync('sh', ['-c', script], { stdio: 'ignore' });
      let thrown = 0;
      process.on('uncaughtException', () => thrown++);
      new rf.Reaper().start().on('orphan', () => {
        throw new Error('from the listener');
      });
      leave(t.args[0]);
      await t.waitUntil(() => thrown === 10, 'ten exceptions');
      t.report(rf.zombies());
    },
    { args: orphanScripts(10) },
  );
  expect(run.reports).toEqual([[]]);
});

test('it does not keep the event loop alive, unless asked to; and is stopped in a forked child', async () => {
  const run = await program((rf, t) => {
    const reaper = new rf.Reaper().start();
    const pid = rf.fork();
    if (pid === 0) {
      t.report(reaper.running);
      reaper.ref().start(); // may be started again there
      t.report(reaper.running);
      setTimeout(() => reaper.unref(), 20);
      process.on('exit', () => t.report('ended'));
      return;
    }
    t.report([rf.waitpid(pid).status, reaper.running]);
  });
  expect(run.reports).toEqual([false, true, 'ended', [0, true]]);
  expect(run.code).toBe(0);
});

test('wrong arguments and wrong places', async () => {
  const run = await program(
    async (rf, t) => {
      const { once } = require('node:events') as typeof import('node:events');
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const codeOf = (call: () => unknown) => {
        try {
          return call();
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      };
      // eslint-disable-next-line @typescript-eslint/no-explicit-any -- wrong arguments are the point
      const make = (options: any) => codeOf(() => typeof new rf.Reaper(options));
      t.report(
        [null, 1, { ignore: 5 }, { ignore: null }, { ignore: ['1'] }, { ignore: [0] }, { ignore: [1] }].map(make),
      );
      const reaper = new rf.Reaper();
      // eslint-disable-next-line @typescript-eslint/no-explicit-any -- wrong arguments are the point
      t.report([0, -1, 1.5, 2 ** 31, '1', undefined].map((pid: any) => codeOf(() => reaper.ignore(pid))));
      t.report([reaper.stop() === reaper, reaper.start() === reaper, reaper.start() === reaper]);
      const source = `
        const { Reaper } = require(${JSON.stringify(t.args[0])});
        try { new Reaper().start() } catch (e) { require('worker_threads').parentPort.postMessage(e.code) }`;
      t.report((await once(new Worker(source, { eval: true }), 'message'))[0]);
    },
    { args: [join(__dirname, '..', '..')] },
  );
  const [type, range] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'];
  expect(run.reports).toEqual([
    [type, type, type, type, type, range, 'object'],
    [range, range, range, range, type, type],
    [true, true, true],
    'ERR_REAPER_IN_WORKER',
  ]);
});

testAsPid1("with another namespace's /proc it refuses to start", async () => {
  const run = await program(
    (rf, t) => {
      try {
        new rf.Reaper().start();
      } catch (error) {
        t.report((error as NodeJS.ErrnoException).code);
      }
    },
    { wrapper: asPid1WithForeignProc },
  );
  expect(run.reports).toEqual(['ERR_FEATURE_UNAVAILABLE_ON_PLATFORM']);
});
