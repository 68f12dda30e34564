/** Section Q of the acceptance list, after `_TestQueue` and `TestSimpleQueue` of CPython's tests. */
import { cleanProgram } from '../helpers/program';

test('Q01 maxsize 6: the seventh put is Full at once, or after its timeout; room comes as another process gets', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, Process, Event: _Event, Semaphore } = t.mp as typeof t.mp & { Event?: unknown };
    const queue = new Queue<number>(6);
    const go = new Semaphore(0);
    const gone = new Semaphore(0);
    const child = new Process({
      target: () => {
        go.acquireSync();
        for (let i = 0; i < 6; i++) queue.getSync();
        gone.release();
        t.report(['child', queue.qsize(), queue.empty(), queue.full()]);
      },
      daemon: true,
    });
    child.start();
    t.report([queue.empty(), queue.full(), queue.qsize()]);
    queue.putSync(1);
    queue.putSync(2, true);
    queue.putSync(3, true, null);
    queue.putSync(4, false);
    queue.putSync(5, false, null);
    queue.putNowait(6);
    t.report([queue.empty(), queue.full(), queue.qsize()]);

    const timed = async (call: () => unknown) => {
      const start = performance.now();
      let name = 'nothing thrown';
      try {
        await call();
      } catch (error) {
        ({ name } = error as Error);
      }
      return [name, performance.now() - start];
    };
    t.report([
      await timed(() => queue.putSync(7, false)),
      await timed(() => queue.putSync(7, false, 60_000)),
      await timed(() => queue.putSync(7, { block: false })),
      await timed(() => queue.putNowait(7)),
      await timed(() => queue.put(7, { block: false })),
    ]);
    t.report([
      await timed(() => queue.putSync(7, true, 120)),
      await timed(() => queue.putSync(7, { timeout: 120 })),
      await timed(() => queue.put(7, { timeout: 120 })),
      await timed(() => queue.put(7, true, 120)),
    ]);
    const put = queue.put(7);
    go.release();
    await put;
    queue.putSync(8);
    await gone.acquire();
    await child.join();
    t.report(['parent', queue.qsize(), queue.getSync(), queue.getSync(), queue.empty(), queue.full()]);
  });
  const [before, after, atOnce, late, child, parent] = run.reports;
  expect([before, after]).toEqual([
    [true, false, 0],
    [false, true, 6],
  ]);
  for (const [name, ms] of atOnce) expect([name, ms < 2_000]).toEqual(['Full', true]);
  for (const [name, ms] of late) expect([name, ms >= 119]).toEqual(['Full', true]);
  expect(child[0]).toBe('child');
  expect(parent).toEqual(['parent', 2, 7, 8, true, false]);
});

test('Q02 get on an empty queue is Empty at once, or not before its timeout; items come in order', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, Process } = t.mp;
    const queue = new Queue<number>();
    const back = new Queue<boolean>();
    const child = new Process({
      target: () => {
        for (const item of [2, 3, 4, 5]) queue.putSync(item);
        back.getSync();
      },
      daemon: true,
    });
    t.report([queue.empty()]);
    child.start();
    const items = [
      queue.getSync(),
      await queue.get(true, null),
      queue.getSync({ timeout: 10_000 }),
      await queue.get({ timeout: 10_000 }),
    ];
    t.report(items);
    t.report([queue.empty(), queue.qsize()]);
    const timed = async (call: () => unknown) => {
      const start = performance.now();
      let name = 'nothing thrown';
      try {
        await call();
      } catch (error) {
        ({ name } = error as Error);
      }
      return [name, performance.now() - start];
    };
    t.report([
      await timed(() => queue.getSync(false)),
      await timed(() => queue.getSync(false, 60_000)),
      await timed(() => queue.getNowait()),
      await timed(() => queue.get(false)),
      await timed(() => queue.get({ block: false })),
      await timed(() => queue.getSync({ timeout: 0 })),
      await timed(() => queue.getSync({ timeout: -5 })),
    ]);
    t.report([
      await timed(() => queue.getSync(true, 120)),
      await timed(() => queue.getSync({ timeout: 120 })),
      await timed(() => queue.get(true, 120)),
      await timed(() => queue.get({ timeout: 120 })),
    ]);
    back.putSync(true);
    await child.join();
  });
  const [start, items, end, atOnce, late] = run.reports;
  expect([start, items, end]).toEqual([[true], [2, 3, 4, 5], [true, 0]]);
  for (const [name, ms] of atOnce) expect([name, ms < 2_000]).toEqual(['Empty', true]);
  for (const [name, ms] of late) expect([name, ms >= 119]).toEqual(['Empty', true]);
});

