/** SIGKILL at random moments of send and recv, a few of them; test/stress/connection-kill.test.ts has a thousand. */
import { killedReceivers, killedSenders } from '../helpers/connection-kill';
import { cleanProgram } from '../helpers/program';

const seed = () => Math.floor(Math.random() * 2 ** 31);
const timeout = 120_000;

test.each(['sync', 'async'])(
  'receivers killed inside recv: the others get everything else, once and whole: %s',
  async (form) => {
    const run = await cleanProgram(killedReceivers, { args: [20, form, seed()], timeout });
    const [{ sent, never, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, twice: 0, isLostOncePerKill: true, ended: [0, 0] });
    expect(never).toBeLessThan(sent);
  },
  timeout + 10_000,
);

test.each(['sync', 'async'])(
  'senders killed inside send: whole messages, an error for one that was cut short, then the next: %s',
  async (form) => {
    const run = await cleanProgram(killedSenders, { args: [20, form, seed()], timeout });
    const [{ received, cut, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, ended: 0 });
    expect(received).toBeGreaterThanOrEqual(20);
    expect(cut).toBeLessThanOrEqual(20);
  },
  timeout + 10_000,
);
