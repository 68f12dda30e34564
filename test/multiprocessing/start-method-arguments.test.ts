/** P24 of the acceptance under every start method: what reaches a process as an argument, and what is refused. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { methodProgram, startMethods } from '../helpers/method-program';
import { cleanProgram, packageRoot, runNode } from '../helpers/program';

const mp = JSON.stringify(join(packageRoot, 'dist', 'multiprocessing.js'));

describe.each(startMethods)('%s', (method) => {
  test('P24 arguments arrive as they were: what structured clone takes, to an async target', async () => {
    const run = await methodProgram(
      method,
      (_rf, t) => ({
        async work(
          plain: Record<string, unknown>,
          { map, set, key }: { map: Map<object, unknown>; set: Set<unknown>; key: object },
          bytes: [Buffer, Float64Array, DataView],
          error: RangeError & { code: string },
          ...[date, pattern, big, sparse, options]: [Date, RegExp, bigint, unknown[], { plain: unknown; self: unknown }]
        ) {
          await new Promise((resolve) => setImmediate(resolve));
          const [buffer, doubles, view] = bytes;
          t.report([plain['n'], plain['none'], plain['text'], plain['self'] === plain, options.plain === plain]);
          t.report([map.get(key), set.has(key), set.size, options.self === options]);
          t.report([buffer.toString(), Buffer.isBuffer(buffer), [...doubles], view.getUint8(1)]);
          t.report([
            error.name,
            error.message,
            error.code,
            (error.cause as Error).message,
            error instanceof RangeError,
          ]);
          t.report([date.getTime(), pattern.test('ABC'), String(big), 1 in sparse, sparse.length]);
        },
      }),
      async (rf, t, { work }) => {
        const plain: Record<string, unknown> = { n: -0.5, none: null, text: 'grün 🌲' };
        plain['self'] = plain;
        const key = { key: 1 };
        const options: Record<string, unknown> = { plain };
        options['self'] = options;
        const error = Object.assign(new RangeError('far', { cause: new Error('why') }), { code: 'ERR_FAR' });
        const child = new t.mp.Process({
          target: work,
          args: [
            plain,
            { map: new Map([[key, 'value']]), set: new Set([key, 2]), key },
            [Buffer.from('bytes'), Float64Array.of(1.5, NaN), new DataView(Uint8Array.of(0, 7).buffer)],
            error,
            new Date(86_400_000),
            /^a.c$/i,
            2n ** 70n,
            // eslint-disable-next-line no-sparse-arrays
            [1, , 3],
          ],
          kwargs: options,
        });
        child.start();
        await child.join();
        t.report(child.exitCode);
      },
    );
    expect(run.reports).toEqual([
      [-0.5, null, 'grün 🌲', true, true],
      ['value', true, 2, true],
      ['bytes', true, [1.5, null], 7],
      ['RangeError', 'far', 'ERR_FAR', 'why', true],
      [86_400_000, true, String(2n ** 70n), false, 3],
      0,
    ]);
  });

  test('P24 the objects of the library are arguments, in arrays and objects too, and the same in both processes', async () => {
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        work(
          [lock, rlock, semaphore, bounded]: [
            InstanceType<typeof _t.mp.Lock>,
            InstanceType<typeof _t.mp.RLock>,
            InstanceType<typeof _t.mp.Semaphore>,
            InstanceType<typeof _t.mp.BoundedSemaphore>,
          ],
          [queue, simple, joinable]: [
            InstanceType<typeof _t.mp.Queue>,
            InstanceType<typeof _t.mp.SimpleQueue>,
            InstanceType<typeof _t.mp.JoinableQueue>,
          ],
          shared: {
            value: InstanceType<typeof _t.mp.SharedValue>;
            array: InstanceType<typeof _t.mp.SharedArray>;
            memory: InstanceType<typeof _t.mp.SharedMemory>;
            list: InstanceType<typeof _t.mp.ShareableList>;
          },
          party: Map<string, unknown>,
          connection: InstanceType<typeof _t.mp.Connection>,
          { file }: { file: InstanceType<typeof _t.mp.DupFd> },
        ) {
          const event = party.get('event') as InstanceType<typeof _t.mp.Event>;
          const condition = party.get('condition') as InstanceType<typeof _t.mp.Condition>;
          const barrier = party.get('barrier') as InstanceType<typeof _t.mp.Barrier>;
          const got = [lock.acquireSync(false), rlock.acquireSync(false), semaphore.acquireSync(false)];
          got.push(bounded.acquireSync(false), bounded.acquireSync(false));
          queue.putSync(joinable.getSync());
          joinable.taskDone();
          simple.putSync(got);
          shared.value.value = 1.5;
          (shared.array as unknown as number[])[1] = 7;
          (shared.memory.buf as Uint8Array)[0] = 42;
          shared.list.set(1, 'new');
          shared.memory.close();
          event.set();
          condition.withSync(() => condition.notify());
          barrier.waitSync(20_000);
          require('node:fs').writeSync(file.detach(), 'written');
          connection.sendSync('sent');
        },
      }),
      async (rf, t, { work }) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const { mp } = t;
        const locks = [new mp.Lock(), new mp.RLock(), new mp.Semaphore(0), new mp.BoundedSemaphore(1)] as const;
        locks[0].acquireSync();
        locks[1].acquireSync();
        const [queue, simple, joinable] = [new mp.Queue(), new mp.SimpleQueue(), new mp.JoinableQueue()];
        joinable.putSync('task');
        const shared = {
          value: new mp.SharedValue('f64', 0),
          array: new mp.SharedArray('i32', 3),
          memory: new mp.SharedMemory({ create: true, size: 16 }),
          list: new mp.ShareableList([1, 'old']),
        };
        const [event, condition, barrier] = [new mp.Event(), new mp.Condition(), new mp.Barrier(2)];
        const party = new Map<string, unknown>(Object.entries({ event, condition, barrier }));
        const [ours, theirs] = mp.Pipe();
        const [read, write] = rf.pipe();
        const args = [locks, [queue, simple, joinable], shared, party, theirs, { file: new mp.DupFd(write) }];
        const child = new mp.Process({ target: work, args });
        condition.acquireSync();
        child.start();
        theirs.close();
        const notified = condition.waitSync(20_000);
        condition.release();
        t.report([notified, event.isSet(), barrier.waitSync(20_000) < 2]);
        t.report([queue.getSync(), simple.getSync()]);
        joinable.joinSync();
        t.report([shared.value.value, [...shared.array], shared.memory.buf[0], [...shared.list]]);
        t.report(await ours.recv());
        await child.join();
        fs.closeSync(write);
        t.report([child.exitCode, fs.readFileSync(read, 'utf8')]);
        shared.memory.close();
        shared.memory.unlink();
        shared.list.shm.close();
        shared.list.shm.unlink();
      },
    );
    expect(run.reports).toEqual([
      [true, true, true],
      ['task', [false, false, false, true, false]],
      [1.5, [0, 7, 0], 42, [1, 'new']],
      'sent',
      [0, 'written'],
    ]);
  });

  test("P24 closures, bound methods and what is tied to one memory: 'fork' takes them, the others name and refuse them", async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        work(first: unknown, second?: { inner: unknown[] }) {
          const value = second === undefined ? first : second.inner[0];
          t.report(typeof value === 'function' ? (value as () => unknown)() : typeof value);
        },
      }),
      async (rf, t, { work }) => {
        class Counter {
          #count = 41;
          add() {
            return ++this.#count;
          }
        }
        const counter = new Counter();
        const bound = counter.add.bind(counter);
        const local = 42;
        const attempt = async (options: object) => {
          const child = new t.mp.Process({ name: 'Child', ...options });
          try {
            child.start();
          } catch (error) {
            const { name, code, message } = error as { name: string; code: string; message: string };
            const advice = message.includes("the start method 'fork'");
            t.report([name, code, /^The target of Child|^[\w.[\]]+/.exec(message)?.[0], advice, child.pid]);
            return t.mp.activeChildren().length;
          }
          await child.join();
          return child.exitCode;
        };
        const ends = [
          await attempt({ target: work, args: [() => local] }),
          await attempt({ target: work, args: [0, { inner: [bound] }] }),
          await attempt({ target: work, kwargs: { inner: [counter.add.bind(counter)] }, args: [0] }),
          await attempt({ target: work, args: [Symbol('s')] }),
          await attempt({ target: work, args: [new WeakMap()] }),
          await attempt({ target: work, args: [Promise.resolve(5)] }),
          await attempt({ target: () => t.report(local) }),
          await attempt({ target: () => Promise.resolve().then(() => t.report(bound())) }),
          await attempt({ target: async () => t.report(bound()) }),
        ];
        t.report(ends);
        t.report(rf.processTree().children.filter(({ state }) => state === 'Z').length);
      },
    );
    const refused = (place: string) => ['DataCloneError', 'ERR_DATA_CLONE', place, true, null];
    const unnamed = ['ProcessError', 'ERR_NOT_IMPORTABLE', 'The target of Child', true, null];
    expect(run.reports.slice(0, -2)).toEqual(
      method === 'fork'
        ? [42, 42, 42, 'symbol', 'object', 'object', 42, 42, 42]
        : [
            ...['args[0]', 'args[1].inner[0]', 'kwargs.inner[0]', 'args[0]', 'args[0]', 'args[0]'].map(refused),
            unnamed,
            unnamed,
            unnamed,
          ],
    );
    expect(run.reports.slice(-2)).toEqual([new Array(9).fill(0), 0]);
  });
});

/** Functions that a program passes on, in a module of each kind; they say which module's they are, and when it is loaded. */
const modules = {
  'tools.cjs': `
    console.log('loading tools.cjs');
    exports.twice = (x) => x * 2;
    exports.Shape = class Shape { constructor(side) { this.side = side; } static area(side) { return side * side; } };
    exports.nested = { half: (x) => x / 2 };`,
  'whole.cjs': 'module.exports = (x) => x + 1000;',
  'tools.mjs': `
    console.log('loading tools.mjs');
    await null;
    export function thrice(x) { return x * 3; }
    export default (x) => x + 100;
    export class Box { static wrap(x) { return [x]; } value = 1; }`,
};

