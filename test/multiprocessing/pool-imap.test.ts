import { cleanProgram } from '../helpers/program';

test('O04 imap yields in order as results come, the first before the last is done, and ends properly', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(3);
    const sqr = (x: number) => x * x;
    const all: number[] = [];
    for await (const value of pool.imap(sqr, Array(10).keys())) all.push(value);
    t.report(all);
    const last = (x: number) => {
      if (x === 9) readSync(go.read, Buffer.alloc(1));
      return x;
    };
    const it = pool.imap(last, Array(10).keys());
    const first = await it.next();
    writeSync(go.write, 'x');
    for (let i = 1; i < 10; i++) if ((await it.next()).value !== i) throw new Error(`not ${i}`);
    t.report([first, await it.next(), await it.next()].map(({ done, value }) => [done, value ?? null]));
    let next = 0;
    for await (const value of pool.imap(sqr, Array(1000).keys(), { chunkSize: 100 })) {
      if (value !== next * next) throw new Error(`${value} for ${next}`);
      next++;
    }
    t.report(next);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([
    [0, 1, 4, 9, 16, 25, 36, 49, 64, 81],
    [
      [false, 0],
      [true, null],
      [true, null],
    ],
    1000,
  ]);
});

test('O04 imapUnordered yields the same set, fast items first', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(2);
    for (const options of [{}, { chunkSize: 100 }]) {
      const values: number[] = [];
      for await (const value of pool.imapUnordered((x: number) => x * x, Array(1000).keys(), options))
        values.push(value);
      values.sort((a, b) => a - b);
      t.report(values.length === 1000 && values.every((value, i) => value === i * i));
    }
    const slowFirst = (x: number) => {
      if (x === 0) readSync(go.read, Buffer.alloc(1));
      return x;
    };
    const it = pool.imapUnordered(slowFirst, [0, 1, 2, 3]);
    const early = [(await it.next()).value, (await it.next()).value, (await it.next()).value];
    writeSync(go.write, 'x');
    t.report([early, await it.next(), (await it.next()).done]);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([true, true, [[1, 2, 3], { done: false, value: 0 }, true]]);
});

test('an error of the source comes after the results before it; one of a call makes one next() reject', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    function* failing(total: number, when: number) {
      for (let i = 0; i < total; i++) {
        if (i === when) throw new RangeError('when');
        yield i;
      }
    }
    const sqr = (x: number) => x * x;
    const drain = async (it: AsyncIterator<unknown>) => {
      const all: unknown[] = [];
      for (let i = 0; i < 12; i++) {
        try {
          const { done, value } = await it.next();
          if (done === true) return [...all, 'end'];
          all.push(value);
        } catch (error) {
          all.push((error as Error).message);
        }
      }
      return all;
    };
    t.report(await drain(pool.imap(sqr, failing(10, 3))));
    t.report(await drain(pool.imap(sqr, failing(20, 7), { chunkSize: 2 })));
    t.report(await drain(pool.imap(sqr, failing(1, 0))));
    const unordered = await drain(pool.imapUnordered(sqr, failing(10, 3)));
    t.report([unordered.slice(0, 3).sort(), unordered.slice(3)]);
    t.report(await pool.map(sqr, failing(5, 2)).catch((error: Error) => error.message));
    const odd = (x: number) => {
      if (x % 2 === 1) throw new Error(`odd ${x}`);
      return x;
    };
    t.report(await drain(pool.imap(odd, [0, 1, 2, 3, 4])));
    t.report(await drain(pool.imap(odd, [0, 1, 2, 3, 4], { chunkSize: 3 })));
    t.report(await drain(pool.imap(async (x: number) => Promise.resolve(odd(x)), [0, 1, 2], { chunkSize: 3 })));
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([
    [0, 1, 4, 'when', 'end'],
    [0, 1, 4, 9, 16, 25, 'when', 'end'],
    ['when', 'end'],
    [
      [0, 1, 4],
      ['when', 'end'],
    ],
    'when',
    [0, 'odd 1', 2, 'odd 3', 4, 'end'],
    [0, 'odd 1', 2, 'odd 3', 4, 'end'],
    [0, 'odd 1', 2, 'end'],
  ]);
});

