/**
 * Pools of two workers beside Python's and npm's: `npm run bench -- pool`.
 *
 * Tasks that do nothing, all handed in at once and awaited, one by one and by `map`; buffers of 1 MB there and back; and how
 * long a new pool takes to its first result, the library being loaded. Each figure is of a fresh process, in which it is the
 * median of the rounds of half a second, five at least, after a short one to warm up; the peers take turns. Ratios are to the best of the others.
 */
import { inTurns, measured, median, python, table } from './lib.mjs';
import { peersFolder } from './peers/install.mjs';

const TASKS = 20_000;
const BUFFERS = 60;
const MB = 2 ** 20;
const ROUNDS = 5;
const SECONDS = 0.5;

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** The median of rounds, each of so many calls, for so long. */
async function perSecond(count, work, seconds = SECONDS) {
  const figures = [];
  const end = now() + seconds * 1000;
  while (figures.length < ROUNDS || now() < end) {
    const start = now();
    await work();
    figures.push((count * 1000) / (now() - start));
  }
  return median(figures);
}

const CLOSURES = 'closures';

/** A closure written anew for every call, which only a worker forked after that can know: calls per second. */
async function closures() {
  const { Pool } = await import('realfork/multiprocessing');
  const pool = new Pool(2);
  const call = async (i) => {
    if ((await pool.run(() => i)) !== i) throw new Error('a wrong result');
  };
  const inTurn = async (calls) => {
    for (let i = 0; i < calls; i++) await call(i);
  };
  await inTurn(20);
  const together = () => Promise.all(Array.from({ length: 50 }, (_, i) => call(i)));
  const result = {
    after: await perSecond(50, () => inTurn(50), 4 * SECONDS),
    together: await perSecond(50, together, 4 * SECONDS),
  };
  await pool.terminate();
  return result;
}

/** One peer, in a process of its own: tasks per second, and milliseconds to the first result. */
export async function run({ name }) {
  if (name === CLOSURES) return closures();
  const { pools } = await import('./peers/pools.mjs');
  const { make, call, map, end } = await pools[name]();
  const first = [];
  for (let i = 0; i < 4; i++) {
    const start = now();
    const pool = make();
    if ((await call(pool, 'noop', 1)) !== 7) throw new Error('a wrong result');
    if (i > 0) first.push(now() - start); // the first one also pays for what is loaded late
    await end(pool);
  }
  const pool = make();
  const all = (task, items) => Promise.all(items.map((item) => call(pool, task, item)));
  const check = (results, wanted) => {
    if (results.length !== wanted.count || !wanted.is(results.at(-1))) throw new Error('a wrong result');
  };
  const numbers = (count) => Array.from({ length: count }, (_, i) => i);
  await all('noop', numbers(500));
  const items = numbers(TASKS);
  const seven = { count: TASKS, is: (last) => last === 7 };
  const oneByOne = await perSecond(TASKS, async () => check(await all('noop', items), seven));
  let mapped = null;
  if (map !== undefined) {
    await map(pool, 'noop', numbers(500));
    mapped = await perSecond(TASKS, async () => check(await map(pool, 'noop', items), seven));
  }
  const buffers = Array.from({ length: BUFFERS }, (_, i) => new Uint8Array(MB).fill(i));
  const same = { count: BUFFERS, is: (last) => last.length === MB && last[5] === BUFFERS - 1 };
  const large = await perSecond(BUFFERS, async () => check(await all('echo', buffers), same));
  await end(pool);
  return { oneByOne, map: mapped, large, first: median(first) };
}

