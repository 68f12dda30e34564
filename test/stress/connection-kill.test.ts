/** A thousand SIGKILLs at random moments of send and recv, and a message of 1 GB. */
import { killedReceivers, killedSenders } from '../helpers/connection-kill';
import { cleanProgram } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const rounds = share(1_000, 20);
const timeout = limitFor(120_000);
const seed = () => Math.floor(Math.random() * 2 ** 31);

test.each(['sync', 'async'])(
  'receivers killed inside recv: the others get everything else, once and whole: %s',
  async (form) => {
    const run = await cleanProgram(killedReceivers, { args: [rounds, form, seed()], timeout });
    const [{ sent, never, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, twice: 0, isLostOncePerKill: true, ended: [0, 0] });
    expect(sent).toBeGreaterThan(rounds);
    // The kills do hit the inside of recv: otherwise this test shows nothing.
    if (rounds >= 500) expect(never).toBeGreaterThan(0);
  },
  timeout + 10_000,
);

test.each(['sync', 'async'])(
  'senders killed inside send: whole messages, an error for one that was cut short, then the next: %s',
  async (form) => {
    const run = await cleanProgram(killedSenders, { args: [rounds, form, seed()], timeout });
    const [{ received, cut, ...rest }] = run.reports;
    expect(rest).toEqual({ wrong: 0, ended: 0 });
    expect(received).toBeGreaterThanOrEqual(rounds);
    expect(cut).toBeLessThanOrEqual(rounds);
    if (rounds >= 500) expect(cut).toBeGreaterThan(0);
  },
  timeout + 10_000,
);

test.each(['sync', 'async'])(
  'a message of 1 GB arrives whole: %s',
  async (form) => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Pipe, Process } = t.mp;
        const isSync = t.args[0] === 'sync';
        const [reader, writer] = Pipe({ duplex: false });
        const length = 2 ** 30;
        const sender = new Process({
          target: async () => {
            const bytes = Buffer.alloc(length);
            for (let i = 0; i < length; i += 4096) bytes.writeUInt32LE(i, i);
            if (isSync) writer.sendBytesSync(bytes);
            else await writer.sendBytes(bytes);
          },
        });
        sender.start();
        writer.close();
        const bytes = isSync ? reader.recvBytesSync() : await reader.recvBytes();
        let wrong = 0;
        for (let i = 0; i < length; i += 4096) if (bytes.readUInt32LE(i) !== i) wrong++;
        await sender.join();
        t.report([bytes.length, wrong, sender.exitCode]);
      },
      { args: [form], timeout },
    );
    expect(run.reports).toEqual([[2 ** 30, 0, 0]]);
  },
  timeout + 10_000,
);
