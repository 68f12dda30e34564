/** Processes of a pre-forking server that die, hang, or have served enough. */
import { cleanProgram } from '../helpers/program';

test('a worker killed under load costs only the requests it was serving, and is replaced', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const exits: number[] = [];
    const server = await t.prefork({
      workers: 3,
      host: '127.0.0.1',
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(String(process.pid)),
      onEvent: (event) => {
        if (event.type === 'worker-exited' && !event.expected) exits.push(event.exitCode);
      },
    });
    const clients = 12;
    const load = new t.http.Load(server.address, clients);
    const killed: number[] = [];
    for (let round = 0; round < 3; round++) {
      const before = load.total;
      await t.waitUntil(() => load.total > before + 300, 'some requests', 20_000);
      const victim = (await server.status()).workers.find(({ state }) => state === 'ready');
      rf.kill(victim?.pid as number, 'SIGKILL');
      killed.push(victim?.pid as number);
      await t.waitUntil(() => exits.length === round + 1, 'news of the death', 20_000);
    }
    for (;;) {
      const { workers } = await server.status();
      if (workers.filter(({ state }) => state === 'ready').length === 3) break;
    }
    await load.stop();
    const { restarts, workers } = await server.status();
    t.report({
      exits,
      restarts,
      gone: killed.every((pid) => !workers.some((worker) => worker.pid === pid)),
      // One request at a time on a connection: so many at most were being served.
      lost: load.errors.length <= 3 * clients ? 'few' : load.errors,
      kinds: load.errors.filter((code) => code !== 'ECONNRESET' && code !== 'EPIPE'),
    });
    await server.stop();
  });
  expect(run.reports).toEqual([{ exits: [-9, -9, -9], restarts: 3, gone: true, lost: 'few', kinds: [] }]);
});

test('a killed generation is replaced: its workers finish, connections wait, and the application is loaded again', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const died: unknown[] = [];
    const server = await t.prefork({
      workers: 2,
      host: '127.0.0.1',
      load: () => process.pid,
      serve: (loader) =>
        require('node:http').createServer(
          async (request: { url: string }, response: import('node:http').ServerResponse) => {
            if (request.url === '/slow') {
              rf.kill(loader, 'SIGKILL');
              await t.waitUntil(() => process.ppid !== loader, 'the death of the parent');
            }
            response.end(String(loader));
          },
        ),
      onEvent: (event) => {
        if (event.type === 'generation-died') died.push([event.generation, event.exitCode]);
      },
    });
    const first = (await t.http.ask(server.address)).body;
    const slow = await t.http.ask(server.address, '/slow');
    t.report({ answeredAllTheSame: slow.body === first, closes: slow.headers.connection });
    const second = (await t.http.ask(server.address)).body;
    await t.waitUntil(() => server.generation === 2, 'the next generation', 20_000);
    t.report({ other: second !== first || (await t.http.ask(server.address)).body !== first, died });
    await server.stop();
  });
  expect(run.reports).toEqual([
    { answeredAllTheSame: true, closes: 'close' },
    { other: true, died: [[1, -9]] },
  ]);
});

test('when the master is killed the workers finish their requests and end', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const http = require('node:http') as typeof import('node:http');
    const { port, gate } = t.pipes('port', 'gate');
    const master = rf.fork();
    if (master === 0) {
      const server = await t.prefork({
        workers: 2,
        host: '127.0.0.1',
        load: () => 0,
        serve: () => (request, response) => {
          if (request.url === '/') return void response.end();
          response.write('begun ');
          fs.read(gate.read, Buffer.alloc(1), () => response.end('and finished'));
        },
      });
      fs.writeSync(port.write, JSON.stringify(server.address));
      return;
    }
    const bytes = Buffer.alloc(1000);
    const length = await new Promise<number>((resolve) => fs.read(port.read, bytes, (_, count) => resolve(count)));
    const address = JSON.parse(bytes.toString('utf8', 0, length));
    const text = await new Promise<string>((resolve) => {
      http.get({ ...address, host: '127.0.0.1', path: '/slow', agent: false }, async (response) => {
        rf.kill(master, 'SIGKILL');
        await rf.waitpidAsync(master);
        const refused = () =>
          t.http.ask(address).then(
            () => false,
            () => true,
          );
        fs.writeSync(gate.write, 'x');
        let text = '';
        for await (const chunk of response) text += chunk;
        while (!(await refused()));
        resolve(text);
      });
    });
    t.report(text);
  });
  expect(run.reports).toEqual(['begun and finished']);
});

