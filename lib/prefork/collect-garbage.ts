/** Making a process's memory ready to be shared with children forked from it. */
import { setTimeout as pause } from 'node:timers/promises';
import { mainGlobal } from '../main-context';

/** Milliseconds between looks whether V8's threads are done, the CPU time of one that says so, and how many looks. */
const LOOK = 20;
const IDLE = 2;
const LOOKS = 50;

/**
 * Leave nothing to move and little to sweep: young objects become old, so that the collections of forked children, which
 * are of young objects mostly, write to few inherited pages. It is the collection that V8 does when memory is low
 * (reached through the inspector, which any Node has without a flag): unlike that of --expose-gc it also gives back the
 * space for young objects, which has grown to its limit while the application was loaded, and which each child would
 * otherwise fill from end to end. When it returns, V8's threads still sweep; each child's would go on with it and write to
 * pages that are now the child's own. So they are waited for.
 */
export async function collectGarbage(): Promise<void> {
  const { Session } = await import('node:inspector'); // a Node built without it cannot have clean children either
  const session = new Session();
  session.connect();
  try {
    await new Promise<void>((resolve) => session.post('HeapProfiler.collectGarbage', () => resolve()));
  } finally {
    session.disconnect();
  }
  for (let look = 0; look < LOOKS; look++) {
    const before = mainGlobal.process.cpuUsage();
    await pause(LOOK);
    const { user, system } = mainGlobal.process.cpuUsage(before);
    if (user + system < IDLE * 1000) return;
  }
}
