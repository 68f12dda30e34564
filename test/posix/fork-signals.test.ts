/** What a forked child has of its parent's signals, timers, CPU times and priorities: fork(2), POSIX fork() assertions. */
import { program } from '../helpers/program';
import { asRoot } from '../helpers/root';

test("the child has its parent's signal mask and no pending signals; the parent keeps its own", async () => {
  const run = await program((rf, t) => {
    rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGTERM', 'SIGRTMIN+4']);
    rf.kill(process.pid, 'SIGUSR2');
    rf.raise('SIGTERM');
    rf.raise('SIGRTMIN+4');
    const pid = rf.fork();
    if (pid === 0) {
      t.report({ pending: rf.sigpending(), mask: rf.sigprocmask(rf.SIG_BLOCK, []) });
      // The child's mask is its own, on every thread.
      rf.kill(process.pid, 'SIGUSR2');
      t.report([rf.sigpending(), rf.sigwait(['SIGUSR2'])]);
      rf.sigprocmask(rf.SIG_SETMASK, []);
      rf.kill(process.pid, 'SIGTERM');
      process.exit(0);
    }
    t.report(rf.waitpid(pid).status);
    t.report([rf.sigpending(), rf.sigprocmask(rf.SIG_BLOCK, [])]);
  });
  expect(run.reports).toEqual([
    { pending: [], mask: ['SIGUSR2', 'SIGTERM', 'SIGRTMIN+4'] },
    [['SIGUSR2'], 'SIGUSR2'],
    15,
    [
      ['SIGUSR2', 'SIGTERM', 'SIGRTMIN+4'],
      ['SIGUSR2', 'SIGTERM', 'SIGRTMIN+4'],
    ],
  ]);
});

