/** libuv's thread pool after a fork. libuv test/test-fork.c fork_threadpool_queue_work_simple. */
import { cleanProgram, type ProgramOptions } from '../helpers/program';

/** Everything that goes through the pool, at once; runs inside the programs. */
const useThePool = `(async () => {
  const { promisify } = require('node:util');
  const fs = require('node:fs');
  const crypto = require('node:crypto');
  const zlib = require('node:zlib');
  const dns = require('node:dns');
  const file = require('node:os').tmpdir() + '/realfork-pool-' + crypto.randomUUID();
  const [key, zipped, address, text] = await Promise.all([
    promisify(crypto.pbkdf2)('secret', 'salt', 1000, 16, 'sha256'),
    promisify(zlib.gzip)('x'.repeat(1000)),
    dns.promises.lookup('localhost'),
    (async () => {
      await fs.promises.writeFile(file, 'written');
      const text = await fs.promises.readFile(file, 'utf8');
      await fs.promises.unlink(file);
      return text;
    })(),
  ]);
  const bytes = await promisify(crypto.randomBytes)(16);
  const plain = (await promisify(zlib.gunzip)(zipped)).length;
  return [key.toString('hex'), plain, ['127.0.0.1', '::1'].includes(address.address), text, bytes.length];
})()`;
const expected = [
  require('node:crypto').pbkdf2Sync('secret', 'salt', 1000, 16, 'sha256').toString('hex') as string,
  1000,
  true,
  'written',
  16,
];

const situations: [string, { jobs: number; before: boolean }, ProgramOptions][] = [
  ['L02 thread pool used before the fork', { jobs: 1, before: true }, {}],
  ['L03 thread pool never used before the fork', { jobs: 1, before: false }, {}],
  ['L03 UV_THREADPOOL_SIZE=1, used before', { jobs: 1, before: true }, { env: { UV_THREADPOOL_SIZE: '1' } }],
  ['L03 UV_THREADPOOL_SIZE=1, not used before', { jobs: 1, before: false }, { env: { UV_THREADPOOL_SIZE: '1' } }],
  ['L03 30 jobs at once', { jobs: 30, before: true }, {}],
  ['L03 30 jobs at once through one thread', { jobs: 30, before: false }, { env: { UV_THREADPOOL_SIZE: '1' } }],
  ['L03 a pool of 64 threads', { jobs: 30, before: true }, { env: { UV_THREADPOOL_SIZE: '64' } }],
];

test.each(situations)('%s: it works in child and parent at the same time', async (_name, settings, options) => {
  const run = await cleanProgram(
    async (rf, t) => {
      const [{ jobs, before }, work] = t.args;
      const use = () => (0, eval)(`(require) => ${work}`)(require) as Promise<unknown>;
      if (before) await use();
      const pid = rf.fork();
      const results = await Promise.all(Array.from({ length: jobs }, use));
      t.report({ who: pid === 0 ? 'child' : 'parent', results });
      if (pid !== 0) t.report({ status: rf.waitpid(pid).status });
    },
    { args: [settings, useThePool], ...options },
  );
  const results = Array(settings.jobs).fill(expected);
  expect(run.reports).toHaveLength(3);
  expect(run.reports).toContainEqual({ who: 'child', results });
  expect(run.reports).toContainEqual({ who: 'parent', results });
  expect(run.reports).toContainEqual({ status: 0 });
});

test('L03 in a grandchild, and in its parent and grandparent at the same time', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const use = () => (0, eval)(`(require) => ${t.args[0]}`)(require) as Promise<unknown>;
      await use();
      let depth = 0;
      let pid = 0;
      while (depth < 3 && (pid = rf.fork()) === 0) depth++;
      const results = await Promise.all([use(), use(), use()]);
      const status = pid === 0 ? 0 : rf.waitpid(pid).status;
      t.report({ depth, right: results.every((r) => JSON.stringify(r) === t.args[1]), status });
    },
    { args: [useThePool, JSON.stringify(expected)] },
  );
  expect(run.reports).toEqual([3, 2, 1, 0].map((depth) => ({ depth, right: true, status: 0 })));
});

