/** The hazards of forking a runtime that knows nothing of it, one test or more for each. docs/after-fork.md. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanProgram, packageRoot, program, script } from '../helpers/program';

test.each([
  ['a pipe', []],
  ['a file', ['sh', '-c', 'out=$(mktemp); "$0" "$@" > $out; code=$?; cat $out; rm $out; exit $code']],
])('hazard: what was written to stdout before the fork is there once, stdout being %s', async (_what, wrapper) => {
  const run = await cleanProgram(
    (rf) => {
      process.stdout.write('before;');
      process.stdout.write('x'.repeat(100_000) + ';'); // more than a pipe holds
      const pid = rf.fork();
      process.stdout.write(pid === 0 ? 'child;' : 'parent;');
      if (pid !== 0) rf.waitpid(pid);
    },
    { wrapper: wrapper as string[] },
  );
  const parts = run.stdout.split(';');
  expect(parts.filter((part) => part === 'before')).toHaveLength(1);
  expect(parts.filter((part) => part.startsWith('xxx'))).toEqual(['x'.repeat(100_000)]);
  expect(parts.sort()).toEqual(['', 'before', 'child', 'parent', 'x'.repeat(100_000)]);
});

test('hazard: text that a stream keeps in memory is written by both processes, as with stdio in C', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-twice-${process.pid}`;
    const stream = fs.createWriteStream(file, { flags: 'a' });
    await new Promise((resolve) => stream.once('open', resolve));
    stream.cork();
    stream.write('kept\n');
    const pid = rf.fork();
    stream.uncork();
    await new Promise<void>((resolve) => stream.end(`${pid === 0 ? 'child' : 'parent'}\n`, resolve));
    if (pid === 0) return;
    t.report(rf.waitpid(pid).status);
    t.report(fs.readFileSync(file, 'utf8').trim().split('\n').sort());
    fs.unlinkSync(file);
  });
  expect(run.reports).toEqual([0, ['child', 'kept', 'kept', 'parent']]);
});

test('hazard: interval timers fire in each process for itself, and clearing them is private', async () => {
  const run = await cleanProgram(async (rf, t) => {
    let ticks = 0;
    const interval = setInterval(() => ticks++, 5);
    await t.waitUntil(() => ticks > 0, 'a tick');
    const pid = rf.fork();
    const before = ticks;
    if (pid === 0) {
      await t.waitUntil(() => ticks > before + 3, "the child's own ticks");
      clearInterval(interval);
      return;
    }
    const { status } = rf.waitpid(pid); // the loop does not turn here
    const none = ticks === before;
    await t.waitUntil(() => ticks > before + 3, "the parent's ticks after the child has cleared its own");
    clearInterval(interval);
    t.report({ status, none });
  });
  expect(run.reports).toEqual([{ status: 0, none: true }]);
});

describe('hazard: random numbers differ between parent and siblings', () => {
  test.each([
    ['with the caches warm', true],
    ['with the caches cold', false],
  ])('%s', async (_state, warm) => {
    const run = await cleanProgram(
      (rf, t) => {
        const crypto = require('node:crypto') as typeof import('node:crypto');
        const { random } = Math; // captured before the fork
        const optimised = () => Math.random() + random();
        const draw = () => ({
          random: Array.from({ length: 70 }, () => Math.random()), // more than V8 draws ahead
          captured: [random(), random()],
          randomBytes: crypto.randomBytes(16).toString('hex'),
          fill: crypto.randomFillSync(Buffer.alloc(16)).toString('hex'),
          values: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
          randomUUID: [crypto.randomUUID(), crypto.randomUUID(), globalThis.crypto.randomUUID()],
          uncached: crypto.randomUUID({ disableEntropyCache: true }),
          randomInt: Array.from({ length: 10 }, () => crypto.randomInt(2 ** 40)),
          subtle: crypto.webcrypto.getRandomValues(new Uint32Array(4)).join(),
          key: crypto.generateKeySync('hmac', { length: 128 }).export().toString('hex'),
        });
        if (t.args[0]) {
          for (let i = 0; i < 5; i++) draw();
          for (let i = 0; i < 20_000; i++) optimised();
        }
        const pids = [];
        for (let i = 0; i < 4; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            if (i === 3) {
              const grandchild = rf.fork();
              t.report(draw());
              if (grandchild !== 0) rf.waitpid(grandchild);
              process.exit(0);
            }
            t.report(draw());
            process.exit(0);
          }
          pids.push(pid);
        }
        t.report(draw());
        for (const pid of pids) rf.waitpid(pid);
      },
      { args: [warm] },
    );
    expect(run.reports).toHaveLength(6);
    for (const name of Object.keys(run.reports[0])) {
      const drawn = run.reports.flatMap((report) => report[name]);
      expect({ name, different: new Set(drawn).size }).toEqual({ name, different: drawn.length });
    }
    const all = run.reports.flatMap((report) => report.random) as number[];
    expect(all.every((x) => x >= 0 && x < 1)).toBe(true);
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.1); // 420 draws: six standard deviations
  });

  test('also with a seed given on the command line', async () => {
    const run = await cleanProgram(
      (rf, t) => {
        const first = Math.random();
        const pid = rf.fork();
        t.report({ first, next: Math.random() });
        if (pid !== 0) rf.waitpid(pid);
      },
      { nodeFlags: ['--random-seed=7'] },
    );
    const [child, parent] = run.reports;
    expect(child.first).toBe(parent.first);
    expect(child.next).not.toBe(parent.next);
  });
});

test('hazard: random numbers in the vm context that loaded the package, as under Jest', async () => {
  const run = await cleanProgram(
    (_rf, t) => {
      const vm = require('node:vm') as typeof import('node:vm');
      const fs = require('node:fs') as typeof import('node:fs');
      const path = require('node:path') as typeof import('node:path');
      const context = vm.createContext({
        process,
        Buffer,
        console,
        queueMicrotask,
        performance,
        setTimeout,
        clearTimeout,
      });
      const cache = new Map<string, { exports: unknown }>();
      const load = (file: string): unknown => {
        const cached = cache.get(file);
        if (cached) return cached.exports;
        const module = { exports: {} };
        cache.set(file, module);
        const wrapped = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(file, 'utf8')}\n})`;
        const folder = path.dirname(file);
        const from = require('node:module').createRequire(file) as NodeJS.Require;
        const find = (name: string) => (name.startsWith('.') ? load(from.resolve(name)) : from(name));
        vm.runInContext(wrapped, context, { filename: file })(module.exports, find, module, file, folder);
        return module.exports;
      };
      const rf = load(t.args[0]) as typeof import('realfork');
      const draw = () => [vm.runInContext('Math.random()', context), Math.random()];
      draw();
      const pids = [1, 2].map(() => {
        const pid = rf.fork();
        if (pid !== 0) return pid;
        t.report(draw());
        process.exit(0);
      });
      t.report(draw());
      for (const pid of pids) rf.waitpid(pid);
    },
    { args: [join(packageRoot, 'dist', 'index.js')] },
  );
  expect(run.reports).toHaveLength(3);
  expect(new Set(run.reports.flat()).size).toBe(6);
});

test('hazard: performance.timeOrigin and now() stay consistent with Date.now() in parent and child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const pid = rf.fork();
    const clocks = {
      timeOrigin: performance.timeOrigin,
      difference: performance.timeOrigin + performance.now() - Date.now(),
    };
    const before = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
    t.report({ ...clocks, passed: performance.now() - before, uptime: process.uptime() * 1e3 - performance.now() });
    if (pid !== 0) rf.waitpid(pid);
  });
  const [one, other] = run.reports;
  for (const each of [one, other]) {
    expect(Math.abs(each.difference)).toBeLessThan(500);
    expect(each.passed).toBeGreaterThan(8);
    expect(Math.abs(each.uptime)).toBeLessThan(500);
  }
  expect(one.timeOrigin).toBe(other.timeOrigin); // a copy: the child's history is the parent's
});

test('hazard: children fork again, six levels deep, each a whole Node', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      let depth = 0;
      let pid = 0;
      while (depth < 6 && (pid = rf.fork()) === 0) {
        depth++;
        await new Promise((resolve) => setTimeout(resolve, 1));
        await require('node:fs').promises.stat('/');
      }
      const status = depth === 6 ? 0 : rf.waitpid(pid).status;
      const output = require('node:child_process').execSync('echo x').toString();
      t.report({ depth, status, pid: process.pid, ppid: process.ppid, output });
      process.exitCode = depth;
    },
    { timeout: 20_000 },
  ).catch((error: Error) => error);
  expect(run).not.toBeInstanceOf(Error);
  const { reports } = run as Awaited<ReturnType<typeof cleanProgram>>;
  expect(reports.map((r) => [r.depth, r.status, r.output])).toEqual(
    [6, 5, 4, 3, 2, 1, 0].map((depth) => [depth, depth === 6 ? 0 : (depth + 1) << 8, 'x\n']),
  );
  reports.slice(0, -1).forEach((r, i) => expect(r.ppid).toBe(reports[i + 1].pid));
});

describe('hazard: the IPC channel of a parent that was itself started by child_process.fork', () => {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-ipc-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('messages arrive at the parent only; the child has no channel; the grandparent sees the parent go', async () => {
    const file = join(folder, 'parent.cjs');
    writeFileSync(
      file,
      `const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
       let got = 0;
       process.on('message', (m) => { got++; if (m === 'end') { process.send({ end: process.pid, got }); process.disconnect(); } else process.send({ echo: m, pid: process.pid }); });
       process.on('disconnect', () => { if (process.pid !== parent) process.send?.({ wrong: true }); });
       const parent = process.pid;
       const pid = fork();
       if (pid === 0) {
         const facts = { connected: process.connected, channel: process.channel == null, send: typeof process.send };
         let sent;
         try { sent = process.send ? process.send({ from: 'child' }, (e) => {}) : 'none'; } catch (error) { sent = error.code; }
         require('fs').writeSync(1, JSON.stringify({ child: process.pid, ...facts, sent, got }) + '\\n');
         // Outlives the parent: the grandparent must see the channel end all the same.
         setTimeout(() => { require('fs').writeSync(1, JSON.stringify({ late: true, got }) + '\\n'); }, 700);
         process.on('error', () => {});
       } else process.send({ ready: process.pid, child: pid });`,
    );
    const run = await script(
      `const cp = require('child_process');
       const p = cp.fork(${JSON.stringify(file)});
       const seen = []; const started = Date.now();
       p.on('message', (m) => { seen.push(m); if (m.ready) for (let i = 0; i < 50; i++) p.send(i); if (m.echo === 49) p.send('end'); });
       p.on('disconnect', () => console.log(JSON.stringify({ disconnected: Date.now() - started })));
       p.on('exit', (code) => console.log(JSON.stringify({ exit: code })));
       process.on('exit', () => console.log(JSON.stringify({ seen })));`,
    );
    expect(run.stderr).toBe('');
    const lines = run.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const find = (key: string) => lines.find((line) => key in line);
    const { seen } = find('seen');
    const parent = seen.find((m: { ready?: number }) => m.ready).ready;
    expect(seen.filter((m: { echo?: number }) => m.echo !== undefined)).toEqual(
      Array.from({ length: 50 }, (_, i) => ({ echo: i, pid: parent })),
    );
    expect(seen).toContainEqual({ end: parent, got: 51 });
    expect(find('child')).toMatchObject({ connected: false, channel: true });
    expect(find('late')).toEqual({ late: true, got: 0 });
    expect(find('exit')).toEqual({ exit: 0 });
    // The disconnect came before the late child ended.
    expect(lines.findIndex((line) => 'disconnected' in line)).toBeLessThan(lines.findIndex((line) => 'late' in line));
  });

  test('process.send in the child of such a parent fails as on a closed channel, and the child ends by itself', async () => {
    const file = join(folder, 'closed.cjs');
    writeFileSync(
      file,
      `const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
       process.on('message', () => {}); // keeps the parent's channel referenced
       const pid = fork();
       if (pid === 0) {
         const errors = [];
         process.on('error', (e) => errors.push(e.code));
         process.on('exit', () => require('fs').writeSync(1, JSON.stringify({ errors }) + '\\n'));
         process.send({ from: 'child' });
         process.send({ from: 'child' }, (e) => errors.push(e && e.code));
       } else { const { status } = waitpid(pid); process.send({ status }); process.disconnect(); }`,
    );
    const run = await script(
      `const p = require('child_process').fork(${JSON.stringify(file)});
       p.on('message', (m) => console.log(JSON.stringify(m)));`,
    );
    const lines = run.output.trim().split('\n').map((line) => JSON.parse(line)); // prettier-ignore
    expect(run.stderr).toBe('');
    expect(lines).toContainEqual({ errors: ['ERR_IPC_CHANNEL_CLOSED', 'ERR_IPC_CHANNEL_CLOSED'] });
    expect(lines).toContainEqual({ status: 0 });
  });

  test('a child of such a parent can use child_process.fork itself', async () => {
    const file = join(folder, 'again.cjs');
    const leaf = join(folder, 'leaf.cjs');
    writeFileSync(leaf, 'process.on("message", (m) => { process.send(m + 1); process.disconnect(); });');
    writeFileSync(
      file,
      `const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
       const pid = fork();
       if (pid === 0) {
         const p = require('child_process').fork(${JSON.stringify(leaf)});
         p.on('message', (m) => { process.exitCode = m; });
         p.send(41);
       } else process.send(waitpid(pid).status >> 8, () => process.disconnect());`,
    );
    const run = await script(
      `require('child_process').fork(${JSON.stringify(file)}).on('message', (m) => console.log(m));`,
    );
    expect([run.output, run.stderr]).toEqual(['42\n', '']);
  });

  test('under node --watch, whose channel it is, a child loads modules', async () => {
    const run = await script(
      `const { fork, waitpid, WEXITSTATUS } = require(${JSON.stringify(packageRoot)});
       const { Process } = require(${JSON.stringify(join(packageRoot, 'dist/multiprocessing.js'))});
       const load = async () => {
         const [{ default: imported }, { sep }] = [await import('data:text/javascript,export default 5'), require('node:path')];
         require(${JSON.stringify(join(packageRoot, 'package.json'))});
         process.exit(sep === '/' ? imported : 1);
       };
       (async () => {
         const pid = fork();
         if (pid === 0) return load();
         const child = new Process({ target: load });
         child.start();
         await child.join();
         console.log('@report ' + JSON.stringify([WEXITSTATUS(waitpid(pid).status), child.exitCode]));
         process.kill(process.ppid, 'SIGTERM'); // the watcher, which would wait for a file to change
       })();`,
      { nodeFlags: ['--watch', '--no-warnings'] },
    );
    expect(run.reports).toEqual([[5, 5]]);
  });

  test('a cluster worker as the parent', async () => {
    const run = await script(
      `const cluster = require('cluster'); const http = require('http');
       const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
       if (cluster.isPrimary) {
         const worker = cluster.fork();
         const seen = [];
         worker.on('message', (m) => { seen.push(m); });
         worker.on('listening', ({ port }) => {
           const ask = () => new Promise((resolve, reject) => http.get({ port, host: '127.0.0.1', agent: false }, (r) => { let t = ''; r.on('data', (d) => t += d).on('end', () => resolve(t)); }).on('error', reject));
           (async () => {
             const answers = [];
             for (let i = 0; i < 10; i++) answers.push(await ask());
             console.log(JSON.stringify({ answers: [...new Set(answers)].length, isWorker: Number(answers[0]) === worker.process.pid }));
             worker.disconnect();
           })();
         });
         worker.on('exit', (code) => console.log(JSON.stringify({ exit: code, seen })));
       } else {
         const server = http.createServer((q, r) => r.end(String(process.pid)));
         server.listen(0, '127.0.0.1', () => {});
         server.once('listening', () => {
           const pid = fork();
           if (pid === 0) { server.close(); process.exit(5); }
           process.send({ status: waitpid(pid).status >> 8, connected: process.connected });
         });
       }`,
      { timeout: 15_000 },
    );
    expect(run.stderr).toBe('');
    expect(
      run.output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { answers: 1, isWorker: true },
      { exit: 0, seen: [{ status: 5, connected: true }] },
    ]);
  }, 20_000);
});

describe('hazard: an open inspector', () => {
  const protocol = `
    const http = require('http');
    const version = (port) => new Promise((resolve) => http.get({ port, host: '127.0.0.1', path: '/json/version', agent: false }, (r) => {
      let text = ''; r.on('data', (d) => (text += d)).on('end', () => resolve(JSON.parse(text).Browser)); }).on('error', (e) => resolve(e.code)));`;
  const body = (open: string) => `
    const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
    const inspector = require('inspector');
    ${open}
    ${protocol}
    const port = new URL(inspector.url()).port;
    (async () => {
      const before = await version(port);
      const pid = fork();
      if (pid === 0) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        const session = new inspector.Session();
        session.connect();
        const value = await new Promise((resolve) => session.post('Runtime.evaluate', { expression: '6 * 7' }, (e, r) => resolve(r.result.value)));
        session.disconnect();
        console.log(JSON.stringify({ child: value }));
        if (process.argv[2] === 'exit') process.exit(3);
        process.exitCode = 3;
        return;
      }
      const during = await version(port);
      const { status } = waitpid(pid);
      const after = await version(port);
      console.log(JSON.stringify({ same: before === during && during === after && before.startsWith('node.js/'), status: status >> 8 }));
      inspector.close();
      process.exit(0);
    })();`;

  test.each([
    ['--inspect=0', ['--inspect=0'], ''],
    ['inspector.open(0)', [], 'inspector.open(0);'],
  ])(
    '%s: the child works and ends, the parent still answers',
    async (_how, nodeFlags, open) => {
      const run = await script(body(open), { nodeFlags, timeout: 15_000 });
      const lines = run.output.trim().split('\n').map((line) => JSON.parse(line)); // prettier-ignore
      expect(run.code).toBe(0);
      expect(lines).toContainEqual({ child: 42 });
      expect(lines).toContainEqual({ same: true, status: 3 });
      expect(run.stderr).not.toMatch(/Assert|FATAL|Error/);
    },
    20_000,
  );

  test('a child whose pool has started threads leaves by process.exit', async () => {
    const run = await program(async (rf, t) => {
      (require('node:inspector') as typeof import('node:inspector')).open(0);
      const statuses: number[] = [];
      for (let i = 0; i < 10; i++) {
        const pid = rf.fork();
        if (pid === 0) {
          const { readFile } = require('node:fs/promises') as typeof import('node:fs/promises');
          await Promise.all(Array.from({ length: 8 }, () => readFile('/dev/null')));
          process.exit(42);
        }
        statuses.push(rf.waitpid(pid).status >> 8);
      }
      t.report(statuses);
      process.exit();
    });
    expect(run.reports).toEqual([Array(10).fill(42)]);
  });

  test('a session within the process goes on in both', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const inspector = require('node:inspector') as typeof import('node:inspector');
      const session = new inspector.Session();
      session.connect();
      const evaluate = (expression: string) =>
        new Promise((resolve) => session.post('Runtime.evaluate', { expression }, (_e, r) => resolve(r.result.value)));
      await evaluate('globalThis.n = 1');
      const pid = rf.fork();
      t.report(await evaluate('++globalThis.n'));
      session.disconnect();
      if (pid !== 0) t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([2, 2, 0]);
  });

  test('a child can open an inspector of its own, and the parent another', async () => {
    const run = await program(async (rf, t) => {
      const inspector = require('node:inspector') as typeof import('node:inspector');
      const pid = rf.fork();
      inspector.open(0);
      const answer = await fetch(
        inspector
          .url()!
          .replace('ws:', 'http:')
          .replace(/[^/]*$/, 'json/list'),
      );
      const [target] = (await answer.json()) as { webSocketDebuggerUrl: string }[];
      t.report(target!.webSocketDebuggerUrl === inspector.url());
      inspector.close();
      if (pid !== 0) t.report(rf.waitpid(pid).status);
      process.exit(0);
    });
    expect(run.reports.filter((report) => report === true)).toHaveLength(2);
    expect(run.reports).toContain(0);
    expect(run.code).toBe(0);
  });
});

test('hazard: a child does not wait for ever for a Worker of its parent in Atomics.wait', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
    const { once } = require('node:events') as typeof import('node:events');
    const shared = new Int32Array(new SharedArrayBuffer(4));
    const answering = `const { parentPort } = require('node:worker_threads');
      parentPort.on('message', (shared) => { Atomics.add(shared, 0, 1); Atomics.notify(shared, 0); });`;
    const ask = (worker: import('node:worker_threads').Worker): string => {
      const before = shared[0]!;
      worker.postMessage(shared);
      return Atomics.wait(shared, 0, before);
    };
    const worker = new Worker(answering, { eval: true });
    await once(worker, 'online');
    t.report(ask(worker));
    const pid = rf.fork();
    if (pid !== 0) {
      t.report(ask(worker));
      rf.waitpid(pid);
      return worker.terminate().then(() => {});
    }
    try {
      ask(worker);
    } catch (error) {
      t.report((error as NodeJS.ErrnoException).code);
    }
    t.report(Atomics.wait(shared, 0, shared[0]!, 1));
    t.report(Atomics.wait(shared, 0, -1));
    const own = new Worker(answering, { eval: true });
    await once(own, 'online');
    t.report(ask(own));
    await own.terminate();
    process.exit(0);
  });
  // A Worker may be quicker with its answer than the main thread with its waiting.
  const seen = run.reports.map((report) => (report === 'not-equal' ? 'ok' : report)).sort();
  expect(seen).toEqual(['ERR_WORKER_NOT_IN_CHILD', 'ok', 'ok', 'ok', 'ok', 'timed-out']);
});

describe('hazard: the thread that runs the hooks of module.register()', () => {
  // A hook that knows 'answer:N', and lets everything else pass.
  const hooks = `data:text/javascript,${encodeURIComponent(`
    const url = /^answer:/;
    export const resolve = (name, context, next) => url.test(name) ? { url: name, shortCircuit: true } : next(name, context);
    export const load = (name, context, next) => url.test(name)
      ? { format: 'module', source: 'export default ' + name.replace(url, ''), shortCircuit: true } : next(name, context);`)}`;
  const registering = `data:text/javascript,${encodeURIComponent(
    `import { register } from 'node:module'; register(${JSON.stringify(hooks)});`,
  )}`;

  test('the imports of a child go without hooks registered before, with those it registers, and none waits for ever', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        t.report((await import(`${'answer:'}1`)).default);
        const pid = rf.fork();
        if (pid !== 0) return t.report(rf.WEXITSTATUS(rf.waitpid(pid).status));
        process.on('warning', ({ code }: NodeJS.ErrnoException) => code?.startsWith('REALFORK') && t.report(code));
        t.report((await import(`${'data:text/javascript,'}export default 2`)).default);
        t.report(await import(`${'answer:'}3`).catch((error: NodeJS.ErrnoException) => error.code));
        await new Promise(setImmediate); // warnings come on the next tick
        (require('node:module') as typeof import('node:module')).register(t.args[0] as string);
        t.report((await import(`${'answer:'}4`)).default);
        process.exitCode = 5;
      },
      { args: [hooks], nodeFlags: ['--no-warnings', '--import', registering] },
    );
    expect(run.reports.filter((report) => report !== 'REALFORK_MODULE_HOOKS')).toEqual([
      1,
      2,
      'ERR_UNSUPPORTED_ESM_URL_SCHEME',
      4,
      5,
    ]);
    expect(run.reports.filter((report) => report === 'REALFORK_MODULE_HOOKS')).toHaveLength(1);
  });

  test('hooks of --experimental-loader work in the child, and in its child', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const pid = rf.fork();
        t.report((await import(`${'answer:'}6`)).default);
        if (pid !== 0) return t.report(rf.waitpid(pid).status);
        const inner = rf.fork();
        t.report((await import(`${'answer:'}7`)).default);
        if (inner !== 0) t.report(rf.waitpid(inner).status);
      },
      { nodeFlags: ['--no-warnings', '--experimental-loader', hooks] },
    );
    expect([...run.reports].sort()).toEqual([0, 0, 6, 6, 7, 7]);
  });
});

describe("hazard: the thread of V8's CPU profiler", () => {
  test('a profile that the parent has begun goes on in the child, which can stop it; the end of its thread too', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const inspector = require('node:inspector') as typeof import('node:inspector');
      const session = new inspector.Session();
      session.connect();
      const post = (method: string, params = {}) =>
        new Promise<{ profile: { nodes: unknown[] } }>((resolve) =>
          session.post(method, params, (_error, result) => resolve(result as never)),
        );
      await post('Profiler.enable');
      await post('Profiler.setSamplingInterval', { interval: 100 });
      await post('Profiler.start');
      for (let i = 0; i < 30; i++) {
        const pid = rf.fork();
        if (pid === 0) rf._exit((await post('Profiler.stop')).profile.nodes.length > 0 ? 7 : 1);
        if (rf.WEXITSTATUS(rf.waitpid(pid).status) !== 7) t.report('another status');
      }
      t.report((await post('Profiler.stop')).profile.nodes.length > 0);
    });
    expect(run.reports).toEqual([true]);
  });

  test.each(['by itself', 'by process.exit()'])('under --cpu-prof a child ends %s', async (how) => {
    const folder = mkdtempSync(join(tmpdir(), 'realfork-profile-'));
    try {
      const run = await cleanProgram(
        (rf, t) => {
          const pid = rf.fork();
          if (pid !== 0) return t.report(rf.WEXITSTATUS(rf.waitpid(pid).status));
          process.exitCode = 5;
          if (t.args[0] !== 'by itself') process.exit();
        },
        { args: [how], nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${folder}`] },
      );
      expect(run.reports).toEqual([5]);
      expect(readdirSync(folder)).toHaveLength(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('hazard: addons with threads of their own', () => {
  test('a thread that is always allocating: the parent keeps it, children do not have it and can allocate', async () => {
    const run = await cleanProgram(
      (rf, t) => {
        const { helper } = t;
        helper.startThread();
        helper.startThread();
        while (helper.threadTicks() < 10) t.burn(1);
        const statuses = [];
        for (let i = 0; i < 50; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            const before = helper.threadTicks();
            const buffers = Array.from({ length: 200 }, (_, k) => Buffer.allocUnsafeSlow(10_000 + k));
            t.burn(5);
            process.exit(helper.threadTicks() === before && buffers.length === 200 ? 0 : 1);
          }
          statuses.push(rf.waitpid(pid).status);
        }
        const before = helper.threadTicks();
        const deadline = performance.now() + 5_000;
        while (helper.threadTicks() === before && performance.now() < deadline) t.burn(1);
        t.report({ bad: statuses.filter((status) => status !== 0), goesOn: helper.threadTicks() > before });
      },
      { timeout: 20_000 },
    );
    expect(run.reports).toEqual([{ bad: [], goesOn: true }]);
  }, 25_000);

  test('a thread that calls JavaScript: it goes on in the parent; the child is not called and can leave', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { helper } = t;
      let calls = 0;
      helper.startEmitter(() => calls++, 1);
      await t.waitUntil(() => calls > 3, 'calls before the fork');
      for (const how of ['exit', 'unref'] as const) {
        const pid = rf.fork();
        if (pid === 0) {
          await new Promise((resolve) => setTimeout(resolve, 20)); // what was queued is delivered
          const settled = calls;
          await new Promise((resolve) => setTimeout(resolve, 20));
          process.exitCode = calls === settled ? 6 : 1;
          if (how === 'exit') process.exit();
          helper.unrefEmitter(); // its thread-safe function is the only thing left
          return;
        }
        const { status } = rf.waitpid(pid);
        const before = calls;
        await t.waitUntil(() => calls > before + 3, 'calls after the fork');
        t.report([how, status >> 8]);
      }
      helper.stopEmitter();
    });
    expect(run.reports).toEqual([
      ['exit', 6],
      ['unref', 6],
    ]);
  });

  test('a thread that calls a thread-safe function all the time: no child finds its lock taken', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { helper } = t;
      let calls = 0;
      helper.startEmitter(() => calls++, 5_000);
      await t.waitUntil(() => calls > 3, 'calls before the fork');
      const codes = new Set<number>();
      for (let i = 0; i < 30; i++) {
        const pid = rf.fork();
        if (pid === 0) {
          // Turns of the loop, which takes the lock of the function for each of the calls that were queued.
          for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
          process.exit(6);
        }
        codes.add(rf.waitpid(pid).status >> 8);
        const before = calls;
        await t.waitUntil(() => calls > before, 'calls after the fork');
      }
      helper.stopEmitter();
      t.report([...codes]);
    });
    expect(run.reports).toEqual([[6]]);
  });

  test('a thread-safe function made in the child works there', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        let calls = 0;
        t.helper.startEmitter(() => calls++, 1);
        await t.waitUntil(() => calls > 3, 'calls in the child');
        t.helper.stopEmitter();
        process.exitCode = 8;
        return;
      }
      t.report(rf.waitpid(pid).status >> 8);
    });
    expect(run.reports).toEqual([8]);
  });
});

test('hazard: only V8 and this thread are in the child; JavaScript Workers and pool threads are not', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
    await fs.promises.stat('/');
    const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
    await new Promise((resolve) => worker.once('online', resolve));
    await new Promise((resolve) => setTimeout(resolve, 20)); // idle
    const threads = () => fs.readdirSync('/proc/self/task').length;
    const pid = rf.fork();
    if (pid === 0) {
      t.report({ child: threads() });
      process.exit(0);
    }
    t.report({ parent: threads(), v8: rf.forkSupport().v8Threads, status: rf.waitpid(pid).status });
    await worker.terminate();
  });
  const all = Object.assign({}, ...run.reports);
  expect(all.status).toBe(0);
  expect(all.child).toBe(1 + all.v8);
  expect(all.parent).toBeGreaterThan(all.child + 4);
});

/** A child that does `work` once its parent, killed by SIGKILL, is gone. */
const orphan = (work: string) => `
  const { fork } = require(${JSON.stringify(packageRoot)});
  const parent = process.pid;
  if (fork() === 0) {
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      ${work}
    }, 5);
  } else process.kill(process.pid, 'SIGKILL');`;

