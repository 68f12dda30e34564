/** Before the tests: compile the addon and the tests' helper where missing or older than their sources; forget old tests. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const root = dirname(import.meta.dirname);

if (!existsSync(join(root, 'node_modules'))) {
  console.error('The dependencies are not installed: run `npm ci` first.');
  process.exit(1);
}

/** Compile the gyp project in `folder`, unless its addon is younger than all of `sources`. */
function compile(folder, addon, sources) {
  const built = join(folder, 'build', 'Release', addon);
  const newest = Math.max(...sources.map((name) => statSync(join(folder, name)).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs >= newest) return;
  const { status } = spawnSync(process.execPath, [require.resolve('node-gyp/bin/node-gyp.js'), 'rebuild'], {
    cwd: folder,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
}

const nativeSources = readdirSync(join(root, 'native')).map((name) => join('native', name));
compile(root, 'realfork.node', ['binding.gyp', ...nativeSources]);
compile(join(root, 'test', 'native'), 'test_helper.node', ['binding.gyp', 'helper.c']);

// tsc leaves the output of deleted and renamed files behind, and Jest would run it.
rmSync(join(root, 'test-dist'), { recursive: true, force: true });
