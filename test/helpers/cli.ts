/** The command `realfork` in a test: under the same care as any program (bounded, and nothing left behind). */
import { join } from 'node:path';
import { packageRoot, runNode, type ProgramOptions, type ProgramResult } from './program';
import { unshare } from './root';

export const cliPath = join(packageRoot, 'dist', 'cli', 'main.js');

export function realforkCommand(args: readonly string[], options: ProgramOptions = {}): Promise<ProgramResult> {
  return runNode([cliPath, ...args], options);
}

/** Commands in front of node that make it pid 1 of a new PID namespace with a /proc of its own; root is not needed. */
export const asFirstProcess: readonly string[] = [...unshare, '--pid', '--fork', '--mount-proc'];
