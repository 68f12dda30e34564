/** What CI relies on: that the counts are Jest's, and that the rules do find what they are there for. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../helpers/program';

function node(args: readonly string[], input = '') {
  // typescript-eslint takes a single run's files from the disk, not from stdin, unless it is told that it is none.
  const env = { ...process.env, TSESTREE_SINGLE_RUN: 'false' };
  return spawnSync(process.execPath, args, { cwd: packageRoot, encoding: 'utf8', input, env });
}

test('result files are added up; a test file that could not be loaded counts as failed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-results-'));
  try {
    const files = [
      { numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1, numRuntimeErrorTestSuites: 0 },
      { numPassedTests: 7, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, numRuntimeErrorTestSuites: 2 },
    ].map((results, index) => {
      const file = join(folder, `${index}.json`);
      writeFileSync(file, JSON.stringify({ ...results, numTotalTestSuites: 3 }));
      return file;
    });
    expect(node(['scripts/results.mjs', ...files]).stdout).toBe('12 3 3\n');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a Node that is not supported is refused before anything is installed', () => {
  const run = node(['scripts/test-nodes.mjs', '18']);
  expect({ status: run.status, stdout: run.stdout }).toEqual({ status: 2, stdout: '' });
  expect(run.stderr).toContain('20, 22, 24, 26');
});

test('the linter finds an import against the direction in each of its forms, a forgotten promise and any', () => {
  const source = [
    `import { join } from '../process/process';`,
    `import * as everything from '../index';`,
    `export type T = import('../pool/pool').Pool;`,
    `export const later = import('../cli/main');`,
    `export const now: unknown = require('../manager/server');`,
    `async function forgotten(): Promise<void> { await Promise.resolve(); }`,
    `forgotten();`,
    `export const loose: any = [join, everything];`,
    `export { native } from '../native';`,
  ].join('\n');
  const eslint = require.resolve('eslint/package.json').replace('package.json', 'bin/eslint.js');
  const run = node([eslint, '--format', 'json', '--stdin', '--stdin-filename', 'lib/posix/wait.ts'], source);
  const [{ messages }] = JSON.parse(run.stdout) as [{ messages: { line: number; ruleId: string }[] }];
  const found = messages.map(({ line, ruleId }) => `${line} ${ruleId.replace('@typescript-eslint/', '')}`);
  expect(found).toEqual(
    expect.arrayContaining([
      '1 no-restricted-imports',
      '2 no-restricted-imports',
      '3 no-restricted-syntax',
      '4 no-restricted-syntax',
      '5 no-restricted-syntax',
      '7 no-floating-promises',
      '8 no-explicit-any',
    ]),
  );
  expect(found.filter((line) => line.startsWith('9 '))).toEqual([]);
}, 60_000);
