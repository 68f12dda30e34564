/** What a queue does beside put and get: signals, iteration, being sent, its arguments, large items, the process's end. */
import { cleanProgram, program } from '../helpers/program';

test('an aborted put or get does nothing and rejects with AbortError', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue } = t.mp;
    const queue = new Queue<number>(1);
    const name = (promise: Promise<unknown>) => promise.then(String, (error: Error & { code: string }) => error.code);
    const first = new AbortController();
    const get = name(queue.get({ signal: first.signal }));
    first.abort(new Error('no longer'));
    queue.putSync(1);
    const second = new AbortController();
    const put = name(queue.put(2, { signal: second.signal }));
    second.abort();
    t.report([await get, await put, queue.qsize(), queue.getSync(), queue.empty()]);
    t.report([await name(queue.get({ signal: AbortSignal.abort() })), await name(queue.get({ timeout: 1 }))]);
    // In line: the aborted one is passed over, those behind it keep their places.
    const third = new AbortController();
    const gets = [queue.get(), queue.get({ signal: third.signal }), queue.get()].map(name);
    third.abort();
    queue.putSync(3);
    await gets[0];
    queue.putSync(4);
    t.report(await Promise.all(gets));
  });
  expect(run.reports).toEqual([
    ['ABORT_ERR', 'ABORT_ERR', 1, 1, true],
    ['ABORT_ERR', 'ERR_QUEUE_EMPTY'],
    ['3', 'ABORT_ERR', '4'],
  ]);
});

test('an empty queue has room for what it is made for, wherever in its ring the last items were', async () => {
  const run = await cleanProgram((rf, t) => {
    const { Queue } = t.mp;
    const queue = new Queue<string>(1_000_000, { ringSize: 2 ** 20 });
    const item = 'x'.repeat(100);
    const counts = [];
    for (const before of [0, 2_000, 3_000, 5_000, 9_000]) {
      for (let i = 0; i < before; i++) {
        queue.putNowait(item);
        queue.getNowait();
      }
      let count = 0;
      try {
        for (;;) {
          queue.putNowait(item);
          count += 1;
        }
      } catch (error) {
        if (!(error instanceof t.mp.Full)) throw error;
      }
      while (!queue.empty()) if (queue.getNowait() !== item) throw new Error('a wrong item');
      counts.push(count);
    }
    t.report(counts);
  });
  for (const count of run.reports[0]) expect(count).toBeGreaterThan(2 ** 20 / 112 - 100);
});

test('for await gives the items until the queue is closed here', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, Process } = t.mp;
    const queue = new Queue<number>();
    const child = new Process({
      target: () => {
        for (let i = 0; i < 5; i++) queue.putSync(i);
      },
    });
    child.start();
    const items = [];
    for await (const item of queue) {
      items.push(item);
      if (items.length === 5) setImmediate(() => queue.close()); // ends the wait for the sixth
    }
    t.report(items);
    await child.join();
  });
  expect(run.reports).toEqual([[0, 1, 2, 3, 4]]);
});

test('a queue goes through a queue, a pipe and args, and back comes the object that was sent', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, SimpleQueue, JoinableQueue, Pipe, Process } = t.mp;
    const requests = new Queue<{
      reply: InstanceType<typeof SimpleQueue>;
      tasks: InstanceType<typeof JoinableQueue>;
    }>();
    const child = new Process({
      target: async (queue: typeof requests) => {
        const { reply, tasks } = await queue.get();
        await tasks.get();
        tasks.taskDone();
        await reply.put(['child', reply instanceof SimpleQueue, tasks instanceof JoinableQueue]);
      },
      args: [requests],
    });
    child.start();
    // Made after the child, which therefore has never seen them.
    const reply = new SimpleQueue();
    const tasks = new JoinableQueue();
    tasks.putSync('task');
    requests.putSync({ reply, tasks });
    await tasks.join();
    t.report(await reply.get());
    requests.putSync({ reply, tasks });
    const back = requests.getSync();
    t.report([back.reply === reply, back.tasks === tasks]);
    const [a, b] = Pipe();
    a.sendSync(reply);
    t.report(b.recvSync() === reply);
    a.close();
    b.close();
    await child.join();
  });
  expect(run.reports).toEqual([['child', true, true], [true, true], true]);
});

