import { ForkLimitError, fork, getpid, getppid, getsid, guardForks, wait } from '../index';
import type { Demo } from './demo';
import { Gate, Mailbox, check, print, printProcesses } from './stage';

const LIMITS = { maxProcesses: 24, maxDepth: 6, maxPerSecond: 1000 };

/** What a process of the bomb says when its fork() was refused. */
interface Refusal {
  readonly pid: number;
  readonly ppid: number;
  readonly generation: number;
  readonly forks: number;
  readonly code: string;
  readonly limit: string;
}

export const forkBomb: Demo = {
  name: 'fork-bomb',
  title: '"while (true) fork()" behind a guard',
  plan: `Set a guard of at most ${LIMITS.maxProcesses} processes and ${LIMITS.maxDepth} generations, then start a real fork bomb: every
    process forks in an endless loop. All of it runs in a session of its own with a time limit, and its processes die with their
    parents.`,
  lesson: `Each process met the limit as a ForkLimitError, and no process was made for it. The limit holds for the whole tree below the process
    that set it, because the counter is in shared memory and not in a variable. Without a guard the loop doubles until the kernel
    refuses (RLIMIT_NPROC, the cgroup's pids.max) or the machine stops answering; as root the first of these is not enforced.`,

  run() {
    const refusals = new Mailbox<Refusal>();
    const gate = new Gate();
    check(getsid(0) === getpid(), 'a session of its own');
    const guard = guardForks(LIMITS);

    const bomb = fork();
    if (bomb === 0) {
      explode(refusals, gate);
      process.exit(0);
    }

    // Each process reports once, when it has been refused, and then waits. When as many have reported as there are, none forks.
    const reports = [refusals.receive()];
    while (reports.length < guard.count) reports.push(refusals.receive());
    print(`${reports.length} processes below this one, and each has been refused its next fork():`);
    printProcesses(familyOf(getpid(), reports).map((r) => [r.pid, describe(r)]));
    gate.open();
    wait();
    guard.lift();
    check(reports.length <= LIMITS.maxProcesses, `no more than ${LIMITS.maxProcesses} processes`);
    check(
      reports.every(({ code }) => code === 'ERR_FORK_LIMIT'),
      'every process was refused by the guard',
    );
  },
};

/** The bomb. Each process that comes out of the loop was refused; it reports, waits, and reaps what it has made. */
function explode(refusals: Mailbox<Refusal>, gate: Gate): void {
  let generation = 1;
  let forks = 0;
  try {
    while (true) {
      if (fork() === 0) {
        generation++;
        forks = 0;
      } else {
        forks++;
      }
    }
  } catch (error) {
    if (!(error instanceof ForkLimitError)) throw error;
    refusals.send({ pid: getpid(), ppid: getppid(), generation, forks, code: error.code, limit: error.limit });
  }
  gate.wait();
  while (forks-- > 0) wait();
}

/** The members of a family, each followed by its own. */
function familyOf(parent: number, members: readonly Refusal[]): Refusal[] {
  return members
    .filter(({ ppid }) => ppid === parent)
    .sort((a, b) => a.pid - b.pid)
    .flatMap((member) => [member, ...familyOf(member.pid, members)]);
}

function describe({ generation, forks, code, limit }: Refusal): string {
  return `${'. '.repeat(generation - 1)}generation ${generation}, made ${forks}, then ${code} (${limit})`;
}
