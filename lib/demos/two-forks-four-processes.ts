import { fork, getpid, getppid, waitpid } from '../index';
import type { Demo } from './demo';
import { Gate, Mailbox, check, print, printProcesses } from './stage';

export const twoForksFourProcesses: Demo = {
  name: 'two-forks-four-processes',
  title: 'two forks in a row make four processes',
  plan: `Call fork() twice in a row, without looking at the results in between. Every process then reports who it is and waits
    until all have been counted.`,
  lesson: `The first fork() made two processes, and both came to the second one: four in all. The one that got two zeros is a
    grandchild; each other one can be told by which of its calls returned 0. In general n forks in a row make 2^n processes.`,

  run() {
    const mailbox = new Mailbox<{ pid: number; ppid: number; first: number; second: number }>();
    const gate = new Gate();
    const root = getpid();

    const first = fork();
    const second = fork();

    if (getpid() !== root) {
      mailbox.send({ pid: getpid(), ppid: getppid(), first, second });
      gate.wait();
      if (second > 0) waitpid(second); // the first child has made one of its own
      process.exit(0);
    }

    const others = mailbox.receiveAll(3);
    const all = [{ pid: root, ppid: getppid(), first, second }, ...others];
    for (const { pid, first, second } of all) {
      print(`pid ${pid}: the first fork() returned ${first}, the second ${second}`);
    }
    printProcesses(all.map(({ pid, first, second }) => [pid, WHO[`${first > 0}/${second > 0}`] ?? '?']));
    gate.open();
    waitpid(first);
    waitpid(second);
    check(new Set(all.map(({ pid }) => pid)).size === 4, 'four processes');
    check(all.filter(({ ppid }) => ppid === root).length === 2, 'two are children of the first process');
    check(all.filter(({ ppid }) => ppid === first).length === 1, 'one is its grandchild, by the first child');
  },
};

/** Who a process is, by whether its two calls returned a pid. */
const WHO: Readonly<Record<string, string>> = {
  'true/true': 'the first process',
  'false/true': 'first child: made by the first fork, called the second',
  'true/false': 'second child: made by the second fork',
  'false/false': 'grandchild: made by the first child',
};
