/**
 * A child runs its target and nothing of the parent's, from every place that a process can be started at. Around the
 * start stands, in the parent, one of each kind of thing that could go on in the child; each leaves a mark when it runs.
 */
import { cleanProgram, packageRoot, script, type Realfork } from '../helpers/program';
import type { Tools } from '../helpers/program-tools';

/** The marks of the child, in Node's order. */
const childMarks = [
  'target',
  'tick',
  'microtask',
  'immediate',
  'tick in immediate',
  'immediate 2',
  'timer',
  'file',
  'end',
];

/** The program: `args[0]` is where the process is started. */
const body = async (rf: Realfork, t: Tools): Promise<void> => {
  const [place] = t.args as [string];
  const fs = require('node:fs') as typeof import('node:fs');
  const net = require('node:net') as typeof import('node:net');
  const { EventEmitter } = require('node:events') as typeof import('node:events');
  const parent = process.pid;
  const mark = (what: string) => t.report([process.pid === parent ? 'parent' : 'child', what]);

  const target = async () => {
    mark('target');
    process.nextTick(() => mark('tick'));
    await null;
    mark('microtask');
    await new Promise<void>((resolve) => {
      setImmediate(() => {
        mark('immediate');
        process.nextTick(() => mark('tick in immediate'));
      });
      setImmediate(() => {
        mark('immediate 2');
        resolve();
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    mark('timer');
    await fs.promises.readFile(__filename);
    mark('file');
    let garbage = [];
    for (let i = 0; i < 200_000; i++) garbage.push({ i });
    garbage = [];
    await new Promise((resolve) => setTimeout(resolve, 20)); // leftovers would show by now
    mark('end');
  };
  let settled = () => {};
  const done = new Promise<void>((resolve) => (settled = resolve));
  const start = () => {
    process.nextTick(() => mark('pending tick'));
    setImmediate(() => mark('pending immediate'));
    setTimeout(() => mark('pending timer'), 0);
    setTimeout(() => mark('pending timer 2'), 10);
    void Promise.resolve().then(() => mark('pending microtask'));
    queueMicrotask(() => mark('pending microtask 2'));
    void fs.promises.stat(__filename).then(() => mark('pending file'));
    fs.stat(__filename, () => mark('pending file callback'));
    const child = new t.mp.Process({ target });
    try {
      child.start();
      mark('after start');
      void child.join().then(() => {
        mark(`joined ${child.exitCode}`);
        settled();
      });
    } catch (error) {
      mark(`catch ${String(error)}`);
    } finally {
      mark('finally');
    }
  };
  process.on('exit', () => mark('exit'));
  process.on('beforeExit', () => mark('beforeExit'));

  const places: Record<string, () => unknown> = {
    'the top level': start,
    'a tick': () => process.nextTick(start),
    'a microtask': () => queueMicrotask(start),
    'a promise reaction': () => void Promise.resolve().then(start),
    'an await': async () => {
      await null;
      start();
    },
    'an await of a file promise': async () => {
      await fs.promises.readFile(__filename);
      start();
    },
    'a timer': () => {
      setTimeout(start, 1);
      setTimeout(() => mark('next timer'), 1);
    },
    'a microtask in a timer': () => void setTimeout(() => queueMicrotask(start), 1),
    'an interval': () => {
      const interval = setInterval(() => {
        clearInterval(interval);
        start();
      }, 1);
    },
    'a running interval': () => {
      let ticks = 0;
      const interval = setInterval(() => {
        ticks += 1;
        if (ticks === 2) start();
        if (ticks === 4) clearInterval(interval);
      }, 1);
    },
    'an immediate': () => setImmediate(start),
    'the second of three immediates': () => {
      setImmediate(() => mark('first'));
      setImmediate(start);
      setImmediate(() => mark('third'));
    },
    'a microtask between immediates': () => {
      setImmediate(() => void Promise.resolve().then(start));
      setImmediate(() => mark('second'));
      setImmediate(() => mark('third'));
    },
    'a tick between immediates': () => {
      setImmediate(() => mark('first'));
      setImmediate(() => process.nextTick(start));
      setImmediate(() => mark('third'));
    },
    'a file callback': () => fs.readFile(__filename, start),
    'one of several file callbacks': () => {
      for (let i = 0; i < 4; i++) fs.stat(__filename, () => mark('other file callback'));
      fs.stat(__filename, start);
      for (let i = 0; i < 4; i++) fs.stat(__filename, () => mark('other file callback'));
      t.burn(30);
    },
    'a net callback': () => {
      const server = net.createServer((socket) => {
        socket.on('data', () => mark('data'));
        socket.on('close', () => mark('close'));
        socket.write('hello');
        server.close(() => mark('server closed'));
        start();
      });
      server.listen(0, () => {
        const client = net.connect((server.address() as import('node:net').AddressInfo).port);
        client.end('x');
        client.on('data', () => mark('client data'));
      });
    },
    'a stream handler': () => {
      const stream = fs.createReadStream(__filename, { highWaterMark: 64 });
      let seen = false;
      stream.on('data', () => {
        if (seen) return;
        seen = true;
        start();
      });
      stream.on('close', () => mark('stream closed'));
    },
    'a signal handler': () => {
      const alive = setInterval(() => {}, 1000);
      process.on('SIGUSR2', () => {
        clearInterval(alive);
        start();
      });
      process.kill(process.pid, 'SIGUSR2');
    },
    'an event emitter': () => {
      const emitter = new EventEmitter();
      emitter.on('go', start);
      emitter.on('go', () => mark('second listener'));
      emitter.emit('go');
    },
    'an async iterator': async () => {
      const items = async function* () {
        for (let i = 0; i < 3; i++) {
          await null;
          yield i;
        }
      };
      for await (const item of items()) {
        if (item === 1) start();
        else mark(`item ${item}`);
      }
    },
    'an uncaught exception': () => {
      process.once('uncaughtException', start);
      setImmediate(() => {
        throw new Error('caught by the listener');
      });
      setImmediate(() => mark('next immediate'));
    },
    'an unhandled rejection': () => {
      process.once('unhandledRejection', start);
      void Promise.reject(new Error('noticed by the listener'));
    },
    "a child process's exit": () => {
      const { spawn } = require('node:child_process') as typeof import('node:child_process');
      spawn('true')
        .on('exit', start)
        .on('close', () => mark('close'));
    },
    "a Worker's exit": () => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      new Worker('', { eval: true }).on('exit', start);
    },
    'a message port': () => {
      const { MessageChannel } = require('node:worker_threads') as typeof import('node:worker_threads');
      const { port1, port2 } = new MessageChannel();
      let messages = 0;
      port1.on('message', () => {
        messages += 1;
        mark(`message ${messages}`);
        if (messages === 1) start();
        if (messages === 3) port1.close();
      });
      for (let i = 0; i < 3; i++) port2.postMessage(i);
    },
    'new Function in a vm context': () => {
      const vm = require('node:vm') as typeof import('node:vm');
      vm.runInNewContext('try { start() } finally { mark("finally in vm") }', { start, mark });
    },
    'a getter in a sort in a constructor': () => {
      class Deep {
        constructor() {
          [2, 1].sort((a, b) => (a < b ? this.value : 0));
        }
        get value(): number {
          start();
          return 0;
        }
      }
      new Deep();
    },
    'an async local storage': () => {
      const { AsyncLocalStorage } = require('node:async_hooks') as typeof import('node:async_hooks');
      const storage = new AsyncLocalStorage<string>();
      storage.run('kept', () => setTimeout(start, 1));
    },
    'beside a rejection nobody has handled': () => {
      process.once('unhandledRejection', () => mark('rejection'));
      void Promise.reject(new Error('of the parent'));
      start();
    },
  };
  const parentExit = new Promise((resolve) => process.once('beforeExit', resolve));
  void (places[place] as () => unknown)();
  await done;
  await parentExit;
};

const places = [...body.toString().matchAll(/^\s+(?:'([^'\n]+)'|"([^"\n]+)"): (?:async )?\(?(?:\(\)|start)/gm)].map(
  (match) => (match[1] ?? match[2]) as string,
);

function check(reports: readonly (readonly [string, string])[]): void {
  const of = (who: string) => reports.filter(([whose]) => whose === who).map(([, what]) => what);
  expect(of('child')).toEqual(childMarks);
  const parents = of('parent');
  expect(parents).toEqual(expect.arrayContaining(['after start', 'finally', 'joined 0', 'exit', 'pending tick']));
  expect(parents).toEqual(expect.arrayContaining(['pending immediate', 'pending timer 2', 'pending microtask']));
  expect(parents).toEqual(expect.arrayContaining(['pending file', 'pending file callback', 'beforeExit']));
  expect(parents.filter((what) => what === 'after start')).toHaveLength(1);
}

describe('only the target runs in a child started', () => {
  test('everywhere that is listed here', () => expect(places.length).toBeGreaterThan(28));

  test.each(places)('in %s', async (place) => {
    const run = await cleanProgram(body, { args: [place] });
    check(run.reports);
  });
});

const module_ = (start: string) => `
  import { createRequire } from 'node:module';
  import { writeSync, promises } from 'node:fs';
  const require = createRequire(import.meta.url);
  const mp = require(${JSON.stringify(`${packageRoot}/dist/multiprocessing.js`)});
  const parent = process.pid;
  const mark = (what) => writeSync(1, '@report ' + JSON.stringify([process.pid === parent ? 'parent' : 'child', what]) + '\\n');
  const target = async () => {
    mark('target');
    await null;
    await promises.readFile(import.meta.filename ?? new URL(import.meta.url));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { sep } = await import('node:path');
    mark('imported ' + sep);
  };
  const child = new mp.Process({ target });
  setTimeout(() => mark('timer'), 1);
  ${start}
  mark('after start');
  await child.join();
  mark('joined ' + child.exitCode);
`;

test.each([
  ['the top level', 'child.start();'],
  ['a top-level await', 'await null; child.start();'],
  ['a top-level await of a file', 'await promises.readFile(new URL(import.meta.url)); child.start();'],
  ['a top-level await of a timer', 'await new Promise((resolve) => setTimeout(resolve, 2)); child.start();'],
])('only the target runs in a child started at %s of an ES module', async (_place, start) => {
  const run = await script(module_(start), { extension: '.mjs' });
  expect(run).toMatchObject({ code: 0, stderr: '' });
  const of = (who: string) =>
    (run.reports as [string, string][]).filter(([whose]) => whose === who).map(([, what]) => what);
  expect(of('child')).toEqual(['target', 'imported /']);
  expect(of('parent')).toEqual(expect.arrayContaining(['after start', 'timer', 'joined 0']));
});

test('under --abort-on-uncaught-exception the abandoned stack does not count as an uncaught exception', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      for (const place of ['at once', 'in a microtask']) {
        if (place === 'in a microtask') await null;
        const child = new t.mp.Process({ target: () => process.exit(3) });
        child.start();
        await child.join();
        t.report(child.exitCode);
      }
    },
    { nodeFlags: ['--abort-on-uncaught-exception'] },
  );
  expect(run.reports).toEqual([3, 3]);
});
