import { cleanProgram, program } from '../helpers/program';

test('O17 the initializer runs once in each worker with its args, before any task, replacements included', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const memory = new t.mp.SharedMemory({ create: true, size: 4 });
    const started = new Int32Array(memory.buf.buffer, memory.buf.byteOffset, 1);
    let state: unknown = 'not initialised';
    const marker = { instance: new Map([[1, 2]]) };
    const pool = new t.mp.Pool(3, {
      initializer: async (given: typeof marker, text: string) => {
        await new Promise((resolve) => setImmediate(resolve));
        Atomics.add(started, 0, 1);
        state = [given === marker, text];
      },
      initargs: [marker, 'text'],
    });
    const look = () => [process.pid, state];
    const seen = new Map<number, unknown>();
    const note = (results: unknown[]) => {
      for (const [pid, state] of results as [number, unknown][]) seen.set(pid, state);
    };
    note(await pool.map(look, new Array(30).fill(0), { chunkSize: 1 }));
    await pool.run(() => process.exit(1)).catch(() => {});
    for (const pid of pool.stats().workers) rf.kill(pid, 'SIGKILL');
    note(await pool.map(look, new Array(30).fill(0), { chunkSize: 1 }));
    await t.waitUntil(() => pool.stats().workers.length === 3, 'three workers');
    note(await pool.map(look, new Array(30).fill(0), { chunkSize: 1 }));
    t.report([...new Set([...seen.values()].map((state) => JSON.stringify(state)))]);
    const { forked } = pool.stats();
    pool.close();
    await pool.join();
    t.report([state, (started[0] as number) <= forked, (started[0] as number) >= seen.size]);
    memory.close();
    memory.unlink();
  });
  expect(run.reports).toEqual([['[true,"text"]'], ['not initialised', true, true]]);
});

test('O17 a pool that is closed at once has run the initializer in each of its workers (test_pool_initializer)', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { Pool, SharedValue } = t.mp;
    for (const [size, tasks] of [
      [1, 0],
      [3, 0],
      [3, 1],
    ] as const) {
      const count = new SharedValue('i32', 0);
      const initializer = (by: number) => count.getLock().withSync(() => void (count.value += by));
      const pool = new Pool(size, { initializer, initargs: [10] });
      const results = pool.mapAsync((x: number) => x, new Array(tasks).fill(7));
      pool.close();
      await pool.join();
      t.report([count.value, await results.get(0), pool.stats().forked]);
    }
  });
  expect(run.reports).toEqual([
    [10, [], 1],
    [30, [], 3],
    [30, [7], 3],
  ]);
});

test('maxTasksPerChild replaces workers, the exact number of tasks each', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(3, { maxTasksPerChild: 10 });
    let done = 0;
    const sqr = (x: number): [number, number, number] => [x * x, process.pid, ++done];
    const results = await Promise.all(Array.from({ length: 100 }, (_, i) => pool.run(sqr, i)));
    const byPid = new Map<number, number>();
    for (const [, pid, count] of results) byPid.set(pid, Math.max(byPid.get(pid) ?? 0, count));
    t.report([results.every(([value], i) => value === i * i), Math.max(...byPid.values()), byPid.size >= 10]);
    t.report(await pool.map((x: number) => x + 1, [1, 2, 3]));
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([
    [true, 10, true],
    [2, 3, 4],
  ]);
});

test('a pool closed early, each worker for one task, does all that was handed in', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(3, { maxTasksPerChild: 1 });
    const pid = () => process.pid;
    const results = Array.from({ length: 6 }, () => pool.applyAsync(pid));
    pool.close();
    await pool.join();
    const pids = await Promise.all(results.map((result) => result.get(0)));
    t.report([new Set(pids).size, pool.stats().workers, t.mp.activeChildren().length]);
  });
  expect(run.reports).toEqual([[6, [], 0]]);
});