test('bad arguments throw before anything happens', async () => {
  const run = await cleanProgram((rf, t) => {
    const { Queue } = t.mp;
    const Loose = Queue as unknown as new (...args: unknown[]) => InstanceType<typeof Queue>;
    const codes = [[1.5], ['3'], [1, { ringSize: 1000 }], [1, { ringSize: 5000 }], [1, null], [NaN], [{}]].map(
      (args) => t.caught(() => new Loose(...args)).code,
    );
    const queue = new Queue(1) as unknown as { putSync(...args: unknown[]): void; qsize(): number };
    codes.push(
      ...[
        ['x', 'yes'],
        ['x', true, 'soon'],
        ['x', { timeout: NaN }],
        ['x', { block: 1 }],
      ].map((args) => t.caught(() => queue.putSync(...args)).code),
    );
    t.report([codes, queue.qsize(), new Queue(-1).full()]);
  });
  const type = 'ERR_INVALID_ARG_TYPE';
  const range = 'ERR_OUT_OF_RANGE';
  expect(run.reports).toEqual([[[range, type, range, range, type, range, type, type, type, range, type], 0, false]]);
});

test.each(['sync', 'async'])('a 64 MB item goes through a ring of 1 MB, others behind it: %s', async (form) => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { Queue, Process } = t.mp;
      const isSync = t.args[0] === 'sync';
      const queue = new Queue<Buffer | string>(0, { ringSize: 1 << 20 });
      const child = new Process({
        target: async () => {
          const large = Buffer.alloc(64 << 20);
          for (let i = 0; i < large.length; i += 4096) large.writeUInt32LE(i, i);
          if (isSync) {
            queue.putSync('before');
            queue.putSync(large);
            queue.putSync('after');
          } else {
            await Promise.all([queue.put('before'), queue.put(large), queue.put('after')]);
          }
          large.fill(0); // it was copied when it was put
        },
      });
      child.start();
      const get = async () => (isSync ? queue.getSync() : await queue.get());
      const before = await get();
      const large = (await get()) as Buffer;
      const after = await get();
      let wrong = 0;
      for (let i = 0; i < large.length; i += 4096) if (large.readUInt32LE(i) !== i) wrong++;
      await child.join();
      t.report([before, large.length, wrong, after, queue.empty(), queue.dropped, child.exitCode]);
    },
    { args: [form] },
  );
  expect(run.reports).toEqual([['before', 64 << 20, 0, 'after', true, 0, 0]]);
});

test('a process that puts more than the ring holds gets it back itself, and a large item too', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue } = t.mp;
    const queue = new Queue<number | Buffer>(0, { ringSize: 4096 });
    for (let i = 0; i < 5_000; i++) queue.putSync(i);
    for (let i = 5_000; i < 10_000; i++) await queue.put(i);
    queue.putNowait(Buffer.alloc(50_000, 7));
    queue.putNowait(-1);
    t.report([queue.qsize(), queue.empty(), queue.full()]);
    let inOrder = true;
    for (let i = 0; i < 5_000; i++) if (queue.getSync() !== i) inOrder = false;
    for (let i = 5_000; i < 10_000; i++) if ((await queue.get()) !== i) inOrder = false;
    const large = queue.getSync() as Buffer;
    t.report([inOrder, large.length, large[49_999], await queue.get(), queue.empty(), queue.qsize()]);
  });
  expect(run.reports).toEqual([
    [10_002, false, false],
    [true, 50_000, 7, -1, true, 0],
  ]);
});

test('what a process has put is not lost when it ends: by itself, by process.exit, by an error', async () => {
  const run = await program((rf, t) => {
    const { Queue, Process } = t.mp;
    const fill = (end: () => void) => {
      const queue = new Queue<number>(0, { ringSize: 4096 });
      const child = new Process({
        target: () => {
          for (let i = 0; i < 2_000; i++) queue.putNowait(i);
          end();
        },
      });
      child.start();
      let sum = 0;
      for (let i = 0; i < 2_000; i++) sum += queue.getSync({ timeout: 10_000 });
      child.joinSync();
      return [sum, child.exitCode];
    };
    t.report([
      fill(() => {}),
      fill(() => process.exit(3)),
      fill(() => {
        throw new Error('expected by the test');
      }),
    ]);
  });
  expect(run.code).toBe(0);
  expect(run.reports).toEqual([
    [
      [1_999_000, 0],
      [1_999_000, 3],
      [1_999_000, 1],
    ],
  ]);
});

