#!/usr/bin/env node
/** The command `realfork`. Exit codes: 0 done, 1 failed, 2 wrong usage, 128+n ended by signal n; `init` and `trace` give their command's. */
import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from './exit-codes';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
  version: string;
};

/** Each in a module that is loaded when it is asked for: a copy of a small tree takes less time than loading the others. */
const commands: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  cp: async () => (await import('./cp.js')).cpCommand,
  demo: async () => (await import('./demo.js')).demoCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  init: async () => (await import('./init.js')).initCommand,
  trace: async () => (await import('./trace.js')).traceCommand,
};

async function main(): Promise<void> {
  const program = new Command('realfork')
    .description('Real POSIX processes for Node: demonstrations, diagnosis, and tools.')
    .version(version)
    .exitOverride()
    .enablePositionalOptions();
  const [wanted = ''] = process.argv.slice(2);
  const chosen = Object.hasOwn(commands, wanted) ? [wanted] : Object.keys(commands);
  for (const name of chosen) (await (commands[name] as (typeof commands)[string])())(program);
  program.commands.forEach((command) => command.exitOverride());
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2; // 0: help or version was asked for; commander has printed the rest
    } else if (error instanceof UsageError) {
      console.error(`error: ${error.message}`);
      process.exitCode = 2;
    } else {
      console.error(`realfork: ${(error as Error).message}`);
      process.exitCode = 1;
    }
  }
}

void main();
