/** What a child of `Process` has of its parent's, what it has not, and what it is handed. */
import { cleanProgram, packageRoot, program, runNode, script } from '../helpers/program';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

test("the parent's servers and sockets are closed in the child, and go on in the parent", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const net = require('node:net') as typeof import('node:net');
    const dgram = require('node:dgram') as typeof import('node:dgram');
    const { Process } = t.mp;
    const { go } = t.pipes('go');
    const parent = process.pid;
    const server = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.end(process.pid === parent ? 'parent' : 'child');
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    const udp = dgram.createSocket('udp4', () => t.report(['message', process.pid === parent]));
    await new Promise<void>((resolve) => udp.bind(0, resolve));
    const unreferenced = net.createServer().listen(0).unref();
    const watcher = fs.watch('/tmp', () => {});
    const idle = net.createServer();
    const { port } = server.address() as import('node:net').AddressInfo;
    const accepted = new Promise<import('node:net').Socket>((resolve) => idle.once('connection', resolve));
    await new Promise<void>((resolve) => idle.listen(0, resolve));
    const connection = net.connect((idle.address() as import('node:net').AddressInfo).port);
    connection.on('data', (data) => t.report(['data', process.pid === parent, String(data)]));
    const other = await accepted;
    const sockets = () =>
      fs.readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return Number(fd) > 2 && /^socket:|inotify/.test(fs.readlinkSync(`/proc/self/fd/${fd}`));
        } catch {
          return false;
        }
      }).length;
    const before = sockets();
    const child = new Process({
      target: () => {
        const inotify = 1; // libuv makes its own anew
        t.report(['child', sockets() <= inotify]);
        fs.readSync(go.read, Buffer.alloc(1));
      },
    });
    child.start();
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch_(net, port)));
    t.report([before >= 6, answers.every((answer) => answer === 'parent')]);
    other.write('for the parent');
    udp.send('x', (udp.address() as import('node:net').AddressInfo).port);
    await new Promise((resolve) => connection.once('data', resolve));
    fs.writeSync(go.write, 'x');
    await child.join();
    // With the child alive the other end would not see this: the child would hold the connection open.
    const ended = new Promise((resolve) => other.once('end', resolve));
    other.resume();
    connection.destroy();
    await ended;
    for (const one of [server, unreferenced, idle, udp, watcher]) one.close();
    t.report(child.exitCode);

    function fetch_(net_: typeof net, port_: number): Promise<string> {
      return new Promise((resolve, reject) => {
        let text = '';
        const socket = net_.connect(port_);
        socket.on('data', (data) => (text += String(data)));
        socket.on('end', () => resolve(text));
        socket.on('error', reject);
      });
    }
  });
  expect(run.reports).toEqual(
    expect.arrayContaining([['child', true], [true, true], ['data', true, 'for the parent'], ['message', true], 0]),
  );
  expect(run.reports).toHaveLength(5);
});

test.each(['args', 'nested args', 'kwargs', 'a field of a subclass'])(
  'a listening server handed over in %s serves in the child',
  async (how) => {
    const run = await cleanProgram(
      async (rf, t) => {
        const net = require('node:net') as typeof import('node:net');
        const [how] = t.args as [string];
        const server = net.createServer();
        await new Promise<void>((resolve) => server.listen(0, resolve));
        const { port } = server.address() as import('node:net').AddressInfo;
        const serve = (given: import('node:net').Server) =>
          new Promise<void>((resolve) => {
            given.on('connection', (socket) => {
              socket.end(`served by ${process.pid}`);
              given.close();
              socket.on('close', () => resolve());
            });
          });
        class Server extends t.mp.Process {
          constructor(readonly server: import('node:net').Server) {
            super();
          }
          override run() {
            return serve(this.server);
          }
        }
        const child = {
          args: () => new t.mp.Process({ target: serve, args: [server] }),
          'nested args': () =>
            new t.mp.Process({
              target: (given: { deep: [typeof server] }) => serve(given.deep[0]),
              args: [{ deep: [server] }],
            }),
          kwargs: () =>
            new t.mp.Process({
              target: (options: { given: typeof server }) => serve(options.given),
              kwargs: { given: server },
            }),
          'a field of a subclass': () => new Server(server),
        }[how] as () => InstanceType<typeof t.mp.Process>;
        const process_ = child();
        process_.start();
        server.close(); // the child's copy goes on listening
        const text = await new Promise((resolve, reject) => {
          const socket = net.connect(port, '127.0.0.1');
          socket.on('data', (data) => resolve(String(data)));
          socket.on('error', reject);
        });
        await process_.join();
        t.report([text === `served by ${process_.pid}`, process_.exitCode]);
      },
      { args: [how] },
    );
    expect(run.reports).toEqual([[true, 0]]);
  },
);