test('after cancelJoinThread a process ends though nobody gets what it has put', async () => {
  const run = await cleanProgram((rf, t) => {
    const { Queue, Process } = t.mp;
    const ends = [false, true].map((byExit) => {
      const queue = new Queue<number>(0, { ringSize: 4096 });
      const child = new Process({
        target: () => {
          for (let i = 0; i < 2_000; i++) queue.putNowait(i);
          queue.cancelJoinThread();
          if (byExit) process.exit(0);
        },
      });
      child.start();
      child.joinSync();
      let last = -1;
      while (!queue.empty()) last = queue.getSync();
      return [child.exitCode, last > 100 && last < 1_999];
    });
    t.report(ends);
  });
  expect(run.reports).toEqual([
    [
      [0, true],
      [0, true],
    ],
  ]);
});

test('joinThread waits until others have made room', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Queue, Process } = t.mp;
    const queue = new Queue<number>(0, { ringSize: 4096 });
    for (let i = 0; i < 2_000; i++) queue.putNowait(i);
    const child = new Process({
      target: () => {
        let sum = 0;
        for (let i = 0; i < 2_000; i++) sum += queue.getSync();
        t.report(sum);
      },
    });
    child.start();
    queue.close();
    await queue.joinThread();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual([1_999_000, 0]);
});

test('processes that wait for items use no CPU', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { Queue, Process, Semaphore } = t.mp;
      const queue = new Queue();
      const stop = new Semaphore(0);
      const used = new Queue<number>();
      const wait = async (get: () => unknown) => {
        const before = process.cpuUsage();
        const start = performance.now();
        await get();
        const { user, system } = process.cpuUsage(before);
        used.putSync((user + system) / 1000 / (performance.now() - start));
      };
      const children = [
        new Process({ target: () => wait(() => queue.getSync()) }),
        new Process({ target: () => wait(() => queue.get()) }),
        new Process({ target: () => wait(() => queue.getSync({ timeout: 60_000 })) }),
      ];
      for (const child of children) child.start();
      stop.acquireSync(true, 2_000 * t.pace);
      for (const _ of children) queue.putSync(1);
      for (const child of children) await child.join();
      t.report(children.map(() => used.getSync()));
    },
    { timeout: 20_000 },
  );
  for (const share of run.reports[0]) expect(share).toBeLessThan(0.05);
});

test('wait() tells of queues that have an item, beside connections and sentinels, in both forms', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Pipe, Process, Queue, SimpleQueue, wait, waitSync } = t.mp;
    const [first, second] = [new Queue<string>(), new SimpleQueue<string>()];
    const [mine, its] = Pipe();
    const child = new Process({
      target: async () => {
        await its.recv();
        first.putSync('one');
        await its.recv();
        await second.put('two');
        await its.recv();
      },
    });
    child.start();
    const all = [first, second, mine, child.sentinel] as const;
    const names = (ready: readonly unknown[]) =>
      ready.map((each) => ['first', 'second', 'mine', 'sentinel'][all.indexOf(each as never)]);
    t.report([names(waitSync(all, 0)), names(await wait(all, 20))]);
    mine.sendSync(1);
    t.report([names(await wait(all, 10_000)), names(waitSync(all)), first.getSync(), names(waitSync(all, 0))]);
    mine.sendSync(2);
    t.report([names(waitSync(all, 10_000)), await second.get()]);
    mine.sendSync(3);
    t.report(names(await wait(all)));
    await child.join();
    first.close();
    t.report(t.caught(() => waitSync([first], 0)).code);
  });
  expect(run.reports).toEqual([
    [[], []],
    [['first'], ['first'], 'one', []],
    [['second'], 'two'],
    ['sentinel'],
    'ERR_QUEUE_CLOSED',
  ]);
});
