import { cleanProgram } from '../helpers/program';

describe('Pipe and Connection', () => {
  test('C01 a duplex pipe to an echoing child keeps values and bytes', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const { inspect } = require('node:util') as typeof import('node:util');
      const [ours, theirs] = Pipe();
      const pid = rf.fork();
      if (pid === 0) {
        ours.close();
        for (;;) {
          const value = theirs.recvSync();
          if (value === 'stop') break;
          theirs.sendSync(value);
        }
        for (;;) {
          const bytes = theirs.recvBytesSync();
          if (bytes.length === 4 && bytes.toString() === 'stop') break;
          theirs.sendBytesSync(bytes);
        }
        process.exit();
      }
      theirs.close();
      const error = Object.assign(new RangeError('outer', { cause: new TypeError('inner') }), {
        code: 'E_TEST',
        n: [1],
      });
      const values = [
        [1, 1.5, -0, NaN, Infinity, 2n ** 70n, '', 'text', 'λ\ud800', null, undefined, true, false],
        { date: new Date(5), map: new Map([[{ a: 1 }, new Set([1, 'x'])]]), re: /a+/gi, boxed: Object('s') },
        [
          Buffer.from('bytes'),
          new Uint8Array([1, 2]),
          new Float64Array([1.5]),
          new BigInt64Array([-1n]),
          new ArrayBuffer(3),
        ],
        [error, new AggregateError([new Error('x')], 'many')],
        Array.from({ length: 10_000 }, (_, i) => ({ i, text: `item ${i}` })),
        { deep: { er: [[[{ x: [new Map([['k', [1]]])] }]]] } },
      ];
      const show = (value: unknown) => inspect(value, { depth: null, maxArrayLength: null });
      for (const value of values) {
        ours.sendSync(value);
        const back = ours.recvSync();
        await ours.send(value);
        const again = await ours.recv();
        t.report([show(back) === show(value), show(again) === show(value)]);
      }
      const cycle: unknown[] = [];
      cycle.push(cycle);
      await ours.send(cycle);
      const backCycle = await ours.recv<unknown[]>();
      t.report(backCycle[0] === backCycle);
      ours.sendSync('stop');
      for (const length of [0, 1, 100, 4096, 65_523, 65_524, 65_525, 65_536, 1_000_000]) {
        const bytes = Buffer.alloc(length, length & 255);
        ours.sendBytesSync(bytes);
        const back = ours.recvBytesSync();
        await ours.sendBytes(bytes);
        t.report(back.equals(bytes) && (await ours.recvBytes()).equals(bytes));
      }
      ours.sendBytesSync(Buffer.from('stop'));
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([...Array(6).fill([true, true]), true, ...Array(9).fill(true), 0]);
  });

  test('C02 poll on silence and on a message', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      const timed = async (call: () => boolean | Promise<boolean>) => {
        const started = performance.now();
        const result = await call();
        return { result, ms: performance.now() - started };
      };
      for (const call of [
        () => a.pollSync(),
        () => a.pollSync(-1),
        () => a.pollSync(0),
        () => a.poll(),
        () => a.poll(-1),
        () => a.poll(-Infinity),
      ]) {
        const { result, ms } = await timed(call);
        t.report([result, ms < 100]);
      }
      for (const call of [() => a.pollSync(200), () => a.poll(200)]) {
        const { result, ms } = await timed(call);
        t.report([result, ms >= 199]);
      }
      b.sendSync(null);
      for (const call of [
        () => a.pollSync(),
        () => a.pollSync(-1),
        () => a.pollSync(5000),
        () => a.poll(),
        () => a.poll(5000),
        () => a.poll(null),
        () => a.poll(Infinity),
      ]) {
        const { result, ms } = await timed(call);
        t.report([result, ms < 2000]);
      }
      t.report(await a.recv());
      t.report(await a.poll());
      // Waiting for one that comes later, from this very process and from a child.
      const later = a.poll(null);
      b.sendSync('late');
      t.report([await later, a.recvSync()]);
      const pid = rf.fork();
      if (pid === 0) {
        b.sendSync('child');
        process.exit();
      }
      t.report([a.pollSync(null), a.recvSync(), rf.waitpid(pid).status]);
      b.close();
      t.report([a.pollSync(), await a.poll(), await a.recv().catch((error: Error) => error.name)]);
    });
    expect(run.reports).toEqual([
      ...Array(6).fill([false, true]),
      ...Array(2).fill([false, true]),
      ...Array(7).fill([true, true]),
      null,
      false,
      [true, 'late'],
      [true, 'child', 0],
      [true, true, 'EOFError'],
    ]);
  });

  test('C04 recvBytesInto fills at an offset; a buffer that is too short gets the message in the error', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe, BufferTooShort } = t.mp;
      const [a, b] = Pipe();
      const into = async (target: Uint8Array | DataView, offset?: number) => {
        try {
          return await a.recvBytesInto(target, offset);
        } catch (error) {
          return error;
        }
      };
      const intoSync = (target: Uint8Array | DataView, offset?: number) => {
        try {
          return a.recvBytesIntoSync(target, offset);
        } catch (error) {
          return error;
        }
      };
      for (const call of [into, intoSync]) {
        const target = Buffer.alloc(10, '.');
        b.sendBytesSync(Buffer.from('abc'));
        t.report([await call(target), target.toString()]);
        b.sendBytesSync(Buffer.from('defg'));
        t.report([await call(target, 3), target.toString()]);
        b.sendBytesSync(Buffer.from('too long for it'));
        b.sendBytesSync(Buffer.from('next'));
        const error = await call(target, 2);
        t.report([
          error instanceof BufferTooShort,
          (error as { code: string }).code,
          (error as { data: Buffer }).data.toString(),
          target.toString(),
        ]);
        t.report([await call(new DataView(target.buffer, target.byteOffset), 0), target.toString()]);
        const long = Buffer.alloc(300_000, 'L');
        b.sendBytesSync(Buffer.from(''));
        t.report(await call(Buffer.alloc(0)));
        void b.sendBytes(long);
        const big = (await call(target)) as { data: Buffer };
        t.report(big.data.equals(long));
        t.report(t.caught(() => a.recvBytesIntoSync(target, 11)));
        t.report(t.caught(() => a.recvBytesIntoSync('text' as unknown as Buffer)));
      }
    });
    const expected = [
      [3, 'abc.......'],
      [4, 'abcdefg...'],
      [true, 'ERR_BUFFER_TOO_SHORT', 'too long for it', 'abcdefg...'],
      [4, 'nextefg...'],
      0,
      true,
      { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' },
      { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' },
    ];
    expect(run.reports).toEqual([...expected, ...expected]);
  });

  test('C06 a one-way pipe: directions, closed ends, the child keeps its end when the parent closes it at once', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [reader, writer] = Pipe({ duplex: false });
      t.report([reader.readable, reader.writable, writer.readable, writer.writable]);
      const rejected = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      for (const call of [
        () => reader.sendSync(1),
        () => reader.sendBytesSync(Buffer.alloc(1)),
        () => writer.recvSync(),
        () => writer.recvBytesSync(),
        () => writer.recvBytesIntoSync(Buffer.alloc(1)),
        () => writer.pollSync(),
      ]) {
        t.report(t.caught(call)['code']);
      }
      t.report([
        await rejected(reader.send(1)),
        await rejected(reader.sendBytes(Buffer.alloc(1))),
        await rejected(writer.recv()),
        await rejected(writer.recvBytes()),
        await rejected(writer.recvBytesInto(Buffer.alloc(1))),
        await rejected(writer.poll()),
      ]);
      // test_spawn_close: the child must have its own copy.
      const pid = rf.fork();
      if (pid === 0) {
        writer.sendSync('hello');
        process.exit();
      }
      writer.close();
      t.report([
        writer.closed,
        reader.closed,
        await reader.recv(),
        await rejected(reader.recv()),
        rf.waitpid(pid).status,
      ]);
      writer.close();
      t.report([
        t.caught(() => writer.fileno())['code'],
        t.caught(() => writer.sendSync(1))['code'],
        await rejected(writer.send(1)),
      ]);
      reader.close();
      t.report([
        reader.closed,
        await rejected(reader.recv()),
        await rejected(reader.poll()),
        t.caught(() => reader.recvSync())['code'],
      ]);
      // test_context
      let kept;
      {
        const [a, b] = Pipe();
        kept = a;
        try {
          a.sendSync(1729);
          t.report(b.recvSync());
        } finally {
          a[Symbol.dispose]();
          b[Symbol.dispose]();
        }
      }
      t.report([kept.closed, t.caught(() => kept.recvSync())['code']]);
    });
    const closed = 'ERR_CONNECTION_CLOSED';
    const [readOnly, writeOnly] = ['ERR_CONNECTION_READ_ONLY', 'ERR_CONNECTION_WRITE_ONLY'];
    const directions = [readOnly, readOnly, writeOnly, writeOnly, writeOnly, writeOnly];
    expect(run.reports).toEqual([
      [true, false, false, true],
      ...directions,
      directions,
      [true, false, 'hello', 'ERR_EOF', 0],
      [closed, closed, closed],
      [true, closed, closed, closed],
      1729,
      [true, closed],
    ]);
  });

  test('C07 sendBytes sends the slice that is asked for, and nothing when there is no such slice', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      const text = Buffer.from('abcdefghijklmnopqrstuvwxyz');
      for (const range of [[], [5], [7, 8], [26], [26, 0], [0, 0], [0, 26]] as [number?, number?][]) {
        a.sendBytesSync(text, ...range);
        t.report(b.recvBytesSync().toString());
        await a.sendBytes(text, ...range);
        t.report((await b.recvBytes()).toString());
      }
      a.sendBytesSync(text, { offset: 2, size: 3 });
      await a.sendBytes(new Uint16Array(text.buffer, text.byteOffset & ~1, 4).subarray(1), { offset: 1, size: 2 });
      t.report([b.recvBytesSync().toString(), b.recvBytesSync().length]);
      const ranges = [[27], [22, 5], [26, 1], [-1], [4, -1], [1.5], [0, 1.5]] as [number, number?][];
      for (const range of ranges) {
        t.report(t.caught(() => a.sendBytesSync(text, ...range))['code']);
        t.report(await a.sendBytes(text, ...range).catch((error: { code: string }) => error.code));
      }
      t.report(t.caught(() => a.sendBytesSync('text' as unknown as Buffer))['code']);
      t.report(b.pollSync());
    });
    const slices = [
      'abcdefghijklmnopqrstuvwxyz',
      'fghijklmnopqrstuvwxyz',
      'hijklmno',
      '',
      '',
      '',
      'abcdefghijklmnopqrstuvwxyz',
    ];
    expect(run.reports).toEqual([
      ...slices.flatMap((slice) => [slice, slice]),
      ['cde', 2],
      ...Array(14).fill('ERR_OUT_OF_RANGE'),
      'ERR_INVALID_ARG_TYPE',
      false,
    ]);
  });

  test('null is nothing, as None: offset and size of sendBytes, maxLength of recvBytes', async () => {
    const run = await cleanProgram(async (_rf, t) => {
      const [a, b] = t.mp.Pipe();
      const text = Buffer.from('abcdef');
      a.sendBytesSync(text, null, null);
      await a.sendBytes(text, 2, null);
      t.report([b.recvBytesSync(null).toString(), (await b.recvBytes(null)).toString()]);
      await a.sendBytes(text, null, 3);
      t.report(b.recvBytesSync({ maxLength: null as never }).toString());
      t.report(t.caught(() => b.recvBytesSync('6' as never))['code']);
      const error: unknown = await b.recvBytes('6' as never).catch((error: { code: string }) => error.code);
      t.report(error);
    });
    expect(run.reports).toEqual([['abcdef', 'cdef'], 'abc', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE']);
  });

  test('test_empty_string, test_strings, test_boundaries, test_dont_merge: messages are whole, and polled as such', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      t.report(a.pollSync());
      b.sendBytesSync(Buffer.alloc(0));
      t.report([a.pollSync(), await a.poll(), a.recvBytesSync().length, a.pollSync()]);
      const strings = ['hello', '', 'a', 'b', '', 'bye', 'lop'];
      const pid = rf.fork();
      if (pid === 0) {
        a.close();
        for (const text of strings) {
          rf.sleepSync(5);
          b.sendBytesSync(Buffer.from(text));
        }
        process.exit();
      }
      b.close();
      for (const text of strings) {
        t.report([a.pollSync(20_000), (await a.poll(20_000)) && (await a.recvBytes()).toString() === text]);
      }
      rf.waitpid(pid);
      t.report([a.pollSync(), t.caught(() => a.recvBytesSync())['code'], a.pollSync(1000)]);
      const [r, w] = Pipe({ duplex: false });
      w.sendBytesSync(Buffer.from('first'));
      w.sendBytesSync(Buffer.from('second'));
      w.close();
      t.report([r.pollSync(), r.recvBytesSync().toString(), r.pollSync(), r.recvBytesSync().toString(), r.pollSync()]);
      t.report(t.caught(() => r.recvBytesSync())['code']);
    });
    expect(run.reports).toEqual([
      false,
      [true, true, 0, false],
      ...Array(7).fill([true, true]),
      [true, 'ERR_EOF', true],
      [true, 'first', true, 'second', true],
      'ERR_EOF',
    ]);
  });

  test('messages up to hundreds of megabytes, both forms, both ways at once', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Pipe } = t.mp;
        const [a, b] = Pipe();
        const pid = rf.fork();
        if (pid === 0) {
          a.close();
          const both = [b.recv<Buffer>(), b.recv<Buffer>()];
          await b.send(Buffer.alloc(30_000_000, 'c'));
          await b.send(Buffer.alloc(30_000_000, 'd'));
          const [first, second] = await Promise.all(both);
          b.sendSync([first?.length, second?.length, first?.every((byte) => byte === 97), second?.[12_345]]);
          const big = b.recvBytesSync();
          b.sendSync([big.length, big[0], big[big.length - 1]]);
          process.exit();
        }
        b.close();
        const sent = [a.send(Buffer.alloc(30_000_000, 'a')), a.send(Buffer.alloc(30_000_000, 'b'))];
        t.report([(await a.recv<Buffer>()).length, (await a.recv<Buffer>())[29_999_999]]);
        await Promise.all(sent);
        t.report(await a.recv());
        const big = Buffer.alloc(200_000_000);
        big[0] = 1;
        big[big.length - 1] = 2;
        a.sendBytesSync(big);
        t.report(a.recvSync());
        t.report(rf.waitpid(pid).status);
      },
      { timeout: 60_000 },
    );
    expect(run.reports).toEqual([[30_000_000, 100], [30_000_000, 30_000_000, true, 98], [200_000_000, 1, 2], 0]);
  }, 90_000);
});

