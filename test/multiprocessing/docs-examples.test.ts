/** The programs in the concept pages run as they stand, and print what the comments behind console.log say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot, script } from '../helpers/program';

const pages = [
  'connections.md',
  'manager.md',
  'queues.md',
  'shared-memory.md',
  'start-methods.md',
  'synchronisation.md',
];

/** JavaScript blocks that load the package: the others are fragments. */
function programs(page: string): string[] {
  const text = readFileSync(join(packageRoot, 'docs', page), 'utf8');
  return [...text.matchAll(/^```js\n(.*?)^```$/gms)]
    .map(([, code = '']) => code)
    .filter((code) => code.includes("require('realfork"));
}

describe.each(pages)('docs/%s', (page) => {
  test.each(programs(page).map((code, i) => [i + 1, code] as const))('example %i', async (_number, code) => {
    const run = await script(
      code
        .replaceAll("require('realfork')", `require(${JSON.stringify(packageRoot)})`)
        .replaceAll("require('realfork/", `require('${packageRoot}/dist/`),
    );
    const said = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text = '']) => text);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.output.split('\n').filter((line) => line !== '')).toEqual(said);
  });
});
