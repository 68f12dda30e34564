import { Pool } from '../multiprocessing';
import { sleepSync } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

const TASKS = 6;
const MS = 100;

export const poolApply: Demo = {
  name: 'pool-apply',
  title: 'apply against applyAsync',
  plan: `Give ${TASKS} tasks of ${MS} ms each to a pool of three workers: first with applySync, which waits for each result, then with
    applyAsync, which gives an AsyncResult at once.`,
  lesson: `A call that waits for its result keeps one worker busy and the others idle: the tasks run one after the other, as without a pool. With
    applyAsync all are handed in first, and three run at a time. AsyncResult.get() then gives each result, in whatever order
    they came.`,

  async run() {
    const pool = new Pool(3);
    const square = (x: number): number => {
      sleepSync(MS);
      return x * x;
    };
    await pool.map(square, [0, 0, 0], { chunkSize: 1 }); // the workers are there
    const numbers = Array.from({ length: TASKS }, (_, i) => i);

    let start = performance.now();
    const waited = numbers.map((x) => pool.applySync(square, [x]));
    const oneByOne = performance.now() - start;
    print(`applySync:  ${waited.join(', ')} after ${Math.round(oneByOne)} ms, one task at a time`);

    start = performance.now();
    const pending = numbers.map((x) => pool.applyAsync(square, [x]));
    print(
      `applyAsync: handed in after ${Math.round(performance.now() - start)} ms; ready: ${pending.map((r) => r.ready()).join(', ')}`,
    );
    const results = await Promise.all(pending.map((result) => result.get()));
    const together = performance.now() - start;
    print(`applyAsync: ${results.join(', ')} after ${Math.round(together)} ms, three tasks at a time`);
    pool.close();
    await pool.join();
    check(waited.join() === results.join(), 'the results are the same');
    check(oneByOne >= TASKS * MS && together < oneByOne, 'together they take less time');
  },
};
