import { constants } from 'node:os';
import { asSubreaper, freshUser, withFailingFork, withTaskLimit } from '../helpers/conditions';
import { pace } from '../helpers/pace';
import { program } from '../helpers/program';
import { asRoot } from '../helpers/root';

describe('arguments', () => {
  test('are refused before anything happens', async () => {
    const run = await program((rf, t) => {
      const codeOf = (call: () => unknown) => {
        try {
          return call() === undefined ? 'nothing' : 'a guard';
        } catch (error) {
          return `${(error as Error).name} ${(error as NodeJS.ErrnoException).code}`;
        }
      };
      const given: unknown[] = [undefined, null, 3, 'x', [], () => {}];
      t.report(given.map((value) => codeOf(() => rf.guardForks(value as never))));
      t.report(
        [{}, { maxprocesses: 3 }, { maxDepth: undefined }].map((value) => codeOf(() => rf.guardForks(value as never))),
      );
      const names = ['maxProcesses', 'maxDepth', 'maxPerSecond'];
      for (const value of ['3', null, 3n, true, 1.5, -1, NaN, Infinity, 2 ** 31]) {
        t.report(names.map((name) => codeOf(() => rf.guardForks({ [name]: value }))));
        t.report(names.map((name) => codeOf(() => rf.guardForks({ maxDepth: 1, maxProcesses: 1, [name]: value }))));
      }
      t.report(codeOf(() => rf.guardForks({ maxProcesses: 1, kernel: 1 as never })));
      t.report(codeOf(() => rf.guardForks({ maxDepth: 1, kernel: true })));
      // None of them has set a guard.
      const pid = rf.fork();
      if (pid === 0) process.exit(0);
      t.report(rf.waitpid(pid).status);
    });
    const [types, none, ...rest] = run.reports;
    const type = 'TypeError ERR_INVALID_ARG_TYPE';
    const range = 'RangeError ERR_OUT_OF_RANGE';
    expect(types).toEqual(Array(6).fill(type));
    expect(none).toEqual(Array(3).fill('TypeError ERR_INVALID_ARG_VALUE'));
    expect(rest.splice(0, 8)).toEqual(Array(8).fill([type, type, type]));
    expect(rest.splice(0, 10)).toEqual(Array(10).fill([range, range, range]));
    expect(rest).toEqual([type, 'TypeError ERR_INVALID_ARG_VALUE', 0]);
  });

  test('zero allows nothing', async () => {
    const run = await program((rf, t) => {
      for (const limits of [{ maxProcesses: 0 }, { maxDepth: 0 }, { maxPerSecond: 0 }]) {
        const guard = rf.guardForks(limits);
        try {
          if (rf.fork() === 0) process.exit(1);
        } catch (error) {
          t.report({ ...(error as object), count: guard.count });
        }
        guard.lift();
      }
    });
    const refused = (limit: string) => ({ code: 'ERR_FORK_LIMIT', limit, value: 0, count: 0 });
    expect(run.reports).toEqual([refused('maxProcesses'), refused('maxDepth'), refused('maxPerSecond')]);
  });

  test('a Worker is refused: it cannot fork, so that it cannot mean its own forks', async () => {
    const run = await program((rf, t) => {
      const { Worker, isMainThread, parentPort } =
        require('node:worker_threads') as typeof import('node:worker_threads');
      if (isMainThread) {
        new Worker(__filename).on('message', (message) => t.report(message));
        return;
      }
      try {
        rf.guardForks({ maxDepth: 1 });
        parentPort?.postMessage('set');
      } catch (error) {
        parentPort?.postMessage((error as NodeJS.ErrnoException).code);
      }
    });
    expect(run.reports).toEqual(['ERR_FORK_IN_WORKER']);
  });
});

