import { join } from 'node:path';
import { asPid1WithForeignProc, testAsPid1 } from '../helpers/namespace';
import { program } from '../helpers/program';

test('W14 D01 an ended, unreaped child is a zombie that accepts signal 0; after waitpid it is gone', async () => {
  const run = await program(async (rf, t) => {
    const { existsSync } = require('node:fs') as typeof import('node:fs');
    const signal0 = (pid: number) => {
      try {
        return process.kill(pid, 0);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    const before = Date.now();
    t.report(rf.zombies());
    const pid = rf.fork();
    if (pid === 0) process.exit(3);
    await t.waitUntil(() => rf.zombies().length > 0, 'the child is a zombie');
    const [zombie, ...others] = rf.zombies();
    t.report({ ...zombie, startTime: 0, others });
    t.report({ pid, own: process.pid, name: zombie?.name });
    t.report(Math.abs((zombie?.startTime ?? 0) - before) < 5_000);
    t.report([t.stat(pid)?.[0], signal0(pid)]);
    t.report(rf.processTree(pid).state);
    rf.waitpid(pid);
    t.report([existsSync(`/proc/${pid}`), signal0(pid), signal0(-pid), rf.zombies()]);
  });
  const { pid, own, name } = run.reports[2];
  expect(run.reports[0]).toEqual([]);
  expect(run.reports[1]).toEqual({ pid, ppid: own, state: 'Z', name, command: `[${name}]`, startTime: 0, others: [] });
  expect(run.reports.slice(3)).toEqual([true, ['Z', true], 'Z', [false, 'ESRCH', 'ESRCH', []]]);
});

test("zombies of another process: a child's, seen by its parent", async () => {
  const run = await program(async (rf, t) => {
    const child = rf.fork();
    if (child === 0) {
      for (let i = 0; i < 3; i++) if (rf.fork() === 0) process.exit(0);
      setInterval(() => {}, 1000);
      return;
    }
    await t.waitUntil(() => rf.zombies(child).length === 3, 'three zombies below the child');
    t.report(rf.zombies(child).map(({ ppid, state }) => [ppid === child, state]));
    t.report(rf.zombies());
    process.kill(child, 'SIGKILL');
    rf.waitpid(child);
  });
  expect(run.reports).toEqual([Array(3).fill([true, 'Z']), []]);
});

test('processTree shows children of children, in the order of their start, with names as they are', async () => {
  const run = await program(async (rf, t) => {
    const cp = require('node:child_process') as typeof import('node:child_process');
    const names = ['plain', 'sp ace) R 1 (x', ')))(((', 'two\nlines'];
    const pids: number[] = [];
    for (const name of names) {
      const pid = rf.fork();
      if (pid === 0) {
        process.title = name;
        rf.fork(); // both go on and wait
        setInterval(() => {}, 1000);
        return;
      }
      pids.push(pid);
    }
    const last = cp.spawn('cat', ['-']);
    const shape = (node: ReturnType<typeof rf.processTree>): unknown => [node.name, node.children.map(shape)];
    await t.waitUntil(() => {
      const { children } = rf.processTree();
      const titles = children.slice(0, 4).map((c) => c.name);
      return children.slice(0, 4).every((c) => c.children.length === 1) && titles.every((n, i) => n === names[i]);
    }, 'all have their names and children');
    await t.waitUntil(() => rf.processTree(last.pid).command.startsWith('cat'), 'cat runs');
    const root = rf.processTree();
    t.report(root.children.map(shape));
    t.report({
      root: [root.pid === process.pid, root.ppid === process.ppid, root.command.includes(process.argv[1] as string)],
      pids: root.children.map((c) => c.pid === pids[0] || pids.includes(c.pid) || c.pid === last.pid),
      ppids: root.children.flatMap((c) => [c.ppid === root.pid, ...c.children.map((g) => g.ppid === c.pid)]),
      last: root.children.at(-1)?.command,
      times: root.children.every((c) => c.startTime >= root.startTime && Math.abs(c.startTime - Date.now()) < 10_000),
      stable: rf.processTree().startTime === root.startTime,
      sub: rf.processTree(pids[1]).children[0]?.ppid === pids[1],
    });
    for (const child of root.children) {
      for (const grandchild of child.children) process.kill(grandchild.pid, 'SIGKILL');
      process.kill(child.pid, 'SIGKILL');
    }
  });
  const [shapes, facts] = run.reports;
  expect(shapes.slice(0, 4).map(([name]: [string]) => name)).toEqual([
    'plain',
    'sp ace) R 1 (x',
    ')))(((',
    'two\nlines',
  ]);
  expect(shapes.slice(0, 4).map(([, children]: [string, unknown[]]) => children.length)).toEqual([1, 1, 1, 1]);
  expect(shapes[4]).toEqual(['cat', []]);
  expect(facts).toEqual({
    root: [true, true, true],
    pids: [true, true, true, true, true],
    ppids: Array(9).fill(true),
    last: 'cat -',
    times: true,
    stable: true,
    sub: true,
  });
});

test('a tree whose processes come and go can be read at any time', async () => {
  const run = await program((rf, t) => {
    const churn = rf.fork();
    if (churn === 0) {
      for (;;) {
        const pid = rf.fork();
        if (pid === 0) process.exit(0);
        rf.waitpid(pid);
      }
    }
    const deadline = performance.now() + 8_000;
    let seen = 0;
    for (let looks = 0; (looks < 20 || seen === 0) && performance.now() < deadline; looks++) {
      seen += rf.processTree().children[0]?.children.length ?? 0;
      rf.zombies(churn);
    }
    t.report(seen > 0);
    process.kill(churn, 'SIGKILL');
    rf.waitpid(churn);
  });
  expect(run.reports).toEqual([true]);
  expect(run.stderr).toBe('');
});

test('wrong pids throw before anything is read; a pid without a process is ESRCH', async () => {
  const run = await program((rf, t) => {
    const codeOf = (call: (pid?: number) => unknown, pid: unknown) => {
      try {
        return call(pid as number);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    const gone = rf.fork();
    if (gone === 0) process.exit(0);
    rf.waitpid(gone);
    for (const call of [rf.zombies, rf.processTree]) {
      t.report(['1', null, 1.5, 0, -1, 2 ** 31, gone, 4194305].map((pid) => codeOf(call, pid)));
    }
  });
  const [type, range] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'];
  const row = [type, type, range, range, range, range, 'ESRCH', 'ESRCH'];
  expect(run.reports).toEqual([row, row]);
});

test('where the kernel lists no children, a look at every process finds the same', async () => {
  const run = await program(
    (rf, t) => {
      const { childrenByScan, ownChildren } = require(t.args[0]) as typeof import('../../dist/posix/children');
      for (let i = 0; i < 5; i++) if (rf.fork() === 0) process.exit(0);
      const sorted = (pids: number[]) => pids.sort((a, b) => a - b);
      t.report([
        ownChildren().length,
        JSON.stringify(sorted(childrenByScan())) === JSON.stringify(sorted(ownChildren())),
      ]);
      for (let i = 0; i < 5; i++) rf.waitpid(-1);
      t.report(childrenByScan());
    },
    { args: [join(__dirname, '..', '..', 'dist', 'posix', 'children')] },
  );
  expect(run.reports).toEqual([[5, true], []]);
});

testAsPid1("with another namespace's /proc fork finds V8's threads by their own ids", async () => {
  const run = await program(
    (rf, t) => {
      const statuses: number[] = [];
      for (let i = 0; i < 20; i++) {
        const pid = rf.fork();
        if (pid === 0) {
          const grandchild = rf.fork();
          if (grandchild === 0) process.exit(7);
          process.exit(rf.WEXITSTATUS(rf.waitpid(grandchild).status));
        }
        statuses.push(rf.WEXITSTATUS(rf.waitpid(pid).status));
      }
      t.report(statuses);
    },
    { wrapper: asPid1WithForeignProc },
  );
  expect(run.reports).toEqual([Array<number>(20).fill(7)]);
});

testAsPid1("with another namespace's /proc the tree is refused, not invented", async () => {
  const run = await program(
    (rf, t) => {
      for (const call of [rf.zombies, rf.processTree]) {
        try {
          t.report(call());
        } catch (error) {
          t.report((error as NodeJS.ErrnoException).code);
        }
      }
    },
    { wrapper: asPid1WithForeignProc },
  );
  expect(run.reports).toEqual(['ERR_FEATURE_UNAVAILABLE_ON_PLATFORM', 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM']);
});
