/** `realfork init`: exit codes, signals, orphans, the terminal. Cases after those of tini's own tests. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { asFirstProcess, cliPath, realforkCommand } from '../helpers/cli';
import { packageRoot, program, runNode } from '../helpers/program';

function init(args: readonly string[], wrapper: readonly string[] = []) {
  return realforkCommand(['init', ...args], { wrapper });
}

describe("the command's end is init's end", () => {
  test.each([
    ['exit 0', 0],
    ['exit 7', 7],
    ['exit 255', 255],
    ['kill -TERM $$', 143],
    ['kill -KILL $$', 137],
    ['kill -USR1 $$', 138],
  ])('sh -c "%s" gives %i', async (command, code) => {
    expect((await init(['-s', '--', 'sh', '-c', command])).code).toBe(code);
    expect((await init(['--', 'sh', '-c', command], asFirstProcess)).code).toBe(code);
  });

  test('a command that does not exist gives 127, one that cannot be executed 126', async () => {
    const missing = await init(['-s', '--', 'no-such-command-anywhere']);
    expect(missing).toMatchObject({ code: 127, stdout: '' });
    expect(missing.stderr).toContain('cannot run no-such-command-anywhere: ENOENT');
    const folder = await init(['-s', '--', '/']);
    expect(folder).toMatchObject({ code: 126, stdout: '' });
    expect(folder.stderr).toContain('EACCES');
  });

  test("the command's own options are not init's, with and without --", async () => {
    expect((await init(['-s', '--', 'echo', '-s', '--help'])).stdout).toBe('-s --help\n');
    expect((await init(['-s', 'echo', '-g', '--list'])).stdout).toBe('-g --list\n');
  });

  test("standard input and output are the command's", async () => {
    const run = await realforkCommand(['init', '-s', '--', 'cat'], { stdin: 'through init\n' });
    expect(run).toMatchObject({ code: 0, stdout: 'through init\n', stderr: '' });
  });

  test('the command starts with default dispositions and an empty mask', async () => {
    const run = await init(['-s', '--', 'cat', '/proc/self/status']);
    const signals = Object.fromEntries(run.stdout.split('\n').map((line) => line.split(':\t')));
    expect(signals).toMatchObject({
      SigBlk: '0000000000000000',
      SigIgn: '0000000000000000',
      SigCgt: '0000000000000000',
    });
  });

  test('it has a process group of its own', async () => {
    const run = await init(['-s', '--', 'sh', '-c', 'echo $$; cut -d" " -f5 /proc/$$/stat']);
    const [pid, group] = run.stdout.trim().split('\n');
    expect(group).toBe(pid);
  });
});

test('who is neither pid 1 nor a subreaper is told so', async () => {
  const plain = await init(['--', 'true']);
  expect(plain.code).toBe(0);
  expect(plain.stderr).toContain('not pid 1 and no subreaper');
  expect((await init(['-s', '--', 'true'])).stderr).toBe('');
  expect((await init(['--', 'true'], asFirstProcess)).stderr).toBe('');
});

describe('signals', () => {
  /** Starts init with `flags`, runs `script` as its command, and hands over the handles. */
  const catchAll = `
    const names = process.argv.slice(2);
    for (const name of names) process.on(name, () => name === 'SIGTERM' ? process.exit(3) : console.log(name));
    setInterval(() => {}, 1000);
    console.log('ready');`;

  /** Those that tell of a fault, cannot be caught, or have meanings between init and the terminal. */
  const notPassedOn = new Set(
    [
      ...['SIGKILL', 'SIGSTOP', 'SIGCHLD', 'SIGTTIN', 'SIGTTOU'],
      ...['SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGTRAP', 'SIGSYS'],
    ].map((name) => constants.signals[name as NodeJS.Signals]),
  );
  const passedOn = [
    ...new Map(
      Object.entries(constants.signals)
        .filter(([name, number]) => !notPassedOn.has(number) && name !== 'SIGTERM')
        .map(([name, number]) => [number, name]),
    ).values(),
    'SIGTERM',
  ];

  let folder: string;
  let command: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'realfork-init-'));
    command = join(folder, 'catch-all.js');
    writeFileSync(command, catchAll);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([
    ['as a subreaper', [], ['-s']],
    ['as pid 1', asFirstProcess, []],
  ])('every catchable one reaches the command, %s', async (_how, wrapper, flags) => {
    expect(passedOn.length).toBeGreaterThan(15);
    const run = await program(
      async (_rf, t) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const { readFileSync } = require('node:fs') as typeof import('node:fs');
        const { createInterface } = require('node:readline') as typeof import('node:readline');
        const [wrapper, cli, flags, command, signals] = t.args as [string[], string, string[], string, string[]];
        const line = [...wrapper, process.execPath, cli, 'init', ...flags, '--', process.execPath, command, ...signals];
        const started = spawn(line[0] as string, line.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
        const outputs = createInterface(started.stdout)[Symbol.asyncIterator]();
        const next = async (): Promise<string> => ((await outputs.next()) as { value: string }).value;
        t.report(await next());
        // Behind `unshare --fork` stands init, as its only child.
        const init =
          wrapper.length === 0
            ? (started.pid as number)
            : Number(readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, 'latin1'));
        const exited = new Promise<number | null>((resolve) => started.on('exit', resolve));
        for (const signal of signals) {
          process.kill(init, signal as NodeJS.Signals);
          t.report(signal === 'SIGTERM' ? await exited : await next());
        }
      },
      { args: [wrapper, cliPath, flags, command, passedOn], timeout: 15_000 },
    );
    expect(run.reports).toEqual(['ready', ...passedOn.slice(0, -1), 3]);
  });

  const startSleeper = `
    sleep 30 &
    echo "$!"
    wait`;

  test.each([
    ['-g', true],
    ['-s', false],
  ])('%s: the whole group gets it: %p', async (flag, all) => {
    const run = await program(
      async (rf, t) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const [cli, flag, script] = t.args as [string, string, string];
        rf.setChildSubreaper(true); // what init leaves comes here
        const started = spawn(process.execPath, [cli, 'init', '-s', flag, '--', 'sh', '-c', script], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const sleeper = await new Promise<number>((resolve) =>
          started.stdout.once('data', (data: Buffer) => resolve(Number(data))),
        );
        started.kill('SIGTERM');
        t.report(await new Promise((resolve) => started.on('exit', resolve)));
        // Either it got the signal with the group, and somebody reaps it, or it goes on sleeping as our child.
        await t.waitUntil(() => ['S', 'Z', undefined].includes(t.stat(sleeper)?.[0]), 'the sleeper at rest');
        const asleep = t.stat(sleeper)?.[0] === 'S' && rf.waitpid(sleeper, rf.WNOHANG).pid === 0;
        t.report(asleep);
        if (asleep) {
          process.kill(sleeper, 'SIGKILL');
          rf.waitpid(sleeper);
        } else if (t.stat(sleeper) !== undefined) {
          t.report(rf.WTERMSIG(rf.waitpid(sleeper).status));
        }
      },
      { args: [cliPath, flag, startSleeper] },
    );
    expect(run.reports.slice(0, 2)).toEqual([143, !all]);
  });
});