/** What the target of the tests below does with what it gets: its arguments are the names under which it reports. */
const callAll = `(names, list, { map, set, ...rest }, options) => {
  const found = [...list, ...map.values(), ...set, ...Object.values(rest), options.fn];
  console.log(JSON.stringify(found.map((fn, i) => names[i] === 'Class' ? Object.keys(new fn(1)) : fn(8))));
  console.log(found[0] === options.fn, map.get(found[0]) !== undefined, names.length === found.length);
}`;

describe.each(['forkserver', 'spawn'] as const)('functions as arguments: %s', (method) => {
  let folder: string;
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'realfork-arguments-')));
    for (const [name, text] of Object.entries(modules)) writeFileSync(join(folder, name), text);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const passAll = `
    const { twice, Shape, nested } = tools;
    const { thrice, Box, default: hundred } = es;
    const names = ['twice', 'Class', 'area', 'thrice', 'half', 'whole', 'default', 'wrap', 'Class', 'sqrt', 'global', 'twice'];
    const args = [
      names,
      [twice, Shape, Shape.area],
      { map: new Map([[twice, thrice]]), set: new Set([nested.half, whole]), hundred, wrap: Box.wrap, Box, sqrt: Math.sqrt, hex: Number },
    ];
    const child = new (mp.getContext('${method}').Process)({ target: work, args, kwargs: { fn: twice } });
    child.start();
    child.joinSync();
    console.log('exit', child.exitCode);`;
  const expected = [
    'loading tools.cjs',
    'loading tools.mjs',
    '[16,["side"],64,24,4,1008,108,[8],["value"],2.8284271247461903,8,16]',
    'true true true',
    'exit 0',
    '',
  ];
  // The creator has loaded them first.
  const lines = [...expected.slice(0, 2), ...expected].join('\n');

  test('CommonJS: exports, static methods, classes, Node’s own and globals, wherever they stand; the same in the child', async () => {
    const file = join(folder, 'main.cjs');
    writeFileSync(
      file,
      `const mp = require(${mp});
       const work = exports.work = ${callAll};
       async function main() {
         const tools = require('./tools.cjs'), whole = require('./whole.cjs'), es = await import('./tools.mjs');
         ${passAll}
       }
       if (require.main === module) main();`,
    );
    expect(await runNode([file])).toMatchObject({ stderr: '', output: lines });
  });

  test('an ES module as the main one', async () => {
    const file = join(folder, 'main.mjs');
    writeFileSync(
      file,
      `import mp from ${mp}; import * as es from './tools.mjs'; import { createRequire } from 'node:module';
       import { fileURLToPath } from 'node:url';
       const require = createRequire(import.meta.url);
       export const work = ${callAll};
       if (process.argv[1] === fileURLToPath(import.meta.url)) {
         const tools = require('./tools.cjs'), whole = require('./whole.cjs');
         ${passAll}
       }`,
    );
    // Its own `import` is evaluated before what it requires; in the child it is the module of the target, loaded first.
    const [cjs, es] = ['loading tools.cjs\n', 'loading tools.mjs\n'];
    const output = es + cjs + es + cjs + expected.slice(2).join('\n');
    expect(await runNode([file])).toMatchObject({ stderr: '', output });
  });

  test('they are the module’s own: passed on to a grandchild, sent in fields of a subclass', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        callback: (x: number) => x + 1,
        work(depth: number, callback: (x: number) => number) {
          t.report([depth, callback(depth), callback === module.exports.callback]);
          if (depth === 0) return;
          const child = new t.mp.Process({ target: module.exports.work, args: [depth - 1, callback] });
          child.start();
          child.joinSync();
        },
        Caller: class extends t.mp.Process {
          callbacks: ((x: number) => number)[] = [];
          override run() {
            const [first, second] = this.callbacks;
            t.report([first === module.exports.callback, first === second, first?.(1)]);
          }
        },
      }),
      async (rf, t, { work, callback, Caller }) => {
        const child = new t.mp.Process({ target: work, args: [1, callback] });
        child.start();
        await child.join();
        const caller = new Caller();
        caller.callbacks = [callback, callback];
        caller.start();
        await caller.join();
        t.report([child.exitCode, caller.exitCode]);
      },
    );
    expect(run.reports).toEqual([
      [1, 2, true],
      [0, 1, true],
      [true, true, 2],
      [0, 0],
    ]);
  });

  test('what no module exports is refused by its place, with what to do, and nothing is started', async () => {
    const run = await methodProgram(
      method,
      () => ({ work() {}, method: { of: [] } }),
      (rf, t, { work }) => {
        const attempt = (args: unknown[]) => {
          const child = new t.mp.Process({ target: work, args });
          try {
            child.start();
          } catch (error) {
            const { code, message } = error as { code: string; message: string };
            t.report([code, message.split(' (')[0], message.includes('module.exports = {'), child.pid]);
          }
        };
        attempt([work, [work, function local() {}]]);
        attempt([{ deep: { list: [() => 1] } }]);
        attempt([new Map([['key', work.bind(null)]])]);
        attempt([class Local {}]);
        attempt([Object.assign(new (class Holder {})(), { run: async () => {} })]);
        t.report(t.mp.activeChildren().length);
      },
    );
    const refused = (text: string) => ['ERR_DATA_CLONE', text, true, null];
    const why = 'which no module exports';
    expect(run.reports).toEqual([
      refused(`args[1][1] cannot be cloned: the function local, ${why}`),
      refused(`args[0].deep.list[0] cannot be cloned: a function without a name, ${why}`),
      refused(`args[0].get("key") cannot be cloned: the function bound work, ${why}`),
      refused(`args[0] cannot be cloned: the function Local, ${why}`),
      refused(`args[0].run cannot be cloned: the function run, ${why}`),
      0,
    ]);
  });

  test('a module that cannot be loaded there is the end of the child, and said so', async () => {
    writeFileSync(
      join(folder, 'here.cjs'),
      "exports.fn = () => {}; if (process.env.MAIN !== String(process.pid)) throw new RangeError('not here');",
    );
    const run = await methodProgram(
      method,
      (rf, t) => ({
        work() {
          t.report('never');
        },
      }),
      async (rf, t, { work }) => {
        process.env['MAIN'] = String(process.pid);
        const { fn } = require(t.args[0]) as { fn: () => void };
        // With more than a socket's buffer takes.
        const child = new t.mp.Process({ target: work, args: [fn, Buffer.alloc(5_000_000)], name: 'Child' });
        child.start();
        await child.join();
        t.report(child.exitCode);
        process.exitCode = 3;
      },
      { args: [join(folder, 'here.cjs')], code: 3 },
    );
    expect(run.reports).toEqual([1]);
    expect(run.stderr).toMatch(/^Process Child:\n[^]*RangeError: not here/);
  });

  test('long arguments and descriptors go along with functions, and are there when the module is loaded', async () => {
    writeFileSync(
      join(folder, 'slow.mjs'),
      'await new Promise((r) => setTimeout(r, 50)); export const fn = (x) => -x;',
    );
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        work(
          fn: (x: number) => number,
          big: Buffer,
          file: InstanceType<typeof _t.mp.DupFd>,
          queue: InstanceType<typeof _t.mp.Queue>,
        ) {
          require('node:fs').writeSync(file.detach(), `written ${fn(big[big.length - 1] as number)}`);
          queue.putSync(fn(1));
        },
      }),
      async (rf, t, { work }) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const { fn } = (await import(t.args[0])) as { fn: (x: number) => number };
        const [read, write] = rf.pipe();
        const queue = new t.mp.Queue();
        const args = [fn, Buffer.alloc(5_000_000, 3), new t.mp.DupFd(write), queue];
        const child = new t.mp.Process({ target: work, args });
        child.start();
        t.report(await queue.get());
        await child.join();
        fs.closeSync(write);
        t.report([child.exitCode, fs.readFileSync(read, 'utf8')]);
      },
      { args: [join(folder, 'slow.mjs')] },
    );
    expect(run.reports).toEqual([-1, [0, 'written -3']]);
  });
});

test('messages of connections and queues take no functions, and never make a process load one', async () => {
  const run = await cleanProgram((rf, t) => {
    const { join } = require('node:path') as typeof import('node:path');
    const [a, b] = t.mp.Pipe();
    const queue = new t.mp.Queue();
    t.report([t.caught(() => a.sendSync(join)).code, t.caught(() => queue.putSync([join])).code]);
    // The bytes of a function, by the number 0.
    a.sendBytesSync(Buffer.of(30, 0));
    t.report(t.caught(() => b.recvSync()).code);
    a.sendSync('and on');
    t.report(b.recvSync());
  });
  expect(run.reports).toEqual([['ERR_DATA_CLONE', 'ERR_DATA_CLONE'], 'ERR_INVALID_MESSAGE', 'and on']);
});
