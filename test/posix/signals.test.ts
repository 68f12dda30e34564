import { program } from '../helpers/program';
import { asRoot } from '../helpers/root';

describe('kill', () => {
  test('errors: EINVAL and ESRCH, each with code, errno, syscall and pid', async () => {
    const run = await program((rf, t) => {
      const seen = (call: () => void) => {
        try {
          call();
          return 'nothing thrown';
        } catch (error) {
          const { name, code, errno, syscall, pid } = error as InstanceType<typeof rf.PosixError>;
          return [name, code, errno, syscall, pid];
        }
      };
      const gone = rf.fork();
      if (gone === 0) process.exit(0);
      rf.waitpid(gone);
      t.report([
        seen(() => rf.kill(process.pid, 65)),
        seen(() => rf.kill(process.pid, -1)),
        seen(() => rf.kill(gone, 0)),
        seen(() => rf.kill(-gone, 'SIGTERM')),
        seen(() => rf.kill(-2147483648, 'SIGTERM')), // LTP kill13: the one pid that has no group
        seen(() => rf.killpg(gone, 0)),
        seen(() => rf.killpg(-1, 'SIGTERM')),
        seen(() => rf.killpg(1, 'SIGTERM')), // the C library would signal every process
        seen(() => rf.killpg(0, 65)),
        seen(() => rf.raise(65)),
        seen(() => rf.raise(-1)),
      ]);
      t.report({ gone });
    });
    const { gone } = run.reports.find((r) => r.gone !== undefined);
    expect(run.reports[0]).toEqual([
      ['PosixError', 'EINVAL', -22, 'kill', expect.any(Number)],
      ['PosixError', 'EINVAL', -22, 'kill', expect.any(Number)],
      ['PosixError', 'ESRCH', -3, 'kill', gone],
      ['PosixError', 'ESRCH', -3, 'kill', -gone],
      ['PosixError', 'ESRCH', -3, 'kill', -2147483648],
      ['PosixError', 'ESRCH', -3, 'killpg', gone],
      ['PosixError', 'EINVAL', -22, 'killpg', null],
      ['PosixError', 'EINVAL', -22, 'killpg', 1],
      ['PosixError', 'EINVAL', -22, 'killpg', 0],
      ['PosixError', 'EINVAL', -22, 'raise', null],
      ['PosixError', 'EINVAL', -22, 'raise', null],
    ]);
    expect(run.code).toBe(0);
  });

  asRoot('EPERM for the processes of others', async () => {
    const run = await program((rf, t) => {
      const other = rf.fork();
      if (other === 0) {
        process.setgroups?.([]);
        process.setgid?.(65534);
        process.setuid?.(65534);
        const seen = (call: () => void) => {
          const { name, code, errno, syscall, pid } = t.caught(call) as unknown as InstanceType<typeof rf.PosixError>;
          return [name, code, errno, syscall, pid === process.ppid ? 'parent' : pid];
        };
        t.report([seen(() => rf.kill(process.ppid, 0)), seen(() => rf.kill(1, 'SIGTERM'))]);
        process.exit(0);
      }
      t.report(rf.waitpid(other).status);
    });
    expect(run.reports).toEqual([
      [
        ['PosixError', 'EPERM', -1, 'kill', 'parent'],
        ['PosixError', 'EPERM', -1, 'kill', 1],
      ],
      0,
    ]);
  });

  test('wrong arguments throw before anything is sent', async () => {
    const run = await program((rf, t) => {
      const call = rf.kill as (...args: unknown[]) => void;
      const codes = (calls: (() => void)[]) =>
        calls.map((each) => {
          try {
            each();
            return 'nothing thrown';
          } catch (error) {
            return `${(error as Error).name} ${(error as { code: string }).code}`;
          }
        });
      t.report(
        codes([
          () => call(String(process.pid), 'SIGKILL'),
          () => call(undefined, 'SIGKILL'),
          () => call(1.5, 'SIGKILL'),
          () => call(2 ** 31, 'SIGKILL'),
          () => call(process.pid),
          () => call(process.pid, null),
          () => call(process.pid, {}),
          () => call(process.pid, 'SIGNOPE'),
          () => call(process.pid, 'kill'),
          () => call(process.pid, 'toString'),
          () => call(process.pid, 'SIGRTMIN-1'),
          () => call(process.pid, 'SIGRTMIN+31'),
          () => call(process.pid, 9.5),
          () => call(process.pid, NaN),
          () => (rf.killpg as typeof call)(1.5, 'SIGKILL'),
          () => (rf.killpg as typeof call)(0, 'SIGNOPE'),
          () => (rf.raise as typeof call)(),
          () => (rf.raise as typeof call)('SIGNOPE'),
        ]),
      );
    });
    expect(run.reports).toEqual([
      [
        'TypeError ERR_INVALID_ARG_TYPE',
        'TypeError ERR_INVALID_ARG_TYPE',
        'RangeError ERR_OUT_OF_RANGE',
        'RangeError ERR_OUT_OF_RANGE',
        'TypeError ERR_INVALID_ARG_TYPE',
        'TypeError ERR_INVALID_ARG_TYPE',
        'TypeError ERR_INVALID_ARG_TYPE',
        'TypeError ERR_UNKNOWN_SIGNAL',
        'TypeError ERR_UNKNOWN_SIGNAL',
        'TypeError ERR_UNKNOWN_SIGNAL',
        'TypeError ERR_UNKNOWN_SIGNAL',
        'TypeError ERR_UNKNOWN_SIGNAL',
        'RangeError ERR_OUT_OF_RANGE',
        'RangeError ERR_OUT_OF_RANGE',
        'RangeError ERR_OUT_OF_RANGE',
        'TypeError ERR_UNKNOWN_SIGNAL',
        'TypeError ERR_INVALID_ARG_TYPE',
        'TypeError ERR_UNKNOWN_SIGNAL',
      ],
    ]);
    expect(run.code).toBe(0);
  });

  test('ends another process with each form of the signal: name, number, real-time name', async () => {
    const run = await program((rf, t) => {
      const statuses = (['SIGTERM', 9, 'SIGUSR2', 'SIGRTMIN', 'SIGRTMIN+5', 'SIGRTMAX', 'SIGRTMAX-1'] as const).map(
        (signal) => {
          const pid = rf.fork();
          if (pid === 0) for (;;) rf.pause();
          rf.kill(pid, 0);
          rf.kill(pid, signal);
          return rf.waitpid(pid).status & 0x7f;
        },
      );
      t.report(statuses);
    });
    expect(run.reports).toEqual([[15, 9, 12, 34, 39, 64, 63]]);
  });

  test('pid 0, a negative pid and killpg reach every member of a group, and only that group', async () => {
    const run = await program((rf, t) => {
      const [ready, tell] = rf.pipe();
      const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
      // Leads a group with two members; all three end by what reaches them, and the last reports.
      const group = () => {
        const leader = rf.fork();
        if (leader !== 0) return leader;
        rf.setpgid(0, 0);
        const members: number[] = [];
        while (members.length < 2) {
          const member = rf.fork();
          if (member === 0) {
            writeSync(tell, '.');
            for (;;) rf.pause();
          }
          members.push(member);
        }
        rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2']);
        writeSync(tell, '.');
        const got = rf.sigwait(['SIGUSR2']);
        t.report([got, ...members.map((pid) => rf.waitpid(pid).status)]);
        process.exit(0);
      };
      const untilReady = () => {
        for (let left = 3; left > 0;) left -= readSync(ready, Buffer.alloc(left));
      };
      const first = group();
      untilReady();
      const second = group();
      untilReady();
      rf.kill(-first, 'SIGUSR2');
      rf.waitpid(first);
      t.report('first is done');
      rf.killpg(second, 'SIGUSR2');
      rf.waitpid(second);
      // Pid 0: the caller's own group, of which this program is the only member left.
      rf.sigprocmask(rf.SIG_BLOCK, ['SIGUSR2', 'SIGHUP']);
      rf.kill(0, 'SIGUSR2');
      rf.killpg(0, 'SIGHUP');
      t.report(rf.sigpending());
    });
    expect(run.reports).toEqual([['SIGUSR2', 12, 12], 'first is done', ['SIGUSR2', 12, 12], ['SIGHUP', 'SIGUSR2']]);
    expect(run.code).toBe(0);
  });

  test('signal 0 finds a zombie, and ESRCH once it has been waited for', async () => {
    const run = await program(async (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) process.exit(0);
      await t.waitUntil(() => t.stat(pid)?.[0] === 'Z', 'the child is a zombie');
      rf.kill(pid, 0);
      rf.waitpid(pid);
      try {
        rf.kill(pid, 0);
      } catch (error) {
        t.report((error as { code: string }).code);
      }
    });
    expect(run.reports).toEqual(['ESRCH']);
  });

  test('SIGSTOP and SIGCONT show in the wait status', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) for (;;) rf.pause();
      rf.kill(pid, 'SIGSTOP');
      const stopped = rf.waitpid(pid, rf.WUNTRACED).status;
      rf.kill(pid, 'SIGCONT');
      const continued = rf.waitpid(pid, rf.WCONTINUED).status;
      rf.kill(pid, 'SIGKILL');
      t.report([stopped, continued, rf.waitpid(pid).status]);
    });
    expect(run.reports).toEqual([[0x137f, 0xffff, 9]]);
  });
});

