/**
 * A pre-forked HTTP server beside node:cluster: `npm run bench -- prefork`.
 *
 * An application that holds 100 MB of objects, four workers. Memory: the sum of the PSS of all processes (what the machine
 * would have free without them) and of the page tables, when every worker has answered 1,000 requests and is idle. Speed:
 * requests per second over 64 kept-alive connections, from a client process on the same machine. The servers take turns;
 * medians, and the ratio to cluster.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { median, table } from './lib.mjs';

const WORKERS = 4;
const REQUESTS = 1000;
const kinds = ['cluster', 'cluster, shared handle', 'prefork'];
const path = (name) => fileURLToPath(new URL(`prefork/${name}`, import.meta.url));

/** Start a server; `{ port, pid, stop() }` once it serves. */
async function start(kind) {
  const began = performance.now();
  const child = spawn(process.execPath, [path('server.mjs'), kind, String(WORKERS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    return {
      port: Number(line),
      pid: child.pid,
      ready: performance.now() - began,
      async stop() {
        child.kill('SIGTERM');
        await ended;
      },
    };
  }
  throw new Error(`${kind}: no server`);
}

/** Run the clients and return what they print. */
async function ask(...args) {
  const child = spawn(process.execPath, [path('load.mjs'), ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return JSON.parse(text);
}

/** A process and all below it. */
function tree(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(tree)];
}

/** Megabytes of a field of the kernel's files. */
function megabytes(file, field) {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))[1]) / 1024;
}

function memory(pid) {
  const all = tree(pid);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return {
    pss: sum(all.map((one) => megabytes(`/proc/${one}/smaps_rollup`, 'Pss'))),
    private: sum(all.slice(-WORKERS).map((one) => megabytes(`/proc/${one}/smaps_rollup`, 'Private_Dirty'))) / WORKERS,
    tables: sum(all.map((one) => megabytes(`/proc/${one}/status`, 'VmPTE'))),
    processes: all.length,
  };
}

/** Milliseconds of processor time that a process and all below it have used; a tick is 10 ms on Linux. */
function cpu(pid) {
  return tree(pid)
    .map((one) =>
      readFileSync(`/proc/${one}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' '),
    )
    .reduce((total, fields) => total + 10 * (Number(fields[11]) + Number(fields[12])), 0);
}

export async function main({ rounds = 5, milliseconds = 4000 } = {}) {
  const results = Object.fromEntries(kinds.map((kind) => [kind, []]));
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) {
      const server = await start(kind);
      await ask(server.port, 2 * WORKERS, 0, REQUESTS, WORKERS);
      await new Promise((resolve) => setTimeout(resolve, 500)); // idle
      const used = memory(server.pid);
      await ask(server.port, 64, milliseconds); // compiled by now
      const begun = cpu(server.pid);
      const { perSecond, answers } = await ask(server.port, 64, milliseconds);
      const spent = (1000 * (cpu(server.pid) - begun)) / answers.reduce((total, count) => total + count, 0);
      const after = memory(server.pid);
      await server.stop();
      const fewest = answers.length < WORKERS ? 0 : answers[0] / answers.at(-1);
      results[kind].push({ ...used, perSecond, spent, fewest, ready: server.ready, after: after.pss });
    }
  }
  const of = (kind, field) => median(results[kind].map((result) => result[field]));
  const ratio = (kind, field) => (of(kind, field) / of('cluster', field)).toFixed(2);
  table(
    `${WORKERS} workers, an application of 100 MB, Node ${process.version}, medians of ${rounds}`,
    kinds.map((kind) => ({
      server: kind,
      'PSS after 1,000 requests each, MB': of(kind, 'pss').toFixed(0),
      'to cluster': ratio(kind, 'pss'),
      'private, a worker, MB': of(kind, 'private').toFixed(1),
      'page tables, MB': of(kind, 'tables').toFixed(1),
      'PSS after the load, MB': of(kind, 'after').toFixed(0),
      processes: of(kind, 'processes'),
      'requests/s': of(kind, 'perSecond').toFixed(0),
      'to cluster ': ratio(kind, 'perSecond'),
      'CPU, us/request': of(kind, 'spent').toFixed(1),
      'least to most busy': of(kind, 'fewest').toFixed(2),
      'ready, ms': of(kind, 'ready').toFixed(0),
    })),
  );
  return results;
}
