/** An empty project that has installed the packed tarball, as a user's would be. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot, runNode, type ProgramOptions, type ProgramResult } from '../helpers/program';

/** What `npm pack --json` says of a tarball. */
interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

function npm(args: readonly string[], cwd: string): string {
  const script = process.env.npm_execpath;
  const [command, ...first] = script?.endsWith('.js') ? [process.execPath, script] : ['npm'];
  const run = spawnSync(command as string, [...first, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (run.status !== 0) throw new Error(`npm ${args.join(' ')} failed:\n${run.stdout}${run.stderr}`);
  return run.stdout;
}

export class Consumer {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'realfork-consumer-')));
  /** The paths inside the tarball. */
  readonly packedFiles: readonly string[];

  /** Pack the package as it is built now and install it; about ten seconds, most of it compiling the addon. */
  constructor() {
    // Without scripts: `prepack` would rebuild dist/ under the feet of tests that run at the same time.
    const [packed] = JSON.parse(
      npm(['pack', '--json', '--ignore-scripts', '--pack-destination', this.folder], packageRoot),
    ) as [Packed];
    this.packedFiles = packed.files.map((file) => file.path);
    this.write('package.json', '{ "private": true }');
    npm(['install', '--prefer-offline', '--no-audit', '--no-fund', `./${packed.filename}`], this.folder);
  }

  /** The path of a file in the project. */
  path(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** Write a file of the project and return its path. */
  write(name: string, text: string): string {
    writeFileSync(this.path(name), text);
    return this.path(name);
  }

  /** Write a program and run it with Node, under the care every test program has. */
  run(name: string, text: string, options?: ProgramOptions): Promise<ProgramResult> {
    return runNode([this.write(name, text)], options);
  }

  /** Compile files of the project with TypeScript; the answer is what tsc printed, '' when it had nothing to say. */
  compile(files: readonly string[], compilerOptions: Readonly<Record<string, unknown>>): string {
    this.write(
      'tsconfig.json',
      JSON.stringify({
        files,
        compilerOptions: {
          target: 'es2022',
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          // Our declarations are checked too, so they have to stand on their own.
          skipLibCheck: false,
          typeRoots: [join(packageRoot, 'node_modules', '@types')],
          types: ['node'],
          ...compilerOptions,
        },
      }),
    );
    const tsc = require.resolve('typescript/bin/tsc');
    return spawnSync(process.execPath, [tsc, '-p', this.folder], { encoding: 'utf8' }).stdout.trim();
  }

  /** Remove the project. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
