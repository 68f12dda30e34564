import { program } from '../helpers/program';

test("F01 fork returns twice: 0 in the child, the child's pid in the parent", async () => {
  const run = await program((rf, t) => {
    const parent = process.pid;
    const pid = rf.fork();
    if (pid === 0) {
      t.report({ child: process.pid, ppid: process.ppid });
      process.exit(42);
    }
    t.report({ parent, pid, waited: rf.waitpid(pid) });
  });
  const child = run.reports.find((r) => r.child !== undefined);
  const parent = run.reports.find((r) => r.parent !== undefined);
  expect(child).toEqual({ child: parent.pid, ppid: parent.parent });
  expect(parent.waited).toEqual({ pid: parent.pid, status: 42 << 8 });
  expect(run.code).toBe(0);
});
