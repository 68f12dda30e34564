import { cleanProgram } from '../helpers/program';

describe('Listener and Client', () => {
  test('test_listener_client, test_issue16955: every family, blocking and promise forms', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Listener, Client, ClientSync, families } = t.mp;
      t.report(families);
      for (const family of families) {
        const listener = new Listener(undefined, { family });
        const pid = rf.fork();
        if (pid === 0) {
          const connection = ClientSync(listener.address);
          connection.sendSync('hello');
          connection.close();
          process.exit();
        }
        const accepted = listener.acceptSync();
        t.report([accepted.recvSync(), t.caught(() => accepted.recvSync())['code'], rf.waitpid(pid).status]);
        accepted.close();
        const client = await Client(listener.address, { family });
        const server = await listener.accept();
        server.sendBytesSync(Buffer.from('hello'));
        t.report([await client.poll(5000), (await client.recvBytes()).toString()]);
        const big = Buffer.alloc(3_000_000, 'b');
        const [sent, got] = await Promise.all([client.send([big, 1]), server.recv<[Buffer, number]>()]);
        t.report([sent === undefined, got[0].equals(big), got[1]]);
        listener.close();
        listener.close();
        server.sendSync('still connected');
        t.report(client.recvSync());
      }
    });
    const each = [['hello', 'ERR_EOF', 0], [true, 'hello'], [true, true, 1], 'still connected'];
    expect(run.reports).toEqual([['AF_UNIX', 'AF_INET', 'AF_INET6'], ...each, ...each, ...each]);
  });

  test('test_issue14725: a client that has sent and gone before it is accepted', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Listener, ClientSync, families } = t.mp;
      for (const family of families) {
        const listener = new Listener(undefined, { family });
        const pid = rf.fork();
        if (pid === 0) {
          const connection = ClientSync(listener.address);
          connection.sendSync('hello');
          process.exit();
        }
        const { status } = rf.waitpid(pid);
        const connection = await listener.accept();
        t.report([status, await connection.recv()]);
        listener.close();
      }
    });
    expect(run.reports).toEqual(Array(3).fill([0, 'hello']));
  });

  test('test_multiple_bind, test_context, addresses and files', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const { Listener, Client, families } = t.mp;
      for (const family of families) {
        const path = `${require('node:os').tmpdir()}/realfork-bind-${process.pid}`;
        const listener = new Listener(family === 'AF_UNIX' ? path : undefined, { family });
        t.report(t.caught(() => new Listener(listener.address, { family }))['code']);
        let connection;
        {
          const [client, accepted] = await Promise.all([Client(listener.address), listener.accept()]);
          client.sendSync(1729);
          t.report(accepted.recvSync());
          connection = client;
        }
        t.report([typeof (listener.lastAccepted as { port: number }).port, connection.closed]);
        listener[Symbol.dispose]();
        t.report([
          listener.closed,
          t.caught(() => listener.acceptSync())['code'],
          await listener.accept().catch((error: { code: string }) => error.code),
          t.caught(() => listener.fileno())['code'],
        ]);
        if (family === 'AF_UNIX') t.report(fs.existsSync(listener.address as string));
        // The address can be had again at once, with its old connections still there.
        const again = new Listener(listener.address, { family });
        t.report(JSON.stringify(again.address) === JSON.stringify(listener.address));
        again.close();
      }
    });
    const closed = [true, 'ERR_LISTENER_CLOSED', 'ERR_LISTENER_CLOSED', 'ERR_LISTENER_CLOSED'];
    expect(run.reports).toEqual([
      ...['EADDRINUSE', 1729, ['undefined', false], closed, false, true],
      ...['EADDRINUSE', 1729, ['number', false], closed, true],
      ...['EADDRINUSE', 1729, ['number', false], closed, true],
    ]);
  });

  test('the file of a Unix socket goes at the end of the process that made it, and not with a child', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const { Listener } = t.mp;
        const pid = rf.fork();
        if (pid === 0) {
          const listener = new Listener();
          const address = listener.address as string;
          const inner = rf.fork();
          if (inner === 0) {
            listener.close();
            process.exit();
          }
          rf.waitpid(inner);
          fs.writeFileSync(t.args[0] as string, address);
          process.exit(fs.existsSync(address) ? 0 : 1);
        }
        t.report(rf.waitpid(pid).status);
        const address = fs.readFileSync(t.args[0] as string, 'utf8');
        t.report([fs.existsSync(address), fs.existsSync(require('node:path').dirname(address))]);
        fs.unlinkSync(t.args[0] as string);
      },
      { args: [`${require('node:os').tmpdir()}/realfork-address-${process.pid}`] },
    );
    expect(run.reports).toEqual([0, [false, false]]);
  });

  test('test_abstract_socket, pairs as addresses, host names', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Listener, Client, ClientSync } = t.mp;
      const name = `\0realfork-${process.pid}`;
      const abstract = new Listener(name);
      const [client, accepted] = await Promise.all([Client(name), abstract.accept()]);
      client.sendSync('abstract');
      t.report([accepted.recvSync(), abstract.address === name]);
      abstract.close();
      const listener = new Listener(['localhost', 0], { family: 'AF_INET' });
      const { host, port } = listener.address as { host: string; port: number };
      const second = await Client(['localhost', port], { family: 'AF_INET' });
      const third = ClientSync({ host: 'localhost', port }, { family: 'AF_INET' });
      await listener.accept();
      await listener.accept();
      t.report([host, second.closed, third.closed]);
      listener.close();
    });
    expect(run.reports).toEqual([
      ['abstract', true],
      ['127.0.0.1', false, false],
    ]);
  });

  test('TestInvalidFamily and other wrong arguments', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Listener, Client, ClientSync } = t.mp;
      const code = (call: () => unknown) => t.caught(call)['code'];
      const rejects = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      t.report([
        code(() => new Listener('\\\\.\\test')),
        code(() => new Listener('/tmp/x', { family: 'AF_PIPE' as 'AF_UNIX' })),
        code(() => new Listener('/tmp/x', { family: 'AF_INET' })),
        code(() => new Listener(['127.0.0.1', 0], { family: 'AF_UNIX' })),
        code(() => new Listener(5 as unknown as string)),
        code(() => new Listener({ host: '127.0.0.1', port: 70_000 })),
        code(() => new Listener('')),
        code(() => new Listener(`/tmp/${'x'.repeat(200)}`)),
        code(() => new Listener('/nowhere/at/all')),
        code(() => new Listener(undefined, { authKey: 5 as unknown as string })),
        code(() => ClientSync('/nowhere/at/all')),
        code(() => ClientSync({ host: '127.0.0.1', port: 1 })),
        code(() => ClientSync({ host: 'x'.repeat(100), port: 1 })),
        await rejects(Client('/nowhere/at/all')),
        await rejects(Client({ host: '127.0.0.1', port: 1 })),
        await rejects(Client({ host: 'x'.repeat(100), port: 1 })),
        await rejects(Client('\\\\.\\test')),
        await rejects(Client('/tmp', { signal: AbortSignal.abort() })),
      ]);
      const listener = new Listener();
      const started = performance.now();
      t.report([
        code(() => listener.acceptSync({ timeout: 30 })),
        await rejects(listener.accept({ timeout: 30 })),
        performance.now() - started >= 58,
      ]);
      const controller = new AbortController();
      const waiting = rejects(listener.accept({ signal: controller.signal }));
      const second = rejects(listener.accept());
      controller.abort();
      t.report(await waiting);
      listener.close();
      t.report(await second);
    });
    const value = 'ERR_INVALID_ARG_VALUE';
    expect(run.reports).toEqual([
      [
        ...[value, value, value, value, 'ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', value, 'ENAMETOOLONG', 'ENOENT'],
        ...['ERR_INVALID_ARG_TYPE', 'ENOENT', 'ECONNREFUSED', 'ENOTFOUND'],
        ...['ENOENT', 'ECONNREFUSED', 'ENOTFOUND', value, 'ABORT_ERR'],
      ],
      ['ERR_TIMEOUT', 'ERR_TIMEOUT', true],
      'ABORT_ERR',
      'ERR_LISTENER_CLOSED',
    ]);
  });

  test('a listener with as many waiting clients as it takes: clients wait until there is room', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Listener, Client, ClientSync } = t.mp;
      const listener = new Listener(undefined, { backlog: 0 });
      const clients = Array.from({ length: 6 }, async (_, i) => {
        const client = await Client(listener.address);
        await client.send(i);
        return client;
      });
      await new Promise((resolve) => setImmediate(resolve));
      t.report(t.caught(() => ClientSync(listener.address, { timeout: 30 }))['code']);
      const got = [];
      for (let i = 0; i < 6; i++) got.push(await (await listener.accept()).recv());
      t.report(got.sort());
      for (const client of await Promise.all(clients)) client.close();
      listener.close();
    });
    expect(run.reports).toEqual(['ERR_TIMEOUT', [0, 1, 2, 3, 4, 5]]);
  });
});

