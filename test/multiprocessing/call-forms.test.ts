/** The forms that arguments may take: Python's positions, an options object, and a number of milliseconds alone. */
import { cleanProgram } from '../helpers/program';

test('timeouts of locks and queues: in Python’s place, as an option, as a number alone, in both forms', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { BoundedSemaphore, Condition, JoinableQueue, Lock, Queue, Semaphore, SimpleQueue } = t.mp;
    const timed = async (call: () => unknown) => {
      const start = performance.now();
      let result: unknown;
      try {
        result = await call();
      } catch (error) {
        result = (error as Error).name;
      }
      return [result, performance.now() - start >= 39];
    };
    const lock = new Lock();
    lock.acquireSync();
    for (const held of [lock, new Semaphore(0), new BoundedSemaphore(0), new Condition(lock)]) {
      const rows = [];
      for (const form of [[true, 40], [undefined, 40], [null, 40], [{ timeout: 40 }], [40]] as [40][]) {
        rows.push(await timed(() => held.acquire(...form)), await timed(() => held.acquireSync(...form)));
      }
      t.report(rows.every(([result, waited]) => result === false && waited));
      t.report([
        await held.acquire(0),
        held.acquireSync(-1),
        await held.acquire(false),
        held.acquireSync(false, 9_999),
      ]);
    }
    for (const queue of [new Queue<number>(), new JoinableQueue<number>(), new SimpleQueue<number>()]) {
      const rows = [];
      for (const form of [[true, 40], [undefined, 40], [{ timeout: 40 }], [40]] as [40][]) {
        rows.push(await timed(() => queue.get(...form)), await timed(() => queue.getSync(...form)));
      }
      t.report(rows.every(([result, waited]) => result === 'Empty' && waited));
      t.report([await timed(() => queue.get(false)), await timed(() => queue.getSync(0))]);
      await queue.put(1, 40);
      queue.putSync(2, { timeout: 40 });
      t.report([await queue.get(40), queue.getSync({ block: false })]);
    }
    const full = new Queue<number>(1);
    full.putNowait(1);
    t.report([full.maxsize, await timed(() => full.put(2, 40)), await timed(() => full.putSync(2, 40)), full.qsize()]);
    t.report(t.caught(() => full.putSync(2, 'x' as never)));
  });
  const never = [false, false, false, false];
  const atOnce = [
    ['Empty', false],
    ['Empty', false],
  ];
  expect(run.reports).toEqual([
    ...Array.from({ length: 4 }, () => [true, never]).flat(),
    ...Array.from({ length: 3 }, () => [true, atOnce, [1, 2]]).flat(),
    [1, ['Full', true], ['Full', true], 1],
    { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' },
  ]);
});

test('poll, wait and join take { timeout } as well, and wait() a process', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Pipe, Process, wait, waitSync } = t.mp;
    const [a, otherEnd] = Pipe();
    const { go } = t.pipes('go');
    const child = new Process({
      target: () => (require('node:fs') as typeof import('node:fs')).readSync(go.read, Buffer.alloc(1)),
      args: null,
      kwargs: null,
      name: null,
      daemon: null,
    });
    child.start();
    const start = performance.now();
    const timeout = 30;
    t.report([
      a.pollSync({ timeout }),
      await a.poll({ timeout }),
      await wait([a, child], { timeout }),
      waitSync([a, child], { timeout }),
      await child.join({ timeout }),
      child.joinSync({ timeout }),
      performance.now() - start >= 6 * timeout - 6,
    ]);
    t.report(await a.poll({ signal: AbortSignal.timeout(10), timeout: null }).catch((error: Error) => error.name));
    t.report(await wait([a], { signal: AbortSignal.timeout(10) }).catch((error: Error) => error.name));
    const ended = wait([a, child]);
    (require('node:fs') as typeof import('node:fs')).writeSync(go.write, 'x');
    t.report([(await ended)[0] === child, waitSync([child.sentinel, child]).length]);
    await child.join();
    t.report([child.name, child.exitCode]);
    otherEnd.close(); // one that nobody can reach is closed when it is collected, and ends the wait
  });
  expect(run.reports).toEqual([
    [false, false, [], [], null, null, true],
    'AbortError',
    'AbortError',
    [true, 2],
    ['Process-1', 0],
  ]);
});

