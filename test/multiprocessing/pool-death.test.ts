import { cleanProgram, program } from '../helpers/program';

test('a worker that dies fails its task with WorkerDiedError, and the pool goes on', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(2);
    const death = (error: unknown) => {
      if (!(error instanceof t.mp.WorkerDiedError)) throw error;
      const { name, code, exitCode, signal, task } = error;
      return [name, code, exitCode, signal, task, error.pid > 0];
    };
    function killed() {
      process.kill(process.pid, 'SIGKILL');
      for (;;);
    }
    function left() {
      process.exit(3);
    }
    function crashed() {
      rf.raise('SIGSEGV');
    }
    async function later() {
      setImmediate(() => process.exit(4));
      await new Promise(() => {});
    }
    function quick() {
      rf._exit(0);
    }
    t.report(await pool.run(killed).catch(death));
    t.report(await pool.run(left).catch(death));
    t.report(await pool.run(crashed).catch(death));
    t.report(await pool.run(later).catch(death));
    t.report(await pool.run(quick).catch(death));
    t.report(await pool.map((x: number) => x + 1, [1, 2, 3]));
    const deaths: unknown[] = [];
    pool.on('workerEnd', ({ exitCode, signal }, expected) => deaths.push([exitCode, signal, expected]));
    await pool.run(left).catch(death);
    t.report(deaths.at(-1));
    pool.close();
    await pool.join();
    t.report([rf.zombies().length, pool.stats().failed]);
  });
  const died = (exitCode: number | null, signal: string | null, task: string) => [
    'WorkerDiedError',
    'ERR_WORKER_DIED',
    exitCode,
    signal,
    task,
    true,
  ];
  expect(run.reports).toEqual([
    died(null, 'SIGKILL', 'killed()'),
    died(3, null, 'left()'),
    died(null, 'SIGSEGV', 'crashed()'),
    died(4, null, 'later()'),
    died(0, null, 'quick()'),
    [2, 3, 4],
    [3, null, false],
    [0, 6],
  ]);
});

test('an error that nobody catches in a task is the cause of its WorkerDiedError, and of no other', async () => {
  const run = await program(async (_rf, t) => {
    const never = () => new Promise<void>(() => {});
    const pool = new t.mp.Pool(1);
    const tasks: Record<string, () => unknown> = {
      timer: () => (setTimeout(() => thrown('timer')), never()),
      rejection: () => (void Promise.reject(new RangeError('rejection')), never()),
      listened: () => {
        process.on('uncaughtException', () => {});
        return new Promise<void>((resolve) => setTimeout(() => (setImmediate(resolve), thrown('listened'))));
      },
      killed: () => process.kill(process.pid, 'SIGKILL') && never(),
      value: () => {
        setImmediate(() => {
          throw 'a string';
        });
        return never();
      },
      large: () => (setTimeout(() => thrown('x'.repeat(200_000))), never()),
    };
    function thrown(message: string): never {
      throw Object.assign(new TypeError(message), { code: 'E_OWN' });
    }
    const work = (name: string) => tasks[name]?.();
    for (const name of Object.keys(tasks)) {
      const error: unknown = await pool.run(work, name).catch((error: unknown) => error);
      if (!(error instanceof t.mp.WorkerDiedError)) {
        t.report([name, error ?? null]);
        continue;
      }
      const cause = error.cause as (Error & { code?: string }) | string | undefined;
      const told =
        cause instanceof Error ? [cause.name, cause.message.slice(0, 9), cause.message.length, cause.code] : cause;
      t.report([name, error.code, told ?? null]);
    }
    await pool[Symbol.asyncDispose]();
    const broken = new t.mp.Pool(1, {
      initializer: () => (setImmediate(() => thrown('starting')), never()),
    });
    const error = await broken.run(work, 'timer').catch((error: Error) => error);
    t.report((error as Error & { cause: Error }).cause.message);
    await broken[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([
    ['timer', 'ERR_WORKER_DIED', ['TypeError', 'timer', 5, 'E_OWN']],
    ['rejection', 'ERR_WORKER_DIED', ['RangeError', 'rejection', 9, null]],
    ['listened', null],
    ['killed', 'ERR_WORKER_DIED', null],
    ['value', 'ERR_WORKER_DIED', 'a string'],
    ['large', 'ERR_WORKER_DIED', ['TypeError', 'xxxxxxxxx', 200_000, 'E_OWN']],
    'starting',
  ]);
});

test('a worker killed while it idles is replaced', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(2);
    const self = () => process.pid;
    await pool.map(self, [1, 2, 3, 4], { chunkSize: 1 });
    await t.waitUntil(() => pool.stats().workers.length === 2, 'two workers');
    const before = pool.stats().workers;
    for (const pid of before) rf.kill(pid, 'SIGKILL');
    await t.waitUntil(() => {
      const { workers } = pool.stats();
      return workers.length === 2 && workers.every((pid) => !before.includes(pid));
    }, 'two others');
    t.report(await pool.map((x: number) => x, [1, 2, 3]));
    pool.close();
    await pool.join();
    t.report(rf.zombies().length);
  });
  expect(run.reports).toEqual([[1, 2, 3], 0]);
});

