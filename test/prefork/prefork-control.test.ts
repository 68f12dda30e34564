/** A pre-forking server that is reloaded, stopped, and looked at. */
import { cleanProgram, program } from '../helpers/program';

test('reload under load: the changed application is served, and no request is lost', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const file = `${folder}/application.cjs`;
    const write = (version: number) =>
      fs.writeFileSync(file, `module.exports = (request, response) => response.end('version ${version}');`);
    write(1);
    const server = await t.prefork({ workers: 2, host: '127.0.0.1', load: () => require(file) });
    const load = new t.http.Load(server.address, 8);
    const seen = (text: string) => load.answers.get(text) ?? 0;
    await t.waitUntil(() => seen('version 1') > 100, 'requests to the first', 20_000);
    write(2);
    await server.reload();
    await t.waitUntil(() => seen('version 2') > 100, 'requests to the second', 20_000);
    // Asked for together, they are two: what is on the disk may have changed between.
    write(3);
    const both = [server.reload(), server.reload(), server.reload()];
    await Promise.all(both);
    await t.waitUntil(() => seen('version 3') > 100, 'requests to the third', 20_000);
    const { generation, workers } = await server.status();
    await load.stop();
    t.report({ errors: load.errors, generation, versions: [...load.answers.keys()].sort() });
    t.report(workers.filter(({ state }) => state === 'ready').map((worker) => worker.generation));
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([
    { errors: [], generation: 4, versions: ['version 1', 'version 2', 'version 3'] },
    [4, 4],
  ]);
});

test('a reload that fails leaves the old application serving', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const broken = `${folder}/broken`;
    const failed: string[] = [];
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => {
        if (fs.existsSync(broken)) throw new SyntaxError('half an edit');
        return (_: unknown, response: import('node:http').ServerResponse) => response.end('whole');
      },
      onEvent: (event) => {
        if (event.type === 'reload-failed') failed.push(event.error.message);
      },
    });
    fs.writeFileSync(broken, '');
    const error = await server.reload().catch((failure: Error & { code: string }) => failure.code);
    t.report({ error, generation: server.generation, body: (await t.http.ask(server.address)).body, failed });
    rf.kill(rf.getpid(), 'SIGHUP');
    await t.waitUntil(() => failed.length === 2, 'the failure of the second', 20_000);
    fs.rmSync(broken);
    rf.kill(rf.getpid(), 'SIGHUP');
    await t.waitUntil(() => server.generation > 1, 'the success of the third', 20_000);
    t.report({ generation: server.generation, body: (await t.http.ask(server.address)).body });
    await server.stop();
    const late = await server.reload().catch((failure: Error & { code: string }) => failure.code);
    t.report(late);
    fs.rmdirSync(folder);
  });
  const why = 'The application could not be started. half an edit';
  expect(run.reports).toEqual([
    { error: 'ERR_PREFORK_START', generation: 1, body: 'whole', failed: [why] },
    { generation: 4, body: 'whole' },
    'ERR_PREFORK_STOPPED',
  ]);
});

/** Runs in the program: one request that the test lets finish, and one idle connection. */
const body = async (rf: import('../helpers/program').Realfork, t: import('../helpers/program-tools').Tools) => {
  const fs = require('node:fs') as typeof import('node:fs');
  const [signal, times] = t.args as [NodeJS.Signals, number];
  const { gate, begun } = t.pipes('gate', 'begun');
  const events: string[] = [];
  const server = await t.prefork({
    workers: 2,
    host: '127.0.0.1',
    stopTimeout: (t.args[2] as number | undefined) ?? 20_000,
    load: () => 0,
    serve: (_app, worker) => {
      worker.signal.addEventListener('abort', () => t.report({ told: worker.signal.reason }));
      worker.onStop(() => t.report('last'));
      return (request, response) => {
        if (request.url === '/') return void response.end();
        fs.writeSync(begun.write, 'x');
        fs.read(gate.read, Buffer.alloc(1), () => response.end('finished'));
      };
    },
    onEvent: ({ type }) => {
      events.push(type);
      // When the socket is closed and everybody knows: the request may finish.
      if (type === 'worker-exited' && times === 1) fs.writeSync(gate.write, 'x');
    },
  });
  const { Agent } = require('node:http') as typeof import('node:http');
  const agent = new Agent({ keepAlive: true });
  await t.http.ask(server.address, '/', agent); // and stays connected
  const slow = t.http.ask(server.address, '/slow').then(
    ({ body, headers }) => ({ body, connection: headers.connection }),
    (error: NodeJS.ErrnoException) => error.code,
  );
  await new Promise((resolve) => fs.read(begun.read, Buffer.alloc(1), resolve));
  for (let i = 0; i < times; i++) {
    process.kill(process.pid, signal);
    if (i === 0) await t.waitUntil(() => events.includes('stopping'), 'the first signal');
  }
  t.report(await slow);
  await server.stopped;
  const refused = await t.http.ask(server.address).catch((error: NodeJS.ErrnoException) => error.code);
  t.report({
    refused,
    exitCode: process.exitCode ?? 0,
    killed: events.filter((type) => type === 'worker-killed').length,
  });
  agent.destroy();
};

