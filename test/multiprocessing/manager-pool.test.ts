/** A pool of a manager: used by any process that has its proxy, each with workers of its own. */
import type { PoolProxy, QueueProxy } from 'realfork/multiprocessing';
import { methodProgram } from '../helpers/method-program';
import { cleanProgram } from '../helpers/program';

test('G04 Pool: every call, from the parent and from a child, functions made after it included (test_pool)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const pool = await manager.Pool(2);
    const factor = 3;
    const times = (x: number) => x * factor;
    const failed = (call: Promise<unknown>) => call.then(String, (e: Error & { code: string }) => e.code ?? e.message);
    t.report([await pool.apply(times, [2]), pool.applySync(times, [3]), await pool.run(() => factor)]);
    t.report([
      await pool.map(times, [1, 2, 3]),
      await pool.starmap(Math.max, [
        [1, 9],
        [4, 2],
      ]),
      pool.mapSync(times, [5]),
    ]);
    const result = pool.applyAsync(times, [7]);
    t.report([await result.get(), result.successful(), await pool.mapAsync(times, [1]).get()]);
    const squares = [];
    for await (const square of pool.imap((x: number) => x * x, [1, 2, 3])) squares.push(square);
    t.report(squares);
    t.report(
      await failed(
        pool.run(() => {
          throw new Error('of the task');
        }),
      ),
    );
    const child = new Process({
      args: [pool],
      target: async (own: typeof pool) => {
        const pid = process.pid;
        t.report([await own.map((x: number) => x + factor, [1, 2]), await own.run(() => process.ppid === pid)]);
      },
    });
    child.start();
    await child.join();
    t.report([child.exitCode, await failed(pool.join())]);
    const last = pool.run(() => 'handed in before');
    await pool.close();
    await pool.join();
    t.report([await last, await failed(pool.run(() => 1)), t.caught(() => pool.applySync(times, [1])).code]);
    t.report([await failed(manager.Pool(0)), await failed(manager.Pool(1, { maxTasksPerChild: 0 }))]);
  });
  expect(run.reports).toEqual([
    [6, 9, 3],
    [[3, 6, 9], [9, 4], [15]],
    [21, true, [3]],
    [1, 4, 9],
    'of the task',
    [[4, 5], true],
    [0, 'ERR_POOL_RUNNING'],
    ['handed in before', 'ERR_POOL_NOT_RUNNING', 'ERR_POOL_NOT_RUNNING'],
    ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE'],
  ]);
});

test('a pool of a manager: join waits for the tasks of other processes, not for those of a killed one; initializer, scope', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const pool = await manager.Pool(1);
    const begun = await manager.Semaphore(0);
    const go = await manager.Event();
    const work = () => {
      begun.releaseSync();
      go.waitSync();
    };
    const children = [1, 2].map(() => new Process({ target: () => pool.run(work) }));
    for (const child of children) child.start();
    await begun.acquire();
    await begun.acquire();
    await pool.close();
    let joined = false;
    const joining = pool.join().then(() => (joined = true));
    children[0]?.kill();
    await children[0]?.join();
    await manager.Event(); // a call later the server has seen its end
    t.report(joined);
    await go.set();
    await joining;
    await Promise.all(children.map((child) => child.join()));
    t.report([joined, children.map((child) => child.exitCode)]);
    const global = globalThis as { word?: string };
    const ready = await manager.Pool(1, { initializer: (word: string) => (global.word = word), initargs: ['set'] });
    t.report(await ready.run(() => global.word));
    await ready[Symbol.asyncDispose]();
    t.report(await ready.run(() => 1).catch((error: { code: string }) => error.code));
    // Manager().Queue() with a pool.
    const queue = await manager.Queue<number>();
    const tasks = await manager.Pool(2);
    await tasks.map((i: number) => queue.putSync(i), [1, 2, 3, 4]);
    t.report((await Promise.all([1, 2, 3, 4].map(() => queue.get()))).sort());
    await tasks.terminate();
  });
  expect(run.reports).toEqual([false, [true, [-9, 0]], 'set', 'ERR_POOL_NOT_RUNNING', [1, 2, 3, 4]]);
});

test.each(['fork', 'spawn'] as const)('G04 Pool: daemonic processes use it, too (test_pool): %s', async (method) => {
  const run = await methodProgram(
    method,
    () => ({
      use: (pool: PoolProxy) => pool.map(Math.sqrt, [4, 9]),
      put: async (pool: PoolProxy, results: QueueProxy) => results.put(await pool.map(Math.abs, [-1, 2])),
    }),
    async (_rf, t, { use, put }) => {
      const manager = await t.mp.Manager();
      const [shared, results] = [await manager.Pool(2), await manager.Queue()];
      const child = new t.mp.Process({ target: put, args: [shared, results], daemon: true });
      child.start();
      await child.join();
      t.report([child.exitCode, await results.get({ timeout: 0 })]);
      const pool = new t.mp.Pool(1);
      t.report(await pool.run(use, shared));
      await pool[Symbol.asyncDispose]();
      await manager.shutdown();
    },
  );
  expect(run.reports).toEqual([
    [0, [1, 2]],
    [2, 3],
  ]);
});
