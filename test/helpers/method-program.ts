/**
 * One case, many start methods: a program whose targets are exports of its own file, so that each method finds them.
 *
 *     const run = await methodProgram('spawn', (rf, t) => ({ work: () => t.report(1) }), async (rf, t, targets) => { ... });
 *
 * The main function runs in the main program only; the default start method is the one that is asked for.
 */
import { join } from 'node:path';
import { packageRoot, script, type ProgramOptions, type ProgramResult, type Realfork } from './program';
import type { Tools } from './program-tools';

export const startMethods = ['fork', 'forkserver', 'spawn'] as const;
export type Method = (typeof startMethods)[number];

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- targets take what the case gives them
export type Targets = Record<string, any>;

/** Run it. Fails when it says anything on stderr, or ends with another code than 0, unless `code` is given. */
export async function methodProgram<T extends Targets>(
  method: Method,
  targets: (rf: Realfork, t: Tools) => T,
  main: (rf: Realfork, t: Tools, targets: T) => unknown,
  options: ProgramOptions & { readonly code?: number } = {},
): Promise<ProgramResult> {
  const tools = JSON.stringify(join(__dirname, 'program-tools.js'));
  const source = [
    `const realfork = require(${JSON.stringify(packageRoot)});`,
    `const tools = require(${tools}).tools(${JSON.stringify(options.args ?? [])});`,
    `module.exports = (${targets.toString()})(realfork, tools);`,
    'if (require.main === module) {',
    `  tools.mp.setStartMethod(${JSON.stringify(method)});`,
    `  (${main.toString()})(realfork, tools, module.exports);`,
    '}',
  ].join('\n');
  const run = await script(source, { timeout: 50_000, ...options });
  if (run.code !== (options.code ?? 0) || (options.code === undefined && run.stderr !== '')) {
    throw new Error(`code ${run.code}, signal ${run.signal}\nstdout:\n${run.stdout}\nstderr:\n${run.stderr}`);
  }
  return run;
}
