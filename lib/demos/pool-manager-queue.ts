import { Manager, Pool } from '../multiprocessing';
import { getpid, getppid } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

const LETTERS = ['m', 'a', 'n', 'a', 'g', 'e', 'r'];

export const poolManagerQueue: Demo = {
  name: 'pool-manager-queue',
  title: 'Manager().Queue() with a pool',
  plan: `Start a manager and have it make a queue. A pool's first task, the writer, puts the letters of a word into it; its second task, the
    reader, gets as many as qsize() says.`,
  lesson: `The queue lives in the manager's process. What the tasks are given is a proxy, a small message that can be sent at any time to a
    process that is there already. The server, the workers and this process are four processes with one queue between them.`,

  async run() {
    const manager = await Manager();
    const queue = await manager.Queue<string>();
    type Letters = typeof queue;
    const writer = (own: Letters): void => {
      print(`writer (pid ${getpid()}, parent ${getppid()}) begins`);
      for (const letter of LETTERS) own.putSync(letter);
    };
    const reader = (own: Letters): string => {
      print(`reader (pid ${getpid()}, parent ${getppid()}) begins`);
      let word = '';
      for (let left = own.qsizeSync(); left > 0; left--) {
        const letter = own.getSync();
        print(`reader got ${letter}`);
        word += letter;
      }
      return word;
    };
    print(`parent (pid ${getpid()}) begins; the queue is in pid ${manager.process?.pid ?? '?'}`);
    const pool = new Pool(2);
    await pool.apply(writer, [queue]);
    const word = await pool.apply(reader, [queue]);
    pool.close();
    await pool.join();
    print(`parent ends; the reader had ${word}`);
    const left = await queue.qsize();
    await manager.shutdown();
    check(word === LETTERS.join('') && left === 0, 'every letter came once, in order');
  },
};
