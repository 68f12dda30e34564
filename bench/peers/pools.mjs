/** Pools of two workers behind one interface: `make()`, `call(pool, name, argument)`, `end(pool)`; `map` where there is one. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = process.env.PEERS;
const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const load = (name) => createRequire(`${folder}/package.json`)(name);

async function importModule(name) {
  const home = join(folder, 'node_modules', name);
  const manifest = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  return import(pathToFileURL(join(home, manifest.exports?.['.']?.default ?? manifest.main)));
}

const tasks = { noop: () => 7, echo: (x) => x };

export const pools = {
  'realfork Pool': async () => {
    const { Pool } = await import('realfork/multiprocessing');
    return {
      make: () => new Pool(2),
      call: (pool, name, argument) => pool.run(tasks[name], argument),
      map: (pool, name, items) => pool.map(tasks[name], items),
      end: (pool) => (pool.terminate(), pool.join()),
    };
  },
  piscina: async () => {
    const { Piscina } = load('piscina');
    return {
      make: () => new Piscina({ filename: file('tasks.cjs'), minThreads: 2, maxThreads: 2 }),
      call: (pool, name, argument) => pool.run(argument, { name }),
      end: (pool) => pool.destroy(),
    };
  },
  tinypool: async () => {
    const { Tinypool } = await importModule('tinypool');
    return {
      make: () =>
        new Tinypool({ filename: file('tasks.cjs'), minThreads: 2, maxThreads: 2, runtime: 'worker_threads' }),
      call: (pool, name, argument) => pool.run(argument, { name }),
      end: (pool) => pool.destroy(),
    };
  },
  workerpool: async () => {
    const workerpool = load('workerpool');
    return {
      make: () => workerpool.pool(file('tasks-workerpool.cjs'), { minWorkers: 2, maxWorkers: 2, workerType: 'thread' }),
      call: (pool, name, argument) => pool.exec(name, [argument]),
      end: (pool) => pool.terminate(true),
    };
  },
  'jest-worker, threads': async () => jestWorker(true),
  'jest-worker, processes': async () => jestWorker(false),
};

function jestWorker(enableWorkerThreads) {
  const { Worker } = load('jest-worker');
  return {
    make: () => new Worker(file('tasks.cjs'), { numWorkers: 2, enableWorkerThreads, exposedMethods: ['noop', 'echo'] }),
    call: (pool, name, argument) => pool[name](argument),
    end: (pool) => pool.end(),
  };
}
