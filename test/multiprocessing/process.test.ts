/** `Process`: acceptance section P, and the rest of CPython's _TestProcess and _TestSubclassingProcess. */
import { join } from 'node:path';
import type { Connection } from '../../dist/multiprocessing';
import { methodProgram, startMethods } from '../helpers/method-program';
import { cleanProgram, packageRoot, program } from '../helpers/program';

test('P01 a process with args, kwargs and a name: before, while and after it runs', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process, activeChildren, currentProcess } = t.mp;
    const { ready, go } = t.pipes('ready', 'go');
    const fs = require('node:fs') as typeof import('node:fs');
    const parent = currentProcess();
    const child = new Process({
      target: (first: number, second: number, options: object) => {
        const me = currentProcess();
        t.report({
          first,
          second,
          options,
          name: me.name,
          pid: me.pid === process.pid,
          key: me.authkey.toString('hex'),
        });
        fs.writeSync(ready.write, 'x');
        fs.readSync(go.read, Buffer.alloc(1));
      },
      args: [1, 2],
      kwargs: { hello: 23, bye: 2.54 },
      name: 'SomeProcess',
      daemon: true,
    });
    const state = () => [child.isAlive(), child.exitCode, activeChildren().includes(child), child.daemon];
    t.report({
      before: state(),
      pid: child.pid,
      key: parent.authkey.toString('hex'),
      same: child.authkey.equals(parent.authkey),
      unnamed: new Process({ name: '' }).name,
    });
    child.start();
    fs.readSync(ready.read, Buffer.alloc(1));
    t.report({ running: state(), pid: child.pid === child.ident && (child.pid as number) > 0 });
    fs.writeSync(go.write, 'x');
    await child.join();
    t.report({ after: state() });
  });
  const [before, child, running, after] = run.reports;
  expect(before).toMatchObject({ before: [false, null, false, true], pid: null, same: true, unnamed: 'Process-2' });
  expect(child).toEqual({
    first: 1,
    second: 2,
    options: { hello: 23, bye: 2.54 },
    name: 'SomeProcess',
    pid: true,
    key: before.key,
  });
  expect(running).toEqual({ running: [true, null, true, true], pid: true });
  expect(after).toEqual({ after: [false, 0, false, true] });
});

test('P02 the main process knows itself, and a child its parent', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process, currentProcess, parentProcess } = t.mp;
    const main = currentProcess();
    t.report([main.isAlive(), main.daemon, main.pid === process.pid, main.exitCode, main.name, parentProcess()]);
    t.report(String(main).replace(/\d+/, 'N'));
    const child = new Process({
      target: () => {
        const parent = parentProcess();
        t.report([parent?.pid === process.ppid, parent?.name, parent?.isAlive(), currentProcess() === child]);
      },
    });
    child.start();
    await child.join();
  });
  expect(run.reports).toEqual([
    [true, false, true, null, 'MainProcess', null],
    "<MainProcess name='MainProcess' pid=N parent=None started>",
    [true, 'MainProcess', true, true],
  ]);
});

