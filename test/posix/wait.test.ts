import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { WNOHANG, WUNTRACED } from '../../dist';
import { program } from '../helpers/program';

describe('errors of the wait family', () => {
  test('W03 W11 W12 code, errno and syscall of each error', async () => {
    const pidMax = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
    const run = await program(
      (rf, t) => {
        const pidMax = t.args[0] as number;
        const rows: [string, string, () => unknown][] = [
          // wait(2) ERRORS: ECHILD for no unwaited-for children, or a pid that is no child
          ['wait', 'ECHILD', () => rf.wait()],
          ['waitpid', 'ECHILD', () => rf.waitpid(-1)],
          ['waitpid', 'ECHILD', () => rf.waitpid(-1, 0)],
          ['waitpid', 'ECHILD', () => rf.waitpid(-1, rf.WNOHANG)],
          ['waitpid', 'ECHILD', () => rf.waitpid(0)],
          ['waitpid', 'ECHILD', () => rf.waitpid(1, 0)],
          ['waitpid', 'ECHILD', () => rf.waitpid(process.pid)],
          ['waitpid', 'ECHILD', () => rf.waitpid(-process.pid)],
          ['waitpid', 'ECHILD', () => rf.waitpid(pidMax + 1)],
          // EINVAL: the options argument was invalid; WNOWAIT and WEXITED are waitid's alone
          ['waitpid', 'EINVAL', () => rf.waitpid(-1, -1)],
          ['waitpid', 'EINVAL', () => rf.waitpid(-1, rf.WEXITED)],
          ['waitpid', 'EINVAL', () => rf.waitpid(-1, rf.WNOWAIT)],
          // ESRCH: pid is equal to INT_MIN
          ['waitpid', 'ESRCH', () => rf.waitpid(-2147483648)],
          ['wait3', 'ECHILD', () => rf.wait3()],
          ['wait3', 'ECHILD', () => rf.wait3(rf.WNOHANG)],
          ['wait3', 'EINVAL', () => rf.wait3(-1)],
          ['wait4', 'ECHILD', () => rf.wait4(-1)],
          ['wait4', 'ECHILD', () => rf.wait4(pidMax + 1)],
          ['wait4', 'ECHILD', () => rf.wait4(1, rf.WNOHANG)],
          ['wait4', 'EINVAL', () => rf.wait4(-1, -1)],
          ['wait4', 'ESRCH', () => rf.wait4(-2147483648)],
          ['waitid', 'ECHILD', () => rf.waitid(rf.P_ALL, 0, rf.WEXITED)],
          ['waitid', 'ECHILD', () => rf.waitid(rf.P_ALL, 0, rf.WNOHANG | rf.WEXITED)],
          ['waitid', 'ECHILD', () => rf.waitid(rf.P_PID, 1, rf.WEXITED)],
          ['waitid', 'ECHILD', () => rf.waitid(rf.P_PGID, process.pid, rf.WEXITED | rf.WNOHANG)],
          // EINVAL: no event asked for, an unknown option or idtype, an id that no process can have
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_ALL, 0, rf.WNOHANG)],
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_ALL, 0, 0)],
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_ALL, 0, -1)],
          ['waitid', 'EINVAL', () => rf.waitid(99, 0, rf.WEXITED)],
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_PID, 0, rf.WEXITED)],
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_PID, -1, rf.WEXITED)],
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_PGID, -1, rf.WEXITED)],
          ['waitid', 'EINVAL', () => rf.waitid(rf.P_PIDFD, -1, rf.WEXITED)],
          ['waitid', 'EBADF', () => rf.waitid(rf.P_PIDFD, 9999, rf.WEXITED)],
          ['waitid', 'EBADF', () => rf.waitid(rf.P_PIDFD, 0, rf.WEXITED)],
        ];
        for (const [syscall, code, call] of rows) {
          t.report({ call: call.toString(), expected: { syscall, code }, error: t.caught(call) });
        }
      },
      { args: [pidMax] },
    );
    expect(run.reports).toHaveLength(35);
    for (const { call, expected, error } of run.reports) {
      const number = -constants.errno[expected.code as keyof typeof constants.errno];
      expect({ call, error }).toMatchObject({ call, error: { name: 'PosixError', ...expected, errno: number } });
    }
    expect(run.code).toBe(0);
  });

  test('W03 an error names the pid it was about', async () => {
    const run = await program((rf, t) => {
      t.report([t.caught(() => rf.waitpid(1)), t.caught(() => rf.waitpid(-1)), t.caught(() => rf.waitid(1, 1, 4))]);
    });
    expect(run.reports[0].map((error: { pid?: number }) => error.pid)).toEqual([1, undefined, 1]);
  });
});

