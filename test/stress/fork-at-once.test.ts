/** A child that forks before anything else: V8's threads have hardly come back when they are stopped again. */
import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const fiveMinutes = 300_000;

test(
  'chains of children that fork as their first act: none is lost',
  async () => {
    const rounds = share(400, 30);
    const run = await program(
      (rf, t) => {
        const [rounds] = t.args as [number];
        const length = 12;
        const lost: unknown[] = [];
        for (let round = 0; round < rounds; round++) {
          let depth = 0;
          let pid = 0;
          while (depth < length && (pid = rf.fork()) === 0) depth++;
          let code = 0;
          if (pid > 0) {
            // Each hands on what it hears from below: a death by a signal, or a sum of exit codes that is wrong.
            const { status } = rf.waitpid(pid);
            code = rf.WIFEXITED(status) ? rf.WEXITSTATUS(status) + 1 : 100;
          }
          if (depth > 0) rf._exit(code);
          if (code !== length) lost.push({ round, code });
        }
        t.report({ lost });
      },
      { args: [rounds], timeout: limitFor(fiveMinutes) },
    );
    expect(run).toMatchObject({ code: 0, reports: [{ lost: [] }] });
  },
  limitFor(fiveMinutes) + 30_000,
);
