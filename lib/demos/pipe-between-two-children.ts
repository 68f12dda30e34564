import { closeSync, readSync, readdirSync } from 'node:fs';
import { WEXITSTATUS, dup2, execvp, fork, pipe, waitpid } from '../index';
import type { Demo } from './demo';
import { descriptorTarget } from './process-table';
import { Gate, Mailbox, check, print } from './stage';

export const pipeBetweenTwoChildren: Demo = {
  name: 'pipe-between-two-children',
  title: 'what the shell does for "ls / | wc -l"',
  plan: `Make a pipe and two children. The first puts the pipe's write end in the place of its standard output and becomes ls; the second
    puts the read end in the place of its standard input and becomes wc.`,
  lesson: `dup2() decided what descriptor 1 of ls and descriptor 0 of wc refer to; the programs know nothing of it. Each process then closed
    the ends it does not use, the parent both: wc's input ends only when the last copy of the write end is closed, and one forgotten
    copy makes it wait for ever.`,

  run() {
    const [readEnd, writeEnd] = pipe();
    const [resultRead, resultWrite] = pipe(); // what wc prints, so that it can be checked
    const ready = new Mailbox<string>();
    const gate = new Gate();

    const ls = fork();
    if (ls === 0) {
      dup2(writeEnd, 1);
      ready.send('ls');
      gate.wait();
      execvp('ls', ['ls', '-A', '/']); // does not return; the descriptors pipe() made are closed by it, the copy is not
    }
    const wc = fork();
    if (wc === 0) {
      dup2(readEnd, 0);
      dup2(resultWrite, 1);
      ready.send('wc');
      gate.wait();
      execvp('wc', ['wc', '-l']);
    }
    closeSync(writeEnd);
    closeSync(readEnd);
    closeSync(resultWrite);

    ready.receiveAll(2);
    const ends = [descriptorTarget(ls, 1), descriptorTarget(wc, 0)];
    print(`child ${ls} (ls): descriptor 1 is ${ends[0] ?? 'the write end'}`);
    print(`child ${wc} (wc): descriptor 0 is ${ends[1] ?? 'the read end'}`);
    gate.open();

    const result = Buffer.alloc(64);
    const count = Number(result.toString('latin1', 0, readSync(resultRead, result)));
    closeSync(resultRead);
    const statuses = [ls, wc].map((pid) => WEXITSTATUS(waitpid(pid).status));
    print(`wc printed ${count}; ls ended with ${statuses[0]}, wc with ${statuses[1]}`);
    print(`readdirSync('/') counts ${readdirSync('/').length}`);
    check(ends[0] === ends[1], 'both descriptors are the same pipe');
    check(count === readdirSync('/').length && statuses.join() === '0,0', 'wc counted what ls listed');
  },
};
