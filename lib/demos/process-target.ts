import { currentProcess, parentProcess, Process } from '../multiprocessing';
import { getpid, getppid } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

export const processTarget: Demo = {
  name: 'process-target',
  title: 'a Process runs one function, closures included, and nothing else of its parent',
  plan: `Load some data, start two processes on functions that use it, and join them. A timer of the parent is under way all the while.`,
  lesson: `The target saw the variables around it as they were at start(): nothing was serialised, no file was loaded again. Unlike after a
    bare fork(), nothing of the parent's ran in the child: not the statement after start(), not its timer. join() waits for the end, and
    the exit code says how it went: 0, or 1 for a target that threw.`,

  async run() {
    const words = new Map([
      ['eins', 1],
      ['zwei', 2],
    ]);
    const parent = getpid();
    const timer = setTimeout(() => {
      print(`the timer of process ${parent} fired in process ${getpid()}`);
      if (getpid() !== parent) process.exit(99);
    }, 1);
    const describe = (word: string) => {
      const { name } = currentProcess();
      print(`${name} (pid ${getpid()}, parent ${parentProcess()?.pid}): ${word} is ${words.get(word)}`);
      if (getppid() !== parent) process.exit(98);
    };

    const good = new Process({ target: describe, args: ['zwei'] });
    good.start();
    print(`process ${parent} started ${good.name} with pid ${good.pid}`);
    await good.join();
    print(`${good.name} ended with exit code ${good.exitCode}`);

    const quiet = new Process({ target: () => process.exit(words.size), name: 'Counter' });
    quiet.start();
    await quiet.join();
    print(`${quiet.name} ended with exit code ${quiet.exitCode}`);
    clearTimeout(timer);
    check(good.exitCode === 0 && quiet.exitCode === 2, 'exit codes 0 and 2');
  },
};
