/** Fastify and Express applications, loaded once and served by several processes. */
import { join } from 'node:path';
import { cleanProgram, packageRoot } from '../helpers/program';

/** Programs lie in a folder of their own; the frameworks are found from here. */
const args = [join(packageRoot, 'package.json')];

test('Fastify: made ready and warm before the fork, its hooks run in each worker, and a reload loses no request', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const from = require('node:module').createRequire(t.args[0]) as NodeJS.Require;
      const server = await t.prefork({
        workers: 2,
        host: '127.0.0.1',
        load: async () => {
          const app = (from('fastify') as typeof import('fastify').default)();
          let answers = 0;
          app.addHook('onClose', async () => t.report({ closed: process.ppid !== loader }));
          const loader = process.ppid;
          const schema = { response: { 200: { type: 'object', properties: { pid: { type: 'integer' } } } } };
          app.get('/pid', { schema }, async () => ({ pid: process.pid, left: 'out by the schema' }));
          app.get('/warm', async () => ({ answers: (answers += 1) }));
          app.post('/echo', async (request) => request.body);
          await app.ready();
          await app.inject('/warm');
          return app;
        },
        serve: (app) => app,
      });
      const warm = await t.http.askJson(server.address, '/warm');
      const load = new t.http.Load(server.address, 6, '/pid');
      await t.waitUntil(() => load.total > 200, 'answers', 20_000);
      const [answer] = load.answers.keys();
      const old = load.answers.size;
      rf.kill(rf.getpid(), 'SIGHUP');
      await t.waitUntil(() => server.generation === 2 && load.answers.size > old, 'the new generation', 20_000);
      await load.stop();
      const seen = new Set<number>(); // connections of their own: sooner or later each worker accepts one
      while (seen.size < 2) seen.add((await t.http.askJson<{ pid: number }>(server.address, '/pid')).pid);
      t.report({ warm, keys: Object.keys(JSON.parse(answer as string) as object), errors: load.errors });
      const missing = await t.http.ask(server.address, '/nothing');
      t.report({ status: missing.status, type: missing.headers['content-type'] });
      await server.stop();
    },
    { args, timeout: 50_000 },
  );
  const own = run.reports.filter((report) => report.closed === undefined);
  expect(own).toEqual([
    { warm: { answers: 2 }, keys: ['pid'], errors: [] },
    { status: 404, type: 'application/json; charset=utf-8' },
  ]);
  expect(run.reports.filter((report) => report.closed === true)).toHaveLength(4); // two workers, two generations
});

test('Express: an application is a request listener; streams, a middleware, and a worker killed under load', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const from = require('node:module').createRequire(t.args[0]) as NodeJS.Require;
      type Request = { url: string };
      type Response = { json(body: object): void; sendFile(path: string): void; set(name: string, to: string): void };
      type Application = import('node:http').RequestListener & {
        use(middleware: (request: Request, response: Response, next: () => void) => void): void;
        get(path: string, handler: (request: Request, response: Response) => void): void;
      };
      const deaths: number[] = [];
      const server = await t.prefork({
        workers: 2,
        host: '127.0.0.1',
        load: () => {
          const app = (from('express') as () => Application)();
          app.use((_request, response, next) => {
            response.set('x-worker', String(process.pid));
            next();
          });
          app.get('/pid', (_request, response) => response.json({ pid: process.pid }));
          app.get('/file', (_request, response) => response.sendFile(t.args[0] as string));
          app.get('/throws', () => {
            throw new Error('of the handler');
          });
          return app;
        },
        onEvent: (event) => {
          if (event.type === 'worker-exited' && !event.expected) deaths.push(event.exitCode);
        },
      });
      const file = await t.http.ask(server.address, '/file');
      t.report({
        file: file.body === fs.readFileSync(t.args[0] as string, 'utf8'),
        type: file.headers['content-type'],
        worker: (await server.status()).workers.some(({ pid }) => String(pid) === file.headers['x-worker']),
        throws: (await t.http.ask(server.address, '/throws')).status,
        missing: (await t.http.ask(server.address, '/nothing')).status,
      });
      const clients = 8;
      const load = new t.http.Load(server.address, clients, '/pid');
      await t.waitUntil(() => load.total > 200, 'answers', 20_000);
      const [busy] = load.answers.keys();
      rf.kill((JSON.parse(busy as string) as { pid: number }).pid, 'SIGKILL');
      await t.waitUntil(() => deaths.length === 1, 'news of the death', 20_000);
      const before = load.total;
      await t.waitUntil(() => load.total > before + 200, 'answers after the death', 20_000);
      await load.stop();
      // One request at a time on a connection: no more than these can have been with the killed one.
      t.report({
        deaths,
        few: load.errors.length <= clients,
        kinds: load.errors.filter((code) => !/RESET|PIPE/.test(code)),
      });
      await server.stop();
    },
    { args, env: { NODE_ENV: 'test' }, timeout: 50_000 },
  );
  expect(run.reports).toEqual([
    { file: true, type: 'application/json; charset=utf-8', worker: true, throws: 500, missing: 404 },
    { deaths: [-9], few: true, kinds: [] },
  ]);
});
