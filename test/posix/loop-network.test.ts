/** Sockets and servers after a fork. libuv test/test-fork.c fork_socketpair*; CPython's TestFork (asyncio). */
import { cleanProgram } from '../helpers/program';

test('L15 an http server and client in the child, a 10 MB pipeline, and a dynamic import', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const http = require('node:http') as typeof import('node:http');
    const { pipeline } = require('node:stream/promises') as typeof import('node:stream/promises');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-l15-`);
    const pid = rf.fork();
    if (pid === 0) {
      const server = http.createServer((request, response) => {
        response.setHeader('x-pid', process.pid);
        request.pipe(response);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as import('node:net').AddressInfo;
      const answer = await new Promise<string>((resolve, reject) => {
        const request = http.request({ port, host: '127.0.0.1', method: 'POST' }, async (response) => {
          let text = '';
          for await (const chunk of response) text += chunk;
          resolve(`${text} ${Number(response.headers['x-pid']) === process.pid}`);
        });
        request.on('error', reject);
        request.end('hello');
      });
      const fetched = await (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body: 'fetched' })).text();
      server.close();
      server.closeAllConnections();

      const data = require('node:crypto').randomBytes(10 << 20);
      fs.writeFileSync(`${folder}/source`, data);
      await pipeline(fs.createReadStream(`${folder}/source`), fs.createWriteStream(`${folder}/copy`));
      const same = fs.readFileSync(`${folder}/copy`).equals(data);

      fs.writeFileSync(`${folder}/new.mjs`, 'export const value = await Promise.resolve(42);');
      const { value } = await import(`${folder}/new.mjs`);
      t.report({ answer, fetched, same, value });
      return; // nothing keeps it from ending
    }
    t.report({ status: rf.waitpid(pid).status });
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([{ answer: 'hello true', fetched: 'fetched', same: true, value: 42 }, { status: 0 }]);
});

test("L15 http2, TLS, a Unix socket and datagrams between the child's own ends", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const tls = require('node:tls') as typeof import('node:tls');
    const http2 = require('node:http2') as typeof import('node:http2');
    const dgram = require('node:dgram') as typeof import('node:dgram');
    const pid = rf.fork();
    if (pid === 0) {
      const path = `${require('node:os').tmpdir()}/realfork-${process.pid}.sock`;
      const unix = await new Promise<string>((resolve) => {
        const server = net.createServer((socket) => socket.end('unix'));
        server.listen(path, () => {
          net.connect(path).on('data', (data) => {
            server.close();
            resolve(data.toString());
          });
        });
      });
      const datagram = await new Promise<string>((resolve) => {
        const socket = dgram.createSocket('udp4');
        socket.on('message', (message) => {
          socket.close();
          resolve(message.toString());
        });
        socket.bind(0, '127.0.0.1', () => socket.send('datagram', socket.address().port, '127.0.0.1'));
      });
      const h2 = await new Promise<string>((resolve) => {
        const server = http2.createServer((_request, response) => response.end('http2'));
        server.listen(0, '127.0.0.1', () => {
          const client = http2.connect(`http://127.0.0.1:${(server.address() as import('node:net').AddressInfo).port}`);
          const request = client.request({ ':path': '/' });
          let text = '';
          request.on('data', (data) => (text += data));
          request.on('end', () => {
            client.close();
            server.close();
            resolve(text);
          });
        });
      });
      // Without a certificate: both sides know a key.
      const psk = Buffer.alloc(32, 7);
      const ciphers = 'PSK+HIGH';
      const encrypted = await new Promise<string>((resolve, reject) => {
        const server = tls.createServer({ ciphers, pskCallback: () => psk, maxVersion: 'TLSv1.2' }, (socket) =>
          socket.end('tls'),
        );
        server.on('tlsClientError', reject);
        server.listen(0, '127.0.0.1', () => {
          const { port } = server.address() as import('node:net').AddressInfo;
          const socket = tls.connect({
            port,
            host: '127.0.0.1',
            ciphers,
            maxVersion: 'TLSv1.2',
            pskCallback: () => ({ psk, identity: 'us' }),
            checkServerIdentity: () => undefined,
          });
          socket.on('error', reject);
          socket.on('data', (data) => {
            server.close();
            resolve(data.toString());
          });
        });
      });
      t.report([unix, datagram, h2, encrypted]);
      return;
    }
    t.report(rf.waitpid(pid).status);
  });
  expect(run.reports).toEqual([['unix', 'datagram', 'http2', 'tls'], 0]);
});

