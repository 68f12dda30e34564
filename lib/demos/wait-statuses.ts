import {
  WCONTINUED,
  WEXITSTATUS,
  WIFCONTINUED,
  WIFEXITED,
  WIFSIGNALED,
  WIFSTOPPED,
  WNOHANG,
  WSTOPSIG,
  WTERMSIG,
  WUNTRACED,
  fork,
  kill,
  pause,
  waitpid,
} from '../index';
import type { Demo } from './demo';
import { Gate, check, print, printProcesses } from './stage';

export const waitStatuses: Demo = {
  name: 'wait-statuses',
  title: 'waiting for children, and reading their statuses',
  plan: `Make children that end in different ways and wait for each. Then take one child through its whole life: running, stopped,
    continued, killed.`,
  lesson: `waitpid() blocks until a child has changed its state and packs the news into one number; the W... functions take it apart. Only
    8 bits of an exit code arrive (300 became 44). A stop and a continue are reported once each, if asked for, and the child is still
    there; an end is reported once, and after it the child's pid is free again.`,

  run() {
    print('how children end');
    const exits = [0, 7, 300].map((code) => {
      const status = statusOf(() => process.exit(code));
      print(`  process.exit(${code})`.padEnd(26) + read(status));
      return WEXITSTATUS(status);
    });
    check(exits.join() === '0,7,44', 'exit statuses 0, 7 and 44');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const status = statusOf(() => kill(process.pid, signal));
      print(`  killed by ${signal}`.padEnd(26) + read(status));
      check(WIFSIGNALED(status), `a status that tells the signal ${signal}`);
    }

    print("one child's life");
    const gate = new Gate();
    const pid = fork();
    if (pid === 0) {
      gate.wait();
      process.exit(0);
    }
    const quiet = waitpid(pid, WNOHANG);
    print(`  nothing new (WNOHANG)   waitpid() gives pid ${quiet.pid} at once`);
    check(quiet.pid === 0, 'no news of a child that is only running');

    kill(pid, 'SIGSTOP');
    const stopped = waitpid(pid, WUNTRACED).status;
    print('  SIGSTOP'.padEnd(26) + read(stopped));
    printProcesses([[pid, 'the child, stopped']]);
    kill(pid, 'SIGCONT');
    const continued = waitpid(pid, WCONTINUED).status;
    print('  SIGCONT'.padEnd(26) + read(continued));
    kill(pid, 'SIGKILL');
    const killed = waitpid(pid).status;
    print('  SIGKILL'.padEnd(26) + read(killed));
    gate.open();
    check(WIFSTOPPED(stopped) && WIFCONTINUED(continued) && WIFSIGNALED(killed), 'stopped, continued, killed');
  },
};

/** The wait status of a child that runs `end`. */
function statusOf(end: () => void): number {
  const pid = fork();
  if (pid === 0) {
    end();
    for (;;) pause(); // a signal to oneself may come a moment after kill() has returned
  }
  return waitpid(pid).status;
}

/** A raw status in words. */
function read(status: number): string {
  const raw = `status 0x${status.toString(16).padStart(4, '0')}  `;
  if (WIFEXITED(status)) return `${raw}WIFEXITED,    WEXITSTATUS ${WEXITSTATUS(status)}`;
  if (WIFSIGNALED(status)) return `${raw}WIFSIGNALED,  WTERMSIG ${WTERMSIG(status)}`;
  if (WIFSTOPPED(status)) return `${raw}WIFSTOPPED,   WSTOPSIG ${WSTOPSIG(status)}`;
  return `${raw}WIFCONTINUED ${WIFCONTINUED(status)}`;
}