describe('promises of a connection', () => {
  test('are served in the order of the calls, sends and receives', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      const receives = Array.from({ length: 500 }, () => b.recv<{ i: number }>());
      const sends = Array.from({ length: 500 }, (_, i) => a.send({ i, fill: 'x'.repeat(i % 7 === 0 ? 100_000 : 10) }));
      const sync = b.recv();
      const last = a.send('after all of them');
      const got = await Promise.all(receives);
      t.report(got.every(({ i }, at) => i === at));
      await Promise.all([...sends, last]);
      t.report(await sync);
      // A blocking call stands behind the promises.
      const first = b.recv();
      a.sendSync(1);
      a.sendSync(2);
      t.report([b.recvSync(), await first]);
    });
    expect(run.reports).toEqual([true, 'after all of them', [2, 1]]);
  });

  test('leave the event loop free, and keep it alive only while they wait', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      let ticks = 0;
      const timer = setInterval(() => (ticks += 1), 1);
      const waiting = b.recv();
      await new Promise((resolve) => setTimeout(resolve, 50));
      a.sendSync('x');
      await waiting;
      t.report(ticks > 0);
      // Also when there is always a message: another process sends without end.
      const pid = rf.fork();
      if (pid === 0) {
        b.close();
        try {
          for (;;) a.sendSync('flood');
        } catch (error) {
          process.exit((error as { code?: string }).code === 'EPIPE' ? 0 : 1);
        }
      }
      a.close();
      const before = ticks;
      while (ticks < before + 5) await b.recv();
      clearInterval(timer);
      b.close();
      t.report((await rf.waitpidAsync(pid)).status);
      const [c] = Pipe();
      void c; // open, and nobody waits: the program ends by itself
    });
    expect(run.reports).toEqual([true, 0]);
  });

  test('timeout and signal give up, and the message goes to the next', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      const code = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      const started = performance.now();
      t.report([await code(b.recv({ timeout: 50 })), performance.now() - started >= 49]);
      t.report(t.caught(() => b.recvSync({ timeout: 30 }))['code']);
      const controller = new AbortController();
      const aborted = code(b.recv({ signal: controller.signal }));
      const second = b.recv();
      controller.abort();
      t.report(await aborted);
      a.sendSync('for the second');
      t.report(await second);
      t.report(await code(b.recv({ signal: AbortSignal.abort() })));
      t.report(await code(b.poll(null, { signal: AbortSignal.abort() })));
      // A send that nobody takes.
      const filler = a.send(Buffer.alloc(3_000_000));
      t.report(await code(a.send('given up', { timeout: 20 })));
      const next = a.send('next');
      t.report([(await b.recv<Buffer>()).length, await b.recv()]);
      await Promise.all([filler, next]);
      t.report([
        await code(b.recv({ timeout: -1 })),
        await code(b.recv({ timeout: '1' as unknown as number })),
        await code(b.recv({ signal: {} as AbortSignal })),
      ]);
      t.report(b.pollSync());
    });
    expect(run.reports).toEqual([
      ['ERR_TIMEOUT', true],
      'ERR_TIMEOUT',
      'ABORT_ERR',
      'for the second',
      'ABORT_ERR',
      'ABORT_ERR',
      'ERR_TIMEOUT',
      [3_000_000, 'next'],
      ['ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
      false,
    ]);
  });

  test('close: receives are given up, sends that were accepted go out first', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      const code = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      const waiting = [code(a.recv()), code(a.poll(null))];
      const sent = a.send(Buffer.alloc(5_000_000, 1));
      a.close();
      t.report([a.closed, ...(await Promise.all(waiting))]);
      t.report((await b.recv<Buffer>()).length);
      await sent;
      t.report(await code(b.recv()));
    });
    const closed = 'ERR_CONNECTION_CLOSED';
    expect(run.reports).toEqual([[true, closed, closed], 5_000_000, 'ERR_EOF']);
  });

  test('in a forked child those of the parent never settle, and the connection works', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      const [c, d] = Pipe();
      let settledHere = 0;
      const parents = b.recv({ timeout: 60_000 });
      void parents.then(() => (settledHere += 1));
      const sending = c.send(Buffer.alloc(2_000_000, 7));
      void sending.then(() => (settledHere += 1));
      const pid = rf.fork();
      if (pid === 0) {
        // The parent's timer is gone: this process ends as soon as it has nothing to do.
        const [e, f] = Pipe();
        e.sendSync('own');
        t.report(['child', await f.recv(), settledHere]);
        a.sendSync('to the parent');
        return;
      }
      t.report(['parent', await parents, (await d.recv<Buffer>()).length]);
      await sending;
      t.report([settledHere, (await rf.waitpidAsync(pid)).status]);
    });
    expect(run.reports).toEqual([
      ['child', 'own', 0],
      ['parent', 'to the parent', 2_000_000],
      [2, 0],
    ]);
  });

  test('asynchronous iteration ends at the end of the other side', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const [reader, writer] = t.mp.Pipe({ duplex: false });
      const pid = rf.fork();
      if (pid === 0) {
        reader.close();
        for (let i = 0; i < 5; i++) await writer.send(i);
        process.exit();
      }
      writer.close();
      const all = [];
      for await (const value of reader) all.push(value);
      t.report([all, rf.waitpid(pid).status]);
    });
    expect(run.reports).toEqual([[[0, 1, 2, 3, 4], 0]]);
  });
});