test.each([
  ['calculating', 'for (;;) Atomics.add(workerData, 0, 1)'],
  ['allocating', 'for (let a = [];; Atomics.add(workerData, 0, 1)) { a.push({}); if (a.length > 1e4) a = []; }'],
])(
  'hazard: Workers that are %s all the time go on in the parent and are absent in the child',
  async (_what, source) => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const { once } = require('node:events') as typeof import('node:events');
        const turns = new Int32Array(new SharedArrayBuffer(4));
        const code = `const { workerData } = require('node:worker_threads'); ${t.args[0]}`;
        const workers = Array.from({ length: 3 }, () => new Worker(code, { eval: true, workerData: turns }));
        await Promise.all(workers.map((worker) => once(worker, 'online')));
        await t.waitUntil(() => turns[0] !== 0, 'the Workers run');
        const pid = rf.fork();
        const before = turns[0];
        if (pid === 0) {
          const own = new Worker("require('node:worker_threads').parentPort.postMessage(7)", { eval: true });
          const [answer] = (await once(own, 'message')) as [number];
          process.exit(turns[0] === before ? answer : 1);
        }
        await t.waitUntil(() => turns[0] !== before, 'they go on');
        t.report((await rf.waitpidAsync(pid)).status >> 8);
        await Promise.all(workers.map((worker) => worker.terminate()));
      },
      { args: [source] },
    );
    expect(run.reports).toEqual([7]);
  },
);