describe('maxProcesses', () => {
  test('three may exist besides the setter, zombies included; the fourth is refused and does not exist', async () => {
    const run = await program(async (rf, t) => {
      const { readFileSync } = require('node:fs') as typeof import('node:fs');
      const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').length;
      const guard = rf.guardForks({ maxProcesses: 3 });
      const pids: number[] = [];
      const tryFork = () => {
        try {
          const pid = rf.fork();
          if (pid === 0) process.kill(process.pid, 'SIGSTOP');
          if (pid === 0) process.exit(5);
          pids.push(pid);
          return 'forked';
        } catch (error) {
          return {
            ...(error as object),
            limitError: error instanceof rf.ForkLimitError,
            isError: error instanceof Error,
          };
        }
      };
      t.report([guard.count, tryFork(), guard.count, tryFork(), tryFork(), guard.count]);
      t.report([tryFork(), guard.count, children()]);
      process.kill(pids[1] as number, 'SIGKILL');
      await t.waitUntil(() => t.stat(pids[1] as number)?.[0] === 'Z', 'a zombie');
      t.report([guard.count, tryFork(), children()]); // the zombie has a pid
      t.report(rf.waitpid(pids[1] as number).status);
      t.report([guard.count, tryFork(), guard.count, children()]);
      for (const pid of pids.filter((_, i) => i !== 1)) {
        await t.waitUntil(() => t.stat(pid)?.[0] === 'T', 'stopped');
        process.kill(pid, 'SIGCONT');
        t.report(rf.waitpid(pid).status);
      }
      t.report(guard.count);
    });
    const refused = { code: 'ERR_FORK_LIMIT', limit: 'maxProcesses', value: 3, limitError: true, isError: true };
    expect(run.reports).toEqual([
      [0, 'forked', 1, 'forked', 'forked', 3],
      [refused, 3, 3],
      [3, refused, 3],
      9,
      [2, 'forked', 3, 3],
      5 << 8,
      5 << 8,
      5 << 8,
      0,
    ]);
    expect(run.code).toBe(0);
  });

  test('descendants count and are limited, orphans too; every one of them sees the same count', async () => {
    const run = await program(
      async (rf, t) => {
        const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
        const { gate } = t.pipes('gate');
        const wait = () => readSync(gate.read, Buffer.alloc(1));
        const guard = rf.guardForks({ maxProcesses: 3 });
        const child = rf.fork();
        if (child === 0) {
          const grandchild = rf.fork();
          if (grandchild !== 0) process.exit(0); // leaves an orphan
          wait();
          const orphans = rf.fork();
          t.report({ count: guard.count, orphans });
          wait();
          process.exit(0);
        }
        rf.waitpid(child);
        t.report(guard.count);
        writeSync(gate.write, '.');
        await t.waitUntil(() => guard.count === 2, 'the orphan forks');
        const sibling = rf.fork();
        if (sibling === 0) {
          try {
            rf.fork();
          } catch (error) {
            t.report({ ...(error as object), count: guard.count });
          }
          process.exit(0);
        }
        rf.waitpid(sibling);
        writeSync(gate.write, '..');
        for (let i = 0; i < 2; i++) rf.waitpid(-1);
        t.report(guard.count);
      },
      { wrapper: asSubreaper },
    );
    expect(run.reports[0]).toBe(1);
    expect(run.reports.filter((r) => r.orphans !== undefined)).toHaveLength(2);
    expect(run.reports).toContainEqual({ code: 'ERR_FORK_LIMIT', limit: 'maxProcesses', value: 3, count: 3 });
    expect(run.reports.at(-1)).toBe(0);
    expect(run.code).toBe(0);
  });

  test('thousands one after another under a low limit, and a table that grows: slots are used again', async () => {
    const run = await program(
      (rf, t) => {
        const guards = [rf.guardForks({ maxProcesses: 2 }), rf.guardForks({ maxDepth: 1 })];
        for (let i = 0; i < 300; i++) {
          const pid = rf.fork();
          if (pid === 0) process.kill(process.pid, 'SIGKILL');
          if (rf.waitpid(pid).pid !== pid) throw new Error('another pid');
        }
        t.report(guards.map((guard) => guard.count));
        guards[0]?.lift();
        const many: number[] = [];
        for (let i = 0; i < 150; i++) {
          const pid = rf.fork();
          if (pid === 0) for (;;) process.kill(process.pid, 'SIGSTOP');
          many.push(pid);
        }
        t.report(guards.map((guard) => guard.count));
        for (const pid of many) process.kill(pid, 'SIGKILL');
        for (const pid of many) rf.waitpid(pid);
        t.report(guards.map((guard) => guard.count));
      },
      { timeout: 25_000 },
    );
    expect(run.reports).toEqual([
      [0, 0],
      [0, 150],
      [0, 0],
    ]);
    expect(run.code).toBe(0);
  });
});

/**
 * Eight processes that fork at once, three children each at a time. Every child marks its birth and its end in a pipe:
 * the running sum of the marks is at no time higher than the number of children there are. Without a guard the first 24
 * wait for one another, so that they are there together.
 */
