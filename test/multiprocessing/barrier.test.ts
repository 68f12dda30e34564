/** Barrier: after CPython's _TestBarrier, both forms of wait. */
import { cleanProgram } from '../helpers/program';

describe.each(['sync', 'promise'])('%s form', (form) => {
  test('Y12 5 parties pass in lockstep 10 times; the values are a permutation of 0..4', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const barrier = new t.mp.Barrier(5);
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const words = new Int32Array(allocate(256).buffer);
        const wait = async () => (isSync ? barrier.waitSync() : await barrier.wait());
        const party = async () => {
          for (let i = 0; i < 10; i++) {
            Atomics.add(words, 0, 1);
            if (Atomics.load(words, 1) !== i * 5) return 1;
            Atomics.or(words, 8 + i, 1 << (await wait()));
            Atomics.add(words, 1, 1);
            if (Atomics.load(words, 0) !== (i + 1) * 5) return 2;
            await wait();
          }
          return 0;
        };
        const pids: number[] = [];
        for (let i = 0; i < 4; i++) {
          const pid = rf.fork();
          if (pid === 0) process.exit(await party());
          pids.push(pid);
        }
        t.report([await party(), ...pids.map((pid) => rf.waitpid(pid).status >> 8)]);
        t.report([...words.subarray(8, 18)]);
        t.report([barrier.parties, barrier.nWaiting, barrier.broken]);
      },
      { args: [form] },
    );
    expect(run.reports).toEqual([[0, 0, 0, 0, 0], Array(10).fill(0b11111), [5, 0, false]]);
  });

  test('Y12 the action runs once per pass before anyone leaves; a barrier of 1 never blocks', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const words = new Int32Array(allocate(64).buffer);
        const barrier = new t.mp.Barrier(5, {
          action: () => {
            rf.sleepSync(20);
            Atomics.add(words, 0, 1);
          },
        });
        const party = async () => {
          for (let i = 1; i <= 6; i++) {
            if (isSync) barrier.waitSync();
            else await barrier.wait();
            if (Atomics.load(words, 0) !== i) return i;
            if (isSync) barrier.waitSync();
            else await barrier.wait();
            if (Atomics.load(words, 0) !== (i += 1)) return i;
          }
          return 0;
        };
        const pids: number[] = [];
        for (let i = 0; i < 4; i++) {
          const pid = rf.fork();
          if (pid === 0) process.exit(await party());
          pids.push(pid);
        }
        t.report([await party(), ...pids.map((pid) => rf.waitpid(pid).status >> 8), words[0]]);
        const single = new t.mp.Barrier(1, () => Atomics.add(words, 1, 1));
        t.report([
          isSync ? single.waitSync() : await single.wait(),
          isSync ? single.waitSync(0) : await single.wait(0),
        ]);
        t.report(words[1]);
      },
      { args: [form] },
    );
    expect(run.reports).toEqual([[0, 0, 0, 0, 0, 6], [0, 0], 2]);
  });

  test('test_thousand: 5 parties pass 1,000 times, none of them twice', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Barrier, SharedArray } = t.mp;
        const barrier = new Barrier(5);
        const passed = new SharedArray('i32', 5, { lock: false });
        const pids: number[] = [];
        for (let party = 0; party < 5; party++) {
          const pid = rf.fork();
          if (pid === 0) {
            let wrong = 0;
            for (let i = 0; i < 1_000; i++) {
              Atomics.add(passed as Int32Array, party, 1);
              if (isSync) barrier.waitSync();
              else await barrier.wait();
              // Nobody is behind, and nobody more than one ahead.
              for (const times of passed) if (times < i + 1 || times > i + 2) wrong++;
            }
            process.exit(wrong > 0 ? 1 : 0);
          }
          pids.push(pid);
        }
        t.report([pids.map((pid) => rf.waitpid(pid).status), [...passed]]);
      },
      { args: [form], timeout: 60_000 },
    );
    expect(run.reports).toEqual([[Array(5).fill(0), Array(5).fill(1_000)]]);
  });

  test('Y14 one late party breaks the barrier for everybody, with a timeout and with the default one', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Barrier } = t.mp;
        for (const [barrier, timeout] of [
          [new Barrier(4), 200],
          [new Barrier(4, null, 200), undefined],
        ] as const) {
          const party = async () => {
            try {
              if (isSync) barrier.waitSync(timeout);
              else await barrier.wait(timeout);
              return 'passed';
            } catch (error) {
              return (error as NodeJS.ErrnoException).code;
            }
          };
          const pids: number[] = [];
          for (let i = 0; i < 3; i++) {
            const pid = rf.fork();
            if (pid === 0) {
              t.report(await party());
              process.exit(0);
            }
            pids.push(pid);
          }
          for (const pid of pids) rf.waitpid(pid);
          t.report([await party(), barrier.broken, barrier.nWaiting]);
        }
      },
      { args: [form] },
    );
    const error = 'ERR_BROKEN_BARRIER';
    const once = [error, error, error, [error, true, 0]];
    expect(run.reports).toEqual([...once, ...once]);
  });

  test('abort breaks it for those who wait and come; reset empties it, and it works again (test_abort, test_reset)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const barrier = new t.mp.Barrier(4);
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const words = new Int32Array(allocate(64).buffer);
        const wait = async () => {
          try {
            return isSync ? barrier.waitSync() : await barrier.wait();
          } catch (error) {
            return (error as NodeJS.ErrnoException).code === 'ERR_BROKEN_BARRIER' ? -1 : -2;
          }
        };
        const pids: number[] = [];
        for (let i = 0; i < 3; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            for (let round = 0; round < 3; round++) {
              const result = await wait();
              Atomics.add(words, round * 2 + (result < 0 ? 1 : 0), 1);
              while (Atomics.load(words, 10) <= round) rf.sleepSync(2);
            }
            process.exit(0);
          }
          pids.push(pid);
        }
        const waiting = () => t.waitUntil(() => barrier.nWaiting === 3, 'three wait', 15_000);
        const through = (round: number) =>
          t.waitUntil(() => (words[round * 2] as number) + (words[round * 2 + 1] as number) === 3, 'through', 15_000);
        await waiting();
        barrier.reset();
        await through(0);
        t.report([barrier.broken, barrier.nWaiting]);
        words[10] = 1;
        await waiting();
        barrier.abort();
        await through(1);
        t.report([barrier.broken, await wait()]);
        barrier.reset();
        t.report(barrier.broken);
        words[10] = 2;
        t.report((await wait()) >= 0);
        await through(2);
        words[10] = 3;
        t.report([pids.map((pid) => rf.waitpid(pid).status), [...words.subarray(0, 6)]]);
      },
      { args: [form] },
    );
    expect(run.reports).toEqual([
      [false, 0],
      [true, -1],
      false,
      true,
      [
        [0, 0, 0],
        [0, 3, 0, 3, 3, 0],
      ],
    ]);
  });

  test('an action that throws breaks the barrier: the thrower gets its error, the others theirs', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const barrier = new t.mp.Barrier(3, () => {
          throw new RangeError('x');
        });
        const party = async () => {
          try {
            if (isSync) barrier.waitSync();
            else await barrier.wait();
            return 'passed';
          } catch (error) {
            return (error as Error).name;
          }
        };
        const pids: number[] = [];
        for (let i = 0; i < 2; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            t.report(await party());
            process.exit(0);
          }
          pids.push(pid);
        }
        t.report(await party());
        for (const pid of pids) rf.waitpid(pid);
        t.report(barrier.broken);
      },
      { args: [form] },
    );
    expect(run.reports.slice(0, 3).sort()).toEqual(['BrokenBarrierError', 'BrokenBarrierError', 'RangeError']);
    expect(run.reports[3]).toBe(true);
  });

  test('a party killed while it waits, or while it runs the action, breaks the barrier', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Barrier } = t.mp;
        const wait = async (barrier: InstanceType<typeof Barrier>) => {
          try {
            return isSync ? barrier.waitSync() : await barrier.wait();
          } catch (error) {
            return (error as NodeJS.ErrnoException).code;
          }
        };
        const waiting = new Barrier(3);
        const waiter = rf.fork();
        if (waiter === 0) waiting.waitSync();
        await t.waitUntil(() => waiting.nWaiting === 1, 'one waits');
        process.kill(waiter, 'SIGKILL');
        rf.waitpid(waiter);
        t.report([await wait(waiting), waiting.broken]);
        const acting = new Barrier(3, () => process.kill(process.pid, 'SIGKILL'));
        const pids: number[] = [];
        for (let i = 0; i < 2; i++) {
          const pid = rf.fork();
          if (pid === 0) {
            t.report(await wait(acting));
            process.exit(0);
          }
          pids.push(pid);
        }
        await t.waitUntil(() => acting.nWaiting === 2, 'two wait');
        const actor = rf.fork();
        if (actor === 0) acting.waitSync();
        t.report([...pids, actor].map((pid) => rf.waitpid(pid).status));
        t.report([await wait(acting), acting.broken]);
      },
      { args: [form] },
    );
    const code = 'ERR_BROKEN_BARRIER';
    expect(run.reports).toEqual([[code, true], code, code, [0, 0, 9], [code, true]]);
  });
});

