import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const count = share(200, 20);

/** Ways out of a child and the raw wait status of each; run in the child as `end()`. */
const ends: Record<string, [source: string, status: number]> = {
  'the end of the loop': ['setTimeout(() => {}, 1)', 0],
  'process.exitCode': ['process.exitCode = 9; setImmediate(() => {})', 9 << 8],
  'process.exit(n)': ['process.exit(9)', 9 << 8],
  'process.exit(n) in a promise job': ['Promise.resolve().then(() => process.exit(9))', 9 << 8],
  'an uncaught exception': ['setTimeout(() => { throw new Error("expected") }, 1)', 1 << 8],
  'an unhandled rejection': ['Promise.reject(new Error("expected"))', 1 << 8],
  'an exit listener that sets the code': ['process.on("exit", () => { process.exitCode = 9 })', 9 << 8],
  'an exit listener that throws': ['process.on("exit", () => { throw new Error("expected") })', 1 << 8],
  'a signal': ['process.kill(process.pid, "SIGKILL")', 9],
};

test.each(Object.entries(ends))(
  `${count} children end by %s`,
  async (_name, [source, status]) => {
    const run = await program(
      async (rf, t) => {
        const [count, source, status] = t.args as [number, string, number];
        const end = new Function(source) as () => void;
        const wrong: unknown[] = [];
        for (let i = 0; i < count; i++) {
          await new Promise((resolve) => (i % 2 === 0 ? setImmediate(resolve) : setTimeout(resolve, 0)));
          const pid = rf.fork();
          if (pid === 0) {
            end();
            return; // the parent's loop of children does not go on here
          }
          const waited = rf.waitpid(pid);
          if (waited.status !== status) wrong.push({ i, ...waited });
        }
        t.report(wrong);
      },
      { args: [count, source, status], timeout: limitFor(120_000) },
    );
    expect(run.reports).toEqual([[]]);
  },
  limitFor(120_000) + 30_000,
);
