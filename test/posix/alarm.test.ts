import { program } from '../helpers/program';

test('alarm returns the seconds that were left, 0 takes it back, and the largest values are exact', async () => {
  const run = await program((rf, t) => {
    t.report([
      rf.alarm(0),
      rf.alarm(100),
      rf.alarm(5),
      rf.alarm(0),
      rf.alarm(0),
      rf.alarm(2147483647),
      rf.alarm(1073741823),
      rf.alarm(0),
    ]);
  });
  expect(run.reports).toEqual([[0, 0, 100, 5, 0, 0, 2147483647, 1073741823]]);
  expect(run.code).toBe(0);
});

test('SIGALRM comes after the seconds: to a listener, or as the end of the process', async () => {
  const run = await program((rf, t) => {
    const pid = rf.fork();
    const start = performance.now();
    if (pid === 0) {
      rf.alarm(1);
      for (;;) rf.pause();
    }
    process.on('SIGALRM', () => {
      t.report({ after: performance.now() - start });
      process.removeAllListeners('SIGALRM');
      t.report({ status: rf.waitpid(pid).status });
    });
    rf.alarm(1);
    setTimeout(() => {}, 1_200); // a signal's listener alone does not keep Node running
  });
  expect(run.reports).toEqual([{ after: expect.any(Number) }, { status: 14 }]);
  expect(run.reports[0].after).toBeGreaterThan(980);
  expect(run.reports[0].after).toBeLessThan(3_000);
});

test('setitimer sets and returns the old value in milliseconds; getitimer reads it', async () => {
  const run = await program((rf, t) => {
    for (const which of [rf.ITIMER_REAL, rf.ITIMER_VIRTUAL, rf.ITIMER_PROF]) {
      const results = [
        rf.getitimer(which),
        rf.setitimer(which, 60_000, 1_500.25),
        rf.getitimer(which),
        rf.setitimer(which, { value: 30_000, interval: 10 }),
        rf.setitimer(which, rf.getitimer(which)),
        rf.setitimer(which, 0, 70),
        rf.getitimer((['ITIMER_REAL', 'ITIMER_VIRTUAL', 'ITIMER_PROF'] as const)[which] as 'ITIMER_REAL'),
      ];
      t.report(results);
    }
  });
  for (const [first, old, set, replaced, again, last, end] of run.reports) {
    expect(first).toEqual({ value: 0, interval: 0 });
    expect(old).toEqual({ value: 0, interval: 0 });
    expect(set.interval).toBe(1_500.25);
    expect(set.value).toBeGreaterThan(59_000);
    expect(set.value).toBeLessThanOrEqual(60_010); // CPU clocks round up to a tick
    expect(replaced.interval).toBe(1_500.25);
    expect(again.interval).toBe(10);
    expect(last.value).toBeGreaterThan(29_000);
    expect(end.value).toBe(0); // value 0 is off, whatever the interval
  }
  expect(run.reports).toHaveLength(3);
});

test('alarm and ITIMER_REAL are one clock', async () => {
  const run = await program((rf, t) => {
    rf.alarm(50);
    const { value } = rf.getitimer(rf.ITIMER_REAL);
    rf.setitimer(rf.ITIMER_REAL, 20_500);
    t.report({ value, left: rf.alarm(0) });
  });
  expect(run.reports[0].value).toBeGreaterThan(49_000);
  expect(run.reports[0].value).toBeLessThanOrEqual(50_000);
  expect([20, 21]).toContain(run.reports[0].left);
});

test('an interval timer sends again and again; a tiny value still sends', async () => {
  const run = await program((rf, t) => {
    rf.sigprocmask(rf.SIG_BLOCK, ['SIGALRM']);
    rf.setitimer(rf.ITIMER_REAL, 20, 20);
    const start = performance.now();
    const ticks = [1, 2, 3, 4].map(() => rf.sigwait(['SIGALRM']));
    const took = performance.now() - start;
    rf.setitimer(rf.ITIMER_REAL, 0);
    while (rf.sigtimedwait(['SIGALRM'], 0) !== null);
    rf.setitimer(rf.ITIMER_REAL, 1e-9);
    t.report({ ticks, took, tiny: rf.sigtimedwait(['SIGALRM'], 5_000)?.signal });
  });
  expect(run.reports[0].ticks).toEqual(['SIGALRM', 'SIGALRM', 'SIGALRM', 'SIGALRM']);
  expect(run.reports[0].took).toBeGreaterThan(75);
  expect(run.reports[0].tiny).toBe('SIGALRM');
});

test('ITIMER_VIRTUAL and ITIMER_PROF count CPU time, not time asleep', async () => {
  const run = await program((rf, t) => {
    const set = ['SIGVTALRM', 'SIGPROF'] as const;
    rf.sigprocmask(rf.SIG_BLOCK, set);
    rf.setitimer(rf.ITIMER_VIRTUAL, 100);
    rf.setitimer(rf.ITIMER_PROF, 100);
    rf.sleepSync(150);
    const asleep = rf.sigpending();
    const deadline = performance.now() + 8_000;
    while (rf.sigpending().length < 2 && performance.now() < deadline) t.burn(20);
    t.report({ asleep, awake: rf.sigpending() });
  });
  expect(run.reports).toEqual([{ asleep: [], awake: ['SIGVTALRM', 'SIGPROF'] }]);
});

test('errors: EINVAL for another timer; wrong arguments throw first', async () => {
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
    const set = rf.setitimer as (...args: unknown[]) => unknown;
    const get = rf.getitimer as (...args: unknown[]) => unknown;
    const alarm = rf.alarm as (...args: unknown[]) => unknown;
    t.report([
      attempt(() => set(3, 10)),
      attempt(() => set(-1, 10)),
      attempt(() => get(3)),
      attempt(() => get(-1)),
      attempt(() => set(0, -1)),
      attempt(() => set(0, 10, -1)),
      attempt(() => set(0, NaN)),
      attempt(() => set(0, Infinity)),
      attempt(() => set(0)),
      attempt(() => set(0, null)),
      attempt(() => set(0, '10')),
      attempt(() => set(0, 10, '10')),
      attempt(() => set(0, { value: 1 }, 10)),
      attempt(() => set(0, { value: '1' })),
      attempt(() => set('0', 10)),
      attempt(() => set(null, 10)),
      attempt(() => get()),
      attempt(() => alarm()),
      attempt(() => alarm('1')),
      attempt(() => alarm(-1)),
      attempt(() => alarm(0.5)),
      attempt(() => alarm(2 ** 32)),
    ]);
    t.report([rf.alarm(0), rf.getitimer(0)]);
  });
  expect(run.reports).toEqual([
    [
      'EINVAL -22 setitimer',
      'EINVAL -22 setitimer',
      'EINVAL -22 getitimer',
      'EINVAL -22 getitimer',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      ...Array<string>(6).fill('ERR_INVALID_ARG_TYPE'),
      'ERR_INVALID_ARG_VALUE',
      ...Array<string>(4).fill('ERR_INVALID_ARG_TYPE'),
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
      'ERR_OUT_OF_RANGE',
    ],
    [0, { value: 0, interval: 0 }],
  ]);
});