test('what a dead worker had done is not lost, and what it had not begun is done by another', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const memory = new t.mp.SharedMemory({ create: true, size: 2000 });
    const runs = memory.buf;
    const pool = new t.mp.Pool(2);
    const work = (i: number) => {
      runs[i] = (runs[i] as number) + 1;
      if (i % 100 === 99) process.exit(9);
      return i;
    };
    const results = await Promise.allSettled(Array.from({ length: 2000 }, (_, i) => pool.run(work, i)));
    const wrong = results.filter((result, i) =>
      i % 100 === 99
        ? !(result.status === 'rejected' && result.reason instanceof t.mp.WorkerDiedError)
        : !(result.status === 'fulfilled' && result.value === i),
    );
    t.report([wrong.length, runs.subarray(0, 2000).every((count) => count === 1)]);
    pool.close();
    await pool.join();
    memory.close();
    memory.unlink();
  });
  expect(run.reports).toEqual([[0, true]]);
});

test('map with a chunk whose worker dies fails; imap gives the error for that item alone', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const work = (x: number) => (x === 2 ? process.exit(1) : x);
    t.report(await pool.map(work, [0, 1, 2, 3], { chunkSize: 1 }).catch((error: Error) => error.name));
    const it = pool.imap(work, [0, 1, 2, 3]);
    const all: unknown[] = [];
    for (let i = 0; i < 4; i++)
      all.push(
        await it.next().then(
          ({ value }) => value,
          (error: Error) => error.name,
        ),
      );
    t.report(all);
    t.report(t.caught(() => pool.applySync(() => process.exit(1))).name);
    t.report(pool.applySync(() => 5));
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual(['WorkerDiedError', [0, 1, 'WorkerDiedError', 3], 'WorkerDiedError', 5]);
});

test('an initializer that always fails gives an error with its cause, after few forks, and again for later tasks', async () => {
  for (const how of ['throw', 'exit', 'reject']) {
    const run = await cleanProgram(
      async (_rf, t) => {
        const pool = new t.mp.Pool(2, {
          initializer: () => {
            if (t.args[0] === 'exit') process.exit(7);
            if (t.args[0] === 'reject') return Promise.reject(new RangeError('no start'));
            throw new RangeError('no start');
          },
        });
        const failure = (error: unknown) => {
          if (!(error instanceof t.mp.WorkerDiedError)) throw error;
          return [error.exitCode, error.task, (error.cause as Error | undefined)?.message ?? null];
        };
        t.report(await Promise.all([pool.run(() => 1).catch(failure), pool.map((x: number) => x, [1]).catch(failure)]));
        t.report(await pool.run(() => 1).catch(failure));
        t.report(pool.stats().forked <= 8);
        pool.close();
        await pool.join();
      },
      { args: [how] },
    );
    const failure = how === 'exit' ? [7, 'its initializer', null] : [1, 'its initializer', 'no start'];
    expect(run.reports).toEqual([[failure, failure], failure, true]);
  }
});

test('an initializer that fails now and then only costs time', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const counter = new t.mp.SharedMemory({ create: true, size: 4 });
    const count = new Int32Array(counter.buf.buffer, counter.buf.byteOffset, 1);
    const pool = new t.mp.Pool(1, {
      initializer: () => {
        if (Atomics.add(count, 0, 1) < 2) process.exit(1);
      },
    });
    t.report(await pool.map((x: number) => x * 2, [1, 2, 3]));
    t.report(count[0]);
    await pool[Symbol.asyncDispose]();
    counter.close();
    counter.unlink();
  });
  expect(run.reports).toEqual([[2, 4, 6], 3]);
});