test('a grandchild notices the end of its parent, which did not wait for it', async () => {
  const run = await program(async (rf, t) => {
    const { Process, parentProcess } = t.mp;
    const { end } = t.pipes('end');
    const child = new Process({
      target: () => {
        const grandchild = new Process({
          target: async () => {
            const parent = parentProcess() as NonNullable<ReturnType<typeof parentProcess>>;
            await parent.join(20);
            parent.joinSync(20);
            t.report(['timeout', parent.isAlive()]);
            (require('node:fs') as typeof import('node:fs')).writeSync(end.write, 'x');
            await parent.join();
            t.report(['ended', parent.isAlive()]);
          },
        });
        grandchild.start();
        (require('node:fs') as typeof import('node:fs')).readSync(end.read, Buffer.alloc(1));
        rf.kill(process.pid, 'SIGKILL');
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual(expect.arrayContaining([['timeout', true], -9, ['ended', false]]));
});

test('joinSync waits for the end of the parent', async () => {
  const run = await program(async (rf, t) => {
    const { Process, parentProcess } = t.mp;
    const child = new Process({
      target: () => {
        const grandchild = new Process({
          target: () => {
            const parent = parentProcess() as NonNullable<ReturnType<typeof parentProcess>>;
            parent.joinSync();
            t.report(['ended', parent.isAlive(), parent.ident === parent.pid]);
          },
        });
        grandchild.start();
        rf.kill(process.pid, 'SIGKILL');
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual(expect.arrayContaining([-9, ['ended', false, true]]));
});

test('P04 daemon: inherited, given, and not to be set after the start', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process } = t.mp;
    const plain = new Process({ target: () => {} });
    t.report([plain.daemon, new Process({ daemon: true }).daemon, new Process({ daemon: false }).daemon]);
    const daemon = new Process({
      target: () => {
        const child = new Process({ target: () => {} });
        t.report(['in a daemon', child.daemon, t.caught(() => child.start())]);
      },
    });
    daemon.daemon = true;
    daemon.start();
    t.report(t.caught(() => (daemon.daemon = false)));
    await daemon.join();
    t.report(daemon.exitCode);
  });
  expect(run.reports[0]).toEqual([false, true, false]);
  expect(run.reports.slice(1)).toEqual(
    expect.arrayContaining([
      { name: 'ProcessError', code: 'ERR_PROCESS_STARTED' },
      ['in a daemon', true, { name: 'ProcessError', code: 'ERR_PROCESS_DAEMONIC' }],
      0,
    ]),
  );
});

test.each([
  ['at the end of the script', 0, ''],
  ['at process.exit(3)', 3, ''],
  ['after an uncaught error', 1, 'Error: not caught'],
])('P05 %s children are waited for, daemonic ones ended', async (how, code, stderr) => {
  const run = await program(
    (rf, t) => {
      const { Process } = t.mp;
      const fs = require('node:fs') as typeof import('node:fs');
      const [how] = t.args as [string];
      const { ready } = t.pipes('ready');
      const daemon = new Process({
        target: async () => {
          fs.writeSync(ready.write, 'x');
          await new Promise((resolve) => setTimeout(resolve, 100_000));
          t.report('the daemon went on');
        },
        daemon: true,
      });
      daemon.start();
      const child = new Process({
        target: async () => {
          await new Promise((resolve) => setTimeout(resolve, 300));
          process.stdout.write('late output\n');
        },
      });
      child.start();
      fs.readSync(ready.read, Buffer.alloc(1));
      process.on('exit', (code) => t.report(['exit', code, process.pid === process.ppid]));
      if (how === 'at process.exit(3)') process.exit(3);
      if (how === 'after an uncaught error') throw new Error('not caught');
    },
    { args: [how], grace: 0 },
  );
  expect(run.output).toContain('late output');
  expect(run.code).toBe(code);
  expect(run.stderr).toContain(stderr);
  expect(run.reports).toEqual([['exit', code, false]]);
});

test.each(startMethods)(
  'P05 daemonic children are ended at the end of the script, not at that of the others, which the loop goes on for (%s)',
  async (method) => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        daemon: (ready: Connection) => {
          ready.sendSync(true);
          rf.sleepSync(20_000);
          t.report('the daemon went on');
        },
        // Waits for the end of the daemon, of which it is told by the parent's loop, and answers to it.
        other: async (parent: Connection, ready: Connection) => {
          ready.sendSync(true);
          t.report(await parent.recv());
          parent.sendSync('goodbye');
        },
      }),
      async (_rf, t, { daemon, other }) => {
        const { Pipe, Process } = t.mp;
        const [ready, started] = Pipe();
        const [mine, theirs] = Pipe();
        const processes = [
          new Process({ target: daemon, args: [started], daemon: true }),
          new Process({ target: other, args: [theirs, started] }),
        ];
        for (const process of processes) process.start();
        ready.recvSync();
        ready.recvSync();
        process.on('beforeExit', () => {
          t.report(['beforeExit', processes[1]?.exitCode]);
          if (processes[1]?.exitCode !== null) return;
          // The loop goes on by itself: a timer that does not keep it alive runs.
          const look = setInterval(() => {
            if (processes[0]?.exitCode === null) return;
            clearInterval(look);
            t.report(processes[0]?.exitCode);
            mine.sendSync('hello');
            mine.recv().then(t.report, t.report);
          }, 5).unref();
        });
        process.on('exit', () => t.report('exit'));
      },
    );
    const inner = run.reports.slice(2, -2);
    expect(run.reports).toEqual([['beforeExit', null], -15, ...inner, ['beforeExit', 0], 'exit']);
    expect(inner.sort()).toEqual(['goodbye', 'hello']);
  },
);

test('a pool at work and a child beside it: the end of the script leaves the workers to their pool', async () => {
  const run = await cleanProgram((rf, t) => {
    const { Pool, Process } = t.mp;
    const pool = new Pool(2);
    new Process({ target: () => rf.sleepSync(200) }).start();
    void pool.map((x: number) => x, [1, 2, 3]);
    process.on('exit', () => t.report(pool.stats().forked));
  });
  expect(run.reports).toEqual([2]);
});

test('P07 join(0) and join(-1) return at once; terminate gives -15, kill -9; both are harmless afterwards', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process } = t.mp;
    const forever = () => new Promise((resolve) => setTimeout(resolve, 100_000));
    for (const end of ['terminate', 'kill'] as const) {
      const child = new Process({ target: forever });
      child.start();
      const started = performance.now();
      await child.join(0);
      await child.join(-1);
      child.joinSync(0);
      child.joinSync(-1);
      t.report([child.isAlive(), child.exitCode, performance.now() - started < 1000]);
      await child.join(50);
      const alive = child.isAlive();
      child.joinSync(50);
      t.report([alive, child.isAlive(), performance.now() - started >= 99]);
      child[end]();
      if (end === 'kill') child.joinSync();
      else await child.join();
      t.report([child.isAlive(), child.exitCode]);
      child.terminate();
      child.kill();
      t.report(String(child).replace(/\d\d+/g, 'N'));
    }
  });
  expect(run.reports).toEqual([
    [true, null, true],
    [true, true, true],
    [false, -15],
    "<Process name='Process-1' pid=N parent=N stopped exitcode=-SIGTERM>",
    [true, null, true],
    [true, true, true],
    [false, -9],
    "<Process name='Process-2' pid=N parent=N stopped exitcode=-SIGKILL>",
  ]);
});

