/** Classes of the user's in a manager, and servers of other processes: after CPython's _TestMyManager, _TestRemoteManager. */
import { cleanProgram, program } from '../helpers/program';

test('registered classes: methods, exposed, iterators, proxytype, methodToTypeid (test_mymanager)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { BaseManager, BaseProxy, Process } = t.mp;
    class FooBar {
      f() {
        return 'f()';
      }
      g(): never {
        throw new RangeError('g');
      }
      _h() {
        return '_h()';
      }
    }
    class Tree {
      constructor(readonly value: number) {}
      child(value: number) {
        return new Tree(value);
      }
      async laterChild(value: number) {
        return new Tree(value);
      }
      get() {
        return this.value;
      }
    }
    class TwiceProxy extends BaseProxy {
      twice() {
        return Promise.all([this.callMethod('f'), this.callMethod('f')]);
      }
    }
    class MyManager extends BaseManager {}
    MyManager.register('Foo', FooBar);
    MyManager.register('Bar', FooBar, { exposed: ['f', '_h'] });
    MyManager.register('baz', function* (n: number) {
      for (let i = 0; i < n; i++) yield i * i;
    });
    MyManager.register('Twice', FooBar, { proxytype: TwiceProxy });
    MyManager.register('Tree', Tree, { methodToTypeid: { child: 'Tree', laterChild: 'Tree' } });
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- methods by their registered names
    const manager = (await new MyManager().start()) as any;
    const foo = await manager.Foo();
    const bar = await manager.Bar();
    t.report([['f', 'g', '_h'].filter((name) => name in foo), ['f', 'g', '_h'].filter((name) => name in bar)]);
    t.report([await foo.f(), foo.fSync(), await foo.g().catch((error: Error) => [error.name, error.message])]);
    t.report([await foo.callMethod('f'), await bar._h(), await bar.callMethod('_h')]);
    t.report(await foo.callMethod('_h').catch((error: { code: string }) => error.code));
    const squares = [];
    for await (const square of await manager.baz(5)) squares.push(square);
    t.report([squares, [...manager.bazSync(4)]]);
    t.report(await (await manager.Twice()).twice());
    const tree = await manager.Tree(1);
    const [leaf, later] = [await tree.child(2), tree.laterChildSync(3)];
    t.report([await tree.get(), await leaf.get(), later.getSync()]);
    const child = new Process({
      args: [leaf],
      target: async (own: typeof leaf) => t.report((await own.child(9)).getSync()),
    });
    child.start();
    await child.join();
    t.report(
      [
        () => MyManager.register('start', FooBar),
        () => MyManager.register('a b', FooBar),
        () => MyManager.register('X', 5 as never),
      ].map((call) => t.caught(call).code),
    );
    t.report(await manager.create('nothing').catch((error: { code: string }) => error.code));
    // After the start, with a class that the server cannot know.
    const offset = 100;
    const later2 = manager.register(
      'Late',
      class {
        add(n: number) {
          return n + offset;
        }
      },
    );
    t.report([await (await later2()).add(1), (await manager.Late()).addSync(2)]);
    await manager.shutdown();
    t.report(manager.process.exitCode);
  });
  expect(run.reports).toEqual([
    [
      ['f', 'g'],
      ['f', '_h'],
    ],
    ['f()', 'f()', ['RangeError', 'g']],
    ['f()', '_h()', '_h()'],
    'ERR_MANAGER_NOT_EXPOSED',
    [
      [0, 1, 4, 9, 16],
      [0, 1, 4, 9],
    ],
    ['f()', 'f()'],
    [1, 2, 3],
    9,
    ['ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE'],
    'ERR_MANAGER_NO_TYPE',
    [101, 102],
    0,
  ]);
});

/** A program in a family of its own, which shares nothing with that of the test but the address and the key. */
const client = `
const { BaseManager, connectManager } = require(process.env.PACKAGE + '/dist/multiprocessing.js');
const said = (value) => process.stdout.write('@report ' + JSON.stringify(value) + '\\n');
(async () => {
  const address = JSON.parse(process.env.ADDRESS);
  for (const authkey of ['wrong', undefined]) {
    said(await new BaseManager({ address, authkey }).connect().then(String, (error) => [error.name, error.code]));
  }
  class Theirs extends BaseManager {}
  Theirs.register('getQueue');
  const manager = new Theirs({ address, authkey: 'the key' });
  await manager.connect();
  const queue = await manager.getQueue();
  for (const item of ['hall\\u00e5 v\\u00e4rlden', null, true, 2.25, Buffer.from('bytes')]) await queue.put(item);
  said(await manager.shutdown().catch((error) => error.code));
  said(manager.process);
  const other = await new Theirs({ address, authkey: 'the key' }).connectSync().getQueue();
  said([await other.get(), other.getSync()]);
  said(await connectManager({ address, authkey: 'the key' }).then((m) => m.getQueue === undefined));
  await new Promise((resolve) => process.stdout.write('', resolve));
})();
`;

