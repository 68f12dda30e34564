/** SIGKILL at random moments of put and get, a few of them; test/stress/queue-kill.test.ts has a thousand. */
import { cleanProgram } from '../helpers/program';
import { killedConsumers, killedProducers, killedWaiters } from '../helpers/queue-kill';

const seed = () => Math.floor(Math.random() * 2 ** 31);
const timeout = 120_000;

test.each(['sync', 'async', 'bounded'])(
  'producers killed inside put: nothing is blocked, damaged or lost beside the item: %s',
  async (form) => {
    const run = await cleanProgram(killedProducers, { args: [25, form, seed()], timeout });
    const [{ dropped, items, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, left: 0, ended: 0 });
    expect(dropped).toBeLessThanOrEqual(25);
    expect(items).toBeGreaterThan(0);
  },
  timeout + 10_000,
);

test.each(['sync', 'async', 'bounded'])(
  'consumers killed inside get: the others get everything else, once and whole: %s',
  async (form) => {
    const run = await cleanProgram(killedConsumers, { args: [25, form, seed()], timeout });
    const [{ count, ...rest }] = run.reports;
    expect(rest).toEqual({
      twice: 0,
      isLostOncePerKill: true,
      isDroppedOncePerKill: true,
      wrong: 0,
      ended: [0, 0],
      left: 0,
    });
    expect(count).toBeGreaterThan(0);
  },
  timeout + 10_000,
);

test.each(['sync get', 'async get', 'sync put', 'async put'])(
  'of those who wait one is killed as it is woken: another one is: %s',
  async (form) => {
    const run = await cleanProgram(killedWaiters, { args: [25, form, seed()], timeout });
    expect(run.reports).toEqual([{ rounds: 25 }]);
  },
  timeout + 10_000,
);
