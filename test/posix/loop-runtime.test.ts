/** The rest of Node's runtime in a child: each feature used before the fork as well as there, and the same in both. */
import { cleanProgram, type ProgramOptions } from '../helpers/program';

// What the tests use of it: the types of Node do not have it.
interface WasmInstance {
  readonly exports: Record<string, unknown>;
}
declare const WebAssembly: {
  instantiate(bytes: Buffer): Promise<{ instance: WasmInstance; module: object }>;
  instantiate(module: object): Promise<WasmInstance>;
  compile(bytes: Buffer): Promise<object>;
  validate(bytes: Buffer): boolean;
  Instance: new (module: object) => WasmInstance;
  Module: new (bytes: Buffer) => object;
};

type Body = (t: import('../helpers/program-tools').Tools, before: unknown) => unknown;

interface Feature {
  readonly name: string;
  /** Runs before the fork; what it returns (or resolves to) is given to `use`. */
  readonly prepare?: () => unknown;
  /** Runs in child and parent, which have to report the same. */
  readonly use: Body;
  readonly expected?: unknown;
  readonly options?: ProgramOptions;
}

/** Run one feature in the child and then in the parent. */
async function runFeature({ prepare, use, options }: Feature) {
  return cleanProgram(
    async (rf, t) => {
      const compile = (text: string) =>
        new Function('require', `return (${text})`)(require) as (...given: unknown[]) => unknown;
      const before = await compile(t.args[0])();
      const pid = rf.fork();
      const result = await compile(t.args[1])(t, before);
      t.report(result);
      if (pid !== 0) t.report(rf.waitpid(pid).status);
    },
    { ...options, args: [(prepare ?? (() => {})).toString(), use.toString()] },
  );
}

