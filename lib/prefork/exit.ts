/** The end of a child, learnt by its parent. */
import type { PosixError } from '../errors';
import { claim, unclaim } from '../posix/children';
import { waitStatusToExitCode } from '../posix/status';
import { waitpidAsync } from '../posix/wait-async';

/** Exit code of a child whose status somebody else has taken, as in Python's asyncio. */
const UNKNOWN = 255;

/** Wait for a child of our own making, which no wait for any child shall take. Resolves to its exit code. */
export async function exitOf(pid: number): Promise<number> {
  claim(pid);
  try {
    return waitStatusToExitCode((await waitpidAsync(pid)).status);
  } catch (error) {
    if ((error as PosixError).code !== 'ECHILD') throw error;
    return UNKNOWN;
  } finally {
    unclaim(pid);
  }
}
