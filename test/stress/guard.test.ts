/** A guarded tree whose members are stopped and killed at any moment: the table must stay right, whoever goes when. */
import { asSubreaper } from '../helpers/conditions';
import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const fiveMinutes = 300_000;

test(
  'members killed at random moments: never more than maxProcesses, and the count comes back to zero',
  async () => {
    const run = await program(
      async (rf, t) => {
        const { readdirSync, readSync } = require('node:fs') as typeof import('node:fs');
        const [rounds] = t.args as [number];
        const maxProcesses = 20;
        const guard = rf.guardForks({ maxProcesses });
        const outer = rf.guardForks({ maxDepth: 1_000_000 }); // a second table: one with no end of slots
        const { never } = t.pipes('never');

        /** Whether a call went well; its error is of no interest: the process may be gone, a limit reached. */
        const succeeds = (call: () => unknown) => {
          try {
            call();
            return true;
          } catch {
            return false;
          }
        };

        // The group of all members; its leader only keeps it in being.
        const leader = rf.fork();
        if (leader === 0) {
          rf.setpgid(0, 0);
          for (;;) readSync(never.read, Buffer.alloc(1));
        }
        rf.setpgid(leader, leader);
        const live = () => {
          rf.setpgid(0, leader);
          for (;;) {
            const choice = Math.random();
            if (choice < 0.1) process.exit(0);
            if (choice < 0.4) {
              while (Math.random() < 0.9 && succeeds(() => rf.waitpid(-1, rf.WNOHANG)));
              continue;
            }
            try {
              rf.fork(); // the child is a member like any other
            } catch (error) {
              if (!(error instanceof rf.ForkLimitError)) throw error;
            }
          }
        };
        const startMember = () => {
          let pid: number;
          try {
            pid = rf.fork();
          } catch {
            return; // no place left
          }
          if (pid !== 0) {
            rf.setpgid(pid, leader); // both sides do it, as a shell does: from now on it can be stopped with the others
            return;
          }
          try {
            live();
          } catch (error) {
            t.report(String(error));
            process.exit(1);
          }
        };
        const members = () =>
          readdirSync('/proc')
            .filter((name) => /^\d+$/.test(name) && t.stat(Number(name))?.[2] === String(leader))
            .map(Number);
        const reap = () => {
          while (rf.waitpid(-1, rf.WNOHANG).pid !== 0);
        };
        const pick = (pids: number[]) => pids[Math.floor(Math.random() * pids.length)] as number;
        const killOne = (pids: number[]) => {
          const pid = pick(pids);
          if (pid !== leader) succeeds(() => process.kill(pid, 'SIGKILL'));
        };

        let checks = 0;
        let highest = 0;
        let killed = 0;
        for (let round = 1; round <= rounds; round++) {
          reap();
          if (guard.count < 6) startMember();
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
          const alive = members();
          for (let i = 0; i < 3; i++, killed++) killOne(alive);
          if (round % 5 !== 0) continue;
          // With everybody stopped, wherever that is, the tree can be counted exactly.
          process.kill(-leader, 'SIGSTOP');
          await t.waitUntil(() => members().every((pid) => 'TZ'.includes(t.stat(pid)?.[0] ?? 'Z')), 'all stopped');
          const there = members().length;
          const counts = [guard.count, outer.count];
          if (there > maxProcesses || counts.some((count) => count < there) || (counts[0] as number) > maxProcesses) {
            t.report({ round, there, counts });
          }
          checks++;
          highest = Math.max(highest, there);
          // Forkers die while the children they have just made cannot move, some for longer than the grace.
          for (const pid of members()) if (Math.random() < 0.3) killOne([pid]);
          if (round % 50 === 0) {
            await new Promise((resolve) => setTimeout(resolve, 1_200));
            startMember(); // may take a slot that was given up
          }
          process.kill(-leader, 'SIGCONT');
        }
        process.kill(-leader, 'SIGKILL');
        while (succeeds(() => rf.waitpid(-1)));
        await t.waitUntil(() => guard.count === 0 && outer.count === 0, 'the counts are back at zero', 3_000);

        // And every slot can be used again.
        const pids: number[] = [];
        let refusal: unknown;
        while (refusal === undefined) {
          try {
            const pid = rf.fork();
            if (pid === 0) for (;;) readSync(never.read, Buffer.alloc(1));
            pids.push(pid);
          } catch (error) {
            refusal = { ...(error as object) };
          }
        }
        t.report({ end: { slots: pids.length, refusal }, checks, busy: highest > maxProcesses / 2 });
        for (const pid of pids) process.kill(pid, 'SIGKILL');
        for (const pid of pids) rf.waitpid(pid);
      },
      { args: [share(1_000, 100)], timeout: limitFor(fiveMinutes), wrapper: asSubreaper },
    );
    expect(run.stderr).toBe('');
    expect(run.reports).toEqual([
      {
        end: { slots: 20, refusal: { code: 'ERR_FORK_LIMIT', limit: 'maxProcesses', value: 20 } },
        checks: share(1_000, 100) / 5,
        busy: true,
      },
    ]);
  },
  limitFor(fiveMinutes) + 10_000,
);

test(
  'forkers killed the moment their child is there: the child has its place all the same',
  async () => {
    const tries = share(500, 60);
    const run = await program(
      async (rf, t) => {
        const { readFileSync, readSync } = require('node:fs') as typeof import('node:fs');
        const [tries] = t.args as [number];
        const guard = rf.guardForks({ maxProcesses: 10_000 });
        const { never } = t.pipes('never');
        const childrenOf = (pid: number) =>
          readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
        let missing = 0;
        for (let left = tries; left > 0;) {
          const batch = Math.min(left, 50);
          left -= batch;
          for (let i = 0; i < batch; i++) {
            const forker = rf.fork();
            if (forker === 0) {
              rf.fork();
              for (;;) readSync(never.read, Buffer.alloc(1));
            }
            while (childrenOf(forker).length === 0 && t.stat(forker)?.[0] !== 'Z');
            process.kill(forker, 'SIGKILL');
            const { status } = rf.waitpid(forker);
            if (status !== 9) t.report({ forker: status });
          }
          await new Promise((resolve) => setTimeout(resolve, 1_200)); // longer than the grace for an unclaimed place
          const orphans = childrenOf(process.pid);
          missing += orphans.length - guard.count;
          if (orphans.length !== batch) t.report({ orphans: orphans.length });
          for (const pid of orphans) process.kill(pid, 'SIGKILL');
          for (const pid of orphans) rf.waitpid(pid);
        }
        t.report({ missing, count: guard.count });
      },
      { args: [tries], timeout: limitFor(fiveMinutes), wrapper: asSubreaper },
    );
    expect(run.reports).toEqual([{ missing: 0, count: 0 }]);
  },
  limitFor(fiveMinutes) + 10_000,
);