test('P08 activeChildren and isAlive reap, without a join and without the loop', async () => {
  const run = await cleanProgram((rf, t) => {
    const { Process, activeChildren } = t.mp;
    const fs = require('node:fs') as typeof import('node:fs');
    const { go } = t.pipes('go');
    const end = (code: number) => {
      fs.readSync(go.read, Buffer.alloc(1));
      process.exit(code);
    };
    const children = [0, 1].map((code) => new Process({ target: end, args: [code] }));
    for (const child of children) child.start();
    t.report(activeChildren().length);
    fs.writeSync(go.write, 'xx');
    const pids = children.map((child) => child.pid as number);
    // A process has ended with the last of its threads, which may be some time after the first.
    const threads = (pid: number) => Number(t.stat(pid)?.[17]);
    while (pids.some((pid) => t.stat(pid)?.[0] !== 'Z' || threads(pid) > 1)) rf.sleepSync(1);
    t.report(children[1]?.isAlive());
    t.report([pids.map((pid) => t.stat(pid)?.[0] ?? 'gone'), activeChildren().length]);
    t.report([pids.map((pid) => t.stat(pid)?.[0] ?? 'gone'), children.map(({ exitCode }) => exitCode)]);
  });
  expect(run.reports).toEqual([
    2,
    false,
    [['Z', 'gone'], 0],
    [
      ['gone', 'gone'],
      [0, 1],
    ],
  ]);
});

