/** Named blocks are removed after their last user, however that one ends; and by whom. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import { methodProgram, startMethods } from '../helpers/method-program';
import { processInfo } from '../helpers/processes';
import { cleanProgram, packageRoot } from '../helpers/program';

/** Generous: on a loaded machine the kernel and the tracker take turns with everybody else. */
const DEADLINE = 20_000;

async function untilGone(name: string): Promise<void> {
  const deadline = performance.now() + DEADLINE;
  while (existsSync(`/dev/shm/${name}`)) {
    if (performance.now() > deadline) throw new Error(`${name} is still there after ${DEADLINE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const isThere = (name: string) => existsSync(`/dev/shm/${name}`);

jest.setTimeout(90_000);

const users: ChildProcess[] = [];
afterEach(() => {
  for (const child of users.splice(0)) child.kill('SIGKILL');
});

/** A Node that is no relative of the others, ready when it has written its first line. */
async function user(body: string): Promise<ChildProcess & { readonly line: string }> {
  const source = `const { SharedMemory } = require(${JSON.stringify(join(packageRoot, 'dist', 'multiprocessing.js'))});
    const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
    const say = (text) => require('fs').writeSync(1, text + '\\n');
    ${body}; setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['-e', source], { stdio: ['pipe', 'pipe', 'inherit'] });
  users.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return Object.assign(child, { line: line.toString().trim() });
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

let serial = 0;
const fresh = () => `realfork-cleanup-${process.pid}-${(serial += 1)}`;

describe('a named block', () => {
  test.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)(
    'is gone after its only user was ended by %s',
    async (signal) => {
      const child = await user(`say(new SharedMemory({ create: true, size: 10 }).name)`);
      expect(isThere(child.line)).toBe(true);
      await end(child, signal);
      await untilGone(child.line);
    },
  );

  test('is gone after a user that ends by itself, having closed it or not', async () => {
    const names = [fresh(), fresh()];
    await cleanProgram(
      (_rf, t) => {
        const { SharedMemory } = t.mp;
        new SharedMemory({ name: t.args[0], create: true, size: 10 }).buf.fill(1);
        new SharedMemory({ name: t.args[1], create: true, size: 10 }).close();
      },
      { args: names },
    );
    await Promise.all(names.map(untilGone));
  });

  test('stays for an unrelated user when its maker was killed, and others can attach; gone with the last', async () => {
    const name = fresh();
    const maker = await user(
      `const m = new SharedMemory({ name: '${name}', create: true, size: 10 }); m.buf.fill(7); say('ok')`,
    );
    const second = await user(`const m = new SharedMemory({ name: '${name}' }); say('ok')`);
    await end(maker);
    const third = await user(`const m = new SharedMemory({ name: '${name}' }); say(String(m.buf[9]))`);
    expect(third.line).toBe('7');
    await end(second);
    const fourth = await user(`const m = new SharedMemory({ name: '${name}' }); say(String(m.buf[9]))`);
    expect(fourth.line).toBe('7');
    await end(third, 'SIGTERM');
    expect(isThere(name)).toBe(true);
    await end(fourth);
    await untilGone(name);
  });

  test('unrelated users killed at the same moment: one of the trackers removes it', async () => {
    for (let round = 0; round < 5; round++) {
      const name = fresh();
      const users = [await user(`const m = new SharedMemory({ name: '${name}', create: true, size: 10 }); say('ok')`)];
      const attach = () => user(`const m = new SharedMemory({ name: '${name}' }); say('ok')`);
      users.push(...(await Promise.all([attach(), attach()])));
      await Promise.all(users.map((one) => end(one)));
      await untilGone(name);
    }
  });

  test('stays while any process forked from its maker has it', async () => {
    const name = fresh();
    const maker = await user(`
      const m = new SharedMemory({ name: '${name}', create: true, size: 10 });
      const pid = fork();
      if (pid === 0) { m.buf[0] = 5; say(String(process.pid)); }`);
    await end(maker);
    const other = await user(`const m = new SharedMemory({ name: '${name}' }); say(String(m.buf[0]))`);
    expect(other.line).toBe('5');
    await end(other);
    expect(isThere(name)).toBe(true);
    process.kill(Number(maker.line), 'SIGKILL');
    await untilGone(name);
  });

  test('the death of its last user removes it while the rest of the family lives on', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { existsSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const [held, inherited, own] = t.args as string[];
        const gone = (name: string | undefined) => t.waitUntil(() => !existsSync(`/dev/shm/${name}`), 'gone', 20_000);
        const kept = new SharedMemory({ name: held as string, create: true, size: 10 }); // the family has a tracker now
        const ready = t.pipes('ready');
        const { readSync, writeSync } = require('node:fs') as typeof import('node:fs');
        const shared = new SharedMemory({ name: inherited as string, create: true, size: 10 });
        const pid = rf.fork();
        if (pid === 0) {
          const mine = new SharedMemory({ name: own as string, create: true, size: 10 });
          mine.buf[0] = shared.buf[0] as number;
          writeSync(ready.ready.write, 'x');
          for (;;) rf.pause();
        }
        readSync(ready.ready.read, Buffer.alloc(1));
        shared.close(); // in good order, and not the last
        t.report([existsSync(`/dev/shm/${inherited}`), existsSync(`/dev/shm/${own}`)]);
        rf.kill(pid, 'SIGKILL');
        rf.waitpid(pid);
        await Promise.all([gone(inherited), gone(own)]);
        t.report(existsSync(`/dev/shm/${held}`));
        kept.buf[0] = 1;
      },
      { args: [fresh(), fresh(), fresh()], timeout: 60_000 },
    );
    expect(run.reports).toEqual([[true, true], true]);
  });

  test('a block that its last user closed in good order stays for the family: it is handed over by name', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { existsSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const [first, name] = t.args as [string, string];
        const own = new SharedMemory({ name: first, create: true, size: 10 });
        const pid = rf.fork();
        if (pid === 0) {
          const memory = new SharedMemory({ name, create: true, size: 10 });
          memory.buf.write('result');
          memory.close();
          process.exit(0);
        }
        rf.waitpid(pid);
        // What the tracker would do, it has done when another block, of a killed user, has gone.
        const other = rf.fork();
        if (other === 0) {
          own.close();
          new SharedMemory({ name: `${name}-other`, create: true, size: 1 }).buf[0] = 1;
          process.kill(process.pid, 'SIGKILL');
        }
        rf.waitpid(other);
        await t.waitUntil(() => !existsSync(`/dev/shm/${name}-other`), 'gone', 20_000);
        const memory = new SharedMemory({ name });
        t.report(memory.buf.toString('latin1', 0, 6));
        memory.close();
        memory.unlink();
      },
      { args: [fresh(), fresh()], timeout: 60_000 },
    );
    expect(run.reports).toEqual(['result']);
  });

  test.each(startMethods)(
    'of a worker (%s) whose parent has none of its own stays for the parent, and goes with it',
    async (method) => {
      const run = await methodProgram(
        method,
        (_rf, t) => ({
          work(name: string) {
            const memory = new t.mp.SharedMemory({ name, create: true, size: 10 });
            memory.buf.write('result');
            memory.close();
            new t.mp.SharedMemory({ name: `${name}-other`, create: true, size: 1 }).buf[0] = 1;
            process.kill(process.pid, 'SIGKILL');
          },
        }),
        async (_rf, t, { work }) => {
          const { existsSync } = require('node:fs') as typeof import('node:fs');
          const { Process, SharedMemory } = t.mp;
          const [name] = t.args as [string];
          const worker = new Process({ target: work, args: [name] });
          worker.start();
          await worker.join();
          // What the tracker would do, it has done when the other block, of a killed user, has gone.
          await t.waitUntil(() => !existsSync(`/dev/shm/${name}-other`), 'gone', 20_000);
          const memory = new SharedMemory({ name });
          t.report(memory.buf.toString('latin1', 0, 6));
          memory.close();
          t.report(existsSync(`/dev/shm/${name}`));
        },
        { args: [fresh()] },
      );
      expect(run.reports).toEqual(['result', true]);
      await untilGone(`realfork-cleanup-${process.pid}-${serial}`);
    },
  );

  test('100 blocks, of which some are unlinked and made anew, are gone after SIGKILL', async () => {
    const name = fresh();
    const child = await user(`
      const all = [];
      for (let i = 0; i < 100; i++) all.push(new SharedMemory({ name: '${name}-' + i, create: true, size: 1000 }));
      for (let i = 0; i < 100; i += 3) { all[i].unlink(); all[i] = new SharedMemory({ name: '${name}-' + i, create: true, size: 10 }); }
      say('ok')`);
    expect(readdirSync('/dev/shm').filter((entry) => entry.startsWith(`${name}-`))).toHaveLength(100);
    await end(child);
    for (let i = 0; i < 100; i++) await untilGone(`${name}-${i}`);
  });

  test('killed at a random moment of making and removing blocks: nothing stays', async () => {
    const name = fresh();
    const work = `
      const children = [];
      say('ok');
      for (let i = 0; ; i++) {
        const m = new SharedMemory({ name: '${name}-' + process.pid + '-' + i, create: true, size: 1 + i % 9000 });
        if (i % 3 === 0) m.unlink();
        if (i % 2 === 0) m.close();
        if (i % 50 === 49) { const n = new SharedMemory({ create: true, size: 4 }); n.name; if (fork() === 0) process.kill(process.pid, 'SIGKILL'); }
      }`;
    for (let round = 0; round < 8; round++) {
      const child = await user(work);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      await end(child);
    }
    const left = () => readdirSync('/dev/shm').filter((entry) => entry.startsWith(`${name}-`));
    const deadline = performance.now() + DEADLINE;
    while (left().length > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(left()).toEqual([]);
  });
});

