import { Pool } from '../multiprocessing';
import { getpid, sleepSync } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

export const poolTenTasks: Demo = {
  name: 'pool-ten-tasks',
  title: 'a pool of three workers and ten tasks',
  plan: `Make a Pool of three workers and give it ten tasks at once. Each task tells its number and its process, works 50 ms, and tells how
    long it took. Then close the pool and join it.`,
  lesson: `The workers are forks of this process, made once: three pids do all ten tasks, three at a time, and a worker takes the next task
    when it has ended the one before. close() lets what was handed in be done, join() waits until the workers have ended.`,

  async run() {
    const work = (number: number): number => {
      const start = performance.now();
      print(`task ${number} begins in process ${getpid()}`);
      sleepSync(50);
      print(`task ${number} took ${Math.round(performance.now() - start)} ms`);
      return getpid();
    };
    print(`parent (pid ${getpid()}) hands in ten tasks`);
    const pool = new Pool(3);
    const start = performance.now();
    const results = Array.from({ length: 10 }, (_, number) => pool.applyAsync(work, [number]));
    pool.close();
    await pool.join();
    const took = Math.round(performance.now() - start);
    const pids = [...new Set(await Promise.all(results.map((result) => result.get())))];
    print(`all done after ${took} ms by the workers ${pids.join(', ')}`);
    check(pids.length === 3 && !pids.includes(getpid()), 'three workers have done ten tasks');
    check(took >= 4 * 50, 'no worker has done two tasks at once');
  },
};