test('W01 waitpid(pid, 0) blocks until exit and gives pid and raw status', async () => {
  const run = await program((rf, t) => {
    const [gate, open] = rf.pipe();
    const fs = require('node:fs') as typeof import('node:fs');
    const pid = rf.fork();
    if (pid === 0) {
      // Ends only after the parent has been seen asleep in its wait.
      fs.closeSync(open);
      fs.readSync(gate, Buffer.alloc(1));
      while (t.stat(process.ppid)?.[0] !== 'S');
      process.exit(42);
    }
    fs.writeSync(open, '.');
    const waited = rf.waitpid(pid, 0);
    const { status } = waited;
    t.report({
      samePid: waited.pid === pid,
      keys: Object.keys(waited),
      status,
      exited: rf.WIFEXITED(status),
      code: rf.WEXITSTATUS(status),
      signaled: rf.WIFSIGNALED(status),
      stopped: rf.WIFSTOPPED(status),
      continued: rf.WIFCONTINUED(status),
      again: t.caught(() => rf.waitpid(pid)).code,
    });
  });
  expect(run.reports).toEqual([
    {
      samePid: true,
      keys: ['pid', 'status'],
      status: 42 << 8,
      exited: true,
      code: 42,
      signaled: false,
      stopped: false,
      continued: false,
      again: 'ECHILD',
    },
  ]);
});

test('W01 wait() gives whichever child ended, and options default to 0', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const [gate, open] = rf.pipe();
    const pids = [3, 2, 1].map((code) => {
      const pid = rf.fork();
      if (pid === 0) {
        fs.closeSync(open);
        // Each child waits for its turn: the last one made ends first.
        if (code !== 1) fs.readSync(gate, Buffer.alloc(1));
        process.exit(code);
      }
      return pid;
    });
    const first = rf.wait();
    t.report([first.pid === pids[2], first.status]);
    fs.closeSync(open);
    const rest = [rf.wait(), rf.wait()].sort((a, b) => a.status - b.status);
    t.report(rest.map(({ pid, status }) => [pids.indexOf(pid), status]));
    t.report(t.caught(() => rf.wait()).code);
  });
  expect(run.reports).toEqual([
    [true, 0x0100],
    [
      [1, 0x0200],
      [0, 0x0300],
    ],
    'ECHILD',
  ]);
});

test('W02 of 25 children the middle one is waited for, once; the others are each reaped once', async () => {
  const run = await program((rf, t) => {
    const pids = Array.from({ length: 25 }, (_, i) => {
      const pid = rf.fork();
      if (pid === 0) process.exit(i);
      return pid;
    });
    const middle = pids[12] as number;
    t.report(rf.waitpid(middle, 0).pid === middle);
    t.report(t.caught(() => rf.waitpid(middle, 0)).code);
    const seen: number[] = [];
    for (let i = 0; i < 24; i++) {
      const { pid, status } = rf.waitpid(-1);
      if (rf.WEXITSTATUS(status) !== pids.indexOf(pid)) throw new Error('a status of another child');
      seen.push(pid);
    }
    t.report(new Set(seen).size === 24 && !seen.includes(middle) && seen.every((pid) => pids.includes(pid)));
    t.report(t.caught(() => rf.waitpid(-1)).code);
  });
  expect(run.reports).toEqual([true, 'ECHILD', true, 'ECHILD']);
});