test('O04 imap and imapUnordered without the event loop: for, nextSync with a timeout, errors, break, an async source', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const square = (x: number) => x * x;
    const sorted = (results: Iterable<number>) => [...results].sort((a, b) => a - b);
    const numbers = [...Array(1000).keys()];
    t.report([
      [...pool.imap(square, [3, 1, 2])],
      sorted(pool.imapUnordered(square, [3, 1, 2], { window: 1 })),
      [...pool.imap(square, [])],
      [...pool.imap(square, numbers, { chunkSize: 100 })].every((result, i) => result === i * i),
    ]);

    const code = (call: () => unknown) => {
      const { name, code = name } = t.caught(call);
      return code;
    };
    let ended = false;
    const wait = (_: number) => new Promise<string>((resolve) => setTimeout(resolve, 200, 'late'));
    const late = pool.imap(wait, [1]);
    t.report([code(() => late.nextSync(1)), late.nextSync(), late.nextSync()]);

    const source = function* (count: number, end: () => void) {
      try {
        for (let i = 0; i < count; i++) yield i;
        throw new RangeError('of the source');
      } finally {
        end();
      }
    };
    const seen: number[] = [];
    const failing = pool.imap(
      square,
      source(3, () => {}),
    );
    const all = () => {
      for (const result of failing) seen.push(result);
    };
    t.report([code(all), seen, failing.nextSync()]);
    for (const result of pool.imap(
      square,
      source(1e9, () => (ended = true)),
    ))
      if (result > 4) break;
    t.report(ended);

    const lines = async function* () {
      yield 1;
    };
    const slow = pool.imap(square, lines());
    t.report([code(() => slow.nextSync()), await slow.next(), await slow.next(), slow.nextSync()]);
    pool.close();
    pool.joinSync();
  });
  const over = { done: true };
  expect(run.reports).toEqual([
    [[9, 1, 4], [1, 4, 9], [], true],
    ['ERR_TIMEOUT', { done: false, value: 'late' }, over],
    ['RangeError', [0, 1, 4], over],
    true,
    ['ERR_POOL_WOULD_BLOCK', { done: false, value: 1 }, over, over],
  ]);
});

test('items are taken no faster than results are; break stops the source; async sources work', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const state = { taken: 0, ended: false };
    function* endless() {
      try {
        for (;;) yield state.taken++;
      } finally {
        state.ended = true;
      }
    }
    let used = 0;
    let most = 0;
    for await (const value of pool.imap((x: number) => x, endless(), { window: 20 })) {
      if (value !== used) throw new Error(`${value} for ${used}`);
      used++;
      most = Math.max(most, state.taken - used);
      if (used === 500) break;
    }
    t.report([most <= 21, state.ended, state.taken <= 522]);
    async function* later() {
      for (let i = 0; i < 50; i++) {
        if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
        yield i;
      }
      if (t.args.length > 0) throw new Error('never');
    }
    let sum = 0;
    for await (const value of pool.imap((x: number) => x, later(), { chunkSize: 7 })) sum += value;
    for await (const value of pool.imapUnordered(async (x: number) => Promise.resolve(x), later())) sum += value;
    t.report(sum);
    // Several waiters at once, and a timeout: what did not come in time comes later.
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const it = pool.imap(
      (x: number) => {
        if (x === 0) readSync(go.read, Buffer.alloc(1));
        return x;
      },
      [0, 1, 2],
    );
    const late = await it.next(30).catch((error: Error) => error.name);
    const both = Promise.all([it.next(), it.next()]);
    writeSync(go.write, 'x');
    t.report([late, ...(await both).map(({ value }) => value), (await it.next()).value, (await it.next()).done]);
    pool.terminate();
    await pool.join();
  });
  expect(run.reports).toEqual([[true, true, true], 2 * 1225, ['TimeoutError', 0, 1, 2, true]]);
});

