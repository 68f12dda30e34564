import { Process, Queue } from '../multiprocessing';
import { getpid } from '../index';
import type { Demo } from './demo';
import { check, print } from './stage';

export const queueWriterAndReader: Demo = {
  name: 'queue-writer-and-reader',
  title: 'one process writes into a queue, another reads from it',
  plan: `Make a queue and two processes: a writer that puts in three values of different kinds, and a reader that takes them out until it finds null.`,
  lesson: `A Queue is shared memory with room for messages: both processes have inherited it, and neither has to know the other. Values arrive in
    the order in which they were put, whole, as structured clone copies them. A reader of an empty queue sleeps in the kernel until
    somebody puts something.`,

  async run() {
    const queue = new Queue<unknown>();
    const results = new Queue<number>();
    const reader = new Process({
      name: 'Reader',
      target: () => {
        let count = 0;
        for (;;) {
          const value = queue.getSync();
          if (value === null) break;
          count++;
          print(`Reader (pid ${getpid()}) got ${JSON.stringify(value instanceof Map ? [...value] : value)}`);
        }
        results.putSync(count);
      },
    });
    const writer = new Process({
      name: 'Writer',
      target: () => {
        for (const value of ['A', { b: [1, 2, 3] }, new Map([['c', new Date(0)]]), null]) {
          if (value !== null)
            print(`Writer (pid ${getpid()}) puts ${value instanceof Map ? 'a Map' : JSON.stringify(value)}`);
          queue.putSync(value);
        }
      },
    });
    reader.start();
    writer.start();
    await writer.join();
    const count = await results.get();
    await reader.join();
    print(`${count} values went from pid ${writer.pid} to pid ${reader.pid}`);
    check(count === 3 && reader.exitCode === 0 && writer.exitCode === 0, 'three values arrived');
  },
};
