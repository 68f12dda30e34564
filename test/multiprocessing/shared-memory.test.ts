import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { withFailingFork } from '../helpers/conditions';
import { cleanProgram, packageRoot } from '../helpers/program';
import { unshare } from '../helpers/root';

const hasPython = spawnSync('python3', ['-c', 'import multiprocessing.shared_memory']).status === 0;
const testWithPython = hasPython ? test : test.skip;

/** In front of node: a /dev/shm of its own, of 16 MB. */
const ownShm = [...unshare, '--mount', 'sh', '-c', 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"', 'sh'];
const hasOwnShm = spawnSync(ownShm[0] as string, [...ownShm.slice(1), 'true']).status === 0;
const testWithOwnShm = hasOwnShm ? test : test.skip;

describe('SharedMemory', () => {
  test('M05 a named block: attributes, contents, a second object on it, a size that is ignored', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { statSync } = require('node:fs') as typeof import('node:fs');
      const { SharedMemory } = t.mp;
      const name = `realfork-basics-${process.pid}`;
      const memory = new SharedMemory({ name, create: true, size: 512 });
      t.report([
        memory.name === name,
        memory.size,
        memory.buf.length,
        (statSync(`/dev/shm/${name}`).mode & 0o7777).toString(8),
      ]);
      t.report([String(memory).includes(name), String(memory).includes('512')]);
      memory.buf[0] = 42;
      const also = new SharedMemory({ name });
      t.report(also.buf[0]);
      also.close();
      const same = new SharedMemory({ name: `/${name}`, size: 20 * memory.size });
      t.report([same.size, same.name === name]);
      same.close();
      memory.close();
      t.report(memory.size);
      memory.unlink();
    });
    expect(run.reports).toEqual([[true, 512, 512, '600'], [true, true], 42, [512, true], 512]);
  });

  test('M05 writes are seen across processes: by inheritance, by name, by object', async () => {
    const run = await cleanProgram((rf, t) => {
      const { SharedMemory } = t.mp;
      const memory = new SharedMemory({ create: true, size: 512 });
      const inChild = (write: () => void) => {
        const pid = rf.fork();
        if (pid === 0) {
          write();
          process.exit(0);
        }
        return rf.waitpid(pid).status;
      };
      const text = () => memory.buf.toString('latin1', 0, 9);
      const seen = [inChild(() => memory.buf.write('inherited')), text()];
      const { name } = memory;
      const byName = () => {
        const attached = new SharedMemory({ name });
        attached.buf.write('by name  ');
        attached.close();
      };
      seen.push(inChild(byName), text());
      const ofChild = () => {
        memory.buf.write('closed   ');
        memory.close();
      };
      seen.push(inChild(ofChild), text());
      t.report(seen);
      memory.close();
      memory.unlink();
    });
    expect(run.reports).toEqual([[0, 'inherited', 0, 'by name  ', 0, 'closed   ']]);
  });

  test('M05 the documentation says that a SharedArrayBuffer is not shared by fork', () => {
    const text = readFileSync(join(packageRoot, 'docs', 'shared-memory.md'), 'utf8');
    expect(text).toMatch(/SharedArrayBuffer[^.]*not[^.]*shared[^.]*fork/i);
  });

  test('a block without a name is nowhere to be found until somebody asks for its name', async () => {
    const before = new Set(readdirSync('/dev/shm'));
    const run = await cleanProgram((rf, t) => {
      const { readdirSync } = require('node:fs') as typeof import('node:fs');
      const memory = new t.mp.SharedMemory({ create: true, size: 100 });
      const unnamed = readdirSync('/dev/shm');
      // Both sides of a fork give the same name.
      const pid = rf.fork();
      if (pid === 0) {
        t.report(memory.name);
        process.exit(0);
      }
      rf.waitpid(pid);
      const named = readdirSync('/dev/shm').includes(memory.name);
      t.report([memory.name, unnamed, named]);
      memory.unlink();
      t.report([memory.name.startsWith('psm_'), readdirSync('/dev/shm').includes(memory.name)]);
      memory.close();
    });
    const [inChild, [name, unnamed, named], end] = run.reports;
    expect(inChild).toBe(name);
    expect((unnamed as string[]).filter((entry) => entry.startsWith('psm_') && !before.has(entry))).not.toContain(name);
    expect(named).toBe(true);
    expect(end).toEqual([true, false]);
  });

  test('M06 bad arguments throw, and leave nothing', async () => {
    const run = await cleanProgram(
      (_rf, t) => {
        const { readdirSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const bad: unknown[] = [
          { create: true, size: 0 },
          { create: true, size: -1 },
          { create: true, size: -2 },
          { create: true, size: 1.5 },
          { create: true, size: NaN },
          { create: true, size: 2 ** 53 },
          { create: true, size: '512' },
          { create: true },
          { create: false },
          { create: 1, size: 512 },
          {},
          { name: '' },
          { name: 'a/b' },
          { name: '..' },
          { name: 'nul\0byte' },
          { name: 7 },
          { name: 'x', size: -1 },
          undefined,
          null,
          'name',
        ];
        t.report(bad.map((options) => t.caught(() => new SharedMemory(options as never)).code));
        t.report(t.args[0] ? readdirSync('/dev/shm') : []); // where nobody else makes anything
      },
      { args: [hasOwnShm], wrapper: hasOwnShm ? ownShm : [] },
    );
    const range = 'ERR_OUT_OF_RANGE';
    const type = 'ERR_INVALID_ARG_TYPE';
    const value = 'ERR_INVALID_ARG_VALUE';
    expect(run.reports).toEqual([
      [range, range, range, range, range, range, type, type, value, type, value]
        .concat([value, value, value, value, type, range])
        .concat([type, type, type]),
      [],
    ]);
  });

  test('M06 a missing name, a taken name, a second unlink', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { SharedMemory } = t.mp;
      const name = `realfork-errors-${process.pid}`;
      t.report(t.caught(() => new SharedMemory({ name })));
      const memory = new SharedMemory({ name, create: true, size: 5000 });
      memory.buf.write('unharmed');
      t.report(t.caught(() => new SharedMemory({ name, create: true, size: 10 })));
      const again = new SharedMemory({ name });
      t.report([again.buf.toString('latin1', 0, 8), again.size]);
      again.unlink();
      again.close();
      memory.close();
      t.report(t.caught(() => memory.unlink()));
      t.report(t.caught(() => new SharedMemory({ name: 'x'.repeat(300) })).code);
      t.report(t.caught(() => new SharedMemory({ name: 'x'.repeat(300), create: true, size: 1 })).code);
    });
    const name = expect.stringMatching(/^realfork-errors-/) as string;
    expect(run.reports).toEqual([
      { name: 'PosixError', code: 'ENOENT', errno: -2, syscall: 'shm_open', path: name },
      { name: 'PosixError', code: 'EEXIST', errno: -17, syscall: 'shm_open', path: name },
      ['unharmed', 5000],
      { name: 'PosixError', code: 'ENOENT', errno: -2, syscall: 'shm_unlink', path: name },
      'ERR_INVALID_ARG_VALUE',
      'ERR_INVALID_ARG_VALUE',
    ]);
  });

  test('unlink() does not take the name from another block that has it by now', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { SharedMemory } = t.mp;
      const name = `realfork-again-${process.pid}`;
      const first = new SharedMemory({ name, create: true, size: 1 });
      const second = new SharedMemory({ name });
      second.unlink();
      const other = new SharedMemory({ name, create: true, size: 2 });
      t.report(t.caught(() => first.unlink()).code);
      t.report(new SharedMemory({ name }).size);
      other.unlink();
    });
    expect(run.reports).toEqual(['ENOENT', 2]);
  });

  test('close() and unlink() in either order, close() twice, and the name of what is closed', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { SharedMemory } = t.mp;
      for (const isNamed of [true, false]) {
        const make = (i: number) =>
          new SharedMemory({ name: isNamed ? `realfork-order-${i}-${process.pid}` : null, create: true, size: 64 });
        const one = make(1);
        one.close();
        one.close();
        one.unlink();
        t.report(t.caught(() => one.unlink()).code);
        const two = make(2);
        two.unlink();
        two.close();
        t.report(t.caught(() => two.unlink()).code);
      }
      const named = new SharedMemory({ create: true, size: 10 });
      const { name } = named;
      named.buf.write('handed over');
      named.close();
      t.report(new SharedMemory({ name: named.name }).buf.toString('latin1'));
      named.unlink();
      t.report(named.name === name);
      const unnamed = new SharedMemory({ create: true, size: 10 });
      unnamed.close();
      t.report(t.caught(() => unnamed.name).code);
      t.report(String(unnamed).startsWith("SharedMemory('psm_"));
    });
    const gone = ['ENOENT', 'ENOENT', 'ENOENT', 'ENOENT'];
    expect(run.reports).toEqual([...gone, 'handed ove', true, 'ERR_INVALID_STATE', true]);
  });

  test('after close() every view has length 0, and nothing crashes: in memory, and in requests under way', async () => {
    const run = await cleanProgram(
      async (_rf, t) => {
        const { promisify } = require('node:util') as typeof import('node:util');
        const { deflate } = require('node:zlib') as typeof import('node:zlib');
        const { open } = require('node:fs/promises') as typeof import('node:fs/promises');
        const { SharedMemory } = t.mp;
        const memory = new SharedMemory({ create: true, size: 8 * 2 ** 20 });
        const view = new Uint8Array(memory.buf.buffer);
        const part = memory.buf.subarray(10, 20);
        const file = await open('/dev/zero');
        // What it makes fits one chunk: Node's zlib stops at a buffer that is gone when it starts another.
        const compressing = promisify<Buffer, { level: number }, Buffer>(deflate)(memory.buf, { level: 9 });
        const reading = file.read(memory.buf, 0, 2 ** 20);
        memory.close();
        t.report([view.length, part.length, view[0] ?? 'nothing']);
        t.report([t.caught(() => memory.buf).code]);
        global.gc?.();
        await new Promise(setImmediate);
        global.gc?.();
        await Promise.allSettled([compressing, reading]);
        await file.close();
        global.gc?.();
        await new Promise(setImmediate);
        t.report('alive');
      },
      { nodeFlags: ['--expose-gc'] },
    );
    expect(run.reports).toEqual([[0, 0, 'nothing'], ['ERR_INVALID_STATE'], 'alive']);
  });

  test('memory outlives the object while a view of it is there, and goes when nothing is', async () => {
    const run = await cleanProgram(
      async (_rf, t) => {
        const { readFileSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const mapped = () => readFileSync('/proc/self/maps', 'latin1').includes('/dev/shm/');
        const collect = async () => {
          for (let i = 0; i < 3; i++) {
            global.gc?.();
            await new Promise(setImmediate);
          }
        };
        let view: Buffer | null = new SharedMemory({ create: true, size: 64 }).buf.subarray(0, 8);
        view.write('still');
        await collect();
        t.report([mapped(), view.toString('latin1', 0, 5)]);
        view = null;
        await collect();
        t.report(mapped());
      },
      { nodeFlags: ['--expose-gc'] },
    );
    expect(run.reports).toEqual([[true, 'still'], false]);
  });

  test('size is exact, memory starts as zeros, and costs no descriptor once it has a name', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { readdirSync } = require('node:fs') as typeof import('node:fs');
      const { SharedMemory } = t.mp;
      const descriptors = () => readdirSync('/proc/self/fd').length;
      const first = new SharedMemory({ name: `realfork-fds-${process.pid}`, create: true, size: 1 }); // and the tracker
      const before = descriptors();
      const more = [1, 7, 4095, 4096, 4097, 123_457].map((size, i) => {
        const memory = new SharedMemory({ name: `realfork-fds-${i}-${process.pid}`, create: true, size });
        if (memory.size !== size || memory.buf.length !== size || memory.buf.some((byte) => byte !== 0)) throw memory;
        return memory;
      });
      t.report(descriptors() - before);
      for (const memory of [first, ...more]) {
        memory.close();
        memory.unlink();
      }
      t.report(descriptors() - before);
    });
    expect(run.reports).toEqual([0, 0]);
  });

  test('using closes it', async () => {
    const run = await cleanProgram((_rf, t) => {
      const memory = new t.mp.SharedMemory({ create: true, size: 8 });
      const view = memory.buf;
      memory[Symbol.dispose]();
      t.report(view.length);
    });
    expect(run.reports).toEqual([0]);
  });

  test('no descriptor left, no room, no address space, no process: typed errors, and everything works afterwards', async () => {
    const run = await cleanProgram(
      (rf, t) => {
        const { closeSync, openSync, statfsSync, readdirSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const prefix = `realfork-limits-${process.pid}`;
        const works = (name: string) => {
          const memory = new SharedMemory({ name: `${prefix}-${name}`, create: true, size: 4096 });
          memory.buf.fill(7);
          const isGood = new SharedMemory({ name: memory.name }).buf[4095] === 7;
          memory.unlink();
          return isGood;
        };
        const create = (size: number, name: string | null = `${prefix}-bad`) =>
          new SharedMemory({ name, create: true, size });

        // Descriptors, at the very first block (no tracker yet) and later.
        const openFds = () => {
          const fds: number[] = [];
          try {
            for (;;) fds.push(openSync('/dev/null', 'r'));
          } catch {
            return fds;
          }
        };
        const limit = rf.getrlimit(rf.RLIMIT_NOFILE);
        const used = Math.max(...readdirSync('/proc/self/fd').map(Number));
        rf.setrlimit(rf.RLIMIT_NOFILE, { soft: used + 8, hard: limit.hard });
        for (const round of [1, 2]) {
          const fds = openFds();
          t.report([t.caught(() => create(10)).code, t.caught(() => create(10, null)).code]);
          // One descriptor is enough for the file, and the first time not for the tracker.
          closeSync(fds.pop() as number);
          t.report(round === 1 ? t.caught(() => create(10)).code : (create(10).unlink(), 'works'));
          for (const fd of fds) closeSync(fd);
          t.report(works(`fds-${round}`));
        }
        rf.setrlimit(rf.RLIMIT_NOFILE, limit);

        // The file system of shared memory.
        const room = statfsSync('/dev/shm');
        const tooMuch = room.bavail * room.bsize + 1;
        const largest = (require('node:buffer') as typeof import('node:buffer')).constants.MAX_LENGTH;
        t.report(
          tooMuch > largest
            ? { code: 'ENOSPC', syscall: 'posix_fallocate' } // no buffer is as large as this machine's /dev/shm
            : (({ code, syscall }) => ({ code, syscall }))(t.caught(() => create(tooMuch))),
        );
        t.report(works('space'));

        // Files of this size; the signal that comes with the error does no harm.
        rf.setrlimit(rf.RLIMIT_FSIZE, { soft: 1_000_000, hard: Infinity });
        t.report(t.caught(() => create(2_000_000)).code);
        t.report(works('size'));

        // Addresses.
        rf.setrlimit(rf.RLIMIT_AS, { soft: 1_000_000, hard: Infinity });
        t.report(t.caught(() => create(500_000)).code);
        rf.setrlimit(rf.RLIMIT_AS, { soft: Infinity, hard: Infinity });
        t.report(works('addresses'));
        t.report(readdirSync('/dev/shm').filter((name) => name.startsWith(prefix)));
      },
      { timeout: 30_000 },
    );
    expect(run.reports).toEqual([
      ['EMFILE', 'EMFILE'],
      'EMFILE',
      true,
      ['EMFILE', 'EMFILE'],
      'works',
      true,
      { code: 'ENOSPC', syscall: 'posix_fallocate' },
      true,
      'EFBIG',
      true,
      'ENOMEM',
      true,
      [],
    ]);
  });

  test('sent, it is the same block; one that is gone by then is ENOENT for the receiver', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { encode, decode } = t.internal('ipc/serialize') as typeof import('../../dist/ipc/serialize');
      const { SharedMemory } = t.mp;
      const memory = new SharedMemory({ create: true, size: 512 });
      memory.buf.write('pickle');
      const message = Buffer.from(encode({ memory }).bytes);
      const { memory: same } = decode(message) as { memory: InstanceType<typeof SharedMemory> };
      t.report([same instanceof SharedMemory, same.name === memory.name, same.buf.toString('latin1', 0, 6)]);
      memory.buf.write('newval');
      t.report(same.buf.toString('latin1', 0, 6));
      same.buf.write('oldval');
      t.report(memory.buf.toString('latin1', 0, 6));
      same.close();
      memory.close();
      memory.unlink();
      t.report(t.caught(() => decode(message)).code);
    });
    expect(run.reports).toEqual([[true, true, 'pickle'], 'newval', 'oldval', 'ENOENT']);
  });

  testWithOwnShm(
    'a full file system is ENOSPC when the block is made, and what was made can be written whole',
    async () => {
      const run = await cleanProgram(
        (_rf, t) => {
          const { readdirSync, statfsSync } = require('node:fs') as typeof import('node:fs');
          const { SharedMemory, ShareableList } = t.mp;
          const room = () => statfsSync('/dev/shm').bavail * statfsSync('/dev/shm').bsize;
          const mega = 2 ** 20;
          t.report([
            statfsSync('/dev/shm').blocks * statfsSync('/dev/shm').bsize,
            t.caught(() => new SharedMemory({ create: true, size: 17 * mega })),
          ]);
          const made: InstanceType<typeof SharedMemory>[] = [];
          const error = t.caught(() => {
            for (;;) made.push(new SharedMemory({ name: `part-${made.length}`, create: true, size: mega + 1 }));
          });
          t.report([error.code, error.syscall, error.path, made.length, room() < mega + 8192]);
          t.report(t.caught(() => new ShareableList(['x'.repeat(2 * mega)])).code);
          for (const memory of made) memory.buf.fill(1); // each page is there
          t.report(readdirSync('/dev/shm').length - made.length);
          made.pop()?.unlink();
          made[0]?.unlink();
          made[0]?.close();
          // At once: that the tracker still has open what is closed and without a name is not the next block's trouble.
          new SharedMemory({ name: 'again', create: true, size: mega }).buf.fill(2);
          t.report(room() >= 0);
        },
        { wrapper: ownShm },
      );
      expect(run.reports).toEqual([
        [
          16 * 2 ** 20,
          {
            name: 'PosixError',
            code: 'ENOSPC',
            errno: -28,
            syscall: 'posix_fallocate',
            path: expect.any(String) as string,
          },
        ],
        ['ENOSPC', 'posix_fallocate', 'part-15', 15, true],
        'ENOSPC',
        0,
        true,
      ]);
    },
  );

  test('where no tracker can be made, a named block is an error that leaves nothing, and an unnamed one works', async () => {
    const run = await cleanProgram(
      (_rf, t) => {
        const { existsSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const name = `realfork-nofork-${process.pid}`;
        const { code, syscall } = t.caught(() => new SharedMemory({ name, create: true, size: 10 }));
        t.report([code, syscall, existsSync(`/dev/shm/${name}`)]);
        const unnamed = new SharedMemory({ create: true, size: 10 });
        unnamed.buf[0] = 1;
        t.report([t.caught(() => unnamed.name).code, unnamed.buf[0]]);
      },
      { wrapper: withFailingFork(constants.errno.EAGAIN) },
    );
    expect(run.reports).toEqual([
      ['EAGAIN', 'clone', false],
      ['EAGAIN', 1],
    ]);
  });

  test('Workers have it too, and one that ends gives its part back', async () => {
    const run = await cleanProgram(
      async (_rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        const { existsSync, readFileSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const memory = new SharedMemory({ create: true, size: 100 });
        // The Worker's: this thread's was mapped before the file had a name.
        const mapped = () => readFileSync('/proc/self/maps', 'latin1').split(`/dev/shm/${memory.name}`).length - 1;
        const body = `const { SharedMemory } = require(${JSON.stringify(t.args[0])});
          const memory = new SharedMemory({ name: ${JSON.stringify(memory.name)} });
          memory.buf.write('worker');
          const own = new SharedMemory({ name: ${JSON.stringify(`${memory.name}-own`)}, create: true, size: 10 });`;
        const worker = new Worker(body, { eval: true });
        const code = await new Promise((resolve) => worker.on('exit', resolve));
        t.report([code, memory.buf.toString('latin1', 0, 6), mapped()]);
        // The Worker closed its block by ending in good order; the process lives.
        t.report(existsSync(`/dev/shm/${memory.name}-own`));
        memory.unlink();
      },
      { args: [join(packageRoot, 'dist', 'multiprocessing.js')] },
    );
    expect(run.reports).toEqual([[0, 'worker', 0], true]);
  });

  test('M05 across Process and Pipe: by name and by object in args, and sent in a message', async () => {
    const run = await cleanProgram(async (_rf, t) => {
      const { Pipe, Process, SharedMemory, ShareableList } = t.mp;
      type Block = InstanceType<typeof SharedMemory>;
      const attachAndWrite = (which: string | Block, text: string) => {
        const local = typeof which === 'string' ? new SharedMemory({ name: which }) : which;
        local.buf.write(text);
        local.close();
      };
      const memory = new SharedMemory({ create: true, size: 512 });
      for (const args of [
        [memory, 'first'],
        [memory.name, 'howdy'],
        [memory, 'HELLO'],
      ] as [Block | string, string][]) {
        const child = new Process({ target: attachAndWrite, args, daemon: true });
        child.start();
        await child.join();
        t.report([child.exitCode, memory.buf.toString('latin1', 0, 5)]);
      }

      const list = new ShareableList([1, 'text', null]);
      const [mine, theirs] = Pipe();
      const child = new Process({
        target: async () => {
          mine.close();
          const got = (await theirs.recv()) as { memory: Block; list: typeof list; made?: Block };
          got.memory.buf.write('piped');
          got.list[1] = 'kid';
          const made = new SharedMemory({ create: true, size: 10 });
          made.buf.write('from child');
          await theirs.send(made);
          await theirs.recv(); // until it is attached there
        },
      });
      child.start();
      theirs.close();
      await mine.send({ memory, list });
      const made = (await mine.recv()) as Block;
      await mine.send('attached');
      await child.join();
      t.report([child.exitCode, memory.buf.toString('latin1', 0, 5), list[1], made.buf.toString('latin1')]);
      for (const block of [memory, list.shm, made]) {
        block.close();
        block.unlink();
      }
      mine.close();
    });
    expect(run.reports).toEqual([
      [0, 'first'],
      [0, 'howdy'],
      [0, 'HELLO'],
      [0, 'piped', 'kid', 'from child'],
    ]);
  });

  testWithPython('Python and this package use each other’s blocks by name', async () => {
    const run = await cleanProgram(
      (_rf, t) => {
        const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
        const { existsSync } = require('node:fs') as typeof import('node:fs');
        const { SharedMemory } = t.mp;
        const python = (...lines: string[]) =>
          execFileSync(
            'python3',
            ['-c', ['from multiprocessing import shared_memory, resource_tracker', ...lines].join('\n')],
            {
              encoding: 'utf8',
            },
          ).trim();
        const ours = new SharedMemory({ create: true, size: 100 });
        ours.buf.write('from node');
        t.report(
          python(
            `m = shared_memory.SharedMemory('${ours.name}')`,
            'resource_tracker.unregister(m._name, "shared_memory")', // gh-82300: it would remove what it attached to
            'print(m.size, bytes(m.buf[:9]))',
            'm.buf[:11] = b"from python"',
            'm.close()',
          ),
        );
        t.report(ours.buf.toString('latin1', 0, 11));
        ours.close();
        ours.unlink();

        const name = python(
          'm = shared_memory.SharedMemory(create=True, size=5000)',
          'resource_tracker.unregister(m._name, "shared_memory")',
          'm.buf[:5] = b"snake"',
          'print(m.name)',
        );
        const theirs = new SharedMemory({ name });
        t.report([theirs.size, theirs.buf.toString('latin1', 0, 5)]);
        theirs.close();
        // It is Python's to remove: neither this object's end nor this process's does.
        t.report([name, existsSync(`/dev/shm/${name}`)]);
      },
      { timeout: 20_000 },
    );
    const [seen, back, size, [name, isThere]] = run.reports;
    expect([seen, back, size, isThere]).toEqual(["100 b'from node'", 'from python', [5000, 'snake'], true]);
    expect(existsSync(`/dev/shm/${name}`)).toBe(true);
    spawnSync('python3', ['-c', `from multiprocessing import shared_memory as s; s.SharedMemory('${name}').unlink()`]);
    expect(existsSync(`/dev/shm/${name}`)).toBe(false);
  });
});