test('W05 WNOHANG on a live child reports pid 0 at once, with each of the calls', async () => {
  const run = await program(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const [gate, open] = rf.pipe();
    const pid = rf.fork();
    if (pid === 0) {
      fs.closeSync(open);
      fs.readSync(gate, Buffer.alloc(1));
      process.exit(0);
    }
    t.report([
      rf.waitpid(pid, rf.WNOHANG),
      rf.waitpid(-1, rf.WNOHANG | rf.WUNTRACED | rf.WCONTINUED),
      rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOHANG),
    ]);
    fs.writeSync(open, '.');
    let waited = rf.waitpid(pid, rf.WNOHANG);
    await t.waitUntil(() => (waited.pid === 0 ? (waited = rf.waitpid(pid, rf.WNOHANG)) : waited).pid === pid, 'reaped');
    t.report(waited.status);
  });
  expect(run.reports).toEqual([
    [
      { pid: 0, status: 0 },
      { pid: 0, status: 0 },
      { pid: 0, uid: 0, signo: 0, code: 0, status: 0 },
    ],
    0,
  ]);
});

test('W05 polling 8 mixed children until ECHILD sees each pid once with status 3', async () => {
  const run = await program(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [gate, open] = rf.pipe();
      const work = [
        () => {},
        () => fs.readSync(gate, Buffer.alloc(1)), // sleeps until all are made
        () => t.burn(200),
        () => {
          for (let i = 0; i < 50; i++) {
            const pid = rf.fork();
            if (pid === 0) rf._exit(3);
            const waited = rf.waitpid(pid);
            if (waited.pid !== pid || waited.status !== 0x0300) rf._exit(99);
          }
        },
      ];
      const pids = [...work, ...work].map((task) => {
        const pid = rf.fork();
        if (pid === 0) {
          fs.closeSync(open);
          task();
          process.exit(3);
        }
        return pid;
      });
      fs.closeSync(open);
      const seen: number[] = [];
      let idle = 0;
      const code = await new Promise((resolve) => {
        (function poll() {
          try {
            for (;;) {
              const { pid, status } = rf.waitpid(-1, rf.WNOHANG);
              if (pid === 0) break;
              if (status !== 0x0300) throw new Error(`status ${status}`);
              seen.push(pid);
            }
          } catch (error) {
            return resolve((error as NodeJS.ErrnoException).code ?? String(error));
          }
          idle++;
          setTimeout(poll, 5);
        })();
      });
      t.report([code, seen.length, new Set(seen).size, pids.every((pid) => seen.includes(pid)), idle > 0]);
    },
    { timeout: 25_000 },
  );
  expect(run.reports).toEqual([['ECHILD', 8, 8, true, true]]);
});

