/** SharedValue and SharedArray: CPython's _TestValue and _TestArray, and what is different here. */
import { program } from '../helpers/program';

test('M01 every type: the child writes, the parent sees', async () => {
  const run = await program(async (_rf, t) => {
    const { Process, SharedValue } = t.mp;
    const cases = [
      ['i', 4343, 24234],
      ['d', 3.625, -4.25],
      ['h', -232, 234],
      ['q', 2 ** 33, 2 ** 34],
      ['i8', -128, 127],
      ['u8', 0, 255],
      ['i16', -32768, 32767],
      ['u16', 1, 65535],
      ['i32', -(2 ** 31), 2 ** 31 - 1],
      ['u32', 7, 2 ** 32 - 1],
      ['f32', 0.5, 1.5],
      ['f64', 0.1, -0],
    ] as const;
    const values = cases.map(([type, initial]) => new SharedValue(type, initial));
    const big = new SharedValue('u64', 2n ** 63n);
    const raw = cases.map(([type, initial]) => new SharedValue(type, initial, { lock: false }));
    t.report([...values, ...raw].every(({ value }, i) => Object.is(Number(value), cases[i % cases.length]?.[1])));
    const child = new Process({
      target: () => {
        cases.forEach(([, , next], i) => {
          for (const group of [values, raw]) (group[i] as { value: unknown }).value = next;
        });
        big.value = 2n ** 64n - 1n;
      },
    });
    child.start();
    await child.join();
    t.report([...values, ...raw].every(({ value }, i) => Object.is(Number(value), cases[i % cases.length]?.[2])));
    t.report([typeof values[3]?.value, typeof values[0]?.value, String(big.value), JSON.stringify([values[0], big])]);
  });
  expect(run.reports).toEqual([
    true,
    true,
    ['bigint', 'number', '18446744073709551615', '[24234,"18446744073709551615"]'],
  ]);
  expect(run.code).toBe(0);
});

test('M01 locked ones have getLock and getObj and keep the lock they are given, raw ones have neither', async () => {
  const run = await program((_rf, t) => {
    const { Lock, RLock, SharedArray, SharedValue } = t.mp;
    const lock = new Lock();
    const rlock = new RLock();
    const made = [
      new SharedValue('i', 5),
      new SharedValue('i', 5, { lock: true }),
      new SharedValue('i', 5, { lock: null }), // as None in Python
      new SharedValue('i', 5, { lock }),
      new SharedValue('i', 5, { lock: rlock }),
      new SharedArray('i', [5]),
      new SharedArray('i', 1, { lock }),
      new SharedArray('i', 1, { lock: rlock }),
    ];
    t.report(
      made.map((object) => [object.getLock() instanceof RLock, object.getLock() === lock, object.getObj().length]),
    );
    const raw = [new SharedValue('i', 5, { lock: false }), new SharedArray('i', 5, { lock: false })];
    t.report(raw.map((object) => ['getLock' in object, 'getObj' in object]));
    for (const wrong of ['navalue', 1, {}]) {
      t.report(t.caught(() => new SharedValue('i', 5, { lock: wrong as never })).code);
      t.report(t.caught(() => new SharedArray('i', 5, { lock: wrong as never })).code);
    }
  });
  const lockRow = (isRLock: boolean, isGiven: boolean) => [isRLock, isGiven, 1];
  expect(run.reports).toEqual([
    [
      lockRow(true, false),
      lockRow(true, false),
      lockRow(true, false),
      lockRow(false, true),
      lockRow(true, false),
      lockRow(true, false),
      lockRow(false, true),
      lockRow(true, false),
    ],
    [
      [false, false],
      [false, false],
    ],
    ...Array<string>(6).fill('ERR_INVALID_ARG_TYPE'),
  ]);
});

test('what locks but is no Lock or RLock is not taken for options', async () => {
  const run = await program((_rf, t) => {
    const { Condition, Semaphore, SharedArray, SharedValue } = t.mp;
    for (const wrong of [new Semaphore(), new Condition(), { acquire() {}, release() {} }]) {
      t.report(t.caught(() => new SharedValue('i', 5, wrong as never)).code);
      t.report(t.caught(() => new SharedArray('i', 5, wrong as never)).code);
    }
  });
  expect(run.reports).toEqual(Array<string>(6).fill('ERR_INVALID_ARG_TYPE'));
});

