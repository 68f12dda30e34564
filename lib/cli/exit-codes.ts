/** What the commands' exit codes mean. */
import { constants } from 'node:os';

/** The command line was wrong: exit code 2. */
export class UsageError extends Error {}

/** The exit code that stands for an end: the code itself, or 128+n for signal n, as a shell has it. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
