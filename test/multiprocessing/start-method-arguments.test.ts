/** P24 of the acceptance under every start method: what reaches a process as an argument, and what is refused. */
import { methodProgram, startMethods } from '../helpers/method-program';

describe.each(startMethods)('%s', (method) => {
  test('P24 arguments arrive as they were: what structured clone takes, to an async target', async () => {
    const run = await methodProgram(
      method,
      (_rf, t) => ({
        async work(
          plain: Record<string, unknown>,
          { map, set, key }: { map: Map<object, unknown>; set: Set<unknown>; key: object },
          bytes: [Buffer, Float64Array, DataView],
          error: RangeError & { code: string },
          ...[date, pattern, big, sparse, options]: [Date, RegExp, bigint, unknown[], { plain: unknown; self: unknown }]
        ) {
          await new Promise((resolve) => setImmediate(resolve));
          const [buffer, doubles, view] = bytes;
          t.report([plain['n'], plain['none'], plain['text'], plain['self'] === plain, options.plain === plain]);
          t.report([map.get(key), set.has(key), set.size, options.self === options]);
          t.report([buffer.toString(), Buffer.isBuffer(buffer), [...doubles], view.getUint8(1)]);
          t.report([
            error.name,
            error.message,
            error.code,
            (error.cause as Error).message,
            error instanceof RangeError,
          ]);
          t.report([date.getTime(), pattern.test('ABC'), String(big), 1 in sparse, sparse.length]);
        },
      }),
      async (rf, t, { work }) => {
        const plain: Record<string, unknown> = { n: -0.5, none: null, text: 'grün 🌲' };
        plain['self'] = plain;
        const key = { key: 1 };
        const options: Record<string, unknown> = { plain };
        options['self'] = options;
        const error = Object.assign(new RangeError('far', { cause: new Error('why') }), { code: 'ERR_FAR' });
        const child = new t.mp.Process({
          target: work,
          args: [
            plain,
            { map: new Map([[key, 'value']]), set: new Set([key, 2]), key },
            [Buffer.from('bytes'), Float64Array.of(1.5, NaN), new DataView(Uint8Array.of(0, 7).buffer)],
            error,
            new Date(86_400_000),
            /^a.c$/i,
            2n ** 70n,
            // eslint-disable-next-line no-sparse-arrays
            [1, , 3],
          ],
          kwargs: options,
        });
        child.start();
        await child.join();
        t.report(child.exitCode);
      },
    );
    expect(run.reports).toEqual([
      [-0.5, null, 'grün 🌲', true, true],
      ['value', true, 2, true],
      ['bytes', true, [1.5, null], 7],
      ['RangeError', 'far', 'ERR_FAR', 'why', true],
      [86_400_000, true, String(2n ** 70n), false, 3],
      0,
    ]);
  });

  test('P24 the objects of the library are arguments, in arrays and objects too, and the same in both processes', async () => {
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        work(
          [lock, rlock, semaphore, bounded]: [
            InstanceType<typeof _t.mp.Lock>,
            InstanceType<typeof _t.mp.RLock>,
            InstanceType<typeof _t.mp.Semaphore>,
            InstanceType<typeof _t.mp.BoundedSemaphore>,
          ],
          [queue, simple, joinable]: [
            InstanceType<typeof _t.mp.Queue>,
            InstanceType<typeof _t.mp.SimpleQueue>,
            InstanceType<typeof _t.mp.JoinableQueue>,
          ],
          shared: {
            value: InstanceType<typeof _t.mp.SharedValue>;
            array: InstanceType<typeof _t.mp.SharedArray>;
            memory: InstanceType<typeof _t.mp.SharedMemory>;
            list: InstanceType<typeof _t.mp.ShareableList>;
          },
          party: Map<string, unknown>,
          connection: InstanceType<typeof _t.mp.Connection>,
          { file }: { file: InstanceType<typeof _t.mp.DupFd> },
        ) {
          const event = party.get('event') as InstanceType<typeof _t.mp.Event>;
          const condition = party.get('condition') as InstanceType<typeof _t.mp.Condition>;
          const barrier = party.get('barrier') as InstanceType<typeof _t.mp.Barrier>;
          const got = [lock.acquireSync(false), rlock.acquireSync(false), semaphore.acquireSync(false)];
          got.push(bounded.acquireSync(false), bounded.acquireSync(false));
          queue.putSync(joinable.getSync());
          joinable.taskDone();
          simple.putSync(got);
          shared.value.value = 1.5;
          (shared.array as unknown as number[])[1] = 7;
          (shared.memory.buf as Uint8Array)[0] = 42;
          shared.list.set(1, 'new');
          shared.memory.close();
          event.set();
          condition.withSync(() => condition.notify());
          barrier.waitSync(20_000);
          require('node:fs').writeSync(file.detach(), 'written');
          connection.sendSync('sent');
        },
      }),
      async (rf, t, { work }) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const { mp } = t;
        const locks = [new mp.Lock(), new mp.RLock(), new mp.Semaphore(0), new mp.BoundedSemaphore(1)] as const;
        locks[0].acquireSync();
        locks[1].acquireSync();
        const [queue, simple, joinable] = [new mp.Queue(), new mp.SimpleQueue(), new mp.JoinableQueue()];
        joinable.putSync('task');
        const shared = {
          value: new mp.SharedValue('f64', 0),
          array: new mp.SharedArray('i32', 3),
          memory: new mp.SharedMemory({ create: true, size: 16 }),
          list: new mp.ShareableList([1, 'old']),
        };
        const [event, condition, barrier] = [new mp.Event(), new mp.Condition(), new mp.Barrier(2)];
        const party = new Map<string, unknown>(Object.entries({ event, condition, barrier }));
        const [ours, theirs] = mp.Pipe();
        const [read, write] = rf.pipe();
        const args = [locks, [queue, simple, joinable], shared, party, theirs, { file: new mp.DupFd(write) }];
        const child = new mp.Process({ target: work, args });
        condition.acquireSync();
        child.start();
        theirs.close();
        const notified = condition.waitSync(20_000);
        condition.release();
        t.report([notified, event.isSet(), barrier.waitSync(20_000) < 2]);
        t.report([queue.getSync(), simple.getSync()]);
        joinable.joinSync();
        t.report([shared.value.value, [...shared.array], shared.memory.buf[0], [...shared.list]]);
        t.report(await ours.recv());
        await child.join();
        fs.closeSync(write);
        t.report([child.exitCode, fs.readFileSync(read, 'utf8')]);
        shared.memory.close();
        shared.memory.unlink();
        shared.list.shm.close();
        shared.list.shm.unlink();
      },
    );
    expect(run.reports).toEqual([
      [true, true, true],
      ['task', [false, false, false, true, false]],
      [1.5, [0, 7, 0], 42, [1, 'new']],
      'sent',
      [0, 'written'],
    ]);
  });

  test("P24 closures, bound methods and what is tied to one memory: 'fork' takes them, the others name and refuse them", async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        work(first: unknown, second?: { inner: unknown[] }) {
          const value = second === undefined ? first : second.inner[0];
          t.report(typeof value === 'function' ? (value as () => unknown)() : typeof value);
        },
      }),
      async (rf, t, { work }) => {
        class Counter {
          #count = 41;
          add() {
            return ++this.#count;
          }
        }
        const counter = new Counter();
        const bound = counter.add.bind(counter);
        const local = 42;
        const attempt = async (options: object) => {
          const child = new t.mp.Process({ name: 'Child', ...options });
          try {
            child.start();
          } catch (error) {
            const { name, code, message } = error as { name: string; code: string; message: string };
            const advice = message.includes("the start method 'fork'");
            t.report([name, code, /^The target of Child|^[\w.[\]]+/.exec(message)?.[0], advice, child.pid]);
            return t.mp.activeChildren().length;
          }
          await child.join();
          return child.exitCode;
        };
        const ends = [
          await attempt({ target: work, args: [() => local] }),
          await attempt({ target: work, args: [0, { inner: [bound] }] }),
          await attempt({ target: work, kwargs: { inner: [counter.add.bind(counter)] }, args: [0] }),
          await attempt({ target: work, args: [Symbol('s')] }),
          await attempt({ target: work, args: [new WeakMap()] }),
          await attempt({ target: work, args: [Promise.resolve(5)] }),
          await attempt({ target: () => t.report(local) }),
          await attempt({ target: () => Promise.resolve().then(() => t.report(bound())) }),
          await attempt({ target: async () => t.report(bound()) }),
        ];
        t.report(ends);
        t.report(rf.processTree().children.filter(({ state }) => state === 'Z').length);
      },
    );
    const refused = (place: string) => ['DataCloneError', 'ERR_DATA_CLONE', place, true, null];
    const unnamed = ['ProcessError', 'ERR_NOT_IMPORTABLE', 'The target of Child', true, null];
    expect(run.reports.slice(0, -2)).toEqual(
      method === 'fork'
        ? [42, 42, 42, 'symbol', 'object', 'object', 42, 42, 42]
        : [
            ...['args[0]', 'args[1].inner[0]', 'kwargs.inner[0]', 'args[0]', 'args[0]', 'args[0]'].map(refused),
            unnamed,
            unnamed,
            unnamed,
          ],
    );
    expect(run.reports.slice(-2)).toEqual([new Array(9).fill(0), 0]);
  });
});