test('a part of an array that is sent is the same memory with the same lock', async () => {
  const run = await program(async (_rf, t) => {
    const { Pipe, Process, Queue, SharedArray } = t.mp;
    const array = new SharedArray('d', 10);
    const text = new SharedArray('c', 'abcdef', { lock: false });
    const part = array.subarray(2, 6);
    t.report([part instanceof SharedArray, part.length, part.getLock() === array.getLock()]);
    const queue = new Queue<[typeof part, typeof text]>();
    const [here, there] = Pipe();
    const child = new Process({
      target: () => {
        const [numbers, letters] = queue.getSync();
        numbers.getLock().withSync(() => numbers.fill(7));
        numbers.subarray(-1).getObj()[0] = 8;
        letters.value = 'XY';
        there.sendSync(numbers.subarray(1, 2));
      },
    });
    child.start();
    queue.putNowait([part, text.subarray(2)]);
    const back = here.recvSync<typeof part>();
    await child.join();
    t.report([[...array], Buffer.from(text).toString()]);
    back[0] = 9;
    t.report([array[3], back.length, array.subarray(4, 1).length, array.slice(1) instanceof SharedArray]);
  });
  expect(run.reports).toEqual([
    [true, 4, true],
    [[0, 0, 7, 7, 7, 8, 0, 0, 0, 0], 'abXY\0f'],
    [9, 1, 0, false],
  ]);
});

test('M02 an array: length, index, slice, slice assignment, iteration; the running sum of the child', async () => {
  const run = await program(async (_rf, t) => {
    const { Process, SharedArray } = t.mp;
    for (const options of [{}, { lock: false }]) {
      const sequence = [680, 626, 934, 821, 150, 233, 548, 982, 714, 831];
      const array = new SharedArray('i', sequence, options);
      t.report([array.length, array[3], [...array], [...array.slice(2, 6)], array instanceof SharedArray]);
      array.set([1, 2, 3], 4);
      sequence.splice(4, 3, 1, 2, 3);
      t.report([...array].join() === sequence.join());
      const child = new Process({
        target: () => {
          for (let i = 1; i < array.length; i++) array[i] = (array[i] as number) + (array[i - 1] as number);
        },
      });
      child.start();
      await child.join();
      for (let i = 1; i < sequence.length; i++) sequence[i] = (sequence[i] as number) + (sequence[i - 1] as number);
      t.report([...array].join() === sequence.join());
      const copy = array.slice();
      copy[0] = -1;
      t.report([array[0], copy instanceof SharedArray, array.map((n) => n * 2) instanceof Int32Array]);
    }
  });
  const half = [
    [10, 821, [680, 626, 934, 821, 150, 233, 548, 982, 714, 831], [934, 821, 150, 233], true],
    true,
    true,
    [680, false, true],
  ];
  expect(run.reports).toEqual([...half, ...half]);
});

test('M02 an array made by size is all zeros, also on memory that was used before', async () => {
  const run = await program(
    (_rf, t) => {
      const { SharedArray } = t.mp;
      let dirty = 0;
      for (let round = 0; round < 50; round++) {
        const array = new SharedArray('u8', 10_000);
        for (const byte of array) if (byte !== 0) dirty++;
        array.fill(255);
        gc?.();
      }
      t.report([dirty, new SharedArray('f64', 0).length]);
    },
    { nodeFlags: ['--expose-gc'] },
  );
  expect(run.reports).toEqual([[0, 0]]);
});

test('what does not fit is refused before anything is made', async () => {
  const run = await program((_rf, t) => {
    const { constants } = require('node:buffer') as typeof import('node:buffer');
    const { SharedArray, SharedValue } = t.mp;
    const value = new SharedValue('u8', 9);
    const attempts: (() => unknown)[] = [
      () => new SharedValue('x' as never),
      () => new SharedValue(3 as never),
      () => new SharedValue('i8', 128),
      () => new SharedValue('u16', -1),
      () => new SharedValue('i32', 1.5),
      () => new SharedValue('i64', 2 ** 53),
      () => new SharedValue('u64', -1n),
      () => new SharedValue('f64', '1' as never),
      () => (value.value = 256),
      () => new SharedArray('i', -1),
      () => new SharedArray('i', 1.5),
      () => new SharedArray('i', 'abc' as never),
      () => new SharedArray('i', [1, 2 ** 31]),
      () => new SharedArray('i', undefined as never),
      () => new SharedArray('f64', Math.floor(constants.MAX_LENGTH / 8) + 1), // within the elements, but not the bytes
    ];
    t.report(attempts.map((attempt) => t.caught(attempt).code));
    t.report(value.value);
  });
  const [type, range, value] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_VALUE'];
  expect(run.reports).toEqual([
    [value, type, range, range, range, range, range, type, range, range, range, type, range, type, range],
    9,
  ]);
});