describe('ends', () => {
  test('end of file, EPIPE and unread data', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const code = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      {
        const [a, b] = Pipe();
        a.sendSync(1);
        a.close();
        t.report([b.recvSync(), t.caught(() => b.recvSync()), await code(b.recv())]);
        t.report([
          t.caught(() => b.sendSync(1))['code'],
          await code(b.send(1)),
          await code(b.sendBytes(Buffer.alloc(1e6))),
        ]);
      }
      {
        // The other end goes with unread data of ours: what it has sent is still there, then the end.
        const [a, b] = Pipe();
        b.sendSync('never read');
        a.sendSync('sent before the end');
        a.close();
        t.report([b.recvSync(), t.caught(() => b.recvSync())['code']]);
        t.report([t.caught(() => b.sendSync(1))['code']]);
      }
      {
        const [a, b] = Pipe();
        const waiting = code(b.recv());
        const stuck = code(b.send(Buffer.alloc(10_000_000)));
        a.close();
        t.report([await waiting, await stuck]);
      }
    });
    expect(run.reports).toEqual([
      [1, { name: 'EOFError', code: 'ERR_EOF' }, 'ERR_EOF'],
      ['EPIPE', 'EPIPE', 'EPIPE'],
      ['sent before the end', 'ERR_EOF'],
      ['EPIPE'],
      ['ERR_EOF', 'EPIPE'],
    ]);
  });

  test.each(['at once', 'while others wait', 'in sync'] as const)(
    'over TCP: what the other end sent before it died is received, although sending to it has failed in the middle: %s',
    async (form) => {
      const run = await cleanProgram(
        async (_rf, t) => {
          const [form] = t.args as ['at once' | 'while others wait' | 'in sync'];
          const { Client, Listener, Process } = t.mp;
          const authKey = Buffer.from('key');
          const listener = new Listener(['127.0.0.1', 0], { authKey });
          const child = new Process({
            target: async () => {
              const connection = await Client(listener.address, { authKey });
              for (const message of ['one', 'two']) connection.sendSync(message);
              process.kill(process.pid, 'SIGKILL');
            },
          });
          child.start();
          const connection = await listener.accept();
          await child.join();
          const long = 'x'.repeat(10_000_000);
          const code = (error: unknown) => (error as { code?: string }).code;
          const sending = form === 'in sync' ? undefined : connection.send(long).then(() => 'sent', code);
          const failure = sending === undefined ? t.caught(() => connection.sendSync(long))['code'] : await sending;
          t.report(failure === 'EPIPE' || failure === 'ECONNRESET');
          if (form === 'while others wait') {
            t.report(await Promise.all([connection.recv(), connection.recv(), connection.recv().catch(code)]));
          } else {
            t.report([connection.recvSync(), connection.recvSync(), t.caught(() => connection.recvSync())['code']]);
          }
          t.report([connection.closed, t.caught(() => connection.sendSync(1))['code']]);
        },
        { args: [form] },
      );
      expect(run.reports).toEqual([true, ['one', 'two', 'ERR_EOF'], [false, 'EPIPE']]);
    },
  );

  test('a sender that is killed in the middle of a message: an error or the end, never a part', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Pipe, InvalidMessageError, EOFError } = t.mp;
        const [reader, writer] = Pipe({ duplex: false });
        const kinds = { whole: 0, cut: 0, garbage: 0 };
        const whole = (value: unknown) =>
          Array.isArray(value) &&
          (value[1] as Buffer).length === 400_000 &&
          (value[1] as Buffer).every((byte) => byte === value[0]);
        for (let round = 0; round < 15; round++) {
          const pid = rf.fork();
          if (pid === 0) {
            for (;;) writer.sendSync([round & 255, Buffer.alloc(400_000, round)]);
          }
          const stop = 1 + (round % 3);
          for (let i = 0; i < stop; i++) {
            try {
              if (whole(await reader.recv())) kinds.whole += 1;
              else kinds.garbage += 1;
            } catch (error) {
              if (!(error instanceof InvalidMessageError)) throw error;
              kinds.cut += 1;
              i -= 1;
            }
          }
          rf.kill(pid, 'SIGKILL');
          rf.waitpid(pid);
        }
        // The kernel may be full of what the killed one has left.
        const sent = writer.send('the last');
        writer.close();
        let last: unknown;
        for (;;) {
          try {
            const value = await reader.recv();
            if (value === 'the last') last = value;
            else if (whole(value)) kinds.whole += 1;
            else kinds.garbage += 1;
          } catch (error) {
            if (error instanceof EOFError) break;
            if (!(error instanceof InvalidMessageError)) throw error;
            kinds.cut += 1;
          }
        }
        await sent;
        t.report([kinds.garbage, kinds.whole >= 15, kinds.cut > 0, last]);
        // With nobody else to send, the end comes after what is left of the message.
        const [r, w] = Pipe();
        const pid = rf.fork();
        if (pid === 0) for (;;) w.sendSync(Buffer.alloc(1_000_000));
        w.close();
        r.recvSync();
        await r.poll(null);
        rf.kill(pid, 'SIGKILL');
        rf.waitpid(pid);
        const names = [];
        for (;;) {
          try {
            r.recvSync();
          } catch (error) {
            names.push((error as Error).name);
            if (error instanceof EOFError || r.closed) break;
          }
        }
        t.report(names);
      },
      { timeout: 60_000 },
    );
    expect(run.reports[0]).toEqual([0, true, true, 'the last']);
    expect([['EOFError'], ['InvalidMessageError'], ['InvalidMessageError', 'EOFError']]).toContainEqual(run.reports[1]);
  }, 90_000);

  test('TestInvalidHandle: numbers that are no connection', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Connection } = t.mp;
      t.report(t.caught(() => new Connection(-1))['code']);
      t.report(t.caught(() => new Connection(1.5))['code']);
      t.report(t.caught(() => new Connection(0, { readable: false, writable: false }))['code']);
      const bad = new Connection(44_977_608);
      t.report([
        t.caught(() => bad.pollSync())['code'],
        t.caught(() => bad.sendSync(1))['code'],
        t.caught(() => bad.recvSync())['code'],
        await bad.poll(100).catch((error: { code: string }) => error.code),
        await bad.recv().catch((error: { code: string }) => error.code),
      ]);
      bad.close();
    });
    expect(run.reports).toEqual([
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      ['EBADF', 'EBADF', 'EBADF', 'EBADF', 'EBADF'],
    ]);
  });

  test('ends that nobody can reach any more are closed', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Pipe } = t.mp;
        const fs = require('node:fs') as typeof import('node:fs');
        const count = () => fs.readdirSync('/proc/self/fd').length;
        const [kept] = Pipe();
        const pending = (() => {
          const [a, b] = Pipe();
          void a.poll(null); // waits: stays
          return b.fileno();
        })();
        const before = count();
        for (let i = 0; i < 100; i++) Pipe();
        t.report(count() - before);
        await t.waitUntil(() => {
          (globalThis as unknown as { gc(): void }).gc();
          return count() <= before;
        }, 'the ends are closed');
        t.report([kept.closed, typeof pending]);
        process.exit();
      },
      { nodeFlags: ['--expose-gc'] },
    );
    expect(run.reports).toEqual([200, [false, 'number']]);
  });
});