test('a context has the classes and calls that do not depend on the start method', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { mp } = t;
    const names = [
      ...['Pipe', 'Queue', 'SimpleQueue', 'JoinableQueue', 'Lock', 'RLock', 'Semaphore', 'BoundedSemaphore'],
      ...['Condition', 'Event', 'Barrier', 'SharedValue', 'SharedArray', 'Manager', 'ManagerSync'],
      ...['ProcessError', 'TimeoutError', 'AuthenticationError', 'BufferTooShort'],
    ] as const;
    for (const context of [mp.getContext(), mp.getContext('fork')]) {
      t.report(names.filter((name) => context[name] !== mp[name]));
    }
    const context = mp.getContext('fork');
    const queue = new context.Queue<number>();
    const child = new context.Process({ target: () => queue.putSync(42) });
    child.start();
    t.report(await queue.get());
    await child.join();
  });
  expect(run.reports).toEqual([[], [], 42]);
});

test('test_repr: what objects show of themselves', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { mp } = t;
    const { inspect } = require('node:util') as typeof import('node:util');
    const both = (object: object) => t.report(inspect(object) === String(object) ? String(object) : 'not the same');
    const event = new mp.Event();
    both(event);
    event.set();
    both(event);
    event.clear();
    both(event);
    const lock = new mp.Lock();
    both(lock);
    lock.acquireSync();
    both(lock);
    const child = new mp.Process({ target: () => both(lock) });
    child.start();
    await child.join();
    both(new mp.RLock());
    both(new mp.Semaphore(3));
    both(new mp.BoundedSemaphore(2));
    both(new mp.Condition());
    both(new mp.Condition(lock));
    both(new mp.Barrier(3));
    const queue = new mp.Queue(6);
    queue.putSync('x');
    both(queue);
    queue.close();
    both(queue);
    both(new mp.SimpleQueue());
    both(new mp.SharedValue('i32', 5));
    both(new mp.SharedValue('u64', 2n ** 63n));
    const [connection] = mp.Pipe({ duplex: false });
    t.report(inspect(connection).replace(/\d+/, 'N'));
    connection.close();
    both(connection);
  });
  expect(run.reports).toEqual([
    '<Event unset>',
    '<Event set>',
    '<Event unset>',
    '<Lock free>',
    '<Lock owner=self>',
    '<Lock owner=other>',
    '<RLock free>',
    '<Semaphore value=3>',
    '<BoundedSemaphore value=2 most=2>',
    '<Condition <RLock free>>',
    '<Condition <Lock owner=self>>',
    '<Barrier waiters=0/3>',
    '<Queue items=1 maxsize=6>',
    '<Queue closed maxsize=6>',
    '<SimpleQueue items=0>',
    '<SharedValue i32 5>',
    '<SharedValue u64 9223372036854775808>',
    '<Connection fd=N readable>',
    '<Connection closed>',
  ]);
});

test('M01 the lock of a shared value or array may be given as it is', async () => {
  const run = await cleanProgram((rf, t) => {
    const { Lock, RLock, SharedArray, SharedValue } = t.mp;
    const lock = new Lock();
    for (const make of [
      (given?: never) => new SharedValue('i32', 0, given),
      (given?: never) => new SharedArray('i32', 3, given),
    ]) {
      const made = (given: unknown) => make(given as never) as { getLock?: () => unknown };
      t.report([
        made(lock).getLock?.() === lock,
        made({ lock }).getLock?.() === lock,
        made(true).getLock?.() instanceof RLock,
        made({}).getLock?.() instanceof RLock,
        made(undefined).getLock?.() instanceof RLock,
        made(false).getLock,
        made({ lock: false }).getLock,
        t.caught(() => made('navalue')).code,
        t.caught(() => made({ lock: 'navalue' })).code,
      ]);
    }
  });
  const type = 'ERR_INVALID_ARG_TYPE';
  expect(run.reports).toEqual(Array(2).fill([true, true, true, true, true, null, null, type, type]));
});
