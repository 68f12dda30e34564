/** Signals while a call blocks: after CPython's TestIgnoreEINTR and _TestPollEintr. */
import { cleanProgram } from '../helpers/program';

test('test_ignore, test_ignore_listener, test_poll_eintr: a signal with a listener cuts no blocking call short', async () => {
  const run = await cleanProgram(
    async (rf, t) => {
      const { Barrier, Client, Condition, Event, JoinableQueue, Listener, Lock, Pipe, Process, Queue, Semaphore } =
        t.mp;
      let signals = 0;
      process.on('SIGUSR1', () => (signals += 1));
      const parent = process.pid;
      const pester = (last: () => unknown) => {
        const child = new Process({
          target: async () => {
            for (let i = 0; i < 10; i++) {
              rf.sleepSync(10);
              rf.kill(parent, 'SIGUSR1');
            }
            await last();
          },
        });
        child.start();
        return child;
      };
      const [reader, writer] = Pipe({ duplex: false });
      const large = Buffer.alloc(1 << 20, 'L');
      const queue = new Queue<string>(1);
      const tasks = new JoinableQueue<number>();
      tasks.putSync(1);
      const lock = new Lock();
      lock.acquireSync();
      const semaphore = new Semaphore(0);
      const event = new Event();
      const condition = new Condition();
      const barrier = new Barrier(2);
      const listener = new Listener();
      const cases: [string, () => unknown, () => unknown][] = [
        ['recv', () => reader.recvSync(), () => writer.sendSync('a message')],
        ['recvBytes', () => reader.recvBytesSync().equals(large), () => writer.sendBytesSync(large)],
        ['poll', () => reader.pollSync(60_000) && reader.recvSync(), () => writer.sendSync('polled')],
        ['poll in vain', () => reader.pollSync(110), () => {}],
        ['wait', () => t.mp.waitSync([reader, queue]).length, () => queue.putSync('an item')],
        ['get', () => [queue.getSync(), queue.getSync()], () => queue.putSync('another')],
        ['get in vain', () => t.caught(() => queue.getSync({ timeout: 110 })).name, () => {}],
        ['put', () => [queue.putSync('x'), queue.putSync('y')].length, () => queue.getSync()],
        ['join', () => tasks.joinSync(), () => (tasks.getSync(), tasks.taskDone())],
        ['acquire', () => lock.acquireSync(), () => lock.release()],
        ['acquire in vain', () => lock.acquireSync({ timeout: 110 }), () => {}],
        ['semaphore', () => semaphore.acquireSync(), () => semaphore.release()],
        ['event', () => event.waitSync(), () => event.set()],
        [
          'condition',
          () => condition.withSync(() => condition.waitSync()),
          () => condition.withSync(() => condition.notify()),
        ],
        ['barrier', () => barrier.waitSync() >= 0, () => void barrier.waitSync()],
        [
          'accept',
          () => {
            const connection = listener.acceptSync();
            const text = connection.recvSync();
            connection.close();
            return text;
          },
          async () => (await Client(listener.address)).send('a client'),
        ],
      ];
      for (const [name, block, last] of cases) {
        const child = pester(last);
        const start = performance.now();
        const result = block();
        t.report([name, result ?? null, performance.now() - start >= 95]);
        child.joinSync();
        if (child.exitCode !== 0) t.report([name, child.exitCode]);
      }
      const child = pester(() => {});
      child.joinSync();
      t.report(['Process.join', child.exitCode, true]);
      listener.close();
      await t.waitUntil(() => signals > 0, 'the signals arrive');
    },
    { timeout: 60_000 },
  );
  expect(run.reports).toEqual(
    [
      ['recv', 'a message'],
      ['recvBytes', true],
      ['poll', 'polled'],
      ['poll in vain', false],
      ['wait', 1],
      ['get', ['an item', 'another']],
      ['get in vain', 'Empty'],
      ['put', 2],
      ['join', null],
      ['acquire', true],
      ['acquire in vain', false],
      ['semaphore', true],
      ['event', true],
      ['condition', true],
      ['barrier', true],
      ['accept', 'a client'],
      ['Process.join', 0],
    ].map((row) => [...row, true]),
  );
}, 90_000);