describe('what cannot be sent', () => {
  test('gives an error that names it, and leaves what was sent before and after as it was', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      const [a, b] = Pipe();
      a.sendSync('before');
      const errors = [];
      for (const value of [
        () => {},
        { on: { change() {} } },
        [Symbol('s')],
        new WeakMap(),
        Promise.resolve(),
        process,
      ]) {
        errors.push(t.caught(() => a.sendSync(value))['code']);
        errors.push(await a.send(value).catch((error: { code: string }) => error.code));
      }
      t.report([...new Set(errors)]);
      const text = await a.send({ list: [1, { run() {} }] }).catch((error: Error) => error.message);
      t.report(text);
      a.sendSync('after');
      t.report([b.recvSync(), b.recvSync(), b.pollSync()]);
      // Bytes that are no value are an error of the receiver's, for that message alone.
      a.sendBytesSync(Buffer.from('no value'));
      a.sendSync('and on');
      t.report([t.caught(() => b.recvSync())['code'], b.recvSync()]);
    });
    expect(run.reports).toEqual([
      ['ERR_DATA_CLONE'],
      'value.list[1].run cannot be cloned: the function run',
      ['before', 'after', false],
      ['ERR_INVALID_MESSAGE', 'and on'],
    ]);
  });

  test('what works in its own process only is refused, as Python does not pickle it, and not sent as an empty object', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { currentProcess, Listener, Manager, Pipe, Pool, Process, Queue } = t.mp;
      class Mine extends Process {}
      const pool = new Pool(1);
      const listener = new Listener();
      const manager = await Manager();
      const [a, b] = Pipe();
      const queue = new Queue();
      const things = [
        new Process(),
        new Mine(),
        currentProcess(),
        pool,
        pool.applyAsync(() => 1),
        pool.imap((x) => x, [1]),
        listener,
        manager,
      ];
      t.report(
        things.map((thing) => [t.caught(() => a.sendSync([thing])).code, t.caught(() => queue.putNowait(thing)).code]),
      );
      t.report([b.pollSync(), queue.empty()]);
      listener.close();
      await manager.shutdown();
      await pool.terminate();
      await pool.join();
    });
    expect(run.reports).toEqual([Array(8).fill(['ERR_DATA_CLONE', 'ERR_DATA_CLONE']), [false, true]]);
  });
});
