/**
 * Where there is no tracker (macOS has no locks on shared memory by which to tell the last user) the process that made a
 * named block removes the name when it ends by itself. One that is killed leaves it behind.
 */
import { mainGlobal } from '../main-context';

const hasTracker = process.platform === 'linux';
/** By name; held until the end, the memory too. */
const made = new Map<string, { unlink(): void }>();
let owner = 0;

/** Have the name removed at this process's end, where nobody else would do it. */
export function unlinkAtExit(name: string, memory: { unlink(): void }): void {
  if (hasTracker) return;
  if (owner !== process.pid) {
    made.clear(); // forked: what was made so far is the parent's to remove
    owner = process.pid;
    const mine = owner;
    mainGlobal.process.on('exit', () => {
      if (process.pid === mine) removeAll();
    });
  }
  made.set(name, memory);
}

/** The name is gone, or going. */
export function forgetAtExit(name: string): void {
  made.delete(name);
}

function removeAll(): void {
  for (const memory of [...made.values()]) {
    try {
      memory.unlink();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // already removed
    }
  }
}
