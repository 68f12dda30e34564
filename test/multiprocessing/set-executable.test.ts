/** Which Node the start methods 'spawn' and 'forkserver' run. */
import { methodProgram } from '../helpers/method-program';

describe.each(['spawn', 'forkserver'] as const)('%s', (method) => {
  test('test_set_executable: the path may be a string, a Buffer or a file URL; that Node is run', async () => {
    const run = await methodProgram(
      method,
      (_rf, t) => ({ work: () => t.report(process.argv0.endsWith('another-node')) }),
      async (_rf, t, { work }) => {
        const { mkdtempSync, rmSync, symlinkSync } = require('node:fs') as typeof import('node:fs');
        const { pathToFileURL } = require('node:url') as typeof import('node:url');
        const { getContext, setExecutable } = t.mp;
        const folder = mkdtempSync(`${(require('node:os') as typeof import('node:os')).tmpdir()}/realfork-node-`);
        const path = `${folder}/another-node`;
        symlinkSync(process.execPath, path);
        for (const form of t.args[0] === 'spawn'
          ? [path, Buffer.from(path), pathToFileURL(path)]
          : [pathToFileURL(path)]) {
          setExecutable(form);
          const child = new (getContext(t.args[0] as 'spawn').Process)({ target: work as () => void });
          child.start();
          await child.join();
          t.report(child.exitCode);
        }
        for (const wrong of [5, null, undefined, {}, new URL('https://host/node'), 'a\0b']) {
          t.report(t.caught(() => setExecutable(wrong as never))['code']);
        }
        rmSync(folder, { recursive: true });
      },
      { args: [method] },
    );
    const type = 'ERR_INVALID_ARG_TYPE';
    expect(run.reports).toEqual([
      ...Array(method === 'spawn' ? 3 : 1)
        .fill([true, 0])
        .flat(),
      ...[type, type, type, type, 'ERR_INVALID_URL_SCHEME', 'ERR_INVALID_ARG_VALUE'],
    ]);
  });
});
