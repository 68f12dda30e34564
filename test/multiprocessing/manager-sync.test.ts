/** Queues, locks and numbers of a manager, each used by a child that has its proxy: after CPython's TestSyncManagerTypes. */
import { cleanProgram } from '../helpers/program';

const forms = ['sync', 'promise'];

describe.each(forms)('%s form', (form) => {
  test('G04 Queue and JoinableQueue: maxsize, Empty, Full, join (test_queue, test_joinable_queue)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Manager, Process } = t.mp;
        const isSync = t.args[0] === 'sync';
        const manager = await Manager();
        const code = async (call: () => unknown) => {
          try {
            return await call();
          } catch (error) {
            return (error as { code: string }).code;
          }
        };
        for (const type of ['Queue', 'JoinableQueue'] as const) {
          const queue = await manager[type]<unknown>(2);
          const put = (value: unknown, ...a: [boolean?, number?]) =>
            isSync ? queue.putSync(value, ...a) : queue.put(value, ...a);
          const get = (...a: [boolean?, number?]) => (isSync ? queue.getSync(...a) : queue.get(...a));
          await put({ n: 1 });
          await put(Buffer.from('two'));
          t.report([await queue.full(), await queue.qsize(), await queue.empty()]);
          t.report([
            await code(() => put(3, false)),
            await code(() => put(3, true, 20)),
            await code(() => (isSync ? queue.putNowaitSync(3) : queue.putNowait(3))),
          ]);
          const child = new Process({
            args: [queue],
            target: async (q: typeof queue) => {
              const items = isSync ? [q.getSync(), q.getSync()] : [await q.get(), await q.get()];
              t.report([items[0], String(items[1]), q.emptySync()]);
              if ('taskDone' in q) {
                const joinable = q as unknown as { taskDone(): Promise<void>; taskDoneSync(): void };
                joinable.taskDoneSync();
                await joinable.taskDone();
              }
              if (isSync) q.putSync('from the child');
              else await q.put('from the child');
            },
          });
          child.start();
          await child.join();
          t.report([await get(true, 5000), await code(() => get(false)), await code(() => get(true, 20))]);
          t.report(await code(() => (isSync ? queue.getNowaitSync() : queue.getNowait())));
          if (type === 'Queue') continue;
          const joinable = queue as Awaited<ReturnType<typeof manager.JoinableQueue>>;
          t.report(isSync ? joinable.joinSync(20) : await joinable.join(20));
          await joinable.taskDone();
          t.report([isSync ? joinable.joinSync() : await joinable.join(), await code(() => joinable.taskDone())]);
        }
      },
      { args: [form] },
    );
    const each = [
      [true, 2, false],
      ['ERR_QUEUE_FULL', 'ERR_QUEUE_FULL', 'ERR_QUEUE_FULL'],
      [{ n: 1 }, 'two', true],
      ['from the child', 'ERR_QUEUE_EMPTY', 'ERR_QUEUE_EMPTY'],
      'ERR_QUEUE_EMPTY',
    ];
    expect(run.reports).toEqual([...each, ...each, false, [true, 'ERR_OUT_OF_RANGE']]);
  });

  test('G04 Lock, RLock, Semaphore, BoundedSemaphore (test_lock, test_rlock, test_semaphore, test_bounded_semaphore)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Manager, Process } = t.mp;
        const isSync = t.args[0] === 'sync';
        const manager = await Manager();
        type Lock = Awaited<ReturnType<typeof manager.Lock>>;
        const acquire = async (lock: Lock, ...a: [boolean?, number?]) =>
          isSync ? lock.acquireSync(...a) : await lock.acquire(...a);
        const code = (call: () => Promise<unknown>) =>
          call().then(
            () => 'nothing',
            (error: Error & { code: string }) => error.code,
          );
        const inChild = async (lock: Lock, work: (lock: Lock) => unknown) => {
          const child = new Process({ args: [lock], target: work });
          child.start();
          await child.join();
          return child.exitCode;
        };
        // A Lock: of nobody in particular, as Python's; a second try without waiting is false.
        const lock = await manager.Lock();
        t.report([await acquire(lock), await acquire(lock, false), await acquire(lock, true, 20), await lock.locked()]);
        t.report(await inChild(lock, async (own) => process.exit((await acquire(own, false)) ? 1 : 0)));
        await lock.release();
        t.report([await code(() => lock.release()), await inChild(lock, (own) => own.withSync(() => process.exit(3)))]);
        t.report([await acquire(lock), lock.recovered?.name ?? null]); // its holder has ended inside of with()
        await lock.release();
        t.report([await lock.with(async () => lock.lockedSync()), await lock.locked(), lock.recovered]);
        // What a holder that has ended has left may be released by another, once (test_lock).
        t.report(await inChild(lock, async (own) => void (await acquire(own))));
        t.report([await code(() => lock.release()), await code(() => lock.release()), await acquire(lock)]);
        t.report(lock.recovered);
        await lock.release();
        // An RLock: its holder acquires it again, and has to release it as often.
        const rlock = await manager.RLock();
        t.report([await acquire(rlock), await acquire(rlock, false), await code(() => rlock.release())]);
        t.report(
          await inChild(rlock, async (own) => t.report([await acquire(own, false), await code(() => own.release())])),
        );
        await rlock.release();
        t.report([await code(() => rlock.release()), await inChild(rlock, (own) => void own.withSync(() => {}))]);
        const semaphore = await manager.Semaphore(2);
        const bounded = await manager.BoundedSemaphore(2);
        for (const sem of [semaphore, bounded]) {
          t.report([await acquire(sem), await acquire(sem), await acquire(sem, false), await sem.getValue()]);
          t.report(await inChild(sem, (own) => own.releaseSync())); // who releases need not have acquired
          t.report([await acquire(sem, true, 5000), await acquire(sem, true, 20)]);
          await sem.release();
          await sem.release();
          t.report([await sem.getValue(), await code(() => sem.release()), await sem.getValue()]);
        }
      },
      { args: [form] },
    );
    expect(run.reports).toEqual([
      [true, false, false, true],
      0,
      ['ERR_LOCK_NOT_ACQUIRED', 3],
      [true, 'OwnerDiedError'],
      [true, false, null],
      0,
      ['nothing', 'ERR_LOCK_NOT_ACQUIRED', true],
      null,
      [true, true, 'nothing'],
      [false, 'ERR_LOCK_NOT_OWNED'],
      0,
      ['ERR_LOCK_NOT_OWNED', 0],
      ...['nothing', 'ERR_SEMAPHORE_RELEASED_TOO_OFTEN'].flatMap((released) => [
        [true, true, false, 0],
        0,
        [true, false],
        [2, released, released === 'nothing' ? 3 : 2],
      ]),
    ]);
  });

  test('G04 Event, Condition, Barrier (test_event, test_condition, test_barrier)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Manager, Process } = t.mp;
        const isSync = t.args[0] === 'sync';
        const manager = await Manager();
        const event = await manager.Event();
        t.report([await event.isSet(), isSync ? event.waitSync(20) : await event.wait(20), await event.wait(0)]);
        const setter = new Process({ args: [event], target: (own: typeof event) => own.setSync() });
        setter.start();
        t.report([isSync ? event.waitSync() : await event.wait(), await event.isSet()]);
        await setter.join();
        await event.clear();
        t.report(await event.isSet());

        // Conditions with locks of their own, and with a given one.
        const lock = await manager.Lock();
        for (const condition of [await manager.Condition(), await manager.Condition(lock)]) {
          const state = await manager.dict({ asleep: 0, woken: 0 });
          const sleeper = async (own: typeof condition) => {
            own.acquireSync();
            state.setSync('asleep', (state.getSync('asleep') as number) + 1);
            const result = isSync ? own.waitSync() : await own.wait();
            state.setSync('woken', (state.getSync('woken') as number) + 1);
            own.releaseSync();
            process.exit(result ? 0 : 1);
          };
          const sleepers = [1, 2, 3].map(() => new Process({ args: [condition], target: sleeper }));
          for (const child of sleepers) child.start();
          // Counted under the lock that wait() gives up.
          await t.waitUntil(() => condition.withSync(() => state.getSync('asleep') === 3), 'all asleep');
          await condition.with(() => condition.notify());
          await t.waitUntil(() => state.getSync('woken') === 1, 'one woken');
          t.report([await condition.with(() => state.get('woken')), await lock.locked()]);
          await condition.with(() => condition.notifyAll());
          await Promise.all(sleepers.map((child) => child.join()));
          t.report(sleepers.map((child) => child.exitCode));
          const failed = (call: Promise<unknown>) => call.then(String, (error: Error & { code: string }) => error.code);
          t.report([await failed(condition.wait()), await failed(condition.notify())]);
          condition.acquireSync();
          const never = () => false;
          t.report([
            isSync ? condition.waitSync(20) : await condition.wait(20),
            isSync ? condition.waitForSync(never, 20) : await condition.waitFor(never, 20),
            isSync ? condition.waitForSync(() => 'now') : await condition.waitFor(async () => 'now'),
          ]);
          condition.releaseSync();
        }

        const barrier = await manager.Barrier(3);
        const places = await manager.list<number>();
        const party = async (own: typeof barrier) => {
          for (let round = 0; round < 3; round++) places.appendSync(isSync ? own.waitSync() : await own.wait());
        };
        const parties = [1, 2].map(() => new Process({ args: [barrier], target: party }));
        for (const child of parties) child.start();
        await party(barrier);
        await Promise.all(parties.map((child) => child.join()));
        t.report([(await places.copy()).sort(), await barrier.parties, barrier.nWaitingSync(), await barrier.broken]);
        const broken = (call: () => unknown) =>
          Promise.resolve()
            .then(call)
            .then(String, (e: Error) => e.name);
        t.report([await broken(() => (isSync ? barrier.waitSync(20) : barrier.wait(20))), await barrier.broken]);
        await barrier.reset();
        const waits = broken(() => barrier.wait());
        await t.waitUntil(() => barrier.nWaitingSync() === 1, 'one at the barrier');
        await barrier.abort();
        t.report([await waits, await broken(() => barrier.wait()), await barrier.broken()]);
        // With an action, which no message can carry.
        const text = 'the action saw this';
        const acting = await manager.Barrier(1, () => {
          if (text.length === 0) throw new Error();
        });
        t.report([await acting.wait(), acting.waitSync()]);
      },
      { args: [form] },
    );
    const ofCondition = [
      [1, false],
      [0, 0, 0],
      ['ERR_LOCK_NOT_OWNED', 'ERR_LOCK_NOT_OWNED'],
      [false, false, 'now'],
    ];
    expect(run.reports).toEqual([
      [false, false, false],
      [true, true],
      false,
      ...ofCondition,
      ...ofCondition,
      [[0, 0, 0, 1, 1, 1, 2, 2, 2], 3, 0, false],
      ['BrokenBarrierError', true],
      ['BrokenBarrierError', 'BrokenBarrierError', true],
      [0, 0],
    ]);
  });
});

