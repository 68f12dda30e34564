import { WEXITSTATUS, fork, getpid, waitpid } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

export const variablesNotShared: Demo = {
  name: 'variables-not-shared',
  title: 'parent and child have the same variables, and share none of them',
  plan: `Make a number, an array, an environment variable and a SharedArrayBuffer, fork, and change all four in the child. Then look
    at them in the parent.`,
  lesson: `fork() copies the process's memory (the kernel copies a page only when one side writes to it), so each process goes on
    with a copy of every variable. That holds for a SharedArrayBuffer too: it is shared between threads, not between processes. To
    hand a result to its parent a process needs something outside its memory: a pipe, a file, an exit status.`,

  run() {
    let counter = 1;
    const list = ['parent'];
    const shared = new Int32Array(new SharedArrayBuffer(4));
    process.env['REALFORK_DEMO'] = 'parent';
    const show = (who: string) =>
      print(
        `${who} (pid ${getpid()}): counter = ${counter}, list = ${JSON.stringify(list)}, ` +
          `env = ${process.env['REALFORK_DEMO']}, shared[0] = ${shared[0]}`,
      );
    show('parent before fork ');

    const pid = fork();
    if (pid === 0) {
      show('child after fork   ');
      counter += 41;
      list.push('child');
      process.env['REALFORK_DEMO'] = 'child';
      Atomics.store(shared, 0, 7);
      show('child has changed  ');
      process.exit(counter); // what the parent will see of the child's counter
    }

    const { status } = waitpid(pid);
    show('parent after wait  ');
    print(`the child's counter came back as its exit status: ${WEXITSTATUS(status)}`);
    check(counter === 1 && list.length === 1 && shared[0] === 0, "the parent's variables are as before");
    check(process.env['REALFORK_DEMO'] === 'parent', "the parent's environment is as before");
    check(WEXITSTATUS(status) === 42, 'the child counted to 42');
  },
};