// waitpid06 to waitpid13 of the Linux Test Project: which children each selector sees, for each set of options.
test.each([
  ['0', 0, WNOHANG],
  ['WUNTRACED', WUNTRACED, WNOHANG | WUNTRACED],
])('W07 waitpid by process group, options %s', async (_name, blocking, polling) => {
  const run = await program(
    (rf, t) => {
      const [blocking, polling] = t.args as [number, number];
      const fs = require('node:fs') as typeof import('node:fs');
      // The program leads its session and may not change its group: its child does.
      const worker = rf.fork();
      if (worker !== 0) {
        t.report(rf.waitpid(worker).status);
        return;
      }
      const oldGroup = rf.getpgrp();
      const makeChildren = () => {
        const [gate, open] = rf.pipe();
        const made = Array.from({ length: 8 }, (_, i) => {
          if (i === 4) rf.setpgid(0, 0);
          const pid = rf.fork();
          if (pid === 0) {
            fs.closeSync(open);
            fs.readSync(gate, Buffer.alloc(1));
            process.exit(1);
          }
          return pid;
        });
        return { made, go: () => [open, gate].forEach((fd) => fs.closeSync(fd)) };
      };
      /** Reap with one selector until ECHILD; the indexes of the children that it found. */
      const reap = (selector: number, made: number[]) => {
        const found: number[] = [];
        for (;;) {
          try {
            const { pid, status } = rf.waitpid(selector, blocking);
            if (status !== 0x0100) throw new Error(`status ${status}`);
            found.push(made.indexOf(pid));
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ECHILD') throw error;
            return found.sort((a, b) => a - b);
          }
        }
      };
      const first = makeChildren();
      t.report([0, -oldGroup, -1].map((selector) => rf.waitpid(selector, polling).pid));
      first.go();
      t.report(reap(0, first.made));
      t.report(reap(-oldGroup, first.made));
      // All eight are in the worker's own group now.
      const second = makeChildren();
      t.report([
        rf.waitpid(0, polling).pid,
        t.caught(() => rf.waitpid(-oldGroup, polling)).code,
        rf.waitpid(-rf.getpgrp(), polling).pid,
      ]);
      second.go();
      t.report(reap(-1, second.made));
    },
    { args: [blocking, polling] },
  );
  expect(run.reports).toEqual([[0, 0, 0], [4, 5, 6, 7], [0, 1, 2, 3], [0, 'ECHILD', 0], [0, 1, 2, 3, 4, 5, 6, 7], 0]);
});

test('W10 each signal that ends a child is in its status', async () => {
  // SIGPIPE and SIGXFSZ are ignored by Node, SIGUSR1 starts its inspector.
  const signals =
    'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGSEGV SIGUSR2 SIGALRM SIGTERM SIGXCPU SIGVTALRM SIGPROF SIGIO SIGSYS';
  const run = await program(
    (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const { signals } = (require('node:os') as typeof import('node:os')).constants;
      for (const name of (t.args[0] as string).split(' ') as NodeJS.Signals[]) {
        const [gate] = rf.pipe();
        const pid = rf.fork();
        if (pid === 0) {
          fs.readSync(gate, Buffer.alloc(1)); // for ever: this process has the writing end itself
          process.exit(99);
        }
        process.kill(pid, name);
        const { code, status: signal } = rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT);
        const { status } = rf.waitpid(pid);
        const number = signals[name];
        if (signal !== number || rf.WTERMSIG(status) !== number || !rf.WIFSIGNALED(status) || rf.WIFEXITED(status)) {
          t.report({ name, signal, status });
        }
        if (rf.waitStatusToExitCode(status) !== -number) t.report({ name, exitCode: rf.waitStatusToExitCode(status) });
        if ((code === rf.CLD_DUMPED) !== rf.WCOREDUMP(status)) t.report({ name, code, status });
      }
      t.report('done');
    },
    // no core files: WCOREDUMP is checked by the next test
    { wrapper: ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'], args: [signals], timeout: 20_000 },
  );
  expect(run.reports).toEqual(['done']);
});

