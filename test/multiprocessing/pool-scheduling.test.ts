/** Which worker gets which task: a fast one never waits for a slow one while another worker could run it. */
import { cleanProgram } from '../helpers/program';

test('a fast task does not wait behind a slow one when its function is newer than the worker that idles', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(2);
    await t.waitUntil(() => pool.stats().workers.length === 2, 'two workers');
    // Newer than both workers: one of them is renewed, and the other, which idles, is older than the function.
    const work = (kind: string) => {
      if (kind === 'slow') readSync(go.read, Buffer.alloc(1));
      return kind;
    };
    for (let i = 0; i < 500; i++) await pool.run(work, 'fast'); // fast enough to be sent tasks ahead
    const slow = pool.run(work, 'slow');
    const fast = Array.from({ length: 100 }, () => pool.run(work, 'fast'));
    t.report((await Promise.all(fast)).length);
    writeSync(go.write, 'x');
    t.report(await slow);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([100, 'slow']);
});

test('what was sent ahead behind a task that turns out slow is done by others, also while the queue is not empty', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { go } = t.pipes('go');
    const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
    const pool = new t.mp.Pool(2);
    const work = (kind: number) => {
      if (kind < 0) readSync(go.read, Buffer.alloc(1));
      return kind;
    };
    await Promise.all(Array.from({ length: 5000 }, (_, i) => pool.run(work, i)));
    let answered = 0;
    let fed = 0;
    let isFeeding = true;
    const first = Array.from({ length: 3000 }, (_, i) =>
      pool.run(work, i === 1000 ? -1 : i).then(() => {
        answered++;
      }),
    );
    // More and more work for the other worker, which never idles.
    const feed = async () => {
      while (isFeeding) fed += await pool.run(work, 1);
    };
    const feeders = Array.from({ length: 50 }, feed);
    await t.waitUntil(() => answered === 2999, 'all but the slow one', 20_000);
    isFeeding = false;
    await Promise.all(feeders);
    t.report([answered, fed > 0]);
    writeSync(go.write, 'x');
    await Promise.all(first);
    t.report(answered);
    pool.close();
    await pool.join();
  });
  expect(run.reports).toEqual([[2999, true], 3000]);
});

test('tasks are taken back again before the worker has seen that they were the first time', async () => {
  const run = await cleanProgram((_rf, t) => {
    const { ClaimTable, ahead } = t.internal('pool/claims');
    const claims = new ClaimTable().take();
    const begun = [claims.begin(), claims.begin()];
    const first = claims.takeBack(1);
    const dropped = claims.begin();
    const second = claims.takeBack(2);
    claims.resume(1); // overtaken
    const still = claims.begin();
    claims.resume(2);
    const again = claims.begin();
    t.report([begun, first, dropped, second, still, again, claims.begun(), ahead(0, 2 ** 30 - 1)]);
  });
  expect(run.reports).toEqual([[[true, true], 2, false, 0, false, true, 1, 1]]);
});