test('100,000 items from a generator leave the heap as it was', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      const pool = new t.mp.Pool(2);
      function* items() {
        for (let i = 0; i < 100_000; i++) yield { i, text: `item ${i}` };
      }
      const used = () => {
        (globalThis.gc as () => void)();
        return process.memoryUsage().heapUsed;
      };
      let count = 0;
      let before = 0;
      let most = 0;
      for await (const { i } of pool.imap((item: { i: number; text: string }) => item, items(), { chunkSize: 10 })) {
        if (i !== count) throw new Error(`${i} for ${count}`);
        count++;
        if (count === 10_000) before = used();
        else if (count % 30_000 === 0) most = Math.max(most, used());
      }
      t.report([count, most - before < 4_000_000]);
      pool.close();
      await pool.join();
    },
    { nodeFlags: ['--expose-gc'], timeout: 60_000 },
  );
  expect(run.reports).toEqual([[100_000, true]]);
}, 90_000);

test('a pool closed after imap was called does all its items, read before or after join', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    type Iterator = AsyncIterable<number> & { next(): Promise<IteratorResult<number, undefined>> };
    const items = Array.from({ length: 300 }, (_, i) => i);
    const double = (x: number) => (x === 250 ? process.exit(1) : x * 2);
    const rest = async (it: Iterator) => {
      const got: unknown[] = [];
      for (;;) {
        const step = await it.next().catch((error: Error & { code: string }) => error.code);
        if (typeof step === 'string') got.push(step);
        else if (step.done === true) return [got.length, got[0], got[249], got[250], got[299]];
        else got.push(step.value);
      }
    };
    const began = (it: Iterator) => it;
    for (const source of [
      () => items,
      async function* () {
        for (const item of items) {
          if (item % 50 === 0) await new Promise(setImmediate);
          yield item;
        }
      },
    ]) {
      let pool = new t.mp.Pool(2, { maxTasksPerChild: 100 });
      const read = began(pool.imap(double, source(), { window: 5 }));
      pool.close();
      t.report(await rest(read));
      await pool.join();

      pool = new t.mp.Pool(2);
      const unread = began(pool.imap(double, source(), { window: 5 }));
      pool.close();
      await pool.join();
      t.report([pool.stats().workers.length, await rest(unread)]);
    }
    const pool = new t.mp.Pool(2);
    const unread = began(pool.imap(double, items, { window: 5 }));
    pool.close();
    t.report(t.caught(() => pool.imap(double, items)).code);
    pool.joinSync();
    t.report(await rest(unread));
  });
  const all = [300, 0, 498, 'ERR_WORKER_DIED', 598];
  expect(run.reports).toEqual([all, [0, all], all, [0, all], 'ERR_POOL_NOT_RUNNING', all]);
});

test('what ends an imap lets a closed pool end: break, terminate, an error of the source, joinSync and an async source', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    let finished = 0;
    const same = (x: number) => x;
    const endless = function* () {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        finished++;
      }
    };
    const codes = async (it: { next(): Promise<IteratorResult<number, undefined>> }) => {
      const codes: unknown[] = [];
      for (;;) {
        const step = await it.next().catch((error: Error & { code?: string }) => error.code ?? error.message);
        if (typeof step === 'string') codes.push(step);
        else if (step.done === true) return codes;
      }
    };
    let pool = new t.mp.Pool(1);
    for await (const value of pool.imap(same, endless())) {
      if (value === 5) pool.close();
      if (value === 50) break;
    }
    await pool.join();
    t.report(finished);

    pool = new t.mp.Pool(1);
    let it = pool.imap(same, endless(), { window: 2 });
    await it.next();
    pool.close();
    pool.terminate();
    await pool.join();
    t.report([new Set(await codes(it)).size, finished]);

    pool = new t.mp.Pool(1);
    it = pool.imapUnordered(
      same,
      (function* () {
        yield* [1, 2, 3, 4, 5];
        throw new Error('source');
      })(),
      { window: 2 },
    );
    pool.close();
    await pool.join();
    t.report(await codes(it));

    pool = new t.mp.Pool(1);
    it = pool.imap(
      same,
      (async function* () {
        for (let i = 0; i < 10; i++) yield await Promise.resolve(i);
      })(),
    );
    pool.close();
    pool.joinSync();
    t.report(await codes(it));
  });
  expect(run.reports).toEqual([1, [1, 2], ['source'], ['ERR_POOL_NOT_RUNNING']]);
});