test('a fork of the master has nothing of the server', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end('served'),
    });
    const pid = rf.fork();
    if (pid === 0) {
      // Nothing keeps it from ending: no channel, no signal handler, no socket.
      const late = await server.reload().catch((error: Error & { code: string }) => error.code);
      t.report(late);
      return;
    }
    const { status } = await rf.waitpidAsync(pid);
    t.report({ status, body: (await t.http.ask(server.address)).body });
    const killed = rf.fork();
    if (killed === 0) {
      rf.raise('SIGTERM');
      return;
    }
    t.report([rf.WTERMSIG((await rf.waitpidAsync(killed)).status), (await t.http.ask(server.address)).body]);
    await server.stop();
  });
  expect(run.reports).toEqual(['ERR_PREFORK_STOPPED', { status: 0, body: 'served' }, [15, 'served']]);
});

test('what a worker or a generation forks is not of the server: it accepts nothing, is told nothing, and is not waited for', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const http = require('node:http') as typeof import('node:http');
      const [readEnd, writeEnd] = rf.pipe();
      /** Until the test says so; then what it has of the server shows. */
      const live = (who: string) => {
        require('node:fs').closeSync(writeEnd);
        new (require('node:net') as typeof import('node:net')).Socket({ fd: readEnd }).resume().on('close', () => {
          t.report(who);
          rf._exit(process.listenerCount('SIGTERM'));
        });
      };
      const server = await t.prefork({
        workers: 1,
        host: '127.0.0.1',
        load: () => {
          if (rf.fork() === 0) live('forked by the generation');
        },
        serve: (_, { onStop }) => {
          const worker = process.pid;
          onStop(() => t.report(['stopped', process.pid === worker]));
          return http.createServer((request, response) => {
            const isChild = request.url === '/fork' && rf.fork() === 0;
            if (isChild) return live('forked by the worker');
            return response.end(String(process.pid));
          });
        },
      });
      const worker = (await t.http.ask(server.address, '/fork')).body;
      for (let asked = 0; asked < 20; asked++) {
        if ((await t.http.ask(server.address)).body !== worker) t.report('the fork has answered');
      }
      await server.stop();
      t.report('all ended');
      require('node:fs').closeSync(writeEnd);
    },
    { grace: 5_000 },
  );
  expect(run.reports.slice(0, 2)).toEqual([['stopped', true], 'all ended']);
  expect(run.reports.slice(2).sort()).toEqual(['forked by the generation', 'forked by the worker']);
});

test('a worker that hangs is killed and replaced', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const killed: [number, string][] = [];
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      hangTimeout: 400,
      load: () => (request: { url: string }, response: import('node:http').ServerResponse) => {
        if (request.url === '/hang') for (;;);
        response.end(String(process.pid));
      },
      onEvent: (event) => {
        if (event.type === 'worker-killed') killed.push([event.workerPid, event.reason]);
      },
    });
    const first = Number((await t.http.ask(server.address)).body);
    const lost = await t.http.ask(server.address, '/hang').catch((error: NodeJS.ErrnoException) => error.code);
    const second = Number((await t.http.ask(server.address)).body);
    t.report({
      lost,
      replaced: second !== first,
      killed: killed.map(([pid, reason]) => [pid === first, reason]),
    } as object);
    await server.stop();
  });
  expect(run.reports).toEqual([{ lost: 'ECONNRESET', replaced: true, killed: [[true, 'hang']] }]);
});

test('workers that were stopped together with their parent, as Ctrl-Z does, have not hung', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const server = await t.prefork({
      workers: 2,
      host: '127.0.0.1',
      hangTimeout: 400,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end('served'),
    });
    const pids = async () => (await server.status()).workers.map(({ pid }) => pid);
    const before = await pids();
    const all = [rf.processTree().children[0]?.pid as number, ...before];
    for (const pid of all) rf.kill(pid, 'SIGSTOP');
    rf.sleepSync(1_500);
    for (const pid of all) rf.kill(pid, 'SIGCONT');
    for (let looks = 0; looks < 20; looks++) await t.http.ask(server.address).then(() => rf.sleepSync(50));
    t.report([(await pids()).join() === before.join(), (await server.status()).restarts]);
    await server.stop();
  });
  expect(run.reports).toEqual([[true, 0]]);
});

