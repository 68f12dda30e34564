/** child_process and worker_threads in a forked child. CPython's TestFork.test_fork_asyncio_subprocess. */
import { cleanProgram } from '../helpers/program';

test('L13 spawn, exec, execFile, fork and their Sync forms report output and exit code', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const cp = require('node:child_process') as typeof import('node:child_process');
    const { promisify } = require('node:util') as typeof import('node:util');
    const fs = require('node:fs') as typeof import('node:fs');
    const script = `${require('node:os').tmpdir()}/realfork-l13-${process.pid}.cjs`;
    fs.writeFileSync(
      script,
      'process.on("message", (m) => { process.send({ got: m, ppid: process.ppid }); process.disconnect(); process.exitCode = 6; });',
    );
    const spawned = (command: string, args: string[]) =>
      new Promise<unknown[]>((resolve, reject) => {
        let text = '';
        const child = cp.spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
        child.stdout.on('data', (data) => (text += data));
        child.on('error', reject);
        child.on('close', (code, signal) => resolve([text, code, signal]));
        child.stdin.on('error', () => {}); // EPIPE from those that do not read
        child.stdin.end('input');
      });
    await spawned('true', []); // child_process has been used before the fork
    const pid = rf.fork();
    if (pid === 0) {
      const seen: Record<string, unknown> = {};
      seen['spawn'] = await spawned('sh', ['-c', 'cat; exit 3']);
      seen['many'] = (await Promise.all([1, 2, 3].map((i) => spawned('sh', ['-c', `exit ${i}`])))).map((end) => end[1]);
      seen['signal'] = await spawned('sh', ['-c', 'kill -TERM $$']);
      seen['exec'] = (await promisify(cp.exec)('echo exec')).stdout;
      seen['execFile'] = (await promisify(cp.execFile)(process.execPath, ['-p', '6 * 7'])).stdout;
      seen['failing'] = await promisify(cp.exec)('exit 4').catch((error: { code: number }) => error.code);
      seen['missing'] = await promisify(cp.execFile)('/no/such/program').catch((error: { code: string }) => error.code);
      seen['fork'] = await new Promise((resolve) => {
        const child = cp.fork(script);
        let message: { ppid: number } | undefined;
        child.on('message', (m) => (message = m as { ppid: number }));
        child.on('close', (code) => resolve([{ ...message, ppid: message?.ppid === process.pid }, code]));
        child.send('hello');
      });
      seen['spawnSync'] = cp.spawnSync('sh', ['-c', 'cat; exit 5'], { input: 'sync' }).stdout.toString();
      seen['execSync'] = cp.execSync('echo execSync').toString();
      seen['execFileSync'] = cp.execFileSync('echo', ['execFileSync']).toString();
      t.report(seen);
      return; // and then the child ends by itself
    }
    t.report({ status: rf.waitpid(pid).status });
    t.report({ parent: await spawned('sh', ['-c', 'exit 9']) });
    fs.unlinkSync(script);
  });
  expect(run.reports).toEqual([
    {
      spawn: ['input', 3, null],
      many: [1, 2, 3],
      signal: ['', null, 'SIGTERM'],
      exec: 'exec\n',
      execFile: '42\n',
      failing: 4,
      missing: 'ENOENT',
      fork: [{ got: 'hello', ppid: true }, 6],
      spawnSync: 'sync',
      execSync: 'execSync\n',
      execFileSync: 'execFileSync\n',
    },
    { status: 0 },
    { parent: ['', 9, null] },
  ]);
});

test('L13 the same with child_process never used before the fork, at once in parent, child and grandchild', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { execFile } = require('node:child_process') as typeof import('node:child_process');
    const child = rf.fork();
    const grandchild = child === 0 ? rf.fork() : -1;
    const who = child !== 0 ? 'parent' : grandchild !== 0 ? 'child' : 'grandchild';
    const outputs = await Promise.all(
      Array.from(
        { length: 3 },
        (_, i) => new Promise((resolve) => execFile('echo', [who, `${i}`], (_e, out) => resolve(out))),
      ),
    );
    if (who !== 'grandchild') t.report(rf.waitpid(child !== 0 ? child : grandchild).status);
    t.report(outputs);
  });
  const of = (who: string) => [0, 1, 2].map((i) => `${who} ${i}\n`);
  expect(run.reports).toEqual([of('grandchild'), 0, of('child'), 0, of('parent')]);
});

