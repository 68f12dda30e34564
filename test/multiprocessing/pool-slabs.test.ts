/** Long arguments and results, which go by memory that the pool and its workers share. */
import { cleanProgram } from '../helpers/program';
import { methodProgram } from '../helpers/method-program';

test('arguments are those of the call, also when they change before a worker has them', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(2);
    const sum = (bytes: Uint8Array, numbers: Float64Array) => {
      const ends = [bytes[0], bytes.at(-1), numbers[0], numbers.at(-1)];
      bytes.fill(255); // the worker's own
      return [bytes.every((byte) => byte === 255), ...ends];
    };
    const bytes = new Uint8Array(300_000);
    const numbers = new Float64Array(100_000);
    const results: Promise<unknown>[] = [];
    for (let i = 0; i < 40; i++) {
      bytes.fill(i);
      numbers.fill(i / 2);
      results.push(pool.run(sum, bytes, numbers));
    }
    bytes.fill(99);
    const got = (await Promise.all(results)) as number[][];
    t.report(got.every(([own, ...ends], i) => own && ends.join() === [i, i, i / 2, i / 2].join()));
    t.report([bytes[0], bytes.at(-1)]);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([true, [99, 99]]);
});

test('results stay as they are, whatever comes after them, and are private memory', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(2);
    const make = (size: number, value: number) => ({
      bytes: new Uint8Array(size).fill(value),
      buffer: Buffer.alloc(size, value),
      words: new Uint32Array(size / 4).fill(value).buffer,
      text: String.fromCharCode(97 + (value % 26)).repeat(size),
    });
    const sizes = [65_536, 100_000, 1_048_576, 3_000_000];
    const results = await Promise.all(
      Array.from({ length: 60 }, (_, i) => pool.run(make, sizes[i % sizes.length] as number, i % 256)),
    );
    const right = ({ bytes, buffer, words, text }: ReturnType<typeof make>, i: number) => {
      const size = sizes[i % sizes.length] as number;
      return (
        bytes.length === size &&
        bytes.buffer.byteLength === size &&
        bytes.every((byte) => byte === i % 256) &&
        Buffer.isBuffer(buffer) &&
        buffer.equals(Buffer.alloc(size, i % 256)) &&
        new Uint32Array(words).every((word) => word === i % 256) &&
        text === String.fromCharCode(97 + ((i % 256) % 26)).repeat(size)
      );
    };
    t.report(results.every(right));
    // What a child writes into one is the child's.
    const { bytes } = results[0] as ReturnType<typeof make>;
    const child = new t.mp.Process({ target: () => void bytes.fill(7) });
    child.start();
    await child.join();
    t.report([child.exitCode, bytes[0], bytes.at(-1)]);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([true, [0, 0, 0]]);
});

test('workers that are killed, tasks that are given up: nobody gets what is for another', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const pool = new t.mp.Pool(3, { gracePeriod: 20 });
    const work = async (bytes: Uint8Array, i: number) => {
      if (i % 7 === 3) process.kill(process.pid, 'SIGKILL');
      // Never done in time: what the timeout below is for.
      if (i % 11 === 5) await new Promise((resolve) => setTimeout(resolve, 60_000));
      return bytes.every((byte) => byte === i % 251) ? bytes : Buffer.alloc(0);
    };
    const kinds: Record<string, number> = { right: 0, wrong: 0 };
    const count = (kind: string) => (kinds[kind] = (kinds[kind] ?? 0) + 1);
    const tasks = Array.from({ length: 150 }, async (_, i) => {
      const given = i % 11 === 5 && i % 7 !== 3 ? { timeout: 50 * t.pace } : {};
      try {
        const result = await pool.apply(work, [new Uint8Array(200_000 + i * 1_000).fill(i % 251), i], given);
        count(result.length === 200_000 + i * 1_000 && result.every((byte) => byte === i % 251) ? 'right' : 'wrong');
      } catch (error) {
        count((error as Error).name);
      }
    });
    await Promise.all(tasks);
    t.report(kinds);
    pool.close();
    await pool.join();
  });
  const numbers = Array.from({ length: 150 }, (_, i) => i);
  const dying = numbers.filter((i) => i % 7 === 3).length;
  const slow = numbers.filter((i) => i % 11 === 5 && i % 7 !== 3).length;
  expect(run.reports).toEqual([{ right: 150 - dying - slow, wrong: 0, WorkerDiedError: dying, TimeoutError: slow }]);
});

test('the shared memory in use follows what is under way, and is given back', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Pool } = t.mp; // the memory is there from now on
    const { readdirSync, readlinkSync, fstatSync } = require('node:fs') as typeof import('node:fs');
    const fd = readdirSync('/proc/self/fd').find((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).includes('realfork');
      } catch {
        return false;
      }
    });
    const megabytes = () => Math.ceil((fstatSync(Number(fd)).blocks * 512) / 2 ** 20);
    const before = megabytes();
    const pool = new Pool(2);
    const echo = (bytes: Uint8Array) => bytes;
    const numbers = Array.from({ length: 400 }, (_, i) => i);
    const bytes = new Uint8Array(2 ** 20);
    const kept = await Promise.all(numbers.map((i) => pool.run(echo, bytes.fill(i % 251))));
    const during = megabytes();
    t.report([kept.every((bytes, i) => bytes[5] === i % 251), during - before > 100, during - before < 300]);
    // More than a pool has of it.
    const huge = await pool.run(echo, new Uint8Array(300 * 2 ** 20).fill(3));
    t.report([huge.length === 300 * 2 ** 20, huge.at(-1)]);
    pool.close();
    await pool.join();
    t.report(megabytes() - before < 4);
  });
  expect(run.reports).toEqual([[true, true, true], [true, 3], true]);
});

test.each(['spawn', 'forkserver'] as const)('%s: the same for workers that are no forks', async (method) => {
  const run = await methodProgram(
    method,
    () => ({ add: (numbers: Float64Array, x: number) => numbers.map((n) => n + x) }),
    async (rf, t, { add }) => {
      const pool = new t.mp.Pool(2);
      const numbers = new Float64Array(200_000).fill(0.5);
      const results = await Promise.all(Array.from({ length: 20 }, (_, i) => pool.run(add, numbers, i)));
      t.report(results.every((result, i) => result.length === 200_000 && result.every((n) => n === i + 0.5)));
      pool.close();
      await pool.join();
    },
  );
  expect(run.reports).toEqual([true]);
});
