import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { program } from '../helpers/program';

const errno = (code: string) => -(constants.errno as Record<string, number>)[code]!;

/** A pseudo-terminal as controlling terminal, the program in its foreground. */
const inTerminal = [
  'python3',
  '-c',
  'import pty, sys, os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))',
];

test('F30 code, errno and syscall of each error', async () => {
  const pidMax = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
  const run = await program(
    (rf, t) => {
      const pidMax = t.args[0] as number;
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd] = rf.pipe();
      // The program leads its session: setpgid() would answer EPERM for that alone. Its child does not.
      const child = rf.fork();
      if (child !== 0) return void rf.waitpid(child);
      const closed = fs.openSync('/dev/null', 'r');
      fs.closeSync(closed);
      const rows: [string, string, () => unknown][] = [
        // getpgid(2), getsid(2): ESRCH pid does not match any process
        ['getpgid', 'ESRCH', () => rf.getpgid(-99)],
        ['getpgid', 'ESRCH', () => rf.getpgid(pidMax + 1)],
        ['getsid', 'ESRCH', () => rf.getsid(-99)],
        ['getsid', 'ESRCH', () => rf.getsid(pidMax + 1)],
        // setpgid(2): EINVAL pgid < 0; ESRCH neither the caller nor a child; EPERM no such group, a session leader
        ['setpgid', 'EINVAL', () => rf.setpgid(0, -1)],
        ['setpgid', 'EINVAL', () => rf.setpgid(process.pid, -1)],
        ['setpgid', 'ESRCH', () => rf.setpgid(process.ppid, rf.getpgrp())],
        ['setpgid', 'ESRCH', () => rf.setpgid(1, 1)],
        ['setpgid', 'ESRCH', () => rf.setpgid(pidMax + 1, 0)],
        ['setpgid', 'EPERM', () => rf.setpgid(0, pidMax)],
        // tcgetpgrp(3): EBADF not a descriptor, ENOTTY not the controlling terminal
        ['tcgetpgrp', 'EBADF', () => rf.tcgetpgrp(closed)],
        ['tcgetpgrp', 'ENOTTY', () => rf.tcgetpgrp(readFd)],
        ['tcsetpgrp', 'EBADF', () => rf.tcsetpgrp(closed, rf.getpgrp())],
        ['tcsetpgrp', 'ENOTTY', () => rf.tcsetpgrp(readFd, rf.getpgrp())],
      ];
      for (const [syscall, code, call] of rows) {
        t.report({ call: call.toString(), expected: { syscall, code }, error: t.caught(call) });
      }
      rf.setsid();
      // setsid(2): EPERM the caller leads a group; setpgid(2): EPERM the process leads a session
      for (const [syscall, call] of [
        ['setsid', () => rf.setsid()],
        ['setpgid', () => rf.setpgid(0, 0)],
      ] as const) {
        t.report({ call: call.toString(), expected: { syscall, code: 'EPERM' }, error: t.caught(call) });
      }
    },
    { args: [pidMax] },
  );
  expect(run.reports).toHaveLength(16);
  for (const { call, expected, error } of run.reports) {
    expect({ call, error }).toMatchObject({
      call,
      error: { name: 'PosixError', ...expected, errno: errno(expected.code) },
    });
  }
  expect(run.code).toBe(0);
});

test('errors carry the process or the descriptor they are about', async () => {
  const run = await program((rf, t) => {
    const [fd] = rf.pipe();
    t.report([t.caught(() => rf.setpgid(1, 1)).pid, t.caught(() => rf.getpgid(-99)).pid]);
    t.report([t.caught(() => rf.tcgetpgrp(fd)).fd === fd, t.caught(() => rf.tcsetpgrp(fd, 1)).fd === fd]);
  });
  expect(run.reports).toEqual([
    [1, null],
    [true, true],
  ]);
});