test('an http server handed over serves with the handler it has', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const http = require('node:http') as typeof import('node:http');
    const server = http.createServer((request, response) => {
      response.setHeader('connection', 'close');
      response.end(`${request.url} by ${process.pid}`);
    });
    await new Promise<void>((resolve) => server.listen(0, resolve));
    const { port } = server.address() as import('node:net').AddressInfo;
    const child = new t.mp.Process({
      target: (given: unknown) => new Promise(() => void given),
      args: [server],
      daemon: true,
    });
    child.start();
    server.close();
    const text = await (await fetch(`http://127.0.0.1:${port}/path`)).text();
    t.report(text === `/path by ${child.pid}`);
  });
  expect(run.reports).toEqual([true]);
});

test('a socket handed over is used by the child; what the parent has queued on it is written once', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, resolve));
    const accepted = new Promise<import('node:net').Socket>((resolve) => server.once('connection', resolve));
    const client = net.connect((server.address() as import('node:net').AddressInfo).port);
    const socket = await accepted;
    server.close();
    client.pause();
    const big = 8_000_000;
    socket.write(Buffer.alloc(big, 'p')); // more than the kernel takes: queued
    const child = new t.mp.Process({
      target: async (given: import('node:net').Socket) => {
        await new Promise<void>((resolve) => given.once('data', () => resolve()));
        given.write('from the child');
        await new Promise<void>((resolve) => given.end(resolve));
      },
      args: [socket],
    });
    child.start();
    let total = 0;
    let rest = '';
    client.on('data', (data) => {
      total += data.length;
      if (total === big) {
        socket.destroy();
        client.write('the parent is done');
      }
      if (total > big) rest += String(data).replaceAll('p', '');
    });
    client.resume();
    await new Promise((resolve) => client.on('end', resolve));
    await child.join();
    t.report([total - big, rest, child.exitCode]);
  });
  expect(run.reports).toEqual([[14, 'from the child', 0]]);
});

test("what the parent has queued on stdout is written once, and the child's own output all", async () => {
  const run = await program(
    (rf, t) => {
      process.stdout.write('x'.repeat(1_000_000) + ';'); // more than a pipe holds
      const child = new t.mp.Process({
        target: () => {
          for (let i = 0; i < 10; i++) process.stdout.write('c'.repeat(100_000));
          console.log(';child');
        },
      });
      child.start();
      process.stdout.write('parent;');
    },
    { wrapper: ['sh', '-c', '"$0" "$@" | (sleep 0.2; cat)'] },
  );
  const count = (letter: string) => run.stdout.split(letter).length - 1;
  expect([count('x'), run.stdout.split('parent;').length, run.stdout.split(';child').length]).toEqual([
    1_000_000, 2, 2,
  ]);
  expect(count('c')).toBe(1_000_000 + 1);
});

test('standard input is empty in the child, and stays whole for the parent', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      let text = '';
      process.stdin.setEncoding('utf8');
      process.stdin.on('data', (data: string) => (text += data));
      await new Promise((resolve) => process.stdin.once('data', resolve));
      const child = new t.mp.Process({
        target: async () => {
          let mine = '';
          for await (const data of process.stdin) mine += String(data);
          t.report(['child', mine]);
        },
      });
      child.start();
      await child.join();
      if (!process.stdin.readableEnded) await new Promise((resolve) => process.stdin.once('end', resolve));
      t.report(['parent', text.length]);
    },
    { stdin: 'y'.repeat(300_000) },
  );
  expect(run.reports).toEqual([
    ['child', ''],
    ['parent', 300_000],
  ]);
});

test('signals have their default action in the child, and listeners of its own work', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { ready } = t.pipes('ready');
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGUSR2', 'SIGHUP'] as const)
      process.on(signal, () => t.report('parent'));
    process.on('exit', () => t.report('exit of the parent'));
    const start = (target: () => unknown) => {
      const child = new t.mp.Process({ target });
      child.start();
      fs.readSync(ready.read, Buffer.alloc(1));
      return child;
    };
    const told = () => fs.writeSync(ready.write, 'x');
    const plain = start(() => {
      told();
      return new Promise((resolve) => setTimeout(resolve, 100_000));
    });
    rf.kill(plain.pid as number, 'SIGHUP');
    await plain.join();
    const own = start(async () => {
      const got = new Promise((resolve) => process.once('SIGTERM', resolve));
      const alive = setInterval(() => {}, 1000);
      told();
      await got;
      clearInterval(alive);
      process.exitCode = 9;
    });
    own.terminate();
    await own.join();
    t.report([plain.exitCode, own.exitCode]);
  });
  expect(run.reports).toEqual([[-1, 9], 'exit of the parent']);
});

