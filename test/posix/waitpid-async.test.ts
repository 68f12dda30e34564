import { program } from '../helpers/program';

const CHILD_ERROR = { code: 'ECHILD', errno: -10, syscall: 'waitpid' };

describe('errors of waitpidAsync', () => {
  test('W03 every rejection, by its clause in waitpid(2)', async () => {
    const run = await program(async (rf, t) => {
      const of = async (...args: unknown[]) => {
        // eslint-disable-next-line @typescript-eslint/no-explicit-any -- wrong arguments are the point
        const error = await (rf.waitpidAsync as any)(...args).then(
          (value: unknown) => ({ code: `resolved: ${JSON.stringify(value)}` }),
          (e: unknown) => e,
        );
        return { name: error.name, code: error.code, errno: error.errno, syscall: error.syscall };
      };
      t.report({
        anyWithoutChildren: await of(-1),
        anyWithoutChildrenNoHang: await of(-1, 1),
        ownGroupWithoutChildren: await of(0),
        noSuchGroup: await of(-process.pid),
        notAChild: await of(1),
        itself: await of(process.pid),
        aboveTheMaximum: await of(4194305),
        unknownOption: await of(-1, 4),
        unknownOptionInObject: await of(-1, { options: 1 << 20 }),
        intMin: await of(-2147483648),
        noPid: await of(),
        textPid: await of('1'),
        fractionPid: await of(1.5),
        largePid: await of(2 ** 31),
        textOptions: await of(1, 'x'),
        nullOptions: await of(1, null),
        arrayOptions: await of(1, []),
        fractionOptions: await of(1, { options: 0.5 }),
        noSignal: await of(1, { signal: {} }),
      });
    });
    const posix = (error: object) => ({ name: 'PosixError', ...error });
    const child = posix(CHILD_ERROR);
    const invalid = posix({ code: 'EINVAL', errno: -22, syscall: 'waitpid' });
    const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
    const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
    expect(run.reports).toEqual([
      {
        anyWithoutChildren: child,
        anyWithoutChildrenNoHang: child,
        ownGroupWithoutChildren: child,
        noSuchGroup: child,
        notAChild: child,
        itself: child,
        aboveTheMaximum: child,
        unknownOption: invalid,
        unknownOptionInObject: invalid,
        intMin: posix({ code: 'ESRCH', errno: -3, syscall: 'waitpid' }),
        noPid: type,
        textPid: type,
        fractionPid: range,
        largePid: range,
        textOptions: type,
        nullOptions: type,
        arrayOptions: type,
        fractionOptions: range,
        noSignal: type,
      },
    ]);
  });
});

