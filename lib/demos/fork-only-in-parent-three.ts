import { fork, getpid, getppid, waitpid } from '../index';
import type { Demo } from './demo';
import { Gate, Mailbox, check, printProcesses } from './stage';

export const forkOnlyInParentThree: Demo = {
  name: 'fork-only-in-parent-three',
  title: 'a second fork only in the parent makes three processes',
  plan: `Call fork(); where it returned a pid, and only there, call fork() again. Count the processes.`,
  lesson: `The first child did not come to the second fork(), so there are three processes, and the two new ones are siblings with the
    same parent. "if (fork() > 0) fork()" is the pattern of every server that starts a fixed number of workers: only the parent goes on
    making them.`,

  run() {
    const mailbox = new Mailbox<{ pid: number; ppid: number; born: string }>();
    const gate = new Gate();
    const root = getpid();

    const first = fork();
    const second = first > 0 ? fork() : 0;

    if (getpid() !== root) {
      mailbox.send({ pid: getpid(), ppid: getppid(), born: first === 0 ? 'first' : 'second' });
      gate.wait();
      process.exit(0);
    }

    const children = mailbox.receiveAll(2);
    printProcesses([
      [root, 'the parent, which called fork() twice'],
      ...children.map(({ pid, born }) => [pid, `child of the ${born} fork`] as const),
    ]);
    gate.open();
    waitpid(first);
    waitpid(second);
    check(
      children.every(({ ppid }) => ppid === root),
      'both new processes have the same parent',
    );
    check(
      new Set([root, first, second, ...children.map(({ pid }) => pid)]).size === 3,
      'three processes, each counted once',
    );
  },
};
