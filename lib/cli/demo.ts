/** `realfork demo [name]`: run the demonstrations, each in a process and a session of its own. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from 'commander';
import { demos, type Demo } from '../demos/index';
import { format } from '../demos/format';
import { sessionMembers } from '../demos/process-table';
import { forkSupport, kill, killpg, sleepSync } from '../index';
import { UsageError, exitCodeOf } from './exit-codes';

interface Options {
  readonly list?: true;
  readonly limit: string;
}

export function demoCommand(program: Command): void {
  program
    .command('demo')
    .description('run a demonstration, explained while it runs; without a name all of them, as a guided tour')
    .argument('[name]', 'which one; --list names them')
    .option('-l, --list', 'list the demonstrations')
    .option('--limit <seconds>', 'kill a demonstration, and all it has made, after so many seconds', '20')
    .action(async (name: string | undefined, options: Options) => {
      process.exitCode = await demo(name, options);
    });
}

async function demo(name: string | undefined, options: Options): Promise<number> {
  if (options.list) {
    for (const { name, title } of demos) console.log(`${name.padEnd(27)} ${title}`);
    return 0;
  }
  const limit = Number(options.limit) * 1000;
  if (!(limit > 0)) throw new UsageError(`--limit takes a number of seconds, not '${options.limit}'`);
  const chosen = name === undefined ? demos : demos.filter((demo) => demo.name === name);
  if (chosen.length === 0) throw new UsageError(`no demonstration is named '${name}'; realfork demo --list names them`);
  const support = forkSupport();
  if (support.mode === 'unavailable') throw new Error(`fork() is not available here: ${support.reason}`);

  exitOnSignals();
  const started = performance.now();
  const failed: string[] = [];
  for (const [index, demo] of chosen.entries()) {
    const position = chosen.length === 1 ? '' : `${index + 1}/${chosen.length} `;
    console.log(format.title(position, demo.name, demo.title));
    const failure = await runAlone(demo, limit);
    if (failure !== undefined) {
      failed.push(demo.name);
      console.log(`\n  ${demo.name} failed: ${failure}`);
    }
  }
  if (chosen.length > 1) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `\n${chosen.length - failed.length} of ${chosen.length} demonstrations showed what they say, in ${seconds} s.` +
        (failed.length === 0 ? ' "realfork demo NAME" runs one of them.' : ` Failed: ${failed.join(', ')}`),
    );
  }
  return failed.length === 0 ? 0 : 1;
}

/** Run one demonstration; why it failed, or undefined. Whatever way it ends, none of its processes is left. */
async function runAlone(demo: Demo, limit: number): Promise<string | undefined> {
  const child = spawn(process.execPath, [...process.execArgv, join(__dirname, '..', 'demos', 'run.js'), demo.name], {
    detached: true, // setsid(2): everything it makes can be found, and ended, as one session
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, REALFORK_DEMO_PARENT: String(process.pid) },
  });
  const session = child.pid;
  if (session === undefined) return new Promise((resolve) => child.on('error', ({ message }) => resolve(message)));

  current = session;
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endSession(session);
  }, limit);
  try {
    const code = await new Promise<number>((resolve) => {
      child.on('exit', (code, signal) => resolve(exitCodeOf(code, signal)));
    });
    const left = sessionMembers(session);
    // While it has members the session's number is taken; afterwards it may be somebody else's.
    if (left.length > 0) endSession(session);
    if (code === exitCodeOf(null, 'SIGPIPE')) process.exit(code); // nobody reads what the other ones would print either
    if (timedOut) return `it did not end within ${limit / 1000} s and was killed`;
    if (code !== 0) return `its exit code was ${code}`;
    if (left.length > 0)
      return `it left processes behind: ${left.map(({ pid, state }) => `${pid} ${state}`).join(', ')}`;
    return undefined;
  } finally {
    clearTimeout(timer);
    current = undefined;
  }
}

/** The session of the demonstration that is running. */
let current: number | undefined;

/** A signal that would end this command ends the demonstration first, which a session of its own keeps from seeing it. */
function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
    process.on(signal, () => {
      if (current !== undefined) endSession(current);
      process.exit(exitCodeOf(null, signal));
    });
  }
}

/** Kill a whole session: its first process group in one step, which no fork() slips through, then who has left the group. */
function endSession(session: number): void {
  unlessGone(() => killpg(session, 'SIGKILL'));
  for (let waited = 0; waited < 1000; waited++) {
    const left = sessionMembers(session).filter(({ state }) => state !== 'Z');
    if (left.length === 0) return;
    for (const { pid } of left) unlessGone(() => kill(pid, 'SIGKILL'));
    sleepSync(1); // a killed process takes a moment to end
  }
}

function unlessGone(signal: () => void): void {
  try {
    signal();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
