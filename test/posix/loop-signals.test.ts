/** Signal handlers and the loop after a fork. libuv test/test-fork.c fork_signal_*, fork_close_signal_in_child. */
import { cleanProgram } from '../helpers/program';

test('L10 handlers installed in the child work; removing them restores death by that signal', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { ready } = t.pipes('ready');
    const fs = require('node:fs');
    const statuses = [];
    for (const signal of ['SIGUSR2', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const pid = rf.fork();
      if (pid === 0) {
        const keepAlive = setInterval(() => {}, 1_000);
        let count = 0;
        const handler = (name: string, number: number) => {
          t.report([name, number === require('node:os').constants.signals[signal]]);
          if (++count === 2) process.removeListener(signal, handler);
          fs.writeSync(ready.write, 'x'); // ask for the next one
        };
        process.on(signal, handler);
        fs.writeSync(ready.write, 'x');
        await new Promise(() => {});
        clearInterval(keepAlive);
      }
      for (let i = 0; i < 3; i++) {
        fs.readSync(ready.read, Buffer.alloc(1));
        process.kill(pid, signal);
      }
      statuses.push(rf.waitpid(pid).status);
    }
    t.report(statuses);
  });
  expect(run.reports).toEqual([
    ...['SIGUSR2', 'SIGTERM', 'SIGINT', 'SIGHUP'].flatMap((name) => [
      [name, true],
      [name, true],
    ]),
    [12, 15, 2, 1],
  ]);
});

test('L10 a handler installed before the fork runs in the process that is signalled, and only there', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs');
    const { ready } = t.pipes('ready');
    const seen: string[] = [];
    let who = 'parent';
    process.on('SIGUSR2', () => seen.push(who));
    process.kill(process.pid, 'SIGUSR2');
    await t.waitUntil(() => seen.length === 1, 'the handler works before the fork');
    const pid = rf.fork();
    if (pid === 0) {
      who = 'child';
      fs.writeSync(ready.write, 'x');
      await t.waitUntil(() => seen.length === 2, 'the child gets its signal');
      t.report({ who, seen });
      process.exit(0);
    }
    fs.readSync(ready.read, Buffer.alloc(1));
    process.kill(pid, 'SIGUSR2');
    const { status } = rf.waitpid(pid);
    await new Promise((resolve) => setTimeout(resolve, 20)); // the loop turns: nothing must arrive here
    const quiet = seen.length === 1;
    process.kill(process.pid, 'SIGUSR2');
    await t.waitUntil(() => seen.length === 2, 'the parent gets its own signal');
    t.report({ who, seen, quiet, status });
  });
  expect(run.reports).toEqual([
    { who: 'child', seen: ['parent', 'child'] },
    { who: 'parent', seen: ['parent', 'parent'], quiet: true, status: 0 },
  ]);
});

test("L10 a child that is signalled but does not run its loop: the parent's handler is not called either", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs');
    const { ready, go } = t.pipes('ready', 'go');
    let calls = 0;
    process.on('SIGUSR2', () => calls++);
    const pid = rf.fork();
    if (pid === 0) {
      fs.writeSync(ready.write, 'x');
      fs.readSync(go.read, Buffer.alloc(1)); // interrupted or not: the loop does not turn
      process.exit(calls);
    }
    fs.readSync(ready.read, Buffer.alloc(1));
    process.kill(pid, 'SIGUSR2');
    await new Promise((resolve) => setTimeout(resolve, 20));
    fs.writeSync(go.write, 'x');
    t.report({ calls, status: rf.waitpid(pid).status });
  });
  expect(run.reports).toEqual([{ calls: 0, status: 0 }]);
});

test('L10 a signal that came before the fork is handled once, by the parent', async () => {
  const run = await cleanProgram(async (rf, t) => {
    let calls = 0;
    const handler = () => calls++;
    process.on('SIGHUP', handler);
    process.kill(process.pid, 'SIGHUP'); // in the loop's signal pipe, not yet handled
    const pid = rf.fork();
    if (pid === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      process.removeListener('SIGHUP', handler);
      t.report({ child: calls });
      return; // nothing of the handler keeps the child alive
    }
    await t.waitUntil(() => calls > 0, 'the parent handles its signal');
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.removeListener('SIGHUP', handler);
    t.report({ parent: calls, status: rf.waitpid(pid).status });
  });
  expect(run.reports).toContainEqual({ child: 0 });
  expect(run.reports).toContainEqual({ parent: 1, status: 0 });
});