describe('orphans', () => {
  /** Makes five orphans, reports their pids, and ends with 0 when all five have gone from the process table. */
  const makeOrphans = `
    const { readFileSync } = require('node:fs');
    const rf = require(${JSON.stringify(packageRoot)});
    const [read, write] = rf.pipe();
    const { writeSync, readSync } = require('node:fs');
    for (let i = 0; i < 5; i++) {
      const middle = rf.fork();
      if (middle === 0) {
        if (rf.fork() === 0) writeSync(write, process.pid + '\\n');
        process.exit(0);
      }
      rf.waitpid(middle);
    }
    const buffer = Buffer.alloc(1000);
    let text = '';
    while (text.split('\\n').length < 6) text += buffer.toString('latin1', 0, readSync(read, buffer));
    const state = (pid) => {
      try {
        const stat = readFileSync('/proc/' + pid + '/stat', 'latin1');
        return stat.slice(stat.lastIndexOf(')') + 2)[0];
      } catch (error) {
        if (error.code === 'ENOENT' || error.code === 'ESRCH') return 'gone';
        throw error;
      }
    };
    const pids = text.trim().split('\\n').map(Number);
    const wanted = process.argv[2];
    const deadline = Date.now() + 5000;
    (function look() {
      const states = pids.map(state);
      if (states.every((s) => s === wanted) || Date.now() > deadline) {
        console.log(states.join(' '));
        process.exit(0);
      }
      setTimeout(look, 5);
    })();`;

  let folder: string;
  let command: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'realfork-init-'));
    command = join(folder, 'make-orphans.js');
    writeFileSync(command, makeOrphans);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each([
    ['as pid 1', asFirstProcess, []],
    ['as a subreaper', [], ['-s']],
  ])('are reaped, %s', async (_how, wrapper, flags) => {
    const run = await init([...flags, '--', process.execPath, command, 'gone'], wrapper);
    expect(run).toMatchObject({ code: 0, stdout: 'gone gone gone gone gone\n', stderr: '' });
  });

  test('stay zombies under a pid 1 that does not reap', async () => {
    const idle = `require('node:child_process')
      .spawn(process.execPath, process.argv.slice(1), { stdio: 'inherit' })
      .on('exit', (code) => process.exit(code))`;
    const run = await runNode(['-e', idle, command, 'Z'], { wrapper: asFirstProcess });
    expect(run).toMatchObject({ code: 0, stdout: 'Z Z Z Z Z\n' });
  });
});

