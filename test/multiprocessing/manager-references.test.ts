/** How long the objects of a manager live: as long as a process, another object or a message refers to them. */
import { cleanProgram } from '../helpers/program';

const nodeFlags = ['--expose-gc'];

test('an object goes when nobody has a proxy for it any more; forks and messages count', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { SyncManager, Process, Queue, Pipe } = t.mp;
      const { gc } = globalThis as unknown as { gc(): void };
      // The server collects its garbage too: what was taken out of a container is garbage there.
      class Collecting extends SyncManager {}
      Collecting.register('Collector', () => ({ collect: () => gc() }));
      const manager = await new Collecting().start();
      const collector = (await manager.create('Collector')) as unknown as { collect(): Promise<void> };
      const ids = async () => (await manager.debugInfo()).map(({ id }) => id).slice(1);
      const untilIds = async (wanted: number[], what: string) => {
        for (let left = 100; left > 0; left--) {
          gc();
          await collector.collect();
          await new Promise((resolve) => setImmediate(resolve));
          const now = await ids();
          if (String(now) === String(wanted)) return t.report([what, now]);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        t.report([what, 'has', await ids()]);
      };
      const kept = await manager.list();
      await (async () => {
        for (let i = 0; i < 10; i++) await (await manager.dict()).set('i', i);
      })();
      await untilIds([2], 'ten garbage dicts');
      // Inside of another object.
      await (async () => kept.append(await manager.dict({ nested: true })))();
      await untilIds([2, 13], 'one inside of the list');
      t.report((kept[0] as { getSync(key: string): boolean }).getSync('nested'));
      await kept.clear();
      await untilIds([2], 'taken out of it');
      // In a message on its way: the sender drops it, and it is received later.
      const queue = new Queue<typeof kept>();
      await (async () => queue.putSync(await manager.list<unknown>([7])))();
      await untilIds([2, 14], 'in a queue');
      await (async () => t.report(await queue.getSync().getValue()))();
      await untilIds([2], 'received and dropped');
      // A child that has inherited it keeps it beyond its parent's last proxy, and releases it when it is killed.
      const [ready, ours] = Pipe();
      const child = await (async () => {
        const inherited = await manager.list([8]);
        const started = new Process({
          target: async () => {
            ours.sendSync('ready');
            ours.recvSync();
            ours.sendSync(inherited.getSync(0));
            await new Promise(() => setInterval(() => inherited, 1000));
          },
        });
        started.start();
        return started;
      })();
      ready.recvSync();
      await untilIds([2, 15], 'of the child alone');
      ready.sendSync('go on');
      t.report(ready.recvSync());
      child.kill();
      await child.join();
      await untilIds([2], 'the child was killed');
    },
    { nodeFlags },
  );
  expect(run.reports).toEqual([
    ['ten garbage dicts', [2]],
    ['one inside of the list', [2, 13]],
    true,
    ['taken out of it', [2]],
    ['in a queue', [2, 14]],
    [7],
    ['received and dropped', [2]],
    ['of the child alone', [2, 15]],
    8,
    ['the child was killed', [2]],
  ]);
});

test('proxies go through queues, pipes and args, to processes older than they are', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process, Queue, Pipe } = t.mp;
    const queue = new Queue<{ dict: { setSync(k: string, v: unknown): void; get(k: string): Promise<unknown> } }>();
    const [theirs, ours] = Pipe();
    const older = new Process({
      target: async () => {
        const { dict } = queue.getSync();
        dict.setSync('from', 'an older process');
        t.report(await dict.get('made'));
        theirs.sendSync(dict); // and back
        const list = theirs.recvSync() as { appendSync(item: unknown): void };
        list.appendSync(dict);
      },
    });
    older.start();
    const manager = await Manager();
    const dict = await manager.dict<string, unknown>({ made: 'later' });
    queue.putSync({ dict });
    const back = ours.recvSync() as typeof dict;
    t.report([back === dict, await back.get('from')]);
    const list = await manager.list<typeof dict>();
    ours.sendSync(list);
    await older.join();
    t.report([older.exitCode, await (await list.get(0)).get('from'), (await list.get(0)) === dict]);
  });
  expect(run.reports).toEqual(['later', [true, 'an older process'], [0, 'an older process', true]]);
});

test('what a killed process held is free: lock (recovered says so), place in a line, barrier; its own proxies too', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const lock = await manager.Lock();
    const rlock = await manager.RLock();
    const queue = await manager.Queue<number>();
    const barrier = await manager.Barrier(2);
    const event = await manager.Event();
    const child = new Process({
      target: async () => {
        await lock.acquire();
        await rlock.acquire();
        await rlock.acquire();
        void queue.get().catch(() => {});
        void barrier.wait().catch(() => {});
        await event.set();
        await new Promise(() => setInterval(() => {}, 1000));
      },
    });
    child.start();
    await event.wait();
    await t.waitUntil(() => barrier.nWaitingSync() === 1, 'it waits at the barrier');
    const waits = [lock.acquire(), rlock.acquire()];
    child.kill();
    t.report([await waits[0], lock.recovered?.name, await waits[1], rlock.recovered?.name]);
    await lock.release();
    t.report([await lock.acquire(), lock.recovered]);
    await queue.put(5); // not for the dead one
    t.report([await queue.get({ timeout: 5000 }), await barrier.broken]);
    await child.join();
  });
  expect(run.reports).toEqual([
    [true, 'OwnerDiedError', true, 'OwnerDiedError'],
    [true, null],
    [5, true],
  ]);
});

test('200 objects and 100 forks leave no descriptor and no object behind', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { readdirSync } = require('node:fs') as typeof import('node:fs');
      const { Manager } = t.mp;
      const gc = (globalThis as unknown as { gc(): void }).gc;
      const manager = await Manager();
      const list = await manager.list<number>();
      const fds = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
      const server = manager.process?.pid as number;
      await list.length;
      const before = [fds(process.pid), fds(server)];
      for (let i = 0; i < 100; i++) {
        const pid = rf.fork();
        if (pid === 0) {
          if (i % 3 === 0) list.appendSync(i);
          rf._exit(0);
        }
        rf.waitpid(pid);
      }
      for (let i = 0; i < 200; i++) manager.EventSync();
      for (let left = 100; left > 0 && (await manager.numberOfObjects()) > 1; left--) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      t.report([await list.length, await manager.numberOfObjects()]);
      await t.waitUntil(() => fds(server) === before[1], 'the descriptors of the server are closed');
      t.report([fds(process.pid) - (before[0] as number)]);
    },
    { nodeFlags },
  );
  expect(run.reports).toEqual([[34, 1], [0]]);
});