const writesCoreFiles = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim() === 'core';
(writesCoreFiles ? test : test.skip)('W10 W12 a core file written is told by WCOREDUMP and CLD_DUMPED', async () => {
  const run = await program(
    (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const os = require('node:os') as typeof import('node:os');
      const folder = fs.mkdtempSync(`${os.tmpdir()}/realfork-core-`);
      try {
        const pid = rf.fork();
        if (pid === 0) {
          process.chdir(folder);
          process.kill(process.pid, 'SIGFPE');
          t.burn(5_000);
        }
        const info = rf.waitid(rf.P_ALL, 0, rf.WEXITED | rf.WNOWAIT);
        const { status } = rf.waitpid(pid);
        t.report([info.code === rf.CLD_DUMPED, info.status, rf.WCOREDUMP(status), rf.WTERMSIG(status)]);
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    },
    { wrapper: ['sh', '-c', 'ulimit -c 8; exec "$@"', 'sh'] },
  );
  expect(run.reports).toEqual([[true, 8, true, 8]]);
});

test('W11 wait3 and wait4 report the CPU use of a child, and zeros when WNOHANG finds nothing', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const calls = [(pid: number, options?: number) => rf.wait4(pid, options), (_: number, o?: number) => rf.wait3(o)];
    for (const call of calls) {
      const [gate, open] = rf.pipe();
      const pid = rf.fork();
      if (pid === 0) {
        fs.closeSync(open);
        fs.readSync(gate, Buffer.alloc(1));
        t.burnCpu(500);
        process.exit(5);
      }
      const nothing = call(pid, rf.WNOHANG);
      fs.closeSync(open);
      const found = call(pid);
      t.report({
        nothing: [nothing.pid, nothing.status, ...Object.values(nothing.rusage)],
        found: [found.pid === pid, found.status],
        keys: Object.keys(found.rusage).sort(),
        nodesKeys: Object.keys(process.resourceUsage()).sort(),
        cpu: found.rusage.userCPUTime + found.rusage.systemCPUTime,
        maxRSS: found.rusage.maxRSS,
        faults: found.rusage.minorPageFault,
      });
    }
  });
  expect(run.reports).toHaveLength(2);
  for (const report of run.reports) {
    expect(report.nothing).toEqual(Array.from({ length: 18 }, () => 0));
    expect(report.found).toEqual([true, 0x0500]);
    expect(report.keys).toEqual(report.nodesKeys);
    expect(report.cpu).toBeGreaterThanOrEqual(500_000);
    expect(report.cpu).toBeLessThan(5_000_000);
    expect(report.maxRSS).toBeGreaterThan(5_000); // kilobytes: a Node is larger than 5 MB and smaller than 2 GB
    expect(report.maxRSS).toBeLessThan(2_000_000);
    expect(report.faults).toBeGreaterThan(0);
  }
});

test('W11 wait4 gives the resources of that child alone', async () => {
  const run = await program((rf, t) => {
    const burner = rf.fork();
    if (burner === 0) {
      t.burnCpu(300);
      process.exit(0);
    }
    const idler = rf.fork();
    if (idler === 0) rf._exit(0);
    const cpu = [idler, burner].map((pid) => rf.wait4(pid).rusage).map((r) => r.userCPUTime + r.systemCPUTime);
    t.report(cpu);
  });
  const [idle, busy] = run.reports[0];
  expect(busy).toBeGreaterThanOrEqual(300_000);
  expect(idle).toBeLessThan(200_000);
});

