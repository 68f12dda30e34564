/** SIGKILL at random moments of work under a lock, a few of them; test/stress/lock-kill.test.ts has a thousand. */
import { killedHolders, killedSleepers } from '../helpers/lock-kill';
import { cleanProgram } from '../helpers/program';

const seed = () => Math.floor(Math.random() * 2 ** 31);
const timeout = 120_000;

test.each([
  ['Lock', 'sync'],
  ['Lock', 'async'],
  ['RLock', 'sync'],
  ['RLock', 'async'],
])(
  'a killed holder of a %s blocks nobody, and recovered says what it left half done: %s',
  async (kind, form) => {
    const run = await cleanProgram(killedHolders, { args: [25, kind, form, seed()], timeout });
    const [{ unequal, recovered, deaths, ...rest }] = run.reports;
    expect(rest).toEqual({ mine: true, unexplained: 0 });
    expect(unequal).toBeLessThanOrEqual(deaths);
    expect(recovered).toBeLessThanOrEqual(deaths);
  },
  timeout + 10_000,
);

test.each([
  ['semaphore', 'sync'],
  ['semaphore', 'async'],
  ['condition', 'sync'],
  ['condition', 'async'],
  ['event', 'sync'],
  ['event', 'async'],
])(
  'of those who wait for a %s one is killed as it is woken: the others go on: %s',
  async (what, form) => {
    const run = await cleanProgram(killedSleepers, { args: [15, what, form, seed()], timeout });
    expect(run.reports).toEqual([{ rounds: 15 }]);
  },
  timeout + 10_000,
);
