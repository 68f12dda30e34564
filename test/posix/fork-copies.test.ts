/** What a child gets a copy of, and that the copy is its own. fork(2); open_posix_testsuite fork 1 to 23. */
import { cleanProgram } from '../helpers/program';
import { asRoot, isRoot } from '../helpers/root';

test('F01 a grandchild has its own parent, and pids travel through a file', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-f01-${process.pid}`;
    const root = process.pid;
    const child = rf.fork();
    if (child === 0) {
      const grandchild = rf.fork();
      if (grandchild === 0) {
        fs.appendFileSync(file, `grandchild ${process.pid} ${process.ppid}\n`);
        process.exit(43);
      }
      fs.appendFileSync(file, `child ${process.pid} ${process.ppid} ${grandchild} ${rf.waitpid(grandchild).status}\n`);
      process.exit(42);
    }
    t.report({ root, child, waited: rf.waitpid(child), lines: fs.readFileSync(file, 'utf8').trim().split('\n') });
    fs.rmSync(file);
  });
  const { root, child, waited, lines } = run.reports[0];
  const [grandchildLine, childLine] = lines.map((line: string) => line.split(' '));
  expect(waited).toEqual({ pid: child, status: 42 << 8 });
  expect(childLine.slice(1, 3).map(Number)).toEqual([child, root]);
  const grandchild = Number(childLine[3]);
  expect(grandchildLine.slice(1).map(Number)).toEqual([grandchild, child]);
  expect(Number(childLine[4])).toBe(43 << 8);
  expect(new Set([root, child, grandchild]).size).toBe(3);
});

test('F01 parent and child run at the same time, each waiting for the other', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const { pipeTo, pipeBack } = t.pipes('pipeTo', 'pipeBack');
    const pid = rf.fork();
    const one = Buffer.alloc(1);
    if (pid === 0) {
      for (let i = 0; i < 100; i++) {
        fs.readSync(pipeTo.read, one);
        fs.writeSync(pipeBack.write, Buffer.from([one[0]! + 1]));
      }
      process.exit(0);
    }
    const answers = [];
    for (let i = 0; i < 100; i++) {
      fs.writeSync(pipeTo.write, Buffer.from([i]));
      fs.readSync(pipeBack.read, one);
      answers.push(one[0]);
    }
    t.report({ answers, status: rf.waitpid(pid).status });
  });
  expect(run.reports).toEqual([{ answers: Array.from({ length: 100 }, (_, i) => i + 1), status: 0 }]);
});

test('F01 the pid is that of no other process, process group or session', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const before = fs.readdirSync('/proc').filter((name: string) => /^\d+$/.test(name));
    const ids = new Set<number>();
    for (const name of before) {
      const stat = t.stat(Number(name));
      if (stat) for (const id of [name, stat[2], stat[3]]) ids.add(Number(id));
    }
    const pid = rf.fork();
    if (pid === 0) process.exit(0);
    rf.waitpid(pid);
    t.report(ids.has(pid));
  });
  expect(run.reports).toEqual([false]);
});

test("F03 the environment is copied: neither side sees the other's changes", async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const { go, done } = t.pipes('go', 'done');
    const one = Buffer.alloc(1);
    process.env['SET_BEFORE'] = 'before';
    process.env['TO_DELETE'] = 'here';
    process.env['TO_CHANGE'] = 'parent';
    const pid = rf.fork();
    if (pid === 0) {
      t.report({
        child: [process.env['SET_BEFORE'], process.env['TO_DELETE'], process.env['TO_CHANGE']],
        inherited: require('node:child_process').execSync('echo $SET_BEFORE').toString(),
      });
      delete process.env['TO_DELETE'];
      process.env['TO_CHANGE'] = 'child';
      process.env['NEW_IN_CHILD'] = 'yes';
      fs.writeSync(done.write, 'x');
      fs.readSync(go.read, one); // the parent has changed its own
      t.report({
        after: [process.env['TO_DELETE'] ?? null, process.env['TO_CHANGE'], process.env['NEW_IN_PARENT'] ?? null],
      });
      process.exit(0);
    }
    fs.readSync(done.read, one);
    const { SET_BEFORE, TO_DELETE, TO_CHANGE, NEW_IN_CHILD } = process.env;
    t.report({ parent: [SET_BEFORE, TO_DELETE, TO_CHANGE, NEW_IN_CHILD ?? null] });
    process.env['NEW_IN_PARENT'] = 'yes';
    process.env['TO_CHANGE'] = 'parent again';
    fs.writeSync(go.write, 'x');
    t.report({ status: rf.waitpid(pid).status });
  });
  expect(Object.assign({}, ...run.reports)).toEqual({
    child: ['before', 'here', 'parent'],
    inherited: 'before\n',
    parent: ['before', 'here', 'parent', null],
    after: [null, 'child', null],
    status: 0,
  });
});

test('F13 objects, Buffers and typed arrays are private afterwards, also after garbage collection in both', async () => {
  const run = await cleanProgram(
    (rf, t) => {
      const fs = require('node:fs');
      const { go, done } = t.pipes('go', 'done');
      const one = Buffer.alloc(1);
      const data = {
        object: { a: 1, nested: { list: [1, 2, 3] } },
        map: new Map([['k', 'v']]),
        small: Buffer.from('small'), // in Node's pool
        big: Buffer.alloc(4 << 20, 1),
        floats: new Float64Array(1000).fill(0.5),
        words: new Uint32Array(new ArrayBuffer(1 << 20)).fill(7),
        shared: new Int32Array(new SharedArrayBuffer(64)).fill(9),
        text: 'x'.repeat(10) + process.pid,
        holes: [1, , 3], // eslint-disable-line no-sparse-arrays
        many: Array.from({ length: 50_000 }, (_, i) => ({ i, s: `s${i}` })),
      };
      const collect = (globalThis as unknown as { gc(): void }).gc;
      const digest = () =>
        require('node:crypto')
          .createHash('md5')
          .update(JSON.stringify([data.object, [...data.map], data.text, data.holes, data.many]))
          .update(data.small)
          .update(data.big)
          .update(data.floats)
          .update(data.words)
          .update(new Uint8Array(Int32Array.from(data.shared).buffer))
          .digest('hex');
      const change = (mark: number) => {
        data.object.nested.list.push(mark);
        data.map.set('k', `${mark}`);
        data.small[0] = mark;
        data.big.fill(mark);
        data.floats.fill(mark);
        data.words.fill(mark);
        data.shared.fill(mark);
        for (const each of data.many) each.s = `${mark}`;
      };
      const original = digest();
      const pid = rf.fork();
      if (pid === 0) {
        const asInherited = digest();
        change(2);
        collect();
        const own = digest();
        fs.writeSync(done.write, 'x');
        fs.readSync(go.read, one); // the parent has changed its own and collected
        collect();
        t.report({ who: 'child', asInherited, own, later: digest(), shared: data.shared[0] });
        process.exit(0);
      }
      fs.readSync(done.read, one); // the child has changed its own and collected
      collect();
      const afterChild = digest();
      change(3);
      collect();
      const own = digest();
      fs.writeSync(go.write, 'x');
      const { status } = rf.waitpid(pid);
      collect();
      t.report({ who: 'parent', original, afterChild, own, later: digest(), shared: data.shared[0], status });
    },
    { nodeFlags: ['--expose-gc'] },
  );
  const child = run.reports.find((r) => r.who === 'child');
  const parent = run.reports.find((r) => r.who === 'parent');
  expect(parent.status).toBe(0);
  expect(child.asInherited).toBe(parent.original);
  expect(parent.afterChild).toBe(parent.original);
  expect(child.later).toBe(child.own);
  expect(parent.later).toBe(parent.own);
  expect(new Set([parent.original, parent.own, child.own]).size).toBe(3);
  expect([child.shared, parent.shared]).toEqual([2, 3]); // a SharedArrayBuffer is shared between threads, not processes
});

test('F13 a MAP_SHARED mapping is shared, a MAP_PRIVATE one is not, of a file and anonymous', async () => {
  const run = await cleanProgram((rf, t) => {
    const fs = require('node:fs');
    const file = `${require('node:os').tmpdir()}/realfork-map-${process.pid}`;
    fs.writeFileSync(file, Buffer.alloc(4096, 'o'));
    const fd = fs.openSync(file, 'r+');
    const maps = {
      fileShared: Buffer.from(t.helper.map(fd, 4096, true)),
      filePrivate: Buffer.from(t.helper.map(fd, 4096, false)),
      shared: Buffer.from(t.helper.map(-1, 4096, true)).fill('o'),
      private: Buffer.from(t.helper.map(-1, 4096, false)).fill('o'),
    };
    maps.filePrivate[1] = 0x70; // its own page from here on
    const letters = () => Object.entries(maps).map(([name, map]) => [name, map.toString('latin1', 0, 1)]);
    const pid = rf.fork();
    if (pid === 0) {
      const before = letters();
      for (const map of Object.values(maps)) map[0] = 0x63; // c
      t.report({ before, child: letters() });
      process.exit(0);
    }
    const { status } = rf.waitpid(pid);
    t.report({ status, parent: letters(), file: fs.readFileSync(file, 'latin1').slice(0, 1) });
    fs.rmSync(file);
  });
  const all = (letter: string) => ['fileShared', 'filePrivate', 'shared', 'private'].map((name) => [name, letter]);
  expect(run.reports).toEqual([
    { before: all('o'), child: all('c') },
    {
      status: 0,
      parent: [
        ['fileShared', 'c'],
        ['filePrivate', 'o'],
        ['shared', 'c'],
        ['private', 'o'],
      ],
      file: 'c',
    },
  ]);
});

test('F13 memory locks and per-process timers are not inherited, the scheduling policy is', async () => {
  const run = await cleanProgram((rf, t) => {
    const { helper } = t;
    const locked = () => /VmLck:\s+(\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'latin1'))?.[1];
    const memory = helper.map(-1, 16_384, false);
    const made = [helper.lockMemory(memory), helper.createTimer(), helper.setSchedulerBatch()];
    const state = () => ({ locked: locked(), timer: helper.timerState(), batch: helper.isSchedulerBatch() });
    const pid = rf.fork();
    if (pid === 0) {
      t.report(state());
      process.exit(0);
    }
    t.report({ made, status: rf.waitpid(pid).status, ...state() });
  });
  const EINVAL = 22;
  expect(run.reports).toEqual([
    { locked: '0', timer: EINVAL, batch: true },
    { made: [0, 0, 0], status: 0, locked: '16', timer: 0, batch: true },
  ]);
});

test("F14 niceness, umask, cwd, ids and groups are inherited; changing them leaves the parent's alone", async () => {
  const run = await cleanProgram((rf, t) => {
    const os = require('node:os');
    process.umask(0o027);
    process.chdir('/usr');
    os.setPriority(3);
    const state = () => ({
      nice: os.getPriority(),
      umask: process.umask(),
      cwd: process.cwd(),
      ids: [process.getuid!(), process.geteuid!(), process.getgid!(), process.getegid!()],
      groups: process.getgroups!(),
    });
    const before = state();
    const pid = rf.fork();
    if (pid === 0) {
      const inherited = state();
      os.setPriority(7);
      process.umask(0o077);
      process.chdir('/');
      if (process.getuid!() === 0) {
        process.setgroups!([12345]);
        process.setgid!(12346);
        process.setuid!(12347);
      }
      t.report({ who: 'child', inherited, changed: state() });
      process.exit(0);
    }
    const { status } = rf.waitpid(pid);
    t.report({ who: 'parent', status, before, after: state() });
  });
  const child = run.reports.find((r) => r.who === 'child');
  const parent = run.reports.find((r) => r.who === 'parent');
  expect(parent).toMatchObject({ status: 0, after: parent.before });
  expect(parent.before).toMatchObject({ nice: 3, umask: 0o027, cwd: '/usr' });
  expect(child.inherited).toEqual(parent.before);
  expect(child.changed).toMatchObject({ nice: 7, umask: 0o077, cwd: '/' });
  if (isRoot) {
    expect(child.changed.ids).toEqual([12347, 12347, 12346, 12346]);
    expect(child.changed.groups).toEqual(expect.arrayContaining([12345]));
  }
});

asRoot('F14 giving up privileges in the child holds for all its threads', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const fs = require('node:fs');
    await fs.promises.stat('/'); // libuv's pool runs
    const pid = rf.fork();
    if (pid === 0) {
      process.setgid!(12346);
      process.setuid!(12347);
      void fs.promises.stat('/').then(() => {
        t.report([...new Set(t.threads().map(({ uid, gid }) => `${uid},${gid}`))]);
        process.exit(0);
      });
      return;
    }
    t.report(rf.waitpid(pid).status);
  });
  expect(run.reports).toEqual([['12347,12346'], 0]);
});

test('F14 CPU times start at zero in the child', async () => {
  const run = await cleanProgram((rf, t) => {
    const spent = () => process.cpuUsage().user / 1e6;
    while (spent() < 1) t.burn(20); // a busy machine gives less than a second of CPU in a second
    const pid = rf.fork();
    if (pid === 0) {
      const { user, system } = process.cpuUsage();
      const stat = t.stat(process.pid)!; // utime, stime, cutime, cstime are fields 14 to 17 of proc_pid_stat(5)
      const { userCPUTime, systemCPUTime } = process.resourceUsage();
      t.report({
        used: (user + system) / 1e6,
        also: (userCPUTime + systemCPUTime) / 1e6,
        ticks: stat.slice(11, 15).map(Number),
      });
      process.exit(0);
    }
    const { status } = rf.waitpid(pid);
    const { user, system } = process.cpuUsage();
    t.report({ parent: (user + system) / 1e6, status });
  });
  const [child, parent] = run.reports;
  expect(child.used).toBeLessThan(0.2);
  expect(child.also).toBeLessThan(0.2);
  expect(Math.max(...child.ticks)).toBeLessThan(20);
  expect(parent.parent).toBeGreaterThan(1);
  expect(parent.status).toBe(0);
});

test("F30 a child starts in its parent's process group and session", async () => {
  const run = await cleanProgram((rf, t) => {
    const ids = () => t.stat(process.pid)!.slice(2, 5).map(Number); // pgrp, session, tty_nr
    const pid = rf.fork();
    if (pid === 0) {
      t.report(ids());
      process.exit(0);
    }
    const { status } = rf.waitpid(pid);
    t.report(ids());
    t.report({ status });
  });
  expect(run.reports[0]).toEqual(run.reports[1]);
  expect(run.reports[2]).toEqual({ status: 0 });
});

test('F16 1,000 rounds of fork and wait: right pids and statuses, nothing grows', async () => {
  const run = await cleanProgram(
    (rf, t) => {
      const fs = require('node:fs');
      const collect = (globalThis as unknown as { gc(): void }).gc;
      const size = () => {
        collect();
        const status = fs.readFileSync('/proc/self/status', 'latin1');
        return {
          descriptors: fs.readdirSync('/proc/self/fd').length,
          threads: fs.readdirSync('/proc/self/task').length,
          resident: Number(/VmRSS:\s+(\d+)/.exec(status)![1]),
          mappings: fs.readFileSync('/proc/self/maps', 'latin1').split('\n').length,
        };
      };
      const wrong = [];
      let previous = 0;
      let warm;
      for (let i = 0; i < 1_000; i++) {
        if (i === 100) warm = size();
        const pid = rf.fork();
        if (pid === 0) process.exit(i % 256);
        const waited = rf.waitpid(pid);
        if (waited.pid !== pid || waited.status !== (i % 256) << 8 || pid === previous) wrong.push([i, pid, waited]);
        previous = pid;
      }
      t.report({ wrong, warm, end: size() });
    },
    { nodeFlags: ['--expose-gc'], timeout: 60_000 }, // the line's own limit
  );
  const [{ wrong, warm, end }] = run.reports;
  expect(wrong).toEqual([]);
  expect(end.descriptors).toBe(warm.descriptors);
  expect(end.threads).toBe(warm.threads);
  expect(end.resident - warm.resident).toBeLessThan(10_240);
  expect(end.mappings - warm.mappings).toBeLessThan(30);
}, 70_000);