test('G04 SharedValue and SharedArray, also as Value and Array with Python’s codes (test_value, test_array)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const value = await manager.SharedValue('i32', 1);
    const array = await manager.SharedArray('f64', 4);
    const child = new Process({
      args: [value, array],
      target: (v: typeof value, a: typeof array) => {
        v.value += 41;
        a[1] = 2.5;
        a.setSync(-1, 7);
        t.report([v.getSync(), [...a], a.lengthSync(), a[9] ?? 'none']);
      },
    });
    child.start();
    await child.join();
    t.report([await value.get(), value.value, [...(await array.slice(1))], await array.length, await array.get(-1)]);
    const code = (call: Promise<unknown>) => call.then(String, (error: Error & { code: string }) => error.code);
    t.report([await code(value.set(2 ** 40)), await code(array.get(4)), await code(array.set(0, 'x' as never))]);
    const v = await manager.Value('i', 1);
    const a = await manager.Array('i', [0, 1, 2, 3]);
    await a.assign([8, 9], 1);
    t.report([v.value, [...a], String(v), String(a), await v.add(4)]);
    await a.fill(5);
    t.report([[...a].length, (await a.getValue()) as Int32Array]);
    // Many add to it at once, each under its lock.
    const children = [1, 2, 3].map(
      () =>
        new Process({
          target: async () => {
            const lock = (await v.getLock()) as Awaited<ReturnType<typeof manager.RLock>>;
            for (let i = 0; i < 20; i++) await lock.with(async () => v.set((await v.get()) + 1));
          },
        }),
    );
    for (const one of children) one.start();
    await Promise.all(children.map((one) => one.join()));
    t.report(v.value);
  });
  expect(run.reports).toEqual([
    [42, [0, 2.5, 0, 7], 4, 'none'],
    [42, 42, [2.5, 0, 7], 4, 7],
    ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE'],
    [1, [0, 8, 9, 3], "SharedValue('i32', 1)", "SharedArray('i32', [ 0, 8, 9, 3 ])", 5],
    [4, { 0: 5, 1: 5, 2: 5, 3: 5 }],
    65,
  ]);
});