const most = async (maxProcesses: number | null) => {
  const run = await program(
    (rf, t) => {
      const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
      const [maxProcesses] = t.args as [number | null];
      const guard = maxProcesses === null ? undefined : rf.guardForks({ maxProcesses });
      const [marks, mark] = rf.pipe();
      const { start, leave, done, end } = t.pipes('start', 'leave', 'done', 'end');
      const wait = (fd: number) => readSync(fd, Buffer.alloc(1));
      const forkers: number[] = [];
      let isForker = false;
      while (!isForker && forkers.length < 8) {
        const pid = rf.fork();
        if (pid === 0) isForker = true;
        else forkers.push(pid);
      }
      if (isForker) {
        wait(start.read);
        let children = 0;
        for (let made = 0, refused = 0; made < 9 && refused < 500;) {
          try {
            if (rf.fork() === 0) {
              writeSync(mark, '+');
              if (guard === undefined) wait(leave.read);
              else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15 * t.pace);
              writeSync(mark, '-');
              process.exit(0);
            }
            made++;
            children++;
          } catch (error) {
            if (!(error instanceof rf.ForkLimitError)) throw error;
            refused++;
            Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * t.pace);
          }
          while (children > 0 && (children === 3 || rf.waitpid(-1, rf.WNOHANG).pid !== 0)) {
            if (children === 3) rf.waitpid(-1);
            children--;
          }
        }
        while (children-- > 0) rf.waitpid(-1);
        writeSync(done.write, '.');
        wait(end.read); // its place is not for the others' children
        process.exit(0);
      }
      writeSync(start.write, '........');
      const written = Buffer.alloc(65_536);
      let length = 0;
      if (guard === undefined) {
        while (length < 3 * forkers.length) length += readSync(marks, written, { offset: length });
        writeSync(leave.write, '.'.repeat(9 * forkers.length));
      }
      for (let i = 0; i < forkers.length; i++) wait(done.read);
      writeSync(end.write, '........');
      for (const pid of forkers) if (rf.waitpid(pid).status !== 0) throw new Error('a forker failed');
      writeSync(mark, '.');
      length += readSync(marks, written, { offset: length });
      let now = 0;
      let most = 0;
      for (const byte of written.subarray(0, length - 1)) most = Math.max(most, (now += byte === 0x2b ? 1 : -1));
      t.report({ most, now, births: (length - 1) / 2, count: guard?.count ?? 0 });
    },
    { args: [maxProcesses], timeout: 20_000 },
  );
  expect(run.code).toBe(0);
  return run.reports[0];
};

describe('processes that fork at the same moment', () => {
  test('are never more than maxProcesses', async () => {
    const seen = await most(8 + 4);
    expect(seen).toMatchObject({ now: 0, count: 0 });
    expect(seen.most).toBeLessThanOrEqual(4);
    expect(seen.most).toBeGreaterThanOrEqual(2); // zombies have places too, so that it may be less than 4
    expect(seen.births).toBeGreaterThan(20);
  });

  test('are more without a guard: the test above can see it', async () => {
    const seen = await most(null);
    expect(seen.most).toBeGreaterThanOrEqual(24); // 24 at once, and then those that were quick
    expect(seen.births).toBe(72);
  });
});

test('maxDepth counts generations below the setter', async () => {
  const run = await program((rf, t) => {
    rf.guardForks({ maxDepth: 3 });
    let generation = 0;
    for (;;) {
      let pid: number;
      try {
        pid = rf.fork();
      } catch (error) {
        t.report({ generation, ...(error as object) });
        process.exit(generation);
      }
      if (pid !== 0) {
        const { status } = rf.waitpid(pid);
        if (generation > 0) process.exit(status >> 8);
        t.report(status >> 8);
        return;
      }
      generation++;
    }
  });
  expect(run.reports).toEqual([{ generation: 3, code: 'ERR_FORK_LIMIT', limit: 'maxDepth', value: 3 }, 3]);
});