describe('waitid', () => {
  test('W12 by any, pid and group gives pid, uid, signo, code and status', async () => {
    const run = await program((rf, t) => {
      const { SIGCHLD, SIGKILL } = (require('node:os') as typeof import('node:os')).constants.signals;
      const expectedUid = process.getuid?.();
      for (const [type, id] of [
        [rf.P_ALL, () => 0],
        [rf.P_PID, (pid: number) => pid],
        [rf.P_PGID, () => rf.getpgrp()],
        [rf.P_ALL, () => -1], // ignored there
      ] as const) {
        const pid = rf.fork();
        if (pid === 0) process.exit(123);
        const info = rf.waitid(type, id(pid), rf.WEXITED);
        t.report([info.pid === pid, info.uid === expectedUid, info.signo === SIGCHLD, info.code, info.status]);
        t.report(t.caught(() => rf.waitpid(pid)).code); // without WNOWAIT it is reaped
      }
      const pid = rf.fork();
      if (pid === 0) for (;;) t.burn(1000);
      process.kill(pid, 'SIGKILL');
      const info = rf.waitid(rf.P_ALL, 0, rf.WEXITED);
      t.report([info.pid === pid, info.signo === SIGCHLD, info.code === rf.CLD_KILLED, info.status === SIGKILL]);
    });
    const exited = [[true, true, true, 1, 123], 'ECHILD']; // CLD_EXITED is 1 on every system
    expect(run.reports).toEqual([...exited, ...exited, ...exited, ...exited, [true, true, true, true]]);
  });

  test('W12 another pid and another group are ECHILD while a child is there', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) process.exit(0);
      t.report([
        t.caught(() => rf.waitid(rf.P_PID, 1, rf.WEXITED)).code,
        t.caught(() => rf.waitid(rf.P_PID, process.pid, rf.WEXITED)).code,
        t.caught(() => rf.waitid(rf.P_PGID, pid, rf.WEXITED)).code,
        t.caught(() => rf.waitid(rf.P_PGID, 1, rf.WEXITED)).code,
        rf.waitid(rf.P_PGID, rf.getpgrp(), rf.WEXITED).pid === pid,
      ]);
    });
    expect(run.reports).toEqual([['ECHILD', 'ECHILD', 'ECHILD', 'ECHILD', true]]);
  });

  test('W12 stop and continue are reported as asked for, and WNOWAIT leaves every state to be reported again', async () => {
    const run = await program((rf, t) => {
      const { SIGSTOP, SIGCONT, SIGKILL } = (require('node:os') as typeof import('node:os')).constants.signals;
      const pid = rf.fork();
      if (pid === 0) for (;;) t.burn(1000);
      const flags = { WEXITED: rf.WEXITED, WSTOPPED: rf.WSTOPPED, WCONTINUED: rf.WCONTINUED };
      const look = (name: keyof typeof flags) => {
        for (const options of [rf.WNOWAIT, rf.WNOWAIT, 0]) {
          const info = rf.waitid(rf.P_PID, pid, flags[name] | options);
          t.report([name, info.pid === pid, info.code, info.status]);
        }
      };
      process.kill(pid, SIGSTOP);
      look('WSTOPPED');
      t.report(rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WSTOPPED | rf.WNOHANG).pid); // consumed
      process.kill(pid, SIGCONT);
      t.report(rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WSTOPPED | rf.WNOHANG).pid); // not asked for
      look('WCONTINUED');
      process.kill(pid, SIGKILL);
      look('WEXITED');
      t.report(t.caught(() => rf.waitid(rf.P_PID, pid, rf.WEXITED)).code);
      t.report([rf.CLD_STOPPED, rf.CLD_CONTINUED, rf.CLD_KILLED, SIGSTOP, SIGCONT, SIGKILL]);
    });
    const [stopped, continued, killed, stop, cont, kill] = run.reports.at(-1);
    const thrice = (row: unknown[]) => [row, row, row];
    expect(run.reports.slice(0, -1)).toEqual([
      ...thrice(['WSTOPPED', true, stopped, stop]),
      0,
      0,
      ...thrice(['WCONTINUED', true, continued, cont]),
      ...thrice(['WEXITED', true, killed, kill]),
      'ECHILD',
    ]);
  });

  test('W12 WNOWAIT leaves a zombie whose status a later waitpid gives', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) process.exit(77);
      const info = rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT);
      t.report([info.code === rf.CLD_EXITED, info.status, t.stat(pid)?.[0], rf.waitpid(pid).status >> 8, t.stat(pid)]);
    });
    expect(run.reports).toEqual([[true, 77, 'Z', 77, null]]);
  });
});

test('W12 W14 waitpid reports stop and continue when asked, in the status', async () => {
  const run = await program((rf, t) => {
    const pid = rf.fork();
    if (pid === 0) for (;;) t.burn(1000);
    const describe = ({ status }: { status: number }) => [
      rf.WIFSTOPPED(status) ? rf.WSTOPSIG(status) : null,
      rf.WIFCONTINUED(status),
      rf.WIFEXITED(status),
      rf.WIFSIGNALED(status) ? rf.WTERMSIG(status) : null,
    ];
    process.kill(pid, 'SIGSTOP');
    t.report(describe(rf.waitpid(pid, rf.WUNTRACED)));
    t.report(rf.waitpid(pid, rf.WUNTRACED | rf.WNOHANG).pid);
    process.kill(pid, 'SIGCONT');
    t.report(describe(rf.waitpid(pid, rf.WCONTINUED)));
    process.kill(pid, 'SIGKILL');
    t.report(describe(rf.waitpid(pid, rf.WUNTRACED | rf.WCONTINUED)));
  });
  expect(run.reports).toEqual([[19, false, false, null], 0, [null, true, false, null], [null, false, false, 9]]);
});