test('a pool that is closed when the pause after a false start is just over does its tasks', async () => {
  const run = await cleanProgram(async (rf, t) => {
    let first = true;
    rf.registerAtFork({
      afterInParent: () => void (first = false),
      afterInChild() {
        if (first) rf._exit(1);
      },
    });
    const pool = new t.mp.Pool(1);
    const result = pool.run(() => 'done');
    await new Promise((resolve) => pool.once('workerEnd', resolve));
    rf.sleepSync(100); // the pause is 50 ms; no timer has run
    pool.close();
    t.report(await result);
    await pool.join();
  });
  expect(run.reports).toEqual(['done']);
});

test('a worker that ignores SIGTERM is killed after terminate(), also when it had an answer on the way', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(1, { gracePeriod: 100 });
    const ends: unknown[] = [];
    pool.on('workerEnd', ({ signal }) => ends.push(signal));
    const work = () => process.listenerCount('SIGTERM') || (process.on('SIGTERM', () => {}), 0);
    await pool.run(work);
    const answered = pool.run(work).catch((error: { code: string }) => error.code);
    rf.sleepSync(100); // the answer is there, and nobody has read it
    pool.terminate();
    await pool.join();
    t.report([await answered, ends]);
  });
  expect(run.reports).toEqual([['ERR_POOL_TERMINATED', ['SIGKILL']]]);
});

test('workers end when their parent is killed, busy, idle or starting', async () => {
  const run = await program(
    async (rf, t) => {
      const { up } = t.pipes('up');
      const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
      const child = rf.fork();
      if (child === 0) {
        const pool = new t.mp.Pool(3);
        pool
          .run(() => {
            writeSync(up.write, 'x');
            for (;;);
          })
          .catch(() => {});
        pool
          .run(() => {
            writeSync(up.write, 'x');
            rf.sleepSync(1e6);
          })
          .catch(() => {});
        pool.run(() => new Promise(() => writeSync(up.write, 'x'))).catch(() => {});
        setInterval(() => {}, 1000);
        return;
      }
      for (let i = 0; i < 3; i++) readSync(up.read, Buffer.alloc(1));
      const workers = rf.processTree(child).children.map(({ pid }) => pid);
      rf.kill(child, 'SIGKILL');
      rf.waitpid(child);
      const gone = (pid: number) => ['Z', undefined].includes(t.stat(pid)?.[0]);
      await t.waitUntil(() => workers.every(gone), 'workers gone', 10_000);
      t.report(workers.length);
    },
    { grace: 10_000 },
  );
  expect(run).toMatchObject({ code: 0, reports: [3] });
});

test('a task that forks leaves one worker: the copy ends with the task', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(1);
    const status = await pool.run(() => {
      const pid = rf.fork();
      return pid === 0 ? 0 : rf.waitpid(pid).status;
    });
    t.report(status);
    t.report(await pool.map((x: number) => x, [1, 2]));
    pool.close();
    await pool.join();
    t.report(pool.stats().forked);
  });
  expect(run.reports).toEqual([0, [1, 2], 2]); // the second for the second function
});

