import { program } from '../helpers/program';

describe('getrlimit and setrlimit', () => {
  test('the limits are those of /proc/self/limits, by name, short name and number', async () => {
    const run = await program((rf, t) => {
      const { readFileSync } = require('node:fs') as typeof import('node:fs');
      const rows: Record<string, string> = {
        RLIMIT_CPU: 'Max cpu time',
        RLIMIT_FSIZE: 'Max file size',
        RLIMIT_DATA: 'Max data size',
        RLIMIT_STACK: 'Max stack size',
        RLIMIT_CORE: 'Max core file size',
        RLIMIT_RSS: 'Max resident set',
        RLIMIT_NPROC: 'Max processes',
        RLIMIT_NOFILE: 'Max open files',
        RLIMIT_MEMLOCK: 'Max locked memory',
        RLIMIT_AS: 'Max address space',
        RLIMIT_LOCKS: 'Max file locks',
        RLIMIT_SIGPENDING: 'Max pending signals',
        RLIMIT_MSGQUEUE: 'Max msgqueue size',
        RLIMIT_NICE: 'Max nice priority',
        RLIMIT_RTPRIO: 'Max realtime priority',
        RLIMIT_RTTIME: 'Max realtime timeout',
      };
      // Distinct values, so that a mix-up of resources shows.
      rf.setrlimit('CORE', { soft: 4_096 });
      rf.setrlimit('MEMLOCK', { soft: 8_192 });
      rf.setrlimit('NOFILE', { soft: 200 });
      const shown = readFileSync('/proc/self/limits', 'latin1');
      const wrong = Object.entries(rows).flatMap(([name, row]) => {
        const line = shown.split('\n').find((each) => each.startsWith(row)) as string;
        const [soft, hard] = line.slice(row.length).trim().split(/\s+/);
        const limit = rf.getrlimit(name);
        const text = (value: number) => (value === Infinity ? 'unlimited' : String(value));
        const number = (rf as unknown as Record<string, number>)[name] as number;
        const same = [
          rf.getrlimit(number),
          rf.getrlimit(name.slice(7)),
          rf.getrlimit(name.slice(7).toLowerCase()),
        ].every((each) => each.soft === limit.soft && each.hard === limit.hard);
        return same && text(limit.soft) === soft && text(limit.hard) === hard ? [] : [[name, limit, line]];
      });
      t.report({
        wrong,
        count: Object.keys(rows).length,
        core: rf.getrlimit('RLIMIT_CORE').soft,
        none: rf.RLIM_INFINITY,
      });
    });
    expect(run.reports).toEqual([{ wrong: [], count: 16, core: 4096, none: null }]); // JSON has no Infinity
  });

  test('a limit left out keeps its value; Infinity is no limit', async () => {
    const run = await program((rf, t) => {
      rf.setrlimit(rf.RLIMIT_CORE, { soft: 1_000, hard: 2_000 });
      rf.setrlimit('RLIMIT_CORE', { soft: 500 });
      t.report(rf.getrlimit('RLIMIT_CORE'));
      rf.setrlimit('RLIMIT_CORE', { hard: 600 });
      t.report(rf.getrlimit('RLIMIT_CORE'));
      rf.setrlimit('RLIMIT_CPU', { soft: rf.RLIM_INFINITY });
      t.report(rf.getrlimit('RLIMIT_CPU').soft === Infinity);
    });
    expect(run.reports).toEqual([{ soft: 500, hard: 2_000 }, { soft: 500, hard: 600 }, true]);
  });

  test('errors: EINVAL, EPERM; wrong arguments throw first', async () => {
    const run = await program((rf, t) => {
      const attempt = (call: () => unknown) => {
        try {
          call();
          return 'nothing thrown';
        } catch (error) {
          const { code, errno, syscall } = error as InstanceType<typeof rf.PosixError>;
          return errno === undefined ? code : `${code} ${errno} ${syscall}`;
        }
      };
      const get = rf.getrlimit as (...args: unknown[]) => unknown;
      const set = rf.setrlimit as (...args: unknown[]) => unknown;
      t.report([
        attempt(() => get(-1)),
        attempt(() => get(99)),
        attempt(() => set(-1, { soft: 1 })),
        attempt(() => set(99, { soft: 1, hard: 1 })),
        attempt(() => set('RLIMIT_CORE', { soft: 11, hard: 10 })),
        attempt(() => set('RLIMIT_NOFILE', { hard: Infinity })), // beyond nr_open, for root too
      ]);
      t.report([
        attempt(() => get()),
        attempt(() => get(null)),
        attempt(() => get(1.5)),
        attempt(() => get('RLIMIT_NOPE')),
        attempt(() => get('toString')),
        attempt(() => set('RLIMIT_CORE')),
        attempt(() => set('RLIMIT_CORE', null)),
        attempt(() => set('RLIMIT_CORE', {})),
        attempt(() => set('RLIMIT_CORE', [1, 2])),
        attempt(() => set('RLIMIT_CORE', { soft: -1 })),
        attempt(() => set('RLIMIT_CORE', { soft: 1.5 })),
        attempt(() => set('RLIMIT_CORE', { soft: '1' })),
        attempt(() => set('RLIMIT_CORE', { soft: NaN })),
        attempt(() => set('RLIMIT_CORE', { hard: -Infinity })),
      ]);
      const pid = rf.fork();
      if (pid === 0) {
        rf.setrlimit('RLIMIT_CORE', { soft: 5, hard: 10 });
        process.setgid?.(65534);
        process.setuid?.(65534);
        rf.setrlimit('RLIMIT_CORE', { soft: 10 }); // up to the hard limit anybody may go
        t.report([attempt(() => set('RLIMIT_CORE', { hard: 11 })), rf.getrlimit('RLIMIT_CORE')]);
        process.exit(0);
      }
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([
      [
        'EINVAL -22 getrlimit',
        'EINVAL -22 getrlimit',
        'EINVAL -22 setrlimit',
        'EINVAL -22 setrlimit',
        'EINVAL -22 setrlimit',
        'EPERM -1 setrlimit',
      ],
      [
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
      ],
      ['EPERM -1 setrlimit', { soft: 10, hard: 10 }],
      0,
    ]);
  });

  test('the kernel enforces them: descriptors, file size, CPU time', async () => {
    const run = await program((rf, t) => {
      const { openSync, writeSync, closeSync, unlinkSync } = require('node:fs') as typeof import('node:fs');
      const code = (call: () => unknown) => {
        try {
          return call();
        } catch (error) {
          return (error as { code: string }).code;
        }
      };
      const files = rf.fork();
      if (files === 0) {
        rf.setrlimit('RLIMIT_NOFILE', { soft: 40 });
        let result: unknown;
        for (let i = 0; i < 41 && typeof result !== 'string'; i++) result = code(() => openSync('/dev/null', 'r'));
        t.report(result);
        process.exit(0);
      }
      rf.waitpid(files);
      const size = rf.fork();
      if (size === 0) {
        rf.sigprocmask(rf.SIG_BLOCK, ['SIGXFSZ']);
        const path = `${__filename}.big`;
        const fd = openSync(path, 'w');
        rf.setrlimit('RLIMIT_FSIZE', { soft: 100 });
        const first = writeSync(fd, Buffer.alloc(150));
        const second = code(() => writeSync(fd, Buffer.alloc(1)));
        closeSync(fd);
        unlinkSync(path);
        rf.setrlimit('RLIMIT_FSIZE', { soft: Infinity });
        t.report([first, second, rf.sigpending()]);
        process.exit(0);
      }
      rf.waitpid(size);
      const cpu = rf.fork();
      if (cpu === 0) {
        rf.setrlimit('RLIMIT_CPU', { soft: 1, hard: 2 });
        for (;;);
      }
      const status = rf.waitpid(cpu).status & 0x7f;
      const { userCPUTime, systemCPUTime } = rf.getrusage(rf.RUSAGE_CHILDREN);
      t.report({ status, cpu: Math.round((userCPUTime + systemCPUTime) / 1_000) });
    });
    expect(run.reports).toEqual(['EMFILE', [100, 'EFBIG', ['SIGXFSZ']], { status: 24, cpu: expect.any(Number) }]);
    expect(run.reports[2].cpu).toBeGreaterThan(800);
    expect(run.reports[2].cpu).toBeLessThan(2_500);
  });

  test("a child has its parent's limits, and neither changes those of the other", async () => {
    const run = await program((rf, t) => {
      rf.setrlimit('RLIMIT_CORE', { soft: 111, hard: 222 });
      const pid = rf.fork();
      if (pid === 0) {
        t.report(rf.getrlimit('RLIMIT_CORE'));
        rf.setrlimit('RLIMIT_CORE', { soft: 1, hard: 2 });
        process.exit(0);
      }
      rf.waitpid(pid);
      t.report(rf.getrlimit('RLIMIT_CORE'));
    });
    expect(run.reports).toEqual([
      { soft: 111, hard: 222 },
      { soft: 111, hard: 222 },
    ]);
  });
});

describe('getrusage and times', () => {
  test('have the shape of process.resourceUsage() and count the same', async () => {
    const run = await program((rf, t) => {
      t.burnCpu(120);
      const own = process.resourceUsage();
      const usage = rf.getrusage();
      t.report({
        sameKeys: JSON.stringify(Object.keys(own).sort()) === JSON.stringify(Object.keys(usage).sort()),
        numbers: Object.values(usage).every((value) => Number.isInteger(value) && value >= 0),
        near:
          Math.abs(usage.userCPUTime - own.userCPUTime) < 50_000 && usage.userCPUTime + usage.systemCPUTime > 110_000,
        rss: usage.maxRSS >= own.maxRSS && usage.maxRSS < own.maxRSS + 10_000,
        self: Object.keys(rf.getrusage('RUSAGE_SELF')).length,
        thread: rf.getrusage(rf.RUSAGE_THREAD).userCPUTime <= rf.getrusage(rf.RUSAGE_SELF).userCPUTime,
      });
      const used = rf.times();
      t.report({
        user: used.user + used.system >= 100 && used.user < 10_000,
        system: used.system >= 0,
        all: Object.keys(used),
      });
    });
    expect(run.reports).toEqual([
      { sameKeys: true, numbers: true, near: true, rss: true, self: 16, thread: true },
      { user: true, system: true, all: ['user', 'system', 'childrenUser', 'childrenSystem', 'elapsed'] },
    ]);
  });

  test('children count from when they have been waited for, and their children with them', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        const grandchild = rf.fork();
        t.burnCpu(150);
        if (grandchild !== 0) rf.waitpid(grandchild);
        process.exit(0);
      }
      const info = rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT);
      const before = { usage: rf.getrusage(rf.RUSAGE_CHILDREN), times: rf.times() };
      rf.waitpid(pid);
      const after = { usage: rf.getrusage(rf.RUSAGE_CHILDREN), times: rf.times() };
      t.report({
        ended: info.pid === pid,
        before: [before.usage.userCPUTime, before.times.childrenUser],
        usage: after.usage.userCPUTime + after.usage.systemCPUTime > 250_000,
        times: after.times.childrenUser + after.times.childrenSystem >= 250,
      });
    });
    expect(run.reports).toEqual([{ ended: true, before: [0, 0], usage: true, times: true }]);
  });

  test('times().elapsed is real time', async () => {
    const run = await program((rf, t) => {
      const before = rf.times().elapsed;
      rf.sleepSync(100);
      t.report(rf.times().elapsed - before);
    });
    expect(run.reports[0]).toBeGreaterThanOrEqual(90);
    expect(run.reports[0]).toBeLessThan(2_000);
  });

  test('errors of getrusage', async () => {
    const run = await program((rf, t) => {
      const attempt = (who: unknown) => {
        try {
          rf.getrusage(who as number);
          return 'nothing thrown';
        } catch (error) {
          const { code, errno, syscall } = error as InstanceType<typeof rf.PosixError>;
          return errno === undefined ? code : `${code} ${errno} ${syscall}`;
        }
      };
      t.report([-3, -2, 2, 99, null, '0', 0.5, NaN].map(attempt));
    });
    const einval = 'EINVAL -22 getrusage';
    expect(run.reports[0]).toEqual([
      einval,
      einval,
      einval,
      einval,
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_VALUE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
    ]);
  });
});

