import { join } from 'node:path';
import { cleanProgram, packageRoot } from '../helpers/program';

describe('wait()', () => {
  test('C11 collects all messages of 4 children and reports each closed pipe once', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe, wait, waitSync, EOFError } = t.mp;
      for (const form of ['promise', 'sync']) {
        const readers = [];
        const pids = [];
        for (let child = 0; child < 4; child++) {
          const [reader, writer] = Pipe({ duplex: false });
          const pid = rf.fork();
          if (pid === 0) {
            reader.close();
            for (let i = 0; i < 10; i++) {
              if (child === 3) rf.sleepSync(2); // test_wait_slow
              writer.sendSync([i, process.pid]);
            }
            process.exit();
          }
          writer.close();
          readers.push(reader);
          pids.push(pid);
        }
        const messages: [number, number][] = [];
        let ends = 0;
        for (let open = readers; open.length > 0;) {
          for (const reader of form === 'promise' ? await wait(open) : waitSync(open)) {
            try {
              messages.push(reader.recvSync<[number, number]>());
            } catch (error) {
              if (!(error instanceof EOFError)) throw error;
              ends += 1;
              open = open.filter((other) => other !== reader);
            }
          }
        }
        const perChild = pids.map((pid) => messages.filter(([, from]) => from === pid).map(([i]) => i));
        t.report([messages.length, ends, perChild.every((list) => list.join() === '0,1,2,3,4,5,6,7,8,9')]);
        for (const pid of pids) rf.waitpid(pid);
      }
    });
    expect(run.reports).toEqual([
      [40, 4, true],
      [40, 4, true],
    ]);
  });

  test('test_wait_timeout, test_neg_timeout: nothing is ready, then something', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe, wait, waitSync } = t.mp;
      const [a, b] = Pipe();
      for (const timeout of [0, -1, 60]) {
        const started = performance.now();
        const async = (await wait([a, b], timeout)).length;
        const between = performance.now();
        const sync = waitSync([a, b], timeout).length;
        const ended = performance.now();
        t.report([
          async,
          sync,
          between - started >= timeout - 1,
          ended - between >= timeout - 1,
          ended - started < 3000,
        ]);
      }
      b.sendSync('x');
      t.report([(await wait([b, a], 5000))[0] === a, waitSync([a, b], 5000)[0] === a, waitSync([a, a]).length]);
      a.recvSync();
      // Both are ready, in the order given.
      a.sendSync(1);
      b.sendSync(2);
      t.report([(await wait([b, a])).map((end) => end === a), waitSync([a, b]).map((end) => end === a)]);
      t.report([await wait([]), waitSync([]), await wait([], 20), waitSync([], 20)]);
      a.close();
      t.report([
        t.caught(() => waitSync([a]))['code'],
        await wait([a]).catch((error: { code: string }) => error.code),
        t.caught(() => waitSync([12345]))['code'],
        await wait([12345]).catch((error: { code: string }) => error.code),
        t.caught(() => waitSync(['x' as unknown as number]))['code'],
        t.caught(() => waitSync(5 as unknown as []))['code'],
        t.caught(() => waitSync(null as unknown as []))['code'],
        await wait(undefined as unknown as []).catch((error: { code: string }) => error.code),
      ]);
      const [c, otherEnd] = Pipe();
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20);
      t.report([
        await wait([c], null, { signal: controller.signal }).catch((error: { code: string }) => error.code),
        await wait([c], null, { signal: controller.signal }).catch((error: { code: string }) => error.code),
      ]);
      otherEnd.close(); // one that nobody can reach is closed when it is collected, and ends the wait
    });
    expect(run.reports).toEqual([
      ...Array(3).fill([0, 0, true, true, true]),
      [true, true, 2],
      [
        [false, true],
        [true, false],
      ],
      [[], [], [], []],
      [
        'ERR_CONNECTION_CLOSED',
        'ERR_CONNECTION_CLOSED',
        'EBADF',
        'EBADF',
        ...Array<string>(4).fill('ERR_INVALID_ARG_TYPE'),
      ],
      ['ABORT_ERR', 'ABORT_ERR'],
    ]);
  });

  test('test_wait_integer: sentinels, descriptors and connections together', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe, Process, wait, waitSync } = t.mp;
      const [a, b] = Pipe();
      const [hold, release] = rf.pipe();
      const fs = require('node:fs') as typeof import('node:fs');
      const worker = new Process({ target: () => void fs.readSync(hold, Buffer.alloc(1)) });
      worker.start();
      const { sentinel } = worker;
      t.report(waitSync([a, sentinel, b], 30).length);
      b.sendSync(null);
      t.report((await wait([a, sentinel, b], 20_000)).map((each) => each === a));
      a.recvSync();
      const later = wait([a, sentinel, b]);
      fs.writeSync(release, 'x');
      t.report((await later).map((each) => each === sentinel));
      b.sendSync(null);
      t.report(waitSync([a, sentinel, b], 20_000).map((each) => each === a || each === sentinel));
      await worker.join();
      t.report(worker.exitCode);
    });
    expect(run.reports).toEqual([0, [true], [true], [true, true], 0]);
  });

  test('test_wait_socket: sockets and servers of Node, listeners', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const net = require('node:net') as typeof import('node:net');
      const { once } = require('node:events') as typeof import('node:events');
      const { Client, Listener, wait, waitSync } = t.mp;
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const accepted = once(server, 'connection') as Promise<[import('node:net').Socket]>;
      const client = net.connect(port, '127.0.0.1');
      const [socket] = await accepted;
      await once(client, 'connect');
      t.report([(await wait([socket], 0)).length, waitSync([socket], 0).length]);
      client.write('data');
      t.report([(await wait([socket, server]))[0] === socket, waitSync([socket])[0] === socket]);
      socket.on('data', () => {});
      await once(socket, 'data');
      client.destroy();
      socket.destroy();
      server.close();
      const listener = new Listener();
      const ready = wait([listener]);
      const connecting = Client(listener.address);
      t.report((await ready)[0] === listener);
      const connection = await listener.accept();
      (await connecting).sendSync('over it');
      t.report((await wait([connection, listener]))[0] === connection);
      listener.close();
    });
    expect(run.reports).toEqual([[0, 0], [true, true], true, true]);
  });

  test('test_wait_socket: children write to sockets of Node, which reads ahead of the wait and closes at the end', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const net = require('node:net') as typeof import('node:net');
      const { once } = require('node:events') as typeof import('node:events');
      const { Process, wait } = t.mp;
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as import('node:net').AddressInfo;
      const children = [1, 2, 3, 4].map(
        () =>
          new Process({
            target: () => {
              const socket = net.connect(port, '127.0.0.1');
              let line = 0;
              const interval = setInterval(() => {
                socket.write(`${line++}\n`);
                if (line < 10) return;
                clearInterval(interval);
                socket.end();
              }, 5);
            },
          }),
      );
      const texts = new Map<import('node:net').Socket, string>();
      for (const child of children) {
        child.start();
        const [socket] = (await once(server, 'connection')) as [import('node:net').Socket];
        texts.set(socket, '');
      }
      for (let open = [...texts.keys()]; open.length > 0;) {
        for (const socket of await wait(open)) {
          texts.set(socket, `${texts.get(socket)}${String(socket.read() ?? '')}`);
        }
        // At its end Node closes a socket by itself, and it stays ready.
        open = open.filter((socket) => !socket.destroyed);
      }
      const [any] = texts.keys();
      t.report([[...new Set(texts.values())], (await wait([any as import('node:net').Socket])).length]);
      for (const child of children) await child.join();

      const client = net.connect(port, '127.0.0.1');
      const [socket] = (await once(server, 'connection')) as [import('node:net').Socket];
      const waiting = wait([socket]).catch((error: NodeJS.ErrnoException) => error.code);
      socket.destroy();
      t.report(await waiting);
      client.destroy();
      server.close();
    });
    expect(run.reports).toEqual([[['0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n'], 1], 'ERR_INVALID_ARG_TYPE']);
  });

  test('waits for words of shared memory together with descriptors, in both forms', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { Pipe, wait, waitSync } = t.mp;
        const lib = t.args[0] as string;
        const { allocate } = require(`${lib}/shared/arena`) as typeof import('../../dist/shared/arena');
        const { wakeWord } = require(`${lib}/shared/wait-word`) as typeof import('../../dist/shared/wait-word');
        const { kWaitable } = require(`${lib}/ipc/waitable`) as typeof import('../../dist/ipc/waitable');
        const block = allocate(64);
        const word = new Int32Array(block.buffer, 0, 1);
        const flag = {
          [kWaitable]: () => ({
            announce: () => ({ offset: block.offset, expected: 0 }),
            ready: () => Atomics.load(word, 0) !== 0,
          }),
        } as unknown as import('../../dist/ipc/waitable').WaitableObject;
        const [a, b] = Pipe();
        t.report([(await wait([flag, a], 30)).length, waitSync([a, flag], 30).length]);
        for (const form of ['promise', 'sync']) {
          const waiting = form === 'promise' ? wait([a, flag]) : undefined;
          const pid = rf.fork();
          if (pid === 0) {
            rf.sleepSync(20);
            Atomics.store(word, 0, 1);
            wakeWord(block.offset);
            process.exit();
          }
          const ready = waiting === undefined ? waitSync([a, flag]) : await waiting;
          t.report(ready.map((each) => each === flag));
          rf.waitpid(pid);
          Atomics.store(word, 0, 0);
          const second = form === 'promise' ? wait([flag, a]) : undefined;
          const sender = rf.fork();
          if (sender === 0) {
            b.sendSync(1);
            process.exit();
          }
          t.report((second === undefined ? waitSync([flag, a]) : await second).map((each) => each === a));
          a.recvSync();
          rf.waitpid(sender);
        }
      },
      { args: [join(packageRoot, 'dist')] },
    );
    expect(run.reports).toEqual([[0, 0], [true], [true], [true], [true]]);
  });

  test('a wait of the parent does not settle in a child, and blocked waits use no CPU', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe, wait, waitSync } = t.mp;
      const [a, b] = Pipe();
      let settled = 0;
      const waiting = wait([a], 60_000).then(() => (settled += 1));
      const pid = rf.fork();
      if (pid === 0) {
        const before = process.cpuUsage();
        waitSync([a], 300);
        const { user, system } = process.cpuUsage(before);
        t.report(['child', settled, user + system < 100_000]);
        b.sendSync('x');
        return; // the timeout of the parent's wait does not keep the child
      }
      await waiting;
      t.report(['parent', settled, rf.waitpid(pid).status]);
    });
    expect(run.reports).toEqual([
      ['child', 0, true],
      ['parent', 1, 0],
    ]);
  });
});

test('closing one of the objects ends the waits for it, with the error that a new wait would give', async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const { Listener, Pipe, Queue, wait } = t.mp;
    const [a, b] = Pipe();
    const queue = new Queue();
    const listener = new Listener();
    const objects = [a, queue, listener];
    const failed = (error: { code: string }) => error.code;
    for (const [i, object] of objects.entries()) {
      const all = wait(objects.slice(i)).catch(failed);
      const one = wait([object], 10_000).catch(failed);
      const other = wait([b], 10_000);
      await new Promise((resolve) => setImmediate(resolve));
      object.close();
      t.report([await all, await one]);
      if (i > 0) a.close();
      t.report((await other)[0] === b);
    }
    b.close();
    // A descriptor of which somebody else closes the connection.
    const [c, d] = Pipe();
    const ended = wait([c.fileno()]).catch(failed);
    await new Promise((resolve) => setImmediate(resolve));
    c.close();
    t.report(await ended);
    d.close();
  });
  const codes = ['ERR_CONNECTION_CLOSED', 'ERR_QUEUE_CLOSED', 'ERR_LISTENER_CLOSED'];
  expect(run.reports).toEqual([...codes.flatMap((code) => [[code, code], true]), 'EBADF']);
  expect(run.code).toBe(0);
});