test('children of child_process are not disturbed, nor waited for by the child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { spawn, execFileSync } = require('node:child_process') as typeof import('node:child_process');
    const echo = spawn('sh', ['-c', 'read line; echo "got $line"; exit 5']);
    let text = '';
    echo.stdout.on('data', (data) => (text += String(data)));
    const closed = new Promise<number | null>((resolve) => echo.on('close', resolve));
    const child = new t.mp.Process({
      target: async () => {
        t.report(execFileSync('echo', ['in the child']).toString().trim());
        const own = spawn('sh', ['-c', 'exit 6']);
        t.report(await new Promise((resolve) => own.on('exit', resolve)));
      },
    });
    child.start();
    await child.join();
    echo.stdin.end('line\n');
    t.report([await closed, text.trim(), child.exitCode]);
  });
  expect(run.reports).toEqual(['in the child', 6, [5, 'got line', 0]]);
});

test('network, files, timers and Workers of its own work in the child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const http = require('node:http') as typeof import('node:http');
    // The parent has used all of it.
    const warm = http.createServer((_request, response) => response.end('warm'));
    await new Promise<void>((resolve) => warm.listen(0, resolve));
    await (await fetch(`http://127.0.0.1:${(warm.address() as import('node:net').AddressInfo).port}`)).text();
    await fs.promises.readFile(__filename);
    const child = new t.mp.Process({
      target: async () => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const server = http.createServer((_request, response) => response.end('own'));
        await new Promise<void>((resolve) => server.listen(0, resolve));
        const { port } = server.address() as import('node:net').AddressInfo;
        t.report(await (await fetch(`http://127.0.0.1:${port}`)).text());
        const worker = new Worker('require("node:worker_threads").parentPort.postMessage(42)', { eval: true });
        t.report(await new Promise((resolve) => worker.on('message', resolve)));
        const { lookup } = require('node:dns/promises') as typeof import('node:dns/promises');
        t.report((await lookup('localhost')).address.length > 0);
        t.report((await import('node:path')).sep);
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
    process.exit();
  });
  expect(run.reports).toEqual(['own', 42, true, '/', 0]);
});

test.each([
  ['node --inspect', ['--inspect=127.0.0.1:0'], ''],
  ['inspector.open', [], 'require("node:inspector").open(0, "127.0.0.1");'],
  [
    'a session of the program',
    [],
    'const session = new (require("node:inspector").Session)(); session.connect(); session.post("Debugger.enable");' +
      'session.post("Runtime.enable"); session.post("Profiler.enable"); session.post("Profiler.start");',
  ],
])('with a debugger attached, by %s', async (_how, nodeFlags, first) => {
  const run = await script(
    `${first}
    const { Process } = require(${JSON.stringify(`${packageRoot}/dist/multiprocessing.js`)});
    const { writeSync } = require('node:fs');
    const parent = process.pid;
    const mark = (what) => writeSync(1, '@report ' + JSON.stringify([process.pid === parent ? 'parent' : 'child', what]) + '\\n');
    const child = new Process({ target: async () => {
      mark('target'); await new Promise((resolve) => setTimeout(resolve, 10)); mark('end');
    } });
    setTimeout(async () => {
      try { child.start(); } finally { mark('finally'); }
      await child.join();
      mark(child.exitCode);
      process.exit();
    }, 1);`,
    { nodeFlags },
  );
  expect(run.reports.filter(([who]: [string]) => who === 'child')).toEqual([
    ['child', 'target'],
    ['child', 'end'],
  ]);
  expect(run.reports.filter(([who]: [string]) => who === 'parent')).toEqual([
    ['parent', 'finally'],
    ['parent', 0],
  ]);
  expect(run.code).toBe(0);
});

