/** Condition: after CPython's _TestCondition, both forms of each wait. */
import { cleanProgram } from '../helpers/program';

describe.each(['sync', 'promise'])('%s form', (form) => {
  test('Y06 notify wakes one of two sleepers, a second wakes the other', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Condition, Lock } = t.mp;
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        for (const condition of [new Condition(), new Condition(new Lock())]) {
          const words = new Int32Array(allocate(64).buffer);
          const pids: number[] = [];
          for (let i = 0; i < 2; i++) {
            const pid = rf.fork();
            if (pid === 0) {
              await condition.acquire();
              words[0] = (words[0] as number) + 1;
              const result = isSync ? condition.waitSync() : await condition.wait();
              words[1] = (words[1] as number) + 1;
              condition.release();
              process.exit(result ? 0 : 1);
            }
            pids.push(pid);
          }
          // The number goes up under the lock that wait gives up: whoever has counted is on the list when we have it.
          const sleeping = (n: number) => t.waitUntil(() => condition.withSync(() => words[0] === n), `${n} asleep`);
          await sleeping(2);
          const seen = [words[1]];
          for (const woken of [1, 2]) {
            condition.withSync(() => condition.notify());
            await t.waitUntil(() => Atomics.load(words, 1) >= woken, `${woken} woken`);
            rf.sleepSync(50);
            seen.push(words[1]);
          }
          condition.withSync(() => condition.notify()); // nobody there: no matter
          t.report([seen, pids.map((pid) => rf.waitpid(pid).status)]);
        }
      },
      { args: [form] },
    );
    const expected = [
      [0, 1, 2],
      [0, 0],
    ];
    expect(run.reports).toEqual([expected, expected]);
  });

  test('Y06 notifyAll wakes all 6 even after an earlier round all timed out; notify(n) wakes n (test_notify_n)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const condition = new t.mp.Condition();
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const words = new Int32Array(allocate(64).buffer);
        const pids: number[] = [];
        for (let i = 0; i < 6; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            const wait = async (timeout?: number) => {
              await condition.acquire();
              words[0] = (words[0] as number) + 1;
              const result = isSync ? condition.waitSync(timeout) : await condition.wait(timeout);
              words[result ? 2 : 1] = (words[result ? 2 : 1] as number) + 1;
              condition.release();
            };
            await wait(50);
            await wait();
            await wait();
            process.exit(0);
          }
          pids.push(pid);
        }
        const sleeping = (n: number) =>
          t.waitUntil(() => condition.withSync(() => words[0] === n), `${n} asleep`, 15_000);
        const woken = (n: number) => t.waitUntil(() => Atomics.load(words, 2) === n, `${n} woken`, 15_000);
        await sleeping(12); // the first round is over, the second has begun
        t.report([words[1], words[2]]);
        condition.withSync(() => condition.notifyAll());
        await woken(6);
        await sleeping(18);
        for (const [n, total] of [
          [0, 6],
          [2, 8],
          [4, 12],
          [3, 12],
        ] as const) {
          condition.withSync(() => condition.notify(n));
          await woken(total);
          rf.sleepSync(30);
          t.report(words[2]);
        }
        t.report(pids.map((pid) => rf.waitpid(pid).status));
      },
      { args: [form], timeout: 60_000 },
    );
    expect(run.reports).toEqual([[6, 0], 6, 8, 12, 12, [0, 0, 0, 0, 0, 0]]);
  });

  test('Y08 wait is false after its timeout, true when notified, and holds the lock again both ways', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Condition, Lock, RLock } = t.mp;
        for (const lock of [new Lock(), new RLock()]) {
          const condition = new Condition(lock);
          const wait = async (timeout?: number) =>
            isSync ? condition.waitSync(timeout) : await condition.wait(timeout);
          const heldHere = () => {
            const pid = rf.fork();
            if (pid === 0) process.exit(lock.acquireSync(false) ? 1 : 0);
            return rf.waitpid(pid).status === 0;
          };
          await condition.acquire();
          if (lock instanceof RLock) await condition.acquire(); // given up and taken again as often
          const start = performance.now();
          const late = await wait(100);
          const ms = performance.now() - start;
          const held = [heldHere()];
          const none = [await wait(0), await wait(-5)];
          const pid = rf.fork();
          if (pid === 0) {
            condition.withSync(() => condition.notify());
            process.exit(0);
          }
          const notified = await wait(20_000);
          held.push(heldHere());
          condition.release();
          if (lock instanceof RLock) {
            held.push(heldHere());
            condition.release();
          }
          const free = !heldHere();
          rf.waitpid(pid);
          t.report({ late, none, notified, held: held.every(Boolean), free, ms });
        }
      },
      { args: [form] },
    );
    for (const report of run.reports) {
      expect(report).toMatchObject({ late: false, none: [false, false], notified: true, held: true, free: true });
      expect(report.ms).toBeGreaterThanOrEqual(99);
      expect(report.ms).toBeLessThan(1_000);
    }
  });

  test('Y08 waitFor returns the predicate’s value, in time or not (test_waitfor, test_waitfor_timeout)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const condition = new t.mp.Condition();
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const words = new Int32Array(allocate(64).buffer);
        words[0] = -1;
        const pid = rf.fork();
        if (pid === 0) {
          await condition.acquire();
          words[0] = 0;
          condition.notify();
          const four = () => words[0] === 4 && 'four';
          const result = isSync ? condition.waitForSync(four) : await condition.waitFor(async () => four());
          condition.release();
          process.exit(result === 'four' ? 0 : 1);
        }
        const began = () => words[0] === 0;
        await condition.with(async () => {
          t.report(isSync ? condition.waitForSync(began, 20_000) : await condition.waitFor(began, { timeout: 20_000 }));
        });
        for (let i = 0; i < 4; i++) {
          rf.sleepSync(10);
          condition.withSync(() => {
            words[0] = (words[0] as number) + 1;
            condition.notify();
          });
        }
        t.report(rf.waitpid(pid).status);
        const start = performance.now();
        await condition.acquire();
        t.report(isSync ? condition.waitForSync(() => 0, 100) : await condition.waitFor(() => 0, 100));
        condition.release();
        t.report(performance.now() - start);
        const error = await condition
          .with(async () => {
            const fail = () => {
              throw new RangeError('x');
            };
            return isSync ? condition.waitForSync(fail) : condition.waitFor(fail);
          })
          .catch((e: Error) => e.name);
        t.report(error);
      },
      { args: [form] },
    );
    expect(run.reports.slice(0, 3)).toEqual([true, 0, 0]);
    expect(run.reports[3]).toBeGreaterThanOrEqual(99);
    expect(run.reports[3]).toBeLessThan(1_000);
    expect(run.reports[4]).toBe('RangeError');
  });

  test('a holder that dies with the lock shows in recovered: after acquire, and after wait', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const condition = new t.mp.Condition();
        const dying = (work: () => void) => {
          const pid = rf.fork();
          if (pid !== 0) return pid;
          condition.acquireSync();
          work();
          return rf.kill(process.pid, 'SIGKILL') ?? 0;
        };
        rf.waitpid(dying(() => {}));
        const got = isSync ? condition.acquireSync(true, 5000) : await condition.acquire(true, 5000);
        t.report([got, condition.recovered?.code, condition.locked()]);
        const pid = dying(() => condition.notify());
        const notified = isSync ? condition.waitSync(5000) : await condition.wait(5000);
        t.report([notified, condition.recovered?.code, condition.locked()]);
        condition.release();
        rf.waitpid(pid);
        t.report([condition.acquireSync(), condition.recovered, condition.release() ?? condition.locked()]);
      },
      { args: [form] },
    );
    const died = [true, 'ERR_OWNER_DIED', true];
    expect(run.reports).toEqual([died, died, [true, null, false]]);
  });
});