test('sent through a pipe and a queue they are the same memory and the same lock, also to a process made before them', async () => {
  const run = await program(async (_rf, t) => {
    const { Pipe, Process, Queue, SharedArray, SharedValue } = t.mp;
    type Both = [
      InstanceType<typeof SharedValue>,
      { [i: number]: number; getLock(): { acquireSync(block: false): boolean } },
    ];
    const [mine, childs] = Pipe();
    const queue = new Queue<unknown>();
    const child = new Process({
      target: async () => {
        for (const receive of [() => childs.recv<Both>(), () => queue.get() as Promise<Both>]) {
          const [value, array] = await receive();
          childs.sendSync(array.getLock().acquireSync(false)); // held by the parent
          value.value = Number(value.value) + 1;
          array[2] = Number(array[2]) + 10;
          childs.sendSync([value, array]);
        }
      },
    });
    child.start();
    const value = new SharedValue('i', 1);
    const array = new SharedArray('f64', [0, 0, 0.5]);
    array.getLock().acquireSync();
    await mine.send([value, array]);
    t.report([await mine.recv(), value.value, array[2]]);
    const [, back] = await mine.recv<[unknown, Float64Array]>();
    back[0] = 7;
    queue.putSync([value, array]);
    t.report([await mine.recv(), array[0]]);
    await mine.recv();
    await child.join();
    t.report([child.exitCode, value.value, [...array]]);
  });
  expect(run.stderr).toBe('');
  const [first, second, last] = run.reports;
  expect(first[0]).toBe(false);
  expect(second).toEqual([false, 7]);
  expect(last).toEqual([0, 3, [7, 0, 20.5]]);
});

test('Y04 four processes add to a counter under its own lock', async () => {
  const run = await program(async (_rf, t) => {
    const { Process, SharedValue } = t.mp;
    const counter = new SharedValue('i');
    const workers = Array.from(
      { length: 4 },
      () =>
        new Process({
          target: () => {
            for (let i = 0; i < 5_000; i++) counter.getLock().withSync(() => (counter.value += 1));
          },
        }),
    );
    for (const worker of workers) worker.start();
    for (const worker of workers) await worker.join();
    t.report(counter.value);
  });
  expect(run.reports).toEqual([20_000]);
});

test('test_sharedctypes, test_synchronize: a child doubles values, an array and the text of one, with and without locks', async () => {
  const run = await program((rf, t) => {
    const { SharedArray, SharedValue } = t.mp;
    for (const options of [{}, { lock: false }]) {
      const whole = new SharedValue('i', 7, options);
      const part = new SharedValue('d', 1 / 3, options);
      const long = new SharedValue('q', 2 ** 33, options);
      const array = new SharedArray('d', [...new Array(10).keys()], options);
      const text = new SharedArray('c', 20, options);
      text.value = 'hello';
      const pid = rf.fork();
      if (pid === 0) {
        whole.value *= 2;
        part.value *= 2;
        long.value *= 2n;
        text.value += text.value;
        for (let i = 0; i < array.length; i++) array[i] = (array[i] as number) * 2;
        process.exit(0);
      }
      rf.waitpid(pid);
      t.report([whole.value, part.value, Number(long.value), [...array], text.value, text.length]);
    }
    const text = new SharedArray('c', 'abcdef');
    text.value = Buffer.from('xyz');
    t.report([text.value, Buffer.from(text).toString()]);
    const wrong = ['1234567', 'Ā', 5, null].map((each) => t.caught(() => (text.value = each as never))['code']);
    t.report([...wrong, text.value, 'value' in new SharedArray('u8', 1)]);
    text.value = '\u00e9\0b';
    t.report([text.value, [...text.subarray(0, 4)]]);
  });
  const doubled = [14, 2 / 3, 2 ** 34, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18], 'hellohello', 20];
  const type = 'ERR_INVALID_ARG_TYPE';
  expect(run.reports).toEqual([
    doubled,
    doubled,
    ['xyz', 'xyz\0ef'],
    ['ERR_OUT_OF_RANGE', type, type, type, 'xyz', false],
    ['é', [233, 0, 98, 0]],
  ]);
});

test('M01 characters (type c), text in an array of them, and the plain view that getObj gives', async () => {
  const run = await program((rf, t) => {
    const { SharedArray, SharedValue } = t.mp;
    const values = [new SharedValue('c', 'x'), new SharedValue('c', 'x', { lock: false }), new SharedValue('c')];
    const text = new SharedArray('c', 'hello');
    const before = values.map(({ value }) => value);
    const pid = rf.fork();
    if (pid === 0) {
      for (const value of values) value.value = 'y';
      text.set(Buffer.from('J'));
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report([before, values.map(({ value }) => value), Buffer.from(text).toString(), JSON.stringify(values[0])]);
    t.report(['xy', '', 'Ā', 256].map((wrong) => t.caught(() => new SharedValue('c', wrong as never)).code));
    const plain = text.getObj();
    plain[1] = 65;
    t.report([text[1], plain instanceof SharedArray, 'getLock' in plain, new SharedArray('c', 3).length]);
  });
  const type = 'ERR_INVALID_ARG_TYPE';
  expect(run.reports).toEqual([
    [['x', 'x', '\0'], ['y', 'y', 'y'], 'Jello', '"y"'],
    [type, type, type, 'ERR_OUT_OF_RANGE'],
    [65, false, false, 3],
  ]);
});