test('a signal that is aborted ends an imap: no more items are taken, waiting for the source ends, and a join as well', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    let taken = 0;
    let finished = 0;
    const same = (x: number) => x;
    const endless = function* () {
      try {
        for (;;) yield taken++;
      } finally {
        finished++;
      }
    };
    const drain = async (it: { next(): Promise<IteratorResult<number, undefined>> }) => {
      const names = new Set<string>();
      for (let i = 0; i < 100; i++) {
        const step = await it.next().catch((error: Error) => error.name);
        if (typeof step === 'string') names.add(step);
        else if (step.done === true) return [...names];
      }
      return 'goes on';
    };
    const pool = new t.mp.Pool(2);
    for (const imap of ['imap', 'imapUnordered'] as const) {
      const controller = new AbortController();
      const it = pool[imap](same, endless(), { signal: controller.signal, window: 4 });
      await it.next();
      const before = taken;
      controller.abort();
      t.report([await drain(it), taken - before, finished]);
    }
    taken = 0;
    t.report([await drain(pool.imap(same, endless(), { signal: AbortSignal.abort() })), taken]);

    const controller = new AbortController();
    const { signal } = controller;
    const silent = (async function* () {
      yield 1;
      await new Promise(() => {});
    })();
    const it = pool.imap(same, silent, { signal });
    await it.next();
    const next = it.next().catch((error: Error) => error.name);
    controller.abort();
    t.report([await next, await it.next()]);

    const last = new AbortController();
    void pool.imap(same, endless(), { signal: last.signal, window: 2 });
    pool.close();
    const joined = pool.join();
    last.abort();
    await joined;
    const { getEventListeners } = require('node:events') as typeof import('node:events');
    t.report(getEventListeners(signal, 'abort').length);
  });
  expect(run.reports).toEqual([
    [['AbortError'], 0, 1],
    [['AbortError'], 0, 2],
    [['AbortError'], 0],
    ['AbortError', { done: true }],
    0,
  ]);
});

test('terminate ends an imap that a join hurries, and one that waits for a worker: no more items are taken, none is forked', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const same = (x: number) => x;
    let taken = 0;
    const endless = function* () {
      for (;;) yield taken++;
    };
    const code = (error: { code?: string }) => error.code;
    let pool = new t.mp.Pool(1);
    let it = pool.imap(same, endless(), { window: 2 });
    await it.next();
    pool.close();
    const joined = pool.join();
    const before = taken;
    pool.terminate();
    await joined;
    t.report(taken - before);

    pool = new t.mp.Pool(1, { maxTasksPerChild: 1 });
    it = pool.imap(same, endless(), { window: 3 });
    await it.next(); // its worker is leaving now, the next has not been forked
    const rest = [it.next(), it.next()].map((next) => next.catch(code));
    pool.terminate();
    await pool.join();
    t.report([await Promise.all(rest), pool.stats().workers]);
  });
  expect(run.reports).toEqual([0, [['ERR_POOL_TERMINATED', 'ERR_POOL_TERMINATED'], []]]);
});
