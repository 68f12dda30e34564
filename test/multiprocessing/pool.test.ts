import { cleanProgram, program } from '../helpers/program';

test('O01 apply, map and starmap give results in input order; async functions are awaited; nothing gives nothing', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(3);
    const sqr = (x: number, wait = 0) => {
      if (wait > 0) rf.sleepSync(wait);
      return x * x;
    };
    const items = Array.from({ length: 100 }, (_, i) => i);
    const pairs = items.map((i): [number, number] => [i, i + 1]);
    const mul = (a: number, b: number) => a * b;
    const same = (values: number[], f: (i: number) => number) =>
      values.length === 100 && values.every((v, i) => v === f(i));
    t.report([
      await pool.apply(sqr, [5]),
      await pool.apply((x: number, { wait }: { wait: number }) => x * wait, [5], { kwargs: { wait: 2 } }),
      await pool.run(sqr, 6),
      pool.applySync(sqr, [7]),
      await pool.apply(() => 'no arguments'),
    ]);
    t.report([
      same(await pool.map(sqr, items), (i) => i * i),
      same(await pool.map(sqr, items, { chunkSize: 20 }), (i) => i * i),
      same(await pool.map(sqr, new Set(items), { chunkSize: 1 }), (i) => i * i),
      same(pool.mapSync(sqr, items), (i) => i * i),
      same(await pool.starmap(mul, pairs), (i) => i * (i + 1)),
      same(await pool.starmap(mul, pairs, { chunkSize: 7 }), (i) => i * (i + 1)),
      same(await pool.starmapAsync(mul, pairs).get(), (i) => i * (i + 1)),
      same(await pool.mapAsync(sqr, items).get(), (i) => i * i),
    ]);
    const later = async (x: number) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return -x;
    };
    const promised = (x: number) => (x % 2 === 0 ? x : Promise.resolve(x)) as number;
    t.report([
      await pool.apply(later, [3]),
      await pool.map(later, [1, 2, 3]),
      await pool.map(promised, [0, 1, 2, 3]),
      await pool.starmap(async (a: number, b: number) => later(a + b), [[1, 2] as [number, number], [3, 4]]),
    ]);
    const nothing: unknown[] = [
      await pool.map(sqr, []),
      await pool.starmap(mul, []),
      await pool.mapAsync(sqr, []).get(),
    ];
    const empty = pool.mapAsync(sqr, [], { chunkSize: 1 });
    nothing.push(empty.ready(), empty.successful(), empty.getSync());
    for await (const value of pool.imap(sqr, [])) nothing.push(value);
    for await (const value of pool.imapUnordered(sqr, [], { chunkSize: 5 })) nothing.push(value);
    t.report(nothing);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([
    [25, 10, 36, 49, 'no arguments'],
    [true, true, true, true, true, true, true, true],
    [-3, [-1, -2, -3], [0, 1, 2, 3], [-3, -7]],
    [[], [], [], true, true, []],
  ]);
});

test('O02 callback gets the whole result once, errorCallback the error once, never both, before get() settles', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const calls: unknown[] = [];
    const callbacks = {
      callback: (value: unknown) => void calls.push(['value', value]),
      errorCallback: (error: unknown) => void calls.push(['error', (error as Error).message]),
    };
    await pool.mapAsync((x: number) => x + 1, [1, 2, 3], { ...callbacks, chunkSize: 1 }).get();
    await pool.applyAsync((x: number) => x * 10, [4], callbacks).get();
    calls.push('settled');
    const failing = (x: number) => {
      if (x > 1) throw new Error(`no ${x}`);
      return x;
    };
    await pool.applyAsync(failing, [2], callbacks).wait();
    const result = pool.mapAsync(failing, [1, 2, 3], { ...callbacks, chunkSize: 1 });
    await result.get().catch((error: Error) => calls.push(['rejected', error.message]));
    calls.push(result.successful());
    await pool.mapAsync(failing, [], callbacks).get();
    t.report(calls);
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([
    [
      ['value', [2, 3, 4]],
      ['value', 40],
      'settled',
      ['error', 'no 2'],
      ['error', 'no 2'],
      ['rejected', 'no 2'],
      false,
      ['value', []],
    ],
  ]);
});