test('maxPerSecond holds in every sliding second, over the whole tree, and lets as many through', async () => {
  const limit = Math.max(4, Math.round(22 / pace)); // which a slow machine could not reach
  const run = await program(
    (rf, t) => {
      const [limit] = t.args as [number];
      const now = () => Number(process.hrtime.bigint() / 1_000n) / 1_000;
      rf.guardForks({ maxPerSecond: limit });
      const start = now();
      const forker = rf.fork();
      const second = forker === 0 ? 0 : rf.fork();
      let refused = 0;
      const forks: { before: number; after: number }[] = [];
      while (now() - start < 2_600) {
        const before = now();
        try {
          const pid = rf.fork();
          if (pid === 0) process.kill(process.pid, 'SIGKILL');
          forks.push({ before, after: now() });
          rf.waitpid(pid);
        } catch (error) {
          if ((error as InstanceType<typeof rf.ForkLimitError>).limit !== 'maxPerSecond') throw error;
          refused++;
        }
      }
      t.report({ refused, forks });
      if (forker === 0 || second === 0) process.exit(0);
      rf.waitpid(forker);
      rf.waitpid(second);
    },
    { args: [limit], timeout: 15_000 },
  );
  expect(run.code).toBe(0);
  expect(run.reports).toHaveLength(3);
  const forks = run.reports.flatMap((r) => r.forks) as { before: number; after: number }[];
  // All but the two forkers, all of them again after one second, and after two (which a slow machine may miss).
  expect(forks.length).toBeGreaterThanOrEqual(2 * limit - 2);
  expect(Math.max(...run.reports.map((r) => r.refused))).toBeGreaterThan(100);
  // The k-th fork and the one `limit` later lie a second apart; both are only known to a call.
  const starts = forks.map((fork) => fork.before).sort((a, b) => a - b);
  const ends = forks.map((fork) => fork.after).sort((a, b) => a - b);
  for (let i = limit; i < forks.length; i++) {
    expect((ends[i] as number) - (starts[i - limit] as number)).toBeGreaterThanOrEqual(1_000);
  }
});

