/** Section P of the acceptance under every start method: the cases once, run for each. P24: start-method-arguments.test.ts. */
import { methodProgram, startMethods } from '../helpers/method-program';

describe.each(startMethods)('%s', (method) => {
  test('P01 a process with args, kwargs and a name: before, while and after it runs', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        work(ready: { set(): void }, go: { waitSync(): void }, ...args: unknown[]) {
          const me = t.mp.currentProcess();
          const parent = t.mp.parentProcess();
          t.report({
            args,
            name: me.name,
            pid: me.pid === process.pid,
            daemon: me.daemon,
            key: me.authkey.toString('hex'),
          });
          t.report({
            parent: parent?.name,
            alive: parent?.isAlive(),
            ppid: parent?.pid,
            method: t.mp.getStartMethod(),
          });
          ready.set();
          go.waitSync();
        },
      }),
      async (rf, t, { work }) => {
        const { Process, Event, activeChildren, currentProcess } = t.mp;
        const ready = new Event();
        const go = new Event();
        const options = { args: [ready, go, 1, 'two'], kwargs: { hello: 23 }, name: 'SomeProcess', daemon: true };
        const child = new Process({ target: work, ...options });
        const state = () => [child.isAlive(), child.exitCode, activeChildren().includes(child)];
        t.report({ state: state(), pid: child.pid, key: currentProcess().authkey.toString('hex'), main: process.pid });
        child.start();
        ready.waitSync();
        t.report({ state: state(), pid: (child.pid as number) > 0 });
        go.set();
        await child.join();
        t.report({ state: state() });
      },
    );
    const [before, child, parent, running, after] = run.reports;
    expect(before).toMatchObject({ state: [false, null, false], pid: null });
    expect(child).toEqual({
      args: [1, 'two', { hello: 23 }],
      name: 'SomeProcess',
      pid: true,
      daemon: true,
      key: before.key,
    });
    expect(parent).toEqual({ parent: 'MainProcess', alive: true, ppid: before.main, method });
    expect(running).toEqual({ state: [true, null, true], pid: true });
    expect(after).toEqual({ state: [false, 0, false] });
  });

  test('P02 the main process knows itself, and a child its parent, two generations deep', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        child(depth: number) {
          const { currentProcess, parentProcess, Process } = t.mp;
          const [me, parent] = [currentProcess(), parentProcess()];
          t.report({
            me: [me.name, me.pid === process.pid, me.isAlive(), me.exitCode, me.daemon],
            parent: [parent?.name, parent?.pid, parent?.isAlive()],
            pid: process.pid,
          });
          if (depth === 0) return;
          const grandchild = new Process({ target: module.exports.child, args: [depth - 1], daemon: true });
          grandchild.start();
          grandchild.joinSync();
        },
      }),
      async (rf, t, { child }) => {
        const { Process, currentProcess, parentProcess } = t.mp;
        const main = currentProcess();
        t.report([main.isAlive(), main.daemon, main.pid === process.pid, main.exitCode, main.name, parentProcess()]);
        const first = new Process({ target: child, args: [1], name: 'First' });
        first.start();
        const { pid } = first;
        await first.join();
        t.report([process.pid, pid, first.exitCode]);
      },
    );
    const [main, first, second, [mainPid, firstPid, exitCode]] = run.reports;
    expect(main).toEqual([true, false, true, null, 'MainProcess', null]);
    expect(first).toEqual({
      me: ['First', true, true, null, false],
      parent: ['MainProcess', mainPid, true],
      pid: firstPid,
    });
    expect(second).toEqual({
      me: [expect.stringMatching(/^(Fork|ForkServer|Spawn)?Process-1:1$/), true, true, null, true],
      parent: ['First', firstPid, true],
      pid: expect.any(Number),
    });
    expect(new Set([mainPid, firstPid, second.pid]).size).toBe(3);
    expect(exitCode).toBe(0);
  });

  test('P04 P18 a daemonic process has no children, and a child may not use its parent objects', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        nothing() {},
        parent() {
          const inner = new t.mp.Process({ target: module.exports.nothing });
          try {
            inner.start();
          } catch (error) {
            t.report((error as { code: string }).code);
          }
        },
      }),
      async (rf, t, { parent, nothing }) => {
        const daemon = new t.mp.Process({ target: parent, daemon: true });
        daemon.start();
        await daemon.join();
        const code = (call: () => unknown) => {
          try {
            call();
          } catch (error) {
            return (error as { code: string }).code;
          }
          return 'none';
        };
        const child = new t.mp.Process({ target: nothing });
        t.report([code(() => child.terminate()), code(() => child.joinSync())]);
        child.start();
        t.report([code(() => child.start()), code(() => (child.daemon = true))]);
        child.joinSync();
        t.report([daemon.exitCode, child.exitCode, code(() => child.start())]);
      },
    );
    expect(run.reports).toEqual([
      'ERR_PROCESS_DAEMONIC',
      ['ERR_PROCESS_NOT_STARTED', 'ERR_PROCESS_NOT_STARTED'],
      ['ERR_PROCESS_STARTED', 'ERR_PROCESS_STARTED'],
      [0, 0, 'ERR_PROCESS_STARTED'],
    ]);
  });

  test.each([
    ['at the end of the script', '', 0],
    ['at process.exit(3)', 'exit', 3],
    ['after an uncaught error', 'throw', 1],
  ])('P05 non-daemonic children are waited for, daemonic ones ended, %s', async (_when, how, code) => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        late(ready: { set(): void }) {
          ready.set();
          setTimeout(() => t.report('late'), 100);
        },
        forever(ready: { set(): void }) {
          ready.set();
          setInterval(() => {}, 1000);
        },
      }),
      (rf, t, { late, forever }) => {
        const [first, second] = [new t.mp.Event(), new t.mp.Event()];
        new t.mp.Process({ target: forever, args: [first], daemon: true }).start();
        new t.mp.Process({ target: late, args: [second] }).start();
        first.waitSync();
        second.waitSync();
        if (t.args[0] === 'exit') process.exit(3);
        if (t.args[0] === 'throw') throw new Error('on purpose');
      },
      { args: [how], code },
    );
    expect(run.reports).toEqual(['late']);
  });

  test('P18 a Process among the arguments is, in the child, one of another process, started or not', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => {
        class Named extends t.mp.Process {}
        return {
          Named,
          wait(event: { waitSync(): void }) {
            event.waitSync();
          },
          async look(...others: InstanceType<typeof Named>[]) {
            const code = (error: { code: string }) => error.code;
            for (const other of others) {
              t.report([
                other instanceof t.mp.Process,
                String(other).replace(/parent=\d+/, `${other.name} ${other.daemon}`),
                other.pid,
                other.exitCode,
                t.caught(() => other.start()).code,
                t.caught(() => other.isAlive()).code,
                t.caught(() => other.joinSync()).code,
                await other.join().catch(code),
                t.caught(() => other.terminate()).code,
              ]);
            }
          },
        };
      },
      async (rf, t, { Named, wait, look }) => {
        const event = new t.mp.Event();
        const fresh = new Named({ name: 'fresh' });
        const running = new t.mp.Process({ target: wait, args: [event], daemon: true, name: 'running' });
        running.start();
        const child = new t.mp.Process({ target: look, args: [fresh, running] });
        child.start();
        child.joinSync();
        event.set();
        running.joinSync();
        t.report([child.exitCode, running.exitCode, running.pid]);
      },
    );
    const [fresh, running, [exitCode, runningExitCode, pid]] = run.reports;
    const none = Array(4).fill('ERR_PROCESS_NOT_CREATOR');
    expect(fresh).toEqual([true, "<Named name='fresh' fresh false unknown>", null, null, none[0], ...none]);
    const shown = `<Process name='running' pid=${pid} running true unknown daemon>`;
    expect(running).toEqual([true, shown, pid, null, 'ERR_PROCESS_STARTED', ...none]);
    expect([exitCode, runningExitCode]).toEqual([0, 0]);
  });

  test('P07 join(0) and join(-1) return at once; terminate gives -15, kill -9; both are harmless afterwards', async () => {
    const run = await methodProgram(
      method,
      () => ({
        sleep(ready: { set(): void }) {
          ready.set();
          setInterval(() => {}, 1000);
        },
      }),
      async (rf, t, { sleep }) => {
        for (const how of ['terminate', 'kill'] as const) {
          const ready = new t.mp.Event();
          const child = new t.mp.Process({ target: sleep, args: [ready] });
          child.start();
          ready.waitSync();
          child.joinSync(0);
          await child.join(-1);
          const [isReady] = await t.mp.wait([child.sentinel], 0);
          t.report([child.isAlive(), child.exitCode, isReady === undefined]);
          child[how]();
          t.report(await t.mp.wait([child.sentinel], 10_000).then(({ length }) => length));
          await child.join();
          child.terminate();
          child.kill();
          t.report([child.exitCode, child.isAlive()]);
          child.close();
        }
      },
    );
    const alive = [true, null, true];
    expect(run.reports).toEqual([alive, 1, [-15, false], alive, 1, [-9, false]]);
  });

  test('a process that has ended and is forgotten, without close(), keeps no descriptor', async () => {
    const run = await methodProgram(
      method,
      () => ({ work() {} }),
      async (_rf, t, { work }) => {
        const { readdirSync } = require('node:fs') as typeof import('node:fs');
        const descriptors = () => readdirSync('/proc/self/fd').length;
        const runOne = async () => {
          const child = new t.mp.Process({ target: work });
          child.start();
          void child.sentinel;
          await child.join();
        };
        await runOne(); // with what every later one uses too
        const before = descriptors();
        for (let i = 0; i < 5; i++) await runOne();
        await t.waitUntil(() => {
          gc?.();
          return descriptors() <= before;
        }, 'the end of their descriptors');
      },
      { nodeFlags: ['--expose-gc'] },
    );
    expect(run.code).toBe(0);
  });

  test('P08 P11 many children at once, exit codes, and processes that start processes', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        exit(code: number) {
          process.exitCode = code;
        },
        descend(queue: { putSync(id: number[]): void }, id: number[]) {
          queue.putSync(id);
          if (id.length === 2) return;
          for (const i of [0, 1]) {
            const child = new t.mp.Process({ target: module.exports.descend, args: [queue, [...id, i]] });
            child.start();
            child.joinSync();
          }
        },
      }),
      async (rf, t, { exit, descend }) => {
        const children = [3, 0, 7, 1].map((code) => new t.mp.Process({ target: exit, args: [code] }));
        for (const child of children) child.start();
        for (const child of children) await child.join();
        t.report(children.map(({ exitCode }) => exitCode));
        t.report(t.mp.activeChildren().length);
        const queue = new t.mp.Queue<number[]>();
        const child = new t.mp.Process({ target: descend, args: [queue, []] });
        child.start();
        const ids = [];
        for (let i = 0; i < 7; i++) ids.push(await queue.get());
        await child.join();
        t.report(ids);
      },
    );
    expect(run.reports).toEqual([[3, 0, 7, 1], 0, [[], [0], [0, 0], [0, 1], [1], [1, 0], [1, 1]]]);
  });

  test('P15 a child that closes its stdout, or is started without one, runs and ends with 0', async () => {
    const run = await methodProgram(
      method,
      () => ({
        close(queue: { putSync(value: number): void }) {
          require('node:fs').closeSync(1);
          queue.putSync(1);
        },
        put(queue: { putSync(value: number): void }) {
          queue.putSync(2);
        },
      }),
      async (rf, t, { close, put }) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const queue = new t.mp.Queue();
        const first = new t.mp.Process({ target: close, args: [queue] });
        first.start();
        first.joinSync();
        const saved = rf.dup(1);
        fs.closeSync(1);
        const second = new t.mp.Process({ target: put, args: [queue] });
        second.start();
        second.joinSync();
        rf.dup2(saved, 1);
        t.report([first.exitCode, second.exitCode, queue.getSync(), queue.getSync()]);
      },
    );
    expect(run.reports).toEqual([[0, 0, 1, 2]]);
  });

  test('P16 a subclass with its own run() and pipes serves requests and stops on request', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        Upper: class extends t.mp.Process {
          readonly ours: InstanceType<typeof t.mp.Connection>;
          readonly theirs: InstanceType<typeof t.mp.Connection>;
          constructor() {
            super();
            [this.ours, this.theirs] = t.mp.Pipe();
          }
          override run() {
            for (;;) {
              const text = this.theirs.recvSync<string | null>();
              if (text === null) return;
              this.theirs.sendSync([text.toUpperCase(), this === t.mp.currentProcess(), this.name]);
            }
          }
        },
      }),
      async (rf, t, { Upper }) => {
        const server = new Upper();
        server.daemon = true;
        server.start();
        server.theirs.close();
        for (const text of ['hello', 'world']) {
          server.ours.sendSync(text);
          t.report(await server.ours.recv());
        }
        server.ours.sendSync(null);
        await server.join();
        t.report(server.exitCode);
      },
    );
    expect(run.reports).toEqual([['HELLO', true, 'Upper-1'], ['WORLD', true, 'Upper-1'], 0]);
  });

  test('P16 members of a subclass may be called anything, and lead back to the process', async () => {
    const run = await methodProgram(
      method,
      (rf, t) => ({
        Job: class extends t.mp.Process {
          state = 'new';
          bootstrap = 1;
          inheritance = 2;
          itself = this;
          part = { of: this };
          receive() {
            return 3;
          }
          override run() {
            const same = [this.itself, this.part.of, t.mp.currentProcess()].map((other) => other === this);
            t.report([this.state, this.bootstrap, this.inheritance, this.receive(), same]);
          }
        },
      }),
      (rf, t, { Job }) => {
        const job = new Job();
        job.start();
        job.joinSync();
        t.report(job.exitCode);
      },
    );
    expect(run.reports).toEqual([['new', 1, 2, 3, [true, true, true]], 0]);
  });

  test.each(['throws', 'rejects', 'later'])(
    'P17 an error of the target is printed with its process: %s',
    async (which) => {
      const run = await methodProgram(
        method,
        () => ({
          throws() {
            throw new RangeError('on purpose');
          },
          async rejects() {
            await null;
            throw new RangeError('on purpose');
          },
          later() {
            setTimeout(module.exports.throws, 1);
          },
        }),
        async (rf, t, targets: Record<string, () => void>) => {
          const child = new t.mp.Process({ target: targets[t.args[0] as string], name: 'Unlucky' });
          child.start();
          await child.join();
          t.report(child.exitCode);
          process.exitCode = 5;
        },
        { args: [which], code: 5 },
      );
      expect(run.reports).toEqual([1]);
      expect(run.stderr).toMatch(/^Process Unlucky:\n[^]*RangeError: on purpose\n {4}at /);
      expect(run.stderr.match(/Process Unlucky/g)).toHaveLength(1);
    },
  );
});
