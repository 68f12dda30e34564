/**
 * Programs in which a process is killed at a random moment of its work with a queue. Run with few rounds in the ordinary
 * suite, with a thousand in test/stress. Arguments: rounds, form ('sync' or 'async').
 *
 * An item is [victim, number, bytes]; the bytes follow from the first two, some are larger than half the ring.
 */
import type { Realfork } from './program';
import type { Tools } from './program-tools';

/** A producer is killed: what it had put comes, whole and in order; what others put goes on. */
export async function killedProducers(rf: Realfork, t: Tools): Promise<void> {
  const { Queue, Process } = t.mp;
  const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
  const [rounds, form, seed] = t.args as [number, string, number];
  const RING = 64 * 1024;
  const queue = new Queue<[number, number, Buffer]>(form === 'bounded' ? 20 : 0, { ringSize: RING });
  const answers = new Queue<number[]>();
  const large = RING * 3;
  const sizeOf = (victim: number, i: number) =>
    (victim * 7 + i * 13) % 11 === 0 ? large : (victim * 31 + i * 17) % 900;

  const consumer = new Process({
    target: async () => {
      let wrong = 0;
      let items = 0;
      let victim = -1;
      let next = 0;
      for (;;) {
        const [from, i, bytes] = form === 'async' ? await queue.get() : queue.getSync();
        if (from === -1) {
          answers.putSync([i, items, wrong]);
          if (i === rounds) break;
          continue;
        }
        if (from !== victim) {
          victim = from;
          next = 0;
        }
        if (i !== next++ || bytes.length !== sizeOf(from, i) || bytes.some((byte) => byte !== ((from + i) & 0xff)))
          wrong++;
        items++;
      }
    },
  });
  consumer.start();

  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  const { begun } = t.pipes('begun');
  let last: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const pid = rf.fork();
    if (pid === 0) {
      const put = async () => {
        for (let i = 0; ; i++) {
          const bytes = Buffer.alloc(sizeOf(round, i), round + i);
          if (form === 'async') await queue.put([round, i, bytes]);
          else queue.putSync([round, i, bytes]);
          if (i === 0) writeSync(begun.write, 'b');
        }
      };
      void put();
      return;
    }
    readSync(begun.read, Buffer.alloc(1)); // on a busy machine the child would be killed before it has done anything
    t.burn(draw() * 6);
    rf.kill(pid, 'SIGKILL');
    rf.waitpid(pid);
    queue.putSync([-1, round, Buffer.alloc(0)]);
    last = answers.getSync({ timeout: 15_000 });
    if (last[0] !== round) throw new Error(`round ${round} was answered by ${last[0]}`);
  }
  consumer.joinSync(15_000);
  t.report({ items: last[1], wrong: last[2], dropped: queue.dropped, left: queue.qsize(), ended: consumer.exitCode });
}

/** A consumer is killed: the others get everything else, each item once and whole. */
export async function killedConsumers(rf: Realfork, t: Tools): Promise<void> {
  const { Queue, Process } = t.mp;
  const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
  const [rounds, form, seed] = t.args as [number, string, number];
  const RING = 32 * 1024;
  const queue = new Queue<[number, Buffer]>(form === 'bounded' ? 5 : 0, { ringSize: RING });
  const MOST = 1 << 22;
  const { buffer } = allocate(MOST + 64);
  const taken = new Uint8Array(buffer, 64);
  const words = new Int32Array(buffer, 0, 16);
  const stop = 0;
  const wrong = 1;
  const sizeOf = (i: number) => (i % 23 === 0 ? RING * 2 : (i * 17) % 700);

  const consume = async () => {
    for (;;) {
      const [i, bytes] = form === 'async' ? await queue.get() : queue.getSync();
      if (i < 0) return;
      if (bytes.length !== sizeOf(i) || bytes.some((byte) => byte !== (i & 0xff))) Atomics.add(words, wrong, 1);
      taken[i] = (taken[i] as number) + 1;
    }
  };
  const producer = new Process({
    target: async () => {
      let i = 0;
      // An unbounded queue is given no more than it can pass on, so that this test ends.
      for (; i < MOST && Atomics.load(words, stop) === 0; i++) {
        if (form === 'async') await queue.put([i, Buffer.alloc(sizeOf(i), i)]);
        else queue.putSync([i, Buffer.alloc(sizeOf(i), i)]);
        while (form !== 'bounded' && queue.qsize() > 50 && Atomics.load(words, stop) === 0) rf.sleepSync(1);
      }
      await queue.put([-1, Buffer.alloc(0)]);
      words[2] = i;
    },
  });
  const survivor = new Process({ target: consume });
  producer.start();
  survivor.start();

  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (let round = 1; round <= rounds; round++) {
    const pid = rf.fork();
    if (pid === 0) {
      void consume();
      return;
    }
    t.burn(1 + draw() * 6);
    rf.kill(pid, 'SIGKILL');
    rf.waitpid(pid);
  }
  Atomics.store(words, stop, 1);
  producer.joinSync(20_000);
  survivor.joinSync(20_000);
  const count = words[2] as number;
  let twice = 0;
  let never = 0;
  for (let i = 0; i < count; i++) {
    if ((taken[i] as number) > 1) twice++;
    if (taken[i] === 0) never++;
  }
  t.report({
    count,
    twice,
    isLostOncePerKill: never <= rounds,
    isDroppedOncePerKill: queue.dropped <= rounds,
    wrong: words[wrong],
    ended: [producer.exitCode, survivor.exitCode],
    left: queue.qsize(),
  });
}

/** Processes wait for an item, or for room; one of them is killed just when there is one: another one gets it. */
export async function killedWaiters(rf: Realfork, t: Tools): Promise<void> {
  const { Queue } = t.mp;
  const [rounds, form, seed] = t.args as [number, string, number];
  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  const isAsync = form.startsWith('async');
  const forRoom = form.endsWith('put');
  const queue = new Queue<number>(forRoom ? 1 : 0);
  if (forRoom) queue.putSync(0);
  const wait = async () => {
    for (;;) {
      if (isAsync) await (forRoom ? queue.put(1) : queue.get());
      else if (forRoom) queue.putSync(1);
      else queue.getSync();
    }
  };
  const start = () => {
    const pid = rf.fork();
    if (pid === 0) void wait();
    return pid;
  };
  const waiters: number[] = [];
  for (let i = 0; i < 4; i++) {
    const pid = start();
    if (pid === 0) return;
    waiters.push(pid);
  }
  for (let round = 0; round < rounds; round++) {
    const index = Math.floor(draw() * waiters.length);
    if (forRoom) queue.getSync({ timeout: 10_000 });
    else queue.putSync(round);
    const until = process.hrtime.bigint() + BigInt(Math.floor(draw() * 300_000));
    while (process.hrtime.bigint() < until);
    rf.kill(waiters[index] as number, 'SIGKILL');
    rf.waitpid(waiters[index] as number);
    const wanted = forRoom ? 1 : 0;
    await t.waitUntil(
      () => queue.qsize() === wanted,
      `round ${round}: an item is left, or room, and nobody wakes`,
      10_000,
    );
    const pid = start();
    if (pid === 0) return;
    waiters[index] = pid;
  }
  for (const pid of waiters) rf.kill(pid, 'SIGKILL');
  for (const pid of waiters) rf.waitpid(pid);
  t.report({ rounds });
}
