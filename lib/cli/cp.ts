/** `realfork cp SOURCE... DEST`: copy files and trees with several processes. What it does with the library is in `lib/copy`. */
import { InvalidArgumentError, type Command } from 'commander';
import { constants } from 'node:os';
import { copy } from '../copy/copy';
import { formatBytes, formatCount, formatTime } from '../copy/format';
import { bytesOfArguments, type BytePath } from '../copy/path';
import { makePlan, type Plan, type Problem } from '../copy/plan';
import { startProgress } from '../copy/progress';
import { cpuCount } from '../process/cpu-count';
import { UsageError } from './exit-codes';

interface Options {
  readonly jobs: number;
  readonly force?: true;
  readonly quiet?: true;
}

const MOST_JOBS = 1024;

export function cpCommand(program: Command): void {
  program
    .command('cp')
    .description('copy files and folders with several processes, links, modes and times kept')
    .usage('[options] <source...> <dest>')
    .argument('<paths...>', 'the sources, and last the destination: a folder to copy into, or the new name')
    .option('-j, --jobs <n>', 'how many processes copy', jobCount, cpuCount())
    .option('-f, --force', 'overwrite files that exist')
    .option('-q, --quiet', 'show no progress and no summary')
    .action(async (paths: string[], options: Options) => {
      const destination = paths.pop() as string;
      if (paths.length === 0)
        throw new UsageError(`cp takes a source and a destination, and was given '${destination}'`);
      if ([...paths, destination].includes('')) throw new UsageError('cp was given an empty path');
      process.exitCode = await cp(bytesOfArguments([...paths, destination]), options);
    });
}

function jobCount(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= MOST_JOBS) return number;
  throw new InvalidArgumentError(`It must be a number from 1 to ${MOST_JOBS}.`);
}

async function cp(paths: readonly BytePath[], options: Options): Promise<number> {
  // Whoever reads our output may be gone, or the disk be full that it goes to: the copy goes on, and its exit code tells.
  process.stderr.on('error', () => {});
  const started = performance.now();
  const quiet = options.quiet === true;
  const to = paths.at(-1) as BytePath;
  const plan = makePlan(paths.slice(0, -1), to, options.force === true);
  const interruption = onSignals();
  const progress = await startProgress({ bytes: plan.bytes, files: plan.files.length }, quiet);
  let outcome;
  try {
    outcome = await copy(plan, {
      jobs: options.jobs,
      force: options.force === true,
      signal: interruption.signal,
      onProgress: (bytes, files) => progress.update(bytes, files),
    });
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    progress.stop();
    const name = interruption.signal.reason as NodeJS.Signals;
    console.error(`realfork cp: interrupted by ${name}; what was incomplete has been removed`);
    return 128 + constants.signals[name];
  } finally {
    interruption.stop();
  }
  progress.stop();
  if (!quiet) summarise(plan, outcome.files, outcome.bytes, performance.now() - started);
  for (const { path, reason } of plan.skipped) console.error(`realfork cp: skipped ${path}: ${reason}`);
  report(outcome.problems);
  return outcome.problems.length === 0 ? 0 : 1;
}

function summarise(plan: Plan, files: number, bytes: number, milliseconds: number): void {
  const parts = [formatCount(files, 'file')];
  if (plan.folders.length > 0) parts.push(formatCount(plan.folders.length, 'folder'));
  if (plan.links.length > 0) parts.push(formatCount(plan.links.length, 'link'));
  const rate = formatBytes((bytes / Math.max(milliseconds, 1)) * 1000);
  console.error(`${parts.join(', ')}: ${formatBytes(bytes)} in ${formatTime(milliseconds)} (${rate}/s)`);
}

function report(problems: readonly Problem[]): void {
  const sorted = [...problems].sort((a, b) => (a.path < b.path ? -1 : 1)); // they came in the order of the workers
  for (const { path, reason } of sorted) console.error(`realfork cp: ${path}: ${reason}`);
  if (problems.length > 0) console.error(`realfork cp: ${formatCount(problems.length, 'problem')}, see above`);
}

/** The first signal that asks for an end ends the copy in good order; the abort's reason is its name. */
function onSignals(): { signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const onSignal = (name: NodeJS.Signals): void => controller.abort(name);
  for (const name of names) process.on(name, onSignal);
  return {
    signal: controller.signal,
    stop: () => names.forEach((name) => process.off(name, onSignal)),
  };
}
