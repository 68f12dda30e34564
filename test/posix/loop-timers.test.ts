/** Timers, ticks, microtasks and immediates after a fork. libuv test/test-fork.c fork_timer; CPython's TestFork. */
import { cleanProgram } from '../helpers/program';

test("L01 ticks, microtasks, immediates, a timer and an interval run in Node's order, and the child ends", async () => {
  const run = await cleanProgram((rf, t) => {
    const order = async (who: string) => {
      const log: string[] = [];
      setImmediate(() => {
        log.push('immediate');
        process.nextTick(() => log.push('tick of immediate'));
        void Promise.resolve().then(() => log.push('microtask of immediate'));
        setImmediate(() => log.push('second immediate'));
      });
      process.nextTick(() => log.push('tick'));
      queueMicrotask(() => log.push('microtask'));
      void Promise.resolve().then(() => process.nextTick(() => log.push('tick of microtask')));
      const started = performance.now();
      await new Promise<void>((resolve) => setTimeout(resolve, 50 * t.pace)); // later than two turns of the loop
      const waited = performance.now() - started;
      log.push('timer');
      let left = 3;
      await new Promise<void>((resolve) => {
        const interval = setInterval(() => {
          log.push('interval');
          if (--left === 0) {
            clearInterval(interval);
            resolve();
          }
        }, 5);
      });
      t.report({ who, log, early: waited < 50 * t.pace - 1 });
    };
    setTimeout(() => {
      setImmediate(() => {
        // Timers and immediates have been used.
        const pid = rf.fork();
        if (pid === 0) {
          void order('child'); // and then it ends by itself
          return;
        }
        t.report({ status: rf.waitpid(pid).status });
        void order('parent');
      });
    }, 2);
  });
  const [child, status, parent] = run.reports;
  expect(status).toEqual({ status: 0 });
  expect(child).toEqual({ ...parent, who: 'child' });
  expect(child.early).toBe(false);
  expect(child.log).toEqual([
    'tick',
    'microtask',
    'tick of microtask',
    'immediate',
    'tick of immediate',
    'microtask of immediate',
    'second immediate',
    'timer',
    'interval',
    'interval',
    'interval',
  ]);
});

test('L01 what was scheduled before the fork runs once in each process', async () => {
  const run = await cleanProgram((rf, t) => {
    const log: string[] = [];
    setTimeout(() => log.push('timeout'), 20);
    setImmediate(() => log.push('immediate'));
    process.nextTick(() => log.push('tick'));
    queueMicrotask(() => log.push('microtask'));
    let count = 0;
    const interval = setInterval(() => {
      log.push('interval');
      if (++count === 2) clearInterval(interval);
    }, 30);
    const cancelled = setTimeout(() => log.push('never'), 10);
    const unreferenced = setTimeout(() => log.push('never'), 60_000);
    unreferenced.unref();
    const pid = rf.fork();
    clearTimeout(cancelled);
    process.on('exit', () => t.report({ who: pid === 0 ? 'child' : 'parent', log: log.sort() }));
    if (pid !== 0) setTimeout(() => t.report({ status: rf.waitpid(pid).status }), 100);
  });
  const log = ['immediate', 'interval', 'interval', 'microtask', 'tick', 'timeout'];
  expect(run.reports).toContainEqual({ who: 'child', log });
  expect(run.reports).toContainEqual({ who: 'parent', log });
  expect(run.reports).toContainEqual({ status: 0 });
});

test('L01 timers/promises, AbortSignal.timeout, refresh, ref and unref in the child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { setTimeout: sleep, setImmediate: turn, setInterval: every } = require('node:timers/promises');
    await sleep(1);
    const pid = rf.fork();
    if (pid === 0) {
      const seen: unknown[] = [await sleep(2, 'slept'), await turn('turned')];
      for await (const value of every(2, 'tick')) {
        seen.push(value);
        if (seen.length === 4) break;
      }
      const signal = AbortSignal.timeout(5);
      const keepAlive = setTimeout(() => {}, 10_000);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      seen.push((signal.reason as Error).name);
      keepAlive.refresh();
      keepAlive.unref(); // or the child would stay for ten seconds
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 1);
      seen.push(await sleep(10_000, null, { signal: stop.signal }).catch((error: Error) => error.name));
      t.report(seen);
      return;
    }
    t.report(rf.waitpid(pid).status);
  });
  expect(run.reports).toEqual([['slept', 'turned', 'tick', 'tick', 'TimeoutError', 'AbortError'], 0]);
  expect(run.elapsed).toBeLessThan(8_000);
});

