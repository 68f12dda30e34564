/** The memory under everything shared: offsets, zeroes, what is given back and when, and waiting for a word of it. */
import { cleanProgram } from '../helpers/program';

test('a block made by a child after the fork is reached by its offset, from the parent and from a sibling', async () => {
  const run = await cleanProgram((rf, t) => {
    const { allocate, blockAt } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { waitWordSync, wakeWord } = t.internal('shared/wait-word') as typeof import('../../dist/shared/wait-word');
    const table = allocate(64);
    const words = new Int32Array(table.buffer);
    const maker = rf.fork();
    if (maker === 0) {
      const made = allocate(100_000);
      new Float64Array(made.buffer, 0, 3).set([1.5, 2.5, 3.5]);
      new Float64Array(table.buffer, 8, 1)[0] = made.offset;
      Atomics.store(words, 0, 1);
      wakeWord(table.offset);
      while (Atomics.load(words, 1) < 2) waitWordSync(table.offset + 4, Atomics.load(words, 1));
      process.exit(new Float64Array(made.buffer)[4] === 99 ? 0 : 1);
    }
    const look = () => {
      while (Atomics.load(words, 0) === 0) waitWordSync(table.offset, 0);
      const block = blockAt(new Float64Array(table.buffer, 8, 1)[0] as number);
      const numbers = new Float64Array(block.buffer, 0, 5);
      const seen = { bytes: block.bytes, first: [...numbers.subarray(0, 3)], same: blockAt(block.offset) === block };
      numbers[4] = 99;
      Atomics.add(words, 1, 1);
      wakeWord(table.offset + 4);
      return seen;
    };
    const sibling = rf.fork();
    if (sibling === 0) {
      t.report(look());
      process.exit(0);
    }
    t.report(look());
    t.report([rf.waitpid(maker).status, rf.waitpid(sibling).status]);
  });
  const seen = { bytes: 100_000, first: [1.5, 2.5, 3.5], same: true };
  expect(run.reports.slice(0, 2)).toEqual([seen, seen]);
  expect(run.reports[2]).toEqual([0, 0]);
});

test('blocks of any size are zeroed and aligned, also when the memory was used before; small and large', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
      const wrong: unknown[] = [];
      const offsets: number[] = [];
      for (let round = 0; round < 40; round++) {
        for (const bytes of [0, 1, 63, 64, 65, 959, 1_000, 5_000, 70_000, 1_000_000, 3_000_001]) {
          const block = allocate(bytes);
          offsets.push(block.offset);
          const view = new Uint8Array(block.buffer);
          if (view.length !== bytes || block.offset % 64 !== 0) wrong.push([bytes, view.length, block.offset]);
          const set = view.findIndex((byte) => byte !== 0);
          if (set >= 0) wrong.push({ bytes, set });
          view.fill(255);
        }
        gc?.();
        await new Promise((resolve) => setImmediate(resolve));
      }
      t.report({ wrong, reused: new Set(offsets).size < offsets.length / 2 });
    },
    { nodeFlags: ['--expose-gc'] },
  );
  expect(run.reports).toEqual([{ wrong: [], reused: true }]);
});

test('a block stays while a child forked after it lives, and is given back when that child is killed', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
      const { native } = t.internal('native') as typeof import('../../dist/native');
      const collected = async () => {
        for (let i = 0; i < 5; i++) {
          gc?.();
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const make = () => allocate(500_000).offset;
      const offset = make();
      const { hold, done } = t.pipes('hold', 'done');
      const { readSync } = require('node:fs') as typeof import('node:fs');
      const pid = rf.fork();
      if (pid === 0) readSync(hold.read, Buffer.alloc(1));
      await collected();
      const whileItLives = native.blockBuffer(offset, false) !== undefined;
      const late = make(); // the child does not know this one
      await collected();
      const lateIsGone = native.blockBuffer(late, false) === undefined;
      process.kill(pid, 'SIGKILL');
      rf.waitpid(pid);
      allocate(64 * 1024 * 1024); // large: what was kept is looked at again
      t.report({ whileItLives, lateIsGone, after: native.blockBuffer(offset, false) !== undefined });
      void done;
    },
    { nodeFlags: ['--expose-gc'] },
  );
  expect(run.reports).toEqual([{ whileItLives: true, lateIsGone: true, after: false }]);
});

test('what a process made and nobody else can have is given back after its death', async () => {
  const run = await cleanProgram((rf, t) => {
    const { allocate, makeCell } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { native } = t.internal('native') as typeof import('../../dist/native');
    const table = new Float64Array(allocate(64).buffer);
    const pid = rf.fork();
    if (pid === 0) {
      table[0] = allocate(10_000).offset;
      table[1] = makeCell(table);
      process.kill(process.pid, 'SIGKILL');
    }
    rf.waitpid(pid);
    native.sweepArena();
    const cell = makeCell({});
    t.report({ gone: native.blockBuffer(table[0] as number, false) === undefined, cellAgain: cell === table[1] });
  });
  expect(run.reports).toEqual([{ gone: true, cellAgain: true }]);
});

