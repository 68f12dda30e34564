/** A thousand SIGKILLs at random moments of put and get, in each of the forms. */
import { cleanProgram } from '../helpers/program';
import { killedConsumers, killedProducers, killedWaiters } from '../helpers/queue-kill';
import { limitFor, share } from '../helpers/share';

const rounds = share(1_000, 20);
const timeout = limitFor(120_000);
const seed = () => Math.floor(Math.random() * 2 ** 31);

test.each(['sync', 'async', 'bounded'])(
  'producers killed inside put: nothing is blocked, damaged or lost beside the item: %s',
  async (form) => {
    const run = await cleanProgram(killedProducers, { args: [rounds, form, seed()], timeout });
    const [{ dropped, items, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, left: 0, ended: 0 });
    expect(dropped).toBeLessThanOrEqual(rounds);
    // The kills do hit the inside of puts: otherwise this test shows nothing.
    if (rounds >= 500) expect(dropped).toBeGreaterThan(0);
    expect(items).toBeGreaterThan(rounds);
  },
  timeout + 10_000,
);

test.each(['sync', 'async', 'bounded'])(
  'consumers killed inside get: the others get everything else, once and whole: %s',
  async (form) => {
    const run = await cleanProgram(killedConsumers, { args: [rounds, form, seed()], timeout });
    const [{ count, ...rest }] = run.reports;
    expect(rest).toEqual({
      twice: 0,
      isLostOncePerKill: true,
      isDroppedOncePerKill: true,
      wrong: 0,
      ended: [0, 0],
      left: 0,
    });
    expect(count).toBeGreaterThan(rounds);
  },
  timeout + 10_000,
);

test.each(['sync get', 'async get', 'sync put', 'async put'])(
  'of those who wait one is killed as it is woken: another one is: %s',
  async (form) => {
    const run = await cleanProgram(killedWaiters, { args: [rounds, form, seed()], timeout });
    expect(run.reports).toEqual([{ rounds }]);
  },
  timeout + 10_000,
);
