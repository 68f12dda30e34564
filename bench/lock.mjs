/**
 * Locks beside Python's: `npm run bench -- lock`.
 *
 * "pair": acquire and release of a lock that nobody else wants, in nanoseconds, the loop included. "hand-over": two
 * processes that pass a turn to and fro by two semaphores, microseconds for one way, with the scheduler free to put them
 * where it likes and with both on one CPU. Each figure is of a fresh process; the peers take turns. Medians.
 */
import { spawnSync } from 'node:child_process';
import { measured, median, python, table } from './lib.mjs';

const PAIRS = 1_000_000;
const TURNS = 20_000;

function nanoseconds(count, work) {
  work(count / 10);
  const start = process.hrtime.bigint();
  work(count);
  return Number(process.hrtime.bigint() - start) / count;
}

/** In a process of its own; see `measured`. */
export async function run({ what }) {
  const { Lock, RLock, Process, Semaphore } = await import('realfork/multiprocessing');
  if (what === 'pairs') {
    const lock = new Lock();
    const rlock = new RLock();
    const semaphore = new Semaphore(1);
    const pairs = (object) => (count) => {
      for (let i = 0; i < count; i++) {
        object.acquireSync();
        object.release();
      }
    };
    const result = {
      Lock: nanoseconds(PAIRS, pairs(lock)),
      RLock: nanoseconds(PAIRS, pairs(rlock)),
      Semaphore: nanoseconds(PAIRS, pairs(semaphore)),
      scoped: nanoseconds(PAIRS, (count) => {
        for (let i = 0; i < count; i++) lock.withSync(() => i);
      }),
    };
    let turns = 0;
    const start = process.hrtime.bigint();
    for (; turns < PAIRS / 10; turns++) {
      await lock.acquire();
      lock.release();
    }
    return { ...result, promise: Number(process.hrtime.bigint() - start) / turns };
  }
  if (what === 'one CPU' && !pinned(process.pid)) return {};
  const [ping, pong] = [new Semaphore(0), new Semaphore(0)];
  const count = TURNS;
  const other = new Process({
    target: () => {
      for (let i = 0; i < count + 100; i++) {
        ping.acquireSync();
        pong.release();
      }
    },
  });
  other.start();
  const turn = () => {
    ping.release();
    pong.acquireSync();
  };
  for (let i = 0; i < 100; i++) turn();
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) turn();
  const handOver = Number(process.hrtime.bigint() - start) / 1e3 / count / 2;
  await other.join();
  return { handOver };
}

/** Keep a process and its children on the first CPU; false where there is no taskset(1). */
function pinned(pid) {
  return spawnSync('taskset', ['-p', '-c', '0', String(pid)], { stdio: 'ignore' }).status === 0;
}

const theirs = `
import json, os, sys, time
import multiprocessing
mp = multiprocessing.get_context('fork')
pairs, turns = map(int, sys.argv[1:3])
what = sys.argv[3]
now = time.perf_counter_ns
def pair(lock):
    acquire, release = lock.acquire, lock.release
    def work(count):
        for _ in range(count):
            acquire(); release()
    work(pairs // 10)
    start = now(); work(pairs)
    return (now() - start) / pairs
def scoped(lock):
    start = now()
    for _ in range(pairs):
        with lock: pass
    return (now() - start) / pairs
def answer(ping, pong, count):
    for _ in range(count):
        ping.acquire(); pong.release()
if what == 'pairs':
    print(json.dumps({'Lock': pair(mp.Lock()), 'RLock': pair(mp.RLock()), 'Semaphore': pair(mp.Semaphore(1)), 'scoped': scoped(mp.Lock())}))
else:
    if what == 'one CPU': os.sched_setaffinity(0, [0])
    ping, pong = mp.Semaphore(0), mp.Semaphore(0)
    other = mp.Process(target=answer, args=(ping, pong, turns + 100))
    other.start()
    for _ in range(100): ping.release(); pong.acquire()
    start = now()
    for _ in range(turns): ping.release(); pong.acquire()
    took = (now() - start) / 1e3 / turns / 2
    other.join()
    print(json.dumps({'handOver': took}))
`;

export async function main({ rounds = 5 } = {}) {
  const peers = {
    realfork: (what) => measured(import.meta.url, { what }),
    'Python multiprocessing': (what) => python(theirs, PAIRS, TURNS, what),
  };
  const results = {};
  for (let round = 0; round < rounds; round++) {
    for (const what of ['pairs', 'any CPU', 'one CPU']) {
      for (const [name, measure] of Object.entries(peers)) {
        for (const [key, value] of Object.entries((await measure(what)) ?? {})) {
          const row = key === 'handOver' ? `hand-over, ${what}` : key;
          ((results[row] ??= {})[name] ??= []).push(value);
        }
      }
    }
  }
  const titles = {
    Lock: 'Lock, acquireSync and release; ns',
    RLock: 'RLock, the same; ns',
    Semaphore: 'Semaphore, the same; ns',
    scoped: 'Lock, withSync (with lock:); ns',
    promise: 'Lock, await acquire and release; ns',
  };
  const rows = Object.entries(results).map(([key, { realfork, 'Python multiprocessing': snake }]) => {
    const [one, other] = [median(realfork), snake && median(snake)];
    const digits = key.startsWith('hand-over') ? 1 : 0;
    return {
      what: titles[key] ?? `${key}; µs`,
      realfork: one.toFixed(digits),
      Python: other?.toFixed(digits) ?? '',
      'theirs, in times ours': other === undefined ? '' : (other / one).toFixed(2),
    };
  });
  table(`Locks, Node ${process.version}, median of ${rounds}`, rows);
  return rows;
}
