/** The life of a manager and of its server: start, end, death; errors on their way from it. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { tmpdir } from 'node:os';
import { cleanProgram, program } from '../helpers/program';

test('G07 shutdown ends the server with exit code 0, also twice and by its Sync twin; proxies throw afterwards', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, ManagerSync } = t.mp;
    const code = async (call: () => unknown) => {
      try {
        return await call();
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    for (const isSync of [false, true]) {
      const manager = isSync ? ManagerSync() : await Manager();
      const dict = isSync ? manager.dictSync({ a: 1 }) : await manager.dict({ a: 1 });
      const queue = await manager.Queue();
      const waits = code(() => queue.get());
      const pid = manager.process?.pid as number;
      const path = manager.address as string;
      t.report([manager.process?.isAlive(), await dict.size]);
      if (isSync) manager.shutdownSync();
      else await manager.shutdown();
      t.report([manager.process?.exitCode, t.stat(pid) === undefined, await waits]);
      await manager.shutdown();
      manager.shutdownSync();
      t.report([
        await code(() => dict.get('a')),
        await code(() => dict.getSync('a')),
        await code(() => manager.dict()),
      ]);
      t.report(require('node:fs').existsSync(path));
    }
  });
  const gone = 'ERR_MANAGER_GONE';
  const each = [[true, 1], [0, true, gone], [gone, gone, gone], false];
  expect(run.reports).toEqual([...each, ...each]);
});

test('G07 the scoped form shuts down, of a prestarted manager too; start and connect are for once (test_mymanager_context_prestarted)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { SyncManager, BaseManager } = t.mp;
    const manager = new SyncManager();
    t.report([manager.process, await manager.dict().catch((error: Error & { code: string }) => error.code)]);
    t.report((await manager.start()) === manager);
    t.report(await manager.start().catch((error: Error & { code: string }) => error.code));
    const list = await manager.list([1]);
    t.report(await list.length);
    await manager[Symbol.asyncDispose]();
    t.report([manager.process?.exitCode, await list.get(0).catch((error: Error & { code: string }) => error.code)]);
    const other = new BaseManager().startSync();
    other[Symbol.dispose]();
    t.report(other.process?.exitCode);
    t.report([
      t.caught(() => new BaseManager({ authKey: 5 as never })).code,
      t.caught(() => new BaseManager(5 as never)).code,
    ]);
  });
  expect(run.reports).toEqual([
    [null, 'ERR_MANAGER_NOT_STARTED'],
    true,
    'ERR_MANAGER_STARTED',
    1,
    [0, 'ERR_MANAGER_GONE'],
    0,
    ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
  ]);
});

describe('G07 no server survives the end of the main script', () => {
  test.each(['ends', 'process.exit', 'throws', 'SIGKILL', 'SIGTERM'])('%s', async (how) => {
    const run = await program(
      async (rf, t) => {
        const manager = await t.mp.Manager();
        const dict = await manager.dict({ a: 1 });
        const queue = await manager.Queue();
        const child = new t.mp.Process({ target: () => dict.sizeSync(), daemon: true }); // a client beside it
        child.start();
        await child.join();
        t.report([manager.process?.pid, manager.address]);
        if (t.args[0] === 'process.exit') process.exit(3);
        if (t.args[0] === 'throws') throw new Error('of the main script');
        if (String(t.args[0]).startsWith('SIG')) {
          queue.get().catch(() => {});
          process.kill(process.pid, t.args[0] as NodeJS.Signals);
        }
      },
      { args: [how] },
    ); // fails when a process is left
    expect({ code: run.code, signal: run.signal }).toEqual(
      {
        ends: { code: 0, signal: null },
        'process.exit': { code: 3, signal: null },
        throws: { code: 1, signal: null },
        SIGKILL: { code: null, signal: 'SIGKILL' },
        SIGTERM: { code: null, signal: 'SIGTERM' },
      }[how],
    );
    const [, path] = run.reports[0] as [number, string];
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(tmpdir())).not.toContain(dirname(path).slice(tmpdir().length + 1));
  });
});

test('a killed manager gives an error at once in every client, blocked ones included, and does not hang', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process, Pipe } = t.mp;
    const manager = await Manager();
    const queue = await manager.Queue();
    const lock = await manager.Lock();
    await lock.acquire();
    const failure = async (call: () => unknown) => {
      try {
        return String(await call());
      } catch (error) {
        const { name, code, message } = error as Error & { code: string };
        return [name, code, /start a new manager/.test(message)];
      }
    };
    const [ready, ours] = Pipe();
    const clients = [
      () => failure(() => queue.getSync()),
      () => failure(() => queue.get()),
      () => failure(() => lock.acquireSync()),
    ].map(
      (wait, i) =>
        new Process({
          target: async () => {
            queue.qsizeSync();
            ours.sendSync(i);
            t.report([await wait(), await failure(() => queue.put(1)), await failure(() => queue.qsizeSync())]);
          },
        }),
    );
    for (const client of clients) client.start();
    for (const _ of clients) ready.recvSync();
    const waits = [queue.get(), lock.acquire(), manager.process?.join()];
    process.kill(manager.process?.pid as number, 'SIGKILL');
    t.report([await failure(() => waits[0]), await failure(() => waits[1]), await failure(() => queue.putSync(1))]);
    await Promise.all(clients.map((client) => client.join()));
    t.report([manager.process?.exitCode, clients.map((client) => client.exitCode)]);
    t.report([await failure(() => manager.dict()), await failure(() => manager.shutdown())]);
    const path = manager.address as string;
    t.report(require('node:fs').existsSync(path));
  });
  const gone = ['ProcessError', 'ERR_MANAGER_GONE', true];
  const all = [gone, gone, gone];
  expect(run.reports).toEqual([all, all, all, all, [-9, [0, 0, 0]], [gone, 'undefined'], false]);
});

test('errors come back with name, message, code, cause, own properties and both stacks (test_remote_exception)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { BaseManager } = t.mp;
    class PaymentError extends Error {
      constructor(
        message: string,
        readonly amount: number,
      ) {
        super(message, { cause: new RangeError('too much') });
      }
    }
    class Shop {
      pay(): never {
        throw Object.assign(new PaymentError('not enough', 5), { code: 'ERR_MONEY' });
      }
      async later(): Promise<never> {
        throw new TypeError('later');
      }
      text(): never {
        throw 'a text';
      }
      uncloneable() {
        return () => {};
      }
      _hidden() {
        return 'hidden';
      }
    }
    class Shops extends BaseManager {}
    Shops.register('Shop', Shop);
    const shops = await new Shops().start();
    const shop = (await shops.create('Shop')) as Awaited<ReturnType<typeof shops.create>> & {
      pay(): Promise<void>;
      paySync(): void;
      later(): Promise<void>;
      text(): Promise<void>;
      uncloneable(): Promise<void>;
    };
    for (const form of ['promise', 'sync']) {
      try {
        if (form === 'sync') shop.paySync();
        else await shop.pay();
      } catch (error) {
        const {
          name,
          message,
          code,
          amount,
          cause,
          stack = '',
          remoteStack,
        } = error as PaymentError & {
          code: string;
          cause: Error;
          remoteStack: string;
        };
        t.report([name, message, code, amount, cause.name, cause.message, error instanceof Error]);
        t.report([remoteStack.includes('at Shop.pay'), stack.includes('at Shop.pay'), stack.includes('Shop.pay\n')]);
        t.report([stack.includes('program.cjs'), Object.keys(error as object).includes('remoteStack')]);
      }
    }
    const thrown = (call: Promise<unknown>) => call.then(String, (e: Error) => [e.name ?? typeof e, e.message ?? e]);
    t.report([await thrown(shop.later()), await thrown(shop.text()), (await thrown(shop.uncloneable()))[0]]);
    t.report(
      await Promise.all(
        ['_hidden', 'constructor', 'toString', '__proto__', 'nothing'].map((name) =>
          shop.callMethod(name).catch((error: Error & { code: string }) => error.code),
        ),
      ),
    );
    t.report(['pay' in shop, '_hidden' in shop, 'later' in shop]);
    // Of the start.
    const failing = new BaseManager({
      initializer: () => {
        throw new PaymentError('in the initializer', 1);
      },
    });
    t.report([await thrown(failing.start()), failing.process?.exitCode]);
    const taken = new BaseManager({ address: shops.address });
    t.report((await taken.start().catch((error: Error & { code: string }) => error.code)) as string);
  });
  const pay = [
    ['PaymentError', 'not enough', 'ERR_MONEY', 5, 'RangeError', 'too much', true],
    [true, true, true],
    [true, false],
  ];
  expect(run.reports).toEqual([
    ...pay,
    ...pay,
    [['TypeError', 'later'], ['string', 'a text'], 'DataCloneError'],
    Array(5).fill('ERR_MANAGER_NOT_EXPOSED'),
    [true, false, true],
    [['PaymentError', 'in the initializer'], 1],
    'EADDRINUSE',
  ]);
});

test('initializer runs in the server before anything else, with its args (test_mymanager)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { BaseManager } = t.mp;
    const state = { name: 'none', pid: 0 };
    class Mine extends BaseManager {}
    Mine.register('state', () => ({ read: () => state }));
    const manager = new Mine();
    await manager.start(
      (name: string) => {
        state.name = name;
        state.pid = process.pid;
      },
      ['given'],
    );
    const read = (await manager.create('state')) as unknown as { read(): Promise<typeof state> };
    const seen = await read.read();
    t.report([seen.name, seen.pid === manager.process?.pid, state.name, await manager.numberOfObjects()]);
    await manager.shutdown();
    t.report(manager.process?.exitCode);
  });
  expect(run.reports).toEqual([['given', true, 'none', 1], 0]);
});

test('a server with a stopped client, or stopped itself, does not keep shutdown from ending', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager } = t.mp;
    const manager = await Manager();
    const list = await manager.list([1]);
    process.kill(manager.process?.pid as number, 'SIGSTOP');
    const waits = list.length.then(String, (error: Error & { code: string }) => error.code);
    await manager.shutdown();
    t.report([manager.process?.exitCode, await waits]);
  });
  expect(run.reports).toEqual([[-9, 'ERR_MANAGER_GONE']]);
});
