/**
 * Blocks of shared memory beside Python's: `npm run bench -- shared-memory`.
 *
 * Making and removing a block, attaching to one and closing it again, in microseconds (a block of 4 KB; named ones and,
 * which Python does not have, one that never gets a name); copying 64 MB into a block, in GB/s. Python's sizes are
 * set but not reserved: its first write pays for the pages, so both are timed on the second.
 */
import { SharedMemory } from 'realfork/multiprocessing';
import { median, python, table } from './lib.mjs';

const SMALL = 4096;
const LARGE = 64 * 2 ** 20;

function each(rounds, work) {
  const times = [];
  for (let i = 0; i < rounds; i++) {
    const start = process.hrtime.bigint();
    work(i);
    times.push(Number(process.hrtime.bigint() - start) / 1e3);
  }
  return median(times);
}

function ours(rounds) {
  const prefix = `realfork-bench-${process.pid}`;
  const keeper = new SharedMemory({ name: prefix, create: true, size: SMALL }); // the tracker is there from now on
  const create = each(rounds, (i) => {
    const memory = new SharedMemory({ name: `${prefix}-${i}`, create: true, size: SMALL });
    memory.close();
    memory.unlink();
  });
  const unnamed = each(rounds, () => new SharedMemory({ create: true, size: SMALL }).close());
  const attach = each(rounds, () => new SharedMemory({ name: prefix }).close());
  keeper.close();
  keeper.unlink();
  const large = new SharedMemory({ create: true, size: LARGE });
  const contents = Buffer.alloc(LARGE);
  const fill = each(8, () => large.buf.set(contents));
  large.close();
  return { create, unnamed, attach, fill };
}

const theirs = `
import json, sys, time
from multiprocessing.shared_memory import SharedMemory
from statistics import median
rounds, small, large = map(int, sys.argv[1:])
def each(rounds, work):
    times = []
    for i in range(rounds):
        start = time.perf_counter_ns()
        work(i)
        times.append((time.perf_counter_ns() - start) / 1e3)
    return median(times)
def create(i):
    memory = SharedMemory(create=True, size=small)
    memory.close()
    memory.unlink()
keeper = SharedMemory(create=True, size=small)
result = {'create': each(rounds, create)}
result['attach'] = each(rounds, lambda i: SharedMemory(keeper.name).close())
keeper.close()
keeper.unlink()
block = SharedMemory(create=True, size=large)
contents = bytes(large)
def fill(i): block.buf[:] = contents
result['fill'] = each(8, fill)
block.close()
block.unlink()
print(json.dumps(result))
`;

export async function main({ rounds = 2000 } = {}) {
  const node = ours(rounds);
  const snake = python(theirs, rounds, SMALL, LARGE);
  const rate = (microseconds) => (LARGE / 1e3 / microseconds).toFixed(1);
  const row = (what, one, other) => ({ what, realfork: one, Python: other ?? '' });
  const rows = [
    row('make, close, unlink; µs', node.create.toFixed(1), snake?.create.toFixed(1)),
    row('make without a name, close; µs', node.unnamed.toFixed(1)),
    row('attach, close; µs', node.attach.toFixed(1), snake?.attach.toFixed(1)),
    row('copy 64 MB into it; GB/s', rate(node.fill), snake && rate(snake.fill)),
  ];
  table(`SharedMemory, Node ${process.version}, median of ${rounds}`, rows);
  return rows;
}
