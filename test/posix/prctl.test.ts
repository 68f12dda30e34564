import { program } from '../helpers/program';

describe('subreaper', () => {
  test('an orphan goes to the nearest subreaper, which can wait for it; init gets it otherwise', async () => {
    const run = await program((rf, t) => {
      const orphan = (name: string) => {
        const parent = rf.fork();
        if (parent === 0) {
          const middle = process.pid;
          if (rf.fork() === 0) {
            while (process.ppid === middle) rf.sleepSync(1);
            t.report({ name, inherits: rf.getChildSubreaper(), parent: process.ppid, middle });
            process.exit(9);
          }
          process.exit(0);
        }
        return parent;
      };
      t.report([rf.getChildSubreaper(), rf.setChildSubreaper(true), rf.getChildSubreaper()]);
      const middle = orphan('adopted');
      const first = rf.wait();
      const second = rf.wait();
      t.report({
        program: process.pid,
        middle: [first, second].find(({ pid }) => pid === middle)?.status,
        orphan: [first, second].find(({ pid }) => pid !== middle)?.status,
      });
      rf.setChildSubreaper(false);
      const other = orphan('to init');
      rf.waitpid(other);
      t.report(rf.getChildSubreaper());
    });
    const [states, ...rest] = run.reports;
    expect(states).toEqual([false, null, true]);
    const adopted = rest.find((r) => r.name === 'adopted');
    const totals = rest.find((r) => r.program !== undefined);
    expect(adopted).toEqual({ name: 'adopted', inherits: false, parent: totals.program, middle: expect.any(Number) });
    expect(totals).toMatchObject({ middle: 0, orphan: 9 << 8 });
    const toInit = rest.find((r) => r.name === 'to init');
    expect(toInit.parent).not.toBe(totals.program);
    expect(toInit.parent).not.toBe(toInit.middle);
    expect(rest).toContain(false);
  });

  test('takes a boolean only', async () => {
    const run = await program((rf, t) => {
      t.report(
        [undefined, 1, 'true', null].map((value) => {
          try {
            rf.setChildSubreaper(value as unknown as boolean);
            return 'nothing thrown';
          } catch (error) {
            return (error as { code: string }).code;
          }
        }),
      );
      t.report(rf.getChildSubreaper());
    });
    expect(run.reports).toEqual([Array(4).fill('ERR_INVALID_ARG_TYPE'), false]);
  });
});

describe('parent-death signal', () => {
  test('comes when the parent ends, however it ends', async () => {
    const run = await program(async (rf, t) => {
      const { closeSync, readSync } = require('node:fs') as typeof import('node:fs');
      rf.setChildSubreaper(true); // the orphans' statuses come here
      for (const end of ['exit', 'SIGKILL'] as const) {
        const [ready, tell] = rf.pipe();
        const parent = rf.fork();
        if (parent === 0) {
          if (rf.fork() === 0) {
            rf.setParentDeathSignal('SIGUSR2');
            closeSync(tell);
            for (;;) rf.pause();
          }
          closeSync(tell);
          readSync(ready, Buffer.alloc(1));
          if (end === 'exit') process.exit(0);
          for (;;) rf.pause();
        }
        closeSync(tell);
        readSync(ready, Buffer.alloc(1)); // end of file: the child has set its signal
        closeSync(ready);
        if (end === 'SIGKILL') rf.kill(parent, end);
        const statuses = [rf.wait(), rf.wait()];
        t.report([end, ...statuses.map(({ pid, status }) => (pid === parent ? 'parent' : status))].sort());
      }
    });
    expect(run.reports).toEqual([[12, 'exit', 'parent'], ['SIGKILL', 12, 'parent'].sort()]);
  });

  test('a parent that has gone before the call is noticed: the signal is sent from here', async () => {
    const run = await program((rf, t) => {
      rf.setChildSubreaper(true);
      const parent = rf.fork();
      if (parent === 0) {
        const middle = process.pid;
        if (rf.fork() === 0) {
          while (process.ppid === middle) rf.sleepSync(1);
          rf.setParentDeathSignal(null); // asks for nothing
          t.report(rf.getParentDeathSignal());
          rf.setParentDeathSignal('SIGTERM');
          t.report('not reached');
          process.exit(0);
        }
        process.exit(0);
      }
      const statuses = [rf.wait(), rf.wait()];
      t.report(statuses.find(({ pid }) => pid !== parent)?.status);
    });
    expect(run.reports).toEqual([null, 15]);
  });

  test('is read back, can be taken back, and a fork clears it', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        t.report(rf.getParentDeathSignal());
        rf.setParentDeathSignal('SIGTERM');
        const inner = rf.fork();
        if (inner === 0) {
          t.report(rf.getParentDeathSignal());
          rf.setParentDeathSignal(9);
          t.report(rf.getParentDeathSignal());
          process.exit(0);
        }
        rf.waitpid(inner);
        t.report(rf.getParentDeathSignal());
        rf.setParentDeathSignal(0);
        t.report(rf.getParentDeathSignal());
        process.exit(0);
      }
      rf.waitpid(pid);
      // The parent itself, started by the test, has a living parent too: nothing is sent.
      rf.setParentDeathSignal('SIGKILL');
      t.report('still here');
      rf.setParentDeathSignal(null);
    });
    expect(run.reports).toEqual([null, null, 'SIGKILL', 'SIGTERM', null, 'still here']);
    expect(run.code).toBe(0);
  });

  test('the process that forked is compared after the fork of a child as well', async () => {
    const run = await program((rf, t) => {
      const pid = rf.fork();
      if (pid === 0) {
        // Has forked itself meanwhile: its own parent is still the one to compare with.
        const inner = rf.fork();
        if (inner === 0) process.exit(0);
        rf.waitpid(inner);
        rf.setParentDeathSignal('SIGKILL');
        process.exit(4);
      }
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([4 << 8]);
  });

  test('errors: EINVAL; wrong arguments throw first', async () => {
    const run = await program((rf, t) => {
      t.report(
        [65, -1, 'SIGNOPE', 1.5, undefined, {}].map((signal) => {
          try {
            rf.setParentDeathSignal(signal as 'SIGTERM');
            return 'nothing thrown';
          } catch (error) {
            const { code, errno, syscall } = error as InstanceType<typeof rf.PosixError>;
            return errno === undefined ? code : `${code} ${errno} ${syscall}`;
          }
        }),
      );
      t.report(rf.getParentDeathSignal());
    });
    expect(run.reports).toEqual([
      [
        'EINVAL -22 prctl',
        'EINVAL -22 prctl',
        'ERR_UNKNOWN_SIGNAL',
        'ERR_OUT_OF_RANGE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
      ],
      null,
    ]);
  });
});