test('O02 callbacks run with the async local storage of the call they were given to, promises go on with their own', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { AsyncLocalStorage } = require('node:async_hooks') as typeof import('node:async_hooks');
    const storage = new AsyncLocalStorage<string>();
    const pool = new t.mp.Pool(1);
    const half = (x: number) => {
      if (x % 2 === 1) throw new Error('odd');
      return x / 2;
    };
    await pool.run(half, 2); // the worker is there, and was made outside
    const flow = async () => {
      const seen: unknown[] = [];
      const look = () => void seen.push(storage.getStore());
      await pool.applyAsync(half, [4], { callback: look }).get();
      await pool.applyAsync(half, [5], { errorCallback: look }).wait();
      await pool.mapAsync(half, [2, 4], { callback: look }).get();
      await pool.run(half, 6);
      look();
      return seen;
    };
    t.report(await Promise.all(['one', 'two'].map((name) => storage.run(name, flow))));
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([[Array(4).fill('one'), Array(4).fill('two')]]);
});

test('O03 get with a timeout throws TimeoutError in time and a later get still gives the result; successful() before ready throws', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(2);
    const result = pool.applyAsync(() => {
      readSync(go.read, Buffer.alloc(1));
      return 49;
    });
    const before = performance.now();
    const late = await result.get(50).catch((error: unknown) => (error as Error).name);
    const waited = performance.now() - before;
    t.report([late, waited >= 49, result.ready(), t.caught(() => result.successful()).code]);
    t.report([t.caught(() => result.getSync(20)).name, t.caught(() => result.getSync(0)).code]);
    await result.wait(10);
    result.waitSync(10);
    writeSync(go.write, 'x');
    t.report([await result.get(), result.ready(), result.successful(), await result.get(0), result.getSync()]);
    pool.terminate();
    await pool.join();
  });
  expect(run.reports).toEqual([
    ['TimeoutError', true, false, 'ERR_RESULT_NOT_READY'],
    ['TimeoutError', 'ERR_TIMEOUT'],
    [49, true, true, 49, 49],
  ]);
});

test('O08 an error arrives with its class name, message, code, cause and own properties, and both stacks', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    class PayloadError extends RangeError {
      code = 'E_PAYLOAD';
      constructor(
        message: string,
        readonly payload: unknown,
        cause: unknown,
      ) {
        super(message, { cause });
      }
    }
    function thrower(x: number): number {
      throw new PayloadError(`bad ${x}`, { x: [x] }, new TypeError('why'));
    }
    async function caller() {
      return pool.run(thrower, 3);
    }
    const error = await caller().catch((error: unknown) => error as PayloadError & { remoteStack: string });
    if (typeof error === 'number') throw new Error('no error');
    t.report([
      error.name,
      error.message,
      error.code,
      error.payload,
      error instanceof RangeError,
      error.constructor.name,
    ]);
    t.report([error.cause instanceof TypeError, (error.cause as Error).message]);
    t.report([
      /thrower/.test(error.remoteStack),
      /thrower/.test(error.stack ?? ''),
      /at .*caller/.test(error.stack ?? ''),
      /caller/.test(error.remoteStack),
      Object.keys(error).sort(),
    ]);
    const others: unknown[] = [];
    for (const thrown of ['text', 7, undefined, { a: 1 }]) {
      await pool
        .run((value: unknown) => {
          throw value;
        }, thrown)
        .catch((value: unknown) => others.push(value ?? null));
    }
    await pool
      .map(thrower, [1, 2])
      .catch((error: Error) => others.push(error.message, /thrower/.test(error.stack ?? '')));
    await pool.run(async () => JSON.parse('{') as unknown).catch((error: Error) => others.push(error.name));
    t.report(others);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([
    ['PayloadError', 'bad 3', 'E_PAYLOAD', { x: [3] }, true, 'PayloadError'],
    [true, 'why'],
    [true, true, true, false, ['code', 'payload']],
    ['text', 7, null, { a: 1 }, 'bad 1', true, 'SyntaxError'],
  ]);
});

