/** Open descriptors after a fork: the same open files, offsets included, in tables of their own. fork(2). */
import { cleanProgram } from '../helpers/program';

test('F04 one file, 100 children: each reads exactly one byte of the shared offset', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-f04-${process.pid}`;
    fs.writeFileSync(file, Buffer.from(Array.from({ length: 100 }, (_, i) => i)));
    const fd = fs.openSync(file, 'r');
    fs.unlinkSync(file);
    const pids = [];
    for (let i = 0; i < 100; i++) {
      const pid = rf.fork();
      if (pid === 0) {
        const byte = Buffer.alloc(2);
        const count = fs.readSync(fd, byte, 0, 1, null);
        process.exit(count === 1 ? byte[0] : 255);
      }
      pids.push(pid);
    }
    const bytes = pids.map((pid) => rf.waitpid(pid).status >> 8);
    t.report({ bytes: bytes.sort((a, b) => a - b), end: fs.readSync(fd, Buffer.alloc(1), 0, 1, null) });
  });
  expect(run.reports).toEqual([{ bytes: Array.from({ length: 100 }, (_, i) => i), end: 0 }]);
});

test('F05 the offset that a child moved is where the parent and the next child read on', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-f05-${process.pid}`;
    fs.writeFileSync(file, 'a'.repeat(1024) + 'b'.repeat(1024) + 'c'.repeat(1024));
    const fd = fs.openSync(file, 'r');
    fs.unlinkSync(file);
    const block = () => {
      const bytes = Buffer.alloc(1024);
      const count = fs.readSync(fd, bytes, 0, 1024, null);
      return [count, [...new Set(bytes.toString('latin1'))].join('')];
    };
    const inChild = () => {
      const pid = rf.fork();
      if (pid === 0) {
        t.report(block());
        process.exit(0);
      }
      rf.waitpid(pid);
    };
    inChild();
    t.report(block());
    inChild();
    t.report(block());
  });
  expect(run.reports).toEqual([
    [1024, 'a'],
    [1024, 'b'],
    [1024, 'c'],
    [0, '\0'],
  ]);
});

test("F05 a child's positioned reads, and a file that it opens itself, leave the parent's offset alone", async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-f05b-${process.pid}`;
    fs.writeFileSync(file, '0123456789');
    const fd = fs.openSync(file, 'r');
    const read = (from: number, position: number | null) => {
      const bytes = Buffer.alloc(2);
      fs.readSync(from, bytes, 0, 2, position);
      return bytes.toString();
    };
    const pid = rf.fork();
    if (pid === 0) {
      t.report([read(fd, 4), read(fs.openSync(file, 'r'), null)]);
      process.exit(0);
    }
    rf.waitpid(pid);
    t.report([read(fd, null)]);
    fs.unlinkSync(file);
  });
  expect(run.reports).toEqual([['45', '01'], ['01']]);
});

test('F05 appending from parent and child loses nothing', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-append-${process.pid}`;
    const fd = fs.openSync(file, 'a');
    const pids = [1, 2, 3].map((who) => {
      const pid = rf.fork();
      if (pid === 0) {
        for (let i = 0; i < 200; i++) fs.writeSync(fd, `${who} ${i}\n`);
        process.exit(0);
      }
      return pid;
    });
    for (let i = 0; i < 200; i++) fs.writeSync(fd, `0 ${i}\n`);
    const statuses = pids.map((pid) => rf.waitpid(pid).status);
    const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
    fs.unlinkSync(file);
    t.report({ statuses, lines: lines.length, different: new Set(lines).size });
  });
  expect(run.reports).toEqual([{ statuses: [0, 0, 0], lines: 800, different: 800 }]);
});

test('F06 closing a descriptor in a child leaves it open in the parent and in a second child', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const fd = fs.openSync(process.execPath, 'r');
    const works = () => {
      try {
        return fs.fstatSync(fd).size > 0;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    const child = (body: () => void) => {
      const pid = rf.fork();
      if (pid === 0) {
        body();
        t.report(['child', works()]);
        process.exit(0);
      }
      rf.waitpid(pid);
    };
    child(() => fs.closeSync(fd));
    t.report(['parent', works()]);
    child(() => {});
    fs.closeSync(fd);
    t.report(['parent', works()]);
  });
  expect(run.reports).toEqual([
    ['child', 'EBADF'],
    ['parent', true],
    ['child', true],
    ['parent', 'EBADF'],
  ]);
});

test('F06 a directory opened in the parent is read to its end in the child, synchronously and asynchronously', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const folder = fs.mkdtempSync(`${require('node:os').tmpdir()}/realfork-f06-`);
    const names = Array.from({ length: 100 }, (_, i) => `file-${i}`);
    for (const name of names) fs.writeFileSync(`${folder}/${name}`, '');
    for (const how of ['sync', 'async']) {
      const dir = fs.opendirSync(folder, { bufferSize: 8 });
      const first = [dir.readSync()!.name, dir.readSync()!.name]; // reads 8 ahead
      const pid = rf.fork();
      if (pid === 0) {
        const rest: string[] = [];
        if (how === 'sync') {
          for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) rest.push(entry.name);
          dir.closeSync();
        } else {
          for await (const entry of dir) rest.push(entry.name);
        }
        const all = [...first, ...rest];
        t.report([how, all.length, names.every((name) => all.includes(name))]);
        process.exit(0);
      }
      t.report([how, rf.waitpid(pid).status]);
      dir.closeSync();
    }
    fs.rmSync(folder, { recursive: true });
  });
  expect(run.reports).toEqual([
    ['sync', 100, true],
    ['sync', 0],
    ['async', 100, true],
    ['async', 0],
  ]);
});

