/** A thousand SIGKILLs at random moments of work under locks, and of waiting for semaphores, conditions and events. */
import { killedHolders, killedSleepers } from '../helpers/lock-kill';
import { cleanProgram } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const rounds = share(1_000, 20);
const timeout = limitFor(120_000);
const seed = () => Math.floor(Math.random() * 2 ** 31);

test.each([
  ['Lock', 'sync'],
  ['Lock', 'async'],
  ['RLock', 'sync'],
  ['RLock', 'async'],
])(
  'a killed holder of a %s blocks nobody, and recovered says what it left half done: %s',
  async (kind, form) => {
    const run = await cleanProgram(killedHolders, { args: [rounds, kind, form, seed()], timeout });
    const [{ unequal, recovered, deaths, ...rest }] = run.reports;
    expect(rest).toEqual({ mine: true, unexplained: 0 });
    expect(recovered).toBeLessThanOrEqual(deaths);
    // The kills do hit holders, and between the two numbers: otherwise this test shows nothing.
    if (rounds >= 500) {
      expect(recovered).toBeGreaterThan(0);
      expect(unequal).toBeGreaterThan(0);
    }
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
    const run = await cleanProgram(killedSleepers, { args: [rounds, what, form, seed()], timeout });
    expect(run.reports).toEqual([{ rounds }]);
  },
  timeout + 10_000,
);