test('a worker knows its functions also when it collects garbage before it looks', async () => {
  const run = await program(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    (require('node:v8') as typeof import('node:v8')).setFlagsFromString('--expose-gc');
    const gc = (require('node:vm') as typeof import('node:vm')).runInNewContext('gc') as () => void;
    rf.registerAtFork({
      afterInChild() {
        // The first call of the worker's own, when nothing of what the parent was doing is left.
        const { closeSync } = fs;
        fs.closeSync = (fd) => {
          gc();
          closeSync(fd);
        };
      },
    });
    const pool = new t.mp.Pool(2);
    const lane = async () => {
      const onlyHere = (x: number) => x + 1;
      return [await pool.run(onlyHere, 1), await pool.run(onlyHere, 2)];
    };
    t.report(await Promise.all([lane(), lane(), lane()]));
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([
    [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
  ]);
  expect(run.code).toBe(0);
});

test('a worker whose end is seen while another is forked is replaced, by no more than there may be; all know their functions', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const work = (what: number) => (what < 0 ? process.exit(1) : what * what);
    const dying = new t.mp.Pool(1);
    await dying.run(work, 1);
    const [pid] = dying.stats().workers as [number];
    const lost = dying.run(work, -1).catch((error: Error) => error.name);
    const next = dying.run(work, 2);
    rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT); // it has ended, and the pool does not know yet
    const other = new t.mp.Pool(1);
    t.report(await Promise.all([other.run(work, 3), lost, next]));

    const pool = new t.mp.Pool(2, { maxTasksPerChild: 1 });
    let most = 0;
    pool.on('worker', () => (most = Math.max(most, pool.stats().workers.length)));
    const results = Array.from({ length: 20 }, (_, i) => pool.applyAsync(work, [i]));
    const given: number[] = [];
    for (const result of results) {
      given.push(await result.get());
      t.burn(25); // longer than the pool waits before it forks a worker ahead of need
    }
    t.report([most, given.every((square, i) => square === i * i)]);
    for (const each of [dying, other, pool]) await each[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([
    [9, 'WorkerDiedError', 4],
    [2, true],
  ]);
});

test('who is told of the end of a worker that is seen while another is forked may wait for a new function', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(2);
    const work = (what: number) => (what < 0 ? process.exit(1) : what);
    await pool.run(work, 1);
    const [pid] = pool.stats().workers as [number];
    const told: unknown[] = [];
    const errorCallback = () => told.push(pool.applySync((x: number) => x + 1, [1]));
    const lost = pool.applyAsync(work, [-1], { errorCallback });
    rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT); // it has ended, and the pool does not know yet
    t.report(await pool.run((x: number) => x * 3, 1)); // for which a worker is forked
    await lost.wait();
    t.report(told);
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([3, [2]]);
});

test('where there may be one process only, functions are done one after the other; where none, tasks fail with the reason', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const guard = rf.guardForks({ maxProcesses: 1 });
    const pool = new t.mp.Pool(2);
    const made = [1, 2, 3].map((x) => () => x);
    t.report(await Promise.all(made.map((fn) => pool.run(fn))));
    t.report(pool.applySync(() => 4));
    await pool[Symbol.asyncDispose]();

    const only = new t.mp.Process({ target: () => t.mp.parentProcess()?.join() });
    only.daemon = true;
    only.start();
    const none = new t.mp.Pool(2);
    const outcomes = await Promise.allSettled([none.run(Math.abs, -1), none.run(Math.abs, -2)]);
    t.report(outcomes.map((outcome) => ((outcome as PromiseRejectedResult).reason as NodeJS.ErrnoException).code));
    t.report(t.caught(() => none.applySync(Math.abs, [-3])).code);
    only.terminate();
    await only.join();
    await t.waitUntil(() => none.stats().workers.length > 0, 'a worker after all');
    t.report(await none.run(Math.abs, -4));
    await none[Symbol.asyncDispose]();
    guard.lift();
  });
  expect(run.reports).toEqual([[1, 2, 3], 4, ['ERR_FORK_LIMIT', 'ERR_FORK_LIMIT'], 'ERR_FORK_LIMIT', 4]);
});