test('a replacement that does not come to serve is killed after startTimeout, and tried again', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-prefork-`);
    const hang = `${folder}/hang`;
    const events: string[] = [];
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      startTimeout: 5_000,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(String(process.pid)),
      serve: (app) => {
        if (!fs.existsSync(hang)) return app;
        fs.rmSync(hang);
        for (;;);
      },
      onEvent: (event) => {
        if (event.type === 'worker-killed') events.push(event.reason);
      },
    });
    fs.writeFileSync(hang, '');
    const first = Number((await t.http.ask(server.address)).body);
    rf.kill(first, 'SIGKILL');
    const later = Number((await t.http.ask(server.address)).body); // waits for one that serves
    t.report([later !== first, events]);
    await server.stop();
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([[true, ['hang']]]);
});

test('maxRequests: a worker is replaced by a successor that is ready first, and no request is lost', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const retired: { workerPid: number; reason: string }[] = [];
    const server = await t.prefork({
      workers: 2,
      host: '127.0.0.1',
      maxRequests: 50,
      maxRequestsJitter: 20,
      load: () => (_: unknown, response: import('node:http').ServerResponse) => response.end(String(process.pid)),
      onEvent: (event) => {
        if (event.type === 'worker-retiring') retired.push(event);
      },
    });
    const load = new t.http.Load(server.address, 4);
    await t.waitUntil(() => retired.length >= 4, 'four workers that have served enough', 20_000);
    await load.stop();
    t.report({
      errors: load.errors,
      reasons: [...new Set(retired.map(({ reason }) => reason))],
      // What was on its way when the limit was reached is answered too.
      enough: retired.every(({ workerPid }) => (load.answers.get(String(workerPid)) ?? 0) >= 50),
      restarts: (await server.status()).restarts,
    });
    await server.stop();
  });
  expect(run.reports).toEqual([{ errors: [], reasons: ['maxRequests'], enough: true, restarts: 0 }]);
});

test('maxMemory: a worker whose memory has grown is replaced', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const kept: Buffer[] = [];
    const retired: string[] = [];
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      maxMemory: 120 << 20,
      load: () => (request: { url: string }, response: import('node:http').ServerResponse) => {
        if (request.url === '/leak') kept.push(Buffer.alloc(150 << 20, 1));
        response.end(String(process.pid));
      },
      onEvent: (event) => {
        if (event.type === 'worker-retiring') retired.push(event.reason);
      },
    });
    const before = (await t.http.ask(server.address, '/')).body;
    const leaky = (await t.http.ask(server.address, '/leak')).body;
    await t.waitUntil(() => retired.length > 0, 'the end of the leaky worker', 20_000);
    const after = (await t.http.ask(server.address)).body;
    t.report({ same: before === leaky, other: after !== leaky, retired });
    await server.stop();
  });
  expect(run.reports).toEqual([{ same: true, other: true, retired: ['maxMemory'] }]);
});

test('a worker told to end by SIGTERM finishes what it has begun and has a successor', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const codes: unknown[] = [];
    let asked = 0;
    const server = await t.prefork({
      workers: 1,
      host: '127.0.0.1',
      load: () => 0,
      serve: () => async (_: unknown, response: import('node:http').ServerResponse) => {
        response.write(String(process.pid));
        if (asked++ === 0) {
          rf.kill(rf.getpid(), 'SIGTERM');
          await new Promise((resolve) => process.once('SIGTERM', resolve));
        }
        response.end(' done');
      },
      onEvent: (event) => {
        if (event.type === 'worker-exited') codes.push([event.exitCode, event.expected]);
      },
    });
    const first = (await t.http.ask(server.address)).body;
    const second = (await t.http.ask(server.address)).body;
    t.report([first.endsWith(' done'), second.endsWith(' done'), first !== second]);
    await t.waitUntil(() => codes.length >= 2, 'two ends', 20_000);
    t.report(codes.slice(0, 2));
    await server.stop();
  });
  expect(run.reports).toEqual([
    [true, true, true],
    [
      [0, true],
      [0, true],
    ],
  ]);
});
