/** Where the kernel, or a container's filter, gives less than a current Linux does. */
import { constants } from 'node:os';
import { withoutSystemCall } from '../helpers/conditions';
import { cleanProgram } from '../helpers/program';

const { ENOSYS, EPERM } = constants.errno;

describe.each([
  ['ENOSYS', ENOSYS],
  ['EPERM', EPERM],
])('what has a way around it fails with %s', (_name, errno) => {
  test.each(['pidfd_open', 'futex_waitv', 'close_range', 'memfd_create'] as const)('%s', async (call) => {
    const run = await cleanProgram(
      async (_rf, t) => {
        const { posix } = require('node:path') as typeof import('node:path');
        const { Lock, Pipe, Pool, Process, Queue, getContext, wait } = t.mp;
        const [ours, theirs] = Pipe();
        const queue = new Queue<number>();
        const lock = new Lock();
        const child = new Process({
          target: () => {
            lock.acquireSync();
            theirs.sendSync('sent');
            queue.putSync(1);
            lock.release();
          },
        });
        child.start();
        t.report([await ours.recv(), queue.getSync()]);
        t.report((await wait([child.sentinel])).length);
        child.joinSync();
        t.report(child.exitCode);
        const pool = new Pool(2);
        t.report(await pool.map((x: number) => x * x, [1, 2, 3]));
        await pool.terminate();
        const spawned = new (getContext('spawn').Pool)(1);
        t.report(await spawned.apply(posix.join, ['a', 'b']));
        await spawned.terminate();
      },
      { wrapper: withoutSystemCall(call, errno) },
    );
    expect(run.reports).toEqual([['sent', 1], 1, 0, [1, 4, 9], 'a/b']);
  });
});

test('a limit of 40 descriptors is enough for a process of another program', async () => {
  const run = await cleanProgram(
    async (_rf, t) => {
      const { posix } = require('node:path') as typeof import('node:path');
      const pool = new (t.mp.getContext('spawn').Pool)(1);
      t.report(await pool.apply(posix.join, ['a', 'b']));
      await pool.terminate();
    },
    { wrapper: ['sh', '-c', 'ulimit -n 40 && exec "$@"', 'sh'] },
  );
  expect(run.reports).toEqual(['a/b']);
});