const features: Feature[] = [
  {
    name: 'zlib, synchronous, asynchronous and as a stream made before the fork',
    prepare: () => {
      const zlib = require('node:zlib');
      const stream = zlib.createGzip();
      stream.write('written before; ');
      return { zlib, stream, started: new Promise((resolve) => stream.flush(resolve)) };
    },
    use: async (_t, before) => {
      const { zlib } = before as { zlib: typeof import('node:zlib') };
      const { promisify } = require('node:util');
      const { pipeline } = require('node:stream/promises');
      const text = 'abc'.repeat(100_000);
      const packed = await promisify(zlib.brotliCompress)(text);
      const chunks: Buffer[] = [];
      const gzip = zlib.createGzip();
      const done = pipeline(gzip, async (source: AsyncIterable<Buffer>) => {
        for await (const chunk of source) chunks.push(chunk);
      });
      gzip.end(text);
      await done;
      return [
        zlib.gunzipSync(zlib.gzipSync(text)).toString() === text,
        zlib.brotliDecompressSync(packed).toString() === text,
        zlib.gunzipSync(Buffer.concat(chunks)).toString() === text,
      ];
    },
    expected: [true, true, true],
  },
  {
    name: 'crypto: hashes begun before the fork, key derivation, signatures, ciphers, subtle',
    prepare: async () => {
      const crypto = require('node:crypto') as typeof import('node:crypto');
      const hash = crypto.createHash('sha256').update('before;');
      const keys = crypto.generateKeyPairSync('ed25519');
      const subtle = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt', 'decrypt']);
      return { hash, keys, subtle };
    },
    use: async (_t, before) => {
      const crypto = require('node:crypto') as typeof import('node:crypto');
      const { promisify } = require('node:util');
      const { hash, keys, subtle } = before as {
        hash: import('node:crypto').Hash;
        keys: import('node:crypto').KeyPairKeyObjectResult;
        subtle: import('node:crypto').webcrypto.CryptoKey;
      };
      const signature = crypto.sign(null, Buffer.from('text'), keys.privateKey);
      const iv = Buffer.alloc(12, 1);
      const secret = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, subtle, Buffer.from('secret'));
      const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, subtle, secret);
      const pair = await promisify(crypto.generateKeyPair)('ec', { namedCurve: 'P-256' });
      const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, 2), Buffer.alloc(16, 3));
      return [
        hash.update('after').digest('hex'),
        crypto.verify(null, Buffer.from('text'), keys.publicKey, signature),
        signature.toString('hex').length,
        Buffer.from(plain).toString(),
        pair.publicKey.asymmetricKeyType,
        cipher.update('x', 'utf8', 'hex') + cipher.final('hex'),
        crypto.pbkdf2Sync('a', 'b', 10, 8, 'sha1').toString('hex'),
        (await promisify(crypto.pbkdf2)('a', 'b', 10, 8, 'sha1')).toString('hex'),
        (await promisify(crypto.scrypt)('a', 'b', 8)).toString('hex'),
        Buffer.from(await crypto.subtle.digest('SHA-1', Buffer.from('x'))).toString('hex'),
        crypto.createHmac('sha1', 'k').update('x').digest('hex'),
        (await promisify(crypto.randomBytes)(5)).length,
        (await promisify(crypto.randomInt)(1, 2)) as number,
        crypto.getRandomValues(new Uint8Array(4)).length,
      ];
    },
  },
  {
    name: 'WebAssembly compiled before the fork and after it, synchronously and not',
    prepare: async () => {
      // (module (memory (export "m") 1) (func (export "f") (param i32) (result i32)
      //   (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0))) (i32.load (i32.const 0))))
      const bytes = Buffer.from(
        '0061736d0100000001060160017f017f030201000503010001070902016d0200016600000a16011400410041002802002000' +
          '6a36020041002802000b',
        'hex',
      );
      const { instance, module } = await WebAssembly.instantiate(bytes);
      for (let i = 0; i < 100_000; i++) (instance.exports['f'] as (n: number) => number)(1); // optimised by now
      return { bytes, module, instance };
    },
    use: async (_t, before) => {
      const { bytes, module, instance } = before as {
        bytes: Buffer;
        module: object;
        instance: WasmInstance;
      };
      const run = (from: WasmInstance) => {
        let result = 0;
        for (let i = 0; i < 1_000; i++) result = (from.exports['f'] as (n: number) => number)(2);
        return result;
      };
      const memory = instance.exports['m'] as { buffer: ArrayBuffer; grow(pages: number): number };
      const results = [
        run(instance),
        run(new WebAssembly.Instance(module)),
        run(new WebAssembly.Instance(new WebAssembly.Module(bytes))),
      ];
      const compiled = await WebAssembly.compile(bytes);
      results.push(run(await WebAssembly.instantiate(compiled)));
      memory.grow(2);
      return [...results, memory.buffer.byteLength, WebAssembly.validate(Buffer.from('no')), run(instance)];
    },
    expected: [102_000, 2_000, 2_000, 2_000, 3 * 65_536, false, 104_000],
  },
  {
    name: 'AsyncLocalStorage and async_hooks: the context goes on, and later ones are new',
    prepare: () => {
      const { AsyncLocalStorage } = require('node:async_hooks') as typeof import('node:async_hooks');
      const storage = new AsyncLocalStorage<string>();
      storage.enterWith('before');
      return { storage, bound: AsyncLocalStorage.bind(() => storage.getStore()) };
    },
    use: async (_t, before) => {
      const { storage, bound } = before as {
        storage: import('node:async_hooks').AsyncLocalStorage<string>;
        bound: () => string;
      };
      const hooks = require('node:async_hooks') as typeof import('node:async_hooks');
      const types = new Set<string>();
      const hook = hooks.createHook({ init: (_id, type) => void types.add(type) }).enable();
      storage.enterWith('entered');
      const kept = await new Promise((resolve) => setTimeout(() => resolve(storage.getStore()), 1));
      const inner = await storage.run('inner', async () => {
        await require('node:fs').promises.stat('/');
        return storage.getStore();
      });
      const parallel = await Promise.all(
        ['a', 'b', 'c'].map((name) =>
          storage.run(name, () => new Promise((resolve) => setImmediate(() => resolve(storage.getStore())))),
        ),
      );
      hook.disable();
      return [
        kept,
        inner,
        parallel,
        bound(),
        storage.getStore(),
        ['Timeout', 'Immediate', 'PROMISE'].map((type) => types.has(type)),
      ];
    },
    expected: ['entered', 'inner', ['a', 'b', 'c'], 'before', 'entered', [true, true, true]],
  },
  {
    name: 'EventTarget, MessageChannel, BroadcastChannel, structuredClone with a transfer',
    prepare: () => {
      const channel = new MessageChannel();
      channel.port1.postMessage('posted before');
      return channel;
    },
    use: async (_t, before) => {
      const { port1, port2 } = before as import('node:worker_threads').MessageChannel;
      const next = (port: import('node:worker_threads').MessagePort) =>
        new Promise((resolve) => port.once('message', resolve).ref());
      const old = await next(port2);
      const later = next(port2);
      port1.postMessage({ now: new Map([[1, 2]]) });
      const now = ((await later) as { now: Map<number, number> }).now.get(1);
      port1.close();
      const closed = await new Promise((resolve) => {
        port2.ref();
        port2.on('close', () => resolve('closed'));
      });
      const [a, b] = [new BroadcastChannel('x'), new BroadcastChannel('x')];
      const heard = new Promise((resolve) => {
        b.onmessage = (event) => resolve((event as MessageEvent).data);
      });
      a.postMessage('broadcast');
      const broadcast = await heard;
      a.close();
      b.close();
      const buffer = new ArrayBuffer(8);
      const moved = structuredClone(buffer, { transfer: [buffer] });
      const target = new EventTarget();
      const seen: string[] = [];
      target.addEventListener('x', (event) => seen.push(event.type), { once: true });
      target.dispatchEvent(new Event('x'));
      target.dispatchEvent(new Event('x'));
      return [old, now, closed, broadcast, buffer.byteLength, moved.byteLength, seen];
    },
    expected: ['posted before', 2, 'closed', 'broadcast', 0, 8, ['x']],
  },
  {
    name: 'WeakRef, FinalizationRegistry and WeakMap across a collection',
    prepare: () => {
      const weak = { kept: { a: 1 } as { a: number } | undefined, map: new WeakMap<object, string>() };
      weak.map.set(weak.kept!, 'value');
      const cleaned: string[] = [];
      const registry = new FinalizationRegistry<string>((name) => cleaned.push(name));
      registry.register(weak.kept!, 'made before');
      return { weak, cleaned, registry, ref: new WeakRef(weak.kept!) };
    },
    use: async (t, before) => {
      const state = before as {
        weak: { kept?: { a: number } | undefined; map: WeakMap<object, string> };
        cleaned: string[];
        registry: FinalizationRegistry<string>;
        ref: WeakRef<{ a: number }>;
      };
      const collect = (globalThis as unknown as { gc(): void }).gc;
      collect();
      const whileKept = [state.ref.deref()?.a, state.weak.map.get(state.weak.kept!)];
      state.weak.kept = undefined;
      (() => state.registry.register({}, 'made after'))();
      await t.waitUntil(() => {
        collect();
        return state.cleaned.length === 2;
      }, 'both finalizers');
      return [whileKept, state.cleaned.sort(), state.ref.deref() ?? null];
    },
    expected: [[1, 'value'], ['made after', 'made before'], null],
    options: { nodeFlags: ['--expose-gc'] },
  },
  {
    name: 'clocks: performance, process.uptime, hrtime and Date agree',
    use: async () => {
      const agree = () => Math.abs(performance.timeOrigin + performance.now() - Date.now()) < 1_000;
      const uptime = () => Math.abs(process.uptime() * 1e3 - performance.now()) < 1_000;
      const first = performance.now();
      const hrtime = process.hrtime.bigint();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const passed = [performance.now() - first, Number(process.hrtime.bigint() - hrtime) / 1e6];
      const { performance: hooks, monitorEventLoopDelay, PerformanceObserver } = require('node:perf_hooks');
      const observed = new Promise<string>((resolve) => {
        const observer = new PerformanceObserver((list: { getEntries(): { name: string }[] }) => {
          observer.disconnect();
          resolve(list.getEntries()[0]!.name);
        });
        observer.observe({ entryTypes: ['measure'] });
      });
      hooks.mark('a');
      hooks.measure('measured', 'a');
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      await new Promise((resolve) => setTimeout(resolve, 20));
      delay.disable();
      return [
        agree(),
        uptime(),
        passed.every((ms) => ms >= 19),
        await observed,
        delay.max > 0,
        hooks.eventLoopUtilization().active > 0,
      ];
    },
    expected: [true, true, true, 'measured', true, true],
  },
  {
    name: 'v8: heap statistics, serialize, a heap snapshot, cached code, and heap limits',
    use: async () => {
      const v8 = require('node:v8') as typeof import('node:v8');
      const vm = require('node:vm') as typeof import('node:vm');
      const { pipeline } = require('node:stream/promises');
      const statistics = v8.getHeapStatistics();
      let snapshot = 0;
      let head = '';
      await pipeline(v8.getHeapSnapshot(), async (source: AsyncIterable<Buffer>) => {
        for await (const chunk of source) {
          head ||= chunk.toString('latin1').slice(0, 12);
          snapshot += chunk.length;
        }
      });
      const script = new vm.Script('let n = 0; for (let i = 0; i < 10; i++) n += i; n');
      const cachedData = script.createCachedData();
      const again = new vm.Script('let n = 0; for (let i = 0; i < 10; i++) n += i; n', { cachedData });
      return [
        statistics.used_heap_size > 1e6 && statistics.heap_size_limit > 1e7,
        v8.getHeapSpaceStatistics().length > 3,
        v8.deserialize(v8.serialize({ a: [1, new Date(0)] })).a[1].getTime(),
        head,
        snapshot > 1e6,
        [again.cachedDataRejected, again.runInThisContext(), vm.runInNewContext('x * 2', { x: 21 })],
        process.memoryUsage().rss > 1e7 && process.memoryUsage().heapUsed > 1e6,
        process.memoryUsage.rss() > 1e7,
      ];
    },
    expected: [true, true, 0, '{"snapshot":', true, [false, 45, 42], true, true],
    options: { timeout: 30_000 },
  },
  {
    name: 'streams, readline, events.once and iterators, string decoding, web streams, blobs',
    use: async () => {
      const { Readable, Transform } = require('node:stream') as typeof import('node:stream');
      const { pipeline } = require('node:stream/promises');
      const { once, EventEmitter } = require('node:events') as typeof import('node:events');
      const readline = require('node:readline');
      const out: string[] = [];
      await pipeline(
        Readable.from(['a', 'b', 'c']),
        new Transform({ transform: (chunk, _e, done) => done(null, chunk.toString().toUpperCase()) }),
        async (source: AsyncIterable<Buffer>) => {
          for await (const chunk of source) out.push(chunk.toString());
        },
      );
      const lines: string[] = [];
      for await (const line of readline.createInterface({ input: Readable.from(['x\ny\n', 'z']) })) lines.push(line);
      const emitter = new EventEmitter();
      setImmediate(() => emitter.emit('ready', 5));
      const [five] = await once(emitter, 'ready');
      const compressed = new Blob(['blob']).stream().pipeThrough(new CompressionStream('gzip'));
      const text = await new Response(compressed.pipeThrough(new DecompressionStream('gzip'))).text();
      return [
        out.join(''),
        lines,
        five,
        text,
        new TextDecoder('utf-16le').decode(Buffer.from('hé', 'utf16le')),
        await new Blob(['12']).arrayBuffer().then((b) => b.byteLength),
      ];
    },
    expected: ['ABC', ['x', 'y', 'z'], 5, 'blob', 'hé', 2],
  },
  {
    name: 'files: promises, sync, streams, directories, watchers of one, opendir, a FileHandle from before',
    prepare: async () => {
      const fs = require('node:fs') as typeof import('node:fs');
      const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-files-`);
      fs.writeFileSync(`${folder}/file`, 'content');
      return { folder, owner: process.pid, handle: await fs.promises.open(`${folder}/file`) };
    },
    use: async (_t, before) => {
      const { folder, handle, owner } = before as {
        folder: string;
        owner: number;
        handle: import('node:fs').promises.FileHandle;
      };
      const fs = require('node:fs') as typeof import('node:fs');
      const mine = `${folder}/${process.pid}`;
      await fs.promises.mkdir(`${mine}/deep/er`, { recursive: true });
      await fs.promises.writeFile(`${mine}/deep/er/x`, 'x');
      fs.symlinkSync('x', `${mine}/deep/er/link`);
      const read = await handle.read(Buffer.alloc(7), 0, 7, 0);
      const names = (await fs.promises.readdir(mine, { recursive: true })).sort();
      const linked = await fs.promises.readFile(`${mine}/deep/er/link`, 'utf8');
      const code = await fs.promises.access(`${mine}/nothing`).catch((error: NodeJS.ErrnoException) => error.code);
      const opened: string[] = [];
      for await (const entry of await fs.promises.opendir(mine)) opened.push(entry.name);
      await fs.promises.rm(mine, { recursive: true });
      await handle.close();
      const left = fs.existsSync(mine);
      if (process.pid === owner) process.on('exit', () => fs.rmSync(folder, { recursive: true }));
      if (fs.readdirSync(folder).length === 1 && process.ppid === (globalThis as { none?: number }).none)
        fs.rmSync(folder);
      return [read.buffer.toString(), names, linked, code, opened, left];
    },
    expected: ['content', ['deep', 'deep/er', 'deep/er/link', 'deep/er/x'], 'x', 'ENOENT', ['deep'], false],
  },
  {
    name: 'os, process and util facts are those of this process',
    prepare: () => ({ title: process.title, argv: process.argv.length, versions: process.versions.node }),
    use: (_t, before) => {
      const os = require('node:os') as typeof import('node:os');
      const util = require('node:util') as typeof import('node:util');
      const fs = require('node:fs') as typeof import('node:fs');
      return [
        process.pid === Number(fs.readlinkSync('/proc/self')),
        process.ppid === Number(/PPid:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))![1]),
        (before as { argv: number }).argv === process.argv.length,
        os.cpus().length > 0 && os.freemem() > 0 && os.hostname().length > 0,
        util.inspect({ a: { b: { c: { d: 1 } } } }),
        process.resourceUsage().maxRSS > 0,
        typeof process.report.getReport() === 'object',
        (process.report.getReport() as unknown as { header: { processId: number } }).header.processId === process.pid,
        new Intl.DateTimeFormat().resolvedOptions().timeZone.length > 0,
        typeof process.constrainedMemory(),
        process.getActiveResourcesInfo().every((name) => typeof name === 'string'),
      ];
    },
    expected: [true, true, true, true, '{ a: { b: { c: [Object] } } }', true, true, true, true, 'number', true],
  },
];

test.each(features.map((feature) => [feature.name, feature] as const))('L15 %s', async (_name, feature) => {
  const run = await runFeature(feature);
  const [child, parent, status] = run.reports.length === 3 ? run.reports : [undefined, undefined, run.reports];
  expect(status).toBe(0);
  if (feature.expected !== undefined) {
    expect([child, parent]).toEqual([feature.expected, feature.expected]);
  } else {
    expect(child).toEqual(parent);
  }
});

test('L15 a 200 MB garbage load and large allocations work in the child', async () => {
  const run = await cleanProgram(
    (rf, t) => {
      const load = () => {
        let kept: { i: number; next: unknown }[] = [];
        for (let i = 0; i < 1_500_000; i++) {
          kept.push({ i, next: [i, `${i}`] });
          if (kept.length === 20_000) kept = kept.slice(10_000);
        }
        return kept.length + Buffer.alloc(50 << 20, 1).filter((_, i) => i % (1 << 20) === 0).length;
      };
      load();
      const pid = rf.fork();
      const result = load();
      t.report(result);
      if (pid !== 0) t.report(rf.waitpid(pid).status);
    },
    { timeout: 60_000 },
  );
  expect(run.reports).toHaveLength(3);
  expect(run.reports[0]).toBe(run.reports[1]);
  expect(run.reports[2]).toBe(0);
}, 70_000);

test('L15 the heap limit in the child ends the child only, as an ordinary process', async () => {
  const run = await cleanProgram(
    (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        require('node:fs').closeSync(2); // V8's report
        const all: unknown[] = [];
        for (;;) all.push(new Array(1_000).fill(all.length));
      }
      t.report(rf.waitpid(pid).status & 0x7f);
    },
    { nodeFlags: ['--max-old-space-size=60'], timeout: 60_000 },
  );
  expect(run.reports).toEqual([6]); // SIGABRT
}, 70_000);
