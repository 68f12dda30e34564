import { program } from '../helpers/program';

describe('sigwaitAsync and sigtimedwaitAsync', () => {
  test('take a pending signal and one that comes later, with the loop going on', async () => {
    const run = await program(async (rf, t) => {
      process.on('SIGUSR2', () => t.report('a listener ran'));
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGHUP', 'SIGALRM', 'SIGRTMIN+1']);
      rf.raise('SIGUSR2'); // to the thread, and so before the next, whatever the numbers
      rf.kill(process.pid, 'SIGHUP'); // to the process
      const set = ['SIGUSR2', 'SIGHUP', 'SIGALRM', 'SIGRTMIN+1'] as const;
      t.report([await rf.sigwaitAsync(set), await rf.sigwaitAsync(new Set(set)), rf.sigpending()]);
      let turns = 0;
      const counting = setInterval(() => turns++, 5);
      rf.setitimer(rf.ITIMER_REAL, 80);
      t.report(await rf.sigwaitAsync(set));
      clearInterval(counting);
      t.report(turns > 3);
      const sender = rf.fork();
      if (sender === 0) {
        rf.kill(process.ppid, 'SIGRTMIN+1');
        process.exit(0);
      }
      const info = await rf.sigtimedwaitAsync(set, 5_000);
      t.report([info?.signal, info?.pid === sender, info?.code]);
      rf.waitpid(sender);
      process.removeAllListeners('SIGUSR2');
    });
    expect(run.reports).toEqual([['SIGUSR2', 'SIGHUP', []], 'SIGALRM', true, ['SIGRTMIN+1', true, 0]]);
    expect(run.code).toBe(0);
  });

  test('null when the time is over; a signal for others does not matter', async () => {
    const run = await program(async (rf, t) => {
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR1', 'SIGUSR2']);
      rf.raise('SIGUSR1');
      const before = performance.now();
      const none = await rf.sigtimedwaitAsync(['SIGUSR2'], 60.5);
      t.report({ none, took: performance.now() - before });
      t.report([await rf.sigtimedwaitAsync(['SIGUSR2'], 0), (await rf.sigtimedwaitAsync(['SIGUSR1'], 0))?.signal]);
      // Longer than a timer of Node's can be, and for ever.
      const long = rf.sigtimedwaitAsync(['SIGUSR2'], 2 ** 40);
      const ever = rf.sigtimedwaitAsync(['SIGUSR1'], Infinity);
      setTimeout(() => {
        rf.kill(process.pid, 'SIGUSR2');
        rf.kill(process.pid, 'SIGUSR1');
      }, 20);
      t.report([(await long)?.signal, (await ever)?.signal]);
    });
    expect(run.reports[0].none).toBe(null);
    expect(run.reports[0].took).toBeGreaterThanOrEqual(60);
    expect(run.reports.slice(1)).toEqual([
      [null, 'SIGUSR1'],
      ['SIGUSR2', 'SIGUSR1'],
    ]);
    expect(run.stderr).toBe('');
  });

  test('of several waits one gets the signal; the process lives as long as a wait does, and no descriptor stays', async () => {
    const run = await program(async (rf, t) => {
      const { readdirSync } = require('node:fs') as typeof import('node:fs');
      const count = () => readdirSync('/proc/self/fd').length;
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGALRM']);
      const before = count();
      const got: string[] = [];
      const waits = [1, 2, 3].map((n) => rf.sigwaitAsync(['SIGUSR2']).then((name) => got.push(`${name} ${n}`)));
      t.report(count() - before);
      for (let i = 1; i <= 3; i++) {
        rf.kill(process.pid, 'SIGUSR2');
        await t.waitUntil(() => got.length === i, `signal ${i} was taken`);
      }
      await Promise.all(waits);
      t.report([new Set(got).size, count() - before]);
      rf.setitimer(rf.ITIMER_REAL, 100);
      void rf.sigwaitAsync(['SIGALRM']).then((name) => t.report(name)); // nothing else keeps Node running
    });
    expect(run.reports).toEqual([3, [3, 0], 'SIGALRM']);
    expect(run.code).toBe(0);
  });

  test('a wait that is aborted takes nothing', async () => {
    const run = await program(async (rf, t) => {
      const { readdirSync } = require('node:fs') as typeof import('node:fs');
      const before = readdirSync('/proc/self/fd').length;
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2']);
      const outcome = (promise: Promise<unknown>) =>
        promise.then(String, (error: Error & { code: string }) => [error.name, error.code, String(error.cause)]);
      const controller = new AbortController();
      const waiting = outcome(rf.sigwaitAsync(['SIGUSR2'], { signal: controller.signal }));
      const timed = outcome(rf.sigtimedwaitAsync(['SIGUSR2'], 60_000, { signal: controller.signal }));
      setTimeout(() => controller.abort('enough'), 20);
      t.report([await waiting, await timed]);
      rf.raise('SIGUSR2');
      t.report([
        await outcome(rf.sigwaitAsync(['SIGUSR2'], { signal: AbortSignal.abort('before') })),
        rf.sigpending(),
        readdirSync('/proc/self/fd').length - before,
      ]);
    });
    const aborted = ['AbortError', 'ABORT_ERR', 'enough'];
    expect(run.reports).toEqual([
      [aborted, aborted],
      [['AbortError', 'ABORT_ERR', 'before'], ['SIGUSR2'], 0],
    ]);
  });

  test('work in a Worker for signals that the main thread has blocked', async () => {
    const run = await program(
      async (rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2']);
        const worker = new Worker(
          `const { parentPort, workerData } = require('node:worker_threads');
           const { sigwaitAsync } = require(workerData);
           sigwaitAsync(['SIGUSR2']).then((name) => parentPort.postMessage(name));
           parentPort.postMessage('waits');
           // A second one is under way when the Worker ends.
           sigwaitAsync(['SIGHUP']).then(() => {});
           parentPort.on('message', () => process.exit());`,
          { eval: true, workerData: t.args[0] },
        );
        worker.on('message', (message) => {
          t.report(message);
          if (message === 'waits') rf.kill(process.pid, 'SIGUSR2');
          else worker.postMessage('end');
        });
        worker.on('exit', (code) => t.report(code));
      },
      { args: [require.resolve('realfork')] },
    );
    expect(run.reports).toEqual(['waits', 'SIGUSR2', 0]);
    expect(run.code).toBe(0);
  });

  test("a forked child waits for its own signals; its parent's waits stay the parent's", async () => {
    const run = await program(async (rf, t) => {
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGHUP']);
      const main = process.pid;
      const who = () => (process.pid === main ? 'parent' : 'child');
      void rf.sigwaitAsync(['SIGUSR2']).then((name) => t.report(['old', who(), name]));
      void rf.sigtimedwaitAsync(['SIGHUP'], 150).then((info) => t.report(['old', who(), info]));
      const pid = rf.fork();
      if (pid === 0) {
        const wait = rf.sigwaitAsync(['SIGUSR2']).then((name) => t.report(['new', who(), name]));
        rf.kill(process.pid, 'SIGUSR2');
        await wait;
        process.exitCode = 3; // ends by itself: nothing of the parent's keeps it
        return;
      }
      t.report(rf.waitpid(pid).status);
      rf.kill(process.pid, 'SIGUSR2');
    });
    expect(run.reports).toEqual([
      ['new', 'child', 'SIGUSR2'],
      3 << 8,
      ['old', 'parent', 'SIGUSR2'],
      ['old', 'parent', null],
    ]);
    expect(run.code).toBe(0);
  });

  test('wrong arguments reject; EMFILE when no descriptor is left', async () => {
    const run = await program(async (rf, t) => {
      const { openSync, closeSync } = require('node:fs') as typeof import('node:fs');
      const wait = rf.sigwaitAsync as (...args: unknown[]) => Promise<unknown>;
      const timed = rf.sigtimedwaitAsync as (...args: unknown[]) => Promise<unknown>;
      const code = (promise: Promise<unknown>) =>
        promise.then(
          () => 'nothing thrown',
          (error: InstanceType<typeof rf.PosixError>) =>
            (error.errno as number | undefined) === undefined
              ? error.code
              : `${error.code} ${error.errno} ${error.syscall}`,
        );
      const set = ['SIGUSR2'];
      const codes = [];
      for (const promise of [
        wait(),
        wait('SIGUSR2'),
        wait(['SIGNOPE']),
        wait([0]),
        wait([32]),
        wait(set, null),
        wait(set, { signal: {} }),
        timed(set, -1),
        timed(set, NaN),
        timed(set, '1'),
        timed(set, 1, 1),
      ]) {
        codes.push(await code(promise));
      }
      t.report(codes);
      rf.setrlimit('nofile', { soft: 60 });
      const fds: number[] = [];
      try {
        for (;;) fds.push(openSync('/dev/null', 'r'));
      } catch (error) {
        t.report((error as { code: string }).code);
      }
      const full = code(wait(set));
      for (const fd of fds) closeSync(fd);
      t.report(await full);
    });
    expect(run.reports).toEqual([
      [
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_UNKNOWN_SIGNAL',
        'ERR_OUT_OF_RANGE',
        'EINVAL -22 signalfd',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
      ],
      'EMFILE',
      'EMFILE -24 signalfd',
    ]);
  });
});