test('P08 processes start processes, two levels deep', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process, currentProcess } = t.mp;
    const recurse = async (id: number[]) => {
      t.report([id, currentProcess().name]);
      if (id.length >= 2) return;
      for (let i = 0; i < 2; i++) {
        const child = new Process({ target: recurse, args: [[...id, i]] });
        child.start();
        await child.join();
      }
    };
    await recurse([]);
  });
  expect(run.reports).toEqual([
    [[], 'MainProcess'],
    [[0], 'Process-1'],
    [[0, 0], 'Process-1:1'],
    [[0, 1], 'Process-1:2'],
    [[1], 'Process-2'],
    [[1, 0], 'Process-2:1'],
    [[1, 1], 'Process-2:2'],
  ]);
});

test('the sentinel is readable when the process has ended, and not before', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { Process } = t.mp;
    const { go } = t.pipes('go');
    const child = new Process({ target: () => void fs.readSync(go.read, Buffer.alloc(1)) });
    t.report(t.caught(() => child.sentinel));
    child.start();
    const { sentinel } = child;
    const poll = (fd: number) => {
      const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
      const code = 'import select,sys; p=select.poll(); p.register(3, select.POLLIN); sys.exit(len(p.poll(0)))';
      return spawnSync('python3', ['-c', code], { stdio: ['ignore', 'inherit', 'inherit', fd] }).status;
    };
    t.report([typeof sentinel, child.sentinel === sentinel, poll(sentinel)]);
    fs.writeSync(go.write, 'x');
    child.joinSync();
    t.report(poll(sentinel));
    child.close();
    const late = new Process({ target: () => {} });
    late.start();
    late.joinSync();
    t.report(poll(late.sentinel));
    late.close();
  });
  expect(run.reports).toEqual([{ name: 'ProcessError', code: 'ERR_PROCESS_NOT_STARTED' }, ['number', true, 0], 1, 1]);
});

test('close: not while it runs; afterwards nothing works, but closing', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process } = t.mp;
    const child = new Process({ target: () => new Promise((resolve) => setTimeout(resolve, 100_000)) });
    child.start();
    t.report(t.caught(() => child.close()));
    child.terminate();
    await child.join();
    t.report(child.exitCode);
    child.close();
    child.close();
    t.report([
      t.caught(() => child.isAlive()),
      t.caught(() => child.joinSync()),
      t.caught(() => child.terminate()),
      t.caught(() => child.exitCode),
      t.caught(() => child.pid),
      t.caught(() => child.sentinel),
      t.caught(() => child.start()),
    ]);
    await child.join().catch((error: NodeJS.ErrnoException) => t.report(error.code));
    t.report(String(child).replace(/\d\d+/g, 'N'));
  });
  const closed = { name: 'ProcessError', code: 'ERR_PROCESS_CLOSED' };
  expect(run.reports).toEqual([
    { name: 'ProcessError', code: 'ERR_PROCESS_RUNNING' },
    -15,
    Array.from({ length: 7 }, () => closed),
    'ERR_PROCESS_CLOSED',
    "<Process name='Process-1' parent=N closed>",
  ]);
});

test('P11 100 short children end with 0, and 100 terminated right after the start with -15', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { Process } = t.mp;
      const tally = (children: InstanceType<typeof Process>[]) => {
        const counts: Record<string, number> = {};
        for (const { exitCode } of children) counts[String(exitCode)] = (counts[String(exitCode)] ?? 0) + 1;
        return counts;
      };
      process.on('SIGTERM', () => t.report('a listener of the parent')); // not inherited
      const start = (target: () => unknown) =>
        Array.from({ length: 100 }, () => {
          const child = new Process({ target });
          child.start();
          return child;
        });
      const short = start(() => {});
      for (const child of short) await child.join();
      t.report(tally(short));
      const sleeping = start(() => new Promise((resolve) => setTimeout(resolve, 100_000)));
      for (const child of sleeping) child.terminate();
      for (const child of sleeping) await child.join();
      t.report(tally(sleeping));
    },
    { timeout: 60_000 },
  );
  expect(run.reports).toEqual([{ 0: 100 }, { '-15': 100 }]);
}, 90_000);

