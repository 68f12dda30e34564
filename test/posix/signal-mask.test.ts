import { program } from '../helpers/program';

describe('sigprocmask', () => {
  test('errors: EINVAL for how and for reserved signals; wrong arguments throw first', async () => {
    const run = await program((rf, t) => {
      const call = rf.sigprocmask as (...args: unknown[]) => unknown;
      const attempts: unknown[][] = [
        [1700, ['SIGTERM']],
        [-1, []],
        [rf.SIG_BLOCK, [32]],
        [rf.SIG_BLOCK, [33]],
        [rf.SIG_BLOCK],
        [rf.SIG_BLOCK, null],
        [rf.SIG_BLOCK, 'SIGTERM'],
        [rf.SIG_BLOCK, 15],
        [rf.SIG_BLOCK, {}],
        [rf.SIG_BLOCK, [null]],
        [rf.SIG_BLOCK, ['SIGNOPE']],
        [rf.SIG_BLOCK, [0]],
        [rf.SIG_BLOCK, [65]],
        [rf.SIG_BLOCK, [-1]],
        [rf.SIG_BLOCK, [1.5]],
        ['SIG_NOPE', []],
        ['toString', []],
        [null, []],
        [1.5, []],
      ];
      t.report(
        attempts.map((args) => {
          try {
            call(...args);
            return 'nothing thrown';
          } catch (error) {
            const { code, errno, syscall } = error as InstanceType<typeof rf.PosixError>;
            return errno === undefined ? code : `${code} ${errno} ${syscall}`;
          }
        }),
      );
      t.report(rf.sigprocmask(rf.SIG_BLOCK, []));
    });
    expect(run.reports).toEqual([
      [
        'EINVAL -22 sigprocmask',
        'EINVAL -22 sigprocmask',
        'EINVAL -22 sigaddset',
        'EINVAL -22 sigaddset',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_UNKNOWN_SIGNAL',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
      ],
      [],
    ]);
  });

  test('block adds, unblock removes, setmask replaces; each returns the mask as it was', async () => {
    const run = await program((rf, t) => {
      t.report([
        rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 1]),
        rf.sigprocmask(rf.SIG_BLOCK, new Set(['SIGTERM', 'SIGRTMIN', 'SIGRTMIN+2', 'SIGRTMAX'] as const)),
        rf.sigprocmask('SIG_UNBLOCK', ['SIGHUP', 'SIGINT']),
        rf.sigprocmask(rf.SIG_SETMASK, ['SIGALRM']),
        rf.sigprocmask(rf.SIG_SETMASK, ['SIGKILL', 'SIGSTOP', 'SIGIOT', 'SIGPOLL']),
        rf.sigprocmask(rf.SIG_SETMASK, []),
        rf.sigprocmask(rf.SIG_BLOCK, []),
      ]);
    });
    expect(run.reports).toEqual([
      [
        [],
        ['SIGHUP', 'SIGUSR2'],
        ['SIGHUP', 'SIGUSR2', 'SIGTERM', 'SIGRTMIN', 'SIGRTMIN+2', 'SIGRTMIN+30'],
        ['SIGUSR2', 'SIGTERM', 'SIGRTMIN', 'SIGRTMIN+2', 'SIGRTMIN+30'],
        ['SIGALRM'],
        ['SIGABRT', 'SIGIO'], // SIGKILL and SIGSTOP cannot be blocked
        [],
      ],
    ]);
  });

  test('a blocked signal sent to the process stays pending, however busy its other threads are', async () => {
    const run = await program(async (rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const { pbkdf2 } = require('node:crypto') as typeof import('node:crypto');
      const { promisify } = require('node:util') as typeof import('node:util');
      const { readdirSync, readFileSync } = require('node:fs') as typeof import('node:fs');
      const hash = () => promisify(pbkdf2)('a', 'b', 20_000, 32, 'sha256');
      const worker = new Worker('setInterval(() => {}, 5)', { eval: true });
      await new Promise((resolve) => worker.once('online', resolve));
      await hash(); // libuv's pool has its threads
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGTERM', 'SIGRTMIN']);
      // No thread may take it: the default action would end the process.
      const garbage = [];
      const jobs = [hash(), hash(), hash(), hash()];
      for (let i = 0; i < 200; i++) {
        garbage.push(new Array(2_000).fill(i));
        rf.kill(process.pid, 'SIGUSR2');
        rf.kill(process.pid, 'SIGTERM');
        rf.kill(process.pid, 'SIGRTMIN');
      }
      // Threads made while it is blocked inherit that.
      const later = new Worker('setInterval(() => {}, 5)', { eval: true });
      await new Promise((resolve) => later.once('online', resolve));
      for (let i = 0; i < 50; i++) rf.kill(process.pid, 'SIGUSR2');
      await Promise.all(jobs);
      const masks = readdirSync('/proc/self/task').map((tid) =>
        BigInt(`0x${/SigBlk:\s*(\w+)/.exec(readFileSync(`/proc/self/task/${tid}/status`, 'latin1'))?.[1]}`),
      );
      const bits = (1n << 11n) | (1n << 14n) | (1n << 33n);
      t.report({
        pending: rf.sigpending(),
        threads: masks.length,
        open: masks.filter((m) => (m & bits) !== bits).length,
      });
      t.report([rf.sigwait(['SIGUSR2', 'SIGTERM']), rf.sigwait(['SIGUSR2', 'SIGTERM']), rf.sigwait(['SIGRTMIN'])]);
      // Real-time signals queue, one for each kill; the others do not.
      let queued = 1;
      while (rf.sigtimedwait(['SIGRTMIN'], 0) !== null) queued++;
      t.report({ queued, rest: rf.sigpending() });
      await Promise.all([worker.terminate(), later.terminate()]);
      process.exit(garbage.length === 200 ? 0 : 1);
    });
    expect(run.reports[0].pending).toEqual(['SIGUSR2', 'SIGTERM', 'SIGRTMIN']);
    expect(run.reports[0].threads).toBeGreaterThan(8);
    expect(run.reports[0].open).toBe(0);
    expect(run.reports[1]).toEqual(['SIGUSR2', 'SIGTERM', 'SIGRTMIN']);
    expect(run.reports[2]).toEqual({ queued: 200, rest: [] });
    expect(run.code).toBe(0);
  });

  test('the same with the mask of the main thread alone: another thread takes the signal and dies of it', async () => {
    const run = await program((rf, t) => {
      t.report(t.helper.blockInThisThread(12));
      rf.kill(process.pid, 'SIGUSR2');
      rf.sleepSync(5_000);
    });
    expect(run).toMatchObject({ reports: [0], signal: 'SIGUSR2' });
  });

  test('in a forked child the threads of V8 leave signals to the main thread', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        t.report(t.helper.blockInThisThread(12));
        rf.kill(process.pid, 'SIGUSR2');
        t.report(rf.sigpending());
        process.exit(0);
      }
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([0, ['SIGUSR2'], 0]);
  });

  test('every thread gets its own mask back: what a thread had blocked itself stays blocked', async () => {
    const run = await program(async (rf, t) => {
      const { readdirSync, readFileSync } = require('node:fs') as typeof import('node:fs');
      await new Promise((resolve) => require('node:fs').readFile(__filename, resolve));
      const masks = () =>
        Object.fromEntries(
          readdirSync('/proc/self/task').map((tid) => [
            tid,
            /SigBlk:\s*(\w+)/.exec(readFileSync(`/proc/self/task/${tid}/status`, 'latin1'))?.[1],
          ]),
        );
      const before = masks();
      const all = Array.from({ length: 64 }, (_, i) => i + 1).filter((n) => n !== 32 && n !== 33);
      for (const set of [['SIGUSR1', 'SIGUSR2'], all, ['SIGUSR1'], all.filter((n) => n !== 10), ['SIGTERM']] as const) {
        rf.sigprocmask(rf.SIG_SETMASK, [...set]);
      }
      t.report({ someBlock: Object.values(before).some((mask) => BigInt(`0x${mask}`) !== 0n) });
      rf.sigprocmask(rf.SIG_SETMASK, []);
      // A thread is back at its mask when it has left the handler in which it was changed.
      await t.waitUntil(
        () => JSON.stringify(masks()) === JSON.stringify(before),
        `masks are ${JSON.stringify(before)}`,
      );
      t.report(rf.sigprocmask(rf.SIG_BLOCK, []));
    });
    expect(run.reports).toEqual([{ someBlock: true }, []]);
  });

  test('an unblocked pending signal acts before the call returns: default action, or a listener on the next turn', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        rf.sigprocmask(rf.SIG_BLOCK, ['SIGTERM']);
        rf.kill(process.pid, 'SIGTERM');
        t.report('held back');
        rf.sigprocmask(rf.SIG_UNBLOCK, ['SIGTERM']);
        t.report('not reached');
        process.exit(0);
      }
      t.report(rf.waitpid(pid).status);
      const order: string[] = [];
      const alive = setInterval(() => {}, 1_000);
      process.on('SIGHUP', () => {
        order.push('listener');
        setImmediate(() => t.report(order)); // with a second call of the listener, if there is one
        clearInterval(alive);
      });
      const old = rf.sigprocmask(rf.SIG_BLOCK, ['SIGHUP']);
      rf.kill(process.pid, 'SIGHUP');
      rf.kill(process.pid, 'SIGHUP');
      setTimeout(() => {
        order.push('turn');
        rf.sigprocmask(rf.SIG_SETMASK, old);
        order.push('unblocked');
      }, 20);
    });
    expect(run.reports).toEqual(['held back', 15, ['turn', 'unblocked', 'listener']]);
  });

  test('is refused in a Worker, where sigpending works', async () => {
    const run = await program(
      (rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const worker = new Worker(
          `const { parentPort, workerData } = require('node:worker_threads');
         const rf = require(workerData);
         let code;
         try { rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2']); } catch (error) { code = error.code; }
         parentPort.postMessage([code, rf.sigpending()]);`,
          { eval: true, workerData: t.args[0] },
        );
        worker.on('message', (message) => t.report(message));
      },
      { args: [require.resolve('realfork')] },
    );
    expect(run.reports).toEqual([['ERR_WORKER_UNSUPPORTED_OPERATION', []]]);
  });
});

