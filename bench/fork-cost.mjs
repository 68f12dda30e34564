/**
 * What fork() costs the parent beside the bare system call: `npm run bench -- fork-cost`.
 *
 * Both are measured in the same process, in turn, from the call to its return in the parent; the bare call is clone(2)
 * with SIGCHLD, whose child leaves at once. V8's heap is inheritable for both. Medians in microseconds.
 */
import { createRequire } from 'node:module';
import { fork, waitpid, _exit } from 'realfork';
import { median, measured, table } from './lib.mjs';

const { bareFork } = createRequire(import.meta.url)('../test/native/build/Release/test_helper.node');

const kept = [];
/** Fill the heap to about so many megabytes of small objects. */
function fill(megabytes) {
  while (process.memoryUsage().heapUsed < megabytes * 2 ** 20) {
    for (let i = 0; i < 1000; i++) kept.push({ i, text: `item ${i}`, list: [i, i + 1] });
  }
}

let serial = 0;
/** Give V8's compiler threads something to do while the fork happens. */
function compileSomething() {
  for (let j = 0; j < 3; j++) {
    const hot = new Function(
      'n',
      `let s = 0, o = {}; for (let i = 0; i < n; i++) { s += i % ${(serial += 1)}; o.x = s; if (s > 1e9) s = [1, 2].map((x) => x * s)[0]; } return s;`,
    );
    hot(50_000);
    hot(50_000);
  }
}

const ways = {
  bare: () => bareFork(),
  realfork: () => {
    const pid = fork();
    if (pid === 0) _exit(0);
    return pid;
  },
};

/** One setting; run in a process of its own so that heaps do not add up. */
export function run({ megabytes, busy, rounds }) {
  if (megabytes > 0) fill(megabytes);
  const times = { bare: [], realfork: [] };
  for (let round = -3; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      if (busy) compileSomething();
      const start = process.hrtime.bigint();
      const pid = way();
      const microseconds = Number(process.hrtime.bigint() - start) / 1e3;
      waitpid(pid);
      if (round >= 0) times[name].push(microseconds);
    }
  }
  return { bare: median(times.bare), realfork: median(times.realfork) };
}

export async function main({ rounds = 100 } = {}) {
  const rows = [];
  for (const megabytes of [0, 600]) {
    for (const busy of [false, true]) {
      const { bare, realfork } = await measured(import.meta.url, { megabytes, busy, rounds });
      rows.push({
        heap: megabytes === 0 ? 'empty' : `${megabytes} MB`,
        compiler: busy ? 'busy' : 'idle',
        'bare call, µs': bare.toFixed(0),
        'fork(), µs': realfork.toFixed(0),
        ratio: (realfork / bare).toFixed(2),
      });
    }
  }
  table(`fork() beside the bare system call, Node ${process.version}, median of ${rounds}`, rows);
  return rows;
}