test('a started process keeps neither its target nor its arguments alive in the parent', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { Process } = t.mp;
      const child = new Process();
      const references = (() => {
        const target = (data: object) => t.report(typeof data);
        const data = { big: true };
        Object.assign(child, {}); // a plain subclass field would be kept, as in Python
        const other = new Process({ target, args: [data], kwargs: data });
        other.start();
        return { other, target: new WeakRef(target), data: new WeakRef(data) };
      })();
      await references.other.join();
      await new Promise((resolve) => setTimeout(resolve, 10));
      (globalThis as unknown as { gc(): void }).gc();
      t.report([references.target.deref() === undefined, references.data.deref() === undefined]);
    },
    { nodeFlags: ['--expose-gc'] },
  );
  expect(run.reports).toEqual(['object', [true, true]]);
});

test('children have no descriptors of their siblings', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { Process } = t.mp;
    const { go } = t.pipes('go');
    const count = () => {
      t.report(fs.readdirSync('/proc/self/fd').length);
      fs.readSync(go.read, Buffer.alloc(1));
    };
    const children = Array.from({ length: 5 }, () => new Process({ target: count }));
    for (const child of children) {
      child.start();
      if (child.sentinel < 0) throw new Error('no sentinel');
    }
    fs.writeSync(go.write, 'xxxxx');
    for (const child of children) await child.join();
  });
  expect(run.reports).toHaveLength(5);
  expect(new Set(run.reports).size).toBe(1);
});

test('what a target leaves to the loop is done before the child ends; what keeps no loop alive is not', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process } = t.mp;
    const child = new Process({
      target: () => {
        setTimeout(() => t.report('timer'), 30);
        setTimeout(() => t.report('unreferenced'), 100_000).unref();
        let ticks = 0;
        const interval = setInterval(() => {
          ticks += 1;
          if (ticks === 3) clearInterval(interval);
          if (ticks === 3) t.report('interval');
        }, 5);
        process.on('exit', (code) => t.report(['exit', code]));
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports.slice(0, 2).sort()).toEqual(['interval', 'timer']);
  expect(run.reports.slice(2)).toEqual([['exit', 0], 0]);
});

test('a child waits for its Worker, and not for one that is unreferenced', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process } = t.mp;
    const child = new Process({
      target: () => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const worker = new Worker('setTimeout(() => require("node:worker_threads").parentPort.postMessage(1), 50)', {
          eval: true,
        });
        worker.on('message', () => t.report('message'));
        new Worker('setInterval(() => {}, 1000)', { eval: true }).unref();
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual(['message', 0]);
});

test.each([
  ['a promise ends the child when it settles', 'async () => { setInterval(() => {}, 1000) }', 0],
  ['an idle child ends by itself', '() => new Promise(() => {})', 0],
  ['process.exit(n) gives n', '() => process.exit(7)', 7],
  ['process.exit(n) after an await gives n', 'async () => { await null; process.exit(300) }', 44],
  ['process.exitCode counts', '() => { process.exitCode = 5 }', 5],
  ['process.exitCode counts, with a promise', 'async () => { await null; process.exitCode = 6 }', 6],
  [
    "a 'beforeExit' listener may have more to do",
    '() => process.once("beforeExit", () => setTimeout(() => (process.exitCode = 4), 1))',
    4,
  ],
  ["an 'exit' listener of the child has the last word", '() => process.on("exit", () => process.exitCode = 9)', 9],
  ['abort', '() => process.abort()', -6],
])('%s', async (_what, target, code) => {
  const run = await program(
    async (rf, t) => {
      const child = new t.mp.Process({ target: eval(t.args[0]) as () => unknown });
      process.exitCode = 0;
      child.start();
      await child.join();
      t.report(child.exitCode);
    },
    { args: [target] },
  );
  expect(run.reports).toEqual([code]);
});