test('a pool that nobody refers to any more does the tasks it has, and its workers end (test_del_shutdown)', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    (require('node:v8') as typeof import('node:v8')).setFlagsFromString('--expose-gc');
    const gc = (require('node:vm') as typeof import('node:vm')).runInNewContext('gc') as () => void;
    const square = (x: number) => new Promise((resolve) => setTimeout(resolve, 20, x * x));
    const told: string[] = [];
    const use = async () => {
      const begun = [1, 2, 3].map(() => {
        const pool = new t.mp.Pool(2);
        pool.on('idle', () => told.push('idle'));
        return pool.mapAsync(square, [1, 2, 3, 4, 5], { chunkSize: 1 });
      });
      const squares: unknown[] = [];
      for await (const each of new t.mp.Pool(2).imap(square, [1, 2, 3, 4, 5], { window: 2 })) {
        gc();
        squares.push(each);
      }
      return [squares, ...(await Promise.all(begun.map((result) => result.get())))];
    };
    t.report([...(await use()), told]);
    const ended = () => {
      gc();
      return t.mp.activeChildren().length === 0;
    };
    await t.waitUntil(ended, 'no workers');
  });
  const squares = [1, 4, 9, 16, 25];
  expect(run.reports).toEqual([[squares, squares, squares, squares, ['idle', 'idle', 'idle']]]);
});

test('functions made after the workers, and closures, work, with the state of the moment of the fork', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    let factor = 2;
    const times = (x: number) => x * factor;
    t.report(await pool.map(times, [1, 2], { chunkSize: 2 }));
    factor = 3;
    t.report(await pool.map(times, [1, 2], { chunkSize: 2 }));
    t.report(await pool.map((x: number) => x * factor, [1, 2], { chunkSize: 2 }));
    class Holder {
      #secret = 42;
      read() {
        return this.#secret;
      }
    }
    const holder = new Holder();
    t.report(await pool.run(() => holder.read()));
    t.report(await pool.run(holder.read.bind(holder)));
    t.report(await pool.run(Math.hypot, 3, 4));
    t.report(await Promise.all(Array.from({ length: 20 }, (_, i) => pool.run(() => i * factor))));
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([[2, 4], [2, 4], [3, 6], 42, 42, 5, Array.from({ length: 20 }, (_, i) => i * 3)]);
});

test('stable functions cost no forks, and renewing a worker does not disturb a task that runs', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(2);
    const stable = (x: number) => x;
    const wait = () => {
      readSync(go.read, Buffer.alloc(1));
      return process.pid;
    };
    const result = pool.run(wait);
    await pool.run(stable, 1);
    await t.waitUntil(() => pool.stats().workers.length === 2, 'two workers');
    for (let i = 0; i < 300; i++) await pool.run(stable, i);
    await pool.map(stable, Array(1000).keys());
    const { forked } = pool.stats();
    for (let i = 0; i < 10; i++) if ((await pool.run(() => i)) !== i) throw new Error('another value');
    const busy = pool.stats().workers;
    writeSync(go.write, 'x');
    t.report([forked <= 3, pool.stats().forked >= 10, busy.includes(await result)]);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([[true, true, true]]);
});

