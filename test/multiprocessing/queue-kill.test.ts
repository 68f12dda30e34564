/** SIGKILL at random moments of put and get, a few of them; test/stress/queue-kill.test.ts has a thousand. */
import { cleanProgram } from '../helpers/program';
import { killedConsumers, killedProducers, killedWaiters } from '../helpers/queue-kill';

const seed = () => Math.floor(Math.random() * 2 ** 31);
const timeout = 120_000;

test.each(['sync', 'async', 'bounded'])(
  'producers killed inside put: nothing is blocked, damaged or lost beside the item: %s',
  async (form) => {
    const run = await cleanProgram(killedProducers, { args: [25, form, seed()], timeout });
    const [{ dropped, items, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, left: 0, ended: 0 });
    expect(dropped).toBeLessThanOrEqual(25);
    expect(items).toBeGreaterThan(0);
  },
  timeout + 10_000,
);

test.each(['sync', 'async', 'bounded'])(
  'consumers killed inside get: the others get everything else, once and whole: %s',
  async (form) => {
    const run = await cleanProgram(killedConsumers, { args: [25, form, seed()], timeout });
    const [{ count, ...rest }] = run.reports;
    expect(rest).toEqual({
      twice: 0,
      isLostOncePerKill: true,
      isDroppedOncePerKill: true,
      wrong: 0,
      ended: [0, 0],
      left: 0,
    });
    expect(count).toBeGreaterThan(0);
  },
  timeout + 10_000,
);

test.each(['sync get', 'async get', 'sync put', 'async put'])(
  'of those who wait one is killed as it is woken: another one is: %s',
  async (form) => {
    const run = await cleanProgram(killedWaiters, { args: [25, form, seed()], timeout });
    expect(run.reports).toEqual([{ rounds: 25 }]);
  },
  timeout + 10_000,
);

test.each([
  ['before the tail is there', 16, false],
  ['when the tail is there', 16, true],
  ['before the head is there', 32, false],
  ['when both are there', 32, true],
] as const)(
  'a producer killed while it begins the ring anew, %s: nothing is lost, nothing is blocked',
  async (_, word, after) => {
    const run = await cleanProgram(
      (rf, t) => {
        const [word, after] = t.args as [number, boolean];
        const size = 2 ** 20;
        const queue = new t.mp.Queue<string>(0, { ringSize: size });
        const item = 'x'.repeat(100);
        const pid = rf.fork();
        if (pid === 0) {
          const { store } = Atomics;
          const kill = () => process.kill(process.pid, 'SIGKILL');
          (Atomics as { store: unknown }).store = (words: Int32Array, index: number, value: number) => {
            const isIt = index === word && words.length === 1024 && (value & (size - 1)) === 0;
            if (isIt && !after) kill();
            store(words, index, value);
            if (isIt && after) kill();
          };
          for (let i = 0; i < 5_000; i++) {
            queue.putSync(item);
            queue.getSync();
          }
          process.exit(0);
        }
        const { status } = rf.waitpid(pid);
        const found = [queue.qsize(), queue.dropped];
        let nothing = '';
        try {
          queue.getNowait();
        } catch (error) {
          nothing = (error as Error).name;
        }
        for (let i = 0; i < 9_000; i++) queue.putNowait(item + i);
        let right = 0;
        for (let i = 0; i < 9_000; i++) right += Number(queue.getSync() === item + i);
        t.report([status & 127, found, nothing, right, queue.dropped, queue.qsize(), queue.empty()]);
      },
      { args: [word, after] },
    );
    expect(run.reports).toEqual([[9, [0, 0], 'Empty', 9_000, 0, 0, true]]);
  },
);

test.each(['timeout', 'signal'] as const)(
  'a get whose large item comes to nothing, since its writer was killed, has its %s again',
  async (limit) => {
    const run = await cleanProgram(
      async (_rf, t) => {
        const [limit] = t.args as ['timeout' | 'signal'];
        const queue = new t.mp.Queue<unknown>(0, { ringSize: 16384 });
        const writer = new t.mp.Process({ target: () => queue.putSync(Buffer.alloc(1_000_000)) });
        writer.start();
        await t.waitUntil(
          () => t.stat(writer.pid as number)?.[0] === 'S' && queue.qsize() > 0,
          'the ring is full of it',
        );
        process.kill(writer.pid as number, 'SIGSTOP');
        const abort = new AbortController();
        const got = queue.get(limit === 'timeout' ? { timeout: 300 } : { signal: abort.signal }).then(
          () => 'an item',
          (error: Error) => error.name,
        );
        writer.kill(); // what there was of the item is read by now
        await writer.join();
        await t.waitUntil(() => queue.dropped === 1, 'the item is given up');
        if (limit === 'signal') abort.abort();
        t.report(await got);
        queue.putNowait('next');
        t.report(await queue.get());
      },
      { args: [limit] },
    );
    expect(run.reports).toEqual([limit === 'timeout' ? 'Empty' : 'AbortError', 'next']);
  },
);