test('O08 an error of a class that extends Error itself has the name of its class', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(1);
    class HttpError extends Error {
      constructor(readonly status: number) {
        super(`status ${status}`);
      }
    }
    const error = await pool
      .run((status: number): void => {
        throw new HttpError(status);
      }, 404)
      .catch((error: unknown) => error as HttpError);
    if (!(error instanceof Error)) throw new Error('no error');
    t.report([error.constructor.name, error.name, error.message, error.status, Object.keys(error)]);
    t.report(String(error));
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([['HttpError', 'HttpError', 'status 404', 404, ['status']], 'HttpError: status 404']);
});

test('O01 thenables are awaited as promises are: throwing, settling twice, coming to another, functions among them', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    type Done = (value: unknown) => void;
    const pool = new t.mp.Pool(1);
    const thenables: Record<string, (x: string) => unknown> = {
      twice: (x) => ({ then: (done: Done) => (done(x), done('again')) }),
      bothWays: (x) => ({ then: (done: Done, fail: Done) => (done(x), fail(new Error('late'))) }),
      throwing: (x) => ({
        then() {
          throw new Error(x);
        },
      }),
      lateThrow: (x) => ({
        then(done: Done) {
          done(x);
          throw new Error('late');
        },
      }),
      getter: (x) => ({
        get then(): unknown {
          throw new Error(x);
        },
      }),
      nested: (x) => ({ then: (done: Done) => done(Promise.resolve(x)) }),
      callable: (x) => Object.assign(() => {}, { then: (done: Done) => done(x) }),
      plain: (x) => x,
    };
    const make = (name: string) => thenables[name]?.(name);
    const came = Object.keys(thenables).map((name) =>
      pool.run(make, name).catch((error: { message: string }) => `threw ${error.message}`),
    );
    t.report(await Promise.all(came)); // handed in together: an answer too many would be taken for the next one's
    t.report(await pool.map(make, ['nested', 'twice', 'plain']));
    t.report(pool.stats().forked);
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([
    ['twice', 'bothWays', 'threw throwing', 'lateThrow', 'threw getter', 'nested', 'callable', 'plain'],
    ['nested', 'twice', 'plain'],
    1,
  ]);
});

test('a result that cannot be sent fails its task alone, more often than there are workers', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    for (let i = 0; i < 6; i++) {
      const error = await pool
        .run(() => ({ f: () => 1, [Symbol.toStringTag]: 'thing' }))
        .catch((error: unknown) => error as InstanceType<typeof t.mp.MaybeEncodingError>);
      if (!(error instanceof t.mp.MaybeEncodingError)) throw new Error('another error');
      t.report([error.name, error.code, typeof error.value, (error.cause as Error).name, error.exc === error.cause]);
    }
    t.report(await pool.map((x: number) => x, [1, 2]));
    const thrown = await pool
      .run(() => {
        throw { f() {} };
      })
      .catch((error: Error) => error.name);
    t.report(thrown);
    t.report(pool.stats().forked);
    await pool[Symbol.asyncDispose]();
  });
  const one = ['MaybeEncodingError', 'ERR_RESULT_NOT_CLONEABLE', 'string', 'DataCloneError', true];
  expect(run.reports.slice(0, 8)).toEqual([one, one, one, one, one, one, [1, 2], 'MaybeEncodingError']);
});