test('test_fork: a queue that its parent has put into is put into by a child as well', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, Process } = t.mp;
    const queue = new Queue<number>();
    for (let i = 0; i < 10; i++) await queue.put(i);
    const child = new Process({
      target: async () => {
        for (let i = 10; i < 20; i++) await queue.put(i);
      },
      daemon: true,
    });
    child.start();
    const items = [];
    for (let i = 0; i < 20; i++) items.push(queue.getSync());
    t.report([items, t.caught(() => queue.getNowait())]);
    await child.join();
  });
  expect(run.reports).toEqual([[Array.from({ length: 20 }, (_, i) => i), { name: 'Empty', code: 'ERR_QUEUE_EMPTY' }]]);
});

test('test_qsize: it counts what was put and not got', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const queue = new t.mp.Queue();
    const sizes = [queue.qsize()];
    await queue.put(1);
    sizes.push(queue.qsize());
    queue.putSync(5);
    sizes.push(queue.qsize());
    await queue.get();
    sizes.push(queue.qsize());
    queue.getSync();
    sizes.push(queue.qsize());
    t.report(sizes);
  });
  expect(run.reports).toEqual([[0, 1, 2, 1, 0]]);
});

test.each(['sync', 'async'])(
  'Q04 join returns after 4 workers have done all 10 items; one done too many throws: %s',
  async (form) => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { JoinableQueue, Process, Semaphore } = t.mp;
        const isSync = t.args[0] === 'sync';
        const queue = new JoinableQueue<number | null>();
        const done = new Semaphore(0);
        const workers = Array.from(
          { length: 4 },
          () =>
            new Process({
              target: async () => {
                for (;;) {
                  const item = isSync ? queue.getSync() : await queue.get();
                  if (item === null) break;
                  rf.sleepSync(20);
                  done.release();
                  queue.taskDone();
                }
                queue.taskDone();
              },
            }),
        );
        for (const worker of workers) worker.start();
        for (let i = 0; i < 10; i++) queue.putSync(i);
        if (isSync) queue.joinSync();
        else await queue.join();
        let count = 0;
        while (done.acquireSync(false)) count++;
        t.report(count);
        for (const _ of workers) await queue.put(null);
        await queue.join();
        for (const worker of workers) await worker.join();
        t.report(t.caught(() => queue.taskDone()));
        await queue.join();
        queue.joinSync();
      },
      { args: [form] },
    );
    expect(run.reports).toEqual([10, { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }]);
  },
);

test('Q06 put and get on a closed queue throw, closing twice is fine', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, JoinableQueue, SimpleQueue } = t.mp;
    for (const queue of [new Queue(), new JoinableQueue(), new SimpleQueue(), new Queue(3)]) {
      queue.putSync('foo');
      const waiting = queue instanceof SimpleQueue ? undefined : new Queue();
      const pending = waiting?.get().catch((error: Error & { code: string }) => error.code);
      waiting?.close();
      queue.close();
      queue.close();
      const errors = [t.caught(() => queue.putSync('foo')).code, t.caught(() => queue.getSync()).code];
      for (const call of [() => queue.put('foo'), () => queue.get()]) {
        errors.push(
          await call().then(
            () => 'resolved',
            (error: Error & { code: string }) => error.code,
          ),
        );
      }
      t.report([queue.closed, [...errors, (await pending) ?? 'ERR_QUEUE_CLOSED']]);
      if (queue instanceof Queue) {
        await queue.joinThread();
        queue.joinThreadSync();
      }
    }
    const open = new Queue();
    t.report(t.caught(() => open.joinThreadSync()).code);
  });
  expect(run.reports).toEqual([
    ...Array.from({ length: 4 }, () => [true, Array.from({ length: 5 }, () => 'ERR_QUEUE_CLOSED')]),
    'ERR_QUEUE_NOT_CLOSED',
  ]);
});