test.each([
  ['stdout', 1],
  ['stderr', 2],
])('P15 %s closed, before the start or by the child: the target runs and the child ends with 0', async (_name, fd) => {
  const run = await cleanProgram(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const { Process } = t.mp;
      const [fd] = t.args as [number];
      const { told } = t.pipes('told');
      const copy = rf.dup(fd);
      const target = (close: boolean) => {
        if (close) fs.closeSync(fd);
        fs.writeSync(told.write, 'x');
      };
      const inChild = new Process({ target, args: [true] });
      inChild.start();
      await inChild.join();
      fs.closeSync(fd);
      const before = new Process({ target, args: [false] });
      before.start();
      await before.join();
      rf.dup2(copy, fd);
      fs.writeSync(told.write, '.');
      t.report([inChild.exitCode, before.exitCode, fs.readSync(told.read, Buffer.alloc(9))]);
    },
    { args: [fd] },
  );
  expect(run.reports).toEqual([[0, 0, 3]]);
});

test('P16 a subclass with its own run() and pipes serves requests and stops on request', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { Process } = t.mp;
    class UpperCaser extends Process {
      readonly requests = rf.pipe();
      readonly answers = rf.pipe();
      override run() {
        for (const buffer = Buffer.alloc(100); ;) {
          const text = buffer.toString('utf8', 0, fs.readSync(this.requests[0], buffer));
          if (text === 'stop') return;
          fs.writeSync(this.answers[1], text.toUpperCase());
        }
      }
      submit(text: string) {
        fs.writeSync(this.requests[1], text);
        const buffer = Buffer.alloc(100);
        return buffer.toString('utf8', 0, fs.readSync(this.answers[0], buffer));
      }
      stop() {
        fs.writeSync(this.requests[1], 'stop');
      }
    }
    const uppercaser = new UpperCaser();
    uppercaser.daemon = true;
    uppercaser.start();
    t.report([uppercaser.name, uppercaser.submit('hello'), uppercaser.submit('world')]);
    uppercaser.stop();
    await uppercaser.join();
    t.report(uppercaser.exitCode);
  });
  expect(run.reports).toEqual([['UpperCaser-1', 'HELLO', 'WORLD'], 0]);
});

test.each([
  ['a function that throws', '() => { null.x }'],
  ['a promise that rejects', 'async () => { await null; null.x }'],
  ['a timer of the child', '() => { setTimeout(() => { null.x }, 1) }'],
  ['a rejection nobody handles', '() => { void Promise.resolve().then(() => null.x) }'],
])(
  'P17 %s: exit code 1, the name, the error and its stack on stderr, be it a pipe or a file',
  async (_what, target) => {
    for (const wrapper of [
      [],
      ['sh', '-c', 'err=$(mktemp); "$0" "$@" 2> $err; code=$?; cat $err >&2; rm $err; exit $code'],
    ]) {
      const run = await program(
        async (rf, t) => {
          const child = new t.mp.Process({ target: eval(t.args[0]) as () => unknown, name: 'Failing' });
          child.start();
          await child.join();
          t.report(child.exitCode);
        },
        { args: [target], wrapper },
      );
      expect(run.reports).toEqual([1]);
      expect(run.code).toBe(0);
      expect(run.stderr).toMatch(/^Process Failing:\n/);
      expect(run.stderr).toContain("TypeError: Cannot read properties of null (reading 'x')\n    at ");
    }
  },
);

test('P17 an error shows its cause and its properties', async () => {
  const run = await program((rf, t) => {
    const child = new t.mp.Process({
      target: () => {
        throw Object.assign(new RangeError('outer', { cause: new Error('inner') }), { code: 'E_OUTER' });
      },
    });
    child.start();
  });
  expect(run.code).toBe(0);
  expect(run.stderr).toMatch(/^Process Process-1:\nRangeError: outer\n\s+at /);
  expect(run.stderr).toContain('[cause]: Error: inner\n');
  expect(run.stderr).toContain("code: 'E_OUTER'");
});