test("F01 F30 a child starts in its parent's group and session, with ids of its own", async () => {
  const run = await program((rf, t) => {
    const parent = { pid: rf.getpid(), group: rf.getpgrp(), session: rf.getsid() };
    const pid = rf.fork();
    if (pid === 0) {
      t.report([
        rf.getpid() === process.pid && rf.getpid() !== parent.pid,
        rf.getppid() === parent.pid && process.ppid === parent.pid,
        rf.gettid() === rf.getpid(),
        rf.getpgrp() === parent.group && rf.getpgid() === parent.group && rf.getpgid(process.pid) === parent.group,
        rf.getsid() === parent.session && rf.getsid(0) === parent.session && rf.getsid(process.pid) === parent.session,
        rf.getpgid(parent.pid) === parent.group && rf.getsid(parent.pid) === parent.session,
      ]);
      const grandchild = rf.fork();
      if (grandchild === 0) {
        t.report([rf.getppid() !== parent.pid, rf.getppid() === process.ppid]);
        process.exit(0);
      }
      rf.waitpid(grandchild);
      process.exit(0);
    }
    rf.waitpid(pid);
    const stat = t.stat(process.pid) ?? [];
    t.report([parent.pid === process.pid, Number(stat[1]) === rf.getppid(), Number(stat[2]) === rf.getpgrp()]);
    const init = t.stat(1);
    if (init !== undefined) t.report([rf.getpgid(1) === Number(init[2]), rf.getsid(1) === Number(init[3])]);
  });
  expect(run.reports).toEqual([
    [true, true, true, true, true, true],
    [true, true],
    [true, true, true],
    [true, true],
  ]);
});

test('F30 setpgid(0, 0) and setsid() in a child change only its own group and session', async () => {
  const run = await program((rf, t) => {
    const parent = [rf.getpgrp(), rf.getsid()];
    const [fromGroup, fromSession] = [
      () => rf.setpgid(0, 0),
      () => {
        if (rf.setsid() !== rf.getpid()) throw new Error('setsid() gives the new session');
      },
    ].map((change) => {
      const pid = rf.fork();
      if (pid === 0) {
        change();
        t.report([rf.getpgrp() === rf.getpid(), rf.getsid() === parent[1], rf.getsid() === rf.getpid()]);
        process.exit(0);
      }
      return rf.waitpid(pid).status;
    });
    t.report([fromGroup, fromSession, rf.getpgrp() === parent[0], rf.getsid() === parent[1]]);
  });
  expect(run.reports).toEqual([
    [true, true, false],
    [true, false, true],
    [0, 0, true, true],
  ]);
});

test('F30 a parent moves its child between groups, until the child execs', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const [gate, open] = rf.pipe();
    const make = () => {
      const pid = rf.fork();
      if (pid === 0) {
        fs.closeSync(open);
        fs.readSync(gate, Buffer.alloc(1));
        process.exit(0);
      }
      return pid;
    };
    const [leader, member] = [make(), make()];
    rf.setpgid(leader, 0);
    rf.setpgid(member, leader);
    t.report([rf.getpgid(leader) === leader, rf.getpgid(member) === leader]);
    rf.setpgid(member, rf.getpgrp());
    t.report(rf.getpgid(member) === rf.getpgrp());
    fs.closeSync(open);
    [leader, member].forEach((pid) => rf.waitpid(pid));

    // The new program tells that it runs by a byte, and ends when its input does.
    const [input, toInput] = rf.pipe();
    const [fromOutput, output] = rf.pipe();
    const program = rf.fork();
    if (program === 0) {
      rf.dup2(input, 0);
      rf.dup2(output, 1);
      rf.execv('/bin/sh', ['sh', '-c', 'echo; read line']);
    }
    fs.closeSync(output);
    fs.readSync(fromOutput, Buffer.alloc(1));
    t.report(t.caught(() => rf.setpgid(program, 0)).code);
    fs.closeSync(toInput);
    fs.closeSync(input);
    rf.waitpid(program);
  });
  expect(run.reports).toEqual([[true, true], true, 'EACCES']);
});

test('F30 groups of another session are out of reach', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const worker = rf.fork();
    if (worker !== 0) return void rf.waitpid(worker);
    const [ready, tell] = rf.pipe();
    const [gate, open] = rf.pipe();
    const other = rf.fork();
    if (other === 0) {
      fs.closeSync(open);
      rf.setsid();
      fs.writeSync(tell, '.');
      fs.readSync(gate, Buffer.alloc(1));
      process.exit(0);
    }
    fs.readSync(ready, Buffer.alloc(1));
    t.report([
      t.caught(() => rf.setpgid(other, rf.getpgrp())).code, // it leads a session
      t.caught(() => rf.setpgid(0, other)).code, // its group is in another one
      rf.getsid(other) === other,
    ]);
    fs.closeSync(open);
    rf.waitpid(other);
  });
  expect(run.reports).toEqual([['EPERM', 'EPERM', true]]);
});