test('without the lock wait and notify throw; so does a condition over something else', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Condition, Lock } = t.mp;
    const lock = new Lock();
    const condition = new Condition(lock);
    const codes = () => [
      t.caught(() => condition.notify()).code,
      t.caught(() => condition.notifyAll()).code,
      t.caught(() => condition.waitSync(1)).code,
      t.caught(() => condition.waitForSync(() => true)).code,
    ];
    t.report(codes());
    t.report(await condition.wait(1).catch((error: NodeJS.ErrnoException) => error.code));
    lock.acquireSync();
    const pid = rf.fork();
    if (pid === 0) {
      t.report(codes()); // held, but by the parent
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report([{}, 1, new t.mp.Semaphore()].map((other) => t.caught(() => new Condition(other as never)).code));
    t.report(condition.lock === lock);
  });
  const four = Array(4).fill('ERR_LOCK_NOT_OWNED');
  expect(run.reports).toEqual([four, 'ERR_LOCK_NOT_OWNED', four, Array(3).fill('ERR_INVALID_ARG_TYPE'), true]);
});

test('a notification passes over those that were killed while they waited', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const condition = new t.mp.Condition();
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const words = new Int32Array(allocate(64).buffer);
    const pids: number[] = [];
    for (let i = 0; i < 4; i++) {
      const pid = rf.fork();
      if (pid === 0) {
        condition.acquireSync();
        words[0] = (words[0] as number) + 1;
        condition.waitSync();
        condition.release();
        process.exit(0);
      }
      pids.push(pid);
      await t.waitUntil(() => condition.withSync(() => words[0] === i + 1), 'asleep');
    }
    for (const pid of pids.slice(0, 3)) {
      process.kill(pid, 'SIGKILL');
      rf.waitpid(pid);
    }
    condition.withSync(() => condition.notify());
    t.report(rf.waitpid(pids[3] as number).status);
  });
  expect(run.reports).toEqual([0]);
});

