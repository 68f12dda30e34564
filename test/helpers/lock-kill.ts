/**
 * Processes work under a lock and are killed at random moments. Run with few rounds in the ordinary suite, with a thousand
 * in test/stress. Arguments: rounds, form ('sync' or 'async'), seed.
 */
import type { Realfork } from './program';
import type { Tools } from './program-tools';

/**
 * Two numbers are kept equal under the lock. Who finds them unequal has the lock from a process that died between the two:
 * `recovered` must say so, and the finder puts them right.
 */
export async function killedHolders(rf: Realfork, t: Tools): Promise<void> {
  const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
  const { Lock, RLock, SharedArray } = t.mp;
  const [rounds, kind, form, seed] = t.args as [number, string, string, number];
  const lock = kind === 'RLock' ? new RLock() : new Lock();
  const words = new SharedArray('i32', 64, { lock: false });
  const [first, second, unequal, unexplained, recovered] = [0, 1, 2, 3, 4];
  const at = (i: number) => words[i] as number;
  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;

  const once = async (): Promise<void> => {
    if (form === 'sync') lock.acquireSync();
    else await lock.acquire();
    if (lock.recovered !== null) words[recovered] = at(recovered) + 1;
    if (at(first) !== at(second)) {
      words[unequal] = at(unequal) + 1;
      if (lock.recovered === null) words[unexplained] = at(unexplained) + 1;
      words[second] = at(first);
    }
    words[first] = at(first) + 1;
    for (const end = performance.now() + 0.02; performance.now() < end;);
    words[second] = at(second) + 1;
    lock.release();
  };
  const { begun } = t.pipes('begun');
  const start = () => {
    const pid = rf.fork();
    if (pid === 0) {
      void (async () => {
        await once();
        writeSync(begun.write, 'b');
        for (;;) await once();
      })();
    }
    return pid;
  };
  const workers: number[] = [];
  for (let i = 0; i < 3; i++) {
    const pid = start();
    if (pid === 0) return;
    workers.push(pid);
    readSync(begun.read, Buffer.alloc(1));
  }
  for (let round = 0; round < rounds; round++) {
    t.burn(draw() * 2);
    const index = Math.floor(draw() * workers.length);
    rf.kill(workers[index] as number, 'SIGKILL');
    rf.waitpid(workers[index] as number);
    // The new one gets the lock in its turn, whatever the dead one had: this read is where a lost lock would hang.
    const pid = start();
    if (pid === 0) return;
    workers[index] = pid;
    readSync(begun.read, Buffer.alloc(1));
  }
  for (const pid of workers) rf.kill(pid, 'SIGKILL');
  for (const pid of workers) rf.waitpid(pid);
  const mine = form === 'sync' ? lock.acquireSync({ timeout: 10_000 }) : await lock.acquire({ timeout: 10_000 });
  lock.release();
  t.report({
    mine,
    unexplained: at(unexplained),
    deaths: rounds + workers.length,
    unequal: at(unequal),
    recovered: at(recovered),
  });
}

/** Waiters for a semaphore, a condition or an event are killed as they are woken: whoever else waits is woken. */
export async function killedSleepers(rf: Realfork, t: Tools): Promise<void> {
  const { Semaphore, Condition, Event, SharedArray } = t.mp;
  const [rounds, what, form, seed] = t.args as [number, string, string, number];
  const isSync = form === 'sync';
  let random = seed;
  const draw = () => (random = (random * 1103515245 + 12345) % 2147483648) / 2147483648;
  const semaphore = new Semaphore(0);
  const condition = new Condition();
  const event = new Event();
  const words = new SharedArray('i32', 64, { lock: false });
  const [tokens, woken] = [0, 8];

  const sleep = async (i: number): Promise<void> => {
    if (what === 'semaphore') {
      for (;;) {
        if (isSync) semaphore.acquireSync();
        else await semaphore.acquire();
      }
    }
    if (what === 'event') {
      if (isSync) event.waitSync();
      else await event.wait();
      words[woken + i] = 1;
      return new Promise(() => setInterval(() => {}, 1_000));
    }
    for (;;) {
      if (isSync) condition.acquireSync();
      else await condition.acquire();
      while (words[tokens] === 0) {
        if (isSync) condition.waitSync();
        else await condition.wait();
      }
      words[tokens] = (words[tokens] as number) - 1;
      condition.release();
    }
  };
  const start = (i: number) => {
    words[woken + i] = 0;
    const pid = rf.fork();
    if (pid === 0) void sleep(i);
    return pid;
  };
  const waiters: number[] = [];
  const count = 3;
  for (let i = 0; i < count; i++) {
    const pid = start(i);
    if (pid === 0) return;
    waiters.push(pid);
  }
  for (let round = 0; round < rounds; round++) {
    const index = Math.floor(draw() * count);
    if (what === 'semaphore') semaphore.release();
    else if (what === 'event') event.set();
    else {
      condition.withSync(() => {
        words[tokens] = (words[tokens] as number) + 1;
        condition.notify();
      });
    }
    const until = process.hrtime.bigint() + BigInt(Math.floor(draw() * 300_000));
    while (process.hrtime.bigint() < until);
    rf.kill(waiters[index] as number, 'SIGKILL');
    rf.waitpid(waiters[index] as number);
    if (what === 'condition') condition.withSync(() => condition.notify()); // as a user of conditions has to
    const isOver = {
      // Taken by whoever lives, or with the dead.
      semaphore: () => semaphore.getValue() === 0,
      condition: () => condition.withSync(() => words[tokens] === 0),
      event: () => waiters.every((_, i) => i === index || words[woken + i] === 1),
    }[what as 'semaphore' | 'condition' | 'event'];
    await t.waitUntil(isOver, `round ${round}: nobody else is woken`, 10_000);
    if (what === 'event') {
      event.clear();
      for (const [i, pid] of waiters.entries()) {
        if (i === index) continue;
        rf.kill(pid, 'SIGKILL');
        rf.waitpid(pid);
      }
    }
    for (let i = 0; i < count; i++) {
      if (what !== 'event' && i !== index) continue;
      const pid = start(i);
      if (pid === 0) return;
      waiters[i] = pid;
    }
  }
  for (const pid of waiters) rf.kill(pid, 'SIGKILL');
  for (const pid of waiters) rf.waitpid(pid);
  t.report({ rounds });
}
