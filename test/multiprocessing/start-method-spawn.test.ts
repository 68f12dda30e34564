/** What is special to processes that are no copies: where the main module is, what reaches them, who ends with whom. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { methodProgram } from '../helpers/method-program';
import { packageRoot, runNode, script } from '../helpers/program';

const mp = JSON.stringify(join(packageRoot, 'dist', 'multiprocessing.js'));
const fresh = ['forkserver', 'spawn'] as const;

let folder: string;
beforeEach(() => (folder = realpathSync(mkdtempSync(join(tmpdir(), 'realfork-start-')))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const body = `
  async function main(method, target) {
    const child = new (mp.getContext(method).Process)({ target, args: [6] });
    child.start();
    await child.join();
    console.log('exit', child.exitCode);
  }`;

describe.each(fresh)('%s', (method) => {
  test('D07 the main module is CommonJS: loaded in the child, but not as the main module', async () => {
    const file = join(folder, 'main.cjs');
    writeFileSync(
      file,
      `const mp = require(${mp}); ${body}
       exports.square = (x) => console.log(x * x, require.main === module, process.argv.slice(1).join(' '));
       console.log('loaded', process.argv[1] === __filename, process.argv[2]);
       if (require.main === module) main('${method}', exports.square);`,
    );
    const run = await runNode([file, 'argument'], { cwd: folder });
    expect(run.stderr).toBe('');
    expect(run.output).toBe(`loaded true argument\nloaded false argument\n36 false ${file} argument\nexit 0\n`);
  });

  test('D07 the main module is an ES module, with a start at its top level; a guard by its path holds', async () => {
    const file = join(folder, 'main.mjs');
    writeFileSync(
      file,
      `import mp from ${mp}; import { fileURLToPath } from 'node:url'; ${body}
       export default function (x) { console.log(x * x, process.argv.slice(1).join(' ')); }
       export class Shapes { static square(x) { console.log('static', x * x); } }
       import * as self from './main.mjs';
       if (process.argv[1] === fileURLToPath(import.meta.url)) {
         await main('${method}', self.default);
         await main('${method}', Shapes.square);
         await main('${method}', console.log);
       }`,
    );
    const run = await runNode([file, 'argument'], { cwd: folder });
    expect(run.stderr).toBe('');
    expect(run.output).toBe(`36 ${file} argument\nexit 0\nstatic 36\nexit 0\n6\nexit 0\n`);
  });

  test('D07 node -e and a script on stdin: a target of theirs has no file, one of a module does', async () => {
    writeFileSync(join(folder, 'work.cjs'), 'exports.square = (x) => console.log(x * x, __filename);');
    const source = `const mp = require(${mp}); ${body}
      const { square } = require(${JSON.stringify(join(folder, 'work.cjs'))});
      try { new (mp.getContext('${method}').Process)({ target: function mine() {} }).start(); }
      catch (error) { console.log(error.code, /node -e/.test(error.message)); }
      main('${method}', square);`;
    const expected = `ERR_NOT_IMPORTABLE true\n36 ${join(folder, 'work.cjs')}\nexit 0\n`;
    const asArgument = await runNode(['-e', source], { cwd: folder });
    expect(asArgument).toMatchObject({ stderr: '', output: expected });
    const onStdin = await runNode([], { cwd: folder, stdin: source });
    expect(onStdin).toMatchObject({ stderr: '', output: expected });
  });

  test('a main module without a guard is told of it, and starts nothing', async () => {
    const file = join(folder, 'main.cjs');
    writeFileSync(
      file,
      `const mp = require(${mp});
       exports.work = () => console.log('never');
       const child = new (mp.getContext('${method}').Process)({ target: exports.work });
       child.start();
       child.joinSync();
       console.log('exit', child.exitCode);`,
    );
    const run = await runNode([file]);
    expect(run.output).toBe('exit 1\n');
    expect(run.stderr).toContain('ERR_PROCESS_BOOTSTRAPPING');
    expect(run.stderr).toContain('require.main === module');
  });

  test.each(['cjs', 'mjs'])('parentProcess() as a guard of a main module that is .%s', async (extension) => {
    const file = join(folder, `main.${extension}`);
    const [load, exported] =
      extension === 'cjs'
        ? [`const mp = require(${mp});`, 'const work = exports.work =']
        : [`import mp from ${mp};`, 'export const work ='];
    writeFileSync(
      file,
      `${load}
       ${exported} () => console.log('work', mp.parentProcess().name);
       const parent = mp.parentProcess();
       if (parent === null) {
         const { Process } = mp.getContext('${method}');
         mp.setForkserverPreload(process.argv.slice(2));
         const child = new Process({ target: work });
         child.start();
         child.joinSync();
         console.log('exit', child.exitCode);
       } else console.log('loaded', parent.name, parent.pid === process.ppid || parent.isAlive());`,
    );
    const output = 'loaded MainProcess true\nwork MainProcess\nexit 0\n';
    expect(await runNode([file])).toMatchObject({ stderr: '', output });
    // Loaded by the server, and not again by its child.
    expect(await runNode([file, '__main__'])).toMatchObject({ stderr: '', output });
  });

  test('what cannot be sent is named, and nothing is started', async () => {
    const run = await methodProgram(
      method,
      () => ({ work() {} }),
      (rf, t, { work }) => {
        const attempt = (options: object) => {
          const child = new t.mp.Process({ ...options, name: 'Child' });
          try {
            child.start();
          } catch (error) {
            const { code, message } = error as { code: string; message: string };
            return [code, message.slice(0, 40), child.pid, t.mp.activeChildren().length];
          }
          return 'started';
        };
        t.report(attempt({ target: work, args: [1, { inner: [() => 1] }] }));
        t.report(attempt({ target: work, kwargs: { symbol: Symbol('s') } }));
        t.report(attempt({ target: () => 1 }));
        t.report(attempt({ target: work.bind(null) }));
        class Local extends t.mp.Process {}
        const child = new Local({ target: work });
        t.report(t.caught(() => child.start()).code);
        t.report(rf.processTree().children.length);
      },
    );
    const [inArgs, inKwargs, closure, bound, Class, children] = run.reports;
    expect(inArgs).toEqual([
      'ERR_DATA_CLONE',
      expect.stringMatching(/^args\[1\]\.inner\[0\] cannot be cloned/),
      null,
      0,
    ]);
    expect(inKwargs).toEqual(['ERR_DATA_CLONE', expect.stringMatching(/^kwargs\.symbol cannot be cloned/), null, 0]);
    expect(closure).toEqual(['ERR_NOT_IMPORTABLE', expect.stringMatching(/^The target of Child/), null, 0]);
    expect(bound[0]).toBe('ERR_NOT_IMPORTABLE');
    expect(Class).toBe('ERR_NOT_IMPORTABLE');
    expect(children).toBe(0);
  });

  test('connections, descriptors, shared memory and megabytes arrive; nothing else is open', async () => {
    const run = await methodProgram(
      method,
      (_rf, _t) => ({
        work(
          connection: InstanceType<typeof _t.mp.Connection>,
          file: InstanceType<typeof _t.mp.DupFd>,
          memory: InstanceType<typeof _t.mp.SharedMemory>,
          array: InstanceType<typeof _t.mp.SharedArray>,
          big: Buffer,
        ) {
          require('node:fs').writeSync(file.detach(), 'written');
          (memory.buf as Uint8Array)[0] = 42;
          (array as unknown as number[])[1] = 7;
          connection.sendSync([big.length, big[big.length - 1]]);
          memory.close();
        },
      }),
      async (rf, t, { work }) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const path = require('node:path').join(t.args[0], 'file');
        const fd = fs.openSync(path, 'w+');
        rf.setInheritable?.(fd, true);
        const [ours, theirs] = t.mp.Pipe();
        const memory = new t.mp.SharedMemory({ create: true, size: 4096 });
        const array = new t.mp.SharedArray('i32', 4);
        const args = [theirs, new t.mp.DupFd(fd), memory, array, Buffer.alloc(5_000_000, 3)];
        const child = new t.mp.Process({ target: work, args });
        child.start();
        theirs.close();
        t.report(await ours.recv());
        await child.join();
        t.report([child.exitCode, fs.readFileSync(path, 'utf8'), memory.buf[0], array[1]]);
        memory.close();
        memory.unlink();
      },
      { args: [folder] },
    );
    expect(run.reports).toEqual([
      [5_000_000, 3],
      [0, 'written', 42, 7],
    ]);
  });

  test('what was sent to a child that is not up yet is not given to somebody else', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        work(locks: InstanceType<typeof t.mp.Lock>[], go: { waitSync(): void }) {
          go.waitSync();
          t.report(locks.map((lock) => lock.acquireSync(false)));
        },
      }),
      async (rf, t, { work }) => {
        const go = new t.mp.Event();
        const start = () => {
          const locks = Array.from({ length: 50 }, () => new t.mp.Lock());
          const child = new t.mp.Process({ target: work, args: [locks, go] });
          child.start();
          return child;
        };
        const child = start();
        // The locks of `start` are garbage now, and the child is the only one to have them.
        for (let i = 0; i < 4; i++) {
          await new Promise((resolve) => setImmediate(resolve));
          (globalThis as unknown as { gc(): void }).gc();
        }
        const others = Array.from({ length: 600 }, () => new t.mp.Lock());
        for (const other of others) other.acquireSync();
        go.set();
        await child.join();
        t.report(child.exitCode);
      },
      { nodeFlags: ['--expose-gc'] },
    );
    expect(run.reports).toEqual([new Array(50).fill(true), 0]);
  });

  test('a child outlives its killed creator and knows of its end; no server stays', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        async work(ready: { set(): void }) {
          const parent = t.mp.parentProcess();
          ready.set();
          await parent?.join();
          t.report([parent?.isAlive(), parent?.name]);
        },
        creator(done: { putSync(value: number): void }) {
          const ready = new t.mp.Event();
          const child = new t.mp.Process({ target: module.exports.work, args: [ready] });
          child.start();
          ready.waitSync();
          done.putSync(child.pid as number);
          process.kill(process.pid, 'SIGKILL');
        },
      }),
      async (rf, t, { creator }) => {
        const queue = new t.mp.Queue<number>();
        const child = new (t.mp.getContext('spawn').Process)({ target: creator, args: [queue] });
        // The creator is a process of its own that has chosen the method.
        child.start();
        const pid = await queue.get();
        await child.join();
        t.report(child.exitCode);
        await t.waitUntil(() => t.stat(pid) === undefined || t.stat(pid)?.[0] === 'Z', 'the end of the orphan');
      },
    );
    expect(run.reports).toContainEqual(-9);
    expect(run.reports).toContainEqual([false, 'SpawnProcess-1']);
  });

  test('a process that joined later keeps from reuse what was sent, and nothing else', async () => {
    const run = await methodProgram(
      method,
      () => ({
        work(_lock: unknown, ready: { set(): void }, go: { waitSync(): void }) {
          ready.set();
          go.waitSync();
        },
      }),
      async (rf, t, { work }) => {
        const { makeCell } = t.internal('shared/arena') as { makeCell(holder: object): number };
        const { native } = t.internal('native') as { native: { reclaim(offset: number): string } };
        const { kCell } = t.internal('sync/cell') as { kCell: symbol };
        const holder = {};
        const [before, sent] = [makeCell(holder), new t.mp.Lock()];
        const [ready, go] = [new t.mp.Event(), new t.mp.Event()];
        const child = new t.mp.Process({ target: work, args: [sent, ready, go] });
        child.start();
        ready.waitSync();
        const offset = (sent as unknown as Record<symbol, number>)[kCell] as number;
        t.report([native.reclaim(before), native.reclaim(makeCell(holder)), native.reclaim(offset)]);
        go.set();
        await child.join();
        t.report(typeof holder);
      },
    );
    expect(run.reports).toEqual([['freed', 'freed', 'later'], 'object']);
  });

  test('P25 children of a context start theirs by the same method', async () => {
    const run = await methodProgram(
      'fork',
      (rf, t) => ({
        work() {
          t.report([t.mp.getStartMethod(), t.mp.getContext().getStartMethod()]);
        },
      }),
      async (rf, t, { work }) => {
        const context = t.mp.getContext(t.args[0]);
        const child = new context.Process({ target: work });
        child.start();
        await child.join();
        t.report([child.constructor.name, child.exitCode, t.mp.getStartMethod()]);
        const names = [
          'Queue',
          'SimpleQueue',
          'JoinableQueue',
          'Pipe',
          'Lock',
          'RLock',
          'Semaphore',
          'BoundedSemaphore',
        ];
        names.push('Event', 'Condition', 'Barrier', 'SharedValue', 'SharedArray', 'TimeoutError', 'ProcessError');
        t.report(names.filter((name) => typeof (context as unknown as Record<string, unknown>)[name] !== 'function'));
      },
      { args: [method] },
    );
    const name = { spawn: 'SpawnProcess', forkserver: 'ForkServerProcess' }[method];
    expect(run.reports).toEqual([[method, method], [name, 0, 'fork'], []]);
  });

  test('flags of Node go along, but for those that say what to run', async () => {
    const work = join(folder, 'work.cjs');
    writeFileSync(work, 'exports.flags = () => console.log(JSON.stringify(process.execArgv), typeof gc);');
    const source = `const mp = require(${mp}); const { flags } = require(${JSON.stringify(work)});
      const child = new (mp.getContext('${method}').Process)({ target: flags }); child.start(); child.joinSync();`;
    const run = await runNode(['--expose-gc', '--max-old-space-size=512', '-e', source]);
    expect(run).toMatchObject({ stderr: '', output: '["--expose-gc","--max-old-space-size=512"] function\n' });
  });
});

describe('forkserver', () => {
  test('children are forks of the server: no globals of the creator, modules loaded once', async () => {
    const module = join(folder, 'loaded.cjs');
    writeFileSync(
      module,
      'console.log("loading in", process.ppid === Number(process.env.MAIN) ? "server" : "child"); exports.x = 1;',
    );
    const run = await methodProgram(
      'forkserver',
      (rf, t) => ({
        work(path: string) {
          require(path);
          t.report([(globalThis as { mark?: number }).mark, process.ppid, t.mp.parentProcess()?.pid]);
        },
      }),
      async (rf, t, { work }) => {
        process.env['MAIN'] = String(process.pid);
        (globalThis as { mark?: number }).mark = 1;
        t.mp.setForkserverPreload([t.args[0], 'node:path', '__main__']);
        for (let i = 0; i < 2; i++) {
          const child = new t.mp.Process({ target: work, args: [t.args[0]] });
          child.start();
          await child.join();
        }
        t.report(process.pid);
      },
      { args: [module] },
    );
    const [first, second, main] = run.reports;
    expect(run.output.match(/loading in .*/g)).toEqual(['loading in server']);
    expect(first).toEqual([null, expect.any(Number), main]);
    expect(second).toEqual(first);
    expect(first[1]).not.toBe(main);
  });

  test('a main module without a guard, preloaded: the server starts nothing, and each start says why', async () => {
    const file = join(folder, 'main.cjs');
    writeFileSync(
      file,
      `console.log('loaded');
       const mp = require(${mp});
       exports.work = () => console.log('never');
       mp.setForkserverPreload(['__main__']);
       const child = new (mp.getContext('forkserver').Process)({ target: exports.work });
       try { child.start(); }
       catch (error) {
         if (mp.parentProcess() !== null) throw error;
         console.log(error.code, error.cause.code);
       }`,
    );
    const output = 'loaded\nloaded\nERR_FORKSERVER_PRELOAD ERR_PROCESS_BOOTSTRAPPING\n';
    expect(await runNode([file])).toMatchObject({ stderr: '', output });
  });

  test('a preload that fails is an error of each start', async () => {
    writeFileSync(join(folder, 'bad.cjs'), 'throw new RangeError("bad module");');
    const run = await methodProgram(
      'forkserver',
      () => ({ work() {} }),
      async (rf, t, { work }) => {
        for (const name of [t.args[0], './missing.js', t.args[0]]) {
          t.mp.setForkserverPreload([name]);
          const child = new t.mp.Process({ target: work });
          const error = t.caught(() => child.start());
          t.report([error.code, child.pid]);
        }
        t.mp.setForkserverPreload([]);
        const child = new t.mp.Process({ target: work });
        child.start();
        await child.join();
        t.report(child.exitCode);
      },
      { args: [join(folder, 'bad.cjs')] },
    );
    const refused = ['ERR_FORKSERVER_PRELOAD', null];
    expect(run.reports).toEqual([refused, refused, refused, 0]);
  });

  test.each(['SIGINT', 'SIGKILL'] as const)(
    'a server that gets %s: its child goes on, and the next start works',
    async (signal) => {
      const run = await methodProgram(
        'forkserver',
        (_rf, _t) => ({
          work(go: { waitSync(): void }, done: { set(): void }, queue: { putSync(pid: number): void }) {
            queue.putSync(process.ppid);
            go.waitSync();
            done.set();
          },
        }),
        async (rf, t, { work }) => {
          const [go, done] = [new t.mp.Event(), new t.mp.Event()];
          const queue = new t.mp.Queue<number>();
          const first = new t.mp.Process({ target: work, args: [go, done, queue] });
          first.start();
          const server = await queue.get();
          process.kill(server, t.args[0]);
          if (t.args[0] === 'SIGKILL') await t.waitUntil(() => t.stat(server) === undefined, 'the end of the server');
          go.set();
          const second = new t.mp.Process({ target: work, args: [go, new t.mp.Event(), queue] });
          second.start();
          await second.join();
          t.report([done.waitSync(5000), second.exitCode, (await queue.get()) === server]);
          await first.join();
          t.report(first.exitCode);
        },
        { args: [signal] },
      );
      const same = signal === 'SIGINT';
      expect(run.reports).toEqual([[true, 0, same], same ? 0 : 255]);
    },
  );
});

