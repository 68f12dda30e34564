import { fork, getpid, getppid, waitpid } from '../index';
import type { Demo } from './demo';
import { Gate, Mailbox, check, print, printProcesses } from './stage';

export const whoAmI: Demo = {
  name: 'who-am-i',
  title: 'fork() is called once and returns twice',
  plan: `Call fork(). The child says what the call returned to it and who it is, then waits. The parent says the same, looks
    both up in the kernel's process table, and lets the child end.`,
  lesson: `The same call returned in two processes: 0 in the child, the child's pid in the parent. That number is how a
    program tells which of the two it is. The child can ask for its parent at any time with getppid(); the parent learns
    its child's pid only here.`,

  run() {
    const mailbox = new Mailbox<{ pid: number; ppid: number }>();
    const gate = new Gate();

    const result = fork();
    if (result === 0) {
      print(`child:  fork() returned ${result}, getpid() is ${getpid()}, getppid() is ${getppid()}`);
      mailbox.send({ pid: getpid(), ppid: getppid() });
      gate.wait();
      process.exit(0);
    }

    const child = mailbox.receive();
    print(`parent: fork() returned ${result}, getpid() is ${getpid()}, getppid() is ${getppid()}`);
    printProcesses([
      [getpid(), 'the parent'],
      [result, 'the child'],
    ]);
    gate.open();
    const waited = waitpid(result);
    check(child.pid === result && waited.pid === result, "fork()'s result in the parent is the child's own getpid()");
    check(child.ppid === getpid(), "the child's getppid() is the parent's getpid()");
  },
};
