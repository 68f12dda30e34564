/**
 * A queue between two processes beside Python's and `process.send`: `npm run bench -- queue`.
 *
 * One producer, one consumer; small numbers (8 bytes as others write them), messages per second, and buffers of 1 MB, MB/s.
 * Each figure is of a fresh process; the peers take turns, so that all see the same machine. Ratios are to the better of
 * Python's `multiprocessing.Queue` and `process.send`.
 */
import { spawn } from 'node:child_process';
import { inTurns, measured, median, python, table } from './lib.mjs';

const SMALL = 200_000;
const LARGE = 400;
const MB = 2 ** 20;

/** Ours; `form` is sync or async. */
export async function run({ form }) {
  const { Queue, Process } = await import('realfork/multiprocessing');
  const rate = async (count, make) => {
    const queue = new Queue();
    const go = new Queue();
    const producer = new Process({
      target: async () => {
        go.getSync();
        if (form === 'sync') for (let i = 0; i < count; i++) queue.putSync(make(i));
        else for (let i = 0; i < count; i++) await queue.put(make(i));
      },
    });
    producer.start();
    go.putSync(1);
    let last = await queue.get();
    const start = process.hrtime.bigint();
    if (form === 'sync') for (let i = 1; i < count; i++) last = queue.getSync();
    else for (let i = 1; i < count; i++) last = await queue.get();
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    await producer.join();
    const wanted = make(count - 1);
    if (typeof wanted === 'number' ? last !== wanted : last.length !== wanted.length) throw new Error('a wrong item');
    return (count - 1) / seconds;
  };
  const buffer = Buffer.alloc(MB, 7);
  await rate(20_000, (i) => i);
  const small = await rate(SMALL, (i) => i);
  await rate(20, () => buffer);
  return { small, large: ((await rate(LARGE, () => buffer)) * MB) / 1e6 };
}

const theirs = `
import json, os, sys, time
import multiprocessing as mp
ctx = mp.get_context('fork')
small, large = map(int, sys.argv[1:])
def produce(queue, go, count, value):
    go.wait()
    for i in range(count):
        queue.put(i if value is None else value)
def rate(count, value):
    queue, go = ctx.Queue(), ctx.Event()
    producer = ctx.Process(target=produce, args=(queue, go, count, value))
    producer.start()
    go.set()
    queue.get()
    start = time.perf_counter_ns()
    for _ in range(count - 1):
        queue.get()
    seconds = (time.perf_counter_ns() - start) / 1e9
    producer.join()
    return (count - 1) / seconds
print(json.dumps({'small': rate(small, None), 'large': rate(large, os.urandom(1 << 20)) * (1 << 20) / 1e6}))
`;

const sender = `
process.on('message', async ({ count, large }) => {
  const buffer = Buffer.alloc(${MB}, 7);
  for (let i = 0; i < count;) {
    // Now and then it waits for the channel: process.send without end is memory without end.
    const stop = Math.min(count, i + (large ? 4 : 512));
    await new Promise((resolve) => {
      for (; i < stop; i++) process.send(large ? buffer : i, i === stop - 1 ? resolve : undefined);
    });
  }
});`;

/** `process.send` with one of Node's serialisations. */
function sent(serialization, count, large) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', sender], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization,
    });
    let got = 0;
    let start;
    child.on('error', reject);
    child.on('message', () => {
      got += 1;
      if (got === 1) start = process.hrtime.bigint();
      if (got < count) return;
      resolve((count - 1) / (Number(process.hrtime.bigint() - start) / 1e9));
      child.disconnect();
    });
    child.send({ count, large });
  });
}

/** Small messages by JSON, large ones by structured clone: what each is better at. */
async function processSend() {
  return {
    small: await sent('json', SMALL / 4, false),
    large: ((await sent('advanced', LARGE / 4, true)) * MB) / 1e6,
  };
}

export async function main({ rounds = 5 } = {}) {
  const peers = {
    'Queue, putSync and getSync': () => measured(import.meta.url, { form: 'sync' }),
    'Queue, await put and get': () => measured(import.meta.url, { form: 'async' }),
    'Python multiprocessing.Queue': async () => python(theirs, SMALL / 4, LARGE / 2),
    'process.send': processSend,
  };
  const results = await inTurns(peers, rounds);
  const figures = Object.entries(results).map(([name, all]) => ({
    name,
    small: median(all.map((r) => r.small)),
    large: median(all.map((r) => r.large)),
  }));
  const others = figures.filter(({ name }) => !name.startsWith('Queue'));
  const best = (key) => Math.max(...others.map((figure) => figure[key]));
  const rows = figures.map(({ name, small, large }) => ({
    'one producer, one consumer': name,
    'small, k/s': Math.round(small / 1e3),
    'to the best of the others': `${(small / best('small')).toFixed(1)} x`,
    '1 MB, MB/s': Math.round(large),
    'to the best of them': `${(large / best('large')).toFixed(1)} x`,
  }));
  table(`Queue between two processes, Node ${process.version}, median of ${rounds}`, rows);
  return rows;
}