test('L15 dns: lookup, resolve of nothing, reverse of an address, in child and parent', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const dns = require('node:dns').promises as typeof import('node:dns').promises;
    await dns.lookup('localhost');
    const pid = rf.fork();
    const { address } = await dns.lookup('localhost');
    // Through c-ares: a server that does not answer is an error here and there, and no hang.
    const resolver = new dns.Resolver({ timeout: 100, tries: 1 });
    resolver.setServers(['127.0.0.1:1']);
    const code = await resolver.resolve4('example.invalid').catch((error: NodeJS.ErrnoException) => error.code);
    t.report({ local: ['127.0.0.1', '::1'].includes(address), code });
    if (pid !== 0) t.report(rf.waitpid(pid).status);
  });
  expect(run.reports.slice(0, 2)).toEqual(Array(2).fill({ local: true, code: 'ECONNREFUSED' }));
  expect(run.reports[2]).toBe(0);
});

test('L15 a socket pair made in the parent, its stream never used there, is read in the child', async () => {
  const run = await cleanProgram((rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const [ours, childs] = t.helper.socketpair();
    const stream = new net.Socket({ fd: childs });
    const pid = rf.fork();
    if (pid === 0) {
      stream.once('data', (data) => {
        t.report(data.toString());
        stream.destroy();
      });
      return;
    }
    require('node:fs').writeSync(ours, 'hi\n');
    t.report(rf.waitpid(pid).status);
    stream.destroy();
  });
  expect(run.reports).toEqual(['hi\n', 0]);
});

test('L15 a stream that was reading in the parent and is stopped there goes on reading in the child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const fs = require('node:fs') as typeof import('node:fs');
    const { go } = t.pipes('go');
    const [ours, childs] = t.helper.socketpair();
    const stream = new net.Socket({ fd: childs });
    const seen: string[] = [];
    stream.on('data', (data) => seen.push(data.toString()));
    await new Promise((resolve) => setImmediate(resolve)); // its watcher is in the parent's epoll set
    const pid = rf.fork();
    if (pid === 0) {
      fs.readSync(go.read, Buffer.alloc(1)); // the parent has let go of it
      await t.waitUntil(() => seen.length > 0, 'the data');
      t.report({ child: seen });
      stream.destroy();
      return;
    }
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
    fs.writeSync(go.write, 'x');
    fs.writeSync(ours, 'hi\n');
    t.report({ status: rf.waitpid(pid).status, parent: seen });
  });
  expect(run.reports).toEqual([{ child: ['hi\n'] }, { status: 0, parent: [] }]);
});

test("hazard: a child that closes the inherited server and connections does not disturb the parent's", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const http = require('node:http') as typeof import('node:http');
    const net = require('node:net') as typeof import('node:net');
    const server = http.createServer((_request, response) => response.end(`${process.pid}`));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as import('node:net').AddressInfo;
    const echo = net.createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    const open = net.connect((echo.address() as import('node:net').AddressInfo).port, '127.0.0.1');
    await new Promise((resolve) => open.once('connect', resolve));
    const interval = setInterval(() => {}, 5);
    const watcher = require('node:fs').watch('/');
    const talk = (text: string) =>
      new Promise<string>((resolve) => {
        open.once('data', (data) => resolve(data.toString()));
        open.write(text);
      });
    const first = await talk('before');
    for (let i = 0; i < 3; i++) {
      const pid = rf.fork();
      if (pid === 0) {
        server.close();
        echo.close();
        open.destroy();
        clearInterval(interval);
        watcher.close();
        // The connections that the echo server has accepted are the child's too.
        for (const handle of (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles()) {
          if (handle instanceof net.Socket && handle.remotePort !== undefined) handle.destroy();
        }
        return; // with everything closed it ends by itself
      }
      const { status } = rf.waitpid(pid);
      const answers = [];
      for (let k = 0; k < 5; k++) answers.push(await (await fetch(`http://127.0.0.1:${port}`)).text());
      t.report({
        status,
        first,
        mine: answers.every((answer) => answer === `${process.pid}`),
        talk: await talk('after'),
      });
    }
    process.exit(0);
  });
  expect(run.reports).toEqual(Array(3).fill({ status: 0, first: 'before', mine: true, talk: 'after' }));
});