describe('waiting', () => {
  test('W01 the raw status of an exit, of each signal, and of a child that has long ended, as waitpid gives it', async () => {
    const run = await program(async (rf, t) => {
      const end = (how: number | NodeJS.Signals): number => {
        const pid = rf.fork();
        if (pid > 0) return pid;
        if (typeof how === 'number') process.exit(how);
        process.kill(process.pid, how);
        for (;;) t.burn(10);
      };
      for (const how of [0, 1, 42, 255, 'SIGKILL', 'SIGTERM', 'SIGHUP'] as const) {
        const early = end(how);
        const inTime = await rf.waitpidAsync(early); // watched before its end, or nearly
        const sync = rf.waitpid(end(how));
        const late = end(how);
        await t.waitUntil(() => t.stat(late)?.[0] === 'Z', 'the child has ended');
        const afterwards = await rf.waitpidAsync(late);
        t.report([how, inTime.pid === early, inTime.status, sync.status, afterwards.pid === late, afterwards.status]);
      }
    });
    const row = (how: unknown, status: number) => [how, true, status, status, true, status];
    expect(run.reports).toEqual([
      row(0, 0),
      row(1, 1 << 8),
      row(42, 42 << 8),
      row(255, 255 << 8),
      row('SIGKILL', 9),
      row('SIGTERM', 15),
      row('SIGHUP', 1),
    ]);
  });

  test('leaves the event loop free, and keeps it alive with nothing else to do', async () => {
    const run = await program((rf, t) => {
      const { openSync, writeSync, readSync } = require('node:fs') as typeof import('node:fs');
      const { mkdtempSync, rmSync } = require('node:fs') as typeof import('node:fs');
      const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
      const folder = mkdtempSync('/tmp/realfork-fifo-');
      execFileSync('mkfifo', [`${folder}/go`]);
      const fifo = openSync(`${folder}/go`, 'r+');
      rmSync(folder, { recursive: true });
      const pid = rf.fork();
      if (pid === 0) {
        readSync(fifo, Buffer.alloc(1)); // blocks until the parent's loop has turned
        process.exit(3);
      }
      let turns = 0;
      const timer = setInterval(() => {
        if (++turns < 5) return;
        clearInterval(timer);
        writeSync(fifo, 'x'); // from here on the wait alone keeps the loop alive
      }, 1);
      void rf.waitpidAsync(pid).then(({ status }) => t.report({ turns, status }));
    });
    expect(run.reports).toEqual([{ turns: 5, status: 3 << 8 }]);
    expect(run.code).toBe(0);
  });

  test('W05 WNOHANG: pid 0 at once for a live child; polling 8 children sees each once', async () => {
    const run = await program(async (rf, t) => {
      const live = rf.fork();
      if (live === 0) {
        setInterval(() => {}, 1000);
        return;
      }
      t.report([await rf.waitpidAsync(live, 1), await rf.waitpidAsync(-1, { options: 1 })]);
      process.kill(live, 'SIGKILL');
      t.report((await rf.waitpidAsync(live)).status);

      const children = new Set<number>();
      for (let i = 0; i < 8; i++) {
        const pid = rf.fork();
        if (pid > 0) {
          children.add(pid);
          continue;
        }
        if (i % 4 === 1) setTimeout(() => process.exit(3), 50);
        else if (i % 4 === 2) t.burn(50);
        else if (i % 4 === 3) {
          for (let round = 0; round < 10; round++) {
            const grandchild = rf.fork();
            if (grandchild === 0) process.exit(0);
            await rf.waitpidAsync(grandchild);
          }
        }
        if (i % 4 !== 1) process.exit(3);
        return;
      }
      const seen: number[] = [];
      for (;;) {
        const { pid, status } = await rf.waitpidAsync(-1, 1).catch((e) => ({ pid: -1, status: e.code }));
        if (pid === -1) {
          t.report({ end: status, seen: seen.length, known: seen.every((p) => children.has(p)) });
          break;
        }
        if (pid > 0) {
          seen.push(pid);
          t.report(status);
        } else {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    });
    expect(run.reports.slice(0, 2)).toEqual([
      [
        { pid: 0, status: 0 },
        { pid: 0, status: 0 },
      ],
      9,
    ]);
    expect(run.reports.slice(2)).toEqual([...Array(8).fill(3 << 8), { end: 'ECHILD', seen: 8, known: true }]);
  });

  test('W02 25 children awaited together, the middle one first; each status comes once', async () => {
    const run = await program(async (rf, t) => {
      const pids: number[] = [];
      for (let i = 0; i < 25; i++) {
        const pid = rf.fork();
        if (pid === 0) process.exit(i);
        pids.push(pid);
      }
      const middle = await rf.waitpidAsync(pids[12] as number);
      t.report(middle.status >> 8);
      t.report(await rf.waitpidAsync(pids[12] as number).catch((e) => e.code));
      const rest = await Promise.allSettled(pids.map((pid) => rf.waitpidAsync(pid)));
      t.report(rest.map((r, i) => (r.status === 'fulfilled' ? r.value.status >> 8 === i : r.reason.code)));
      t.report(await rf.waitpidAsync(-1).catch((e) => e.code));
    });
    const rest = Array(25).fill(true);
    rest[12] = 'ECHILD';
    expect(run.reports).toEqual([12, 'ECHILD', rest, 'ECHILD']);
  });

  test('WUNTRACED and WCONTINUED tell of a stop and of going on, each once', async () => {
    const run = await program(async (rf, t) => {
      const [WUNTRACED, WCONTINUED] = [2, process.platform === 'darwin' ? 16 : 8];
      const pid = rf.fork();
      if (pid === 0) {
        setInterval(() => {}, 1000);
        return;
      }
      const statusOf = async (wait: Promise<{ pid: number; status: number }>) => {
        const result = await wait;
        return [result.pid === pid, result.status];
      };
      const end = rf.waitpidAsync(pid); // must not settle before the end
      let ended = false;
      void end.then(() => (ended = true));
      let wait = statusOf(rf.waitpidAsync(pid, WUNTRACED));
      process.kill(pid, 'SIGSTOP');
      t.report(await wait);
      t.report(await rf.waitpidAsync(pid, WUNTRACED | 1));
      wait = statusOf(rf.waitpidAsync(-1, WCONTINUED));
      process.kill(pid, 'SIGCONT');
      t.report(await wait);
      wait = statusOf(rf.waitpidAsync(0, WUNTRACED | WCONTINUED));
      process.kill(pid, 'SIGSTOP');
      t.report(await wait);
      t.report(ended);
      process.kill(pid, 'SIGKILL');
      t.report(await statusOf(end));
    });
    expect(run.reports).toEqual([
      [true, 0x137f],
      { pid: 0, status: 0 },
      [true, 0xffff],
      [true, 0x137f],
      false,
      [true, 9],
    ]);
  });

  test('W02 of two waits for one pid one gets the status and the other ECHILD, whichever way they wait', async () => {
    const run = await program(async (rf, t) => {
      for (const [first, second] of [
        [0, 0],
        [2, 2],
        [0, 2],
      ]) {
        const pid = rf.fork();
        if (pid === 0) {
          setTimeout(() => process.exit(5), 20);
          return;
        }
        const both = await Promise.allSettled([rf.waitpidAsync(pid, first), rf.waitpidAsync(pid, second)]);
        t.report(both.map((r) => (r.status === 'fulfilled' ? r.value.status : r.reason.code)).sort());
      }
    });
    expect(run.reports).toEqual(Array(3).fill([5 << 8, 'ECHILD']));
  });

  test('a status that waitpid took first is ECHILD for every wait under way, not a hang', async () => {
    const run = await program(async (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        setTimeout(() => process.exit(5), 20);
        return;
      }
      const waits = [rf.waitpidAsync(pid), rf.waitpidAsync(pid, 2), rf.waitpidAsync(-1), rf.waitpidAsync(0)];
      t.report(rf.waitpid(pid).status);
      t.report((await Promise.allSettled(waits)).map((r) => (r.status === 'rejected' ? r.reason.code : r.value)));
    });
    expect(run.reports).toEqual([5 << 8, Array(4).fill('ECHILD')]);
  });

  test("W07 groups: 0 is the caller's at the time of the call, -pgid another, -1 any; each ends with ECHILD", async () => {
    const run = await program(async (rf, t) => {
      const old = rf.getpgrp();
      const [reading, writing] = rf.pipe();
      const children: number[] = [];
      const start = () => {
        const pid = rf.fork();
        if (pid > 0) return void children.push(pid);
        require('node:fs').readSync(reading, Buffer.alloc(1)); // until told to end
        process.exit(3);
      };
      // In a group of its own from the third child on: four children stay behind in the old one.
      const inner = rf.fork();
      if (inner > 0) {
        t.report((await rf.waitpidAsync(inner)).status);
        return;
      }
      for (let i = 0; i < 4; i++) start();
      rf.setpgid(0, 0);
      for (let i = 0; i < 4; i++) start();
      const tell = (count: number) => require('node:fs').writeSync(writing, 'x'.repeat(count));
      const placeOf = async (wait: Promise<{ pid: number; status: number }>) => {
        const { pid, status } = await wait.catch((e) => ({ pid: e.code, status: 0 }));
        return pid > 0 ? [children.indexOf(pid) < 4 ? 'old' : 'own', status] : pid;
      };
      const { WNOHANG } = rf;
      t.report(await Promise.all([0, -old, -1].map((pid) => placeOf(rf.waitpidAsync(pid, WNOHANG)))));
      const here = rf.waitpidAsync(0); // means this group for good
      tell(8);
      await t.waitUntil(() => rf.zombies().length >= 7, 'all have ended, one of them collected');
      rf.setpgid(0, old);
      t.report(await placeOf(here));
      rf.setpgid(0, process.pid); // a group of that number exists still: its zombies are in it
      for (let i = 0; i < 4; i++) t.report(await placeOf(rf.waitpidAsync(0)));
      for (let i = 0; i < 4; i++) t.report(await placeOf(rf.waitpidAsync(-old, rf.WUNTRACED)));
      t.report(await Promise.all([0, -old, -1].map((pid) => placeOf(rf.waitpidAsync(pid)))));
    });
    const own = ['own', 3 << 8];
    const other = ['old', 3 << 8];
    const none = 'ECHILD';
    expect(run.reports).toEqual([
      [0, 0, 0],
      own,
      own,
      own,
      own,
      none,
      other,
      other,
      other,
      other,
      [none, none, none],
      0,
    ]);
    expect(run.stderr).toBe('');
  });

  test('an end that is reported while the program is ending itself does it no harm', async () => {
    const run = await program((rf, t) => {
      process.on('exit', () => {
        const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
        const [reading, writing] = rf.pipe();
        const pids = [rf.fork(), 0];
        if (pids[0] !== 0) pids[1] = rf.fork();
        if (pids.includes(0)) {
          readSync(reading, Buffer.alloc(1)); // until the waits are under way
          rf._exit(0);
        }
        void rf.waitpidAsync(pids[0] as number, rf.WUNTRACED);
        void rf.waitpidAsync(pids[1] as number);
        writeSync(writing, 'xx');
        while (pids.some((pid) => t.stat(pid)?.[0] !== 'Z'));
        t.report('ended');
      });
    });
    expect(run.reports).toEqual(['ended']);
    expect([run.code, run.signal, run.stderr]).toEqual([0, null, '']);
  });

  test('an AbortSignal gives up the wait and leaves the child to be waited for', async () => {
    const run = await program(async (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        setInterval(() => {}, 1000);
        return;
      }
      const errorOf = (wait: Promise<unknown>) =>
        wait.catch((e) => [e.name, e.code, e.cause?.message ?? e.cause?.name, e instanceof rf.AbortError]);
      const already = AbortSignal.abort(new Error('before'));
      t.report(await errorOf(rf.waitpidAsync(pid, { signal: already })));
      for (const [target, options] of [
        [pid, 0],
        [pid, 2],
        [-1, 0],
      ] as const) {
        const controller = new AbortController();
        const wait = rf.waitpidAsync(target, { options, signal: controller.signal });
        setTimeout(() => controller.abort(new Error('meanwhile')), 5);
        t.report(await errorOf(wait));
      }
      process.kill(pid, 'SIGKILL');
      const controller = new AbortController();
      t.report((await rf.waitpidAsync(pid, { signal: controller.signal })).status);
      controller.abort(); // too late to matter
    });
    const meanwhile = ['AbortError', 'ABORT_ERR', 'meanwhile', true];
    expect(run.reports).toEqual([['AbortError', 'ABORT_ERR', 'before', true], meanwhile, meanwhile, meanwhile, 9]);
    expect(run.stderr).toBe('');
  });

  test('1,000 waits leave no descriptor behind, and waiting works with none to spare', async () => {
    const run = await program(
      async (rf, t) => {
        const { closeSync, openSync, readdirSync } = require('node:fs') as typeof import('node:fs');
        const count = () => readdirSync('/proc/self/fd').length;
        const warm = rf.fork();
        if (warm === 0) process.exit(0);
        await Promise.all([rf.waitpidAsync(warm), rf.waitpidAsync(warm, 2).catch(() => {})]);
        await new Promise(setImmediate);
        const before = count();
        let during = 0;
        const tally: Record<string, number> = {};
        for (let round = 0; round < 50; round++) {
          const pid = rf.fork();
          if (pid === 0) process.exit(0);
          const controller = new AbortController();
          const waits = Array.from({ length: 20 }, (_, i) =>
            rf.waitpidAsync(pid, i < 5 ? { signal: controller.signal } : 0),
          );
          during = Math.max(during, count());
          controller.abort();
          for (const result of await Promise.allSettled(waits)) {
            const key = result.status === 'fulfilled' ? 'resolved' : result.reason.code;
            tally[key] = (tally[key] ?? 0) + 1;
          }
        }
        t.report({ tally, leaked: count() - before, usedPidfds: during > before });

        const pid = rf.fork();
        if (pid === 0) {
          setTimeout(() => process.exit(9), 100);
          return;
        }
        const other = rf.fork();
        if (other === 0) {
          setTimeout(() => process.exit(8), 100);
          return;
        }
        const all: number[] = [];
        try {
          for (;;) all.push(openSync('/dev/null', 'r'));
        } catch (error) {
          t.report((error as NodeJS.ErrnoException).code);
        }
        const any = rf.waitpidAsync(-1); // needs a descriptor to look, and looks again until it gets one
        t.report((await rf.waitpidAsync(pid)).status);
        for (const fd of all) closeSync(fd);
        t.report((await any).status);
      },
      { wrapper: ['sh', '-c', 'ulimit -n 256; exec "$0" "$@"'], timeout: 25_000 },
    );
    const [first, ...rest] = run.reports;
    expect(first.leaked).toBe(0);
    expect(first.usedPidfds).toBe(true);
    expect(first.tally.resolved).toBe(50);
    expect(first.tally.ECHILD + first.tally.ABORT_ERR).toBe(950);
    expect(rest).toEqual(['EMFILE', 9 << 8, 8 << 8]);
  });
});

