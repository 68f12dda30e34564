/** prefork(): loading once, serving from every worker, and what is told of it. */
import { cleanProgram, program } from '../helpers/program';

test('the application is loaded once, in a process of its own, and every worker serves it', async () => {
  const run = await cleanProgram(async (rf, t) => {
    let loads = 0;
    const server = await t.prefork({
      workers: 3,
      host: '127.0.0.1',
      load: async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        t.report({ loaded: (loads += 1), inMaster: process.pid === process.ppid });
        return { loader: process.pid, answers: 0 };
      },
      serve: (app, worker) =>
        require('node:http').createServer((_request: unknown, response: import('node:http').ServerResponse) => {
          app.answers += 1;
          response.end(JSON.stringify({ ...app, pid: process.pid, ppid: process.ppid, id: worker.id }));
        }),
    });
    type Answer = { loader: number; answers: number; pid: number; ppid: number; id: number };
    const answers: Answer[] = [];
    const seen = () => new Set(answers.map(({ pid }) => pid)).size;
    while (seen() < 3) answers.push(await t.http.askJson<Answer>(server.address));
    const [first] = answers as [Answer];
    t.report({
      loads,
      oneLoader: answers.every(({ loader, ppid }) => loader === first.loader && ppid === loader),
      notTheMaster: first.loader !== process.pid,
      ids: [...new Set(answers.map(({ id }) => id))].sort(),
      // Each worker counts for itself: what they share is what they have not written to.
      counts: answers.every((answer, index) => {
        const before = answers.slice(0, index).filter(({ pid }) => pid === answer.pid);
        return answer.answers === before.length + 1;
      }),
    });
    await server.stop();
    await server.stopped;
  });
  expect(run.reports).toEqual([
    { loaded: 1, inMaster: false },
    { loads: 0, oneLoader: true, notTheMaster: true, ids: [1, 2, 3], counts: true },
  ]);
});

test('a request listener, an http server, a net server and a Koa-like application can be served', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const http = require('node:http') as typeof import('node:http');
    const net = require('node:net') as typeof import('node:net');
    const listener = (_request: unknown, response: import('node:http').ServerResponse) => response.end('listener');
    const options = { workers: 1, host: '127.0.0.1' };
    const answers: string[] = [];
    for (const [load, serve] of [
      [() => listener, undefined],
      [() => http.createServer(listener), undefined], // made before the fork
      [() => ({ callback: () => listener }), undefined],
      [() => 0, async () => listener],
    ] as const) {
      const server = await t.prefork({ ...options, load: load as () => never, ...(serve && { serve }) });
      answers.push((await t.http.ask(server.address)).body);
      await server[Symbol.asyncDispose]();
    }
    const server = await t.prefork({ ...options, load: () => net.createServer((socket) => socket.end('net')) });
    const { port } = server.address as { port: number };
    answers.push(
      await new Promise((resolve) =>
        net.connect(port, '127.0.0.1').on('data', (data: Buffer) => resolve(data.toString())),
      ),
    );
    await server.stop();
    t.report(answers);
  });
  expect(run.reports).toEqual([['listener', 'listener', 'listener', 'listener', 'net']]);
});

test('a Unix socket is served, a dead one replaced, a live one not, and the path is gone afterwards', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const path = `${folder}/http.sock`;
    // A dead server's socket: its process was killed.
    const pid = rf.fork();
    if (pid === 0) {
      require('node:net')
        .createServer()
        .listen(path, () => rf.raise('SIGKILL'));
      await new Promise(() => {});
    }
    await rf.waitpidAsync(pid);
    t.report({ left: fs.existsSync(path) });
    const options = {
      workers: 2,
      path,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end('unix'),
    };
    const server = await t.prefork(options);
    t.report({ address: server.address, body: (await t.http.ask(path)).body } as object);
    const second = await t.prefork(options).catch((error: NodeJS.ErrnoException) => error.code);
    await server.reload();
    t.report({ second, still: (await t.http.ask(path)).body });
    await server.stop();
    t.report({ left: fs.readdirSync(folder) });
    fs.rmdirSync(folder);
  });
  const address = run.reports[1].address;
  expect(address.path).toMatch(/http\.sock$/);
  expect(run.reports).toEqual([
    { left: true },
    { address, body: 'unix' },
    { second: 'EADDRINUSE', still: 'unix' },
    { left: [] },
  ]);
});

