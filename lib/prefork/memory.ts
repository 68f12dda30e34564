/** A process's memory as the kernel counts it. */
import { readProc } from '../posix/proc';

/** Bytes. */
export interface ProcessMemory {
  /** Pages in memory, shared ones included. */
  readonly rss: number;
  /** Each page divided by the number of processes that share it; where the kernel does not tell, the same as `rss`. */
  readonly pss: number;
  /** Pages that no other process has: what would be free without this one. Null where the kernel does not tell. */
  readonly private: number | null;
}

/** Of a running process; null when it is gone, or where there is no /proc. */
export function processMemory(pid: number): ProcessMemory | null {
  const rollup = readable(`/proc/${pid}/smaps_rollup`);
  if (rollup !== undefined) {
    const bytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) * 1024;
    return { rss: bytes('Rss'), pss: bytes('Pss'), private: bytes('Private_Clean') + bytes('Private_Dirty') };
  }
  // proc_pid_status(5) is readable by everybody, also where ptrace(2) access is denied: a worker that changed its user.
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readable(`/proc/${pid}/status`) ?? '')?.[1];
  if (kilobytes === undefined) return null;
  const rss = Number(kilobytes) * 1024;
  return { rss, pss: rss, private: null };
}

function readable(path: string): string | undefined {
  try {
    const text = readProc(path);
    return text === '' ? undefined : text;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') return undefined;
    throw error;
  }
}