test('alarm and interval timers are off in the child and go on in the parent', async () => {
  const run = await program((rf, t) => {
    rf.sigprocmask(rf.SIG_BLOCK, ['SIGALRM']);
    rf.setitimer(rf.ITIMER_VIRTUAL, 70_000, 5);
    rf.setitimer(rf.ITIMER_PROF, 80_000, 6);
    rf.alarm(90);
    const pid = rf.fork();
    if (pid === 0) {
      t.report([0, 1, 2].map((which) => rf.getitimer(which)));
      t.report(rf.alarm(0));
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report([0, 1, 2].map((which) => rf.getitimer(which).value > 60_000));
    // One that runs out while the child lives reaches the parent only.
    rf.setitimer(rf.ITIMER_REAL, 60);
    const other = rf.fork();
    if (other === 0) {
      rf.sleepSync(150);
      t.report(rf.sigpending());
      process.exit(0);
    }
    rf.waitpid(other);
    t.report(rf.sigpending());
  });
  const off = { value: 0, interval: 0 };
  expect(run.reports).toEqual([[off, off, off], 0, [true, true, true], [], ['SIGALRM']]);
});

test('CPU times start at zero in the child, whatever the parent has used', async () => {
  const run = await program((rf, t) => {
    const before = rf.fork();
    if (before === 0) {
      t.burnCpu(150);
      process.exit(0);
    }
    rf.waitpid(before);
    t.burnCpu(400);
    const pid = rf.fork();
    if (pid === 0) {
      const { user, system, childrenUser, childrenSystem } = rf.times();
      const usage = rf.getrusage();
      const children = rf.getrusage(rf.RUSAGE_CHILDREN);
      t.report({
        times: user + system < 200,
        children: [childrenUser, childrenSystem, children.userCPUTime, children.systemCPUTime],
        usage: usage.userCPUTime + usage.systemCPUTime < 200_000,
        cpuUsage: process.cpuUsage().user < 200_000,
      });
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report({
      parent: rf.times().user + rf.times().system >= 390,
      children: rf.times().childrenUser > 0,
    });
  });
  expect(run.reports).toEqual([
    { times: true, children: [0, 0, 0, 0], usage: true, cpuUsage: true },
    { parent: true, children: true },
  ]);
});

asRoot(
  'F14 niceness, umask, cwd, ids and groups are inherited, and changing them leaves the parent alone',
  async () => {
    const run = await program((rf, t) => {
      const state = () => ({
        nice: rf.getpriority(rf.PRIO_PROCESS, 0),
        umask: rf.umask(),
        cwd: process.cwd(),
        uid: [process.getuid?.(), process.geteuid?.()],
        gid: [process.getgid?.(), process.getegid?.()],
        groups: process.getgroups?.(),
      });
      rf.nice(3);
      rf.umask(0o027);
      process.chdir('/proc');
      process.setgroups?.([1, 2, 3]);
      process.setegid?.(5);
      process.seteuid?.(0);
      const pid = rf.fork();
      if (pid === 0) {
        t.report(state());
        rf.nice(4);
        rf.umask(0o077);
        process.chdir('/');
        process.setegid?.(0);
        process.setgroups?.([7]);
        process.setgid?.(65534);
        process.setuid?.(65534);
        t.report(state());
        process.exit(0);
      }
      rf.waitpid(pid);
      t.report(state());
    });
    const parent = { nice: 3, umask: 0o027, cwd: '/proc', uid: [0, 0], gid: [0, 5], groups: [5, 1, 2, 3] };
    const [inherited, changed, kept] = run.reports;
    inherited.groups.sort();
    kept.groups.sort();
    parent.groups.sort();
    expect(inherited).toEqual(parent);
    expect(changed).toMatchObject({ nice: 7, umask: 0o077, cwd: '/', uid: [65534, 65534], gid: [65534, 65534] });
    expect(kept).toEqual(parent);
  },
);

test("dispositions are inherited: a listener of the parent runs in the child, for the child's signals only", async () => {
  const run = await program(async (rf, t) => {
    const program = process.pid;
    let count = 0;
    process.on('SIGUSR2', () => {
      count++;
      t.report(process.pid === program ? 'parent' : 'child');
    });
    const pid = rf.fork();
    if (pid === 0) {
      rf.kill(process.pid, 'SIGUSR2');
      await t.waitUntil(() => count > 0, 'the listener ran in the child');
      process.exit(5);
    }
    t.report(rf.waitpid(pid).status);
    // Nothing of the child's signal has come through the pipe that the two loops once shared.
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.report({ count });
    rf.kill(process.pid, 'SIGUSR2');
    await t.waitUntil(() => count > 0, 'the listener ran in the parent');
  });
  expect(run.reports).toEqual(['child', 5 << 8, { count: 0 }, 'parent']);
});

test('a signal to the parent while it forks is neither lost nor seen by the child', async () => {
  const run = await program(
    async (rf, t) => {
      const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
      const [heard, answer] = rf.pipe();
      const main = process.pid;
      let count = 0;
      process.on('SIGUSR2', () => {
        count++;
        writeSync(answer, '.');
      });
      // Each signal is sent when the one before has been answered: one that is lost would end all progress.
      const sender = rf.fork();
      if (sender === 0) {
        for (let i = 0; i < 200; i++) {
          rf.kill(main, 'SIGUSR2');
          readSync(heard, Buffer.alloc(1));
        }
        process.exit(0);
      }
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      let forks = 0;
      let seenByChildren = 0;
      while (rf.waitpid(sender, rf.WNOHANG).pid === 0) {
        const before = count;
        const pid = rf.fork();
        if (pid === 0) {
          for (let i = 0; i < 3; i++) await turn();
          process.exit(count - before);
        }
        seenByChildren += rf.waitpid(pid).status;
        forks++;
        for (let i = 0; i < 3; i++) await turn();
      }
      t.report({ count, seenByChildren, forked: forks > 5 });
    },
    { timeout: 30_000 },
  );
  expect(run.reports).toEqual([{ count: 200, seenByChildren: 0, forked: true }]);
});

test('L10 handlers installed in the child work; removed, the signal ends the process again', async () => {
  const run = await program(
    async (rf, t) => {
      const signals = ['SIGUSR2', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const;
      const pid = rf.fork();
      if (pid === 0) {
        const seen: string[] = [];
        for (const signal of signals) process.on(signal, (name) => seen.push(name));
        for (const signal of signals) {
          rf.kill(process.pid, signal);
          await t.waitUntil(() => seen.includes(signal), `${signal} has come`);
        }
        t.report(seen);
        for (const signal of signals) process.removeAllListeners(signal);
        // Each of them is deadly again: seen by children that inherit that.
        for (const signal of signals) {
          const inner = rf.fork();
          if (inner === 0) {
            rf.kill(process.pid, signal);
            process.exit(0);
          }
          t.report([signal, rf.waitpid(inner).status]);
        }
        rf.kill(process.pid, 'SIGTERM');
        process.exit(0);
      }
      t.report(rf.waitpid(pid).status);
    },
    { timeout: 15_000 },
  );
  expect(run.reports).toEqual([
    ['SIGUSR2', 'SIGTERM', 'SIGINT', 'SIGHUP'],
    ['SIGUSR2', 12],
    ['SIGTERM', 15],
    ['SIGINT', 2],
    ['SIGHUP', 1],
    15,
  ]);
});

test('L10 the same when the parent had handlers of its own, also for signals from the parent and in a grandchild', async () => {
  const run = await program(async (rf, t) => {
    const { closeSync, readSync } = require('node:fs') as typeof import('node:fs');
    process.on('SIGUSR2', () => {});
    process.on('SIGHUP', () => t.report("the parent's handler"));
    const [ready, tell] = rf.pipe();
    const pid = rf.fork();
    if (pid === 0) {
      process.removeAllListeners('SIGUSR2');
      process.removeAllListeners('SIGHUP');
      const inner = rf.fork();
      const name = inner === 0 ? 'grandchild' : 'child';
      const alive = setInterval(() => {}, 1_000);
      process.once('SIGUSR2', () => {
        t.report(name);
        clearInterval(alive);
        if (inner !== 0) {
          rf.kill(inner, 'SIGUSR2');
          process.exitCode = rf.waitpid(inner).status === 0 ? 6 : 1;
        }
      });
      if (inner === 0) closeSync(tell);
      else {
        closeSync(ready);
        closeSync(tell);
      }
      return;
    }
    closeSync(tell);
    readSync(ready, Buffer.alloc(1)); // both have their handlers
    rf.kill(pid, 'SIGUSR2');
    t.report(rf.waitpid(pid).status);
  });
  expect(run.reports).toEqual(['child', 'grandchild', 6 << 8]);
});
