/** What the benchmarks share: medians, tables, and a process for each setting. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Call `run(options)` of a benchmark module in a Node of its own and return its result. */
export async function measured(moduleUrl, options) {
  // A file, not `-e`: what stands in execArgv is handed on to the processes that some of the rivals start, each of
  // which would start the benchmark again.
  const runner = fileURLToPath(new URL('run.mjs', import.meta.url));
  const child = spawn(process.execPath, [runner, moduleUrl, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  if (text === '') throw new Error(`the benchmark process gave no result (status ${child.exitCode})`);
  return JSON.parse(text);
}

/** The distribution's Python if there is one, which is built for speed; a version manager's seldom is. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

/**
 * Run a Python program that prints JSON, for the same thing done by Python; undefined where there is no python3.
 */
export function python(source, ...args) {
  const { error, status, stdout } = spawnSync(PYTHON, ['-c', source, ...args.map(String)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error?.code === 'ENOENT') return undefined;
  if (status !== 0) throw new Error(`python3 ended with status ${status}`);
  return JSON.parse(stdout);
}

/**
 * Measure each of the peers, named calls, once a round, in turns, so that all see the same machine. Gives each one's
 * results; a peer that there is none of here, whose results are undefined, is left out.
 */
export async function inTurns(peers, rounds) {
  const results = {};
  for (let i = 0; i < rounds; i++) {
    for (const [name, measure] of Object.entries(peers)) {
      const result = await measure();
      if (result !== undefined) (results[name] ??= []).push(result);
    }
  }
  return results;
}

/** Print rows of the same shape as a Markdown table. */
export function table(title, rows) {
  const columns = Object.keys(rows[0]);
  const width = (column) => Math.max(column.length, ...rows.map((row) => String(row[column]).length));
  const line = (cells) => `| ${cells.map((cell, i) => String(cell).padEnd(width(columns[i]))).join(' | ')} |`;
  console.log(`\n${title}\n`);
  console.log(line(columns));
  console.log(`|${columns.map((column) => '-'.repeat(width(column) + 2)).join('|')}|`);
  for (const row of rows) console.log(line(columns.map((column) => row[column])));
}
