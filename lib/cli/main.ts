#!/usr/bin/env node
/** The command `realfork`. Exit codes: 0 done, 1 failed, 2 wrong usage, 128+n ended by signal n; `init` and `trace` give their command's. */
import { Command, CommanderError } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpCommand } from './cp';
import { demoCommand } from './demo';
import { doctorCommand } from './doctor';
import { UsageError } from './exit-codes';
import { initCommand } from './init';
import { traceCommand } from './trace';

const { version } = JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')) as {
  version: string;
};

async function main(): Promise<void> {
  const program = new Command('realfork')
    .description('Real POSIX processes for Node: demonstrations, diagnosis, and tools.')
    .version(version)
    .exitOverride()
    .enablePositionalOptions();
  for (const add of [cpCommand, demoCommand, doctorCommand, initCommand, traceCommand]) add(program);
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