describe('sigwait and sigtimedwait', () => {
  test('sigwait takes one pending signal, the lowest number first, and no handler or default action sees it', async () => {
    const run = await program((rf, t) => {
      process.on('SIGUSR2', () => t.report('a listener ran'));
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGTERM', 'SIGHUP']);
      rf.raise('SIGTERM');
      rf.kill(process.pid, 'SIGUSR2');
      rf.kill(process.pid, 'SIGHUP');
      t.report([rf.sigwait(['SIGTERM']), rf.sigpending()]);
      t.report([rf.sigwait(['SIGUSR2', 'SIGHUP', 'SIGTERM']), rf.sigwait(new Set(['SIGUSR2', 'SIGHUP'] as const))]);
      t.report(rf.sigpending());
      process.removeAllListeners('SIGUSR2');
    });
    expect(run.reports).toEqual([['SIGTERM', ['SIGHUP', 'SIGUSR2']], ['SIGHUP', 'SIGUSR2'], []]);
    expect(run.code).toBe(0);
  });

  test('sigwait waits until the signal comes, from a timer or from another process', async () => {
    const run = await program((rf, t) => {
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGALRM', 'SIGUSR1']);
      const before = performance.now();
      rf.setitimer(rf.ITIMER_REAL, 50);
      t.report([rf.sigwait(['SIGALRM', 'SIGUSR1']), performance.now() - before]);
      const pid = rf.fork();
      if (pid === 0) {
        rf.kill(process.ppid, 'SIGUSR1');
        process.exit(0);
      }
      t.report(rf.sigwait(['SIGALRM', 'SIGUSR1']));
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([['SIGALRM', expect.any(Number)], 'SIGUSR1', 0]);
    expect(run.reports[0][1]).toBeGreaterThan(45);
  });

  test('sigtimedwait: null when the time is over, at once with 0', async () => {
    const run = await program((rf, t) => {
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR1']);
      const measure = (timeout: number) => {
        const before = performance.now();
        return [rf.sigtimedwait(['SIGUSR1'], timeout), performance.now() - before];
      };
      t.report([measure(0), measure(60.5), rf.sigtimedwait([], 1)]);
      // A signal outside the set does not end the wait: its handler runs, and the rest of the time is waited for.
      process.on('SIGALRM', () => {});
      rf.setitimer(rf.ITIMER_REAL, 10, 10);
      const interrupted = measure(80);
      rf.setitimer(rf.ITIMER_REAL, 0);
      t.report(interrupted);
      process.removeAllListeners('SIGALRM');
    });
    const [[none, at0], [late, at60], empty] = run.reports[0];
    expect([none, late, empty, run.reports[1][0]]).toEqual([null, null, null, null]);
    expect(at0).toBeLessThan(40);
    expect(at60).toBeGreaterThanOrEqual(60);
    expect(run.reports[1][1]).toBeGreaterThanOrEqual(80);
  });

  test('sigtimedwait tells the sender, and for SIGCHLD which child and how it ended', async () => {
    const run = await program((rf, t) => {
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGCHLD', 'SIGALRM', 'SIGRTMIN+1']);
      const sender = rf.fork();
      if (sender === 0) {
        rf.kill(process.ppid, 'SIGUSR2');
        process.exit(3);
      }
      t.report({ sender, info: rf.sigtimedwait(['SIGUSR2'], 5_000) });
      t.report({ sender, info: rf.sigtimedwait(['SIGCHLD'], 5_000) });
      rf.waitpid(sender);
      const killed = rf.fork();
      if (killed === 0) for (;;) rf.pause();
      rf.kill(killed, 'SIGKILL');
      t.report({ killed, info: rf.sigtimedwait(['SIGCHLD']) });
      rf.waitpid(killed);
      rf.raise('SIGRTMIN+1');
      t.report({ self: process.pid, info: rf.sigtimedwait(['SIGRTMIN+1'], Infinity) });
      rf.setitimer(rf.ITIMER_REAL, 1);
      t.report({ info: rf.sigtimedwait(['SIGALRM']) });
    });
    const [user, exited, killed, self, timer] = run.reports;
    const uid = process.getuid?.();
    expect(user.info).toEqual({ signal: 'SIGUSR2', number: 12, code: 0, pid: user.sender, uid, status: 0 });
    expect(exited.info).toEqual({ signal: 'SIGCHLD', number: 17, code: 1, pid: user.sender, uid, status: 3 });
    expect(killed.info).toEqual({ signal: 'SIGCHLD', number: 17, code: 2, pid: killed.killed, uid, status: 9 });
    expect(self.info).toEqual({ signal: 'SIGRTMIN+1', number: 35, code: 0, pid: self.self, uid, status: 0 });
    expect(timer.info).toEqual({ signal: 'SIGALRM', number: 14, code: 128, pid: 0, uid: 0, status: 0 });
  });

  test('of several real-time signals the lowest comes first, whatever the order they were sent in', async () => {
    const run = await program((rf, t) => {
      const set = ['SIGRTMIN+3', 'SIGRTMIN', 'SIGRTMAX', 'SIGRTMIN+1'] as const;
      rf.sigprocmask(rf.SIG_BLOCK, set);
      for (const signal of [...set, ...set]) rf.raise(signal);
      const order = [];
      for (let info; (info = rf.sigtimedwait(set, 0)) !== null;) order.push(info.number);
      t.report(order);
    });
    expect(run.reports).toEqual([[34, 34, 35, 35, 37, 37, 64, 64]]);
  });

  test('wrong arguments', async () => {
    const run = await program((rf, t) => {
      const attempt = (call: () => unknown) => {
        try {
          return call();
        } catch (error) {
          return (error as { code: string }).code;
        }
      };
      const timed = rf.sigtimedwait as (...args: unknown[]) => unknown;
      const wait = rf.sigwait as (...args: unknown[]) => unknown;
      t.report([
        attempt(() => timed(['SIGUSR1'], -1)),
        attempt(() => timed(['SIGUSR1'], NaN)),
        attempt(() => timed(['SIGUSR1'], '1')),
        attempt(() => timed(['SIGUSR1'], null)),
        attempt(() => timed('SIGUSR1', 0)),
        attempt(() => timed([32], 0)),
        attempt(() => wait()),
        attempt(() => wait('SIGUSR1')),
        attempt(() => wait(['SIGNOPE'])),
        attempt(() => wait([65])),
      ]);
    });
    expect(run.reports).toEqual([
      [
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'EINVAL',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_UNKNOWN_SIGNAL',
        'ERR_OUT_OF_RANGE',
      ],
    ]);
  });
});
