/** Sections Q and Y of the acceptance under every start method: the cases once, run for each. P: start-methods.test.ts. */
import { methodProgram, startMethods } from '../helpers/method-program';

describe.each(startMethods)('%s', (method) => {
  test('Q01 Q02 Q06 a queue of 6: full, empty, and agreed on by both processes', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        take(queue: InstanceType<typeof t.mp.Queue>, start: { waitSync(): void }, done: { set(): void }) {
          start.waitSync();
          t.report([queue.qsize(), queue.empty(), queue.full()]);
          for (let i = 1; i <= 6; i++) if (queue.getSync() !== i) t.report('out of order');
          t.report([queue.qsize(), queue.empty(), queue.full()]);
          done.set();
        },
      }),
      async (rf, t, { take }) => {
        const queue = new t.mp.Queue<number>(6);
        const [start, done] = [new t.mp.Event(), new t.mp.Event()];
        const name = (call: () => unknown) => {
          try {
            call();
          } catch (error) {
            return (error as Error).name;
          }
          return 'none';
        };
        const child = new t.mp.Process({ target: take, args: [queue, start, done] });
        child.start();
        t.report(name(() => queue.getNowait()));
        for (let i = 1; i <= 6; i++) queue.putSync(i);
        t.report([name(() => queue.putNowait(7)), name(() => queue.putSync(7, true, 50))]);
        start.set();
        done.waitSync();
        t.report([queue.qsize(), queue.empty()]);
        await child.join();
        queue.close();
        t.report(name(() => queue.putSync(1)) === 'none');
      },
    );
    const [empty, full, before, after, here, closed] = run.reports;
    expect([empty, full, before, after, here, closed]).toEqual([
      'Empty',
      ['Full', 'Full'],
      [6, false, true],
      [0, true, false],
      [0, true],
      false,
    ]);
  });

  test('Q04 Q09 tasks of several workers, each item once, and join() when all are done', async () => {
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        work(
          tasks: InstanceType<typeof _t.mp.JoinableQueue<number | null>>,
          results: { putSync(value: number): void },
        ) {
          for (;;) {
            const task = tasks.getSync();
            if (task !== null) results.putSync(task * 2);
            tasks.taskDone();
            if (task === null) return;
          }
        },
      }),
      async (rf, t, { work }) => {
        const tasks = new t.mp.JoinableQueue<number | null>();
        const results = new t.mp.SimpleQueue<number>();
        const workers = [1, 2].map(() => new t.mp.Process({ target: work, args: [tasks, results] }));
        for (const worker of workers) worker.start();
        const count = 2000;
        for (let i = 0; i < count; i++) tasks.putSync(i);
        const seen = new Set<number>();
        for (let i = 0; i < count; i++) seen.add(results.getSync());
        await tasks.join();
        t.report([seen.size, [...seen].reduce((a, b) => a + b, 0)]);
        for (const _worker of workers) tasks.putSync(null);
        for (const worker of workers) await worker.join();
        t.report(workers.map(({ exitCode }) => exitCode));
      },
    );
    expect(run.reports).toEqual([
      [2000, 1999 * 2000],
      [0, 0],
    ]);
  });

  test('Y01 Y02 Y04 locks exclude, an RLock is its holder own, counters lose nothing', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        count(value: InstanceType<typeof t.mp.SharedValue>, lock: InstanceType<typeof t.mp.Lock>) {
          for (let i = 0; i < 1000; i++) lock.withSync(() => (value.value = (value.value as number) + 1));
        },
        look(lock: InstanceType<typeof t.mp.Lock>, rlock: InstanceType<typeof t.mp.RLock>) {
          let code = 'none';
          try {
            rlock.release();
          } catch (error) {
            code = (error as { code: string }).code;
          }
          t.report([lock.acquireSync(false), rlock.acquireSync(false), code]);
          lock.release(); // a Lock may be released by who does not hold it
        },
        die(lock: InstanceType<typeof t.mp.Lock>) {
          lock.acquireSync();
          process.kill(process.pid, 'SIGKILL');
        },
      }),
      async (rf, t, { count, look, die }) => {
        const { Process, Lock, RLock, SharedValue } = t.mp;
        const value = new SharedValue('i32', 0);
        const lock = new Lock();
        const children = [1, 2].map(() => new Process({ target: count, args: [value, lock] }));
        for (const child of children) child.start();
        for (const child of children) await child.join();
        t.report(value.value);
        const rlock = new RLock();
        rlock.acquireSync();
        lock.acquireSync();
        const looker = new Process({ target: look, args: [lock, rlock] });
        looker.start();
        await looker.join();
        t.report([looker.exitCode, lock.acquireSync(false)]);
        lock.release();
        const victim = new Process({ target: die, args: [lock] });
        victim.start();
        await victim.join();
        t.report([victim.exitCode, lock.acquireSync(true, 5000), lock.recovered?.name]);
      },
    );
    expect(run.reports).toEqual([
      2000,
      [false, false, expect.stringMatching(/^ERR_/)],
      [0, true],
      [-9, true, 'OwnerDiedError'],
    ]);
  });

  test('Y03 Y06 Y10 Y12 semaphore, condition, event and barrier between processes', async () => {
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        party(
          barrier: InstanceType<typeof _t.mp.Barrier>,
          condition: InstanceType<typeof _t.mp.Condition>,
          sleeping: InstanceType<typeof _t.mp.Semaphore>,
          woken: InstanceType<typeof _t.mp.Semaphore>,
          queue: { putSync(value: number): void },
        ) {
          for (let round = 0; round < 3; round++) queue.putSync(barrier.waitSync());
          condition.acquireSync();
          sleeping.release();
          condition.waitSync(10_000);
          woken.release();
          condition.release();
        },
      }),
      async (rf, t, { party }) => {
        const { Process, Barrier, Condition, Semaphore, Queue } = t.mp;
        const barrier = new Barrier(3);
        const condition = new Condition();
        const [sleeping, woken] = [new Semaphore(0), new Semaphore(0)];
        const queue = new Queue<number>();
        const args = [barrier, condition, sleeping, woken, queue];
        const children = [1, 2].map(() => new Process({ target: party, args }));
        for (const child of children) child.start();
        const places = [];
        for (let round = 0; round < 3; round++) {
          const own = await barrier.wait();
          places.push([own, await queue.get(), await queue.get()].sort());
        }
        t.report(places);
        sleeping.acquireSync();
        sleeping.acquireSync();
        condition.withSync(() => condition.notify());
        t.report([woken.acquireSync(true, 5000), woken.acquireSync(true, 50)]);
        condition.withSync(() => condition.notifyAll());
        t.report(woken.acquireSync(true, 5000));
        for (const child of children) await child.join();
        t.report(children.map(({ exitCode }) => exitCode));
      },
    );
    const lockstep = [0, 1, 2];
    expect(run.reports).toEqual([[lockstep, lockstep, lockstep], [true, false], true, [0, 0]]);
  });

  test('Y12 the action of a barrier, an exported function, runs once per pass before anyone leaves (test_action)', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        act: () => t.report('act'),
        async party(barrier: InstanceType<typeof t.mp.Barrier>) {
          t.report(barrier.waitSync(20_000));
          t.report(await barrier.wait(20_000));
        },
      }),
      async (rf, t, { act, party }) => {
        const { Barrier, Process } = t.mp;
        const barrier = new Barrier(3, act);
        const children = [1, 2].map(() => new Process({ target: party, args: [barrier] }));
        for (const child of children) child.start();
        await party(barrier);
        for (const child of children) await child.join();
        t.report(children.map(({ exitCode }) => exitCode));
      },
    );
    const inOrder = [...run.reports.slice(0, 4).sort(), ...run.reports.slice(4, 8).sort(), ...run.reports.slice(8)];
    expect(inOrder).toEqual([0, 1, 2, 'act', 0, 1, 2, 'act', [0, 0]]);
    expect([run.reports[0], run.reports[4]]).toEqual(['act', 'act']);
  });

  test('Y08 a condition: false after the timeout, true when notified, the lock held again both ways; waitFor', async () => {
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        serve(
          commands: InstanceType<typeof _t.mp.Connection>,
          condition: InstanceType<typeof _t.mp.Condition>,
          lock: InstanceType<typeof _t.mp.Lock>,
          value: InstanceType<typeof _t.mp.SharedValue>,
        ) {
          const actions: Record<string, () => unknown> = {
            isFree() {
              const got = lock.acquireSync(false);
              if (got) lock.release();
              return got;
            },
            notify: () => condition.withSync(() => condition.notify()),
            wait() {
              condition.acquireSync();
              commands.sendSync('about to wait');
              return condition.waitSync(20_000); // its end is told with the lock held
            },
            release: () => condition.release(),
            count() {
              while ((value.value as number) < 4) {
                condition.withSync(() => {
                  value.value = (value.value as number) + 1;
                  condition.notify();
                });
              }
            },
          };
          for (;;) {
            const command = commands.recvSync<string>();
            if (command === 'end') return;
            commands.sendSync(actions[command]?.() ?? null);
          }
        },
      }),
      async (rf, t, { serve }) => {
        const { Condition, Lock, Pipe, Process, RLock, SharedValue } = t.mp;
        for (const lock of [new Lock(), new RLock()]) {
          const condition = new Condition(lock);
          const value = new SharedValue('i32', 0);
          const [commands, theirs] = Pipe();
          const child = new Process({ target: serve, args: [theirs, condition, lock, value] });
          child.start();
          const ask = (command: string) => {
            commands.sendSync(command);
            return commands.recv<unknown>();
          };
          condition.acquireSync();
          const start = performance.now();
          const late = [await condition.wait(100), performance.now() - start > 99];
          late.push(condition.waitSync(0), await condition.wait(-5), condition.waitSync(50));
          t.report({ late, isFree: await ask('isFree') });

          // It gets the lock, and notifies, while this process waits.
          const notified = ask('notify');
          t.report({ notified: await condition.wait(20_000), isFree: (await notified, await ask('isFree')) });
          condition.release();
          t.report({ isFree: await ask('isFree') });

          t.report(await ask('wait'));
          condition.withSync(() => condition.notify()); // entered only when the child waits
          t.report([await commands.recv(), lock.acquireSync(false)]);
          await ask('release');
          t.report([lock.acquireSync(false), lock.release()]);

          condition.acquireSync();
          const counted = ask('count');
          const four = () => (value.value as number) === 4 && 'four';
          t.report([await condition.waitFor(four, 20_000), condition.waitForSync(four, 0)]);
          const before = performance.now();
          t.report([await condition.waitFor(() => 0, 100), performance.now() - before > 99]);
          condition.release();
          await counted;
          commands.sendSync('end');
          await child.join();
          t.report(child.exitCode);
        }
      },
    );
    const each = [
      { late: [false, true, false, false, false], isFree: false },
      { notified: true, isFree: false },
      { isFree: true },
      'about to wait',
      [true, false],
      [true, null],
      ['four', 'four'],
      [0, true],
      0,
    ];
    expect(run.reports).toEqual([...each, ...each]);
  });

  test('Y14 one late party breaks the barrier for everybody, with a timeout and with the default one', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        async party(barrier: InstanceType<typeof t.mp.Barrier>, isSync: boolean, timeout: number | undefined) {
          // The first meeting, which has all the time, is of processes that are up: only the second has a late one.
          const first = barrier.waitSync(40_000);
          const start = performance.now();
          let outcome: unknown;
          try {
            outcome = isSync ? barrier.waitSync(timeout) : await barrier.wait(timeout);
          } catch (error) {
            outcome = [(error as { name: string }).name, (error as { code: string }).code];
          }
          t.report({ first, outcome, ms: performance.now() - start });
        },
      }),
      async (rf, t, { party }) => {
        const { Barrier, Process } = t.mp;
        const cases = [
          // One party has a timeout: it breaks the barrier for those that would wait for ever.
          { barrier: new Barrier(4), timeouts: [200, undefined, undefined] },
          { barrier: new Barrier(4, null, 200), timeouts: [undefined, undefined, undefined] },
        ];
        for (const { barrier, timeouts } of cases) {
          const children = timeouts.map(
            (timeout, i) => new Process({ target: party, args: [barrier, i % 2 === 0, timeout] }),
          );
          for (const child of children) child.start();
          const first = await barrier.wait(40_000);
          for (const child of children) await child.join();
          t.report([first, children.map(({ exitCode }) => exitCode)]);
          const late = t.caught(() => barrier.waitSync());
          t.report([late['code'], barrier.broken, barrier.nWaiting]);
          barrier.reset();
          t.report([barrier.broken, t.caught(() => barrier.waitSync(0))['code']]);
        }
      },
    );
    const code = 'ERR_BROKEN_BARRIER';
    for (const round of [run.reports.slice(0, 6), run.reports.slice(6)]) {
      const parties = round.slice(0, 3);
      const [[first, exitCodes], late, reset] = round.slice(3);
      expect(parties.map(({ outcome }) => outcome)).toEqual(new Array(3).fill(['BrokenBarrierError', code]));
      expect([first, ...parties.map((party) => party.first)].sort()).toEqual([0, 1, 2, 3]);
      // Whose time was over had waited for all of it.
      expect(Math.max(...parties.map(({ ms }) => ms))).toBeGreaterThanOrEqual(199);
      expect(exitCodes).toEqual([0, 0, 0]);
      expect(late).toEqual([code, true, 0]);
      expect(reset).toEqual([false, code]);
    }
  });
});