/** The trackers that are children of a process. */
function trackersOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((entry) => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'latin1');
        return stat.includes('(realfork-shm)') && stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(pid);
      } catch {
        return false; // gone meanwhile
      }
    })
    .map(Number);
}

describe('the tracker', () => {
  test('there is one in a family, from its first named block on; nobody waits for it', async () => {
    const run = await cleanProgram((rf, t) => {
      const { readFileSync, readdirSync } = require('node:fs') as typeof import('node:fs');
      const { SharedMemory } = t.mp;
      const trackers = () =>
        readdirSync('/proc')
          .filter((entry) => /^\d+$/.test(entry))
          .filter((entry) => t.stat(Number(entry))?.[1] === String(process.pid))
          .filter((entry) => readFileSync(`/proc/${entry}/comm`, 'latin1') === 'realfork-shm\n');
      const unnamed = new SharedMemory({ create: true, size: 10 });
      t.report(trackers().length);
      const blocks = [unnamed.name, 1, 2].map(() => new SharedMemory({ name: unnamed.name }));
      t.report([trackers().length, blocks.length]);
      t.report([t.caught(() => rf.waitpid(-1)).code, t.caught(() => rf.wait()).code]);
      t.report(t.caught(() => rf.waitid('P_ALL' in rf ? rf.P_ALL : 0, 0, rf.WEXITED)).code);
      const [tracker] = trackers();
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) rf.kill(Number(tracker), signal);
      t.report(new SharedMemory({ name: unnamed.name }).size);
      t.report(trackers()[0] === tracker);
      // In a session of its own, holding neither the standard streams nor the working directory.
      t.report([rf.getsid(Number(tracker)) === Number(tracker)]);
    });
    expect(run.reports).toEqual([0, [1, 3], ['ECHILD', 'ECHILD'], 'ECHILD', 10, true, [true]]);
  });

  test('it lets go of the standard streams: who reads them sees the end with the family', async () => {
    const child = await user(`const m = new SharedMemory({ create: true, size: 10 }); say(m.name); process.exit(0)`);
    if (child.stdout?.readableEnded === false) await once(child.stdout, 'end');
    await untilGone(child.line);
  });

  test('it keeps less than 1 MB of a parent with 200 MB, also when the parent writes all of it afterwards', async () => {
    const child = await user(`
      const kept = Array.from({ length: 1000 }, () => Buffer.alloc(100_000, 1));
      const objects = Array.from({ length: 1_000_000 }, (_, i) => ({ i, text: 'x' + i }));
      const big = new ArrayBuffer(50e6); new Uint8Array(big).fill(1);
      const m = new SharedMemory({ create: true, size: 10 });
      m.name;
      for (const buffer of kept) buffer.fill(2);
      for (const object of objects) object.i++;
      new Uint8Array(big).fill(2);
      say('ok')`);
    const [tracker] = trackersOf(child.pid as number);
    const pss = (pid: number | undefined) =>
      Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]);
    const deadline = performance.now() + DEADLINE;
    while (pss(tracker) >= 1000 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(pss(child.pid)).toBeGreaterThan(200_000);
    expect(pss(tracker)).toBeLessThan(1000);
    await end(child);
  });

  test('one that was killed is replaced at the next named block, which also minds the earlier ones', async () => {
    const first = fresh();
    const child = await user(`
      const one = new SharedMemory({ name: '${first}', create: true, size: 10 });
      process.stdin.once('data', () => { const two = new SharedMemory({ name: '${first}-2', create: true, size: 10 }); say('ok'); });
      say('ok')`);
    const [tracker] = trackersOf(child.pid as number);
    process.kill(tracker as number, 'SIGKILL');
    const deadline = performance.now() + DEADLINE;
    while (processInfo(tracker as number)?.state !== 'Z' && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    child.stdin?.write('go');
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    const [next, ...more] = trackersOf(child.pid as number);
    expect([next === tracker, more]).toEqual([false, []]);
    await end(child);
    await untilGone(first);
    await untilGone(`${first}-2`);
  });

  test('a process that closed all its descriptors gets another one', async () => {
    const run = await cleanProgram(
      (_rf, t) => {
        const { closeSync, openSync, readdirSync, fstatSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const [one, two] = t.args as [string, string];
        const first = new SharedMemory({ name: one, create: true, size: 10 });
        const unnamed = new SharedMemory({ create: true, size: 10 });
        for (const entry of readdirSync('/proc/self/fd')) {
          const fd = Number(entry);
          if (fd > 2 && readlink(fd)) closeSync(fd);
        }
        function readlink(fd: number) {
          const { readlinkSync } = require('node:fs') as typeof import('node:fs');
          try {
            return /socket|\/dev\/shm/.test(readlinkSync(`/proc/self/fd/${fd}`));
          } catch {
            return false;
          }
        }
        const others = Array.from({ length: 10 }, () => openSync('/dev/null', 'r'));
        const second = new SharedMemory({ name: two, create: true, size: 10 });
        unnamed.close();
        first.close();
        second.close();
        t.report(others.every((fd) => fstatSync(fd).isCharacterDevice()));
      },
      { args: [fresh(), fresh()] },
    );
    expect(run.reports).toEqual([true]);
  });
});