describe('pauseAsync', () => {
  test('gives the signal whose listeners have run, also of listeners added later', async () => {
    const run = await program(async (rf, t) => {
      const order: string[] = [];
      const own = process.listenerCount('newListener');
      process.on('SIGUSR2', () => order.push('first listener'));
      process.on('SIGUSR2', () => order.push('second listener'));
      setTimeout(() => rf.kill(process.pid, 'SIGUSR2'), 30);
      order.push(await rf.pauseAsync());
      setTimeout(() => {
        process.once('SIGHUP', () => order.push('late listener'));
        rf.kill(process.pid, 'SIGHUP');
      }, 30);
      order.push(await rf.pauseAsync());
      t.report(order);
      t.report([
        process.listenerCount('SIGUSR2'),
        process.listenerCount('SIGHUP'),
        process.listenerCount('newListener') - own,
      ]);
    });
    expect(run.reports).toEqual([
      ['first listener', 'second listener', 'SIGUSR2', 'late listener', 'SIGHUP'],
      [2, 0, 0],
    ]);
    expect(run.code).toBe(0);
  });

  test('a signal without listeners keeps its default action, also when its last listener goes meanwhile', async () => {
    const run = await program(async (rf, t) => {
      const ends = (action: (listener: () => void) => void) => {
        const pid = rf.fork();
        if (pid === 0) {
          const listener = () => {};
          action(listener);
          void rf.pauseAsync().then(() => process.exit(1));
          process.off('SIGTERM', listener);
          setTimeout(() => rf.kill(process.pid, 'SIGTERM'), 20);
          return 'child';
        }
        t.report(rf.waitpid(pid).status);
        return 'parent';
      };
      if (ends(() => {}) === 'child') return;
      ends((listener) => process.on('SIGTERM', listener));
    });
    expect(run.reports).toEqual([15, 15]);
  });

  test('keeps the process alive, ends with an abort, and leaves no listener', async () => {
    const run = await program(async (rf, t) => {
      process.on('SIGUSR2', () => {});
      const own = process.listenerCount('removeListener');
      const controller = new AbortController();
      const outcome = rf.pauseAsync({ signal: controller.signal }).then(
        () => 'settled',
        (error: { code: string }) => error.code,
      );
      setTimeout(() => controller.abort(), 20);
      t.report([await outcome, process.listenerCount('SIGUSR2'), process.listenerCount('removeListener') - own]);
      const pid = rf.fork();
      if (pid === 0) {
        setTimeout(() => rf.kill(process.pid, 'SIGUSR2'), 50).unref(); // Node runs on for pauseAsync alone
        process.exitCode = (await rf.pauseAsync()) === 'SIGUSR2' ? 4 : 1;
        return;
      }
      t.report(rf.waitpid(pid).status);
      const wrong = await (rf.pauseAsync as (options: unknown) => Promise<unknown>)(5).catch(
        (error: { code: string }) => error.code,
      );
      t.report(wrong);
    });
    expect(run.reports).toEqual([['ABORT_ERR', 1, 0], 4 << 8, 'ERR_INVALID_ARG_TYPE']);
    expect(run.code).toBe(0);
  });
});