test("L10 removing the handler in the child leaves the parent's installed, and the reverse", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs');
    const { ready } = t.pipes('ready');
    let calls = 0;
    process.on('SIGTERM', () => calls++);
    const pid = rf.fork();
    if (pid === 0) {
      process.removeAllListeners('SIGTERM');
      process.on('SIGUSR2', () => {});
      fs.writeSync(ready.write, 'x');
      setInterval(() => {}, 1_000);
      return;
    }
    fs.readSync(ready.read, Buffer.alloc(1));
    process.kill(process.pid, 'SIGTERM');
    await t.waitUntil(() => calls === 1, 'the handler of the parent');
    process.kill(pid, 'SIGUSR2');
    process.kill(pid, 'SIGTERM');
    t.report({ calls, status: rf.waitpid(pid).status });
  });
  expect(run.reports).toEqual([{ calls: 1, status: 15 }]);
});

test('hazard: ignored signals stay ignored, default ones stay default, and the mask is the same', async () => {
  const run = await cleanProgram((rf, t) => {
    // proc_pid_status(5): blocked, ignored, caught; signal 33 is glibc's own, and libuv blocks none for good.
    const masks = () =>
      ['SigBlk', 'SigIgn', 'SigCgt'].map(
        (name) =>
          new RegExp(`${name}:\\s+(\\w+)`).exec(
            require('node:fs').readFileSync('/proc/thread-self/status', 'latin1'),
          )![1],
      );
    process.on('SIGUSR2', () => {});
    process.once('SIGHUP', () => {});
    const before = masks();
    const pid = rf.fork();
    if (pid === 0) {
      t.report({ child: masks() });
      process.exit(0);
    }
    t.report({ before, after: masks(), status: rf.waitpid(pid).status });
  });
  const all = Object.assign({}, ...run.reports);
  expect(all.child).toEqual(all.before);
  expect(all.after).toEqual(all.before);
  expect(Number.parseInt(all.before[1], 16) & (1 << 12)).not.toBe(0); // SIGPIPE, number 13, which Node ignores
  expect(all.status).toBe(0);
});

test('hazard: 200 signals to each of two children and the parent arrive where they are sent', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs');
    const { ready, done } = t.pipes('ready', 'done');
    let calls = 0;
    process.on('SIGUSR2', () => {
      calls++;
      if (who !== 'parent') fs.writeSync(done.write, who); // ask for the next
    });
    let who = 'parent';
    const children = ['a', 'b'].map((name) => {
      const pid = who === 'parent' ? rf.fork() : 0;
      if (pid === 0 && who === 'parent') {
        who = name;
        fs.writeSync(ready.write, 'x');
      }
      return pid;
    });
    if (who !== 'parent') {
      await t.waitUntil(() => calls === 200, 'all signals', 9_000);
      process.exit(7);
    }
    const [a, b] = children as [number, number];
    for (let i = 0; i < 2; i++) fs.readSync(ready.read, Buffer.alloc(1));
    process.kill(a, 'SIGUSR2');
    process.kill(b, 'SIGUSR2');
    const sent = { a: 1, b: 1 };
    const one = Buffer.alloc(1);
    for (let answers = 0; answers < 400; answers++) {
      fs.readSync(done.read, one);
      const name = one.toString() as 'a' | 'b';
      if (sent[name]++ < 200) process.kill(name === 'a' ? a : b, 'SIGUSR2');
    }
    const statuses = children.map((pid) => rf.waitpid(pid).status >> 8);
    await new Promise((resolve) => setImmediate(resolve));
    t.report({ statuses, parent: calls });
  });
  expect(run.reports).toEqual([{ statuses: [7, 7], parent: 0 }]);
});