test.each([
  ['at the first fork', false],
  ['at a later fork', true],
])('F07 descriptor table full %s: it works or throws EMFILE, and each side has its own table', async (_when, later) => {
  const run = await cleanProgram(
    (rf, t) => {
      const fs = require('node:fs');
      if (t.args[0]) {
        const pid = rf.fork();
        if (pid === 0) process.exit(0);
        rf.waitpid(pid);
      }
      const opened: number[] = [];
      let full;
      try {
        for (;;) opened.push(fs.openSync(process.execPath, 'r'));
      } catch (error) {
        full = (error as NodeJS.ErrnoException).code;
      }
      const attempt = (spare: number) => {
        for (let i = 0; i < spare; i++) fs.closeSync(opened.pop()!);
        let pid;
        try {
          pid = rf.fork();
        } catch (error) {
          return { spare, code: (error as NodeJS.ErrnoException).code };
        }
        if (pid === 0) {
          for (const fd of opened) fs.closeSync(fd);
          const fd = fs.openSync(process.execPath, 'r');
          const { size } = fs.fstatSync(fd);
          fs.closeSync(fd);
          setTimeout(() => process.exit(size > 0 ? 0 : 1), 1);
          return undefined;
        }
        return { spare, status: rf.waitpid(pid).status };
      };
      for (const spare of [0, 1, 10]) {
        const outcome = attempt(spare);
        if (outcome === undefined) return; // the child ends in its timer
        t.report(outcome);
      }
      for (const fd of opened) fs.readSync(fd, Buffer.alloc(1), 0, 1, 0);
      for (const fd of opened) fs.closeSync(fd);
      t.report({ full, opened: opened.length > 100 });
    },
    { args: [later], wrapper: ['sh', '-c', 'ulimit -n 256; exec "$0" "$@"'] },
  );
  const [none, one, ten, parent] = run.reports;
  for (const outcome of [none, one]) {
    if (outcome.code !== undefined) expect(outcome.code).toBe('EMFILE');
    else expect(outcome.status).toBe(0);
  }
  expect(ten).toEqual({ spare: 10, status: 0 });
  expect(parent).toEqual({ full: 'EMFILE', opened: true });
});

test("F08 a record lock stays the parent's: the child sees its holder and cannot take it", async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const { helper } = t;
    const { said, go } = t.pipes('said', 'go');
    const file = `${require('node:os').tmpdir()}/realfork-f08-${process.pid}`;
    fs.writeFileSync(file, 'data');
    const fd = fs.openSync(file, 'r+');
    const taken = helper.setRecordLock(fd, helper.F_WRLCK);
    const pid = rf.fork();
    if (pid === 0) {
      const while_ = { holder: helper.recordLockHolder(fd), take: helper.setRecordLock(fd, helper.F_WRLCK) };
      // Closing a descriptor of the file gives up this process's locks on it: it has none.
      fs.closeSync(fs.openSync(file, 'r'));
      const closed = helper.recordLockHolder(fd);
      fs.writeSync(said.write, 'x');
      fs.readSync(go.read, Buffer.alloc(1)); // the parent has unlocked
      const after = { holder: helper.recordLockHolder(fd), take: helper.setRecordLock(fd, helper.F_WRLCK) };
      t.report({ parent: process.ppid, while: while_, closed, after });
      process.exit(0);
    }
    fs.readSync(said.read, Buffer.alloc(1));
    const released = helper.setRecordLock(fd, helper.F_UNLCK);
    fs.writeSync(go.write, 'x');
    const { status } = rf.waitpid(pid);
    t.report({ taken, released, status, again: helper.setRecordLock(fd, helper.F_WRLCK) });
    fs.unlinkSync(file);
  });
  const [child, parent] = run.reports;
  expect([11, 13]).toContain(child.while.take); // EAGAIN or EACCES, fcntl(2)
  expect(child).toMatchObject({ while: { holder: child.parent }, closed: child.parent, after: { holder: 0, take: 0 } });
  expect(parent).toEqual({ taken: 0, released: 0, status: 0, again: 0 });
});

test('F08 a whole-file flock is shared with the child, which can release it', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const { helper } = t;
    const { LOCK_EX, LOCK_NB, LOCK_UN } = helper;
    const file = `${require('node:os').tmpdir()}/realfork-flock-${process.pid}`;
    fs.writeFileSync(file, 'data');
    const fd = fs.openSync(file, 'r+');
    const other = () => {
      const own = fs.openSync(file, 'r+'); // an open file of its own: competes for the lock
      const result = helper.flock(own, LOCK_EX | LOCK_NB);
      fs.closeSync(own);
      return result;
    };
    const taken = helper.flock(fd, LOCK_EX | LOCK_NB);
    const inChild = (body: () => unknown) => {
      const pid = rf.fork();
      if (pid === 0) {
        t.report(body());
        process.exit(0);
      }
      rf.waitpid(pid);
    };
    inChild(() => ({ again: helper.flock(fd, LOCK_EX | LOCK_NB), other: other() }));
    inChild(() => fs.closeSync(fd)); // the parent's descriptor still holds it
    t.report({ taken, other: other() });
    inChild(() => ({ release: helper.flock(fd, LOCK_UN) }));
    t.report({ other: other() });
    fs.unlinkSync(file);
  });
  const EWOULDBLOCK = 11;
  expect(run.reports).toEqual([
    { again: 0, other: EWOULDBLOCK },
    null,
    { taken: 0, other: EWOULDBLOCK },
    { release: 0 },
    { other: 0 },
  ]);
});
