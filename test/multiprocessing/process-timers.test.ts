import { cleanProgram } from '../helpers/program';

test("a child started in a microtask between two of its parent's timers runs neither", async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const parent = process.pid;
    const say = (what: string) => t.report(`${what} in ${process.pid === parent ? 'the parent' : 'the child'}`);
    const ended = new Promise<void>((resolve) => {
      const start = async () => {
        const child = new t.mp.Process({ target: () => say('target') });
        child.start();
        await child.join();
        resolve();
      };
      // One list of Node's, all due at once; the interval stands behind the one that forks.
      setTimeout(() => void Promise.resolve().then(start), 20);
      setTimeout(() => say('second'), 20);
      const interval = setInterval(() => {
        say('interval');
        clearInterval(interval);
      }, 20);
      t.burn(40);
    });
    await ended;
  });
  expect([...run.reports].sort()).toEqual(['interval in the parent', 'second in the parent', 'target in the child']);
});

test("a child may clear its parent's timers and immediates, and start the timers again", async () => {
  const run = await cleanProgram(async (_rf, t) => {
    const timeout = setTimeout(() => {}, 60_000);
    const interval = setInterval(() => {}, 60_000);
    const immediates: NodeJS.Immediate[] = [];
    const again = setTimeout(() => t.report('again'), 10);
    const start = () => {
      const child = new t.mp.Process({
        target: () => {
          clearTimeout(timeout);
          clearInterval(interval);
          for (const immediate of immediates) clearImmediate(immediate);
          again.refresh();
          setTimeout(() => setImmediate(() => t.report('of its own')), 50);
        },
      });
      child.start();
      return child.join();
    };
    await start();
    await new Promise<void>((resolve) => {
      for (let i = 0; i < 3; i++) immediates.push(setImmediate(() => {}));
      immediates.push(setImmediate(() => void start().then(resolve)));
      for (let i = 0; i < 3; i++) immediates.push(setImmediate(() => {}));
      clearTimeout(again);
    });
    clearTimeout(timeout);
    clearInterval(interval);
  });
  expect([...run.reports].sort()).toEqual(['again', 'again', 'of its own', 'of its own']);
});