test.each(['SIGTERM', 'SIGINT'])(
  '%s: no new connections, the requests under way finish, exit code 0',
  async (signal) => {
    const run = await cleanProgram(body, { args: [signal, 1] });
    const told = [{ told: 'signal' }, { told: 'signal' }, 'last', 'last'];
    const own = run.reports.filter((report) => !told.some((one) => JSON.stringify(one) === JSON.stringify(report)));
    expect(run.reports).toHaveLength(6);
    expect(own).toEqual([
      { body: 'finished', connection: 'close' },
      { refused: 'ECONNREFUSED', exitCode: 0, killed: 0 },
    ]);
  },
);

test('a second signal ends everything at once', async () => {
  const run = await program(body, { args: ['SIGTERM', 2] });
  expect(run.code).toBe(128 + 15);
  expect(run.reports).toContain('ECONNRESET');
  expect(run.reports.at(-1)).toEqual({ refused: 'ECONNREFUSED', exitCode: 143, killed: 0 });
});

test('what has not finished by the deadline is cut off', async () => {
  const run = await cleanProgram(body, { args: ['SIGTERM', 0.5, 300] });
  expect(run.reports).toContain('ECONNRESET');
  expect(run.reports.at(-1)).toEqual({ refused: 'ECONNREFUSED', exitCode: 0, killed: 0 });
});

test('a stop during the start rejects the start, and leaves nothing', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const error = await t
      .prefork({
        workers: 1,
        host: '127.0.0.1',
        load: () => new Promise(() => {}),
        onEvent: ({ type }) => {
          if (type === 'loading') process.kill(process.pid, 'SIGTERM');
        },
      })
      .catch((failure: Error & { code: string }) => failure.code);
    t.report(error);
  });
  expect(run.reports).toEqual(['ERR_PREFORK_STOPPED']);
});

test('SIGHUP during the start: the reload comes after it, and is what serves in the end', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const order: unknown[] = [];
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(),
      onEvent: ({ type, generation }) => {
        if (['loading', 'ready'].includes(type)) order.push([type, generation]);
        if (type === 'loading' && generation === 1) rf.kill(rf.getpid(), 'SIGHUP');
      },
    });
    await t.waitUntil(() => order.length === 4, 'the second generation', 20_000);
    await server.stop();
    t.report(order);
  });
  expect(run.reports).toEqual([
    [
      ['loading', 1],
      ['ready', 1],
      ['loading', 2],
      ['ready', 2],
    ],
  ]);
});

test('a generation that dies while a reload fails is replaced all the same', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const broken = `${folder}/broken`;
    const { died } = t.pipes('died');
    let serving = 0;
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      restartDelay: 1,
      load: () => {
        if (fs.existsSync(broken)) {
          fs.readSync(died.read, Buffer.alloc(1)); // not before the one that serves is gone, and that has been noticed
          throw new Error('broken');
        }
        return (_: unknown, response: import('node:http').ServerResponse) => response.end('whole');
      },
      onEvent: ({ type, pid, generation }) => {
        if (type === 'ready') serving = pid;
        if (type === 'loading' && generation === 2) rf.kill(serving, 'SIGKILL');
        if (type === 'generation-ended' && generation === 1) {
          fs.rmSync(broken);
          fs.writeSync(died.write, '.');
        }
      },
    });
    fs.writeFileSync(broken, '');
    const error = await server.reload().catch((failure: Error & { code: string }) => failure.code);
    await t.waitUntil(() => server.generation === 3, 'the next generation', 20_000);
    t.report([error, (await t.http.ask(server.address)).body]);
    await server.stop();
    fs.rmdirSync(folder);
  });
  expect(run.reports).toEqual([['ERR_PREFORK_START', 'whole']]);
});

test('the first signal after stop() does not cut off what stop() waits for', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { request, answer } = t.pipes('request', 'answer');
    const fs = require('node:fs') as typeof import('node:fs');
    const { promisify } = require('node:util') as typeof import('node:util');
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => async (_: unknown, response: import('node:http').ServerResponse) => {
        fs.writeSync(request.write, '.');
        await promisify(fs.read)(answer.read, Buffer.alloc(1), 0, 1, null);
        response.end('finished');
      },
    });
    const asked = t.http.ask(server.address);
    await promisify(fs.read)(request.read, Buffer.alloc(1), 0, 1, null);
    const stopping = server.stop();
    const signalled = new Promise((resolve) => process.once('SIGTERM', resolve));
    rf.kill(rf.getpid(), 'SIGTERM');
    await signalled;
    fs.writeSync(answer.write, '.');
    t.report((await asked).body);
    await stopping;
    t.report(process.exitCode ?? 0);
  });
  expect(run.reports).toEqual(['finished', 0]);
});

