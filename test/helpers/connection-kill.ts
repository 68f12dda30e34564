/**
 * Processes are killed at random moments of `recv` and `send` on the ends of a pipe that others use too, taking turns by a
 * lock. Run with few rounds in the ordinary suite, with a thousand in test/stress. Arguments: rounds, form ('sync' or
 * 'async'), seed.
 *
 * A message is [sender, number, bytes]; the bytes follow from the first two, some are longer than a packet.
 */
import type { Realfork } from './program';
import type { Tools } from './program-tools';

/** A receiver is killed: the next one gets whole messages, each once; no more is lost than what the dead one was reading. */
export async function killedReceivers(rf: Realfork, t: Tools): Promise<void> {
  const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
  const { Lock, Pipe, Process, SharedArray } = t.mp;
  const [rounds, form, seed] = t.args as [number, string, number];
  const isSync = form === 'sync';
  const [reader, writer] = Pipe({ duplex: false });
  const lock = new Lock();
  const MOST = 1 << 22;
  const taken = new SharedArray('u8', MOST, { lock: false });
  const words = new SharedArray('i32', 16, { lock: false });
  const [stop, wrong, count] = [0, 1, 2];
  const sizeOf = (i: number) => (i % 5 === 0 ? 200_000 : (i * 17) % 3_000);

  const receive = async (): Promise<boolean> => {
    const take = () => (isSync ? reader.recvSync() : reader.recv());
    const [, i, bytes] = (await (isSync ? lock.withSync(take) : lock.with(take))) as [number, number, Buffer];
    if (i < 0) return false;
    if (bytes.length !== sizeOf(i) || bytes.some((byte) => byte !== (i & 0xff)))
      Atomics.add(words as Int32Array, wrong, 1);
    taken[i] = (taken[i] as number) + 1;
    return true;
  };
  const sender = new Process({
    target: async () => {
      let i = 0;
      for (; i < MOST && words[stop] === 0; i++) {
        const message = [0, i, Buffer.alloc(sizeOf(i), i)];
        if (isSync) writer.sendSync(message);
        else await writer.send(message);
      }
      words[count] = i;
      await writer.send([0, -1, Buffer.alloc(0)]);
    },
  });
  const survivor = new Process({
    target: async () => {
      while (await receive());
    },
  });
  sender.start();
  survivor.start();
  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  const { begun } = t.pipes('begun');
  for (let round = 0; round < rounds; round++) {
    const pid = rf.fork();
    if (pid === 0) {
      void (async () => {
        await receive();
        writeSync(begun.write, 'b');
        for (;;) await receive();
      })();
      return;
    }
    readSync(begun.read, Buffer.alloc(1));
    t.burn(draw() * 4);
    rf.kill(pid, 'SIGKILL');
    rf.waitpid(pid);
  }
  words[stop] = 1;
  sender.joinSync(20_000);
  survivor.joinSync(20_000);
  let never = 0;
  let twice = 0;
  for (let i = 0; i < (words[count] as number); i++) {
    if (taken[i] === 0) never++;
    if ((taken[i] as number) > 1) twice++;
  }
  t.report({
    sent: words[count],
    wrong: words[wrong],
    twice,
    never,
    isLostOncePerKill: never <= rounds,
    ended: [sender.exitCode, survivor.exitCode],
  });
}

/** A sender is killed: the receiver gets whole messages or an error in the place of one, and then those of the next sender. */
export async function killedSenders(rf: Realfork, t: Tools): Promise<void> {
  const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
  const { InvalidMessageError, Lock, Pipe, Process, SharedArray } = t.mp;
  const [rounds, form, seed] = t.args as [number, string, number];
  const isSync = form === 'sync';
  const [reader, writer] = Pipe({ duplex: false });
  const lock = new Lock();
  const words = new SharedArray('i32', 16, { lock: false });
  const [received, wrong, cut, last] = [0, 1, 2, 3];
  const sizeOf = (sender: number, i: number) => ((sender + i) % 3 === 0 ? 300_000 : (sender * 7 + i * 17) % 3_000);

  const receiver = new Process({
    target: async () => {
      let current = -1;
      let next = 0;
      for (;;) {
        let message: [number, number, Buffer];
        try {
          message = (isSync ? reader.recvSync() : await reader.recv()) as typeof message;
        } catch (error) {
          if (!(error instanceof InvalidMessageError) || reader.closed) throw error;
          words[cut] = (words[cut] as number) + 1;
          continue;
        }
        const [sender, i, bytes] = message;
        if (i < 0) {
          words[last] = sender;
          if (sender === rounds) return;
          continue;
        }
        if (sender !== current) {
          current = sender;
          next = 0;
        }
        if (i !== next++ || bytes.length !== sizeOf(sender, i) || bytes.some((byte) => byte !== ((sender + i) & 0xff)))
          words[wrong] = (words[wrong] as number) + 1;
        words[received] = (words[received] as number) + 1;
      }
    },
  });
  receiver.start();
  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  const { begun } = t.pipes('begun');
  for (let round = 1; round <= rounds; round++) {
    const pid = rf.fork();
    if (pid === 0) {
      void (async () => {
        for (let i = 0; ; i++) {
          const message = [round, i, Buffer.alloc(sizeOf(round, i), round + i)];
          if (isSync) lock.withSync(() => writer.sendSync(message));
          else await lock.with(() => writer.send(message));
          if (i === 0) writeSync(begun.write, 'b');
        }
      })();
      return;
    }
    readSync(begun.read, Buffer.alloc(1));
    t.burn(draw() * 4);
    rf.kill(pid, 'SIGKILL');
    rf.waitpid(pid);
    lock.withSync(() => writer.sendSync([round, -1, Buffer.alloc(0)]));
    await t.waitUntil(() => words[last] === round, `round ${round}: the receiver goes on`, 15_000);
  }
  receiver.joinSync(15_000);
  t.report({ received: words[received], wrong: words[wrong], cut: words[cut], ended: receiver.exitCode });
}