test('Q06 SimpleQueue.empty() is right in both processes', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { SimpleQueue, Process, Semaphore } = t.mp;
    const queue = new SimpleQueue<boolean>();
    const childMay = new Semaphore(0);
    const parentMay = new Semaphore(0);
    const child = new Process({
      target: async () => {
        childMay.acquireSync();
        await queue.put(queue.empty());
        queue.putSync(queue.empty());
        parentMay.release();
      },
      daemon: true,
    });
    child.start();
    const seen = [queue.empty()];
    childMay.release();
    await parentMay.acquire();
    seen.push(queue.empty(), await queue.get(), queue.getSync(), queue.empty());
    await child.join();
    t.report(seen);
  });
  expect(run.reports).toEqual([[true, false, true, false, true]]);
});

test.each(['sync', 'async'])(
  'Q09 4 producers and 4 consumers, 20,000 items: each once, in each producer’s order: %s',
  async (form) => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Queue, Process } = t.mp;
        const isSync = t.args[0] === 'sync';
        const queue = new Queue<[number, number] | null>(100);
        const results = new Queue<[number, number][]>();
        const consumers = Array.from(
          { length: 4 },
          () =>
            new Process({
              target: async () => {
                const got: [number, number][] = [];
                for (;;) {
                  const item = isSync ? queue.getSync() : await queue.get();
                  if (item === null) break;
                  got.push(item);
                }
                results.putSync(got);
              },
            }),
        );
        const producers = Array.from(
          { length: 4 },
          (_, p) =>
            new Process({
              target: async () => {
                for (let i = 0; i < 5_000; i++) {
                  if (isSync) queue.putSync([p, i]);
                  else await queue.put([p, i]);
                }
              },
            }),
        );
        for (const process of [...consumers, ...producers]) process.start();
        for (const producer of producers) await producer.join();
        for (const _ of consumers) await queue.put(null);
        const seen = new Set<number>();
        let inOrder = true;
        for (const _ of consumers) {
          const last = [-1, -1, -1, -1];
          for (const [p, i] of await results.get()) {
            if (i <= (last[p] as number)) inOrder = false;
            last[p] = i;
            if (seen.has(p * 5_000 + i)) throw new Error(`item ${i} of ${p} came twice`);
            seen.add(p * 5_000 + i);
          }
        }
        for (const consumer of consumers) await consumer.join();
        t.report([seen.size, inOrder, queue.qsize(), queue.dropped]);
      },
      { args: [form], timeout: 60_000 },
    );
    expect(run.reports).toEqual([[20_000, true, 0, 0]]);
  },
  90_000,
);

test('test_queue_in_process: a queue made in a child serves that child’s child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, Process } = t.mp;
    const child = new Process({
      target: async () => {
        const queue = new Queue<string>();
        const grandchild = new Process({ target: () => queue.putSync('from below') });
        grandchild.start();
        t.report(await queue.get());
        await grandchild.join();
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual(['from below', 0]);
});

test('test_queue_feeder_donot_stop_onexc: an item that cannot be cloned throws at put and loses nothing', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue } = t.mp;
    const queue = new Queue<unknown>(2);
    queue.putSync(1);
    const errors = [
      t.caught(() => queue.putSync({ handler: () => 1 })).name,
      t.caught(() => queue.putNowait(Symbol('x'))).name,
      await queue.put(new WeakMap()).catch((error: Error) => error.name),
      t.caught(() =>
        queue.putSync({
          get broken() {
            throw new TypeError('a getter');
          },
        }),
      ).name,
    ];
    t.report([errors, queue.qsize()]);
    queue.putSync(2, { timeout: 5_000 });
    t.report([queue.getSync({ timeout: 5_000 }), await queue.get({ timeout: 5_000 }), queue.empty()]);
  });
  expect(run.reports).toEqual([
    [['DataCloneError', 'DataCloneError', 'DataCloneError', 'TypeError'], 1],
    [1, 2, true],
  ]);
});

test('test_no_import_lock_contention: a queue works while a module is being loaded', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const path = require('node:path') as typeof import('node:path');
    const file = path.join(__dirname, 'imported_by_an_imported_module.cjs');
    fs.writeFileSync(
      file,
      `const q = new mp.Queue(); q.putSync('knock knock'); exports.got = q.getSync({ timeout: 3000 }); q.close();`,
    );
    (globalThis as { mp?: unknown }).mp = t.mp;
    t.report((require(file) as { got: string }).got);
  });
  expect(run.reports).toEqual(['knock knock']);
});