test('an aborted task: waiting, it never runs; running, the worker is told, then killed; others are not concerned', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const memory = new t.mp.SharedMemory({ create: true, size: 16 });
    const seen = memory.buf;
    const pool = new t.mp.Pool(1, { gracePeriod: 100 });
    const { up } = t.pipes('up');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const code = (error: { code: string }) => error.code;

    const self = () => process.pid;
    await pool.run(self);
    // Told: an async function that looks.
    const told = new AbortController();
    const first = pool.apply(
      async () => {
        const signal = t.mp.taskSignal() as AbortSignal;
        writeSync(up.write, 'x');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        seen[0] = 1;
      },
      [],
      { signal: told.signal },
    );
    const waiting = new AbortController();
    const second = pool.apply(() => void (seen[1] = 1), [], { signal: waiting.signal });
    const third = pool.run(self);
    readSync(up.read, Buffer.alloc(1));
    const worker = pool.stats().workers[0];
    waiting.abort();
    told.abort(new Error('enough'));
    const failure = await first.catch((error: Error & { code: string }) => [
      error.code,
      (error.cause as Error).message,
    ]);
    t.report([failure, await second.catch(code), (await third) === worker, ...seen.subarray(0, 2)]);

    // Killed: one that computes, and one that waits and does not look.
    for (const work of [() => rf.sleepSync(1e6), () => new Promise(() => {})]) {
      const controller = new AbortController();
      const result = pool.apply(
        (): unknown => {
          writeSync(up.write, 'x');
          return work();
        },
        [],
        { signal: controller.signal },
      );
      const next = pool.run(self);
      readSync(up.read, Buffer.alloc(1));
      const pid = pool.stats().workers[0];
      controller.abort();
      t.report([await result.catch(code), (await next) !== pid]);
    }
    t.report(await pool.apply(() => 1, [], { signal: AbortSignal.abort() }).catch(code));
    t.report(await pool.apply(() => 1, [], { signal: new AbortController().signal }));
    t.report([pool.stats().queued, pool.stats().running]);
    t.report([t.mp.taskSignal() ?? null]);
    pool.close();
    await pool.join();
    memory.close();
    memory.unlink();
  });
  expect(run.reports).toEqual([
    [['ABORT_ERR', 'enough'], 'ABORT_ERR', true, 1, 0],
    ['ABORT_ERR', true],
    ['ABORT_ERR', true],
    'ABORT_ERR',
    1,
    [0, 0],
    [null],
  ]);
});

test('one signal for the hundred chunks of a map, and for many tasks: one listener, no warning, all of them given up', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { getEventListeners } = require('node:events') as typeof import('node:events');
    const pool = new t.mp.Pool(2, { gracePeriod: 100 });
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = () => getEventListeners(signal, 'abort').length;
    const squares = pool.map((x: number) => x * x, [...new Array(100).keys()], { signal, chunkSize: 1 });
    t.report(listeners());
    t.report([(await squares)[99], listeners()]);
    const never = () => new Promise(() => {});
    const results = Array.from({ length: 30 }, () => pool.apply(never, [], { signal }).catch((error) => error.code));
    const others = pool.apply(() => 1, [], { signal: new AbortController().signal });
    t.report(listeners());
    controller.abort();
    t.report([...new Set(await Promise.all(results))]);
    t.report([listeners(), await others, await pool.apply(() => 2)]);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([1, [9801, 0], 1, ['ABORT_ERR'], [0, 1, 2]]);
});

test('a task that runs too long gives TimeoutError; its time begins when it does', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(1, { gracePeriod: 50 });
    const sleep = (ms: number) => rf.sleepSync(ms);
    const name = (error: Error) => error.name;
    const results = await Promise.all([
      pool.apply(sleep, [150], { timeout: 10_000 }).then(() => 'done'),
      pool.apply(() => 'quick', [], { timeout: 5_000 }),
      pool.apply(sleep, [1e6], { timeout: 100 }).catch(name),
      pool.apply(() => new Promise(() => {}), [], { timeout: 50 }).catch(name),
      pool.run(() => 'after'),
    ]);
    t.report(results);
    t.report(t.caught(() => pool.applySync(sleep, [1e6], { timeout: 50 })).name);
    t.report(pool.applySync(() => 'after'));
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([['done', 'quick', 'TimeoutError', 'TimeoutError', 'after'], 'TimeoutError', 'after']);
});

test('a worker that has ended before its start() returns is noticed', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { readFileSync } = require('node:fs') as typeof import('node:fs');
    const children = () =>
      readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
    rf.registerAtFork({
      afterInParent() {
        while (children().every((pid) => t.stat(pid)?.[0] !== 'Z'));
      },
    });
    for (const blocking of [false, true]) {
      const pool = new t.mp.Pool(1, { initializer: () => process.exit(3) });
      try {
        if (blocking) pool.applySync(() => 1);
        else await pool.run(() => 1);
      } catch (error) {
        t.report([(error as Error).name, (error as InstanceType<typeof t.mp.WorkerDiedError>).exitCode]);
      }
      await pool.terminate();
    }
  });
  expect(run.reports).toEqual([
    ['WorkerDiedError', 3],
    ['WorkerDiedError', 3],
  ]);
});
