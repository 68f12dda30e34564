import { program } from '../helpers/program';
import { asRoot } from '../helpers/root';

/** Root may lower the niceness again; each program changes its own only. */
describe('nice', () => {
  asRoot('returns the new niceness, -1 included, and cuts it to the range', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        const results = [rf.nice(0), rf.nice(4), rf.nice(0), rf.nice(-5), rf.nice(0), rf.nice(50), rf.nice(2147483647)];
        results.push(rf.getpriority(rf.PRIO_PROCESS, 0), rf.nice(-2147483648), rf.nice(19));
        t.report(results);
        process.exit(0);
      }
      t.report([rf.waitpid(pid).status, rf.nice(0)]);
    });
    expect(run.reports).toEqual([
      [0, 4, 4, -1, -1, 19, 19, 19, -20, -1],
      [0, 0],
    ]);
  });

  test('sets every thread of the process, and those made later', async () => {
    const run = await program(async (rf, t) => {
      const { readdirSync, readFileSync } = require('node:fs') as typeof import('node:fs');
      const { readFile } = require('node:fs/promises') as typeof import('node:fs/promises');
      const values = () => [
        ...new Set(
          readdirSync('/proc/self/task').map((tid) => {
            const stat = readFileSync(`/proc/self/task/${tid}/stat`, 'latin1');
            return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
          }),
        ),
      ];
      rf.nice(3);
      t.report(values());
      await readFile(__filename); // libuv's pool starts
      t.report(values());
      rf.setpriority(rf.PRIO_PROCESS, 0, 5);
      t.report(values());
      rf.setpriority(rf.PRIO_PROCESS, process.pid, 6);
      t.report(values());
      // The id of another thread means that thread alone.
      const other = readdirSync('/proc/self/task')
        .map(Number)
        .find((tid) => tid !== process.pid) as number;
      rf.setpriority(rf.PRIO_PROCESS, other, 9);
      t.report([rf.getpriority(rf.PRIO_PROCESS, other), rf.getpriority(rf.PRIO_PROCESS, 0), values().sort()]);
      // So does another process's pid mean all of its threads, a forked Node's.
      const pid = rf.fork();
      if (pid === 0) for (;;) rf.pause();
      await t.waitUntil(() => readdirSync(`/proc/${pid}/task`).length > 2, 'V8 has its threads in the child');
      rf.setpriority(rf.PRIO_PROCESS, pid, 11);
      const threads = readdirSync(`/proc/${pid}/task`).map((tid) => rf.getpriority(rf.PRIO_PROCESS, Number(tid)));
      t.report({ several: threads.length > 2, values: [...new Set(threads)] });
      rf.kill(pid, 'SIGKILL');
      rf.waitpid(pid);
    });
    expect(run.reports).toEqual([[3], [3], [5], [6], [9, 6, [6, 9]], { several: true, values: [11] }]);
  });

  asRoot('EPERM for lowering it without privilege, in code, errno and syscall', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        process.setgid?.(65534);
        process.setuid?.(65534);
        const seen = (call: () => unknown) => {
          try {
            return call();
          } catch (error) {
            const { code, errno, syscall } = error as InstanceType<typeof rf.PosixError>;
            return [code, errno, syscall];
          }
        };
        t.report([
          seen(() => rf.nice(2)),
          seen(() => rf.nice(-1)),
          seen(() => rf.nice(0)),
          seen(() => rf.setpriority(rf.PRIO_PROCESS, 0, 1)),
          seen(() => rf.setpriority(rf.PRIO_PROCESS, process.ppid, 5)),
          seen(() => rf.setpriority(rf.PRIO_USER, 0, 5)),
        ]);
        process.exit(0);
      }
      t.report([rf.waitpid(pid).status, rf.getpriority(rf.PRIO_PROCESS, 0)]);
    });
    expect(run.reports).toEqual([
      [2, ['EPERM', -1, 'nice'], 2, ['EACCES', -13, 'setpriority'], ['EPERM', -1, 'setpriority'], null],
      [0, 0],
    ]);
  });
});