test('W14 an ended child is in state Z and accepts kill 0; after waitpid it is gone, and its group', async () => {
  const run = await program(async (rf, t) => {
    const pid = rf.fork();
    if (pid === 0) {
      rf.setpgid(0, 0);
      process.exit(0);
    }
    await t.waitUntil(() => t.stat(pid)?.[0] === 'Z', 'a zombie');
    process.kill(pid, 0);
    process.kill(-pid, 0);
    t.report([t.stat(pid)?.[0], Number(t.stat(pid)?.[2]) === pid]);
    rf.waitpid(pid);
    t.report([
      require('node:fs').existsSync(`/proc/${pid}`),
      t.caught(() => process.kill(pid, 0)).code,
      t.caught(() => process.kill(-pid, 0)).code,
      t.caught(() => rf.getpgid(pid)).code,
    ]);
  });
  expect(run.reports).toEqual([
    ['Z', true],
    [false, 'ESRCH', 'ESRCH', 'ESRCH'],
  ]);
});

test('a signal with a listener does not end waitpid; the listener runs afterwards', async () => {
  const run = await program(async (rf, t) => {
    let heard = 0;
    process.on('SIGUSR2', () => heard++);
    const pid = rf.fork();
    if (pid === 0) {
      for (let i = 0; i < 20; i++) {
        while (t.stat(process.ppid)?.[0] !== 'S');
        process.kill(process.ppid, 'SIGUSR2');
      }
      rf._exit(5);
    }
    const waited = rf.waitpid(pid);
    t.report([waited.pid === pid, waited.status, heard]);
    await t.waitUntil(() => heard > 0, 'the listener');
  });
  expect(run.reports).toEqual([[true, 0x0500, 0]]);
  expect(run.code).toBe(0);
});

test('a child of another process is nobody to wait for: grandchildren, siblings', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const [from, to] = rf.pipe();
    const [gate, open] = rf.pipe();
    const sibling = rf.fork();
    if (sibling === 0) {
      fs.closeSync(open);
      fs.readSync(gate, Buffer.alloc(1));
      process.exit(0);
    }
    const child = rf.fork();
    if (child === 0) {
      fs.closeSync(open);
      t.report(t.caught(() => rf.waitpid(sibling)).code);
      t.report(t.caught(() => rf.waitpid(-1)).code);
      const grandchild = rf.fork();
      if (grandchild === 0) {
        fs.readSync(gate, Buffer.alloc(1));
        process.exit(0);
      }
      fs.writeSync(to, String(grandchild));
      rf.waitpid(grandchild);
      process.exit(0);
    }
    const buffer = Buffer.alloc(16);
    const grandchild = Number(buffer.toString('latin1', 0, fs.readSync(from, buffer)));
    t.report(t.caught(() => rf.waitpid(grandchild)).code);
    fs.closeSync(open);
    t.report([rf.waitpid(sibling).status, rf.waitpid(child).status]);
  });
  expect(run.reports).toEqual(['ECHILD', 'ECHILD', 'ECHILD', [0, 0]]);
});