describe('beside child_process', () => {
  test('W17 a status of child_process is never taken, by pid nor by any', async () => {
    const run = await program(
      async (rf, t) => {
        const cp = require('node:child_process') as typeof import('node:child_process');
        const { once } = require('node:events') as typeof import('node:events');
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const code = (wait: Promise<unknown>) => wait.catch((e: NodeJS.ErrnoException) => e.code);

        const held = cp.spawn('sleep', ['5']);
        const heldExit = once(held, 'exit');
        t.report([await code(rf.waitpidAsync(held.pid as number)), await code(rf.waitpidAsync(-1))]);
        t.report([await code(rf.waitpidAsync(0)), await code(rf.waitpidAsync(held.pid as number, 3))]);
        const dead = cp.spawn('true');
        const deadExit = once(dead, 'exit');
        for (let state; state !== 'Z'; state = t.stat(dead.pid as number)?.[0]); // dead, and the loop has not turned
        t.report([await code(rf.waitpidAsync(dead.pid as number)), await code(rf.waitpidAsync(-1, 1))]);
        held.kill();
        t.report([await deadExit, await heldExit]);

        // A storm: forked children, child_process of this thread, and of a Worker, all ending at the same time.
        const source = `
          const cp = require('child_process'), { parentPort } = require('worker_threads');
          const codes = [];
          for (let i = 0; i < 20; i++) codes.push(cp.spawnSync('sh', ['-c', 'exit ' + i]).status);
          for (let i = 0; i < 20; i++) {
            cp.spawn('sh', ['-c', 'exit ' + i]).on('exit', (code) => codes.push(code) === 40 && parentPort.postMessage(codes));
          }`;
        const forked: number[] = [];
        for (let i = 0; i < 20; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            setTimeout(() => process.exit(100 + i), 100 + 5 * i); // in the middle of it
            return;
          }
          forked.push(pid);
        }
        const worker = new Worker(source, { eval: true });
        const fromWorker = once(worker, 'message');
        const spawned = Array.from({ length: 20 }, (_, i) => once(cp.spawn('sh', ['-c', `exit ${i}`]), 'exit'));
        const any: number[] = [];
        for (const _ of forked) any.push((await rf.waitpidAsync(-1)).status >> 8);
        t.report(await code(rf.waitpidAsync(-1)));
        t.report(any.sort((a, b) => a - b));
        t.report((await Promise.all(spawned)).map(([status]) => status));
        t.report((await fromWorker)[0].sort((a: number, b: number) => a - b));
        t.report(cp.spawnSync('sh', ['-c', 'exit 77']).status);
      },
      { timeout: 20_000 },
    );
    const to20 = Array.from({ length: 20 }, (_, i) => i);
    expect(run.reports).toEqual([
      ['ECHILD', 'ECHILD'],
      ['ECHILD', 'ECHILD'],
      ['ECHILD', 'ECHILD'],
      [
        [0, null],
        [null, 'SIGTERM'],
      ],
      'ECHILD',
      to20.map((i) => 100 + i),
      to20,
      to20.flatMap((i) => [i, i]),
      77,
    ]);
  });

  test("in a Worker every wait rejects with ECHILD, the main thread's children included, and the Worker ends", async () => {
    const run = await program(
      async (rf, t) => {
        const { once } = require('node:events') as typeof import('node:events');
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const pid = rf.fork();
        if (pid === 0) {
          setInterval(() => {}, 1000);
          return;
        }
        const source = `
          const rf = require(${JSON.stringify(t.args[0])});
          const cp = require('child_process').spawn('sleep', ['0.05']);
          cp.on('exit', (code) => {
            Promise.allSettled([rf.waitpidAsync(${pid}), rf.waitpidAsync(-1), rf.waitpidAsync(-1, 2)])
              .then((all) => require('worker_threads').parentPort.postMessage([code, ...all.map((r) => r.reason?.code)]));
          });
          rf.waitpidAsync(cp.pid).catch((e) => require('worker_threads').parentPort.postMessage(e.code));`;
        const worker = new Worker(source, { eval: true });
        const messages: unknown[] = [];
        worker.on('message', (message) => messages.push(message));
        const [code] = await once(worker, 'exit');
        t.report([messages, code]);
        process.kill(pid, 'SIGKILL');
        t.report((await rf.waitpidAsync(pid)).status);
      },
      { args: [require('node:path').join(__dirname, '..', '..')] },
    );
    expect(run.reports).toEqual([[['ECHILD', [0, 'ECHILD', 'ECHILD', 'ECHILD']], 0], 9]);
  });

  test("W17 process.on('SIGCHLD') fires for an end and for a stop, and breaks neither kind of wait nor child_process", async () => {
    const run = await program(async (rf, t) => {
      const cp = require('node:child_process') as typeof import('node:child_process');
      const { once } = require('node:events') as typeof import('node:events');
      let signals = 0;
      const count = () => signals++;
      process.on('SIGCHLD', count);
      const ended = rf.fork();
      if (ended === 0) process.exit(4);
      await t.waitUntil(() => signals > 0, 'SIGCHLD for an end');
      t.report(rf.waitpid(ended).status);
      const stopped = rf.fork();
      if (stopped === 0) {
        setInterval(() => {}, 1000);
        return;
      }
      let before = signals;
      process.kill(stopped, 'SIGSTOP');
      await t.waitUntil(() => signals > before, 'SIGCHLD for a stop');
      t.report(rf.waitpid(stopped, 2).status);
      const wait = rf.waitpidAsync(-1);
      before = signals;
      process.kill(stopped, 'SIGKILL');
      t.report((await wait).status);
      await t.waitUntil(() => signals > before, 'SIGCHLD for the kill');
      t.report(await once(cp.spawn('sh', ['-c', 'exit 6']), 'exit'));
      process.off('SIGCHLD', count);
      const last = rf.fork();
      if (last === 0) process.exit(2);
      t.report((await rf.waitpidAsync(-1)).status);
    });
    expect(run.reports).toEqual([4 << 8, 0x137f, 9, [6, null], 2 << 8]);
  });
});