describe('authentication', () => {
  test('the key may be called authkey, as in Python and as a manager takes it: it is not left unused', async () => {
    const run = await cleanProgram(async (_rf, t) => {
      const { Listener, Client, ClientSync } = t.mp;
      const code = (promise: Promise<unknown>) =>
        promise.then(() => 'connected').catch((error) => error.code as string);
      const listener = new Listener(undefined, { authkey: Buffer.from('secret') });
      const [client, accepted] = await Promise.all([
        Client(listener.address, { authkey: Buffer.from('secret') }),
        listener.accept(),
      ]);
      client.sendSync(1729);
      t.report(accepted.recvSync());
      t.report(await Promise.all([code(Client(listener.address, { authkey: 'wrong' })), code(listener.accept())]));
      listener.close();
      t.report([
        t.caught(() => new Listener(undefined, { authkey: 5 as never }))['code'],
        t.caught(() => ClientSync(listener.address, { authkey: 5 as never }))['code'],
      ]);
    });
    const refused = 'ERR_AUTHENTICATION';
    expect(run.reports).toEqual([1729, [refused, refused], ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE']]);
  });

  test('the same key, also an empty one; a wrong one and a missing one are refused on both sides', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Listener, Client, ClientSync, AuthenticationError } = t.mp;
      const failure = (promise: Promise<unknown>) =>
        promise.then(
          () => 'connected',
          (error: Error & { code: string }) => [error instanceof AuthenticationError, error.code],
        );
      for (const family of ['AF_UNIX', 'AF_INET'] as const) {
        for (const authKey of ['secret', Buffer.from([0, 255, 1]), new Uint8Array(), '']) {
          const listener = new Listener(undefined, { family, authKey });
          const [client, accepted] = await Promise.all([Client(listener.address, { authKey }), listener.accept()]);
          client.sendSync(1729);
          t.report(accepted.recvSync());
          listener.close();
        }
        const listener = new Listener(undefined, { family, authKey: 'secret', handshakeTimeout: 300 });
        t.report(
          await Promise.all([failure(Client(listener.address, { authKey: 'wrong' })), failure(listener.accept())]),
        );
        const [bare, refused] = await Promise.all([Client(listener.address), failure(listener.accept())]);
        t.report(refused); // it has not answered in time
        t.report((await bare.recvBytes()).length > 40); // the challenge
        const open = new Listener(undefined, { family });
        t.report(await failure(Client(open.address, { authKey: 'secret', handshakeTimeout: 200 })));
        open.close();
        // Blocking forms, in two processes.
        for (const authKey of ['secret', 'other']) {
          const pid = rf.fork();
          if (pid === 0) {
            try {
              ClientSync(listener.address, { authKey }).sendSync('blocking');
            } catch (error) {
              process.exit(error instanceof AuthenticationError ? 3 : 4);
            }
            process.exit();
          }
          try {
            t.report(listener.acceptSync().recvSync());
          } catch (error) {
            t.report((error as { code: string }).code);
          }
          t.report(rf.WEXITSTATUS(rf.waitpid(pid).status));
        }
        // After all that the listener still works.
        const [client, accepted] = await Promise.all([
          Client(listener.address, { authKey: 'secret' }),
          listener.accept(),
        ]);
        accepted.sendSync('fine');
        t.report(await client.recv());
        listener.close();
      }
    });
    const error = [true, 'ERR_AUTHENTICATION'];
    const each = [
      1729,
      1729,
      1729,
      1729,
      [error, error],
      error,
      true,
      error,
      'blocking',
      0,
      'ERR_AUTHENTICATION',
      3,
      'fine',
    ];
    expect(run.reports).toEqual([...each, ...each]);
  });

  test('test_deliver_challenge_auth_failure, test_answer_challenge_auth_failure', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { deliverChallenge, deliverChallengeSync, answerChallenge, answerChallengeSync, Pipe } = t.mp;
      const bogus = () => ({
        count: 0,
        sendBytes() {},
        sendBytesSync() {},
        recvBytes(): Buffer {
          return Buffer.from('something bogus');
        },
        recvBytesSync(): Buffer {
          return Buffer.from('something bogus');
        },
      });
      const withChallenge = () => {
        let count = 0;
        const next = () => {
          count += 1;
          if (count === 1) return Buffer.concat([Buffer.from('#CHALLENGE#{sha256}'), Buffer.alloc(40)]);
          return count === 2 ? Buffer.from('something bogus') : Buffer.alloc(0);
        };
        return { ...bogus(), recvBytes: next, recvBytesSync: next };
      };
      const rejects = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      t.report([
        await rejects(deliverChallenge(bogus(), 'abc')),
        t.caught(() => deliverChallengeSync(bogus(), 'abc'))['code'],
        await rejects(answerChallenge(bogus(), 'abc')),
        await rejects(answerChallenge(withChallenge(), 'abc')),
        t.caught(() => answerChallengeSync(withChallenge(), 'abc'))['code'],
        await rejects(deliverChallenge(bogus(), 5 as unknown as string)),
      ]);
      const [a, b] = Pipe();
      await Promise.all([deliverChallenge(a, 'key'), answerChallenge(b, 'key')]);
      const wrong = await Promise.all([rejects(deliverChallenge(a, 'key')), rejects(answerChallenge(b, 'kez'))]);
      t.report(wrong);
    });
    const code = 'ERR_AUTHENTICATION';
    expect(run.reports).toEqual([
      [code, code, code, code, code, 'ERR_INVALID_ARG_TYPE'],
      [code, code],
    ]);
  });
});