test("hazard: the parent's child processes report their end to the parent only and do not keep the child alive", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { spawn } = require('node:child_process') as typeof import('node:child_process');
    const fs = require('node:fs') as typeof import('node:fs');
    const children = [
      spawn('sh', ['-c', 'read line; exit 3'], { stdio: ['pipe', 'ignore', 'ignore'] }),
      spawn('sleep', ['100'], { stdio: 'ignore' }),
    ];
    const ends: unknown[] = [];
    for (const child of children) child.on('exit', (code, signal) => ends.push([code, signal]));
    const pid = rf.fork();
    if (pid === 0) {
      process.on('exit', () => t.report({ who: 'child', ends }));
      children[0]!.stdin!.destroy(); // its own copy of the pipe
      // A child of its own is told apart from them.
      await new Promise((resolve) =>
        spawn('sh', ['-c', 'exit 5']).on('exit', (code) => resolve(ends.push(['own', code]))),
      );
      return;
    }
    const { status } = rf.waitpid(pid);
    fs.writeSync((children[0]!.stdin as unknown as { _handle: { fd: number } })._handle.fd, 'line\n');
    children[1]!.kill();
    await t.waitUntil(() => ends.length === 2, 'both ends');
    t.report({ who: 'parent', status, ends: ends.sort() });
  });
  expect(run.reports).toEqual([
    { who: 'child', ends: [['own', 5]] },
    {
      who: 'parent',
      status: 0,
      ends: [
        [null, 'SIGTERM'],
        [3, null],
      ],
    },
  ]);
});

test('L13 worker_threads in the child: messages, shared memory, errors, terminate, many at once', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Worker, MessageChannel } = require('node:worker_threads') as typeof import('node:worker_threads');
    const pid = rf.fork();
    if (pid === 0) {
      const evaluate = (source: string, options: object = {}) =>
        new Promise((resolve) => {
          const messages: unknown[] = [];
          const worker = new Worker(source, { eval: true, ...options });
          worker.on('message', (message) => messages.push(message));
          worker.on('error', (error: Error) => messages.push(error.message));
          worker.on('exit', (code) => resolve([...messages, code]));
        });
      const head = 'const { parentPort, workerData } = require("worker_threads");';
      const shared = new Int32Array(new SharedArrayBuffer(8));
      const seen = [
        await evaluate(`${head} parentPort.postMessage(process.pid)`),
        await evaluate(`${head} parentPort.postMessage(workerData * 2)`, { workerData: 21 }),
        await evaluate(`${head} Atomics.add(workerData, 0, 5)`, { workerData: shared }),
        await evaluate('throw new Error("in worker")'),
        await evaluate('process.exit(7)'),
        await evaluate(`${head} require('fs').promises.stat('/').then((s) => parentPort.postMessage(s.isDirectory()))`),
        await evaluate(`${head} parentPort.postMessage(require('child_process').execSync('echo x').toString())`),
      ];
      const many = await Promise.all(
        Array.from({ length: 4 }, (_, i) => evaluate(`${head} parentPort.postMessage(${i})`)),
      );
      const busy = new Worker('for (;;);', { eval: true });
      await new Promise((resolve) => busy.once('online', resolve));
      const terminated = await busy.terminate();
      const { port1, port2 } = new MessageChannel();
      const echo = new Worker(
        `${head} parentPort.once("message", (p) => p.on("message", (m) => { p.postMessage(m + 1); p.close(); }))`,
        {
          eval: true,
        },
      );
      echo.postMessage(port2, [port2]);
      port1.postMessage(1);
      const echoed = await new Promise((resolve) => port1.once('message', resolve));
      t.report({ seen, own: process.pid, shared: shared[0], many, terminated, echoed });
      return;
    }
    t.report({ pid, status: rf.waitpid(pid).status });
  });
  const [child, parent] = run.reports;
  expect(child).toEqual({
    seen: [[parent.pid, 0], [42, 0], [0], ['in worker', 1], [7], [true, 0], ['x\n', 0]],
    own: parent.pid,
    shared: 5,
    many: [
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
    ],
    terminated: 1,
    echoed: 2,
  });
  expect(parent.status).toBe(0);
});
