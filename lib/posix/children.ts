/**
 * Whose is the child? A parent gets one status per child, whoever asks first; so what collects statuses on its own (the
 * Reaper, `waitpidAsync` for any child) must know which children somebody else counts on:
 *
 *     forked by this package's fork()       the registry below; those of `Process` are claimed besides
 *     of child_process in this thread       the loop's process handles, asked of libuv each time
 *     of child_process in a Worker          children of the Worker's thread: neither listed below nor waited for
 *     adopted, orphaned below us            what remains
 */
import { readdirSync } from 'node:fs';
import { native } from '../native';
import { emptyInChild } from './at-fork';
import { procIsOurs, procStat, readProc, ticksToMs } from './proc';

/** Children that `fork()` made, and when: the boot clock just after. Entries of children long waited for do no harm. */
const forked = emptyInChild(new Map<number, number>());

/** Entries from which on the registry is looked through for pids that are gone. */
const PRUNE_FROM = 1024;
let pruneAt = PRUNE_FROM;

/** Remember a child that `fork()` has made: it is the user's to wait for. */
export function noteForked(pid: number): void {
  if (forked.size >= pruneAt) prune();
  forked.set(pid, native.bootClock());
}

/** Forget a child that has been waited for. Calling it is optional; see {@link isForked}. */
export function noteCollected(pid: number): void {
  forked.delete(pid);
}

/**
 * Tell whether the child that has this pid now was made by this process's `fork()`. A pid whose first owner was waited for
 * may have come back to us as that of an adopted orphan: its start is then later than the fork noted here.
 */
export function isForked(pid: number): boolean {
  const notedAt = forked.get(pid);
  if (notedAt === undefined) return false;
  const stat = procStat(pid);
  // Start times are cut to whole ticks, never rounded up: a child of ours cannot seem younger than the note about it.
  if (stat === undefined || ticksToMs(stat.startTicks) <= notedAt) return true;
  forked.delete(pid);
  return false;
}

/** Children that the package waits for itself, each by its pid: those of `Process`. Forgotten with the rest. */
const claimed = emptyInChild(new Set<number>());

/** Keep a child from waits for any child; waits that name it find it as before. */
export function claim(pid: number): void {
  claimed.add(pid);
}

/** The opposite of {@link claim}, once the child has been waited for. */
export function unclaim(pid: number): void {
  claimed.delete(pid);
}

/** Whether waits for any child are to leave this one alone. */
export function isClaimed(pid: number): boolean {
  return claimed.has(pid);
}

function prune(): void {
  for (const pid of forked.keys()) if (native.groupOf(pid) < 0) forked.delete(pid);
  pruneAt = Math.max(PRUNE_FROM, forked.size * 2);
}

/** The pids that `child_process` of this thread waits for: nobody else may. */
export function childProcessPids(): ReadonlySet<number> {
  return new Set(native.childProcessPids());
}

/** Whether this host lists a process's children, so that adopted ones can be found. */
export function listsChildren(): boolean {
  return process.platform === 'linux' && procIsOurs();
}

/**
 * The children of this thread, dead ones not yet waited for included. The kernel gives orphans to the main thread of the
 * process that adopts them. Where children cannot be listed (macOS, or no /proc), those that `fork()` made.
 */
export function ownChildren(): number[] {
  if (!listsChildren()) return [...forked.keys()];
  const list = readProc('/proc/thread-self/children');
  return list === undefined ? childrenByScan() : list.split(' ').filter(Boolean).map(Number);
}

/**
 * The children of this process by a look at every process, for kernels built without CONFIG_PROC_CHILDREN. Other threads'
 * children are among them; `native.pollChild` says ECHILD for those.
 */
export function childrenByScan(): number[] {
  const own = native.getpid();
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && procStat(Number(entry))?.ppid === own)
    .map(Number);
}

/**
 * Whether a child with this pid may be waited for here as far as can be known: on Linux the wait itself leaves other
 * threads' children alone; elsewhere only what `fork()` made is known not to be a Worker's.
 */
export function mayCollect(pid: number): boolean {
  return process.platform === 'linux' || forked.has(pid);
}