describe('hostile streams', () => {
  test('close their own connection with a typed error; nothing is deserialised or allocated for them', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const net = require('node:net') as typeof import('node:net');
      const { once } = require('node:events') as typeof import('node:events');
      const { Listener, Client, AuthenticationError } = t.mp;
      const listener = new Listener(undefined, { family: 'AF_INET', authKey: 'secret', handshakeTimeout: 2000 });
      const address = listener.address as { host: string; port: number };
      const header = (length: number, type = 1, fds = 0, high = 0) => {
        const bytes = Buffer.alloc(12);
        bytes.writeUInt32LE(length, 0);
        bytes.writeUInt8(type, 4);
        bytes.writeUInt8(fds, 5);
        bytes.writeUInt16LE(high, 6);
        return bytes;
      };
      const before = process.memoryUsage().rss;
      for (const attack of [
        Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        header(0xffffffff, 1, 0, 0xffff),
        header(1_000_000_000),
        Buffer.concat([header(32), Buffer.alloc(32)]),
        header(64, 1, 9),
        header(64, 7),
        Buffer.alloc(5),
      ]) {
        const attacker = net.connect(address.port, address.host);
        attacker.on('error', () => {});
        attacker.resume();
        const refused = listener.accept().catch((error: unknown) => error instanceof AuthenticationError);
        attacker.end(attack);
        const ended = new Promise((resolve) => attacker.on('close', resolve));
        t.report(await refused);
        await ended;
      }
      // Slow ones do not keep others waiting, nor an accept that has given up.
      const slow = Array.from({ length: 5 }, () => net.connect(address.port, address.host).on('error', () => {}));
      await Promise.all(slow.map((socket) => once(socket, 'connect')));
      const started = performance.now();
      const [client, accepted] = await Promise.all([Client(address, { authKey: 'secret' }), listener.accept()]);
      client.sendSync('served');
      t.report([accepted.recvSync(), performance.now() - started < 1500]);
      for (const socket of slow) socket.destroy();
      t.report(process.memoryUsage().rss - before < 64 * 2 ** 20);
      listener.close();
    });
    expect(run.reports).toEqual([...Array(7).fill(true), ['served', true], true]);
  });

  test('after the authentication: limits, garbage, a stream that is cut short', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const net = require('node:net') as typeof import('node:net');
      const { Listener, Client, Connection, Pipe } = t.mp;
      const code = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      const listener = new Listener(undefined, { maxMessageBytes: 1000 });
      const pair = async () => {
        const socket = net.connect(listener.address as string);
        return [socket.on('error', () => {}), await listener.accept()] as const;
      };
      {
        const [client, accepted] = await Promise.all([Client(listener.address), listener.accept()]);
        client.sendBytesSync(Buffer.alloc(1000));
        client.sendBytesSync(Buffer.alloc(1001));
        t.report([accepted.recvBytesSync().length, await code(accepted.recvBytes()), accepted.closed]);
      }
      for (const bytes of ['garbage that is longer than a header', '\x20\0\0\0\x01\0\0\0\0\0\0\0cut short', 'short']) {
        const [socket, accepted] = await pair();
        socket.end(bytes);
        t.report([await code(accepted.recv()), accepted.closed]);
      }
      {
        // A whole message that is no value: this message alone.
        const [client, accepted] = await Promise.all([Client(listener.address), listener.accept()]);
        client.sendBytesSync(Buffer.from([255, 254, 253]));
        client.sendSync('fine');
        t.report([await code(accepted.recv()), accepted.recvSync()]);
        // recv_bytes(maxlength)
        client.sendBytesSync(Buffer.alloc(11));
        t.report([await code(accepted.recvBytes(10)), accepted.closed]);
      }
      {
        const [a, b] = Pipe();
        a.sendBytesSync(Buffer.alloc(10));
        a.sendBytesSync(Buffer.alloc(11));
        t.report([b.recvBytesSync(10).length, t.caught(() => b.recvBytesSync({ maxLength: 10 }))['code'], b.closed]);
        t.report(t.caught(() => b.recvBytesSync(-1))['code']);
      }
      {
        // A stream that comes byte by byte, and one over a pipe(2).
        const [socket, accepted] = await pair();
        const one = accepted.recv();
        for (const byte of Buffer.from('\x03\0\0\0\x01\0\0\0\0\0\0\0\x09\x01x', 'latin1')) {
          socket.write(Buffer.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        t.report(await one);
        const [read, write] = rf.pipe();
        const [r, w] = [new Connection(read, { writable: false }), new Connection(write, { readable: false })];
        const big = w.send(Buffer.alloc(300_000, 5));
        t.report([(await r.recv<Buffer>()).length, await big]);
        const pid = rf.fork();
        if (pid === 0) {
          w.sendSync(Buffer.alloc(500_000, 6));
          process.exit();
        }
        w.close();
        t.report([r.recvSync<Buffer>().length, t.caught(() => r.recvSync())['code'], rf.waitpid(pid).status]);
        socket.destroy();
      }
      listener.close();
    });
    expect(run.reports).toEqual([
      [1000, 'ERR_INVALID_MESSAGE', true],
      ...Array(3).fill(['ERR_INVALID_MESSAGE', true]),
      ['ERR_INVALID_MESSAGE', 'fine'],
      ['ERR_INVALID_MESSAGE', true],
      [10, 'ERR_INVALID_MESSAGE', true],
      'ERR_OUT_OF_RANGE',
      'x',
      [300_000, null],
      [500_000, 'ERR_EOF', 0],
    ]);
  });
});
