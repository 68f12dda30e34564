/** What a child runs on the way to its target is compiled in the parent: compiling it again costs each child pages and time. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanProgram, type Realfork } from '../helpers/program';
import type { Tools } from '../helpers/program-tools';

type Work = (rf: Realfork, t: Tools) => Promise<void>;

const processes: Work = async (_rf, t) => {
  const [count] = t.args as [number];
  for (let i = 0; i < count; i++) {
    const child = new t.mp.Process({ target: () => {} });
    child.start();
    await child.join();
    if (child.exitCode !== 0) throw new Error(`exit code ${child.exitCode}`);
  }
};

/** A closure each: a worker is forked for each. */
const closures: Work = async (_rf, t) => {
  const [count] = t.args as [number];
  const pool = new t.mp.Pool(1);
  for (let i = 0; i < count; i++) {
    const result = await pool.run(() => i);
    if (result !== i) throw new Error(`${result} for ${i}`);
  }
  await pool.terminate();
};

/** How many functions V8 compiled in the parent and in so many children. */
async function compiled(work: Work, children: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-test-'));
  const log = join(folder, 'v8.log');
  try {
    const run = await cleanProgram(work, {
      args: [children],
      nodeFlags: ['--log-function-events', '--no-logfile-per-isolate', `--logfile=${log}`],
    });
    expect(run.code).toBe(0);
    return (readFileSync(log, 'latin1').match(/^function,full-parse,/gm) ?? []).length;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test.each([
  ['a child compiles hardly anything but its target', processes],
  ['a worker of a pool compiles hardly anything but its task', closures],
])('%s', async (_, work) => {
  const [few, many] = [await compiled(work, 2), await compiled(work, 12)];
  expect(few).toBeGreaterThan(100); // the log is what it is taken for
  expect((many - few) / 10).toBeLessThan(4);
});