describe.each(['AF_INET', 'AF_UNIX'])('%s', (family) => {
  test('G09 another program connects by address and key; a wrong key is refused (test_remote)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const { mkdtempSync, rmSync, writeFileSync } = require('node:fs') as typeof import('node:fs');
        const { BaseManager, Queue } = t.mp;
        const folder = mkdtempSync('/tmp/realfork-remote-');
        writeFileSync(`${folder}/client.cjs`, t.args[1] as string);
        const queue = new Queue<unknown>();
        class Mine extends BaseManager {}
        Mine.register('getQueue', () => queue);
        const address = t.args[0] === 'AF_INET' ? { host: '127.0.0.1', port: 0 } : `${folder}/socket`;
        const manager = await new Mine({ address, authkey: 'the key' }).start();
        t.report(typeof manager.address === 'object' ? (manager.address as { port: number }).port > 0 : true);
        const env = { ...process.env, ADDRESS: JSON.stringify(manager.address), PACKAGE: t.args[2] as string };
        const child = spawn(process.execPath, [`${folder}/client.cjs`], {
          env,
          stdio: ['ignore', 'inherit', 'inherit'],
        });
        t.report([await new Promise((resolve) => child.on('exit', resolve))]);
        const own = (await manager.create('getQueue')) as unknown as { get(): Promise<unknown>; getSync(): unknown };
        t.report([await own.get(), own.getSync(), String(await own.get())]);
        await manager.shutdown();
        t.report(manager.process?.exitCode);
        rmSync(folder, { recursive: true });
      },
      { args: [family, client, require('node:path').resolve(__dirname, '..', '..')] },
    );
    expect(run.reports).toEqual([
      true,
      ['AuthenticationError', 'ERR_AUTHENTICATION'],
      ['AuthenticationError', 'ERR_AUTHENTICATION'],
      'ERR_MANAGER_NOT_OWNER',
      null,
      ['hallå världen', null],
      true,
      [0],
      [true, 2.25, 'bytes'],
      0,
    ]);
  });

  test('G09 the address can be bound again right after shutdown (test_rapid_restart)', async () => {
    const run = await cleanProgram(
      async (rf, t) => {
        const { SyncManager } = t.mp;
        const { mkdtempSync, rmSync } = require('node:fs') as typeof import('node:fs');
        const folder = mkdtempSync('/tmp/realfork-restart-');
        let address: unknown = t.args[0] === 'AF_INET' ? ['127.0.0.1', 0] : `${folder}/socket`;
        for (let i = 0; i < 4; i++) {
          const manager = await new SyncManager({ address: address as string, authKey: 'k' }).start();
          address = manager.address;
          const client = await new SyncManager({ address: address as string, authKey: 'k' }).connect();
          const list = await client.list([i]);
          t.report([await list.length, JSON.stringify(manager.address) === JSON.stringify(address)]);
          await manager.shutdown();
          t.report([manager.process?.exitCode, await list.get(0).catch((error: { code: string }) => error.code)]);
        }
        rmSync(folder, { recursive: true });
      },
      { args: [family] },
    );
    expect(run.reports).toEqual(
      Array.from({ length: 4 }, () => [
        [1, true],
        [0, 'ERR_MANAGER_GONE'],
      ]).flat(),
    );
  });
});

test('getServer().serveForever() makes a process of one’s own the server, until stop()', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { SyncManager, Process, Pipe } = t.mp;
    const [address, ours] = Pipe();
    const child = new Process({
      target: async () => {
        const server = new SyncManager({ address: ['127.0.0.1', 0], authkey: 'k' }).getServer();
        ours.sendSync(server.address);
        process.on('SIGUSR1', () => server.stop());
        await server.serveForever();
        t.report('served');
      },
    });
    child.start();
    const manager = new SyncManager({ address: address.recvSync() as never, authkey: 'k' });
    await manager.connect();
    const dict = await manager.dict({ a: 1 });
    // Over TCP also from a fork that has inherited the proxy, and from one that gets it.
    const reader = new Process({ args: [dict], target: (own: typeof dict) => own.setSync('b', own.getSync('a') ?? 0) });
    reader.start();
    await reader.join();
    t.report(await dict.toObject());
    process.kill(child.pid as number, 'SIGUSR1');
    await child.join();
    t.report([child.exitCode, await dict.get('a').catch((error: { code: string }) => error.code)]);
  });
  expect(run.reports).toEqual([{ a: 1, b: 1 }, 'served', [0, 'ERR_MANAGER_GONE']]);
});

test('G09 who connects and says nothing, or something else, costs the others nothing', async () => {
  const run = await program(async (rf, t) => {
    const { connect } = require('node:net') as typeof import('node:net');
    const { SyncManager } = t.mp;
    const manager = await new SyncManager({ address: ['127.0.0.1', 0] as never, authKey: 'k' }).start();
    const { port } = manager.address as { port: number };
    const silent = connect(port, '127.0.0.1');
    const rude = connect(port, '127.0.0.1', () => rude.end('GET / HTTP/1.1\r\n\r\n'));
    rude.on('error', () => {});
    silent.on('error', () => {});
    await new Promise((resolve) => silent.on('connect', resolve));
    const client = await new SyncManager({ address: manager.address as never, authKey: 'k' }).connect();
    t.report(await (await client.list([1, 2])).length);
    silent.destroy();
    await manager.shutdown();
    t.report(manager.process?.exitCode);
  });
  expect(run.reports).toEqual([2, 0]);
});
