/** The command line itself, and `realfork doctor`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cliPath, realforkCommand } from '../helpers/cli';
import { packageRoot } from '../helpers/program';

describe('exit codes', () => {
  test.each([
    [['no-such-command']],
    [[]],
    [['demo', 'no-such-demonstration']],
    [['demo', '--no-such-option']],
    [['demo', 'zombie', 'one-too-many']],
    [['demo', 'zombie', '--limit', 'soon']],
    [['demo', 'zombie', '--limit', '-1']],
    [['init']],
    [['init', '--']],
    [['init', '-p', 'SIGNONE', '--', 'true']],
    [['trace']],
    [['trace', '/nowhere/script.js']],
    [['trace', '--linger', 'long', __filename]],
    [['doctor', '--yaml']],
  ])('wrong usage is 2: realfork %j', async (args) => {
    const run = await realforkCommand(args);
    expect({ code: run.code, stdout: run.stdout }).toEqual({ code: 2, stdout: '' });
    expect(run.stderr).not.toBe('');
    expect(run.stderr).not.toMatch(/^ +at /m); // words, not a stack
  });

  test('help and version are 0', async () => {
    const help = await realforkCommand(['--help']);
    expect(help.code).toBe(0);
    for (const command of ['cp', 'demo', 'doctor', 'init', 'trace'])
      expect(help.stdout).toMatch(new RegExp(`^ +${command}\\b`, 'm'));
    const version = await realforkCommand(['--version']);
    expect(version.code).toBe(0);
    expect(version.stdout.trim()).toBe(
      (JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version,
    );
  });
});

test('the packed command is executable and says which interpreter it wants', () => {
  expect(readFileSync(cliPath, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  const folder = mkdtempSync(join(tmpdir(), 'realfork-pack-'));
  try {
    // What `npm run build` does last, in case somebody called the compiler alone.
    expect(spawnSync('npm', ['run', '--silent', 'postbuild'], { cwd: packageRoot }).status).toBe(0);
    const pack = spawnSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
      cwd: packageRoot,
      encoding: 'utf8',
    });
    expect(pack.stderr).toBe('');
    const list = spawnSync('tar', ['-tvzf', join(folder, pack.stdout.trim())], { encoding: 'utf8' }).stdout;
    expect(list).toMatch(/^-rwxr-xr-x .* package\/dist\/cli\/main\.js$/m);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe('doctor', () => {
  interface Report {
    readonly ok: boolean;
    readonly findings: readonly { name: string; level: string; found: string; advice?: string }[];
  }

  test('--json gives every finding, and a host that can fork is ok', async () => {
    const run = await realforkCommand(['doctor', '--json']);
    const report = JSON.parse(run.stdout) as Report;
    expect(run.stderr).toBe('');
    expect(report.findings.filter(({ level }) => level === 'fail')).toEqual([]);
    expect(report.ok).toBe(true);
    expect(run.code).toBe(0);
    const found = new Map(report.findings.map((finding) => [finding.name, finding]));
    expect(found.get('node')?.found).toContain(process.version);
    expect(found.get('fork')?.found).toMatch(/^full: /);
    expect(found.get('fork, tried')?.level).toBe('ok');
    for (const name of [
      'platform',
      'C library',
      'pidfd',
      'futex',
      'subreaper',
      '/proc',
      'pid 1',
      'memory overcommit',
    ]) {
      expect(found.get(name)?.found).toEqual(expect.any(String));
    }
    for (const name of ['RLIMIT_NPROC', 'cgroup pids.max', 'pid_max', 'io_uring']) {
      expect(found.get(name)?.found).toEqual(expect.any(String));
    }
    for (const { level, found } of report.findings) {
      expect(['ok', 'warn', 'fail']).toContain(level);
      expect(found).not.toMatch(/could not be examined|NaN|undefined/);
    }
  });

  test('the text says the same, a line each', async () => {
    const run = await realforkCommand(['doctor']);
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/^ok {4}fork, tried +a child ran timers and fs\.promises/m);
    expect(run.stdout).toMatch(/fork\(\) works here/);
  });

  test('io_uring in the loop is warned of, with what to do', async () => {
    const run = await realforkCommand(['doctor', '--json'], { env: { UV_USE_IO_URING: '1' } });
    const { findings } = JSON.parse(run.stdout) as Report;
    expect(findings.find(({ name }) => name === 'io_uring')).toMatchObject({
      level: 'warn',
      advice: expect.any(String),
    });
  });
});
