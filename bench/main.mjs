/**
 * `npm run bench`: every benchmark in this folder, or those named; `npm run bench -- --list` says what there is.
 *
 * A benchmark is a module that exports `main()` and starts with a comment whose first line says what it measures.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { arch, cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));

const all = readdirSync(folder)
  .filter((file) => file.endsWith('.mjs') && file !== 'main.mjs')
  .filter((file) => /^export (async )?function main\b/m.test(readFileSync(`${folder}${file}`, 'utf8')))
  .map((file) => file.slice(0, -'.mjs'.length))
  .sort();

const chosen = process.argv.slice(2);
if (chosen.includes('--list')) {
  const width = Math.max(...all.map((name) => name.length));
  for (const name of all) {
    const [, summary = ''] =
      /^\/\*\*\s*(?:\* )?(.*?)(?:: `npm run.*)?$/m.exec(readFileSync(`${folder}${name}.mjs`, 'utf8')) ?? [];
    console.log(`${name.padEnd(width)}  ${summary}`);
  }
  process.exit(0);
}
const unknown = chosen.find((name) => !all.includes(name));
if (unknown !== undefined) {
  console.error(`bench: there is no ${unknown}; the benchmarks are ${all.join(', ')}`);
  process.exit(2);
}
console.log(
  `Node ${process.version}, ${process.platform} ${release()} ${arch()}, ${cpus().length} x ${cpus()[0].model}`,
);
for (const name of chosen.length > 0 ? chosen : all) {
  const { main } = await import(`./${name}.mjs`);
  await main();
}