test('V8 does not take what a queue could hold for memory in use, and unused queues are collected all the same', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { Queue } = t.mp;
    const kept = Array.from({ length: 40 }, () => new Queue());
    t.report(process.memoryUsage().external < 16 * 2 ** 20);
    // More than there are addresses for.
    for (let i = 0; i < 2500; i++) {
      const queue = new Queue<number>();
      queue.putSync(i);
      if (queue.getSync() !== i) throw new Error('a wrong item');
      if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    t.report(kept.length);
  });
  expect(run.reports).toEqual([true, 40]);
});

test('more than there is gives ENOMEM, and everything goes on', async () => {
  const run = await cleanProgram((rf, t) => {
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    t.report(t.caught(() => allocate(2 ** 45)).code);
    t.report(t.caught(() => allocate(2 ** 35 + 2 ** 34)).code);
    t.report(allocate(1000).bytes);
  });
  expect(run.reports).toEqual(['ENOMEM', 'ENOMEM', 1000]);
});

test('a wait on the loop ends by a waking, by another value, or in time; cancelled ones are silent', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { waitWord, wakeWord } = t.internal('shared/wait-word') as typeof import('../../dist/shared/wait-word');
    const block = allocate(64);
    const words = new Int32Array(block.buffer);
    const ended = (offset: number, expected: number, timeout?: number) =>
      new Promise<boolean>((resolve) => waitWord(block.offset + offset, expected, resolve, { timeout }));
    t.report(await ended(0, 1));
    const start = performance.now();
    t.report(await ended(0, 0, 80));
    t.report(performance.now() - start > 79);
    const { go } = t.pipes('go');
    const fs = require('node:fs') as typeof import('node:fs');
    const pid = rf.fork();
    if (pid === 0) {
      fs.readSync(go.read, Buffer.alloc(1));
      // Once each: a wait that has not begun yet finds the other value, and ends by that.
      for (let word = 1; word <= 15; word++) {
        Atomics.store(words, word, 5);
        wakeWord(block.offset + word * 4);
      }
      process.exit(0);
    }
    let silent = true;
    const cancelled = waitWord(block.offset + 4, 0, () => (silent = false));
    cancelled.cancel();
    cancelled.cancel();
    const many = Promise.all(Array.from({ length: 15 }, (_, i) => ended((i + 1) * 4, 0)));
    fs.writeSync(go.write, 'x');
    t.report(await many);
    t.report(rf.waitpid(pid).status);
    t.report(silent);
  });
  expect(run.reports).toEqual([false, true, true, Array(15).fill(false), 0, true]);
});

test('a wait keeps the loop alive or does not; in a forked child it is forgotten and new ones work', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { waitWord } = t.internal('shared/wait-word') as typeof import('../../dist/shared/wait-word');
    const block = allocate(64);
    waitWord(block.offset, 0, () => t.report(`parent ${process.pid === parent}`), { timeout: 300 });
    const parent = process.pid;
    const pid = rf.fork();
    if (pid === 0) {
      const timedOut = await new Promise((resolve) => waitWord(block.offset, 0, resolve, { timeout: 20 }));
      waitWord(block.offset, 0, () => t.report('never'), { keepsLoopAlive: false });
      t.report(['child', timedOut]);
      return;
    }
    t.report((await rf.waitpidAsync(pid)).status);
  });
  expect(run.reports).toEqual([['child', true], 0, 'parent true']);
});

test('a process that waits uses no CPU, blocked or on the loop', async () => {
  const run = await cleanProgram((rf, t) => {
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { waitWord, waitWordSync } = t.internal('shared/wait-word') as typeof import('../../dist/shared/wait-word');
    const block = allocate(64);
    const usage = () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    };
    const before = usage();
    waitWordSync(block.offset, 0, 600);
    const blocked = usage() - before;
    const start = usage();
    waitWord(block.offset, 0, () => t.report({ blocked: blocked < 30, onLoop: usage() - start < 100 }), {
      timeout: 600,
    });
  });
  expect(run.reports).toEqual([{ blocked: true, onLoop: true }]);
});

test('an uncaught exception or process.exit with waits under way ends the process as usual', async () => {
  const run = await cleanProgram((rf, t) => {
    const { allocate } = t.internal('shared/arena') as typeof import('../../dist/shared/arena');
    const { waitWord } = t.internal('shared/wait-word') as typeof import('../../dist/shared/wait-word');
    const block = allocate(64);
    for (let i = 0; i < 5; i++) waitWord(block.offset, 0, () => t.report('never'));
    const pid = rf.fork();
    if (pid === 0) {
      waitWord(block.offset, 0, () => t.report('never'));
      process.exit(3);
    }
    t.report(rf.waitpid(pid).status >> 8);
    setTimeout(() => process.exit(0), 20);
  });
  expect(run.reports).toEqual([3]);
});

test('in a Worker the module loads and its use is refused', async () => {
  const run = await cleanProgram(
    (rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const worker = new Worker(
        `const { allocate } = require(process.argv[2]);
       try { allocate(8) } catch (error) { require('node:worker_threads').parentPort.postMessage(error.code) }`,
        { eval: true, argv: [require.resolve(t.args[0] as string)] },
      );
      worker.on('message', (code) => t.report(code));
    },
    { args: [require.resolve('../../dist/shared/arena.js')] },
  );
  expect(run.reports).toEqual(['ERR_WORKER_UNSUPPORTED_OPERATION']);
});
