/** What a child runs on the way to its target is compiled in the parent: compiling it again costs each child pages and time. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanProgram } from '../helpers/program';

/** How many functions V8 compiled in the parent and in so many children. */
async function compiled(children: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-test-'));
  const log = join(folder, 'v8.log');
  try {
    const run = await cleanProgram(
      async (_rf, t) => {
        const [children] = t.args as [number];
        for (let i = 0; i < children; i++) {
          const child = new t.mp.Process({ target: () => {} });
          child.start();
          await child.join();
          if (child.exitCode !== 0) throw new Error(`exit code ${child.exitCode}`);
        }
      },
      { args: [children], nodeFlags: ['--log-function-events', '--no-logfile-per-isolate', `--logfile=${log}`] },
    );
    expect(run.code).toBe(0);
    return (readFileSync(log, 'latin1').match(/^function,full-parse,/gm) ?? []).length;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a child compiles hardly anything but its target', async () => {
  const [few, many] = [await compiled(2), await compiled(12)];
  expect(few).toBeGreaterThan(100); // the log is what it is taken for
  // What is left are Node's own process.exit and the like, and closures that are made in the child.
  expect((many - few) / 10).toBeLessThan(12);
});