test('O08 an error of another realm, a proxy, an error that carries a closed socket: each arrives, and the worker lives', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { runInNewContext } = require('node:vm') as typeof import('node:vm');
    const { createServer, Socket } = require('node:net') as typeof import('node:net');
    const pool = new t.mp.Pool(1);
    const throwers = {
      foreign: () => runInNewContext('function far() { throw new RangeError("far") }; far()'),
      revoked() {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        throw proxy;
      },
      socket() {
        throw Object.assign(new TypeError('request'), { socket: new Socket(), server: createServer(), code: 'E_OWN' });
      },
    };
    const work = (name: keyof typeof throwers | 'pid') => (name === 'pid' ? process.pid : throwers[name]());
    const pid = await pool.run(work, 'pid');
    const thrown = (name: keyof typeof throwers) =>
      pool.run(work, name).catch((error: Error & { remoteStack: string }) => error) as Promise<
        Error & { remoteStack: string }
      >;
    const foreign = await thrown('foreign');
    t.report([foreign instanceof RangeError, foreign.message, /at far /.test(foreign.remoteStack)]);
    t.report([(await thrown('revoked')).name]);
    const failed = await thrown('socket');
    t.report([failed.name, failed.message, Object.entries(failed)]);
    t.report((await pool.run(work, 'pid')) === pid);
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([
    [true, 'far', true],
    ['MaybeEncodingError'],
    ['TypeError', 'request', [['code', 'E_OWN']]],
    true,
  ]);
});

test('an error whose own properties throw when they are read fails its task, and its worker lives', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(1);
    for (const property of ['message', 'stack', 'extra', 'cause', 'code', 'name']) {
      const work = () => {
        throw Object.defineProperty(new Error('outer'), property, {
          enumerable: true,
          get() {
            throw new Error('inner');
          },
        });
      };
      const error = await pool.run(work).catch((error: Error & { code: string }) => error);
      t.report([error instanceof Error, (error as { code?: string }).code !== 'ERR_WORKER_DIED']);
    }
    t.report(await pool.run(() => 5));
    await pool[Symbol.asyncDispose]();
  });
  expect(run.reports).toEqual([...Array(6).fill([true, true]), 5]);
});

test('arguments that cannot be sent fail their call, and nothing hangs', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    const code = (error: { code?: string }) => error.code;
    t.report([
      await pool
        .run(
          (f: () => void) => f,
          () => {},
        )
        .catch(code),
      await pool.map((x: unknown) => x, [Symbol('a'), Symbol('b')]).catch(code),
      await pool
        .applyAsync((x: unknown) => x, [() => {}])
        .get()
        .catch(code),
      t.caught(() => pool.applySync((x: unknown) => x, [() => {}])).code,
      await pool
        .imap((x: unknown) => x, [() => {}])
        .next()
        .catch(code),
      await pool.run((x: number) => x, 1),
    ]);
    pool.close();
    await pool.join();
  });
  const code = 'ERR_DATA_CLONE';
  expect(run.reports).toEqual([[code, code, code, code, code, 1]]);
});

test('O10 wrong arguments throw and leave no processes', async () => {
  const run = await cleanProgram((_rf, t) => {
    const { Pool } = t.mp;
    const make = (...args: unknown[]) =>
      t.caught(() => new (Pool as unknown as new (...args: unknown[]) => unknown)(...args)).code;
    t.report([make(0), make(-1), make(1.5), make('2'), make(NaN)]);
    t.report([0, -1, 0.5, '12', NaN].map((maxTasksPerChild) => make(3, { maxTasksPerChild })));
    t.report([make(1, { initializer: 5 }), make(1, { initializer: 'f' }), make(1, { initargs: 3 }), make(1, 3)]);
    t.report([make(1, { context: 'thread' }), make(1, { context: {} }), make(1, { gracePeriod: -1 })]);
    t.report(t.mp.activeChildren().length);
  });
  const range = 'ERR_OUT_OF_RANGE';
  const type = 'ERR_INVALID_ARG_TYPE';
  expect(run.reports).toEqual([
    [range, range, range, type, range],
    [range, range, range, type, range],
    [type, type, type, type],
    ['ERR_INVALID_ARG_VALUE', type, range],
    0,
  ]);
});