test('a Worker can wait for the children of the main thread', async () => {
  const run = await program(
    async (rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const pid = rf.fork();
      if (pid === 0) process.exit(9);
      const worker = new Worker(
        `const { parentPort, workerData } = require('node:worker_threads');
       const rf = require(workerData.path);
       parentPort.postMessage([rf.waitpid(workerData.pid).status, rf.getpid(), rf.gettid() === rf.getpid()]);`,
        { eval: true, workerData: { path: t.args[0], pid } },
      );
      const [status, itsPid, isMain] = await new Promise<[number, number, boolean]>((resolve, reject) => {
        worker.on('message', resolve).on('error', reject);
      });
      t.report([status, itsPid === process.pid, isMain]);
    },
    { args: [require.resolve('../../dist')] },
  );
  expect(run.reports).toEqual([[0x0900, true, false]]);
});

describe("W17 process.on('SIGCHLD')", () => {
  test('W17 fires after a forked child ends, after one stops and after one continues', async () => {
    const run = await program(async (rf, t) => {
      let heard = 0;
      process.on('SIGCHLD', (name: string, number: number) => {
        if (name !== 'SIGCHLD' || number !== 17) throw new Error(`${name} ${number}`);
        heard++;
      });
      const after = async (what: string, action: () => void) => {
        const before = heard;
        action();
        await t.waitUntil(() => heard > before, what);
        t.report(what);
      };
      let pid = 0;
      await after('an end', () => {
        pid = rf.fork();
        if (pid === 0) rf._exit(4);
      });
      t.report(rf.waitpid(pid).status);
      pid = rf.fork();
      if (pid === 0) for (;;) t.burn(1000);
      for (let i = 0; i < 3; i++) {
        await after('a stop', () => process.kill(pid, 'SIGSTOP'));
        t.report(rf.WIFSTOPPED(rf.waitpid(pid, rf.WUNTRACED).status));
        await after('a continue', () => process.kill(pid, 'SIGCONT'));
      }
      await after('a kill', () => process.kill(pid, 'SIGKILL'));
      t.report(rf.WTERMSIG(rf.waitpid(pid).status));
    });
    const round = ['a stop', true, 'a continue'];
    expect(run.reports).toEqual(['an end', 0x0400, ...round, ...round, ...round, 'a kill', 9]);
    expect(run.code).toBe(0);
  });

  test('W17 does not break child_process or waitpid, whichever comes first', async () => {
    const run = await program(async (rf, t) => {
      const cp = require('node:child_process') as typeof import('node:child_process');
      let heard = 0;
      process.on('SIGCHLD', () => heard++);
      const spawned = [7, 8].map((code) => {
        const child = cp.spawn(process.execPath, ['-e', `process.exit(${code})`]);
        return new Promise((resolve) => child.on('exit', (...end) => resolve(end)));
      });
      const pids = [1, 2].map((code) => {
        const pid = rf.fork();
        if (pid === 0) rf._exit(code);
        return pid;
      });
      t.report(pids.map((pid) => rf.waitpid(pid).status));
      t.report(await Promise.all(spawned));
      const { status } = cp.spawnSync(process.execPath, ['-e', 'process.exit(3)']);
      t.report(status);
      await t.waitUntil(() => heard > 0, 'a SIGCHLD');
      process.removeAllListeners('SIGCHLD');
      const pid = rf.fork();
      if (pid === 0) rf._exit(6);
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([
      [0x0100, 0x0200],
      [
        [7, null],
        [8, null],
      ],
      3,
      0x0600,
    ]);
  });

  test('W17 a listener set before the fork also works in the child, for its own children', async () => {
    const run = await program(async (rf, t) => {
      let heard = 0;
      process.on('SIGCHLD', () => heard++);
      const child = rf.fork();
      if (child === 0) {
        const before = heard;
        const grandchild = rf.fork();
        if (grandchild === 0) rf._exit(2);
        await t.waitUntil(() => heard > before, 'a SIGCHLD in the child');
        process.exit(rf.WEXITSTATUS(rf.waitpid(grandchild).status));
      }
      await t.waitUntil(() => heard > 0, 'a SIGCHLD in the parent');
      t.report(rf.WEXITSTATUS(rf.waitpid(child).status));
    });
    expect(run.reports).toEqual([2]);
  });
});