test('hazard: parent and children accept on the same listening socket, each connection once', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const fs = require('node:fs') as typeof import('node:fs');
    const { ready } = t.pipes('ready');
    let isParent = true;
    const server = net.createServer((socket) => socket.end(`${process.pid}`));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as import('node:net').AddressInfo;
    const pids: number[] = [];
    for (let i = 0; i < 2 && isParent; i++) {
      const pid = rf.fork();
      isParent = pid !== 0;
      pids.push(pid);
    }
    if (!isParent) {
      setImmediate(() => fs.writeSync(ready.write, 'x'));
      return; // serves until it is killed
    }
    for (let i = 0; i < 2; i++) fs.readSync(ready.read, Buffer.alloc(1));
    const ask = () =>
      new Promise<string>((resolve, reject) => {
        let text = '';
        net
          .connect(port, '127.0.0.1')
          .on('data', (data) => (text += data))
          .on('error', reject)
          .on('end', () => resolve(text));
      });
    const together = await Promise.all(Array.from({ length: 30 }, ask));
    server.close(); // from here on only the children listen
    await new Promise((resolve) => server.once('close', resolve));
    const later = await Promise.all(Array.from({ length: 30 }, ask));
    const known = [process.pid, ...pids].map(String);
    t.report({
      together: together.every((answer) => known.includes(answer)),
      later: later.every((answer) => known.slice(1).includes(answer)),
    });
    for (const pid of pids) process.kill(pid, 'SIGTERM');
    t.report(pids.map((pid) => rf.waitpid(pid).status));
  });
  expect(run.reports).toEqual([{ together: true, later: true }, [15, 15]]);
});

test('hazard: what a stream had buffered for writing is written by both, once each', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = net.connect((server.address() as import('node:net').AddressInfo).port, '127.0.0.1');
    const [peer] = await Promise.all([
      new Promise<import('node:net').Socket>((resolve) => server.once('connection', resolve)),
      new Promise((resolve) => client.once('connect', resolve)),
    ]);
    client.cork(); // kept in JavaScript until it is uncorked
    client.write('kept;');
    const pid = rf.fork();
    if (pid === 0) {
      client.write('child;', () => process.exit(0));
      client.uncork();
      return;
    }
    const { status } = rf.waitpid(pid);
    let text = '';
    const ended = new Promise((resolve) => peer.on('data', (data) => (text += data)).once('end', resolve));
    client.end('parent;');
    client.uncork();
    await ended;
    t.report({ status, text });
    server.close();
  });
  expect(run.reports).toEqual([{ status: 0, text: 'kept;child;kept;parent;' }]);
});

test('L15 stdin is read in the child, as a stream, by lines and synchronously', async () => {
  const asStream = await cleanProgram(
    async (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        let text = '';
        for await (const chunk of process.stdin) text += chunk;
        t.report(text);
        return;
      }
      t.report(rf.waitpid(pid).status);
    },
    { stdin: 'one\ntwo\n' },
  );
  expect(asStream.reports).toEqual(['one\ntwo\n', 0]);

  const byLines = await cleanProgram(
    async (rf, t) => {
      process.stdin.pause(); // the stream exists before the fork
      const pid = rf.fork();
      if (pid === 0) {
        const lines: string[] = [];
        for await (const line of require('node:readline').createInterface({ input: process.stdin })) lines.push(line);
        t.report(lines);
        return;
      }
      t.report(rf.waitpid(pid).status);
    },
    { stdin: 'one\ntwo\n' },
  );
  expect(byLines.reports).toEqual([['one', 'two'], 0]);

  const synchronously = await cleanProgram(
    (rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        t.report(require('node:fs').readFileSync(0, 'utf8'));
        process.exit(0);
      }
      t.report(rf.waitpid(pid).status);
    },
    { stdin: 'one\ntwo\n' },
  );
  expect(synchronously.reports).toEqual(['one\ntwo\n', 0]);
});

test('L15 parent and child talk over two pipes as streams, both ways', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const net = require('node:net') as typeof import('node:net');
    const [a, b] = t.helper.socketpair();
    const pid = rf.fork();
    const mine = new net.Socket({ fd: pid === 0 ? a : b });
    require('node:fs').closeSync(pid === 0 ? b : a);
    if (pid === 0) {
      for await (const chunk of mine) mine.write(chunk.toString().toUpperCase());
      mine.end();
      return;
    }
    mine.write('hello');
    const answer = await new Promise<Buffer>((resolve) => mine.once('data', resolve));
    await new Promise<void>((resolve) => mine.end(resolve));
    t.report([answer.toString(), rf.waitpid(pid).status]);
  });
  expect(run.reports).toEqual([['HELLO', 0]]);
});