test('wrong arguments of tasks', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(1) as unknown as Record<string, (...args: unknown[]) => unknown>;
    const codes: unknown[] = [];
    for (const [name, ...args] of [
      ['run', 1],
      ['apply', () => 1, 5],
      ['map', () => 1, 5],
      ['map', () => 1, [1], { chunkSize: 0 }],
      ['starmap', () => 1, [5]],
      ['apply', () => 1, [], { signal: 1 }],
      ['apply', () => 1, [], { timeout: 'x' }],
      ['apply', () => 1, [], { kwargs: 5 }],
      ['applyAsync', () => 1, [], { callback: 1 }],
      ['imap', () => 1, 5],
      ['imap', 5, []],
    ] as [string, ...unknown[]][]) {
      try {
        await pool[name]?.(...args);
        codes.push('none');
      } catch (error) {
        codes.push((error as { code: string }).code.replace('ERR_', ''));
      }
    }
    t.report(codes);
    t.report(await pool.apply?.((...given: unknown[]) => given, [1], { kwargs: null }));
    pool.terminate?.();
  });
  expect(run.reports).toEqual([
    [
      ...new Array<string>(3).fill('INVALID_ARG_TYPE'),
      'OUT_OF_RANGE',
      ...new Array<string>(7).fill('INVALID_ARG_TYPE'),
    ],
    [1],
  ]);
});

test('O12 leaving the scoped form terminates; new work then throws, re-entering throws; join before close throws', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const codeOf = async (call: () => unknown) => {
      try {
        await call();
        return 'none';
      } catch (error) {
        return `${(error as { code: string }).code} ${/not running|still running/.test((error as Error).message)}`;
      }
    };
    const pool = new t.mp.Pool(2);
    t.report(await codeOf(() => pool.join()));
    t.report(t.caught(() => pool.joinSync()).code);
    let inside: unknown;
    const given = await pool.with(async (entered) => {
      inside = await entered.map((x: number) => x * x, [1, 2, 3]);
      return entered === pool;
    });
    t.report([given, inside, t.mp.activeChildren().length]);
    const f = (x: number) => x;
    t.report(
      await Promise.all([
        codeOf(() => pool.run(f, 1)),
        codeOf(() => pool.apply(f, [1])),
        codeOf(() => pool.applyAsync(f, [1])),
        codeOf(() => pool.applySync(f, [1])),
        codeOf(() => pool.map(f, [1])),
        codeOf(() => pool.mapAsync(f, [])),
        codeOf(() => pool.starmap(f, [])),
        codeOf(() => pool.imap(f, [1])),
        codeOf(() => pool.imapUnordered(f, [1])),
        codeOf(() => pool.with(() => 1)),
      ]),
    );
    await pool[Symbol.asyncDispose](); // a second time is fine
    pool.close();
    await pool.join();
    const thrower = new t.mp.Pool(1);
    t.report(await thrower.with(() => Promise.reject(new Error('out'))).catch((error: Error) => error.message));
    t.report(t.mp.activeChildren().length);
  });
  expect(run.reports).toEqual([
    'ERR_POOL_RUNNING true',
    'ERR_POOL_RUNNING',
    [true, [1, 4, 9], 0],
    new Array<string>(10).fill('ERR_POOL_NOT_RUNNING true'),
    'out',
    0,
  ]);
});