const theirs = `
import json, sys, time
import multiprocessing as mp
from statistics import median
tasks, buffers, rounds = map(int, sys.argv[1:4])
seconds = float(sys.argv[4])
MB = 1 << 20
now = time.perf_counter
def noop(x): return 7
def echo(x): return x
first = []
for i in range(4):
    start = now()
    pool = mp.get_context('fork').Pool(2)
    assert pool.apply(noop, (1,)) == 7
    if i: first.append((now() - start) * 1000)
    pool.terminate(); pool.join()
pool = mp.get_context('fork').Pool(2)
def rate(count, work, last):
    figures = []
    for _ in range(rounds):
        start = now()
        results = work()
        figures.append(count / (now() - start))
        assert len(results) == count and results[-1] == last
        del results
    return median(figures)
def one_by_one(fn, items): return [r.get() for r in [pool.apply_async(fn, (x,)) for x in items]]
one_by_one(noop, range(500))
items = list(range(tasks))
large = [bytes([i]) * MB for i in range(buffers)]
print(json.dumps({
    'oneByOne': rate(tasks, lambda: one_by_one(noop, items), 7),
    'map': rate(tasks, lambda: pool.map(noop, items), 7),
    'large': max(rate(buffers, lambda: one_by_one(echo, large), large[-1]), rate(buffers, lambda: pool.map(echo, large, 1), large[-1])),
    'first': median(first),
}))
pool.terminate(); pool.join()
`;

const OURS = 'realfork Pool';
const PYTHON = 'Python multiprocessing.Pool';

export async function main({ rounds = 3 } = {}) {
  const folder = peersFolder();
  if (folder !== undefined) process.env.PEERS = folder;
  const { pools } = await import('./peers/pools.mjs');
  const npm = folder === undefined ? [] : Object.keys(pools).filter((name) => name !== OURS);
  const peers = Object.fromEntries([OURS, ...npm].map((name) => [name, () => measured(import.meta.url, { name })]));
  peers[PYTHON] = async () => python(theirs, TASKS, BUFFERS, ROUNDS, SECONDS);
  peers[CLOSURES] = () => measured(import.meta.url, { name: CLOSURES });
  const { [CLOSURES]: anew, ...results } = await inTurns(peers, rounds);
  const figures = Object.entries(results).map(([name, all]) => {
    const middle = (key) => (all[0][key] === null ? undefined : median(all.map((result) => result[key])));
    return { name, oneByOne: middle('oneByOne'), map: middle('map'), large: middle('large'), first: middle('first') };
  });
  const others = figures.filter(({ name }) => name !== OURS);
  const known = (key, among) => among.map((figure) => figure[key]).filter((value) => value !== undefined);
  const best = {
    oneByOne: Math.max(...known('oneByOne', others)),
    map: Math.max(...known('map', others), ...known('oneByOne', others)),
    large: Math.max(...known('large', others)),
    first: Math.min(
      ...known(
        'first',
        others.filter(({ name }) => name !== PYTHON),
      ),
    ),
  };
  const cell = (value, digits = 0) => (value === undefined ? '' : value.toFixed(digits));
  const rows = figures.map(({ name, oneByOne, map, large, first }) => ({
    'pool of 2 workers': name,
    'one by one, tasks/s': cell(oneByOne),
    'map, tasks/s': cell(map),
    '1 MB there and back, tasks/s': cell(large),
    'to the first result, ms': cell(first, 2),
  }));
  const [ours] = figures;
  rows.push({
    'pool of 2 workers': 'realfork to the best of the others',
    'one by one, tasks/s': `${(ours.oneByOne / best.oneByOne).toFixed(1)} x`,
    'map, tasks/s': `${(ours.map / best.map).toFixed(1)} x`,
    '1 MB there and back, tasks/s': `${(ours.large / best.large).toFixed(1)} x`,
    'to the first result, ms': `${(best.first / ours.first).toFixed(1)} x sooner (Node)`,
  });
  table(`Pools, Node ${process.version}, median of ${rounds}`, rows);
  table('A closure written anew for every call: a fork each, or one for those handed in together', [
    {
      'pool of 2 workers': OURS,
      'one after the other, calls/s': cell(median(anew.map(({ after }) => after))),
      '50 handed in together, calls/s': cell(median(anew.map(({ together }) => together))),
    },
  ]);
  return rows;
}