test('a Unix socket whose path is as long as can be, and one whose path is too long', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const longest = process.platform === 'darwin' ? 103 : 107;
    const load = () => (_: unknown, response: import('node:http').ServerResponse) => response.end('served');
    for (const [length, name] of [
      [longest, 'a-name-of-its-own.sock'],
      [longest - 3, 'sk'],
      [longest + 20, 'sk'],
    ] as const) {
      const deep = `${folder}/`.padEnd(length - name.length - 1, 'x');
      fs.mkdirSync(deep, { recursive: true });
      try {
        const server = await t.prefork({ workers: 1, path: `${deep}/${name}`, load });
        t.report((await t.http.ask(`${deep}/${name}`)).body);
        await server.stop();
      } catch (error) {
        t.report((error as NodeJS.ErrnoException).code);
      }
      t.report(fs.readdirSync(deep));
    }
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual(['served', [], 'served', [], 'ENAMETOOLONG', []]);
});

test('a Unix socket that cannot be made: the error names the path', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    for (const options of [{ path: `${folder}/none/sock` }, { statusPath: `${folder}/none/sock` }]) {
      const error: unknown = await t.prefork({ workers: 1, load: () => () => {}, ...options }).catch((e: unknown) => e);
      const { code, address, message } = error as NodeJS.ErrnoException & { address: string };
      t.report([code, address.replace(folder, ''), message.replace(folder, '')]);
    }
    fs.rmdirSync(folder);
  });
  const error = ['EACCES', '/none/sock', 'listen EACCES: permission denied /none/sock'];
  expect(run.reports).toEqual([error, error]);
});

test('a Unix socket with a relative path is removed from where it was made', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    process.chdir(folder);
    const server = await t.prefork({ workers: 1, path: 'http.sock', statusPath: 'status.sock', load: () => () => {} });
    t.report(fs.readdirSync(folder).sort());
    process.chdir('/');
    await server.stop();
    t.report(fs.readdirSync(folder));
    fs.rmdirSync(folder);
  });
  expect(run.reports).toEqual([['http.sock', 'status.sock'], []]);
});

test('wrong options reject before anything happens', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const load = () => () => {};
    const wrong: unknown[] = [
      undefined,
      {},
      { load: 1 },
      { load, serve: 1 },
      { load, workers: 0 },
      { load, workers: 1.5 },
      { load, workers: '2' },
      { load, workers: 1025 },
      { load, backlog: Infinity },
      { load, backlog: 2 ** 31 },
      { load, port: 65536 },
      { load, port: -1 },
      { load, path: '/x', port: 1 },
      { load, path: '' },
      { load, maxRequests: 0 },
      { load, maxMemory: -1 },
      { load, stopTimeout: -1 },
      { load, stopTimeout: NaN },
      { load, signals: 1 },
      { load, onEvent: 'log' },
      { load, statusPath: 'a\0b' },
    ];
    const codes: unknown[] = [];
    for (const options of wrong) {
      codes.push(
        await t.prefork(options as never).then(
          () => 'accepted',
          (error: NodeJS.ErrnoException) => error.code,
        ),
      );
    }
    t.report(codes);
  });
  const [type, range, value] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_VALUE'];
  expect(run.reports[0]).toEqual([
    ...[type, type, type, type, range, range, type, range, range, range],
    ...[range, range, value, value, range, range, range, range, type, type, value],
  ]);
});

