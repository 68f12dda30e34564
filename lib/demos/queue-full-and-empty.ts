import { Empty, Full, Process, Queue } from '../multiprocessing';
import type { Demo } from './demo';
import { check, print } from './stage';

export const queueFullAndEmpty: Demo = {
  name: 'queue-full-and-empty',
  title: 'a queue that is full, a queue that is empty, and waiting only so long',
  plan: `Make a queue for three items. Put in four without waiting, then a fourth with 200 ms of patience, then one while another process takes one
    out. Empty the queue and try to get more.`,
  lesson: `A bounded queue makes a fast writer wait for a slow reader. How long is up to the caller: not at all (putNowait, getNowait), for a time
    ({ timeout }), or as long as it takes. Full and Empty say that the time is over; nothing was put or taken then.`,

  async run() {
    const queue = new Queue<string>(3);
    const attempt = (what: string, call: () => unknown): string => {
      const started = performance.now();
      let outcome = 'done';
      try {
        call();
      } catch (error) {
        if (!(error instanceof Full || error instanceof Empty)) throw error;
        outcome = error.name;
      }
      print(
        `${what.padEnd(38)} ${outcome.padEnd(6)} after ${Math.floor((performance.now() - started) / 100) * 100} ms or a little more`,
      );
      return outcome;
    };

    const outcomes = ['1', '2', '3', '4'].map((item) => attempt(`putNowait('${item}')`, () => queue.putNowait(item)));
    print(`full() is ${queue.full()}, qsize() is ${queue.qsize()}`);
    outcomes.push(attempt("putSync('4', { timeout: 200 })", () => queue.putSync('4', { timeout: 200 })));

    const reader = new Process({ target: () => print(`the reader took '${queue.getSync()}'`) });
    reader.start();
    outcomes.push(attempt("putSync('4') while somebody reads", () => queue.putSync('4')));
    await reader.join();

    for (let i = 0; i < 3; i++) attempt('getNowait()', () => queue.getNowait());
    print(`empty() is ${queue.empty()}, qsize() is ${queue.qsize()}`);
    outcomes.push(attempt('getNowait()', () => queue.getNowait()));
    outcomes.push(attempt('getSync({ timeout: 200 })', () => queue.getSync({ timeout: 200 })));
    check(
      outcomes.join() === 'done,done,done,Full,Full,done,Empty,Empty',
      'Full when it is full, Empty when it is empty',
    );
  },
};