test('a process stays counted when it becomes another program', async () => {
  const run = await program(async (rf, t) => {
    const { readFileSync } = require('node:fs') as typeof import('node:fs');
    const guard = rf.guardForks({ maxProcesses: 1 });
    const pid = rf.fork();
    if (pid === 0) rf.execvp('sleep', ['sleep', '100']);
    await t.waitUntil(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n', 'the new program');
    t.report([guard.count, t.caught(() => rf.fork())]);
    process.kill(pid, 'SIGKILL');
    rf.waitpid(pid);
    t.report(guard.count);
  });
  expect(run.reports).toEqual([[1, expect.objectContaining({ code: 'ERR_FORK_LIMIT', name: 'ForkLimitError' })], 0]);
});

describe('guards nest', () => {
  test("a descendant's guard and the one above must both agree; lifting one leaves the other", async () => {
    const run = await program((rf, t) => {
      const outer = rf.guardForks({ maxProcesses: 4 });
      const child = rf.fork();
      if (child === 0) {
        const attempt = () => {
          try {
            const pid = rf.fork();
            if (pid === 0) for (;;) process.kill(process.pid, 'SIGSTOP');
            return pid;
          } catch (error) {
            return { ...(error as object) };
          }
        };
        const inner = rf.guardForks({ maxProcesses: 1, maxDepth: 5 });
        const pids = [attempt(), attempt()];
        t.report({ pids: pids.map((pid) => typeof pid), error: pids[1], counts: [outer.count, inner.count] });
        inner.lift();
        const more = [attempt(), attempt(), attempt()];
        t.report({ pids: more.map((pid) => typeof pid), error: more[2], counts: [outer.count, inner.count] });
        for (const pid of [...pids, ...more].filter((pid) => typeof pid === 'number')) {
          process.kill(pid, 'SIGKILL');
          rf.waitpid(pid);
        }
        process.exit(0);
      }
      rf.waitpid(child);
      t.report(outer.count);
    });
    const refused = (value: number) => ({ code: 'ERR_FORK_LIMIT', limit: 'maxProcesses', value });
    expect(run.reports).toEqual([
      { pids: ['number', 'object'], error: refused(1), counts: [2, 1] },
      { pids: ['number', 'number', 'object'], error: refused(4), counts: [4, 0] },
      0,
    ]);
  });

  test('a fork that one guard refuses takes nothing from the others', async () => {
    const run = await program((rf, t) => {
      const limitOf = () => {
        try {
          const pid = rf.fork();
          if (pid === 0) process.exit(0);
          return rf.waitpid(pid).status;
        } catch (error) {
          return (error as InstanceType<typeof rf.ForkLimitError>).limit;
        }
      };
      const outer = rf.guardForks({ maxProcesses: 2, maxPerSecond: 3 });
      const inner = rf.guardForks({ maxDepth: 0 });
      t.report([limitOf(), limitOf(), limitOf(), limitOf(), limitOf(), outer.count]);
      inner.lift();
      t.report([limitOf(), limitOf(), limitOf(), limitOf(), outer.count]);
    });
    expect(run.reports).toEqual([
      [...Array<string>(5).fill('maxDepth'), 0],
      [0, 0, 0, 'maxPerSecond', 0],
    ]);
  });

  test('it outlives the process that set it', async () => {
    const run = await program(
      (rf, t) => {
        const setter = rf.fork();
        if (setter === 0) {
          const guard = rf.guardForks({ maxDepth: 2, maxProcesses: 2 });
          if (rf.fork() !== 0) process.kill(process.pid, 'SIGKILL');
          while (process.ppid === setter) t.burn(1);
          const grandchild = rf.fork();
          try {
            if (rf.fork() === 0) process.exit(1);
          } catch (error) {
            t.report({ ...(error as object), grandchild: grandchild === 0, count: guard.count });
          }
          if (grandchild === 0) process.exit(0);
          process.exit(rf.waitpid(grandchild).status);
        }
        rf.waitpid(setter);
        t.report(rf.waitpid(-1).status);
      },
      { wrapper: asSubreaper },
    );
    const refused = { code: 'ERR_FORK_LIMIT', count: 2 };
    expect(run.reports).toContainEqual({ ...refused, limit: 'maxProcesses', value: 2, grandchild: false });
    expect(run.reports).toContainEqual({ ...refused, limit: 'maxDepth', value: 2, grandchild: true });
    expect(run.reports.at(-1)).toBe(0);
  });
});

test('lift frees the whole tree; twice, or by Symbol.dispose, is no harm; a descendant cannot', async () => {
  const run = await program((rf, t) => {
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const { toChild, toParent } = t.pipes('toChild', 'toParent');
    const wait = (fd: number) => readSync(fd, Buffer.alloc(1));
    const attempt = () => {
      try {
        const pid = rf.fork();
        if (pid === 0) process.exit(0);
        return rf.waitpid(pid).status;
      } catch (error) {
        return (error as InstanceType<typeof rf.ForkLimitError>).limit;
      }
    };
    const codeOf = (call: () => void) => {
      try {
        call();
        return 'done';
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    const guard = rf.guardForks({ maxDepth: 1 });
    const child = rf.fork();
    if (child === 0) {
      t.report([attempt(), codeOf(() => guard.lift()), codeOf(() => guard[Symbol.dispose]()), attempt()]);
      writeSync(toParent.write, '.');
      wait(toChild.read);
      t.report([attempt(), guard.count]);
      process.exit(0);
    }
    wait(toParent.read);
    t.report([codeOf(() => guard.lift()), codeOf(() => guard.lift()), guard.count]);
    writeSync(toChild.write, '.');
    rf.waitpid(child);
    const other = rf.guardForks({ maxDepth: 0 });
    t.report([attempt(), other.count]);
    other[Symbol.dispose]();
    t.report(attempt());
  });
  expect(run.reports).toEqual([
    ['maxDepth', 'ERR_WRONG_PROCESS', 'ERR_WRONG_PROCESS', 'maxDepth'],
    ['done', 'done', 0],
    [0, 0],
    ['maxDepth', 0],
    0,
  ]);
});

/** A Worker that is always in native code, where `fork` waits 200 ms for it; its calls are so short that it can be ended. */
const busyWorker = `
  require('node:worker_threads').parentPort.postMessage(0);
  for (;;) require('node:crypto').pbkdf2Sync('', '', 1e6, 64, 'sha512');`;

describe('a fork that comes to nothing', () => {
  test('gives its place back: a busy Worker refuses it, and the limits are as before', async () => {
    const run = await program(
      async (rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const guard = rf.guardForks({ maxProcesses: 1, maxPerSecond: 1 });
        const worker = new Worker(t.args[0], { eval: true });
        await new Promise((resolve) => worker.once('message', resolve));
        for (let i = 0; i < 2; i++) {
          try {
            if (rf.fork() === 0) process.exit(1);
          } catch (error) {
            t.report([(error as NodeJS.ErrnoException).code, guard.count]);
          }
        }
        await worker.terminate();
        const pid = rf.fork();
        if (pid === 0) process.exit(0);
        t.report([rf.waitpid(pid).status, guard.count]);
      },
      { args: [busyWorker] },
    );
    expect(run.reports).toEqual([
      ['ERR_FORK_WORKER_BUSY', 0],
      ['ERR_FORK_WORKER_BUSY', 0],
      [0, 0],
    ]);
  });

  test('its process is killed between reservation and fork: the place is free again within the grace of a second', async () => {
    const run = await program(
      async (rf, t) => {
        const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
        const { ready } = t.pipes('ready');
        const guard = rf.guardForks({ maxProcesses: 3 });
        const child = rf.fork();
        if (child === 0) {
          // While a Worker is busy fork() waits 200 ms for it, its place reserved.
          const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
          const worker = new Worker(t.args[0], { eval: true });
          worker.once('message', () => {
            writeSync(ready.write, '.');
            for (;;) {
              try {
                rf.fork();
              } catch (error) {
                if ((error as NodeJS.ErrnoException).code !== 'ERR_FORK_WORKER_BUSY') throw error;
              }
            }
          });
          return;
        }
        readSync(ready.read, Buffer.alloc(1));
        const deadline = performance.now() + 2_000;
        while (guard.count !== 2 && performance.now() < deadline); // it and its reservation
        process.kill(child, 'SIGKILL');
        rf.waitpid(child);
        const killed = performance.now();
        t.report(guard.count);
        await t.waitUntil(() => guard.count === 0, 'the place is free again');
        t.report(performance.now() - killed);
      },
      { args: [busyWorker] },
    );
    expect(run.reports[0]).toBe(1);
    expect(run.reports[1]).toBeGreaterThan(500); // the reservation was at most 200 ms old when its process was killed
    expect(run.reports[1]).toBeLessThan(1_500);
  });

  test.each(['EAGAIN', 'ENOMEM'] as const)('%s from fork(2) is a typed error; the parent goes on', async (name) => {
    const errno = constants.errno[name];
    const run = await program(
      async (rf, t) => {
        const { readFile } = require('node:fs/promises') as typeof import('node:fs/promises');
        const { readdirSync } = require('node:fs') as typeof import('node:fs');
        const order: string[] = [];
        rf.registerAtFork({
          before: () => order.push('before'),
          afterInParent: () => order.push('afterInParent'),
          afterInChild: () => order.push('afterInChild'),
        });
        const guard = rf.guardForks({ maxProcesses: 1, maxPerSecond: 1 });
        const descriptors = readdirSync('/proc/self/fd').length;
        for (let i = 0; i < 50; i++) {
          try {
            if (rf.fork() === 0) process.exit(1);
          } catch (error) {
            if (i === 49)
              t.report({ ...(error as object), typed: error instanceof rf.PosixError, order, count: guard.count });
            order.length = 0;
          }
        }
        // Everything that fork stops or locks on its way works as before.
        await new Promise((resolve) => setTimeout(resolve, 5));
        const text = await readFile(__filename, 'utf8');
        const hot = (n: number): number => (n < 2 ? n : hot(n - 1) + hot(n - 2));
        for (let i = 0; i < 20; i++) JSON.parse(JSON.stringify(Array(1e4).fill(hot(15))));
        let caught = false;
        process.once('SIGUSR2', () => (caught = true));
        process.kill(process.pid, 'SIGUSR2');
        await t.waitUntil(() => caught, 'the signal');
        t.report({ text: text.length > 0, more: readdirSync('/proc/self/fd').length - descriptors });
        try {
          rf.waitpid(-1);
        } catch (error) {
          t.report((error as NodeJS.ErrnoException).code); // no child was made
        }
      },
      { wrapper: withFailingFork(errno) },
    );
    expect(run.reports).toEqual([
      { code: name, errno: -errno, syscall: 'fork', typed: true, order: ['before', 'afterInParent'], count: 0 },
      { text: true, more: 0 },
      'ECHILD',
    ]);
    expect(run.code).toBe(0);
  });
});

/**
 * `while (true) fork()`, in every process of the tree, for two seconds, then killed as a process group (and each would
 * end by itself soon after). The fence behind the guard is a limit on the tasks of a user of its own, far above what the
 * guard allows.
 */
const bombing = (limits: object | null) =>
  program(
    async (rf, t) => {
      const { spawn, spawnSync } = require('node:child_process') as typeof import('node:child_process');
      if (process.send === undefined) {
        const bomb = spawn(process.execPath, [__filename], { detached: true, stdio: ['ignore', 1, 2, 'ipc'] });
        const gone = new Promise((resolve) => bomb.once('exit', resolve));
        try {
          const told: unknown[] = [];
          bomb.on('message', (message) => told.push(message));
          await t.waitUntil(() => told.length > 0, 'the bomb is lit');
          // The machine is usable: other programs start, slower only for the processors being shared.
          const starts: number[] = [];
          let most = 0;
          const count = () => {
            const group = spawnSync('ps', ['-o', 'pid=', '-g', String(bomb.pid)], { encoding: 'utf8' });
            most = Math.max(most, group.stdout.trim().split('\n').length);
          };
          for (const end = performance.now() + 2_000; performance.now() < end;) {
            const begin = performance.now();
            if (spawnSync('true').status !== 0) throw new Error('no other program can be started');
            starts.push(performance.now() - begin);
            count();
          }
          await t.waitUntil(() => told.length > 1, "the bomb's two seconds are over", 15_000);
          count(); // on a slow machine the loop above has looked twice, and early: the root's children are all still there
          t.report({ most, slowest: Math.max(...starts), told: told[1] });
        } finally {
          process.kill(-(bomb.pid as number), 'SIGKILL');
          await gone;
        }
        return;
      }
      const { readFile } = require('node:fs/promises') as typeof import('node:fs/promises');
      await readFile('/proc/self/status'); // libuv aborts when it cannot start its pool: that is not under test
      const [user, chosen] = t.args as [number, object | null];
      if (process.getuid?.() === 0) process.setuid?.(user);
      const guard = chosen === null ? undefined : rf.guardForks(chosen);
      await new Promise((resolve) => process.send?.(0, resolve));
      const root = process.pid;
      const lit = performance.now();
      const codes = new Set<unknown>();
      let sample: object = {};
      while (performance.now() - lit < (process.pid === root ? 2_000 : 10_000) * t.pace) {
        try {
          rf.fork();
        } catch (error) {
          codes.add((error as NodeJS.ErrnoException).code);
          sample = { ...(error as object) };
        }
      }
      if (process.pid !== root) process.exit(0);
      // The parent of it all is unharmed.
      await new Promise((resolve) => setTimeout(resolve, 5));
      const text = await readFile('/proc/self/status', 'utf8');
      const unharmed = text.includes(`Pid:\t${process.pid}\n`);
      process.send({ codes: [...codes], sample, unharmed, count: guard?.count ?? -1 });
    },
    { args: [freshUser(), limits], wrapper: withTaskLimit(150), timeout: 25_000 },
  );

describe('while (true) fork()', () => {
  test('under a guard leaves the machine usable, and never comes near the limit behind the guard', async () => {
    const run = await bombing({ maxProcesses: 10, maxDepth: 4 });
    expect(run.reports).toEqual([
      {
        most: 11,
        slowest: expect.any(Number),
        told: {
          codes: ['ERR_FORK_LIMIT'],
          sample: { code: 'ERR_FORK_LIMIT', limit: 'maxProcesses', value: 10 },
          unharmed: true,
          count: 10,
        },
      },
    ]);
    expect(run.reports[0].slowest).toBeLessThan(2_000);
    expect(run.stderr).toBe('');
  });

  // Otherwise the limit is that of whoever looks on, too.
  asRoot('without a guard runs into that limit: EAGAIN as a typed error, the parent unharmed', async () => {
    const run = await bombing(null);
    const [{ most, told }] = run.reports;
    expect(most).toBeGreaterThan(11);
    expect(told).toEqual({
      codes: ['EAGAIN'],
      sample: { code: 'EAGAIN', errno: -constants.errno.EAGAIN, syscall: 'fork' },
      unharmed: true,
      count: -1,
    });
  });
});

describe('kernel: true', () => {
  /** Start programs until the kernel refuses one: the guard itself does not see `child_process`. */
  const fenced = (user: number | null) =>
    program(
      async (rf, t) => {
        const { existsSync, readFileSync } = require('node:fs') as typeof import('node:fs');
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const [user] = t.args as [number | null];
        await require('node:fs/promises').readFile('/proc/self/status'); // the thread pool's tasks, before the limit
        if (user !== null && process.getuid?.() === 0) process.setuid?.(user);
        const group = () => readFileSync('/proc/self/cgroup', 'utf8');
        const soft = () => rf.getrlimit('RLIMIT_NPROC').soft;
        const before = { group: group(), soft: soft() };

        const guard = rf.guardForks({ maxProcesses: 1, kernel: true });
        const moved = group() !== before.group;
        const child = rf.fork();
        if (child === 0) {
          t.report({ inside: group() !== before.group, soft: soft() < before.soft });
          rf._exit(0);
        }
        rf.waitpid(child);
        t.report({ kernel: guard.kernel, moved, lowered: soft() < before.soft });

        let refused: string | undefined;
        const started: import('node:child_process').ChildProcess[] = [];
        const limit = guard.kernel === 'none' ? 0 : 200;
        while (started.length < limit && refused === undefined) {
          const sleeper = spawn('sleep', ['100'], { stdio: 'ignore' });
          sleeper.on('error', (error) => (refused = (error as NodeJS.ErrnoException).code));
          if (sleeper.pid !== undefined) started.push(sleeper);
          await new Promise((resolve) => setImmediate(resolve));
        }
        t.report({ kernel: guard.kernel, refused, started: started.length });
        for (const sleeper of started) sleeper.kill('SIGKILL');
        await Promise.all(started.map((sleeper) => new Promise((resolve) => sleeper.once('exit', resolve))));

        const own = /^\d+:(?:pids|):(\/.*realfork-guard-.*)$/m.exec(group())?.[1];
        guard.lift();
        const left = ['', '/pids', '/unified'].some((mount) => existsSync(`/sys/fs/cgroup${mount}${own ?? '/none'}`));
        t.report({ back: group() === before.group && soft() === before.soft, left });
      },
      { args: [user], timeout: 20_000 },
    );

  test('is exact about what it did, stops what the guard cannot see, and is undone by lift', async () => {
    const run = await fenced(null);
    const [child, guard, spawned, lifted] = run.reports;
    const { kernel } = guard;
    expect(['cgroup', 'rlimit', 'none']).toContain(kernel);
    expect(guard).toEqual({ kernel, moved: kernel === 'cgroup', lowered: kernel === 'rlimit' });
    expect(child).toEqual({ inside: kernel === 'cgroup', soft: kernel === 'rlimit' });
    expect(spawned.refused).toBe(kernel === 'none' ? undefined : 'EAGAIN');
    if (kernel === 'cgroup') expect(spawned.started).toBe(128); // for the setter and for one child: 64 each
    expect(lifted).toEqual({ back: true, left: false });
  });

  test('a setter that was killed leaves nothing for good: the next one removes its cgroup', async () => {
    const run = await program((rf, t) => {
      const { readdirSync, readFileSync } = require('node:fs') as typeof import('node:fs');
      const mounts = /^\S+ \S+ \S+ (\S+) (\S+) .* - cgroup2? \S+ (?:\S*,)?(?:pids|nsdelegate|rw)\b/gm;
      const folders = () =>
        [...readFileSync('/proc/self/mountinfo', 'utf8').matchAll(mounts)].flatMap(([, , folder]) =>
          readdirSync(folder as string, { recursive: true, encoding: 'utf8' }),
        );
      const of = (pid: number) =>
        folders().filter((name) => new RegExp(`realfork-guard-${pid}-\\d+$`).test(name)).length;
      const child = rf.fork();
      if (child === 0) {
        t.report(rf.guardForks({ maxProcesses: 1, kernel: true }).kernel);
        process.kill(process.pid, 'SIGKILL');
      }
      rf.waitpid(child);
      const after = of(child);
      rf.guardForks({ maxProcesses: 1, kernel: true }).lift();
      t.report([after, of(child), of(process.pid)]);
    });
    const [kernel, found] = run.reports;
    expect(found).toEqual([kernel === 'cgroup' ? 1 : 0, 0, 0]);
  });

  // Somebody else may have been given a cgroup.
  asRoot('without a writable cgroup an ordinary user gets RLIMIT_NPROC', async () => {
    const run = await fenced(freshUser());
    const [child, guard, spawned, lifted] = run.reports;
    expect(guard).toEqual({ kernel: 'rlimit', moved: false, lowered: true });
    expect(child).toEqual({ inside: false, soft: true });
    expect(spawned).toEqual({ kernel: 'rlimit', refused: 'EAGAIN', started: expect.any(Number) });
    expect(lifted).toEqual({ back: true, left: false });
  });
});
