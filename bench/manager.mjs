/**
 * Objects of a manager beside Python's: `npm run bench -- manager`.
 *
 * A queue with one producer and one consumer, each a process, items per second; and a lock that one process acquires and
 * releases, pairs per second. Each figure is of a fresh process; the peers take turns, so that all see the same machine.
 */
import { inTurns, measured, median, python, table } from './lib.mjs';

const ITEMS = 20_000;
const PAIRS = 10_000;

/** Calls of a promise form that are under way at a time. */
const AT_A_TIME = 100;

/** Ours; `form` is sync, or async: promises, of which so many wait together. */
export async function run({ form }) {
  const { Manager, Process } = await import('realfork/multiprocessing');
  const manager = await Manager();
  const seconds = (start) => Number(process.hrtime.bigint() - start) / 1e9;

  const together = async (count, call) => {
    let next = 0;
    const line = async () => {
      while (next < count) await call(next++);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, line));
  };

  const items = async (count) => {
    const queue = await manager.Queue();
    const go = await manager.Event();
    const producer = new Process({
      target: async () => {
        go.waitSync();
        if (form === 'sync') for (let i = 0; i < count; i++) queue.putSync(i);
        else await together(count, (i) => queue.put(i));
      },
    });
    producer.start();
    await go.set();
    let sum = await queue.get();
    const start = process.hrtime.bigint();
    if (form === 'sync') for (let i = 1; i < count; i++) sum += queue.getSync();
    else
      await together(count - 1, async () => {
        const item = await queue.get();
        sum += item;
      });
    const took = seconds(start);
    await producer.join();
    if (sum !== (count * (count - 1)) / 2) throw new Error('not every item came once');
    return (count - 1) / took;
  };

  const pairs = async (count) => {
    const lock = await manager.Lock();
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) {
      if (form === 'sync') {
        lock.acquireSync();
        lock.releaseSync();
      } else {
        await lock.acquire();
        await lock.release();
      }
    }
    return count / seconds(start);
  };

  await items(ITEMS / 10);
  await pairs(PAIRS / 10);
  const result = { items: await items(ITEMS), pairs: await pairs(PAIRS) };
  await manager.shutdown();
  return result;
}

const theirs = `
import json, sys, time
import multiprocessing as mp
ctx = mp.get_context('fork')
items, pairs = map(int, sys.argv[1:])
def produce(queue, go, count):
    go.wait()
    for i in range(count):
        queue.put(i)
def queue_rate(manager, count):
    queue, go = manager.Queue(), manager.Event()
    producer = ctx.Process(target=produce, args=(queue, go, count))
    producer.start()
    go.set()
    queue.get()
    start = time.perf_counter_ns()
    for _ in range(count - 1):
        queue.get()
    seconds = (time.perf_counter_ns() - start) / 1e9
    producer.join()
    return (count - 1) / seconds
def lock_rate(manager, count):
    lock = manager.Lock()
    start = time.perf_counter_ns()
    for _ in range(count):
        lock.acquire()
        lock.release()
    return count / ((time.perf_counter_ns() - start) / 1e9)
with ctx.Manager() as manager:
    queue_rate(manager, items // 10)
    lock_rate(manager, pairs // 10)
    print(json.dumps({'items': queue_rate(manager, items), 'pairs': lock_rate(manager, pairs)}))
`;

export async function main({ rounds = 5 } = {}) {
  const peers = {
    'Manager, Sync forms': () => measured(import.meta.url, { form: 'sync' }),
    'Manager, promises': () => measured(import.meta.url, { form: 'async' }),
    'Python Manager': async () => python(theirs, ITEMS, PAIRS),
  };
  const results = await inTurns(peers, rounds);
  const figures = Object.entries(results).map(([name, all]) => ({
    name,
    items: median(all.map((r) => r.items)),
    pairs: median(all.map((r) => r.pairs)),
  }));
  const python3 = figures.find(({ name }) => name.startsWith('Python'));
  const ratio = (figure, key) => (python3 === undefined ? '-' : `${(figure[key] / python3[key]).toFixed(1)} x`);
  const rows = figures.map((figure) => ({
    'objects of a manager': figure.name,
    'Queue, items/s': Math.round(figure.items),
    'to Python': ratio(figure, 'items'),
    'Lock, pairs/s': Math.round(figure.pairs),
    'to Python’s': ratio(figure, 'pairs'),
  }));
  table(`Manager, Node ${process.version}, median of ${rounds}`, rows);
  return rows;
}