describe('raise', () => {
  test('a default action ends the process before raise returns', async () => {
    const run = await program((rf, t) => {
      for (const signal of ['SIGTERM', 'SIGUSR2', 'SIGALRM', 'SIGKILL', 'SIGRTMIN'] as const) {
        const pid = rf.fork();
        if (pid === 0) {
          rf.raise(signal);
          t.report(`still there after ${signal}`);
          process.exit(1);
        }
        t.report(rf.waitpid(pid).status & 0x7f);
      }
      // Core-dumping ones end it as well; no core file is wanted here.
      const pid = rf.fork();
      if (pid === 0) {
        rf.setrlimit('RLIMIT_CORE', { soft: 0 });
        rf.raise('SIGQUIT');
      }
      t.report(rf.waitpid(pid).status & 0x7f);
    });
    expect(run.reports).toEqual([15, 12, 14, 9, 34, 3]);
  });

  test('an ignored signal and 0 do nothing; a listener runs on a later turn, with name and number', async () => {
    const run = await program((rf, t) => {
      rf.raise(0);
      rf.raise('SIGCHLD');
      rf.raise('SIGWINCH');
      const seen: unknown[] = [];
      const alive = setInterval(() => {}, 1_000); // a listener of a signal does not keep Node running
      process.on('SIGUSR2', (name: string, number: number) => {
        seen.push(name, number);
        setImmediate(() => t.report(seen));
        clearInterval(alive);
      });
      rf.raise('SIGUSR2');
      seen.push('raise has returned');
    });
    expect(run.reports).toEqual([['raise has returned', 'SIGUSR2', 12]]);
    expect(run.code).toBe(0);
  });

  test('SIGSTOP stops the whole process until SIGCONT', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        rf.raise('SIGSTOP');
        process.exit(5);
      }
      const stopped = rf.waitpid(pid, rf.WUNTRACED).status;
      rf.kill(pid, 'SIGCONT');
      t.report([stopped, rf.waitpid(pid).status]);
    });
    expect(run.reports).toEqual([[0x137f, 5 << 8]]);
  });
});

