import { cleanProgram } from '../helpers/program';

describe('C10 what goes along with a message', () => {
  test('test_fd_transfer, test_large_fd_transfer: descriptors, also with numbers above 256', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const path = `${require('node:os').tmpdir()}/realfork-fd-${process.pid}`;
      const { Pipe, DupFd } = t.mp;
      const [ours, theirs] = Pipe();
      const pid = rf.fork();
      if (pid === 0) {
        ours.close();
        const first = theirs.recvFdSync();
        fs.writeSync(first, 'foo');
        fs.closeSync(first);
        // The lowest free numbers are taken: what comes has a number above 256.
        const taken = Array.from({ length: 300 }, () => fs.openSync('/dev/null', 'r'));
        const second = await theirs.recvFd();
        fs.writeSync(second, 'bar');
        const { log, list } = theirs.recvSync<{
          log: InstanceType<typeof DupFd>;
          list: InstanceType<typeof DupFd>[];
        }>();
        fs.writeSync(log.detach(), 'baz');
        theirs.sendSync([second > 256, rf.getInheritable(second), t.caught(() => log.detach())['code'], list.length]);
        for (const fd of taken) fs.closeSync(fd);
        process.exit();
      }
      theirs.close();
      const fd = fs.openSync(path, 'w');
      ours.sendFdSync(fd);
      rf.dup2(fd, 700);
      await ours.sendFd(700);
      ours.sendSync({ log: new DupFd(fd), list: [new DupFd(700), new DupFd(fd)] });
      t.report(ours.recvSync());
      t.report(rf.waitpid(pid).status);
      t.report(fs.readFileSync(path, 'utf8'));
      fs.unlinkSync(path);
      t.report(fs.fstatSync(fd).isFile()); // the sender keeps its own
    });
    expect(run.reports).toEqual([[true, false, 'ERR_FD_TAKEN', 2], 0, 'foobarbaz', true]);
  });

  test('test_missing_fd_transfer: data without a descriptor throws, and the next message is intact', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe, DupFd } = t.mp;
      const [a, b] = Pipe();
      a.sendBytesSync(Buffer.from('x'));
      a.sendSync('next');
      t.report([t.caught(() => b.recvFdSync()), b.recvSync()]);
      a.sendSync('not a descriptor');
      t.report(await b.recvFd().catch((error: { code: string }) => error.code));
      // Descriptors that do not exist: nothing is sent.
      t.report(t.caught(() => a.sendFdSync(54_321))['code']);
      t.report(await a.send([new DupFd(54_321)]).catch((error: { code: string }) => error.code));
      t.report(t.caught(() => a.sendFdSync(-1))['code']);
      // One that comes with a message that is read as bytes is closed.
      const fs = require('node:fs') as typeof import('node:fs');
      const count = () => fs.readdirSync('/proc/self/fd').length;
      const before = count();
      a.sendSync([new DupFd(0), new DupFd(1)]);
      b.recvBytesSync();
      a.sendFdSync(0);
      t.report(t.caught(() => b.recvSync())['code']);
      t.report([count() - before, b.pollSync()]);
      const many = Array.from({ length: 254 }, () => new DupFd(0));
      t.report(t.caught(() => a.sendSync(many))['code']);
      a.sendSync(many.slice(1));
      t.report(b.recvSync<unknown[]>().length);
    });
    expect(run.reports).toEqual([
      [{ name: 'InvalidMessageError', code: 'ERR_INVALID_MESSAGE' }, 'next'],
      'ERR_INVALID_MESSAGE',
      'EBADF',
      'EBADF',
      'ERR_OUT_OF_RANGE',
      'ERR_INVALID_MESSAGE',
      [0, false],
      'ERR_DATA_CLONE',
      253,
    ]);
  });

  test('test_access: connections are sent over connections', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const { Pipe } = t.mp;
      type Conn = InstanceType<typeof t.mp.Connection>;
      const [conn, child] = Pipe();
      const pid = rf.fork();
      if (pid === 0) {
        conn.close();
        const writer = child.recvSync<Conn>();
        writer.sendSync('all is well');
        writer.close();
        const reader = child.recvSync<Conn>();
        const message = await reader.recv<string>();
        child.sendSync([message + message, reader.readable, reader.writable, writer.readable]);
        process.exit();
      }
      child.close();
      const [r, w] = Pipe({ duplex: false });
      conn.sendSync(w);
      w.close();
      t.report(r.recvSync());
      t.report(t.caught(() => r.recvSync())['code']);
      r.close();
      const [r2, w2] = Pipe({ duplex: false });
      await conn.send(r2);
      r2.close();
      w2.sendSync('foobar');
      w2.close();
      t.report(await conn.recv());
      t.report(rf.waitpid(pid).status);
      t.report(t.caught(() => conn.sendSync([w2]))['code']);
    });
    expect(run.reports).toEqual([
      'all is well',
      'ERR_EOF',
      ['foobarfoobar', true, false, false],
      0,
      'ERR_CONNECTION_CLOSED',
    ]);
  });

  test('test_pickling: connections of listeners, sockets and servers of Node', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const net = require('node:net') as typeof import('node:net');
      const { once } = require('node:events') as typeof import('node:events');
      const { Pipe, Client, Listener, families } = t.mp;
      type Conn = InstanceType<typeof t.mp.Connection>;
      const [lconn, lchild] = Pipe();
      const lpid = rf.fork();
      if (lpid === 0) {
        lconn.close();
        for (const family of families.slice(0, 2)) {
          const listener = new Listener(undefined, { family });
          lchild.sendSync(listener.address);
          const accepted = listener.acceptSync();
          lchild.sendSync(accepted);
          accepted.close();
          listener.close();
        }
        const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
        await once(server, 'listening');
        lchild.sendSync((server.address() as import('node:net').AddressInfo).port);
        const [socket] = (await once(server, 'connection')) as [import('node:net').Socket];
        lchild.sendSync(socket);
        lchild.sendSync(server);
        socket.destroy();
        server.close();
        return;
      }
      lchild.close();
      for (let i = 0; i < 2; i++) {
        const address = lconn.recvSync<string>();
        const client = await Client(address);
        client.sendSync(`MESSAGE ${i}`);
        client.close();
        const accepted = lconn.recvSync<Conn>();
        t.report(await accepted.recv());
        accepted.close();
      }
      const client = net.connect(lconn.recvSync<number>(), '127.0.0.1');
      client.end('over a plain socket');
      const socket = await lconn.recv<import('node:net').Socket>();
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      t.report([socket instanceof net.Socket, text]);
      const server = await lconn.recv<import('node:net').Server>();
      t.report((await rf.waitpidAsync(lpid)).status);
      const { port } = server.address() as import('node:net').AddressInfo;
      const again = net.connect(port, '127.0.0.1');
      const [accepted] = (await once(server, 'connection')) as [import('node:net').Socket];
      accepted.end('from the server that was sent');
      t.report(String((await once(again, 'data'))[0]));
      server.close();
      again.destroy();
    });
    expect(run.reports).toEqual([
      'MESSAGE 0',
      'MESSAGE 1',
      [true, 'over a plain socket'],
      0,
      'from the server that was sent',
    ]);
  });

  test('what cannot go: over TCP, TLS sockets, sockets that are not open', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const net = require('node:net') as typeof import('node:net');
      const tls = require('node:tls') as typeof import('node:tls');
      const { Pipe, Client, Listener, DupFd } = t.mp;
      const listener = new Listener(null, { family: 'AF_INET' });
      const [client, accepted] = await Promise.all([Client(listener.address), listener.accept()]);
      const [a, b] = Pipe();
      t.report([
        t.caught(() => client.sendSync({ a }))['code'],
        t.caught(() => client.sendFdSync(0))['code'],
        await client.send(new DupFd(0)).catch((error: { code: string }) => error.code),
        t.caught(() => a.sendSync(new net.Socket()))['code'],
        t.caught(() => a.sendSync([net.createServer()]))['code'],
        t.caught(() => a.sendSync(new tls.TLSSocket(new net.Socket())))['code'],
        t.caught(() => a.sendSync(tls.createServer()))['code'],
      ]);
      client.sendSync('still there');
      t.report([accepted.recvSync(), b.pollSync()]);
      listener.close();
    });
    expect(run.reports).toEqual([Array(7).fill('ERR_DATA_CLONE'), ['still there', false]]);
  });

  test('no descriptors left: a typed error, and everything works afterwards', async () => {
    const run = await cleanProgram(async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const { Pipe, Client, ClientSync, Listener, DupFd } = t.mp;
      const code = (promise: Promise<unknown>) => promise.catch((error: { code: string }) => error.code);
      const [a, b] = Pipe();
      const [, unused] = Pipe();
      const listener = new Listener();
      const [c, d] = await Promise.all([Client(listener.address), listener.accept()]);
      const waiting = ClientSync(listener.address);
      await a.poll(1); // the poller has its descriptors
      a.sendSync([1, new DupFd(0)]);
      a.sendSync('second');
      d.sendSync([new DupFd(0), 'x'.repeat(1000)]);
      d.sendSync('of the stream');
      rf.setrlimit('RLIMIT_NOFILE', { soft: 64 });
      const taken: number[] = [];
      try {
        for (;;) taken.push(fs.openSync('/dev/null', 'r'));
      } catch (error) {
        t.report((error as { code: string }).code);
      }
      t.report([
        t.caught(() => Pipe())['code'],
        t.caught(() => b.recvSync())['code'],
        b.recvSync(),
        t.caught(() => c.recvSync())['code'],
        c.recvSync(),
        await code(listener.accept()),
        t.caught(() => listener.acceptSync())['code'],
        await code(Client(listener.address)),
        t.caught(() => new Listener())['code'],
      ]);
      for (const fd of taken) fs.closeSync(fd);
      a.sendSync([2, new DupFd(0)]);
      t.report(b.recvSync<[number]>()[0]);
      const accepted = await listener.accept();
      waiting.sendSync('accepted later');
      t.report(accepted.recvSync());
      const [e, f] = Pipe();
      e.sendSync('new');
      t.report([f.recvSync(), unused.closed]);
      listener.close();
    });
    expect(run.reports).toEqual([
      'EMFILE',
      ['EMFILE', 'EMFILE', 'second', 'EMFILE', 'of the stream', 'EMFILE', 'EMFILE', 'EMFILE', 'EMFILE'],
      2,
      'accepted later',
      ['new', false],
    ]);
  });
});