test('an aborted wait rejects with AbortError and breaks the barrier for the others; an async action is waited for', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const barrier = new t.mp.Barrier(3);
    const controller = new AbortController();
    const code = (error: NodeJS.ErrnoException) => error.code;
    const waits = [barrier.wait({ signal: controller.signal }).catch(code), barrier.wait().catch(code)];
    controller.abort();
    t.report([await Promise.all(waits), barrier.broken]);
    let done = 0;
    const slow = new t.mp.Barrier(3, async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      done += 1;
    });
    const seen = await Promise.all([1, 2, 3].map(async () => [await slow.wait(), done]));
    t.report(seen.sort());
  });
  expect(run.reports).toEqual([
    [['ABORT_ERR', 'ERR_BROKEN_BARRIER'], true],
    [
      [0, 1],
      [1, 1],
      [2, 1],
    ],
  ]);
});

test('wrong arguments throw', async () => {
  const run = await cleanProgram((rf, t) => {
    const make = t.mp.Barrier as unknown as new (...args: unknown[]) => unknown;
    for (const args of [
      [0],
      [-1],
      [1.5],
      ['2'],
      [],
      [2, 5],
      [2, null, 'x'],
      [2, { action: 1 }],
      [2, { timeout: 'x' }],
    ]) {
      t.report(t.caught(() => new make(...args)).code);
    }
  });
  const type = 'ERR_INVALID_ARG_TYPE';
  const range = 'ERR_OUT_OF_RANGE';
  expect(run.reports).toEqual([range, range, range, type, type, type, type, type, type]);
});
