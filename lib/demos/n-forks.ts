import { WEXITSTATUS, fork, getpid, getppid, wait } from '../index';
import type { Demo } from './demo';
import { Mailbox, check, print } from './stage';

const N = 4;

export const nForks: Demo = {
  name: 'n-forks',
  title: `n forks in a row make 2^n processes (n = ${N})`,
  plan: `Call fork() ${N} times in a loop that every process goes on with. Each process prints one line, then waits for its own
    children, so that no zombie is left.`,
  lesson: `Each turn of the loop doubled the number of processes: 2^${N} = ${2 ** N} lines. A process that was made in turn k
    still ran the turns after k, so it has ${N} - k children of its own and has to wait for exactly so many. A loop without an end
    would go on doubling: that is the fork bomb.`,

  run() {
    const mailbox = new Mailbox<number>();
    const root = getpid();
    let children = 0;
    let born = 0; // the turn in which this process was made

    for (let turn = 1; turn <= N; turn++) {
      if (fork() === 0) {
        born = turn;
        children = 0;
      } else {
        children++;
      }
    }

    print(`process ${getpid()}, child of ${getppid()}, made in turn ${born}, has ${children} children`);
    mailbox.send(getpid());
    for (let waited = 0; waited < children; waited++) {
      check(WEXITSTATUS(wait().status) === 0, 'every child ended with status 0');
    }
    if (getpid() !== root) process.exit(0);

    const reported = new Set(mailbox.receiveAll(2 ** N));
    print(`${reported.size} processes reported, and all ${2 ** N - 1} that were made have been waited for`);
    check(reported.size === 2 ** N, `${2 ** N} different processes`);
  },
};
