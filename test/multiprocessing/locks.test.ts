/** Lock, RLock, Semaphore, BoundedSemaphore: after CPython's _TestLock and _TestSemaphore, both forms of each call. */
import { cleanProgram } from '../helpers/program';

const forms = ['sync', 'promise'];

describe.each(forms)('%s form', (form) => {
  test('Y01 Lock: a second try without waiting is false; releasing a free one throws; scopes release on error', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Lock } = t.mp;
        const isSync = t.args[0] === 'sync';
        const lock = new Lock();
        const acquire = (...a: []) => (isSync ? lock.acquireSync(...a) : lock.acquire(...a));
        t.report([await acquire(), lock.locked(), lock.recovered]);
        const no = { block: false };
        t.report([isSync ? lock.acquireSync(false) : await lock.acquire(false)]);
        t.report([isSync ? lock.acquireSync(no) : await lock.acquire(no)]);
        lock.release();
        t.report([lock.locked(), t.caught(() => lock.release()).code]);
        const failed = await (async () => {
          if (isSync)
            lock.withSync(() =>
              t.report(lock.locked() && (no.block as never as { nothing: { here: 1 } }).nothing.here),
            );
          else
            await lock.with(async () =>
              t.report(lock.locked() && (no.block as never as { nothing: { here: 1 } }).nothing.here),
            );
        })().catch((error: Error) => error.name);
        t.report([failed, lock.locked()]);
        t.report([isSync ? lock.withSync(() => 7) : await lock.with(() => 8), lock.locked()]);
        await acquire();
        lock[Symbol.dispose]();
        t.report([lock.locked(), await acquire()]);
      },
      { args: [form] },
    );
    expect(run.reports).toEqual([
      [true, true, null],
      [false],
      [false],
      [false, 'ERR_LOCK_NOT_ACQUIRED'],
      ['TypeError', false],
      [form === 'sync' ? 7 : 8, false],
      [false, true],
    ]);
  });

  test('Y01 RLock: three acquires need three releases before another process gets it; a fourth release throws', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const lock = new t.mp.RLock();
        const isSync = t.args[0] === 'sync';
        const acquire = async (...a: [boolean?]) => (isSync ? lock.acquireSync(...a) : await lock.acquire(...a));
        const elsewhere = async () => {
          const pid = rf.fork();
          if (pid === 0) process.exit((await acquire(false)) ? 1 : 0);
          return rf.waitpid(pid).status >> 8;
        };
        const got = [await acquire(), await acquire(), await acquire(false)];
        const seen = [await elsewhere()];
        for (let i = 0; i < 3; i++) {
          lock.release();
          seen.push(await elsewhere());
        }
        t.report({ got, seen, fourth: t.caught(() => lock.release()).code, recovered: lock.recovered?.code });
        await acquire();
        t.report(lock.recovered?.code); // the child ended holding it
      },
      { args: [form] },
    );
    expect(run.reports[0]).toMatchObject({ got: [true, true, true], fourth: 'ERR_LOCK_NOT_OWNED' });
    expect(run.reports[0].seen).toEqual([0, 0, 0, 1]);
    expect(run.reports[1]).toBe('ERR_OWNER_DIED');
  });

  test('Y02 a Lock may be released by another process, an RLock may not; one held across fork is the parent’s', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Lock, RLock } = t.mp;
        const isSync = t.args[0] === 'sync';
        const lock = new Lock();
        const rlock = new RLock();
        if (isSync) lock.acquireSync();
        else await lock.acquire();
        if (isSync) rlock.acquireSync();
        else await rlock.acquire();
        const pid = rf.fork();
        if (pid === 0) {
          lock.release();
          const code = t.caught(() => rlock.release()).code;
          const again = isSync ? rlock.acquireSync(false) : await rlock.acquire({ block: false });
          t.report([code, again, lock.locked()]);
          process.exit(0);
        }
        rf.waitpid(pid);
        t.report([
          lock.acquireSync(false),
          lock.recovered,
          t.caught(() => rlock.release.call(rlock) ?? JSON.parse('{')),
        ]);
        lock.release();
      },
      { args: [form] },
    );
    expect(run.reports[0]).toEqual(['ERR_LOCK_NOT_OWNED', false, false]);
    expect(run.reports[1].slice(0, 2)).toEqual([true, null]);
  });

  test('Y02 a Lock that its holder has left held may be released by another, once; an RLock may not', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Lock, RLock } = t.mp;
        const isSync = t.args[0] === 'sync';
        for (const end of ['exit', 'kill']) {
          for (const lock of [new Lock(), new RLock()]) {
            const pid = rf.fork();
            if (pid === 0) {
              lock.acquireSync();
              if (end === 'exit') process.exit(0);
              rf.kill(process.pid, 'SIGKILL');
            }
            rf.waitpid(pid);
            const released = [0, 1].map(() => t.caught(() => lock.release() ?? JSON.parse('{'))['code'] ?? 'done');
            const got = isSync ? lock.acquireSync(false) : await lock.acquire(false);
            t.report([...released, got, lock.recovered?.code ?? null]);
            lock.release();
          }
        }
        // Whoever waits is not passed over.
        const lock = new Lock();
        const { held } = t.pipes('held');
        const holder = rf.fork();
        if (holder === 0) {
          lock.acquireSync();
          require('node:fs').writeSync(held.write, 'x');
          rf.sleepSync(150); // the other is waiting by then
          process.exit(0);
        }
        require('node:fs').readSync(held.read, Buffer.alloc(1));
        const waiter = rf.fork();
        if (waiter === 0) process.exit(lock.acquireSync(true, 10_000) ? 0 : 1);
        rf.waitpid(holder);
        try {
          lock.release();
        } catch {
          // The waiter has had it.
        }
        t.report(rf.waitpid(waiter).status);
      },
      { args: [form] },
    );
    const [lock, rlock] = [
      ['done', 'ERR_LOCK_NOT_ACQUIRED', true, null],
      ['ERR_LOCK_NOT_OWNED', 'ERR_LOCK_NOT_OWNED', true, 'ERR_OWNER_DIED'],
    ];
    expect(run.reports).toEqual([lock, rlock, lock, rlock, 0]);
  });

  test('Y03 Semaphore(2) counts 2, 1, 0, refuses, and may be raised above its start', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { BoundedSemaphore, Semaphore } = t.mp;
        const isSync = t.args[0] === 'sync';
        for (const semaphore of [new Semaphore(2), new BoundedSemaphore(2)]) {
          const take = async (...a: [boolean?]) =>
            isSync ? semaphore.acquireSync(...a) : await semaphore.acquire(...a);
          const counts = [semaphore.getValue()];
          const got = [];
          for (const block of [undefined, undefined, false]) {
            got.push(await take(block));
            counts.push(semaphore.getValue());
          }
          semaphore.release();
          counts.push(semaphore.getValue());
          semaphore.release();
          counts.push(semaphore.getValue());
          let third: unknown;
          try {
            semaphore.release();
          } catch (error) {
            third = (error as NodeJS.ErrnoException).code;
          }
          t.report({ counts, got, third, last: semaphore.getValue() });
        }
        t.report([-1, 0.5, '1', 2 ** 31].map((value) => t.caught(() => new Semaphore(value as number)).code));
        t.report(t.caught(() => new BoundedSemaphore(-1)).code);
        t.report([new Semaphore().getValue(), new BoundedSemaphore().getValue(), new Semaphore(0).getValue()]);
      },
      { args: [form] },
    );
    const common = { counts: [2, 1, 0, 0, 1, 2], got: [true, true, false] };
    expect(run.reports).toEqual([
      { ...common, last: 3 },
      { ...common, third: 'ERR_SEMAPHORE_RELEASED_TOO_OFTEN', last: 2 },
      ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'],
      'ERR_OUT_OF_RANGE',
      [1, 1, 0],
    ]);
  });

  test('Y03 timed acquires give false in time, non-waiting ones at once (test_timeout)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Lock, Semaphore } = t.mp;
        const lock = new Lock();
        lock.acquireSync();
        for (const object of [new Semaphore(0), lock]) {
          const timed = async (...a: [(boolean | { block?: boolean; timeout?: number })?, number?]) => {
            const start = performance.now();
            const got = isSync ? object.acquireSync(...a) : await object.acquire(...a);
            return { got, ms: performance.now() - start };
          };
          t.report([
            await timed(false),
            await timed(false, 20_000), // as in Python, a timeout does not matter then
            await timed(true, 0),
            await timed(true, -3),
            await timed({ block: true, timeout: 100 }),
            await timed({ timeout: 33.5 }),
            await timed(true, 100),
          ]);
        }
      },
      { args: [form] },
    );
    for (const times of run.reports) {
      const expected = [0, 0, 0, 0, 100, 33.5, 100];
      for (const [i, { got, ms }] of times.entries()) {
        expect(got).toBe(false);
        expect(ms).toBeGreaterThanOrEqual((expected[i] as number) - 2); // timers count whole milliseconds
        expect(ms).toBeLessThan((expected[i] as number) + 5_000); // on a busy machine: it has not waited, or not for ever
      }
    }
  });

  test('a waiter gets what another process releases, for all four classes', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const fs = require('node:fs') as typeof import('node:fs');
        const { Lock, RLock, Semaphore, BoundedSemaphore } = t.mp;
        for (const object of [new Lock(), new RLock(), new Semaphore(1), new BoundedSemaphore(1)]) {
          const { held, go } = t.pipes('held', 'go');
          const pid = rf.fork();
          if (pid === 0) {
            object.acquireSync();
            fs.writeSync(held.write, 'x');
            fs.readSync(go.read, Buffer.alloc(1));
            rf.sleepSync(50); // the parent is waiting by then
            object.release();
            process.exit(0);
          }
          fs.readSync(held.read, Buffer.alloc(1));
          const before = isSync ? object.acquireSync(false) : await object.acquire(false);
          fs.writeSync(go.write, 'x');
          const after = isSync ? object.acquireSync() : await object.acquire();
          object.release();
          t.report([before, after, rf.waitpid(pid).status, 'recovered' in object ? object.recovered : null]);
        }
      },
      { args: [form] },
    );
    expect(run.reports).toEqual(Array(4).fill([false, true, 0, null]));
  });

  test('a holder that is killed: the next gets the lock with recovered set, the one after without', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const fs = require('node:fs') as typeof import('node:fs');
        const { Lock, RLock } = t.mp;
        for (const lock of [new Lock(), new RLock()]) {
          const acquire = async () => (isSync ? lock.acquireSync() : await lock.acquire());
          const { held } = t.pipes('held');
          const pid = rf.fork();
          if (pid === 0) {
            await acquire();
            if (lock instanceof RLock) await acquire();
            fs.writeSync(held.write, 'x');
            rf.sleepSync(50);
            process.kill(process.pid, 'SIGKILL');
          }
          fs.readSync(held.read, Buffer.alloc(1));
          await acquire();
          const first = [lock.recovered instanceof t.mp.OwnerDiedError, lock.recovered?.code];
          lock.release();
          await acquire();
          const second = lock.recovered;
          lock.release();
          t.report([...first, second, lock.locked()]);
          rf.waitpid(pid);
        }
      },
      { args: [form] },
    );
    expect(run.reports).toEqual(Array(2).fill([true, 'ERR_OWNER_DIED', null, false]));
  });

  test('8 processes in a tight loop on one lock: all get their share, the sum is exact', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const isSync = t.args[0] === 'sync';
        const { Lock, Semaphore } = t.mp;
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        for (const lock of [new Lock(), new Semaphore(1)]) {
          const words = new Int32Array(allocate(256).buffer);
          const rounds = 6_000;
          const pids: number[] = [];
          for (let i = 0; i < 8; i++) {
            const pid = rf.fork();
            if (pid === 0) {
              // Rounds count from when all are there, until all together have done them: who starves has few.
              for (let own = 0; ;) {
                if (isSync) lock.acquireSync();
                else await lock.acquire();
                words[1] = (words[1] as number) | (1 << i);
                const done = (words[0] as number) >= rounds;
                if (!done && words[1] === 0xff) {
                  words[0] = (words[0] as number) + 1;
                  own += 1;
                  // Held for a while: alone on a busy machine, when nobody else has the CPU, one would do all rounds.
                  for (const end = performance.now() + 0.03; performance.now() < end;);
                }
                lock.release();
                if (done) {
                  words[8 + i] = own;
                  break;
                }
              }
              process.exit(0);
            }
            pids.push(pid);
          }
          const statuses = pids.map((pid) => rf.waitpid(pid).status);
          t.report({ statuses, sum: words[0] === rounds, own: [...words.subarray(8, 16)], rounds });
        }
      },
      { args: [form], timeout: 60_000 },
    );
    for (const { statuses, sum, own, rounds } of run.reports) {
      expect(statuses).toEqual(Array(8).fill(0));
      expect(sum).toBe(true);
      expect(own.reduce((a: number, b: number) => a + b)).toBe(rounds);
      expect(Math.min(...own)).toBeGreaterThan(rounds / 8 / 20);
    }
  });
});