test('an aborted wait holds the lock again when it rejects', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const condition = new t.mp.Condition(new t.mp.Lock());
    const controller = new AbortController();
    await condition.acquire();
    const wait = condition.wait({ signal: controller.signal }).catch((error: NodeJS.ErrnoException) => error.code);
    t.report(condition.acquireSync(false));
    controller.abort();
    setTimeout(() => condition.release(), 20);
    t.report([await wait, condition.lock.locked()]);
  });
  expect(run.reports).toEqual([true, ['ABORT_ERR', true]]);
});

test('a waiter that is notified and then aborted has the notification: it is not lost', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const condition = new t.mp.Condition(new t.mp.Lock());
    const controller = new AbortController();
    await condition.acquire();
    const first = condition.wait({ signal: controller.signal });
    await condition.acquire();
    condition.notify();
    controller.abort(); // before the waiter can have the lock
    condition.release();
    t.report([await first, condition.lock.locked()]);
    // waitFor asks once more, and then sees the signal
    const answers: unknown[] = [0, 'yes'];
    t.report(await condition.waitFor(() => answers.pop(), { signal: controller.signal }));
    const refused = condition.waitFor(() => answers.pop(), { signal: controller.signal });
    t.report([await refused.catch((error: NodeJS.ErrnoException) => error.code), condition.lock.locked()]);
  });
  expect(run.reports).toEqual([[true, true], 'yes', ['ABORT_ERR', true]]);
});

test('a condition sent to another process brings its lock with it', async () => {
  const run = await cleanProgram((rf, t) => {
    const { encode, decode } = t.internal('ipc/serialize') as typeof import('../../dist/ipc/serialize');
    const { Barrier, Condition, Event, Lock } = t.mp;
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const bytes = new Uint8Array(allocate(4096).buffer);
    const words = new Int32Array(bytes.buffer);
    const pid = rf.fork();
    if (pid === 0) {
      const condition = new Condition(new Lock());
      const made = [condition, new Event(), new Barrier(2, null, 5_000)];
      const message = encode(made).bytes;
      bytes.set(message, 8);
      words[0] = message.length;
      condition.withSync(() => {
        words[1] = 1;
        condition.waitSync();
      });
      t.report((made[2] as InstanceType<typeof Barrier>).waitSync() < 2);
      process.exit(0);
    }
    while (words[1] === 0) rf.sleepSync(2);
    const [condition, event, barrier] = decode(bytes.subarray(8, 8 + (words[0] as number))) as [
      InstanceType<typeof Condition>,
      object,
      InstanceType<typeof Barrier>,
    ];
    condition.withSync(() => condition.notifyAll());
    t.report([condition.lock instanceof Lock, event instanceof Event, barrier.parties]);
    barrier.waitSync();
    t.report(rf.waitpid(pid).status);
    t.report(t.caught(() => encode(new Barrier(1, () => {}))).code);
  });
  expect(run.reports).toEqual(expect.arrayContaining([[true, true, 2], true, 0, 'ERR_DATA_CLONE']));
});