test('an exception of an onStop callback keeps none of the others from running, and is the worker’s', async () => {
  const run = await program(async (_rf, t) => {
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(),
      serve: (app, worker) => {
        worker.onStop(() => t.report('first'));
        worker.onStop(() => Promise.reject(new Error('the second fails')));
        worker.onStop(() => t.report('third'));
        return app;
      },
      onEvent: (event) => {
        if (event.type === 'worker-exited') t.report(event.exitCode);
      },
    });
    await server.stop();
  });
  expect(run.reports).toEqual(['first', 'third', 1]);
  expect(run.stderr).toMatch(/^Process worker 1 of generation 1:\nError: the second fails\n/);
});

test('the status socket answers whatever path it is asked for', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const folder = require('node:fs').mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const path = `${folder}/status.sock`;
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      statusPath: path,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(),
    });
    for (const odd of ['//', '//[', '/health?full', 'http://[/']) t.report((await t.http.ask(path, odd)).status);
    await server.stop();
    require('node:fs').rmdirSync(folder);
  });
  expect(run.reports).toEqual([404, 404, 200, 404]);
});

test('status and health over a Unix socket that only its owner can use', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const path = `${folder}/status.sock`;
    const server = await t.prefork({
      workers: 2,
      host: '127.0.0.1',
      statusPath: path,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(String(process.pid)),
    });
    const { Agent } = require('node:http') as typeof import('node:http');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { body: pid } = await t.http.ask(server.address, '/', agent);
    for (let i = 0; i < 9; i++) await t.http.ask(server.address, '/', agent);
    type Status = Awaited<ReturnType<typeof server.status>>;
    const status = await t.http.askJson<Status>(path, '/status');
    const busy = status.workers.find((worker) => worker.pid === Number(pid));
    t.report({
      mode: (fs.statSync(path).mode & 0o777).toString(8),
      same: JSON.stringify(Object.keys(status)) === JSON.stringify(Object.keys(await server.status())),
      status: [status.pid === process.pid, status.state, status.generation, status.restarts, status.address],
      workers: status.workers.map(({ id, state, generation, responsive }) => ({ id, state, generation, responsive })),
      requests: [busy?.requests, status.workers.reduce((sum, { requests }) => sum + requests, 0), busy?.connections],
      memory: status.workers.map(
        ({ memory }) =>
          memory !== null && memory.pss > 1e6 && memory.pss < memory.rss && (memory.private ?? 0) < memory.pss,
      ),
      since: status.workers.every(({ started }) => started >= status.started && started <= Date.now()),
    });
    agent.destroy();
    const health = await t.http.ask(path, '/health');
    t.report([health.status, JSON.parse(health.body)]);
    t.report([(await t.http.ask(path, '/nothing')).status, health.headers['content-type']]);
    await server.reload();
    t.report((await t.http.ask(path, '/health')).status); // forked children have not taken it away
    t.report(server.address);
    await server.stop();
    t.report(fs.readdirSync(folder));
    fs.rmdirSync(folder);
  });
  const address = run.reports[4];
  const worker = { state: 'ready', generation: 1, responsive: true };
  expect(run.reports).toEqual([
    {
      mode: '600',
      same: true,
      status: [true, 'running', 1, 0, address],
      workers: [
        { id: 1, ...worker },
        { id: 2, ...worker },
      ],
      requests: [10, 10, 1],
      memory: [true, true],
      since: true,
    },
    [200, { state: 'running', ready: 2 }],
    [404, 'application/json'],
    200,
    address,
    [],
  ]);
});

test('a worker holds the listening socket and what is its own, and nothing of its siblings or of the master', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const server = await t.prefork({
      workers: 3,
      host: '127.0.0.1',
      statusPath: `${folder}/status.sock`,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(),
    });
    const { Agent } = require('node:http') as typeof import('node:http');
    const agent = new Agent({ keepAlive: true });
    await t.http.ask(server.address, '/', agent);
    await server.reload(); // forked with connections open in the master
    const { workers } = await server.status();
    const sockets = (pid: number) =>
      fs.readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        if (Number(fd) <= 2) return []; // the standard streams are sockets too
        try {
          return fs.readlinkSync(`/proc/${pid}/fd/${fd}`).match(/^socket:.*/) ?? [];
        } catch {
          return [];
        }
      });
    const generation = Number(t.stat(workers.find((worker) => worker.generation === 2)?.pid as number)?.[1]);
    const current = workers.filter((worker) => worker.generation === 2).map(({ pid }) => pid);
    const all = [process.pid, generation, ...current].map(sockets);
    const holders = new Map<string, number>();
    for (const socket of all.flat()) holders.set(socket, (holders.get(socket) ?? 0) + 1);
    t.report({
      workers: current.length,
      eachHas: all.slice(2).map((list) => list.length), // the listening one and its channel
      shared: [...holders.values()].filter((count) => count > 1), // the listening one, by everybody
    });
    agent.destroy();
    await server.stop();
    fs.rmdirSync(folder);
  });
  expect(run.reports).toEqual([{ workers: 3, eachHas: [2, 2, 2], shared: [5] }]);
});