test.each(forms)(
  'Y04 4 processes add 1 to a shared counter 5,000 times under its lock; waiters use hardly any CPU: %s form',
  async (form) => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Lock } = t.mp;
        const isSync = t.args[0] === 'sync';
        const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
        const lock = new Lock();
        const words = new Int32Array(allocate(64).buffer);
        const pids: number[] = [];
        for (let n = 0; n < 4; n++) {
          const pid = rf.fork();
          if (pid === 0) {
            for (let i = 0; i < 5_000; i++) {
              if (isSync) lock.acquireSync();
              else await lock.acquire();
              words[0] = (words[0] as number) + 1;
              lock.release();
            }
            process.exit(0);
          }
          pids.push(pid);
        }
        for (const pid of pids) rf.waitpid(pid);
        t.report(words[0]);
        lock.acquireSync();
        const waiters: number[] = [];
        for (let n = 0; n < 3; n++) {
          const pid = rf.fork();
          if (pid === 0) {
            Atomics.add(words, 1, 1);
            if (isSync) lock.acquireSync();
            else await lock.acquire();
            lock.release();
            process.exit(0);
          }
          waiters.push(pid);
        }
        while (Atomics.load(words, 1) < 3) rf.sleepSync(5);
        // Clock ticks of user and system time. Beginning to wait takes some, more of them in the promise form.
        const used = () => waiters.map((pid) => Number(t.stat(pid)?.[11]) + Number(t.stat(pid)?.[12]));
        for (let last = ''; last !== String(used()); rf.sleepSync(200)) last = String(used());
        const before = used();
        rf.sleepSync(1_000);
        for (const [i, ticks] of used().entries()) t.report((ticks - (before[i] as number)) * 10);
        lock.release();
        for (const pid of waiters) rf.waitpid(pid);
      },
      { args: [form], timeout: 30_000 },
    );
    expect(run.reports[0]).toBe(20_000);
    expect(run.reports).toHaveLength(4);
    for (const milliseconds of run.reports.slice(1)) expect(milliseconds).toBeLessThanOrEqual(50);
  },
);

