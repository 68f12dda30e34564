/** A pool whose workers are killed all the time loses nothing, runs nothing twice, and leaves nothing. */
import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const twoMinutes = 120_000;

test(
  '10,000 tasks while a random worker is killed every 50 ms: each answers exactly once, and nothing is left',
  async () => {
    const run = await program(
      async (rf, t) => {
        const [count] = t.args as [number];
        const { readdirSync, readFileSync } = require('node:fs') as typeof import('node:fs');
        const fds = () => readdirSync('/proc/self/fd').length;
        const mappings = () =>
          readFileSync('/proc/self/maps', 'latin1')
            .split('\n')
            .filter((line) => /memfd|\/dev\/shm/.test(line)).length;
        // Once round, so that what a process makes once and keeps is there before.
        const first = new t.mp.Pool(2);
        await first.run(() => 1);
        first.close();
        await first.join();
        const memory = new t.mp.SharedMemory({ create: true, size: count });
        const begun = memory.buf;
        const before = [fds(), mappings()];

        const pool = new t.mp.Pool(4);
        const work = async (i: number, kind: number) => {
          begun[i] = (begun[i] as number) + 1;
          if (kind === 1) rf.sleepSync(2);
          if (kind === 2) await new Promise((resolve) => setTimeout(resolve, 2));
          if (kind === 3) return Buffer.alloc(100_000, i % 256);
          return i;
        };
        let kills = 0;
        const killer = setInterval(() => {
          const { workers } = pool.stats();
          const pid = workers[Math.floor(Math.random() * workers.length)];
          if (pid === undefined) return;
          rf.kill(pid, 'SIGKILL');
          kills++;
        }, 50);
        const tally = { values: 0, deaths: 0, wrong: 0 };
        const answers = new Uint8Array(count);
        const noteAnswer = (i: number) => (answers[i] = (answers[i] as number) + 1);
        const note = (i: number, kind: number, value: unknown) => {
          noteAnswer(i);
          tally.values++;
          if (kind === 3 ? (value as Buffer)[99_999] !== i % 256 : value !== i) tally.wrong++;
        };
        const tasks: Promise<void>[] = [];
        for (let i = 0; i < count; i++) {
          const kind = i % 50 < 4 ? i % 50 : 0;
          tasks.push(
            pool.run(work, i, kind).then(
              (value) => note(i, kind, value),
              (error: unknown) => {
                noteAnswer(i);
                if (error instanceof t.mp.WorkerDiedError && error.signal === 'SIGKILL') tally.deaths++;
                else tally.wrong++;
              },
            ),
          );
          // Some at a time, for as long as it takes, so that many workers are killed.
          if (i % 25 === 24) await new Promise((resolve) => setTimeout(resolve, 5));
        }
        await Promise.all(tasks);
        clearInterval(killer);
        pool.close();
        await pool.join();
        const twice = [...begun.subarray(0, count)].filter((times) => times > 1).length;
        const unanswered = [...answers].filter((times) => times !== 1).length;
        t.report({
          ...tally,
          kills: kills > 5,
          twice,
          unanswered,
          zombies: rf.zombies().length,
          deaths: tally.deaths <= kills,
        });
        t.report(tally.values + tally.deaths);
        await new Promise((resolve) => setImmediate(resolve)); // handles close on a turn of the loop
        t.report([fds() - before[0]!, mappings() - before[1]!, t.mp.activeChildren().length]);
        memory.close();
        memory.unlink();
      },
      { args: [share(10_000, 3_000)], timeout: limitFor(twoMinutes) },
    );
    const count = share(10_000, 3_000);
    expect(run.stderr).toBe('');
    expect(run.reports).toEqual([
      { values: expect.any(Number), wrong: 0, kills: true, twice: 0, unanswered: 0, zombies: 0, deaths: true },
      count,
      [0, 0, 0],
    ]);
  },
  limitFor(twoMinutes) + 30_000,
);
