import { P_PID, WEXITED, WEXITSTATUS, WNOWAIT, fork, getpid, kill, waitid, waitpid, zombies } from '../index';
import type { Demo } from './demo';
import { processRow } from './process-table';
import { check, print, printProcesses } from './stage';

export const zombie: Demo = {
  name: 'zombie',
  title: 'a zombie: made, shown, and reaped',
  plan: `Make a child that ends at once, and do not wait for it. Look at it in the process table, signal it, then wait for it and look
    again.`,
  lesson: `When a process ends, the kernel frees its memory and files but keeps its row in the process table, in state Z, until the parent has
    taken the exit status: that is a zombie. It uses a pid and nothing else, and no signal can end it, because it has ended. waitpid()
    removed it. A parent that never waits collects zombies as long as it lives; when it ends, its zombies go to init, which waits for
    them.`,

  run() {
    const pid = fork();
    if (pid === 0) process.exit(5);

    // Wait until the child has ended, but leave its status (WNOWAIT): from here on it is a zombie, for certain.
    waitid(P_PID, pid, WEXITED | WNOWAIT);
    printProcesses([
      [getpid(), 'the parent, which has not waited yet'],
      [pid, 'the child, which has ended: <defunct>'],
    ]);
    const state = processRow(pid)?.state;
    const listed = zombies().length;
    print(`zombies() lists ${listed} of this process`);
    kill(pid, 'SIGKILL');
    print(`SIGKILL was accepted, and the state is still ${processRow(pid)?.state}`);

    const { status } = waitpid(pid);
    print(`waitpid(${pid}) gave its exit status, ${WEXITSTATUS(status)}`);
    printProcesses([[pid, 'the child, after waitpid()']]);
    const refusal = refusalOf(() => kill(pid, 0));
    print(`kill(${pid}, 0) now throws ${refusal}; zombies() lists ${zombies().length}`);

    check(state === 'Z' && listed === 1, 'a child in state Z');
    check(processRow(pid) === undefined && refusal === 'ESRCH' && zombies().length === 0, 'no trace of it afterwards');
  },
};

function refusalOf(call: () => void): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
