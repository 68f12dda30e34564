/** How many CPUs this process may use: fewer than the host has, in a container. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Count the CPUs that this process may use.
 *
 * @returns At least 1: the CPUs of the process's affinity, or fewer where its cgroups have a quota (rounded up).
 * @remarks Python's `cpu_count()` counts those of the host; `len(os.sched_getaffinity(0))` is nearer to this.
 * @example
 * ```js
 * const workers = Array.from({ length: cpuCount() }, () => new Process({ target: work }));
 * ```
 * @see multiprocessing.cpu_count, sched_getaffinity(2), cgroups(7)
 */
export function cpuCount(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(cgroupQuota())));
}

/** In CPUs; Infinity where there is none. The cgroup of the process and all above it count: the least. */
function cgroupQuota(): number {
  let least = Infinity;
  for (const line of lines('/proc/self/cgroup')) {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === '') least = Math.min(least, along('/sys/fs/cgroup', path, quotaV2));
    else if (controllers.split(',').includes('cpu'))
      least = Math.min(least, along('/sys/fs/cgroup/cpu', path, quotaV1));
  }
  return least;
}

function along(root: string, path: string, quota: (folder: string) => number): number {
  let least = quota(root);
  for (let at = path; at !== '/' && at !== '.'; at = dirname(at)) least = Math.min(least, quota(join(root, at)));
  return least;
}

/** `cpu.max`: "200000 100000" is two CPUs, "max 100000" none. */
function quotaV2(folder: string): number {
  const [quota = 'max', period = '100000'] = (lines(join(folder, 'cpu.max'))[0] ?? '').split(' ');
  return quota === 'max' || quota === '' ? Infinity : Number(quota) / Number(period);
}

function quotaV1(folder: string): number {
  const quota = Number(lines(join(folder, 'cpu.cfs_quota_us'))[0] ?? -1);
  const period = Number(lines(join(folder, 'cpu.cfs_period_us'))[0] ?? 100_000);
  return quota > 0 && period > 0 ? quota / period : Infinity;
}

/** Of a file; none when it cannot be read: another kernel, or a cgroup namespace that hides it. */
function lines(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').trim().split('\n');
  } catch {
    return [];
  }
}