test('hazard: the parent killed with SIGKILL leaves a child that goes on and ends by itself', async () => {
  const run = await script(
    orphan("require('fs').promises.stat('/').then(() => console.log('orphan works', process.ppid !== parent));"),
    { grace: 5_000 },
  );
  expect([run.signal, run.output, run.stderr]).toEqual(['SIGKILL', 'orphan works true\n', '']);
});

// Abseil's mutexes, in Node 22 and later, say so on stderr when a thread is not known to the kernel by its former id.
test('hazard: the threads of V8 work in a child whose parent is gone', async () => {
  const run = await script(
    orphan(`
      const kept = [];
      for (let i = 0; i < 3e6; i++) kept[i % 50_000] = { number: i, pair: [i, i + 1], text: 'x' + i };
      console.log('collected', kept.length);`),
    { grace: 10_000 },
  );
  expect([run.signal, run.output, run.stderr]).toEqual(['SIGKILL', 'collected 50000\n', '']);
});

test('hazard: a terminal, or none: stdout closed in the child only', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const pid = rf.fork();
    if (pid === 0) {
      for (const fd of [0, 1, 2]) fs.closeSync(fd);
      setTimeout(() => (process.exitCode = 9), 1);
      return;
    }
    t.report(rf.waitpid(pid).status >> 8);
  });
  expect(run.reports).toEqual([9]);
});

test('hazard: the shell sees the exit status of the parent, not of a child that ends later', async () => {
  const child = spawn('sh', ['-c', '"$0" "$@"; echo "status $?"', process.execPath, '-e', `
    const { fork } = require(${JSON.stringify(packageRoot)});
    if (fork() === 0) setTimeout(() => process.exit(3), 30); else process.exit(4);`]); // prettier-ignore
  let text = '';
  child.stdout.on('data', (data) => (text += data));
  await new Promise((resolve) => child.on('close', resolve));
  expect(text).toBe('status 4\n');
});
