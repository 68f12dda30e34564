import { closeSync, readSync, writeSync } from 'node:fs';
import { fork, pipe, waitpid } from '../index';
import type { Demo } from './demo';
import { Gate, check, print } from './stage';

type Rule = 'none' | 'parent first' | 'child first';

export const whoRunsFirst: Demo = {
  name: 'who-runs-first',
  title: 'after fork() nobody promises who runs first',
  plan: `Fork several times. Each time both processes write their letter, P or C, into one pipe as soon as they can; the first letter
    won. Then do it again with a rule that makes one of them wait.`,
  lesson: `Without a rule the scheduler decides, and on another machine or another day it decides differently: a program that needs an
    order has to make it. Waiting for the other side's end of a pipe puts the parent first, waitpid() puts the child first; both hold
    every time. Sleeping "long enough" would be neither short nor sure.`,

  run() {
    const ROUNDS = 10;
    for (const rule of ['none', 'parent first', 'child first'] as const) {
      const letters = Array.from({ length: ROUNDS }, () => race(rule)).join(' ');
      print(`rule: ${rule.padEnd(13)} first letters: ${letters}`);
      if (rule === 'parent first') check(!letters.includes('C'), 'the parent won every round');
      if (rule === 'child first') check(!letters.includes('P'), 'the child won every round');
    }
  },
};

/** One fork; the letter of the process that wrote first. */
function race(rule: Rule): string {
  const [readEnd, writeEnd] = pipe();
  const gate = new Gate();

  const pid = fork();
  if (pid === 0) {
    if (rule === 'parent first') gate.wait(); // until the parent has written
    writeSync(writeEnd, 'C');
    process.exit(0);
  }

  if (rule === 'child first') waitpid(pid); // until the child has written, and ended
  writeSync(writeEnd, 'P');
  gate.open();
  if (rule !== 'child first') waitpid(pid);

  const letters = Buffer.alloc(2);
  readSync(readEnd, letters);
  closeSync(readEnd);
  closeSync(writeEnd);
  return letters.toString('latin1', 0, 1);
}