test('a function is described by its module and export, and found again', async () => {
  const run = await script(
    `const { describeFunction, loadFunction } = require(${mp});
     const show = (fn) => { const d = describeFunction(fn); console.log(d && d.module.replace(__dirname, '.'), d && d.name, d && loadFunction(d) === fn); };
     exports.plain = () => {}; exports.Shape = class { static area() {} method() {} }; exports.tools = { inner() {} };
     Object.defineProperty(exports, 'door', { enumerable: true, get() { throw new Error('opened'); } });
     for (const fn of [exports.plain, exports.Shape, exports.Shape.area, exports.tools.inner]) show(fn);
     for (const fn of [require('node:path').join, setTimeout, Math.max, exports.Shape.prototype.method, () => {}]) show(fn);
     try { describeFunction(1); } catch (error) { console.log(error.code); }`,
  );
  expect(run.stderr).toBe('');
  expect(run.output.split('\n').slice(0, -1)).toEqual([
    './program.cjs plain true',
    './program.cjs Shape true',
    './program.cjs Shape.area true',
    './program.cjs tools.inner true',
    'node:path join true',
    ' setTimeout true',
    ' Math.max true',
    'undefined undefined undefined',
    'undefined undefined undefined',
    'ERR_INVALID_ARG_TYPE',
  ]);
});