test('inside Jest: a process started in a test runs its target, and not the test runner', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-jest-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{}');
    writeFileSync(
      join(folder, 'in-jest.test.js'),
      `const { Process, currentProcess } = require(${JSON.stringify(`${packageRoot}/dist/multiprocessing.js`)});
      const fs = require('node:fs');
      const log = (line) => fs.appendFileSync(${JSON.stringify(join(folder, 'log'))}, line + '\\n');
      afterEach(() => log('afterEach ' + currentProcess().name));
      test('one', async () => {
        await null;
        const child = new Process({ target: async (text) => {
          log(text + ' ' + currentProcess().name);
          await new Promise((resolve) => setTimeout(resolve, 5));
          await new Promise((resolve) => setImmediate(resolve));
          process.exitCode = 4;
        }, args: ['target'] });
        child.start();
        await child.join();
        expect(child.exitCode).toBe(4);
      });
      test('two', () => {
        const child = new Process({ target: () => { throw new Error('of the child') } });
        child.start();
        child.joinSync();
        expect(child.exitCode).toBe(1);
      });`,
    );
    const jest = require.resolve('jest/bin/jest');
    const run = await runNode([jest, '--ci', '--runInBand', '--rootDir', folder], { cwd: folder, timeout: 60_000 });
    const log = (require('node:fs') as typeof import('node:fs')).readFileSync(join(folder, 'log'), 'utf8');
    expect([run.code, run.stderr.match(/Tests: .*/)?.[0]]).toEqual([0, 'Tests:       2 passed, 2 total']);
    expect(run.stderr).toContain('Process Process-2:\nError: of the child');
    expect(log).toBe('target Process-1\nafterEach MainProcess\nafterEach MainProcess\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 90_000);

test.each([
  ['node -e', ['-e'], undefined],
  ['a script on stdin', ['-'], 'stdin'],
])('D07 from %s, in another working directory', async (_how, args, stdin) => {
  const source = `const { Process } = require(${JSON.stringify(`${packageRoot}/dist/multiprocessing.js`)});
    const child = new Process({ target: () => console.log('child') });
    child.start();
    child.join().then(() => console.log('joined', child.exitCode));`;
  const run = await runNode([...args, ...(stdin === undefined ? [source] : [])], {
    cwd: tmpdir(),
    ...(stdin === undefined ? {} : { stdin: source }),
  });
  expect(run).toMatchObject({ code: 0, stdout: 'child\njoined 0\n', stderr: '' });
});

test("started in a 'beforeExit' listener the child runs; in an 'exit' listener it is an error", async () => {
  const run = await program((rf, t) => {
    let times = 0;
    process.on('beforeExit', () => {
      times += 1;
      if (times > 1) return;
      const child = new t.mp.Process({
        target: async () => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          t.report('child');
        },
      });
      child.start();
    });
    process.on('exit', () => {
      const child = new t.mp.Process({ target: () => t.report('never') });
      t.report(t.caught(() => child.start()));
    });
  });
  expect(run).toMatchObject({ code: 0, stderr: '' });
  expect(run.reports).toEqual(['child', { name: 'ProcessError', code: 'ERR_PROCESS_EXITING' }]);
});

test("the parent's FileHandles are collected in silence in the child, its own are not", async () => {
  const run = await program(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const { gc } = globalThis as unknown as { gc(): void };
      const collect = async () => {
        for (let i = 0; i < 4; i++) {
          gc();
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      const handle = await fs.promises.open(__filename);
      const child = new t.mp.Process({
        target: async () => {
          await collect();
          t.report('collected');
          process.on('uncaughtException', (error: NodeJS.ErrnoException) => t.report(['own', error.code]));
          process.on('warning', ({ message }) => t.report(['own', /garbage collection/.test(message)]));
          await fs.promises.open(__filename);
          await collect();
        },
      });
      child.start();
      await child.join();
      t.report(child.exitCode);
      await handle.close();
    },
    { nodeFlags: ['--expose-gc'] },
  );
  expect(run.stderr.split('Closing file descriptor').length).toBeLessThanOrEqual(2); // its own
  expect(run.reports).toEqual(['collected', ['own', expect.anything()], 0]);
});

test('the async local storage of the start is there in the target', async () => {
  const run = await cleanProgram((rf, t) => {
    const { AsyncLocalStorage } = require('node:async_hooks') as typeof import('node:async_hooks');
    const storage = new AsyncLocalStorage<string>();
    const child = new t.mp.Process({
      target: async () => {
        t.report(storage.getStore());
        await new Promise((resolve) => setTimeout(resolve, 1));
        t.report(storage.getStore());
      },
    });
    storage.run('kept', () => child.start());
    t.report(storage.getStore() ?? 'none');
    child.joinSync();
  });
  expect([...run.reports].sort()).toEqual(['kept', 'kept', 'none']);
});

test('hundreds of processes one after the other leave nothing behind', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const descriptors = () => fs.readdirSync('/proc/self/fd').length;
      const start = async (rounds: number) => {
        for (let i = 0; i < rounds; i++) {
          const child = new t.mp.Process({ target: () => process.exit(i % 256) });
          child.start();
          if (i % 3 === 0) child.joinSync();
          else await child.join();
          if (child.exitCode !== i % 256) throw new Error(`round ${i}: ${child.exitCode}`);
        }
        await new Promise((resolve) => setImmediate(resolve));
      };
      await start(20);
      const before = descriptors();
      await start(t.args[0] as number);
      t.report([descriptors() - before, t.mp.activeChildren().length]);
    },
    { args: [300], timeout: 120_000 },
  );
  expect(run.reports).toEqual([[0, 0]]);
}, 150_000);
