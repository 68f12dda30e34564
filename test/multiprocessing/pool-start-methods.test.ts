/** `Pool` whose workers are no forks of the main process: functions by module and name. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { methodProgram } from '../helpers/method-program';

describe.each(['forkserver', 'spawn'] as const)('%s', (method) => {
  test('O01 O08 O17 results in order, errors with their class and stack, the initializer once in each worker', async () => {
    const run = await methodProgram(
      method,
      () => ({
        init(value: number) {
          Object.assign(globalThis, { ready: value + ((globalThis as { ready?: number }).ready ?? 0) });
        },
        square: async (x: number) => x * x,
        add: (a: number, b: number) => a + b,
        ready: () => (globalThis as { ready?: number }).ready,
        fail(text: string) {
          throw Object.assign(new RangeError(text), { extra: 1 });
        },
      }),
      async (rf, t, { init, square, add, ready, fail }) => {
        const pool = new t.mp.Pool(2, { initializer: init, initargs: [7] });
        t.report(await pool.map(square, [1, 2, 3, 4, 5], { chunkSize: 2 }));
        t.report(
          await pool.starmap(add, [
            [1, 2],
            [3, 4],
          ]),
        );
        t.report([...new Set(await Promise.all([1, 2, 3, 4].map(() => pool.run(ready))))]);
        t.report(await pool.run(Math.max, 3, 9));
        const error = (await pool.run(fail, 'on purpose').catch((e: unknown) => e)) as RangeError & { extra: number };
        t.report([error instanceof RangeError, error.message, error.extra, String(error.stack).includes('fail')]);
        pool.close();
        await pool.join();
        t.report(t.mp.activeChildren().length);
      },
    );
    expect(run.reports).toEqual([[1, 4, 9, 16, 25], [3, 7], [7], 9, [true, 'on purpose', 1, true], 0]);
  });

  test('a worker that dies fails its task and is replaced; what has no name is refused', async () => {
    const run = await methodProgram(
      method,
      () => ({
        pid: () => process.pid,
        die: () => process.kill(process.pid, 'SIGKILL'),
      }),
      async (rf, t, { pid, die }) => {
        const pool = new (t.mp.getContext(t.args[0]).Pool)(1);
        const first = await pool.run(pid);
        const death = (await pool.run(die).catch((e: unknown) => e)) as { name: string; pid: number; signal: string };
        t.report([death.name, death.pid === first, death.signal, (await pool.run(pid)) !== first]);
        t.report(await pool.run(() => 1).catch((e: { code: string }) => e.code));
        t.report(t.caught(() => new t.mp.Pool(1, { context: t.args[0], initializer: () => {} })).code);
        await pool.terminate();
        await pool.join();
      },
      { args: [method] },
    );
    const refused = 'ERR_NOT_IMPORTABLE';
    expect(run.reports).toEqual([['WorkerDiedError', true, 'SIGKILL', true], refused, refused]);
  });

  test('functions among the arguments of tasks and of the initializer: CommonJS and ES modules', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'realfork-pool-')));
    writeFileSync(
      join(folder, 'tools.mjs'),
      'await null; export const thrice = (x) => x * 3; export default class Box {}',
    );
    writeFileSync(join(folder, 'tools.cjs'), 'exports.twice = (x) => x * 2;');
    writeFileSync(
      join(folder, 'here.mjs'),
      "if (process.env.MAIN !== String(process.pid)) throw new RangeError('not here'); export const fn = () => {};",
    );
    try {
      const run = await methodProgram(
        method,
        () => ({
          init: (fns: ((x: number) => number)[]) =>
            void Object.assign(globalThis, { fromInit: fns.map((fn) => fn(5)), initFns: fns }),
          initialized: () => (globalThis as { fromInit?: number[] }).fromInit,
          apply: (fn: (x: number) => number, { then }: { then: (x: number) => number }, long: Buffer) =>
            then(fn(long.length)),
          compose: (fns: ((x: number) => number)[]) => fns.reduce((x, fn) => fn(x), 1),
          isSame: (fn: unknown) => (globalThis as { initFns?: unknown[] }).initFns?.includes(fn),
        }),
        async (rf, t, { init, initialized, apply, compose, isSame }) => {
          process.env['MAIN'] = String(process.pid);
          const load = (name: string) =>
            import(t.args[0] + name) as Promise<Record<'thrice' | 'default' | 'fn', (x: number) => number>>;
          const { thrice, default: Box } = await load('/tools.mjs');
          const { twice } = require(t.args[0] + '/tools.cjs');
          const { fn } = await load('/here.mjs');
          const first = new t.mp.Pool(1);
          // No worker knows any of them yet.
          t.report([await first.run(apply, thrice, { then: twice }, Buffer.alloc(10)), await first.run(compose, [])]);
          await first.terminate();
          const pool = new t.mp.Pool(2, { initializer: init, initargs: [[twice, thrice]] });
          t.report([await pool.run(initialized), await pool.run(isSame, thrice), await pool.run(isSame, Box)]);
          // Long arguments have a memory of their own.
          t.report(await pool.run(apply, thrice, { then: Math.sqrt }, Buffer.alloc(3_000_000)));
          t.report(await pool.map(compose, [[twice], [thrice, twice], [], [thrice, thrice]], { chunkSize: 3 }));
          t.report(await pool.starmap(apply, [[twice, { then: thrice }, Buffer.alloc(1)]]));
          const refused = await pool.run(compose, [twice, (x: number) => x]).catch((e: unknown) => e);
          t.report([(refused as { code: string }).code, String((refused as Error).message).split(' (')[0]]);
          const failed = await pool.run(isSame, fn).catch((e: unknown) => e);
          t.report([failed instanceof RangeError, (failed as Error).message, await pool.run(isSame, twice)]);
          await pool.terminate();
          await pool.join();
        },
        { args: [folder] },
      );
      expect(run.reports).toEqual([
        [60, 1],
        [[10, 15], true, false],
        3000,
        [2, 6, 1, 9],
        [6],
        ['ERR_DATA_CLONE', 'value[0][1] cannot be cloned: a function without a name, which no module exports'],
        [true, 'not here', true],
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('workers that compute end with a main process that is killed', async () => {
    const run = await methodProgram(
      method,
      () => ({
        forever(queue: { putSync(pid: number): void }) {
          queue.putSync(process.pid);
          for (;;);
        },
        main() {},
      }),
      async (rf, t, { forever }) => {
        const queue = new t.mp.Queue<number>();
        if (rf.fork() === 0) {
          const pool = new t.mp.Pool(1);
          void pool.run(forever, queue as never);
          await new Promise(() => setInterval(() => {}, 1000));
        }
        const worker = await queue.get();
        const [child] = rf.processTree().children;
        const parent = child?.pid as number;
        process.kill(parent, 'SIGKILL');
        rf.waitpid(parent);
        await t.waitUntil(() => t.stat(worker) === undefined || t.stat(worker)?.[0] === 'Z', 'the end of the worker');
        t.report('gone');
      },
    );
    expect(run.reports).toEqual(['gone']);
  });
});

test.each(['forkserver', 'spawn'] as const)(
  'a manager and its proxies in processes of start method %s',
  async (method) => {
    const run = await methodProgram(
      method,
      () => ({
        work(dict: { setSync(key: string, value: number): void }, list: { pushSync(value: number): void }) {
          dict.setSync('answer', 42);
          list.pushSync(7);
        },
      }),
      async (rf, t, { work }) => {
        const manager = await t.mp.Manager();
        const dict = await manager.dict();
        const list = await manager.list();
        const child = new t.mp.Process({ target: work, args: [dict, list] });
        child.start();
        await child.join();
        t.report([child.exitCode, await dict.get('answer'), await list.length()]);
        await manager.shutdown();
      },
    );
    expect(run.reports).toEqual([[0, 42, 1]]);
  },
);
