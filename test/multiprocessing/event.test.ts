/** Event: after CPython's _TestEvent, both forms of wait. */
import { cleanProgram } from '../helpers/program';

describe.each(['sync', 'promise'])('%s form', (form) => {
  test('Y10 Event: wait(0) is false when clear; set makes wait true at once; clear resets; timeouts are kept', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const event = new t.mp.Event();
        const timed = async (timeout?: number | { timeout: number }) => {
          const start = performance.now();
          const result = isSync ? event.waitSync(timeout) : await event.wait(timeout);
          return { result, ms: performance.now() - start };
        };
        t.report([event.isSet(), await timed(0), await timed(-1), await timed(100), await timed({ timeout: 50 })]);
        event.set();
        t.report([event.isSet(), await timed(0), await timed(60_000), await timed()]);
        event.set();
        event.clear();
        event.clear();
        t.report([event.isSet(), await timed(0)]);
      },
      { args: [form] },
    );
    const [clear, set, cleared] = run.reports;
    expect(clear).toMatchObject([false, { result: false }, { result: false }, { result: false }, { result: false }]);
    expect(clear[3].ms).toBeGreaterThanOrEqual(99);
    expect(clear[3].ms).toBeLessThan(1_000);
    expect(clear[1].ms + clear[2].ms).toBeLessThan(500);
    expect(set).toMatchObject([true, { result: true }, { result: true }, { result: true }]);
    expect(cleared).toMatchObject([false, { result: false }]);
  });

  test('Y10 set wakes all waiters in all processes, also when the event is cleared again at once', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const event = new t.mp.Event();
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const words = new Int32Array(allocate(64).buffer);
        const pids: number[] = [];
        for (let i = 0; i < 4; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            for (let round = 0; round < 3; round++) {
              const wait = isSync ? undefined : Promise.all([event.wait(), event.wait(20_000)]);
              Atomics.add(words, round, 1);
              const result = isSync ? [event.waitSync(), true] : await wait;
              if (result?.every(Boolean) !== true) process.exit(1);
              Atomics.add(words, 8 + round, 1);
              while (Atomics.load(words, 8 + round) < 4) rf.sleepSync(1);
            }
            process.exit(0);
          }
          pids.push(pid);
        }
        for (let round = 0; round < 3; round++) {
          await t.waitUntil(() => Atomics.load(words, round) === 4, 'all are there', 10_000);
          rf.sleepSync(100); // blocked by then, or else just before: both have to work for `set` without `clear`
          event.set();
          if (round === 1) await t.waitUntil(() => Atomics.load(words, 8 + round) === 4, 'all are through', 10_000);
          event.clear();
          if (round !== 1) {
            // Whoever was late for the short moment has to be let through for the next round.
            while (Atomics.load(words, 8 + round) < 4) {
              event.set();
              event.clear();
              rf.sleepSync(20);
            }
          }
        }
        t.report(pids.map((pid) => rf.waitpid(pid).status));
      },
      { args: [form], timeout: 40_000 },
    );
    expect(run.reports).toEqual([[0, 0, 0, 0]]);
  });
});

test('an event set by a process that is killed at once is set; a killed waiter hurts nobody', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const event = new t.mp.Event();
    const waiter = rf.fork();
    if (waiter === 0) {
      event.waitSync();
      process.exit(1);
    }
    rf.sleepSync(30);
    process.kill(waiter, 'SIGKILL');
    rf.waitpid(waiter);
    const setter = rf.fork();
    if (setter === 0) {
      rf.sleepSync(30);
      event.set();
      process.kill(process.pid, 'SIGKILL');
    }
    t.report([await event.wait(), event.waitSync()]);
    rf.waitpid(setter);
  });
  expect(run.reports).toEqual([[true, true]]);
});

test('an AbortSignal ends the wait for an event', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const event = new t.mp.Event();
    const controller = new AbortController();
    const code = (error: NodeJS.ErrnoException) => error.code;
    const first = event.wait({ signal: controller.signal }).catch(code);
    const second = event.wait(10_000);
    controller.abort();
    t.report([await first, await event.wait({ signal: controller.signal }).catch(code)]);
    event.set();
    t.report(await second);
  });
  expect(run.reports).toEqual([['ABORT_ERR', 'ABORT_ERR'], true]);
});
