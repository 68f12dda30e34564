/** fs.watch after a fork. libuv test/test-fork.c fork_fs_events_*. */
import { cleanProgram } from '../helpers/program';

test.each([
  ['a file', false],
  ['a directory', true],
])('L11 fs.watch on %s, used before the fork, started in the child, reports a change', async (_what, isDirectory) => {
  const run = await cleanProgram(
    async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-watch-`);
      const file = `${folder}/watched`;
      fs.writeFileSync(file, 'before');
      const watchOnce = () =>
        new Promise<string | null>((resolve) => {
          let isChanged = false;
          const watcher = fs.watch(t.args[0] ? folder : file, (_event, name) => {
            if (!isChanged) return; // a late word of an earlier change
            watcher.close();
            resolve(name);
          });
          setTimeout(() => {
            isChanged = true;
            fs.appendFileSync(file, 'more');
          }, 5);
        });
      const first = await watchOnce(); // the parent's loop has an inotify descriptor now
      const pid = rf.fork();
      if (pid === 0) {
        t.report({ child: [await watchOnce(), await watchOnce()] });
        return; // and it ends by itself
      }
      const { status } = rf.waitpid(pid);
      t.report({ parent: [first, await watchOnce()], status });
      fs.rmSync(folder, { recursive: true });
    },
    { args: [isDirectory] },
  );
  expect(run.reports).toEqual([{ child: ['watched', 'watched'] }, { parent: ['watched', 'watched'], status: 0 }]);
});

test('L11 fs.watch never used before the fork, in a grandchild', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-watch-`);
    const child = rf.fork();
    const grandchild = child === 0 ? rf.fork() : -1;
    if (grandchild === 0) {
      const changes = fs.promises.watch(folder)[Symbol.asyncIterator]();
      const change = changes.next();
      fs.writeFileSync(`${folder}/new`, '');
      t.report({ grandchild: (await change).value });
      await changes.return!();
      return;
    }
    t.report(rf.waitpid(child === 0 ? grandchild : child).status);
    if (child !== 0) fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([{ grandchild: { eventType: 'rename', filename: 'new' } }, 0, 0]);
});

test('L11 a watcher started before the fork goes on in both', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-watch-`);
    const file = `${folder}/watched`;
    fs.writeFileSync(file, '');
    let changes = 0;
    const watcher = fs.watch(file, () => changes++);
    const pid = rf.fork();
    if (pid === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      fs.appendFileSync(file, 'by the child');
      await t.waitUntil(() => changes > 0, 'the change in the child');
      t.report({ who: 'child' });
      watcher.close();
      return;
    }
    await t.waitUntil(() => changes > 0, 'the change in the parent');
    const { status } = rf.waitpid(pid);
    changes = 0;
    fs.appendFileSync(file, 'by the parent');
    await t.waitUntil(() => changes > 0, "the parent's watcher after the child has closed its own");
    t.report({ who: 'parent', status });
    watcher.close();
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([{ who: 'child' }, { who: 'parent', status: 0 }]);
});

test('L11 fs.watchFile goes on in both', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-watchfile-${process.pid}`;
    fs.writeFileSync(file, '');
    const changed = new Promise<number>((resolve) =>
      fs.watchFile(file, { interval: 20 }, (now, before) => {
        if (now.size !== before.size) resolve(now.size);
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 60)); // its first look is done and none is under way
    const pid = rf.fork();
    if (pid === 0) {
      const own = new Promise<number>((resolve) =>
        fs.watchFile(`${file}`, { interval: 20 }, (now) => resolve(now.size)),
      );
      fs.appendFileSync(file, '12345');
      t.report({ child: await own });
      fs.unwatchFile(file);
      return;
    }
    t.report({ parent: await changed });
    fs.unwatchFile(file);
    t.report({ status: rf.waitpid(pid).status });
    fs.unlinkSync(file);
  });
  expect(run.reports).toContainEqual({ child: 5 });
  expect(run.reports).toContainEqual({ parent: 5 });
  expect(run.reports).toContainEqual({ status: 0 });
});

test('L11 fs.watchFile goes on in the child also when a look at the file was waiting for a pool thread', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-watchfile-`);
    const [file, fifo] = [`${folder}/file`, `${folder}/fifo`];
    fs.writeFileSync(file, '');
    (require('node:child_process') as typeof import('node:child_process')).execFileSync('mkfifo', [fifo]);
    let size = 0;
    fs.watchFile(file, { interval: 10 }, (now) => (size = now.size));
    await new Promise((resolve) => setTimeout(resolve, 60)); // the first look only notes what is there
    fs.appendFileSync(file, '1');
    await t.waitUntil(() => size === 1, 'the change');
    const opened = Array.from({ length: 4 }, () => fs.promises.open(fifo)); // each keeps a thread of the pool
    await new Promise((resolve) => setTimeout(resolve, 100)); // the next look stands behind them
    const pid = rf.fork();
    if (pid === 0) {
      fs.appendFileSync(file, '2');
      await t.waitUntil(() => size === 2, 'the change in the child');
      process.exit(7);
    }
    t.report(rf.WEXITSTATUS(rf.waitpid(pid).status));
    const writer = fs.openSync(fifo, 'w');
    for (const handle of await Promise.all(opened)) await handle.close();
    fs.closeSync(writer);
    await t.waitUntil(() => size === 2, 'the change in the parent');
    fs.unwatchFile(file);
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([7]);
});

test('L11 a watched file that is gone, and 50 other watchers, do not disturb the fork', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-watch-`);
    const files = Array.from({ length: 50 }, (_, i) => `${folder}/file-${i}`);
    for (const file of files) fs.writeFileSync(file, '');
    const changed = new Set<number>();
    const watchers = files.map((file, i) => fs.watch(file, () => changed.add(i)));
    for (const file of files.slice(0, 10)) fs.unlinkSync(file);
    for (const watcher of watchers.slice(10, 20)) watcher.close();
    await t.waitUntil(() => changed.size === 10, 'word of the ten that are gone');
    changed.clear();
    const pid = rf.fork();
    if (pid === 0) {
      for (const file of files.slice(10)) fs.appendFileSync(file, 'x');
      await t.waitUntil(() => changed.size === 30, 'the thirty that are left');
      t.report({ who: 'child', changed: Math.min(...changed) });
      for (const watcher of watchers) watcher.close();
      return;
    }
    await t.waitUntil(() => changed.size === 30, 'the thirty that are left');
    t.report({ who: 'parent', status: rf.waitpid(pid).status });
    for (const watcher of watchers) watcher.close();
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([
    { who: 'child', changed: 20 },
    { who: 'parent', status: 0 },
  ]);
});