test('close lets what was handed in be done; join ends; the workers are gone', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(3, { maxTasksPerChild: 1 });
    const results = Array.from({ length: 6 }, (_, i) => pool.applyAsync((x: number) => x * x, [i]));
    pool.close();
    await pool.join();
    t.report([results.map((result) => result.getSync()), t.mp.activeChildren().length, rf.zombies().length]);
    const other = new t.mp.Pool(2);
    const values = other.mapAsync((x: number) => x + 1, [1, 2, 3], { chunkSize: 1 });
    other.close();
    other.joinSync();
    t.report([values.getSync(), rf.zombies().length]);
    const unused = new t.mp.Pool(2);
    unused.close();
    await unused.join();
    const unusedToo = new t.mp.Pool(2);
    unusedToo.terminate();
    unusedToo.joinSync();
  });
  expect(run.reports).toEqual([
    [[0, 1, 4, 9, 16, 25], 0, 0],
    [[2, 3, 4], 0],
  ]);
});

test('terminate ends 10,000 sleeping tasks at once, and what they came to is an error', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(3);
    const result = pool.mapAsync((ms: number) => rf.sleepSync(ms), new Array<number>(10_000).fill(100), {
      chunkSize: 1,
    });
    const one = pool.run(() => 1).catch((error: { code: string }) => error.code);
    await t.waitUntil(() => pool.stats().workers.length === 3, 'three workers');
    const before = performance.now();
    pool.terminate();
    await pool.join();
    t.report([performance.now() - before < 10_000, t.mp.activeChildren().length]);
    t.report([await result.get().catch((error: { code: string }) => error.code), await one]);
  });
  expect(run.reports).toEqual([
    [true, 0],
    ['ERR_POOL_TERMINATED', 'ERR_POOL_TERMINATED'],
  ]);
});

test('terminate() called while arguments are read fails their task, and nothing hangs', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const same = (x: unknown) => x;
    const code = (error: unknown) => (error as { code: string }).code;
    for (const hand of [
      (pool: InstanceType<typeof t.mp.Pool>, from: object) => pool.run(same, from),
      (pool: InstanceType<typeof t.mp.Pool>, from: Iterable<unknown>) => pool.map(same, from),
      (pool: InstanceType<typeof t.mp.Pool>, from: Iterable<unknown>) => pool.mapAsync(same, from).get(),
      async (pool: InstanceType<typeof t.mp.Pool>, from: object) => pool.applySync(same, [from]),
    ]) {
      const pool = new t.mp.Pool(1);
      await pool.run(same, 1);
      const from = {
        get value() {
          pool.terminate();
          return 1;
        },
        *[Symbol.iterator]() {
          yield this.value;
        },
      };
      t.report(await hand(pool, Object.defineProperty(from, Symbol.iterator, { enumerable: false })).catch(code));
      await pool.join();
    }
  });
  expect(run.reports).toEqual(Array(4).fill('ERR_POOL_TERMINATED'));
});

test('map fails only when every chunk has been done', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const [memory] = [new t.mp.SharedMemory({ create: true, size: 8 })];
    const done = memory.buf;
    const pool = new t.mp.Pool(2);
    const work = (x: number) => {
      if (x === 0) throw new Error('first');
      rf.sleepSync(30);
      done[x] = 1;
    };
    const message = await pool.map(work, [0, 1, 2, 3], { chunkSize: 1 }).catch((error: Error) => error.message);
    t.report([message, ...done.subarray(0, 4)]);
    await pool[Symbol.asyncDispose]();
    memory.close();
    memory.unlink();
  });
  expect(run.reports).toEqual([['first', 0, 1, 1, 1]]);
});

test('the program ends by itself with an idle pool, and its workers with it', async () => {
  const run = await program(async (_rf, t) => {
    const pool = new t.mp.Pool(2);
    t.report(await pool.map((x: number) => x, [1, 2, 3]));
  });
  expect(run).toMatchObject({ code: 0, stderr: '', reports: [[1, 2, 3]] });
});

test('the program ends by process.exit, or an error, while workers are busy', async () => {
  for (const how of ['exit', 'throw']) {
    const run = await program(
      (rf, t) => {
        const pool = new t.mp.Pool(2);
        pool.run(() => rf.sleepSync(1e6)).catch(() => {});
        pool.run(() => rf.sleepSync(1e6)).catch(() => {});
        if (t.args[0] === 'exit') process.exit(3);
        throw new Error('the end');
      },
      { args: [how] },
    );
    expect(run.code).toBe(how === 'exit' ? 3 : 1);
  }
});

