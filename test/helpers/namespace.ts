/** Programs as PID 1 of a PID namespace of their own. */
import { spawnSync } from 'node:child_process';

/** The `wrapper` of a program that is to be PID 1, with a /proc that shows its namespace. */
export const asPid1: readonly string[] = ['unshare', '--pid', '--fork', '--mount-proc'];

/** The same with the outer namespace's /proc, which then speaks of other pids. */
export const asPid1WithForeignProc: readonly string[] = ['unshare', '--pid', '--fork'];

const tried = spawnSync(asPid1[0] as string, [...asPid1.slice(1), 'true'], { encoding: 'utf8' });
const refusal = tried.error?.message ?? (tried.status === 0 ? undefined : tried.stderr.trim());
if (refusal !== undefined) {
  process.stderr.write(
    `SKIPPED: tests that need a PID namespace (unshare --pid, for which one must be root): ${refusal}\n`,
  );
}

/** `test`, or `test.skip` where this host permits no PID namespace (the reason is on stderr then). */
export const testAsPid1: jest.It = refusal === undefined ? test : test.skip;