describe('getpriority and setpriority', () => {
  asRoot('by process, by group and by user', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        rf.setpgid(0, 0);
        rf.nice(1);
        rf.setpriority(rf.PRIO_PGRP, 0, 4);
        t.report([rf.getpriority(rf.PRIO_PGRP, 0), rf.getpriority(rf.PRIO_PROCESS, process.pid)]);
        process.setgid?.(64_123);
        process.setuid?.(64_123); // a user of this test's own
        rf.setpriority(rf.PRIO_USER, 64_123, 7);
        t.report([
          rf.getpriority(rf.PRIO_USER, 64_123),
          rf.getpriority(rf.PRIO_USER, 0),
          rf.getpriority(rf.PRIO_PROCESS, 0),
        ]);
        rf.setpriority(rf.PRIO_PROCESS, 0, 50); // cut to the range
        t.report(rf.getpriority(rf.PRIO_PROCESS, 0));
        process.exit(0);
      }
      t.report([rf.waitpid(pid).status, rf.getpriority(rf.PRIO_PROCESS, 0)]);
      rf.setpriority(rf.PRIO_PROCESS, 0, -1);
      t.report(rf.getpriority('PRIO_PROCESS', 0));
      rf.setpriority('PRIO_PROCESS', 0, -50);
      t.report(rf.getpriority(rf.PRIO_PROCESS, 0));
    });
    expect(run.reports).toEqual([[4, 4], [7, 7, 7], 19, [0, 0], -1, -20]);
  });

  test('errors: EINVAL, ESRCH; wrong arguments throw first', async () => {
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
      const get = rf.getpriority as (...args: unknown[]) => unknown;
      const set = rf.setpriority as (...args: unknown[]) => unknown;
      const nice = rf.nice as (...args: unknown[]) => unknown;
      const gone = rf.fork();
      if (gone === 0) process.exit(0);
      rf.waitpid(gone);
      t.report([
        attempt(() => get(-1, 0)),
        attempt(() => get(3, 0)),
        attempt(() => set(-1, 0, 0)),
        attempt(() => set(3, 0, 0)),
        attempt(() => get(rf.PRIO_PROCESS, -1)),
        attempt(() => get(rf.PRIO_PGRP, -1)),
        attempt(() => get(rf.PRIO_USER, -1)),
        attempt(() => get(rf.PRIO_PROCESS, gone)),
        attempt(() => get(rf.PRIO_PGRP, gone)),
        attempt(() => get(rf.PRIO_USER, 4_000_000_000)),
        attempt(() => set(rf.PRIO_PROCESS, gone, 0)),
        attempt(() => set(rf.PRIO_PGRP, gone, 0)),
        attempt(() => set(rf.PRIO_USER, 4_000_000_000, 0)),
      ]);
      t.report([
        attempt(() => get()),
        attempt(() => get(0)),
        attempt(() => get('0', 0)),
        attempt(() => get(null, 0)),
        attempt(() => get(0, 1.5)),
        attempt(() => get(0, 2 ** 32)),
        attempt(() => set(0, 0)),
        attempt(() => set(0, 0, '1')),
        attempt(() => set(0, 0, 2 ** 31)),
        attempt(() => nice()),
        attempt(() => nice('1')),
        attempt(() => nice(0.5)),
        attempt(() => nice(2 ** 31)),
      ]);
    });
    expect(run.reports).toEqual([
      [
        'EINVAL -22 getpriority',
        'EINVAL -22 getpriority',
        'EINVAL -22 setpriority',
        'EINVAL -22 setpriority',
        'ESRCH -3 getpriority',
        'ESRCH -3 getpriority',
        'ESRCH -3 getpriority',
        'ESRCH -3 getpriority',
        'ESRCH -3 getpriority',
        'ESRCH -3 getpriority',
        'ESRCH -3 setpriority',
        'ESRCH -3 setpriority',
        'ESRCH -3 setpriority',
      ],
      [
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_VALUE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_OUT_OF_RANGE',
        'ERR_OUT_OF_RANGE',
      ],
    ]);
  });
});
