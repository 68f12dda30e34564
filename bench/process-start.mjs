/**
 * Starting a process that does nothing, and waiting for it: `npm run bench -- process-start`.
 *
 * `Process` beside Python's `multiprocessing.Process` (fork) and `child_process.fork` of an empty file, in turns. Each
 * turn is a program of its own that repeats the operation; its figure is the median, and the table has the median of the
 * turns. "blocked": start() returns. "first line": the target's first statement, by a clock that all processes share.
 * "joined": the end of the process has been waited for, of a target that does nothing.
 */
import { closeSync, mkdtempSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measured, median, python, table } from './lib.mjs';

const TURNS = 5;
const now = () => Number(process.hrtime.bigint()) / 1e3;

/** A number from the child, by a pipe. */
function receive(fd) {
  const bytes = Buffer.alloc(8);
  readSync(fd, bytes);
  return bytes.readDoubleLE();
}

function send(fd, number) {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(number);
  writeSync(fd, bytes);
}

const medians = (samples) =>
  Object.fromEntries(Object.keys(samples[0]).map((key) => [key, median(samples.map((sample) => sample[key]))]));

/** In a process of its own; see `measured`. */
export async function run({ peer, rounds, file }) {
  const one = { process: ourProcess, fork: childProcessFork }[peer];
  await one(file);
  const samples = [];
  for (let i = 0; i < rounds; i++) samples.push(await one(file));
  return medians(samples);
}

async function ourProcess() {
  const { pipe } = await import('realfork');
  const { Process } = await import('realfork/multiprocessing');
  const [read, write] = pipe();
  const telling = new Process({ target: () => send(write, now()) });
  const start = now();
  telling.start();
  const blocked = now() - start;
  await telling.join();
  const first = receive(read) - start;
  closeSync(read);
  closeSync(write);
  const idle = new Process({ target: () => {} });
  const again = now();
  idle.start();
  await idle.join();
  return { blocked, first, joined: now() - again };
}

async function childProcessFork(file) {
  const { fork } = await import('node:child_process');
  const start = now();
  const child = fork(file);
  const blocked = now() - start;
  const first = await new Promise((resolve) => child.once('message', resolve));
  await new Promise((resolve) => child.once('exit', resolve));
  return { blocked, first: first - start, joined: now() - start };
}

const theirs = `
import json, multiprocessing, os, struct, sys, time
from statistics import median
context = multiprocessing.get_context('fork')
def now():
    return time.perf_counter_ns() / 1e3
def tell(fd):
    os.write(fd, struct.pack('<d', now()))
def nothing():
    pass
def once():
    read, write = os.pipe()
    telling = context.Process(target=tell, args=(write,))
    start = now()
    telling.start()
    blocked = now() - start
    telling.join()
    first = struct.unpack('<d', os.read(read, 8))[0] - start
    os.close(read); os.close(write)
    idle = context.Process(target=nothing)
    again = now()
    idle.start()
    idle.join()
    return {'blocked': blocked, 'first': first, 'joined': now() - again}
once()
samples = [once() for _ in range(int(sys.argv[1]))]
print(json.dumps({key: median(sample[key] for sample in samples) for key in samples[0]}))
`;

export async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-bench-'));
  const file = join(folder, 'empty.cjs');
  // It says when it got there, and is otherwise what one would write; the message is what child_process.fork is for.
  writeFileSync(file, 'process.send(Number(process.hrtime.bigint()) / 1e3, () => process.disconnect());');
  const peers = {
    'realfork Process': () => measured(import.meta.url, { peer: 'process', rounds: 60 }),
    'Python multiprocessing.Process (fork)': () => python(theirs, 60),
    'child_process.fork': () => measured(import.meta.url, { peer: 'fork', rounds: 8, file }),
  };
  const turns = Object.fromEntries(Object.keys(peers).map((name) => [name, []]));
  try {
    for (let turn = 0; turn < TURNS; turn++) {
      for (const [name, peer] of Object.entries(peers)) {
        const figures = await peer();
        if (figures !== undefined) turns[name].push(figures);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const results = Object.entries(turns)
    .filter(([, figures]) => figures.length > 0)
    .map(([name, figures]) => [name, medians(figures)]);
  const [, ours] = results[0];
  table(
    `Starting a process, microseconds: medians of ${TURNS} turns`,
    results.map(([name, { blocked, first, joined }]) => ({
      '': name,
      blocked: blocked.toFixed(0),
      'first line': first.toFixed(0),
      joined: joined.toFixed(0),
      'joined, in times ours': (joined / ours.joined).toFixed(2),
    })),
  );
}
