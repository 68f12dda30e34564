import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const count = share(300, 20);

/** What the parent's four Workers do meanwhile, and whether fork may refuse. */
const lives: Record<string, [source: string, mayRefuse: boolean]> = {
  idle: ['require("worker_threads").parentPort.on("message", () => {})', false],
  'in Atomics.wait': ['Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', false],
  running: ['for (let sum = 0;;) sum += Math.sqrt(sum)', false],
  'busy now and then': ['setInterval(() => { const a = []; for (let i = 0; i < 1e4; i++) a.push({ i }) }, 1)', true],
  'running and allocating': ['for (let a = [];;) { a.push({}); if (a.length > 1e5) a = [] }', true],
  'starting processes': [
    'const { spawnSync } = require("child_process"); setInterval(() => spawnSync("true"), 1)',
    true,
  ],
};

test.each(Object.entries(lives))(
  `${count} forks beside Workers that are %s: a complete child, or a refusal with the reason`,
  async (_name, [source, mayRefuse]) => {
    const run = await program(
      async (rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const { once } = require('node:events') as typeof import('node:events');
        const [count, source] = t.args as [number, string];
        const workers = Array.from({ length: 4 }, () => new Worker(source, { eval: true }));
        await Promise.all(workers.map((worker) => once(worker, 'online')));
        const wrong: unknown[] = [];
        let refused = 0;
        let made = 0;
        for (let i = 0; i < count && refused < 5; i++) {
          let pid: number;
          try {
            pid = rf.fork();
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ERR_FORK_WORKER_BUSY') throw error;
            refused += 1;
            continue;
          }
          if (pid === 0) {
            // A Worker of its own takes V8's and Node's process-wide locks.
            const own = new Worker('require("worker_threads").parentPort.postMessage(7)', { eval: true });
            const [answer] = (await once(own, 'message')) as [number];
            process.exitCode = answer;
            if (i % 3 === 0) process.exit();
            if (i % 3 === 1) await Promise.all(workers.map((worker) => worker.terminate()));
            return; // i % 3 === 2: the parent's Workers must not keep this loop alive
          }
          made += 1;
          const { status } = rf.waitpid(pid);
          if (status !== 7 << 8) wrong.push({ i, status });
        }
        t.report({ wrong, refused, made });
        process.exit();
      },
      { args: [count, source], timeout: limitFor(300_000) },
    );
    const [report] = run.reports;
    expect(report.wrong).toEqual([]);
    if (!mayRefuse) expect(report).toEqual({ wrong: [], refused: 0, made: count });
    else expect(report.made + report.refused).toBeGreaterThan(0);
  },
  limitFor(300_000) + 30_000,
);
