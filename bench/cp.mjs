/**
 * `realfork cp` beside `cp -r` of coreutils: `npm run bench -- cp`.
 *
 * A tree of 20,000 small files, and one of 4 files of 1 GB (`REALFORK_BENCH_GB` sets another number of files), both in the
 * page cache. Each copy goes to a new folder, which is checked the first time (content, modes and times) and removed outside
 * the time measured. Writing back is left to the kernel, as cp does; before each copy what earlier ones left is on the disk.
 * The two take turns; medians, and the ratio to cp. cp has to keep modes and times too, so it is called with `-p`; without
 * is shown beside it.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, table } from './lib.mjs';

const MB = 1024 * 1024;
const command = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const ways = {
  'cp -r': ['cp', '-r'],
  'cp -rp': ['cp', '-r', '-p'],
  'realfork cp': [process.execPath, command, 'cp', '--quiet', '-j', '2'],
};

/** 20,000 files of 0 to 8 KB in 200 folders. */
function smallTree(folder) {
  const data = randomFillSync(Buffer.alloc(8192));
  for (let i = 0; i < 200; i++) {
    const inner = join(folder, `${i % 10}`, `${i}`);
    mkdirSync(inner, { recursive: true });
    for (let k = 0; k < 100; k++) {
      const file = join(inner, `file-${k}`);
      writeFileSync(file, data.subarray(0, (i * 97 + k * 331) % 8192), { mode: k % 2 === 0 ? 0o644 : 0o600 });
      utimesSync(file, 1e9 + i, 1e9 + k);
    }
  }
}

function largeTree(folder, files) {
  const data = randomFillSync(Buffer.alloc(16 * MB));
  mkdirSync(folder);
  for (let i = 0; i < files; i++) {
    const fd = openSync(join(folder, `large-${i}`), 'w');
    for (let k = 0; k < 64; k++) {
      data.writeUInt32LE(i * 64 + k);
      writeSync(fd, data);
    }
    closeSync(fd);
  }
}

/** One line an entry: path, mode, time of change, size and checksum. */
function summary(folder, below = '') {
  return readdirSync(join(folder, below))
    .sort()
    .flatMap((name) => {
      const path = join(below, name);
      const { mode, mtimeMs, size, isDirectory } = describe(join(folder, path));
      if (isDirectory) return [`${path} ${mode}`, ...summary(folder, path)];
      return [`${path} ${mode} ${mtimeMs} ${size} ${checksum(join(folder, path))}`];
    });
}

function describe(path) {
  const stats = lstatSync(path);
  return { mode: stats.mode.toString(8), mtimeMs: stats.mtimeMs, size: stats.size, isDirectory: stats.isDirectory() };
}

const block = Buffer.alloc(MB);

function checksum(path) {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  for (let count = 1; count > 0;) {
    count = readSync(fd, block);
    hash.update(block.subarray(0, count));
  }
  closeSync(fd);
  return hash.digest('hex');
}

/** Milliseconds of one copy. */
function timed(way, from, to) {
  spawnSync('sync');
  const [program, ...args] = ways[way];
  const start = performance.now();
  const { status } = spawnSync(program, [...args, from, to], { stdio: ['ignore', 'inherit', 'inherit'] });
  const took = performance.now() - start;
  if (status !== 0) throw new Error(`${way} ended with status ${status}`);
  return took;
}

function compare(title, from, folder, rounds) {
  const expected = summary(from).join('\n'); // reading it also puts it into the page cache
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    const order = Object.keys(ways);
    if (round % 2 === 1) order.reverse();
    for (const way of order) {
      const to = join(folder, 'copy');
      times[way].push(timed(way, from, to));
      if (round === 0 && way !== 'cp -r' && summary(to).join('\n') !== expected) throw new Error(`${way}: not a copy`);
      rmSync(to, { recursive: true });
    }
  }
  const of = (way) => median(times[way]);
  table(
    title,
    Object.keys(ways).map((way) => ({
      copy: way,
      ms: of(way).toFixed(0),
      'least, ms': Math.min(...times[way]).toFixed(0),
      'to cp -r': (of(way) / of('cp -r')).toFixed(2),
      'to cp -rp': (of(way) / of('cp -rp')).toFixed(2),
    })),
  );
}

export async function main({ rounds = 7, largeRounds = 3, large = Number(process.env.REALFORK_BENCH_GB ?? 4) } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-bench-cp-'));
  try {
    smallTree(join(folder, 'small'));
    compare(`20,000 small files, medians of ${rounds}`, join(folder, 'small'), folder, rounds);
    rmSync(join(folder, 'small'), { recursive: true });
    if (large === 0) return;
    largeTree(join(folder, 'large'), large);
    compare(`${large} files of 1 GB, medians of ${largeRounds}`, join(folder, 'large'), folder, largeRounds);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
