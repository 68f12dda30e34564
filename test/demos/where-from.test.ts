/** D07: fork works wherever a script comes from, and from any working directory. The package is found by its name. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot, runNode, type ProgramResult } from '../helpers/program';

let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'realfork-project-'));
  mkdirSync(join(project, 'node_modules'));
  symlinkSync(packageRoot, join(project, 'node_modules', 'realfork'));
});

afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

const USE = `
const pid = fork();
if (pid === 0) {
  setTimeout(() => {
    console.log('child of', process.ppid);
    process.exitCode = 7;
  }, 1);
} else {
  waitpidAsync(pid).then(({ status }) => console.log('parent', process.pid, 'status', WEXITSTATUS(status)));
}
`;
const REQUIRE = `const { fork, waitpidAsync, WEXITSTATUS } = require('realfork');${USE}`;
const IMPORT = `import { fork, waitpidAsync, WEXITSTATUS } from 'realfork';${USE}`;

function write(name: string, text: string): string {
  const path = join(project, name);
  writeFileSync(path, text);
  return path;
}

function expectBothSides(run: ProgramResult): void {
  expect(run.stderr).toBe('');
  const [, parent] = /parent (\d+) status 7/.exec(run.stdout) ?? [];
  expect(run.stdout).toContain(`child of ${parent}\n`);
  expect(run.stdout.trim().split('\n')).toHaveLength(2);
  expect(run.code).toBe(0);
}

test('D07 from a CommonJS file', async () => {
  expectBothSides(await runNode([write('program.cjs', REQUIRE)], { cwd: project }));
});

test('D07 from an ES module', async () => {
  expectBothSides(await runNode([write('program.mjs', IMPORT)], { cwd: project }));
});

test('D07 from an ES module after a top-level await', async () => {
  const text = `await new Promise((resolve) => setImmediate(resolve));\n${IMPORT}`;
  expectBothSides(await runNode([write('await.mjs', text)], { cwd: project }));
});

test('D07 from another working directory', async () => {
  expectBothSides(await runNode([write('far.cjs', REQUIRE)], { cwd: '/' }));
  expectBothSides(await runNode([write('far.mjs', IMPORT)], { cwd: '/' }));
});

test('D07 from a working directory that has been removed', async () => {
  const text = `const fs = require('node:fs');
    process.chdir(fs.mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'realfork-gone-')));
    fs.rmdirSync(process.cwd());
    ${REQUIRE}`;
  expectBothSides(await runNode([write('gone.cjs', text)], { cwd: project }));
});

test('D07 from node -e', async () => {
  expectBothSides(await runNode(['-e', REQUIRE], { cwd: project }));
});

test('D07 from node -e as an ES module', async () => {
  expectBothSides(await runNode(['--input-type=module', '-e', IMPORT], { cwd: project }));
});

test('D07 from a script on standard input', async () => {
  expectBothSides(await runNode([], { stdin: REQUIRE, cwd: project }));
  expectBothSides(await runNode(['-'], { stdin: REQUIRE, cwd: project }));
});

test('D07 from an ES module on standard input', async () => {
  expectBothSides(await runNode(['--input-type=module', '-'], { stdin: IMPORT, cwd: project }));
});

test('D07 from a module preloaded with --require', async () => {
  const preload = write('preload.cjs', REQUIRE);
  expectBothSides(await runNode(['--require', preload, write('empty.cjs', '')], { cwd: project }));
});

const PROCESS_AND_POOL = `
const worker = new Process({ target: () => console.log('worker of', process.ppid) });
worker.start();
worker.join().then(async () => {
  const pool = new Pool(2);
  const squares = await pool.map((n) => n * n, [1, 2, 3]);
  console.log('parent', process.pid, 'exit code', worker.exitCode, 'squares', squares.join());
  pool.close();
  await pool.join();
});
`;
const REQUIRE_BOTH = `const { Pool, Process } = require('realfork/multiprocessing');${PROCESS_AND_POOL}`;
const IMPORT_BOTH = `import { Pool, Process } from 'realfork/multiprocessing';${PROCESS_AND_POOL}`;

test.each([
  ['a CommonJS file', () => [write('both.cjs', REQUIRE_BOTH)], ''],
  ['an ES module', () => [write('both.mjs', IMPORT_BOTH)], ''],
  ['node -e', () => ['-e', REQUIRE_BOTH], ''],
  ['a script on standard input', () => ['-'], REQUIRE_BOTH],
] as const)('D07 Process and Pool from %s, from another working directory', async (_name, nodeArguments, stdin) => {
  const cwd = nodeArguments().length === 1 && stdin === '' ? '/' : project; // the others find the package from there
  const run = await runNode(nodeArguments(), { cwd, stdin });
  expect(run.stderr).toBe('');
  const [, parent] = /parent (\d+) exit code 0 squares 1,4,9\n/.exec(run.stdout) ?? [];
  expect(run.stdout).toContain(`worker of ${parent}\n`);
  expect(run.code).toBe(0);
});