test('O19 Pool(200) sums the squares of 0 to 999', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      const pool = new t.mp.Pool(200);
      const squares = await pool.map(
        (x: number) => x * x,
        Array.from({ length: 1000 }, (_, i) => i),
      );
      t.report(squares.reduce((a, b) => a + b));
      pool.close();
      await pool.join();
    },
    { timeout: 60_000 },
  );
  expect(run.reports).toEqual([332833500]);
}, 90_000);

test('a pool in a daemonic process is refused', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const pool = new t.mp.Pool(1);
    t.report(await pool.run(() => t.caught(() => new t.mp.Pool(1)).code));
    t.report(await pool.run(() => [t.mp.currentProcess().daemon, /PoolWorker-\d+$/.test(t.mp.currentProcess().name)]));
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual(['ERR_PROCESS_DAEMONIC', [true, true]]);
});

test('two pools at once, and a pool in a child process', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const [one, two] = [new t.mp.Pool(2), new t.mp.Pool(2)];
    const double = (x: number) => 2 * x;
    t.report(await Promise.all([one.map(double, [1, 2]), two.map(double, [3, 4])]));
    const child = new t.mp.Process({
      target: async () => {
        t.report(await one.run(double, 1).catch((error: { code: string }) => error.code));
        const pool = new t.mp.Pool(2);
        t.report(await pool.map(double, [5, 6]));
        pool.close();
        await pool.join();
      },
    });
    child.start();
    await child.join();
    t.report([child.exitCode, await one.map(double, [7])]);
    for (const pool of [one, two]) {
      pool.close();
      await pool.join();
    }
  });
  expect(run.reports).toEqual([
    [
      [2, 4],
      [6, 8],
    ],
    'ERR_POOL_NOT_RUNNING',
    [10, 12],
    [0, [14]],
  ]);
});

test('a pool of a context; another start method than fork is refused by name', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { inspect } = require('node:util') as typeof import('node:util');
    const context = t.mp.getContext('fork');
    const pool = new context.Pool(2);
    t.report([pool instanceof t.mp.Pool, context.Pool === context.Pool, context.Pool.name, inspect(pool)]);
    t.report(await pool.map((x: number) => x * x, [1, 2, 3]));
    await pool[Symbol.asyncDispose]();
    t.report(inspect(pool));
    t.report(t.caught(() => new context.Pool(0)).code);
  });
  expect(run.reports).toEqual([
    [true, true, 'Pool', '<Pool state=RUN size=2>'],
    [1, 4, 9],
    '<Pool state=TERMINATE size=2>',
    'ERR_OUT_OF_RANGE',
  ]);
});

test('exported functions and classes are arguments of tasks; a closure among them is refused', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const path = require('node:path') as typeof import('node:path');
    const pool = new t.mp.Pool(1);
    const apply = (fn: (text: string) => string, { then }: { then: (text: string) => string }) => then(fn('/a/b.js'));
    t.report(await pool.run(apply, path.basename, { then: path.extname }));
    // Not known to the worker that there is: it is renewed.
    t.report(await pool.run(apply, path.dirname, { then: path.basename }));
    t.report(await pool.map((fn: unknown) => fn === URL, [URL, path.join]));
    const refused = await pool.run(apply, (text: string) => text, { then: path.extname }).catch((e: unknown) => e);
    t.report([(refused as { code: string }).code, String((refused as Error).message).split(' (')[0]]);
    await pool.terminate();
  });
  expect(run.reports).toEqual([
    '.js',
    'a',
    [true, false],
    ['ERR_DATA_CLONE', 'value[0] cannot be cloned: a function without a name, which no module exports'],
  ]);
});
