/** Fail when package-lock.json names a registry host, lacks a checksum, or no longer fits package.json. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const read = (name) => JSON.parse(readFileSync(join(root, name), 'utf8'));
const manifest = read('package.json');
const lock = read('package-lock.json');
const problems = [];

for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === '') continue;
  if (entry.resolved !== undefined)
    problems.push(`${path} is tied to ${new URL(entry.resolved, 'file:').host || 'a path'}`);
  if (entry.integrity === undefined && entry.inBundle !== true) problems.push(`${path} has no checksum`);
}
for (const field of ['name', 'version', 'dependencies', 'devDependencies', 'bin', 'engines']) {
  const locked = JSON.stringify(lock.packages[''][field]);
  if (locked !== JSON.stringify(manifest[field]))
    problems.push(`"${field}" differs from package.json: run npm install`);
}

for (const problem of problems) console.error(`package-lock.json: ${problem}`);
if (problems.length > 0) process.exit(1);
console.log(`package-lock.json: ${Object.keys(lock.packages).length - 1} packages, no registry host`);