test('callers wait beside each other: a blocked call keeps nobody of the same process waiting, nor of others', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const queue = await manager.Queue<string>();
    const dict = await manager.dict<string, number>();
    const waits = [queue.get(), queue.get()];
    await dict.set('meanwhile', 1);
    t.report([await dict.get('meanwhile'), dict.getSync('meanwhile')]);
    const child = new Process({
      target: () => {
        queue.putSync('for a promise');
        t.report(queue.getSync(true, 20_000)); // its own connection, blocked beside the parent's
      },
    });
    child.start();
    t.report(await waits[0]);
    queue.putSync('for the second'); // an answer that comes while a call blocks
    t.report(await waits[1]);
    await queue.put('for the child');
    await child.join();
    // A call given up is out of the line.
    const abort = new AbortController();
    const given = queue.get({ signal: abort.signal }).catch((error: Error) => error.name);
    await dict.size;
    abort.abort();
    t.report(await given);
    await queue.put('kept');
    t.report(await queue.get({ timeout: 5000 }));
    // Many at a time, and in order.
    const puts = Array.from({ length: 500 }, (_, i) => queue.put(String(i)));
    const gets = await Promise.all(Array.from({ length: 500 }, () => queue.get()));
    await Promise.all(puts);
    t.report(gets.every((item, i) => item === String(i)));
  });
  expect([...run.reports].sort()).toEqual(
    [[1, 1], 'for a promise', 'for the second', 'for the child', 'AbortError', 'kept', true].sort(),
  );
});

test('a dict and a lock of a manager: 8 processes count to 400', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const counts = await manager.dict({ n: 0 });
    const lock = await manager.Lock();
    const children = Array.from(
      { length: 8 },
      (_, i) =>
        new Process({
          target: async () => {
            for (let k = 0; k < 50; k++) {
              if (i % 2 === 0) lock.withSync(() => counts.setSync('n', (counts.getSync('n') as number) + 1));
              else await lock.with(async () => counts.set('n', ((await counts.get('n')) as number) + 1));
            }
          },
        }),
    );
    for (const child of children) child.start();
    await Promise.all(children.map((child) => child.join()));
    t.report([await counts.get('n'), children.map((child) => child.exitCode)]);
  });
  expect(run.reports).toEqual([[400, Array(8).fill(0)]]);
});