describe('pause', () => {
  test('returns when a handler has run, and the listener runs on the next turn', async () => {
    const run = await program((rf, t) => {
      const order: string[] = [];
      const alive = setInterval(() => {}, 1_000);
      process.on('SIGALRM', () => {
        order.push('listener');
        t.report(order);
        clearInterval(alive);
      });
      rf.setitimer(rf.ITIMER_REAL, 30);
      const result: unknown = rf.pause();
      order.push(`pause returned ${String(result)}`);
    });
    expect(run.reports).toEqual([['pause returned undefined', 'listener']]);
    expect(run.code).toBe(0);
  });

  test('returns for a signal from another process; an ignored one does not wake it, SIGKILL ends it', async () => {
    const run = await program(async (rf, t) => {
      const child = rf.fork();
      if (child === 0) {
        process.on('SIGUSR2', () => {});
        rf.pause();
        process.exit(3);
      }
      const sleeping = rf.fork();
      if (sleeping === 0) for (;;) rf.pause();
      // Blocked in pause(2): nothing is on the processor any more, and the call is the one of that name.
      const { readFileSync } = require('node:fs') as typeof import('node:fs');
      const paused = (pid: number) => {
        const number = readFileSync(`/proc/${pid}/syscall`, 'latin1').split(' ')[0];
        return t.stat(pid)?.[0] === 'S' && (process.arch === 'x64' ? number === '34' : number === '73');
      };
      await t.waitUntil(() => paused(child) && paused(sleeping), 'both children pause');
      rf.kill(child, 'SIGWINCH');
      rf.kill(child, 'SIGCONT');
      t.report(rf.waitpid(child, rf.WNOHANG).pid);
      rf.kill(child, 'SIGUSR2');
      t.report(rf.waitpid(child).status);
      rf.kill(sleeping, 'SIGKILL');
      t.report(rf.waitpid(sleeping).status);
    });
    expect(run.reports).toEqual([0, 3 << 8, 9]);
  });
});