test('F30 setsid is refused to a process whose pid is a group that others are in', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const worker = rf.fork();
    if (worker !== 0) return void rf.waitpid(worker);
    const [gate, open] = rf.pipe();
    const before = rf.getpgrp();
    rf.setpgid(0, 0);
    const member = rf.fork(); // stays in the group named after its parent
    if (member === 0) {
      fs.closeSync(open);
      fs.readSync(gate, Buffer.alloc(1));
      process.exit(0);
    }
    rf.setpgid(0, before);
    t.report([rf.getpgrp() === rf.getpid(), t.caught(() => rf.setsid()).code]);
    fs.closeSync(open);
    rf.waitpid(member);
    t.report(rf.setsid() === rf.getpid()); // the group is gone, nothing is in the way
  });
  expect(run.reports).toEqual([[false, 'EPERM'], true]);
});

test('gettid tells the threads of a process apart', async () => {
  const run = await program(
    async (rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const fs = require('node:fs') as typeof import('node:fs');
      const worker = new Worker(
        `const { parentPort, workerData } = require('node:worker_threads');
         const rf = require(workerData);
         parentPort.postMessage([rf.gettid(), rf.getpid(), rf.getppid(), rf.getpgrp()]);
         parentPort.on('message', () => parentPort.close());`,
        { eval: true, workerData: t.args[0] },
      );
      const [tid, pid, ppid, group] = await new Promise<number[]>((resolve, reject) => {
        worker.on('message', resolve).on('error', reject);
      });
      t.report([
        rf.gettid() === process.pid,
        tid !== process.pid && fs.existsSync(`/proc/self/task/${tid}`),
        [pid, ppid, group].join() === [rf.getpid(), rf.getppid(), rf.getpgrp()].join(),
      ]);
      worker.postMessage('end');
    },
    { args: [require.resolve('../../dist')] },
  );
  expect(run.reports).toEqual([[true, true, true]]);
});

test('tcgetpgrp and tcsetpgrp move the foreground between the jobs of a terminal', async () => {
  const run = await program(
    (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [gate, open] = rf.pipe();
      const own = rf.getpgrp();
      t.report(rf.tcgetpgrp(0) === own);
      const job = rf.fork();
      if (job === 0) {
        fs.closeSync(open);
        fs.readSync(gate, Buffer.alloc(1));
        process.exit(0);
      }
      rf.setpgid(job, job);
      rf.tcsetpgrp(0, job);
      t.report(rf.tcgetpgrp(0) === job && rf.tcgetpgrp(2) === job);

      // SIGTTOU stops a background process that takes the terminal for itself.
      const taker = rf.fork();
      if (taker === 0) {
        rf.setpgid(0, 0);
        rf.tcsetpgrp(0, rf.getpgrp());
        process.exit(0);
      }
      const { status } = rf.waitpid(taker, rf.WUNTRACED);
      t.report([rf.WIFSTOPPED(status), rf.WSTOPSIG(status)]);
      process.kill(taker, 'SIGKILL');
      rf.waitpid(taker);

      fs.closeSync(open);
      rf.waitpid(job);
    },
    { wrapper: inTerminal },
  );
  expect(run.reports).toEqual([true, true, [true, constants.signals.SIGTTOU]]);
});

test('tcsetpgrp by the foreground group itself: errors of the group argument', async () => {
  const run = await program(
    (rf, t) => {
      const rows = [-1, 1, 99_999_999].map((group) => t.caught(() => rf.tcsetpgrp(0, group)).code);
      rf.tcsetpgrp(0, rf.getpgrp());
      t.report([...rows, rf.tcgetpgrp(0) === rf.getpgrp()]);
    },
    { wrapper: inTerminal },
  );
  expect(run.reports).toEqual([['EINVAL', 'EPERM', 'ESRCH', true]]);
});
