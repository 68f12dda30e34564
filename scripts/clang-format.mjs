/** Format the C++ sources in place, or with `--check` name those that are not formatted and fail. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const root = dirname(import.meta.dirname);
const check = process.argv.includes('--check');

const host = `${process.platform}_${process.platform === 'darwin' ? 'x64' : process.arch}`;
const binary = join(dirname(require.resolve('clang-format/package.json')), 'bin', host, 'clang-format');
if (!existsSync(binary)) {
  console.log(`clang-format: skipped, the npm package has no binary for ${process.platform} ${process.arch}`);
  process.exit(0);
}

const sources = ['native', 'bench', 'test']
  .map((folder) => join(root, folder))
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && /\.(cc|h|c)$/.test(entry.name))
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name));

const mode = check ? ['--dry-run', '--Werror'] : ['-i'];
const { status, error } = spawnSync(binary, ['--style=file', ...mode, ...sources], { stdio: 'inherit', cwd: root });
if (error) throw error;
if (status !== 0) {
  console.error('clang-format: some files are not formatted; `npm run format` does it');
  process.exit(1);
}
console.log(`clang-format: ${sources.length} files ${check ? 'checked' : 'formatted'}`);