describe('around fork', () => {
  test("a wait stays the parent's: in the child nothing chained to it runs, and its loop does not wait", async () => {
    const run = await program(async (rf, t) => {
      const long = rf.fork();
      if (long === 0) {
        setInterval(() => {}, 1000);
        return;
      }
      const root = process.pid;
      const waits = [rf.waitpidAsync(long), rf.waitpidAsync(long, 2), rf.waitpidAsync(-1, 2)];
      for (const wait of waits) {
        wait.then(
          () => process.pid === root || t.report('settled in the child'),
          (e) => process.pid === root || t.report(`rejected in the child: ${e.code}`),
        );
      }
      const ends = rf.fork();
      if (ends === 0) {
        process.exitCode = 5; // and off the end, with nothing to do
        return;
      }
      t.report((await rf.waitpidAsync(ends)).status);
      const waiter = rf.fork();
      if (waiter === 0) {
        // The child's own waits work, and the parent's promises say what waitpid would say here.
        t.report((await Promise.allSettled(waits)).map((r) => (r.status === 'rejected' ? r.reason.code : r.value)));
        t.report(await waits[0]?.catch((e) => [e.code, e.pid === long]));
        const own = rf.fork();
        if (own === 0) process.exit(6);
        t.report((await rf.waitpidAsync(own)).status);
        const other = rf.fork();
        if (other === 0) process.exit(7);
        t.report((await rf.waitpidAsync(-1)).status);
        process.exit(0);
      }
      t.report(rf.waitpid(waiter).status);
      process.kill(long, 'SIGKILL');
      const settled = await Promise.allSettled(waits);
      t.report(settled.map((r) => (r.status === 'rejected' ? r.reason.code : r.value.status)).sort());
    });
    expect(run.stderr).toBe('');
    expect(run.reports[0]).toBe(5 << 8);
    expect(run.reports.slice(1, 5)).toEqual([['ECHILD', 'ECHILD', 'ECHILD'], ['ECHILD', true], 6 << 8, 7 << 8]);
    expect(run.reports[5]).toBe(0);
    expect(run.reports[6]).toEqual([9, 'ECHILD', 'ECHILD']);
    expect(run.reports).toHaveLength(7);
  });

  test("the parent's child_process children neither hold the child nor are taken for its own", async () => {
    const run = await program(async (rf, t) => {
      const cp = require('node:child_process') as typeof import('node:child_process');
      const { once } = require('node:events') as typeof import('node:events');
      const sleeper = cp.spawn('sleep', ['30'], { stdio: 'ignore' });
      const pid = rf.fork();
      if (pid === 0) {
        sleeper.on('exit', () => t.report('exit seen in the child'));
        t.report(await rf.waitpidAsync(sleeper.pid as number).catch((e) => e.code));
        t.report(await once(cp.spawn('sh', ['-c', 'exit 4']), 'exit'));
        return; // and off the end
      }
      t.report((await rf.waitpidAsync(pid)).status);
      sleeper.kill('SIGKILL');
      t.report(await once(sleeper, 'exit'));
    });
    expect(run.reports).toEqual(['ECHILD', [4, null], 0, [null, 'SIGKILL']]);
  });
});