test('P18 misuse throws at once', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process, currentProcess } = t.mp;
    const fresh = new Process({ target: () => {} });
    const rejected = (promise: Promise<unknown>) => promise.then(String, (error: NodeJS.ErrnoException) => error.code);
    const code = (call: () => unknown) => t.caught(call).code;
    t.report([
      await rejected(fresh.join()),
      code(() => fresh.joinSync()),
      code(() => fresh.terminate()),
      code(() => fresh.kill()),
    ]);
    fresh.start();
    t.report(code(() => fresh.start()));
    await fresh.join();
    t.report([
      code(() => fresh.start()),
      await rejected(currentProcess().join()),
      code(() => currentProcess().joinSync()),
    ]);
    const unstarted = new Process({ target: () => {} });
    const running = new Process({ target: () => new Promise((resolve) => setTimeout(resolve, 100_000)), daemon: true });
    running.start();
    const other = new Process({
      target: async () => {
        t.report([
          code(() => unstarted.start()),
          code(() => running.joinSync()),
          await rejected(running.join()),
          code(() => running.isAlive()),
          code(() => running.terminate()),
          await rejected(currentProcess().join()),
          code(() => currentProcess().start()),
          running.exitCode,
        ]);
        t.report(/ unknown( daemon)?>$/.test(String(running)));
        t.report((require('node:util') as typeof import('node:util')).inspect(running) === String(running));
      },
    });
    other.start();
    await other.join();
    t.report([
      t.caught(() => new Process({ target: 5 as never })),
      t.caught(() => new Process({ args: 5 as never })),
      t.caught(() => new Process({ kwargs: [] })),
      t.caught(() => new Process({ name: 5 as never })),
      t.caught(() => new Process({ daemon: 1 as never })),
      t.caught(() => new Process(5 as never)),
      t.caught(() => running.joinSync('1' as never)),
      t.caught(() => running.joinSync(NaN)),
    ]);
  });
  const notCreator = 'ERR_PROCESS_NOT_CREATOR';
  const notStarted = 'ERR_PROCESS_NOT_STARTED';
  const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  expect(run.reports).toEqual([
    [notStarted, notStarted, notStarted, notStarted],
    'ERR_PROCESS_STARTED',
    ['ERR_PROCESS_STARTED', notCreator, notCreator],
    [notCreator, notCreator, notCreator, notCreator, notCreator, notCreator, 'ERR_PROCESS_STARTED', null],
    true,
    true,
    [type, type, type, type, type, type, type, { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }],
  ]);
});

test('P18 in a Worker start() is refused as fork() is, by each start method, and so is a pool', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const work = async (path: string) => {
        const { parentPort } = require('node:worker_threads') as typeof import('node:worker_threads');
        const { getContext, Pool } = require(path) as typeof t.mp;
        const codes: unknown[] = [];
        for (const method of ['fork', 'spawn', 'forkserver'] as const) {
          try {
            new (getContext(method).Process)({ target: console.log }).start();
          } catch (error) {
            codes.push((error as { code: string }).code);
          }
        }
        try {
          new Pool(1);
        } catch (error) {
          codes.push((error as { code: string }).code);
        }
        await new Promise((resolve) => setTimeout(resolve, 50)); // nothing comes of it later
        parentPort?.postMessage(codes);
      };
      const path = require.resolve(t.args[0] as string);
      const worker = new Worker(`(${work.toString()})(${JSON.stringify(path)})`, { eval: true });
      const [codes] = (await (require('node:events') as typeof import('node:events')).once(worker, 'message')) as [
        unknown,
      ];
      t.report(codes);
    },
    { args: [join(packageRoot, 'dist', 'multiprocessing.js')] },
  );
  expect(run.reports).toEqual([Array(4).fill('ERR_FORK_IN_WORKER')]);
});