test('hazard: requests pending in the pool complete in the parent only and do not keep the child alive', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const crypto = require('node:crypto') as typeof import('node:crypto');
      const zlib = require('node:zlib') as typeof import('node:zlib');
      const settled: string[] = [];
      const { blocker } = t.pipes('blocker');
      const requests = [
        // The pool's only thread waits in this until the parent has forked.
        new Promise((resolve) => fs.read(blocker.read, Buffer.alloc(1), 0, 1, null, resolve)),
        fs.promises.readFile(process.execPath).then(() => settled.push('fs promise')),
        new Promise((resolve) => fs.readFile(__filename, resolve)).then(() => settled.push('fs callback')),
        new Promise((resolve) => crypto.pbkdf2('a', 'b', 20_000, 64, 'sha512', resolve)).then(() =>
          settled.push('crypto'),
        ),
        new Promise((resolve) => zlib.deflate(Buffer.alloc(1 << 20), resolve)).then(() => settled.push('zlib')),
        require('node:dns')
          .promises.lookup('localhost')
          .then(() => settled.push('dns')),
        crypto.subtle.digest('SHA-256', Buffer.alloc(1 << 20)).then(() => settled.push('subtle')),
        ...Array.from({ length: 20 }, () => fs.promises.stat('/')),
      ];
      const pid = rf.fork();
      if (pid === 0) {
        process.on('exit', () => t.report({ who: 'child', settled }));
        // New requests of the child's own are answered while the old ones never are.
        await fs.promises.stat('/');
        await new Promise((resolve) => setTimeout(resolve, 100));
        settled.push('own');
        return;
      }
      fs.writeSync(blocker.write, 'x');
      await Promise.all(requests);
      t.report({ who: 'parent', settled: settled.sort() });
      t.report({ status: rf.waitpid(pid).status });
    },
    { env: { UV_THREADPOOL_SIZE: '1' } },
  );
  expect(run.reports).toContainEqual({ who: 'child', settled: ['own'] });
  expect(run.reports).toContainEqual({
    who: 'parent',
    settled: ['crypto', 'dns', 'fs callback', 'fs promise', 'subtle', 'zlib'],
  });
  expect(run.reports).toContainEqual({ status: 0 });
});

test('hazard: a request that was done but not yet delivered is delivered in both', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    await fs.promises.stat('/');
    let delivered = 0;
    fs.stat('/', () => delivered++);
    t.burn(100); // the pool has long answered; the loop has not looked
    const pid = rf.fork();
    process.on('exit', () => t.report({ who: pid === 0 ? 'child' : 'parent', delivered }));
    if (pid !== 0) setTimeout(() => rf.waitpid(pid), 50);
  });
  expect(run.reports).toContainEqual({ who: 'child', delivered: 1 });
  expect(run.reports).toContainEqual({ who: 'parent', delivered: 1 });
});

test("hazard: a stream that was reading a file goes on in the parent; the child's own streams work", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const { pipeline } = require('node:stream/promises') as typeof import('node:stream/promises');
    const { Writable } = require('node:stream') as typeof import('node:stream');
    const size = fs.statSync(process.execPath).size;
    const count = async (source: NodeJS.ReadableStream) => {
      let bytes = 0;
      await pipeline(source, new Writable({ write: (chunk: Buffer, _e, done) => ((bytes += chunk.length), done()) }));
      return bytes;
    };
    const stream = fs.createReadStream(process.execPath);
    const first = await new Promise<Buffer>((resolve) => stream.once('data', (chunk) => resolve(chunk as Buffer)));
    stream.pause();
    const pid = rf.fork();
    if (pid === 0) {
      t.report({ who: 'child', whole: (await count(fs.createReadStream(process.execPath))) === size });
      process.exit(0);
    }
    const { status } = rf.waitpid(pid);
    t.report({ who: 'parent', whole: first.length + (await count(stream)) === size, status });
  });
  expect(run.reports).toEqual([
    { who: 'child', whole: true },
    { who: 'parent', whole: true, status: 0 },
  ]);
});