test('-p: init gets the signal when its parent dies, and passes it on', async () => {
  const run = await program(
    async (rf, t) => {
      const [cli] = t.args as [string];
      const { readSync } = require('node:fs') as typeof import('node:fs');
      rf.setChildSubreaper(true);
      const [read, write] = rf.pipe();
      const middle = rf.fork();
      if (middle === 0) {
        const init = rf.fork();
        if (init === 0) {
          rf.dup2(write, 1);
          rf.execvp(process.execPath, [
            ...['node', cli, 'init', '-s', '-p', 'TERM', '--'],
            ...['sh', '-c', 'echo $PPID; exec sleep 30'],
          ]);
        }
        rf.waitpid(init);
        process.exit(0);
      }
      const buffer = Buffer.alloc(100);
      const init = Number(buffer.toString('latin1', 0, readSync(read, buffer)));
      rf.kill(middle, 'SIGKILL');
      rf.waitpid(middle);
      t.report(rf.waitStatusToExitCode(rf.waitpid(init).status));
    },
    { args: [cliPath] },
  );
  expect(run.reports).toEqual([143]);
});

test('on a terminal the command becomes the foreground group, and init takes it back', async () => {
  const look = 'cut -d" " -f5,8 /proc/$$/stat';
  const line = `${JSON.stringify(process.execPath)} ${JSON.stringify(cliPath)} init -s -- sh -c '${look}'; ${look}`;
  const run = await runNode([
    '-e',
    `process.exit(require('node:child_process').spawnSync('script', ['-qec', process.argv[1], '/dev/null'], {stdio: 'inherit'}).status)`,
    line,
  ]);
  expect(run.code).toBe(0);
  const rows = run.stdout
    .trim()
    .split(/\r?\n/)
    .map((row) => row.split(' '));
  expect(rows).toHaveLength(2);
  const [inside, after] = rows as [string[], string[]];
  expect(inside[0]).toBe(inside[1]); // proc_pid_stat(5): pgrp and tpgid
  expect(after[0]).toBe(after[1]);
  expect(after[0]).not.toBe(inside[0]);
});