test('an AbortSignal ends a wait; whoever is behind in the line goes on', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Lock, Semaphore } = t.mp;
    for (const lock of [new Lock(), new Semaphore(1)]) {
      lock.acquireSync();
      const controller = new AbortController();
      const first = lock.acquire({ signal: controller.signal }).catch((error: NodeJS.ErrnoException) => error.code);
      const second = lock.acquire({ timeout: 20 });
      const third = lock.acquire();
      const gone = AbortSignal.abort();
      const never = lock.acquire({ signal: gone, block: false }).catch((error: NodeJS.ErrnoException) => error.code);
      controller.abort();
      t.report([await first, await second, await never]);
      lock.release();
      t.report(await third);
      lock.release();
      t.report(await lock.acquire({ signal: gone }).catch((error: NodeJS.ErrnoException) => error.code));
      t.report(lock instanceof Lock ? lock.locked() : lock.getValue());
    }
  });
  expect(run.reports).toEqual([
    ['ABORT_ERR', false, 'ABORT_ERR'],
    true,
    'ABORT_ERR',
    false,
    ['ABORT_ERR', false, 'ABORT_ERR'],
    true,
    'ABORT_ERR',
    1,
  ]);
});

test('wrong arguments throw or reject before anything happens', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const lock = new t.mp.Lock() as unknown as Record<'acquireSync' | 'acquire', (...a: unknown[]) => unknown>;
    for (const args of [['yes'], [1n], [true, 'x'], [true, NaN], [{ block: 1 }], [{ timeout: '1' }], [{ signal: 1 }]]) {
      const code = await Promise.resolve(lock.acquire(...args)).catch((error: NodeJS.ErrnoException) => error.code);
      t.report([t.caught(() => lock.acquireSync(...args)).code, code]);
    }
    t.report((lock as unknown as { locked(): boolean }).locked());
    lock.acquireSync();
    const held = new t.mp.Semaphore(0);
    // What is no function is refused though nobody could have the lock.
    for (const each of [lock, held, new t.mp.Condition(lock as never)] as unknown as InstanceType<typeof t.mp.Lock>[]) {
      const code = await each.with(5 as never).catch((error: NodeJS.ErrnoException) => error.code);
      t.report([t.caught(() => each.withSync(undefined as never)).code, code]);
    }
    t.report(t.caught(() => new (t.mp.Lock as unknown as new (x: unknown) => unknown)(5)).code);
  });
  const type = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'];
  const range = ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE'];
  expect(run.reports).toEqual([type, type, type, range, type, type, type, false, type, type, type, type[0]]);
});