test.each([
  ['a tick', 'process.nextTick(at)'],
  ['a microtask', 'queueMicrotask(at)'],
  ['an immediate', 'setImmediate(at)'],
  ['an immediate between others', 'setImmediate(() => {}); setImmediate(at); setImmediate(() => {})'],
  ['a timer', 'setTimeout(at, 1)'],
  ['a timer between others', 'setTimeout(() => {}, 1); setTimeout(at, 1); setTimeout(() => {}, 1)'],
  ['an interval', 'const i = setInterval(() => { clearInterval(i); at(); }, 1)'],
  ['an async function', '(async () => { await null; at(); })()'],
  ['an async generator', '(async () => { for await (const x of (async function* () { yield 1; })()) at(); })()'],
  ['an fs callback', 'require("fs").readFile(__filename, at)'],
  ['an fs promise', 'require("fs").promises.readFile(__filename).then(() => at())'],
  ['a stream', 'require("fs").createReadStream(__filename).once("data", () => at())'],
  ['a getter', '({ get x() { at(); return 1; } }).x'],
  [
    'a sort comparator',
    '[2, 1].sort((a, b) => { if (!globalThis.once) { globalThis.once = true; at(); } return a - b; })',
  ],
  ['JSON.stringify', 'JSON.stringify({ toJSON() { at(); return 1; } })'],
  ['a generator', '[...(function* () { yield 1; at(); yield 2; })()]'],
  [
    'a Proxy trap',
    'new Proxy({}, { has() { at(); return true; } }) && ("x" in new Proxy({}, { has() { at(); return true; } }))',
  ],
  ['a finally block', 'try { JSON.parse("{") } catch {} finally { at(); }'],
  ['a catch block', 'try { JSON.parse("{") } catch { at(); }'],
  ['a class static block', 'class A { static { at(); } }'],
  ['an event listener', 'process.once("custom", at).emit("custom")'],
  [
    'an EventTarget listener',
    'const e = new EventTarget(); e.addEventListener("x", at); e.dispatchEvent(new Event("x"))',
  ],
  [
    'a message',
    'const { port1, port2 } = new MessageChannel(); port2.on("message", () => { port2.close(); at(); }); port1.postMessage(1)',
  ],
  [
    'a broadcast message',
    'const [a, b] = [new BroadcastChannel("x"), new BroadcastChannel("x")]; b.onmessage = () => { a.close(); b.close(); at(); }; a.postMessage(1)',
  ],
  [
    'a network callback',
    'const s = require("net").createServer((c) => { c.destroy(); s.close(); at(); }).listen(0, () => require("net").connect(s.address().port).on("error", () => {}))',
  ],
  [
    'an http handler',
    'const s = require("http").createServer((q, r) => { r.end(); s.close(); s.closeAllConnections(); at(); }).listen(0, () => require("http").get({ port: s.address().port }).on("error", () => {}))',
  ],
  ['a dns callback', 'require("dns").lookup("localhost", at)'],
  ['a crypto callback', 'require("crypto").randomBytes(8, at)'],
  ['a zlib callback', 'require("zlib").gzip("x", at)'],
  ['a child_process exit', 'require("child_process").execFile("true", at)'],
  ['a Worker exit', 'new (require("worker_threads").Worker)("", { eval: true }).on("exit", at)'],
  ['an AsyncLocalStorage', 'new (require("async_hooks").AsyncLocalStorage)().run({}, at)'],
  ['vm.runInNewContext', 'require("vm").runInNewContext("at()", { at })'],
  ['vm.runInThisContext', 'globalThis.at = at; require("vm").runInThisContext("at()")'],
  ['a beforeExit listener', 'process.once("beforeExit", at)'],
  [
    'a FinalizationRegistry callback',
    'const r = new FinalizationRegistry(() => { clearInterval(keep); at(); }); const keep = setInterval(() => gc(), 5); (() => r.register({}, 1))()',
  ],
  [
    'an fs.watch callback',
    'const fs = require("fs"); const w = fs.watch(__filename, () => { setTimeout(() => w.close(), 5); at(); }); fs.utimesSync(__filename, 1, 1)',
  ],
  [
    'an fs.watch callback that has closed its watcher',
    'const fs = require("fs"); const w = fs.watch(__filename, () => { w.close(); at(); }); fs.utimesSync(__filename, 1, 1)',
  ],
  [
    'an fs.watch callback among other watchers',
    'const fs = require("fs"); const dir = require("path").dirname(__filename); const ws = [__filename, dir, __filename, "/", dir].map((f) => fs.watch(f, () => { ws.forEach((w) => w.close()); at(); })); fs.utimesSync(__filename, 1, 1); fs.writeFileSync(dir + "/x", "")',
  ],
  [
    'an fs.watchFile callback',
    'const fs = require("fs"); fs.watchFile(__filename, { interval: 5 }, () => { fs.unwatchFile(__filename); at(); }); setTimeout(() => fs.utimesSync(__filename, 1, 1), 20)',
  ],
  [
    'a signal handler',
    'const k = setInterval(() => {}, 5); process.once("SIGUSR2", () => { clearInterval(k); at(); }); process.kill(process.pid, "SIGUSR2")',
  ],
  ['output of a child process', 'require("child_process").spawn("echo", ["x"]).stdout.once("data", at)'],
  [
    'a datagram',
    'const s = require("dgram").createSocket("udp4", () => { s.close(); at(); }).bind(0, "127.0.0.1", () => s.send("x", s.address().port, "127.0.0.1"))',
  ],
  ['a line of stdin', 'require("readline").createInterface({ input: process.stdin }).once("line", at)'],
  ['the end of stdin', 'process.stdin.resume().once("end", at)'],
  [
    'a Worker message',
    'new (require("worker_threads").Worker)("require(\\"worker_threads\\").parentPort.postMessage(1)", { eval: true }).once("message", at)',
  ],
  ['an unhandledRejection handler', 'process.once("unhandledRejection", at); Promise.reject(new Error("x"))'],
  [
    'an uncaughtException handler',
    'process.once("uncaughtException", at); setTimeout(() => { throw new Error("x"); }, 1)',
  ],
  [
    'a warning listener',
    'process.removeAllListeners("warning"); process.once("warning", at); process.emitWarning("x")',
  ],
  [
    'an inspector session',
    'const i = new (require("inspector").Session)(); i.connect(); i.post("Runtime.evaluate", { expression: "1" }, () => { i.disconnect(); at(); })',
  ],
  [
    'an async hook',
    'const h = require("async_hooks").createHook({ before() { h.disable(); at(); } }).enable(); setTimeout(() => {}, 1)',
  ],
  [
    'a performance observer',
    'const o = new PerformanceObserver(() => { o.disconnect(); at(); }); o.observe({ entryTypes: ["mark"] }); performance.mark("x")',
  ],
  ['a diagnostics channel', 'const c = require("diagnostics_channel").channel("x"); c.subscribe(at); c.publish({})'],
  ['a promise executor', 'new Promise(() => at())'],
  ['a thenable', 'Promise.resolve({ then(resolve) { at(); resolve(); } })'],
  [
    'a WebAssembly import',
    'new WebAssembly.Instance(new WebAssembly.Module(Buffer.from("0061736d01000000010401600000020701016d01610000030201000707010372756e00010a0601040010000b", "hex")), { m: { a: at } }).exports.run()',
  ],
] as const)('L01 forked in %s, both sides go on with every kind of callback', async (_where, schedule) => {
  const run = await cleanProgram(
    (rf, t) => {
      let done = false;
      const at = () => {
        if (done) return;
        done = true;
        const pid = rf.fork();
        const callbacks = {
          tick: (done: () => void) => process.nextTick(done),
          microtask: (done: () => void) => queueMicrotask(done),
          immediate: (done: () => void) => setImmediate(done),
          timer: (done: () => void) => setTimeout(done, 2),
          fs: (done: () => void) => require('node:fs').stat('.', done),
        };
        const seen = Object.entries(callbacks).map(
          ([name, schedule]) => new Promise<string>((resolve) => schedule(() => resolve(name))),
        );
        void Promise.all(seen).then((names) => {
          if (pid !== 0) t.report({ status: rf.waitpid(pid).status });
          t.report({ who: pid === 0 ? 'child' : 'parent', seen: names });
        });
      };
      new Function('at', 'require', '__filename', t.args[0])(at, require, __filename);
    },
    { args: [schedule], nodeFlags: ['--expose-gc'], stdin: 'line\n' },
  );
  const seen = ['tick', 'microtask', 'immediate', 'timer', 'fs'];
  expect(run.reports).toEqual([{ who: 'child', seen }, { status: 0 }, { who: 'parent', seen }]);
});
