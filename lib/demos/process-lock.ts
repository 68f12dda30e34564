import { Lock, Process, SharedMemory } from '../multiprocessing';
import type { Demo } from './demo';
import { Gate, check, print } from './stage';

const PROCESSES = 4;
const ROUNDS = 20_000;

export const processLock: Demo = {
  name: 'process-lock',
  title: 'four processes add to one number, without and with a Lock',
  plan: `Put a number into shared memory. Let ${PROCESSES} processes add 1 to it ${ROUNDS} times each: first as they please, then each time under a Lock.`,
  lesson: `Adding is reading, adding and writing. When another process writes in between, its work is overwritten: some of the additions are lost, more
    or fewer in each run, and with bad luck none in a test. Under the lock one process at a time is between acquire and release, and the
    sum is exact.`,

  async run() {
    using memory = new SharedMemory({ create: true, size: 4 });
    const number = new Int32Array(memory.buf.buffer, memory.buf.byteOffset, 1);
    const lock = new Lock();
    const addAll = async (add: () => void) => {
      number[0] = 0;
      const gate = new Gate(); // all start at the same moment
      const workers = Array.from({ length: PROCESSES }, () => {
        return new Process({
          target: () => {
            gate.wait();
            for (let round = 0; round < ROUNDS; round++) add();
          },
        });
      });
      for (const worker of workers) worker.start();
      gate.open();
      for (const worker of workers) await worker.join();
      return number[0];
    };

    const addOne = () => {
      const before = number[0] as number;
      const sum = Number(String(before)) + 1; // slow on purpose
      number[0] = sum;
    };
    const loose = await addAll(addOne);
    print(`without a lock: ${loose} of ${PROCESSES * ROUNDS}`);
    const exact = await addAll(() => {
      lock.acquireSync();
      addOne();
      lock.release();
    });
    print(`with a lock:    ${exact} of ${PROCESSES * ROUNDS}`);
    memory.unlink();
    check(exact === PROCESSES * ROUNDS, 'no addition is lost under the lock');
  },
};
