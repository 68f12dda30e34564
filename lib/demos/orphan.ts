import { alarm, fork, getpid, getppid, setChildSubreaper, setParentDeathSignal, sleepSync, waitpid } from '../index';
import type { Demo } from './demo';
import { processRow } from './process-table';
import { Gate, Mailbox, check, print, printProcesses } from './stage';

export const orphan: Demo = {
  name: 'orphan',
  title: 'an orphan is adopted',
  plan: `Make a child that makes a child, and let the one in the middle end. The grandchild reports its parent before and after. Then
    do it again with this process declared a subreaper.`,
  lesson: `A process never stays without a parent. When its parent ends, the kernel gives it to the nearest living ancestor that has
    declared itself a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), and if there is none to pid 1. The adopter's duty is to wait for
    it when it ends; a pid 1 that does not (a plain program started as a container's first process) collects zombies. "realfork init"
    is one that does, and the class Reaper does it inside your program.`,

  run() {
    print('1. adopted by the system');
    const adopted = makeOrphan();
    check(adopted.parentAfter === 1 || isAncestor(adopted.parentAfter), 'pid 1 or a subreaper above this process');
    waitUntilReaped(adopted.pid, adopted.parentAfter);

    if (process.platform !== 'linux') return;
    print('');
    print('2. adopted by this process, as a subreaper');
    setChildSubreaper(true);
    const own = makeOrphan();
    setChildSubreaper(false);
    check(own.parentAfter === getpid(), 'this process is the new parent');
    const { pid, status } = waitpid(own.pid);
    print(`waitpid(${own.pid}) by the adopter gave pid ${pid} and status ${status}`);
    check(processRow(own.pid) === undefined, 'the orphan has gone');
  },
};

interface Orphan {
  readonly pid: number;
  readonly parentAfter: number;
}

function makeOrphan(): Orphan {
  const reports = new Mailbox<{ pid: number; ppid: number }>();
  const seen = new Gate();
  const adopted = new Gate();

  const middle = fork();
  if (middle === 0) {
    if (fork() === 0) {
      seen.leave();
      alarm(4); // whatever happens, SIGALRM ends the orphan
      if (process.platform === 'linux') setParentDeathSignal(null); // the demonstrations' safety net: see run.ts
      reports.send({ pid: getpid(), ppid: getppid() });
      adopted.wait();
      reports.send({ pid: getpid(), ppid: getppid() });
      process.exit(0);
    }
    adopted.leave();
    seen.wait();
    process.exit(0); // without waiting for its child
  }

  const before = reports.receive();
  printProcesses([
    [getpid(), 'this process'],
    [middle, 'the child, about to end'],
    [before.pid, 'the grandchild'],
  ]);
  seen.open();
  waitpid(middle); // from here on the kernel has handed its children over
  adopted.open();
  const after = reports.receive();
  print(`the grandchild's getppid() was ${before.ppid}, and is now ${after.ppid} (${commandOf(after.ppid)})`);
  check(before.ppid === middle && after.ppid !== middle, 'another parent than before');
  reports.waitForEnd();
  return { pid: before.pid, parentAfter: after.ppid };
}

function commandOf(pid: number): string {
  return processRow(pid)?.name ?? 'not to be seen from here';
}

function isAncestor(pid: number): boolean {
  for (let row = processRow(getpid()); row !== undefined && row.ppid > 0; row = processRow(row.ppid)) {
    if (row.ppid === pid) return true;
  }
  return false;
}

/** The orphan is not our child, so its end cannot be waited for: look until it has gone. */
function waitUntilReaped(pid: number, adopter: number): void {
  for (let waited = 0; waited < 2000; waited += 5) {
    if (processRow(pid) === undefined) {
      print(`the orphan has ended by itself, and its new parent has reaped it: no process ${pid} any more`);
      return;
    }
    sleepSync(5);
  }
  check(processRow(pid)?.state === 'Z', 'the orphan has ended by itself');
  print(
    `the orphan has ended by itself; ${adopter} (${commandOf(adopter)}) has not reaped it in two seconds, so it is a zombie`,
  );
  print('(an init that reaps does it at once: see "realfork init")');
}