test('a process with a busy loop that was woken for a lock does not keep it from the others', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Lock } = t.mp;
    const lock = new Lock();
    const fs = require('node:fs') as typeof import('node:fs');
    const { waiting, mine } = t.pipes('waiting', 'mine');
    lock.acquireSync();
    const busy = rf.fork();
    if (busy === 0) {
      void lock.acquire().then(() => lock.release());
      setTimeout(() => {
        fs.writeSync(waiting.write, 'x');
        rf.sleepSync(1_500); // its thread is woken meanwhile
      }, 20);
      return;
    }
    fs.readSync(waiting.read, Buffer.alloc(1));
    const other = rf.fork();
    if (other === 0) {
      fs.writeSync(mine.write, 'x');
      const start = performance.now();
      lock.acquireSync();
      t.report(performance.now() - start);
      lock.release();
      process.exit(0);
    }
    fs.readSync(mine.read, Buffer.alloc(1));
    rf.sleepSync(100);
    lock.release();
    t.report([rf.waitpid(other).status, rf.waitpid(busy).status]);
  });
  expect(run.reports[0]).toBeLessThan(1_000);
  expect(run.reports[1]).toEqual([0, 0]);
});

test('locks made in a child, and locks sent by their description, are the same lock; a forged one is refused', async () => {
  const run = await cleanProgram((rf, t) => {
    const { encode, decode } = t.internal('ipc/serialize') as typeof import('../../dist/ipc/serialize');
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { Lock, RLock, Semaphore, BoundedSemaphore } = t.mp;
    const bytes = new Uint8Array(allocate(4096).buffer);
    const length = new Int32Array(bytes.buffer, 0, 1);
    const received = () => decode(bytes.subarray(4, 4 + (length[0] as number)));
    const fs = require('node:fs') as typeof import('node:fs');
    const { ready, go } = t.pipes('ready', 'go');
    const pid = rf.fork();
    if (pid === 0) {
      const made = [new Lock(), new RLock(), new Semaphore(3), new BoundedSemaphore(2)] as const;
      made[0].acquireSync();
      const message = encode(made).bytes;
      bytes.set(message, 4);
      length[0] = message.length;
      const back = received() as unknown[];
      t.report(made.map((object, i) => object === back[i]));
      fs.writeSync(ready.write, 'x');
      fs.readSync(go.read, Buffer.alloc(1));
      rf.sleepSync(50); // the parent is waiting by then
      made[0].release();
      process.exit(0);
    }
    fs.readSync(ready.read, Buffer.alloc(1));
    const [lock, rlock, semaphore, bounded] = received() as [
      InstanceType<typeof Lock>,
      object,
      { getValue(): number },
      object,
    ];
    t.report([lock instanceof Lock, rlock instanceof RLock, semaphore.getValue(), bounded instanceof BoundedSemaphore]);
    t.report(lock.acquireSync(false));
    fs.writeSync(go.write, 'x');
    t.report([lock.acquireSync(), lock.recovered]);
    rf.waitpid(pid);
    const { handleOfTag } = t.internal('ipc/handles') as typeof import('../../dist/ipc/handles');
    const type = handleOfTag('Lock');
    const source = { fd: () => -1, takesFunctions: false };
    const good = type?.reduce(lock, source) as { arena: string; offset: number };
    const wrong = type?.reduce(semaphore as never, source) as object; // says Lock, is a semaphore's cell
    const others = [
      wrong,
      { ...good, arena: 'x' },
      { ...good, offset: good.offset + 4 },
      { ...good, offset: 2 ** 40 },
      null,
    ];
    t.report(others.map((data) => t.caught(() => type?.revive(data, source)).code));
  });
  const range = 'ERR_OUT_OF_RANGE';
  const forged = [range, 'ERR_OTHER_FAMILY', range, range, 'ERR_OTHER_FAMILY'];
  expect(run.reports).toEqual([[true, true, true, true], [true, true, 3, true], false, [true, null], forged]);
});