describe('umask', () => {
  test('returns the old mask, and new files obey the new one', async () => {
    const run = await program((rf, t) => {
      const { openSync, closeSync, statSync, unlinkSync } = require('node:fs') as typeof import('node:fs');
      rf.umask(0o022);
      const results = [rf.umask(), process.umask(), rf.umask(0o077), rf.umask('027'), rf.umask(), rf.umask(0o7027)];
      results.push(rf.umask()); // nine bits count
      const modes = [];
      for (let mask = 0; mask <= 0o777; mask += 7) {
        rf.umask(mask);
        const path = `${__filename}.${mask}`;
        closeSync(openSync(path, 'w', 0o777));
        if ((statSync(path).mode & 0o777) !== (0o777 & ~mask)) modes.push(mask);
        unlinkSync(path);
      }
      t.report({ results, modes });
    });
    expect(run.reports).toEqual([{ results: [0o022, 0o022, 0o022, 0o077, 0o027, 0o027, 0o027], modes: [] }]);
  });

  test('reading it is no writing: it never shows another value to another thread', async () => {
    const run = await program(async (rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      rf.umask(0o027);
      const worker = new Worker(
        `const { readFileSync } = require('node:fs');
         const { parentPort } = require('node:worker_threads');
         const seen = new Set();
         const end = Date.now() + 300;
         parentPort.postMessage('ready');
         while (Date.now() < end) seen.add(/Umask:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]);
         parentPort.postMessage([...seen]);`,
        { eval: true },
      );
      await new Promise((resolve) => worker.once('message', resolve));
      const seen = new Promise((resolve) => worker.once('message', resolve));
      const end = Date.now() + 300;
      while (Date.now() < end) rf.umask();
      t.report(await seen);
    });
    expect(run.reports).toEqual([['0027']]);
  });

  test('wrong arguments', async () => {
    const run = await program((rf, t) => {
      const call = rf.umask as (mask: unknown) => unknown;
      const before = rf.umask();
      t.report(
        [null, {}, true, '', '8', '0o22', ' 22', '-1', '77777', -1, 1.5, NaN, 0o10000].map((mask) => {
          try {
            return call(mask);
          } catch (error) {
            return (error as { code: string }).code;
          }
        }),
      );
      t.report(rf.umask() === before);
    });
    expect(run.reports).toEqual([
      [
        ...Array<string>(3).fill('ERR_INVALID_ARG_TYPE'),
        ...Array<string>(5).fill('ERR_INVALID_ARG_VALUE'),
        ...Array<string>(5).fill('ERR_OUT_OF_RANGE'),
      ],
      true,
    ]);
  });
});

