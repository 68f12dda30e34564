import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot, runNode } from '../helpers/program';
import { Consumer } from './consumer';
import { firstExample, withNumberedPids } from './readme';

interface Manifest {
  readonly version: string;
  readonly main: string;
  readonly types: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
}

const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as Manifest;
const addonSources = (
  JSON.parse(readFileSync(join(packageRoot, 'binding.gyp'), 'utf8')) as { targets: [{ sources: string[] }] }
).targets[0].sources;

let consumer: Consumer;
beforeAll(() => {
  consumer = new Consumer();
}, 240_000);
afterAll(() => consumer?.remove());

describe('the tarball', () => {
  test('holds every file that package.json and binding.gyp name', () => {
    const entries = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : [entry.types, entry.default],
    );
    const named = [manifest.main, manifest.types, ...entries, ...Object.values(manifest.bin)].map((path) =>
      path.replace(/^\.\//, ''),
    );
    const documents = ['README.md', 'LICENSE', 'CHANGELOG.md'];
    const needed = [...named, ...addonSources, ...documents, 'binding.gyp', 'scripts/install.cjs'];
    expect(needed.filter((path) => !consumer.packedFiles.includes(path))).toEqual([]);
  });

  test('holds nothing that only development needs', () => {
    const allowed =
      /^(dist|native|docs|prebuilds)\/|^(package\.json|binding\.gyp|scripts\/install\.cjs|[A-Z]+(\.md)?)$/;
    expect(consumer.packedFiles.filter((path) => !allowed.test(path) || path.endsWith('.test.js'))).toEqual([]);
  });
});

describe('the installed package', () => {
  const forkAndWait = `
    const pid = fork();
    if (pid === 0) process.exit(7);
    console.log(waitpid(pid).status >> 8, waitpid.name);
  `;

  test('require gives the calls', async () => {
    const run = await consumer.run('require.cjs', `const { fork, waitpid } = require('realfork');${forkAndWait}`);
    expect(run).toMatchObject({ code: 0, output: '7 waitpid\n' });
  });

  test('import gives the calls by name, all that require gives', async () => {
    const run = await consumer.run(
      'import.mjs',
      `import { fork, waitpid } from 'realfork';
       import * as everything from 'realfork';
       import { createRequire } from 'node:module';
       const required = createRequire(import.meta.url)('realfork');
       const missing = Object.keys(required).filter((name) => everything[name] !== required[name]);
       if (missing.length > 0) throw new Error('not importable by name: ' + missing);
       ${forkAndWait}`,
    );
    expect(run).toMatchObject({ code: 0, output: '7 waitpid\n' });
  });

  test('only the entry points can be reached', async () => {
    const run = await consumer.run(
      'deep.cjs',
      `require('realfork/package.json');
       try { require('realfork/dist/native.js') } catch (error) { console.log(error.code) }`,
    );
    expect(run).toMatchObject({ code: 0, output: 'ERR_PACKAGE_PATH_NOT_EXPORTED\n' });
  });

  test('the command is there and knows its version', async () => {
    const command = consumer.path('node_modules', '.bin', 'realfork');
    expect(existsSync(command)).toBe(true);
    const run = await runNode([command, '--version']);
    expect(run).toMatchObject({ code: 0, output: `${manifest.version}\n` });
  });

  test('an addon that was never built is named, with what to do', async () => {
    const build = consumer.path('node_modules', 'realfork', 'build');
    renameSync(build, `${build}.away`);
    try {
      const run = await consumer.run('unbuilt.cjs', `require('realfork')`);
      expect(run.code).toBe(1);
      expect(run.stderr).toContain('npm rebuild realfork');
    } finally {
      renameSync(`${build}.away`, build);
    }
  });

  test("the README's first example prints what the README says", async () => {
    const example = firstExample(readFileSync(consumer.path('node_modules', 'realfork', 'README.md'), 'utf8'));
    const run = await consumer.run(`example${example.extension}`, example.code);
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(withNumberedPids(run.stdout)).toBe(withNumberedPids(example.output));
  });
});

describe('the types, without looking away from our own declarations', () => {
  const checks = `
    const pid: number = fork();
    if (pid === 0) process.exit(7);
    const result: WaitResult = waitpid(pid, 0);
    const status: number = result.status;
    void (() => {
      // @ts-expect-error a result is read-only
      result.status = 0;
      // @ts-expect-error a pid is a number
      waitpid('1');
    });
    const lift = registerAtFork({ before() {}, afterInChild() {} } satisfies AtForkHooks);
    void lift;
    const support: ForkSupport = forkSupport();
    const mode: string = support.mode;
    const error = new PosixError(10, 'waitpid');
    const code: string = error.code;
    console.log(status >> 8, code, mode.length > 0);
  `;
  const names =
    '{ fork, waitpid, registerAtFork, forkSupport, PosixError, type AtForkHooks, type ForkSupport, type WaitResult }';
  const expected = { code: 0, output: '7 ECHILD true\n' };

  test.each(['node16', 'nodenext'])(
    'module %s: ES module and CommonJS, compiled and run',
    async (module) => {
      consumer.write('esm.mts', `import ${names} from 'realfork';\n${checks}`);
      consumer.write('named.cts', `import ${names} from 'realfork';\n${checks}`);
      consumer.write(
        'equals.cts',
        `import realfork = require('realfork');\nconst fork: () => number = realfork.fork;\nvoid fork;`,
      );
      expect(consumer.compile(['esm.mts', 'named.cts', 'equals.cts'], { module })).toBe('');
      expect(await runNode([consumer.path('esm.mjs')])).toMatchObject(expected);
      expect(await runNode([consumer.path('named.cjs')])).toMatchObject(expected);
    },
    60_000,
  );

  test('moduleResolution bundler', () => {
    consumer.write('bundled.ts', `import ${names} from 'realfork';\n${checks}`);
    const options = { module: 'esnext', moduleResolution: 'bundler', noEmit: true };
    expect(consumer.compile(['bundled.ts'], options)).toBe('');
  }, 60_000);

  test('a mistake is found: the checks above are not made against any', () => {
    consumer.write(
      'wrong.mts',
      `import { fork, spork } from 'realfork';\nconst pid: string = fork();\nvoid [pid, spork];`,
    );
    const found = consumer.compile(['wrong.mts'], { module: 'node16', noEmit: true });
    expect([...found.matchAll(/error (TS\d+)/g)].map((match) => match[1])).toEqual(['TS2305', 'TS2322']);
  }, 60_000);
});
