/**
 * Compile the addon's sources for arm64 Linux on another host, without linking or running anything: what is written
 * twice, once for each machine (`native/machine.h`), has to stay compilable on both. Needs Debian's
 * g++-aarch64-linux-gnu (or CROSS_CXX); without it the check says that it was skipped.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const root = dirname(import.meta.dirname);
const compiler = process.env.CROSS_CXX ?? 'aarch64-linux-gnu-g++';

if (spawnSync(compiler, ['--version']).status !== 0) {
  console.log(`compile check for arm64: skipped, there is no ${compiler}`);
  process.exit(0);
}

/** gyp's files are JSON but for lines of comments. */
const readGyp = (path) => JSON.parse(readFileSync(join(root, path), 'utf8').replace(/^\s*#.*$/gm, ''));
const [target] = readGyp('binding.gyp').targets;
const { nodedir } = readGyp('build/config.gypi').variables; // written when the addon was built: the headers used then

const work = mkdtempSync(join(tmpdir(), 'realfork-arm64-'));
const failed = target.sources.filter((source) => {
  const { status } = spawnSync(
    compiler,
    [
      ...target.cflags_cc,
      ...target.defines.map((define) => `-D${define}`),
      '-DNODE_GYP_MODULE_NAME=realfork',
      '-fPIC',
      '-fno-exceptions',
      '-fno-rtti',
      ...[join(nodedir, 'include', 'node'), dirname(require.resolve('node-addon-api/package.json'))].flatMap((path) => [
        '-isystem',
        path,
      ]),
      ...['-c', source, '-o', join(work, `${basename(source)}.o`)],
    ],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  return status !== 0;
});
rmSync(work, { recursive: true, force: true });

if (failed.length > 0) {
  console.error(`compile check for arm64: ${failed.join(', ')} failed`);
  process.exit(1);
}
console.log(`compile check for arm64: ${target.sources.length} files compiled`);