describe('sysconf', () => {
  test('knows names in three spellings and numbers; null is "no fixed limit"', async () => {
    const run = await program((rf, t) => {
      const { cpus } = require('node:os') as typeof import('node:os');
      t.report({
        page: [rf.sysconf('_SC_PAGESIZE'), rf.sysconf('SC_PAGESIZE'), rf.sysconf('PAGESIZE'), rf.sysconf('PAGE_SIZE')],
        online: rf.sysconf('_SC_NPROCESSORS_ONLN') === cpus().length,
        tick: rf.sysconf('_SC_CLK_TCK'),
        open: rf.sysconf('_SC_OPEN_MAX') === rf.getrlimit('RLIMIT_NOFILE').soft,
        number: rf.sysconf(0) === rf.sysconf('_SC_ARG_MAX'),
        version: rf.sysconf('_SC_VERSION'),
        jobControl: rf.sysconf('_SC_JOB_CONTROL'),
        none: [rf.sysconf('_SC_SEM_NSEMS_MAX'), rf.sysconf('_SC_AIO_MAX'), rf.sysconf('_SC_TIMER_MAX')],
      });
    });
    const [answer] = run.reports;
    expect(new Set(answer.page).size).toBe(1);
    expect(answer.page[0] % 4096).toBe(0);
    expect(answer).toMatchObject({ online: true, tick: 100, open: true, number: true, jobControl: 1 });
    expect(answer.version).toBeGreaterThanOrEqual(200112);
    expect(answer.none).toContain(null);
  });

  test('errors: EINVAL for a number, ERR_INVALID_ARG_VALUE for a name', async () => {
    const run = await program((rf, t) => {
      const call = rf.sysconf as (name: unknown) => unknown;
      t.report(
        [-1, 99_999, '_SC_NOPE', '', '_SC_', 'toString', null, undefined, 1.5].map((name) => {
          try {
            return call(name);
          } catch (error) {
            const { code, errno, syscall } = error as InstanceType<typeof rf.PosixError>;
            return errno === undefined ? code : `${code} ${errno} ${syscall}`;
          }
        }),
      );
    });
    expect(run.reports).toEqual([
      [
        'EINVAL -22 sysconf',
        'EINVAL -22 sysconf',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
      ],
    ]);
  });
});