test('a port that is taken, an application that throws, one that exits: all reject, and nothing is left', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as import('node:net').AddressInfo;
    const attempt = (options: object) =>
      t.prefork({ workers: 2, host: '127.0.0.1', load: () => () => {}, ...options }).then(
        () => 'started',
        ({ code, cause, name }: Error & { code: string; cause?: Error & { code?: string } }) =>
          cause === undefined ? { name, code } : { name, code, cause: [cause.name, cause.message, cause.code] },
      );
    t.report(await attempt({ port }));
    taken.close();
    const load = () => {
      throw Object.assign(new TypeError('no database'), { code: 'ENODB' });
    };
    t.report(await attempt({ port, load }));
    t.report(await attempt({ port, load: async () => load() }));
    t.report(await attempt({ port, load: () => process.exit(3) }));
    t.report(await attempt({ port, load: () => new Promise(() => {}), startTimeout: 100 }));
    // The port is free all the same.
    const server = await t.prefork({ workers: 1, host: '127.0.0.1', port, load: () => () => {} });
    await server.stop();
  });
  const failed = { name: 'ProcessError', code: 'ERR_PREFORK_START' };
  const cause = ['TypeError', 'no database', 'ENODB'];
  expect(run.reports).toEqual([
    { name: 'Error', code: 'EADDRINUSE' },
    { ...failed, cause },
    { ...failed, cause },
    failed,
    failed,
  ]);
});

test('workers that always die at start are tried again with growing delays, and given up', async () => {
  const run = await program(async (rf, t) => {
    const delays: number[] = [];
    let started = 0;
    const error = await t
      .prefork({
        workers: 1,
        host: '127.0.0.1',
        restartDelay: 5,
        maxRestartDelay: 20,
        maxStartFailures: 5,
        load: () => 0,
        serve: () => {
          throw new RangeError('not today');
        },
        onEvent: (event) => {
          if (event.type === 'worker-restart') delays.push(event.delay);
          if (event.type === 'worker-started') started += 1;
        },
      })
      .catch((failure: Error & { code: string; cause: Error }) => failure);
    const { code, cause } = error as Error & { code: string; cause: Error };
    t.report({ delays, started, code, cause: [cause.name, cause.message] });
  });
  expect(run.code).toBe(0);
  expect(run.stderr.match(/RangeError: not today/g)).toHaveLength(5);
  expect(run.reports).toEqual([
    { delays: [5, 10, 20, 20], started: 5, code: 'ERR_PREFORK_START', cause: ['RangeError', 'not today'] },
  ]);
});

test('an exception of onEvent is uncaught, and the server goes on', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    process.on('uncaughtException', (error) => t.report(error.message));
    const server = await t.prefork({
      workers: 2,
      host: '127.0.0.1',
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end('served'),
      onEvent: (event) => {
        if (event.type !== 'worker-started') throw new Error(event.type);
      },
    });
    t.report((await t.http.ask(server.address)).body);
    await server.stop();
  });
  expect(run.reports).toContain('served');
  for (const type of ['listening', 'loaded', 'worker-ready', 'ready', 'stopping', 'worker-exited', 'stopped']) {
    expect(run.reports).toContain(type);
  }
});

test('events tell the life of the server in order', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const events: { type: string; generation: number; pid: number }[] = [];
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => () => {},
      onEvent: (event) => events.push(event),
    });
    await server.reload();
    await server.stop();
    const of = (generation: number) => events.filter((e) => e.generation === generation).map(({ type }) => type);
    t.report([of(0), of(1), of(2)]);
    t.report(events.every(({ pid, generation }) => (generation === 0) === (pid === process.pid)));
  });
  const begin = ['loading', 'loaded', 'worker-started', 'worker-ready', 'ready'];
  const end = ['worker-exited', 'generation-ended'];
  expect(run.reports).toEqual([
    [
      ['listening', 'stopping', 'stopped'],
      [...begin, ...end],
      [...begin, ...end],
    ],
    true,
  ]);
});