test('P24 anything is a target or an argument: nothing is serialised', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { Process } = t.mp;
    class Counter {
      #count = 40;
      constructor(private readonly step: number) {}
      add = (n: number) => (this.#count += n * this.step);
      method(symbol: symbol, map: Map<object, string>, key: object, fd: number, weak: WeakMap<object, string>) {
        t.report([String(symbol), map.get(key), weak.get(key), this.#count, fs.fstatSync(fd).isFile()]);
      }
    }
    const counter = new Counter(2);
    const key = {};
    const fd = fs.openSync(__filename, 'r');
    const run = async (target: (...args: never[]) => unknown, args: unknown[] = []) => {
      const child = new Process({ target, args });
      child.start();
      await child.join();
      t.report(child.exitCode);
    };
    await run(counter.method.bind(counter), [
      Symbol('s'),
      new Map([[key, 'value']]),
      key,
      fd,
      new WeakMap([[key, 'weak']]),
    ]);
    await run(() => t.report(counter.add(1)));
    await run(async (promise: Promise<number>) => t.report(await promise), [Promise.resolve(5)]);
    await run(function* () {} as never);
    const child = new Process({ target: (...args: unknown[]) => t.report(args), args: new Set([1, 2]), kwargs: {} });
    child.start();
    await child.join();
    t.report(counter.add(0));
  });
  expect(run.reports).toEqual([['Symbol(s)', 'value', 'weak', 40, true], 0, 42, 0, 5, 0, 0, [1, 2, {}], 40]);
});

test('P25 start methods, contexts and the count of CPUs', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { mp } = t;
    t.report([mp.getAllStartMethods(), mp.getStartMethod({ allowNone: true })]);
    t.report([
      t.caught(() => mp.getContext('unknown' as never)),
      t.caught(() => mp.setStartMethod('unknown' as never)),
    ]);
    const fork = mp.getContext('fork');
    t.report([
      fork.getStartMethod(),
      t.caught(() => fork.setStartMethod('spawn')),
      t.caught(() => fork.setStartMethod(null)),
    ]);
    t.report([
      mp.getContext('fork') === fork,
      fork.getContext() === fork,
      mp.getContext().getStartMethod({ allowNone: true }),
    ]);
    mp.setStartMethod('fork');
    t.report([t.caught(() => mp.setStartMethod('fork')), mp.getStartMethod(), mp.getContext().getStartMethod()]);
    mp.setStartMethod(null, { force: true });
    t.report([mp.getStartMethod({ allowNone: true }), mp.getStartMethod(), mp.getStartMethod({ allowNone: true })]);
    t.report([Number.isInteger(mp.cpuCount()), mp.cpuCount() >= 1, fork.cpuCount() === mp.cpuCount()]);
    const child = new fork.Process({ target: () => t.report(mp.currentProcess().name) });
    child.start();
    await child.join();
    t.report([child instanceof mp.Process, child.exitCode]);
  });
  const value = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
  const set = { name: 'ProcessError', code: 'ERR_START_METHOD_SET' };
  expect(run.reports).toEqual([
    [['fork', 'spawn', 'forkserver'], null],
    [value, value],
    ['fork', set, set],
    [true, true, null],
    [set, 'fork', 'fork'],
    [null, 'fork', 'fork'],
    [true, true, true],
    'ForkProcess-1',
    [true, 0],
  ]);
});

test('the log says what happens, on stderr when asked for', async () => {
  const run = await program(async (rf, t) => {
    const { Process, getLogger, logToStderr } = t.mp;
    t.report(getLogger() === logToStderr('INFO'));
    getLogger().warning('from', 'the parent');
    getLogger().debug('not shown');
    const child = new Process({ target: () => getLogger().info('from', { the: 'child' }) });
    child.start();
    await child.join();
  });
  expect(run.reports).toEqual([true]);
  expect(run.stderr).toContain('[WARNING/MainProcess] from the parent\n');
  expect(run.stderr).toContain("[INFO/Process-1] from { the: 'child' }\n");
  expect(run.stderr).not.toContain('not shown');
});

test('a waitpidAsync for any child, and a Reaper, leave the status to the Process', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Process } = t.mp;
    const reaper = new rf.Reaper().start();
    const child = new Process({ target: () => process.exit(7) });
    child.start();
    const pid = rf.fork();
    if (pid === 0) process.exit(3);
    const { pid: found, status } = await rf.waitpidAsync(-1);
    t.report([found === pid, rf.WEXITSTATUS(status)]);
    await child.join();
    t.report(child.exitCode);
    reaper.stop();
  });
  expect(run.reports).toEqual([[true, 3], 7]);
});