describe('sleepSync', () => {
  test('sleeps the whole time, fractions included, through signals with handlers, without using the processor', async () => {
    const run = await program((rf, t) => {
      const measure = (ms: number) => {
        const before = performance.now();
        const result: unknown = rf.sleepSync(ms);
        return [result, performance.now() - before];
      };
      process.on('SIGALRM', () => {});
      rf.setitimer(rf.ITIMER_REAL, 3, 3);
      const cpu = rf.getrusage(rf.RUSAGE_THREAD);
      const [result, interrupted] = measure(200);
      const used = rf.getrusage(rf.RUSAGE_THREAD).userCPUTime - cpu.userCPUTime;
      rf.setitimer(rf.ITIMER_REAL, 0);
      process.removeAllListeners('SIGALRM');
      t.report({ isUndefined: result === undefined, interrupted, used, zero: measure(0)[1], half: measure(10.5)[1] });
    });
    const [{ isUndefined, interrupted, used, zero, half }] = run.reports;
    expect(isUndefined).toBe(true);
    expect(interrupted).toBeGreaterThanOrEqual(200);
    expect(interrupted).toBeLessThan(1_000);
    expect(used).toBeLessThan(50_000);
    expect(zero).toBeLessThan(40);
    expect(half).toBeGreaterThanOrEqual(10.5);
  });

  test('wrong arguments', async () => {
    const run = await program((rf, t) => {
      const call = rf.sleepSync as (ms?: unknown) => void;
      t.report(
        [undefined, null, '1', {}, -1, -0.1, NaN, Infinity, 2 ** 31].map((ms) => {
          try {
            call(ms);
            return 'nothing thrown';
          } catch (error) {
            return (error as { code: string }).code;
          }
        }),
      );
    });
    expect(run.reports).toEqual([
      [...Array<string>(4).fill('ERR_INVALID_ARG_TYPE'), ...Array<string>(5).fill('ERR_OUT_OF_RANGE')],
    ]);
    expect(run.elapsed).toBeLessThan(5_000);
  });
});
