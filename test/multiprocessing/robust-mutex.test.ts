/** The package's own lock: exact under contention, and never left locked by a death. */
import { cleanProgram } from '../helpers/program';

test('4 processes add to a shared number under the lock: none is lost', async () => {
  const run = await cleanProgram((rf, t) => {
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { RobustMutex } = t.internal('sync/robust-word') as typeof import('../../dist/sync/robust-word');
    const mutex = new RobustMutex();
    const words = new Int32Array(allocate(64).buffer);
    const pids: number[] = [];
    for (let i = 0; i < 4; i++) {
      const pid = rf.fork();
      if (pid === 0) {
        for (let k = 0; k < 20_000; k++) {
          mutex.lock();
          words[0] = (words[0] as number) + 1;
          mutex.unlock();
        }
        process.exit(0);
      }
      pids.push(pid);
    }
    t.report([pids.map((pid) => rf.waitpid(pid).status), words[0], mutex.isHeld()]);
  });
  expect(run.reports).toEqual([[[0, 0, 0, 0], 80_000, false]]);
});

test.each(['SIGKILL', 'exit', '_exit', 'exec'])(
  'a holder that ends by %s is noticed by a blocked waiter',
  async (way) => {
    const run = await cleanProgram(
      (rf, t) => {
        const { RobustMutex } = t.internal('sync/robust-word') as typeof import('../../dist/sync/robust-word');
        const mutex = new RobustMutex();
        const { locked } = t.pipes('locked');
        const fs = require('node:fs') as typeof import('node:fs');
        const pid = rf.fork();
        if (pid === 0) {
          mutex.lock();
          fs.writeSync(locked.write, 'x');
          rf.sleepSync(100); // the parent is most likely waiting by then; the outcome is the same if not
          if (t.args[0] === 'SIGKILL') process.kill(process.pid, 'SIGKILL');
          if (t.args[0] === 'exit') process.exit(0);
          if (t.args[0] === '_exit') rf._exit(0);
          rf.execv('/bin/true', ['true']);
        }
        fs.readSync(locked.read, Buffer.alloc(1));
        const first = mutex.lock();
        mutex.unlock();
        const second = mutex.lock();
        mutex.unlock();
        rf.waitpid(pid);
        t.report([first, second]);
      },
      { args: [way] },
    );
    expect(run.reports).toEqual([[true, false]]);
  },
);

test('all locks that a dying process holds are noticed, also after more of them than the kernel follows', async () => {
  const run = await cleanProgram((rf, t) => {
    const { RobustMutex } = t.internal('sync/robust-word') as typeof import('../../dist/sync/robust-word');
    const mutexes = Array.from({ length: 5_000 }, () => new RobustMutex());
    const pid = rf.fork();
    if (pid === 0) {
      for (const [i, mutex] of mutexes.entries()) {
        mutex.lock();
        if (i % 10 !== 0) mutex.unlock();
      }
      process.kill(process.pid, 'SIGKILL');
    }
    rf.waitpid(pid);
    t.report(mutexes.every((mutex, i) => mutex.lock() === (i % 10 === 0)));
  });
  expect(run.reports).toEqual([true]);
});

test('a lock held across fork stays the parent’s', async () => {
  const run = await cleanProgram((rf, t) => {
    const { RobustMutex } = t.internal('sync/robust-word') as typeof import('../../dist/sync/robust-word');
    const mutex = new RobustMutex();
    mutex.lock();
    const pid = rf.fork();
    if (pid === 0) {
      t.report([mutex.isMine(), mutex.tryAcquire(), mutex.release(true)]);
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report([mutex.isMine(), mutex.release(true), mutex.isHeld()]);
  });
  expect(run.reports).toEqual([
    [false, 0, false],
    [true, true, false],
  ]);
});