test('workers hold nothing of each other', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { readdirSync, readlinkSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(4);
    const sockets = () => {
      const opened = readdirSync('/proc/self/fd').filter((fd) => Number(fd) > 2);
      const links = opened.map((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`);
        } catch {
          return '';
        }
      });
      return links.filter((link) => link.startsWith('socket:'));
    };
    await pool.map(sockets, [1, 2, 3, 4], { chunkSize: 1 });
    await t.waitUntil(() => pool.stats().workers.length === 4, 'four workers');
    const all = await pool.map(sockets, new Array(40).fill(0), { chunkSize: 1 });
    t.report([...new Set(all.map((links) => links.length))]);
    const before = readdirSync('/proc/self/fd').length;
    pool.close();
    await pool.join();
    t.report(before - readdirSync('/proc/self/fd').length >= 8);
  });
  expect(run.reports).toEqual([[1], true]);
});

test('O22 arguments and results are collectable once delivered, and 100,000 tiny tasks leave the heap as it was', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      const gc = globalThis.gc as () => void;
      const pool = new t.mp.Pool(2);
      const references: WeakRef<object>[] = [];
      await (async () => {
        const argument = { a: new Array(10).fill(1) };
        references.push(new WeakRef(argument));
        const result = await pool.run((x: object) => x, argument);
        references.push(new WeakRef(result));
        const closure = () => argument;
        references.push(new WeakRef(closure));
        const asyncResult = pool.applyAsync(closure);
        references.push(new WeakRef(await asyncResult.get()), new WeakRef(asyncResult));
        for (const value of await pool.map((x: object) => x, [argument, argument])) references.push(new WeakRef(value));
        for await (const value of pool.imap((x: object) => x, [argument])) references.push(new WeakRef(value));
      })();
      await t.waitUntil(() => {
        gc();
        return references.every((reference) => reference.deref() === undefined);
      }, 'everything collected');
      const noop = (x: number) => x;
      const used: number[] = [];
      for (let round = 0; round < 10; round++) {
        await Promise.all(Array.from({ length: 10_000 }, (_, i) => pool.run(noop, i)));
        gc();
        used.push(process.memoryUsage().heapUsed);
      }
      t.report([references.length, (used[9] as number) - (used[1] as number) < 2_000_000]);
      pool.close();
      await pool.join();
    },
    { nodeFlags: ['--expose-gc'], timeout: 60_000 },
  );
  expect(run.reports).toEqual([[8, true]]);
}, 90_000);

test('arguments and results of every kind and size', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      const assert: typeof import('node:assert') = require('node:assert');
      const pool = new t.mp.Pool(2);
      const echo = (x: unknown) => x;
      const sparse = new Array<number>(3);
      sparse[1] = 2;
      const values: unknown[] = [
        undefined,
        null,
        -0,
        10n ** 30n,
        'tëxt €',
        new Date(0),
        /a/g,
        new Map([[{ a: 1 }, new Set([1, 'b'])]]),
        new Float64Array([1.5, NaN]),
        Buffer.from('bytes'),
        sparse,
        'x'.repeat(100_000),
        Array.from({ length: 50_000 }, (_, i) => i),
        Array.from({ length: 50_000 }, (_, i) => ({ i, text: String(i) })),
      ];
      for (const value of values) assert.deepStrictEqual(await pool.run(echo, value), value);
      assert.deepStrictEqual(await pool.map(echo, values), values);
      for (const size of [1, 16_383, 16_384, 65_520, 65_536, 1 << 20, (5 << 20) + 3, 40 << 20]) {
        const bytes = Buffer.alloc(size, size % 251);
        const back = (await pool.run(echo, bytes)) as Buffer;
        if (!back.equals(bytes)) throw new Error(`${size} bytes differ`);
        const array = new Uint8Array(size).fill(7);
        assert.deepStrictEqual(((await pool.run(echo, array)) as Uint8Array).subarray(0, 100), array.subarray(0, 100));
      }
      // Many long ones at once, both ways, more than any socket buffer holds.
      const many = Array.from({ length: 40 }, (_, i) => Buffer.alloc(1 << 20, i));
      const back = (await Promise.all(many.map((bytes) => pool.run(echo, bytes)))) as Buffer[];
      t.report(back.every((bytes, i) => bytes.equals(many[i] as Buffer)));
      // What is changed after the call was made does not reach the worker.
      const changed = Buffer.alloc(1 << 20, 1);
      const result = pool.run((bytes: Buffer) => bytes.every((byte) => byte === 1), changed);
      changed.fill(2);
      t.report(await result);
      pool.close();
      await pool.join();
    },
    { timeout: 60_000 },
  );
  expect(run.reports).toEqual([true, true]);
}, 90_000);

test('locks, queues, shared memory and connections reach tasks as arguments', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const noop = () => 0;
    await pool.run(noop); // workers are there before what is made next
    await t.waitUntil(() => pool.stats().workers.length === 2, 'two workers');
    const queue = new t.mp.Queue();
    const put = (q: InstanceType<typeof t.mp.Queue>, x: number) => q.put(x);
    await pool.starmap(put, [[queue, 1] as [typeof queue, number], [queue, 2]]);
    t.report([await queue.get(), await queue.get()].sort());
    const lock = new t.mp.Lock();
    const locked = (l: InstanceType<typeof t.mp.Lock>) => l.acquireSync({ block: false });
    lock.acquireSync();
    t.report(await pool.run(locked, lock));
    lock.release();
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([[1, 2], false]);
});

test('events and stats', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const events: string[] = [];
    pool.on('worker', (pid) => events.push(`worker ${pid > 0}`));
    pool.on('workerEnd', ({ exitCode }, expected) => events.push(`end ${exitCode} ${expected}`));
    pool.on('idle', () => events.push('idle'));
    t.report(pool.stats());
    const fail = () => {
      throw new Error('no');
    };
    const waiting = [pool.run(() => 1), pool.run(fail).catch(() => 0), pool.run(() => 3), pool.run(() => 4)];
    const { queued, running, workers } = pool.stats();
    t.report([queued + running, workers.length <= 2]);
    await Promise.all(waiting);
    const { done, failed, latency } = pool.stats();
    t.report([
      done,
      failed,
      latency !== null && latency.p50 > 0 && latency.p50 <= latency.p99 && latency.p99 <= latency.max,
    ]);
    pool.close();
    await pool.join();
    t.report([
      events.includes('worker true'),
      events.includes('idle'),
      events.includes('end 0 true'),
      pool.stats().workers,
    ]);
  });
  expect(run.reports).toEqual([
    { queued: 0, running: 0, done: 0, failed: 0, workers: [], forked: 0, latency: null },
    [4, true],
    [3, 1, true],
    [true, true, true, []],
  ]);
});

test('stats count no task as queued that was given up', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(1);
    const started = new t.mp.Event();
    const work = (first: boolean) => (first ? (started.set(), new Promise(() => {})) : 1);
    const first = pool.run(work, true).catch(() => {});
    await started.wait();
    const controller = new AbortController();
    const { signal } = controller;
    const others = Array.from({ length: 9 }, () => pool.apply(work, [false], { signal }).catch(() => {}));
    const { queued } = pool.stats();
    controller.abort();
    t.report([queued, pool.stats().queued, pool.stats().running]);
    await Promise.all(others);
    await pool[Symbol.asyncDispose]();
    await first;
  });
  expect(run.reports).toEqual([[9, 0, 1]]);
});

test('idle comes after the last task is settled, once, and a listener may end the pool', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const events: unknown[] = [];
    const same = (x: number) => x;
    let pool = new t.mp.Pool(1);
    pool.on('idle', () => events.push('idle'));
    const callback = (x: number) => {
      events.push(x);
      if (x < 2) pool.applyAsync(same, [x + 1], { callback });
      else if (x === 2) events.push(pool.applySync(same, [7]));
    };
    pool.applyAsync(same, [0], { callback });
    await t.waitUntil(() => events.length === 5, 'the last task');
    t.report(events);
    await pool[Symbol.asyncDispose]();

    for (const end of ['terminate', 'close'] as const) {
      pool = new t.mp.Pool(1, { gracePeriod: 50 });
      pool.on('idle', () => pool[end]());
      t.report(
        await pool.apply(() => new Promise(() => {}), [], { timeout: 20 }).catch(({ code }: { code: string }) => code),
      );
      await pool.join();
    }
  });
  expect(run.reports).toEqual([[0, 1, 2, 'idle', 7], 'ERR_TIMEOUT', 'ERR_TIMEOUT']);
});

test('a listener may wait for tasks, also of the worker that it is told of', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(1);
    const twice = (x: number) => 2 * x;
    for (const event of ['worker', 'idle', 'workerEnd'] as const) {
      pool.once(event, () => t.report([event, pool.applySync(twice, [21])]));
    }
    t.report(await pool.run(twice, 1));
    t.report(await pool.run(() => process.exit(1)).catch((error: Error) => error.name));
    await pool.terminate();
    await pool.join();
  });
  expect(run.reports).toEqual([['idle', 42], ['worker', 42], 2, ['workerEnd', 42], 'WorkerDiedError']);
});

test('what listeners throw is uncaught, and keeps nobody from a result', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const uncaught: unknown[] = [];
    process.on('uncaughtException', (error) => uncaught.push(error.message));
    const pool = new t.mp.Pool(1);
    for (const event of ['worker', 'workerEnd', 'idle'] as const) {
      pool.on(event, () => {
        throw new Error(event);
      });
    }
    const work = (x: number) => (x === 0 ? process.exit(1) : x);
    t.report(await pool.run(work, 1));
    t.report(await pool.run(work, 0).catch((error: Error) => error.name));
    t.report(await pool.map(work, [2, 3]));
    pool.close();
    await pool.join();
    t.report(uncaught);
  });
  expect(run.reports).toEqual([
    1,
    'WorkerDiedError',
    [2, 3],
    ['worker', 'idle', 'workerEnd', 'idle', 'worker', 'idle', 'workerEnd'],
  ]);
});

test('applySync uses no CPU while it waits, and does the rest of the work of the pool', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(1);
    const sleep = (ms: number) => {
      rf.sleepSync(ms);
      return ms;
    };
    const other = pool.applyAsync(sleep, [200]);
    const before = process.cpuUsage();
    const value = pool.applySync(sleep, [300]);
    const { user, system } = process.cpuUsage(before);
    t.report([value, other.ready(), user + system < 150_000]);
    t.report(await other.get());
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([[300, true, true], 200]);
});

test('callbacks may wait for other tasks without the event loop, also of the last answer of a worker that has ended', async () => {
  const run = await cleanProgram(async (rf, t) => {
    for (const size of [1, 2]) {
      const pool = new t.mp.Pool(size);
      const square = (x: number) => x * x;
      const seen: number[] = [];
      const results: { getSync(): number; get(): Promise<number> }[] = Array.from({ length: 20 }, (_, i) =>
        pool.applyAsync(square, [i], {
          callback: (value) => seen.push(pool.applySync(square, [value]) + (results[(i + 7) % 20]?.getSync() ?? NaN)),
        }),
      );
      await Promise.all(results.map((result) => result.get()));
      const expected = Array.from({ length: 20 }, (_, i) => i ** 4 + ((i + 7) % 20) ** 2);
      t.report(expected.every((value) => seen.includes(value)) && seen.length === 20);
      await pool[Symbol.asyncDispose]();
    }

    const pool = new t.mp.Pool(1);
    const endingAfter = (x: number) => {
      if (x === 3) setImmediate(() => process.exit(1));
      return x * x;
    };
    await pool.run(endingAfter, 1);
    const [pid] = pool.stats().workers as [number];
    const seen: number[] = [];
    const callback = (value: number) => void seen.push(pool.applySync(endingAfter, [value]));
    const result = pool.applyAsync(endingAfter, [3], { callback });
    rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT);
    t.mp.activeChildren(); // its end is seen before its answer
    t.report([await result.get(), seen]);
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([true, true, [9, [81]]]);
});
