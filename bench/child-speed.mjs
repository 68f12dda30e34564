/**
 * How a forked child computes beside its parent: `npm run bench -- child-speed`.
 *
 * Three loads, each run in the parent and in a fresh child in turn: a hot loop that was compiled before the fork, the
 * same loop compiled after it, and 1 GB of short-lived objects for the collector. Medians in milliseconds; a ratio above
 * 1 means that the child is slower.
 *
 * The last load is shown twice. A child has to be given each page that it writes, as its parent had to the first time:
 * so first each round is a new process, whose parent has not done the load before. Then it is one process, whose parent
 * has the pages from earlier rounds, and the child has not.
 */
import { readSync, writeSync, closeSync } from 'node:fs';
import { fork, pipe, waitpid, _exit } from 'realfork';
import { measured, median, table } from './lib.mjs';

const makeHot = (salt) =>
  new Function(
    'n',
    `/* ${salt} */ let a = 1, b = 1; for (let i = 0; i < n; i++) { const c = (a + b) | 0; a = b; b = c ^ (i & 15); } return a;`,
  );
const hot = makeHot('before');
for (let i = 0; i < 50; i++) hot(100_000);

const GARBAGE = '1 GB of garbage';
let serial = 0;
const loads = {
  'hot loop, compiled before': () => hot(40_000_000),
  'hot loop, compiled after': () => makeHot((serial += 1))(40_000_000),
  [GARBAGE]: () => {
    let young = [];
    for (let made = 0; made < 1e9; made += 80) {
      young.push({ made, text: 'x' });
      if (young.length > 200_000) young = [];
    }
    return young;
  },
};

function timed(load) {
  const start = performance.now();
  load();
  return performance.now() - start;
}

function timedInChild(load) {
  const [from, to] = pipe();
  const pid = fork();
  if (pid === 0) {
    writeSync(to, new Float64Array([timed(load)]));
    _exit(0);
  }
  closeSync(to);
  const answer = new Float64Array(1);
  const length = readSync(from, answer);
  closeSync(from);
  const { status } = waitpid(pid);
  if (length !== 8 || status !== 0) throw new Error(`the child ended with status ${status}`);
  return answer[0];
}

/** One round of a load, in a process of its own. */
export function run({ name }) {
  return { parent: timed(loads[name]), child: timedInChild(loads[name]) };
}

export async function main({ rounds = 7 } = {}) {
  const rows = [];
  const show = (load, parents, children) => {
    const [parent, child] = [median(parents), median(children)];
    rows.push({
      load,
      'parent, ms': parent.toFixed(0),
      'child, ms': child.toFixed(0),
      ratio: (child / parent).toFixed(2),
    });
  };
  const fresh = [];
  for (let round = 0; round < rounds; round++) fresh.push(await measured(import.meta.url, { name: GARBAGE }));
  show(
    GARBAGE,
    fresh.map(({ parent }) => parent),
    fresh.map(({ child }) => child),
  );
  for (const [name, load] of Object.entries(loads)) {
    load();
    const times = { parent: [], child: [] };
    for (let round = 0; round < rounds; round++) {
      times.parent.push(timed(load));
      times.child.push(timedInChild(load));
    }
    show(name === GARBAGE ? `${name}, in a parent that has done it before` : name, times.parent, times.child);
  }
  table(`A child's speed beside its parent's, Node ${process.version}, median of ${rounds}`, rows);
  return rows;
}
