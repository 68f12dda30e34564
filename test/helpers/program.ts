/**
 * Run a function as a program of its own: a fresh Node, a session of its own, bounded in time, and nothing left behind.
 * The test runner itself is never forked.
 *
 *     const run = await program((rf, t) => {
 *       const pid = rf.fork();
 *       if (pid === 0) process.exit(7);
 *       t.report(rf.WEXITSTATUS(rf.waitpid(pid).status));
 *     });
 *     expect(run.reports).toEqual([7]);
 *
 * The function's source text is what runs: it sees its two parameters, Node's globals and `require`, and nothing of the
 * test file around it. Give it data through `options.args`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { pace } from './pace';
import { describeProcesses, killAll, membersOf } from './processes';
import type { Tools } from './program-tools';

/** The package as the programs see it. */
export type Realfork = typeof import('realfork');

export interface ProgramOptions {
  /** Given to the program as `t.args`; JSON. */
  readonly args?: readonly unknown[];
  /** Flags for Node, such as `--expose-gc`. */
  readonly nodeFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until the program and all it made are killed and the test fails. Default 25,000; multiplied by the pace of the machine. */
  readonly timeout?: number;
  /** Written to the program's stdin, which is then closed. */
  readonly stdin?: string;
  /** The program's working directory. Default: the test's. */
  readonly cwd?: string;
  /** Also run the text as an ES module (`.mjs`): `import` works at its top level. Needs `source`. */
  readonly extension?: '.cjs' | '.mjs' | '.js';
  /** Command to put in front of node, such as `unshare --pid --fork`. */
  readonly wrapper?: readonly string[];
  /** Processes that outlive the program are expected; they have this many ms to end by themselves. Default 2,000. */
  readonly grace?: number;
}

export interface ProgramResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What `t.report` was given, by any process of the program, in the order of arrival. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- JSON of any shape
  readonly reports: any[];
  /** stdout without the reports. */
  readonly output: string;
  /** Milliseconds from start to exit. */
  readonly elapsed: number;
}

/** The package's root, seen from test-dist/helpers. */
export const packageRoot = realpathSync(join(__dirname, '..', '..'));

/** Run `body` as a CommonJS program. Fails when it outlives its time or leaves processes behind. */
export function program(
  body: (rf: Realfork, t: Tools) => unknown,
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const tools = JSON.stringify(join(__dirname, 'program-tools.js'));
  const source = [
    `const realfork = require(${JSON.stringify(packageRoot)});`,
    `const tools = require(${tools}).tools(${JSON.stringify(options.args ?? [])});`,
    `(${body.toString()})(realfork, tools);`,
  ].join('\n');
  return script(source, options);
}

/** Run source text as a program; `program` is the usual way. */
export async function script(source: string, options: ProgramOptions = {}): Promise<ProgramResult> {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-test-'));
  const file = join(folder, `program${options.extension ?? '.cjs'}`);
  writeFileSync(file, source);
  try {
    return await runNode([...(options.nodeFlags ?? []), file], options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Run Node with these arguments under the same care as `program`. */
export async function runNode(nodeArguments: readonly string[], options: ProgramOptions = {}): Promise<ProgramResult> {
  const mark = `REALFORK_TEST=${randomUUID()}`;
  const command = [...(options.wrapper ?? []), process.execPath, ...nodeArguments];
  const started = performance.now();
  const child = spawn(command[0] as string, command.slice(1), {
    detached: true, // a session of its own: everything it makes can be found again
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...cleanEnvironment(), ...options.env, REALFORK_TEST: mark.slice('REALFORK_TEST='.length) },
  });
  const session = child.pid as number;
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => {}); // EPIPE: the program did not read its input, which is its right
  child.stdin.end(options.stdin ?? '');
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const text = () => `\nstdout:\n${Buffer.concat(out).toString()}\nstderr:\n${Buffer.concat(err).toString()}`;

  const limit = (options.timeout ?? 25_000) * pace;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), limit)));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve({ code, signal }));
  });
  const end = await Promise.race([ended, late]);
  clearTimeout(timer);
  const elapsed = performance.now() - started;
  if (end === 'late') {
    const members = membersOf(session, mark);
    const state = describeProcesses(members);
    killAll(members);
    await ended;
    throw new Error(`the program did not end within ${limit} ms; its processes were:\n${state}${text()}`);
  }
  const left = await untilGone(session, mark, (options.grace ?? 2_000) * pace);
  if (left.length > 0) {
    const state = describeProcesses(left);
    killAll(left);
    throw new Error(`the program (${JSON.stringify(end)}) left processes behind:\n${state}${text()}`);
  }
  await closed;
  const stdout = Buffer.concat(out).toString();
  const lines = stdout.split('\n');
  return {
    ...end,
    stdout,
    stderr: Buffer.concat(err).toString(),
    reports: lines.flatMap((line) => (line.startsWith('@report ') ? [JSON.parse(line.slice(8)) as unknown] : [])),
    output: lines.filter((line) => !line.startsWith('@report ')).join('\n'),
    elapsed,
  };
}

/** The members still there when `grace` ms are over; [] as soon as there are none. */
async function untilGone(session: number, mark: string, grace: number) {
  const deadline = performance.now() + grace;
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    const members = membersOf(session, mark);
    if (members.length === 0 || performance.now() > deadline) return members;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** The environment without what changes Node's behaviour or start-up time. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (name.startsWith('NODE_') || name.startsWith('npm_')) delete env[name];
  return env;
}

/** Run `body` as `program` does, and require that it ends with code 0 and says nothing on stderr. */
export async function cleanProgram(...given: Parameters<typeof program>): Promise<ProgramResult> {
  const run = await program(...given);
  if (run.code !== 0 || run.stderr !== '') {
    const { code, signal, stdout, stderr } = run;
    throw new Error(`the program ended with code ${code}, signal ${signal}\nstdout:\n${stdout}\nstderr:\n${stderr}`);
  }
  return run;
}
