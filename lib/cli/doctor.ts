/** `realfork doctor`: what this host and this Node support, and what to do where they do not. */
import type { Command } from 'commander';
import { checks, type Finding } from './doctor-checks';

const MARKS: Readonly<Record<Finding['level'], string>> = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' };

export function doctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('show what this host and this Node support; exit code 1 when something needed is missing')
    .option('--json', 'print the findings as JSON')
    .action(async (options: { json?: true }) => {
      const findings: Finding[] = [];
      for (const check of checks) findings.push(await examine(check));
      const ok = findings.every(({ level }) => level !== 'fail');
      if (options.json) console.log(JSON.stringify({ ok, findings }, null, 2));
      else print(findings, ok);
      process.exitCode = ok ? 0 : 1;
    });
}

async function examine(check: (typeof checks)[number]): Promise<Finding> {
  try {
    return { name: check.name, ...(await check.look()) };
  } catch (error) {
    return { name: check.name, level: 'warn', found: `could not be examined: ${(error as Error).message}` };
  }
}

function print(findings: readonly Finding[], ok: boolean): void {
  for (const { name, level, found, advice } of findings) {
    console.log(`${MARKS[level]}  ${name.padEnd(20)} ${found}`);
    if (advice !== undefined) console.log(`      ${' '.repeat(20)} -> ${advice}`);
  }
  const warnings = findings.filter(({ level }) => level === 'warn').length;
  console.log(
    ok
      ? `\nfork() works here${warnings === 0 ? '' : `; ${warnings} warning${warnings === 1 ? '' : 's'}`}.`
      : '\nSomething that is needed is missing; see the lines marked FAIL.',
  );
}
