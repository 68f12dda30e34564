/** Thousands of forks while V8's own threads are at work: the state in which a fork that is not exact loses children. */
import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const tenMinutes = 600_000;

test(
  '5,000 forks with the compiler and the collector busy: none lost, hung or crashed',
  async () => {
    const rounds = share(5_000, 200);
    const run = await program(
      (rf, t) => {
        const [rounds] = t.args as [number];
        let keep: object[] = [];
        // New code each time, hot enough to be optimised on the compiler's threads while the fork happens.
        const compile = (salt: number) =>
          new Function(
            'n',
            `let s = 0; const o = {}; for (let i = 0; i < n; i++) { s += i % ${salt}; o.x = s; if (s > 1e9) s = 0 } return s`,
          ) as (n: number) => number;
        const wrong: unknown[] = [];
        for (let round = 0; round < rounds; round++) {
          for (let k = 0; k < 4; k++) {
            const hot = compile(round * 4 + k + 3);
            hot(60_000);
            hot(60_000);
          }
          for (let k = 0; k < 3_000; k++) keep.push({ k, text: `a${k}` });
          if (keep.length > 400_000) keep = keep.slice(200_000);
          const pid = rf.fork();
          if (pid === 0) {
            // Every tenth child is put to work itself, the others leave at once.
            if (round % 10 === 0) {
              compile(round + 1)(200_000);
              let garbage: object[] = [];
              for (let k = 0; k < 50_000; k++) if (garbage.push({ k }) > 10_000) garbage = [];
            }
            process.exit(round % 251);
          }
          const result = rf.waitpid(pid);
          if (result.pid !== pid || result.status !== (round % 251) << 8)
            wrong.push({ round, expected: pid, ...result });
        }
        t.report({ wrong, kept: keep.length > 0 });
      },
      { args: [rounds], timeout: limitFor(tenMinutes) },
    );
    expect(run).toMatchObject({ code: 0, reports: [{ wrong: [], kept: true }] });
  },
  limitFor(tenMinutes) + 30_000,
);

test(
  '20,000 forks from one parent leave no descriptor, mapping, thread or memory behind',
  async () => {
    const rounds = share(20_000, 1_000);
    const run = await program(
      (rf, t) => {
        const { readFileSync, readdirSync } = require('node:fs') as typeof import('node:fs');
        const [rounds] = t.args as [number];
        const footprint = () => {
          gc?.();
          return {
            descriptors: readdirSync('/proc/self/fd').length,
            mappings: readFileSync('/proc/self/maps', 'latin1').split('\n').length,
            threads: readdirSync('/proc/self/task').length,
            megabytes: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024,
          };
        };
        const round = () => {
          const pid = rf.fork();
          if (pid === 0) process.exit(3);
          const { status } = rf.waitpid(pid);
          if (status !== 3 << 8) throw new Error(`a child ended with status ${status}`);
        };
        for (let i = 0; i < 200; i++) round(); // first calls make what stays: code, caches
        const before = footprint();
        for (let i = 0; i < rounds; i++) round();
        t.report({ before, after: footprint() });
      },
      { args: [rounds], timeout: limitFor(tenMinutes), nodeFlags: ['--expose-gc'] },
    );
    expect(run.code).toBe(0);
    const { before, after } = run.reports[0];
    expect(after.descriptors).toBe(before.descriptors);
    expect(after.threads).toBe(before.threads);
    // V8 maps and unmaps pages of its heap as it goes; a leak of one mapping a fork would be thousands.
    expect(after.mappings - before.mappings).toBeLessThan(100);
    expect(after.megabytes - before.megabytes).toBeLessThan(10);
  },
  limitFor(tenMinutes) + 30_000,
);
