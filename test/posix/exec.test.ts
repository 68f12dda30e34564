import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { O_NONBLOCK } from '../../dist';
import { program } from '../helpers/program';
import { asRoot } from '../helpers/root';

const errno = (code: string) => -(constants.errno as Record<string, number>)[code]!;

/** Files to execute, with little names: one of them is written into a program header. */
let folder: string;
const file = (name: string, content: string | Buffer, mode = 0o755) => {
  writeFileSync(join(folder, name), content, { mode });
  return join(folder, name);
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'r-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('_exit', () => {
  test('F28 exit statuses are cut to 8 bits, by every way out', async () => {
    const run = await program((rf, t) => {
      for (const code of [0, 1, 42, 255, 256, 300, -1, -256, 2147483647, -2147483648]) {
        const ways = [
          () => rf._exit(code),
          () => process.exit(code),
          () => {
            process.exitCode = code;
          },
        ].map((way) => {
          const pid = rf.fork();
          if (pid === 0) return { way };
          const { status } = rf.waitpid(pid);
          return { status: rf.WIFEXITED(status) ? rf.WEXITSTATUS(status) : `status ${status}` };
        });
        const mine = ways.find((way) => way.way !== undefined);
        // The child leaves here. With process.exitCode it does so at the end of its program.
        if (mine?.way !== undefined) return mine.way();
        t.report([code, ...ways.map((way) => way.status)]);
      }
    });
    const bits = (code: number) => code & 0xff;
    expect(run.reports).toHaveLength(10);
    for (const [code, ...statuses] of run.reports) {
      expect([code, statuses]).toEqual([code, [bits(code), bits(code), bits(code)]]);
    }
    expect([bits(256), bits(300), bits(-1)]).toEqual([0, 44, 255]);
  });

  test('ends at once: no listener, no flush, no pending callback, in parent and child', async () => {
    const run = await program(
      (rf, t) => {
        process.on('exit', () => t.report('exit listener'));
        setImmediate(() => t.report('immediate'));
        const pid = rf.fork();
        if (pid === 0) rf._exit(3);
        t.report(rf.waitpid(pid).status);
        try {
          rf._exit(9);
        } finally {
          t.report('finally');
        }
      },
      { timeout: 5_000 },
    );
    expect(run.reports).toEqual([0x0300]);
    expect(run.code).toBe(9);
  });

  test('ends the whole process from a Worker', async () => {
    const run = await program(
      (_rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        new Worker(`require(require('node:worker_threads').workerData)._exit(5)`, {
          eval: true,
          workerData: t.args[0],
        });
        setInterval(() => {}, 1000);
      },
      { args: [require.resolve('../../dist')] },
    );
    expect(run.code).toBe(5);
  });
});

describe('errors of exec', () => {
  test('code, errno, syscall and path of each error', async () => {
    const plain = file('plain', 'echo hi', 0o644);
    const empty = file('empty', '');
    const noInterpreter = file('nointerp', '#!/no/such/interpreter\n');
    mkdirSync(join(folder, 'dir'));
    symlinkSync('loop', join(folder, 'loop'));
    // A program whose interpreter (ld.so) is replaced by a file that is no ELF file: execve(2) ELIBBAD.
    const interpreter = file('i', 'x'.repeat(4096));
    const elf = readFileSync('/bin/true');
    const at = elf.indexOf('/lib');
    const end = elf.indexOf(0, at);
    expect(end - at).toBeGreaterThanOrEqual(interpreter.length); // else tmpdir() is too long a name
    elf.fill(0, at, end).write(interpreter, at);
    const badInterpreter = file('badinterp', elf);

    const run = await program(
      (rf, t) => {
        const { folder, plain, empty, noInterpreter, badInterpreter } = t.args[0] as Record<string, string>;
        const long = 'x'.repeat(300);
        const rows: [string, string, string, string[]?][] = [
          ['execv', 'ENOENT', `${folder}/missing`],
          ['execv', 'ENOENT', ''],
          ['execv', 'ENOENT', noInterpreter as string],
          ['execv', 'ENOTDIR', `${plain}/below`],
          ['execv', 'EACCES', plain as string],
          ['execv', 'EACCES', `${folder}/dir`],
          ['execv', 'ENOEXEC', empty as string],
          ['execv', 'ENAMETOOLONG', `${folder}/${long}`],
          ['execv', 'ELOOP', `${folder}/loop`],
          ['execv', 'E2BIG', '/bin/true', ['true', 'x'.repeat(4_000_000)]],
          ['execv', 'ELIBBAD', badInterpreter as string],
          ['execve', 'ENOENT', `${folder}/missing`],
          ['execve', 'ENOEXEC', empty as string],
          ['execvp', 'ENOENT', 'realfork-no-such-program'],
          ['execvp', 'ENOENT', ''],
          ['execvp', 'ENOENT', `${folder}/missing`],
          ['execvp', 'ENOTDIR', `${plain}/below`],
          ['execvp', 'EACCES', plain as string],
          ['execvp', 'ENAMETOOLONG', long],
          ['execvpe', 'ENOENT', 'realfork-no-such-program'],
          ['execvpe', 'E2BIG', 'true', ['true', 'x'.repeat(4_000_000)]],
        ];
        for (const [syscall, code, path, args = ['name', 'argument']] of rows) {
          const error = t.caught(() => {
            if (syscall === 'execve') rf.execve(path, args, { A: '1' });
            else if (syscall === 'execvpe') rf.execvpe(path, args, { PATH: '/bin' });
            else rf[syscall as 'execv' | 'execvp'](path, args);
          });
          t.report({ expected: { syscall, code, path }, error });
        }
        t.report(process.pid === rf.getpid());
      },
      { args: [{ folder, plain, empty, noInterpreter, badInterpreter }] },
    );
    expect(run.reports.pop()).toBe(true);
    expect(run.reports).toHaveLength(21);
    for (const { expected, error } of run.reports) {
      expect(error).toEqual({
        name: 'PosixError',
        ...expected,
        errno: expected.code === 'ELIBBAD' ? -80 : errno(expected.code),
      });
    }
    expect(run.code).toBe(0);
  });

  asRoot('EACCES for a file that belongs to another user', async () => {
    file('mine', '#!/bin/sh\nexit 0\n', 0o700);
    const run = await program(
      (rf, t) => {
        const pid = rf.fork();
        if (pid !== 0) return void t.report(rf.waitpid(pid).status);
        process.setuid?.(65534);
        t.report(t.caught(() => rf.execv(t.args[0] as string, ['mine'])).code);
      },
      { args: [join(folder, 'mine')] },
    );
    expect(run.reports).toEqual(['EACCES', 0]);
  });

  test('a failed exec leaves descriptors, signals and the event loop as they were', async () => {
    const run = await program(
      async (rf, t) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const signalled = new Promise((resolve) => process.on('SIGUSR2', resolve));
        process.stdout.write('');
        process.stdin.on('data', () => {});
        const state = () => [
          ...[0, 1, 2].map((fd) => fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1').match(/flags:.*/)?.[0]),
          fs.readFileSync('/proc/self/status', 'latin1').match(/^Sig(Blk|Ign|Cgt):.*$/gm),
        ];
        const before = state();
        // What exec has to change and to put back: without these flags this test would see nothing.
        t.report([parseInt(String(before[1]).slice(6), 8) & 0o2004000, /SigIgn:.*1001000/.test(String(before[3]))]);
        for (const call of [
          () => rf.execv('/no/such', ['such']),
          () => rf.execvp('realfork-no-such-program', ['x']),
          () => rf.execve('/etc', ['etc'], {}),
        ]) {
          t.report(t.caught(call).syscall);
        }
        t.report(JSON.stringify(state()) === JSON.stringify(before));
        process.kill(process.pid, 'SIGUSR2');
        t.report(await signalled);
        t.report((await fs.promises.readFile('/proc/self/comm')).length > 0);
        const pid = rf.fork();
        if (pid === 0) process.exit(6);
        t.report(rf.waitpid(pid).status);
        console.log('still here');
        process.stdin.destroy();
      },
      { stdin: 'x' },
    );
    expect(run.reports).toEqual([[0o2004000, true], 'execv', 'execvp', 'execve', true, 'SIGUSR2', true, 0x0600]);
    expect(run.output).toContain('still here');
  });

  test('failing execs while pool threads write to a broken pipe: SIGPIPE stays harmless at every moment', async () => {
    const run = await program(async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd, writeFd] = rf.pipe();
      fs.closeSync(readFd);
      let isWriting = true;
      const codes = new Set<string>();
      const writer = async () => {
        while (isWriting) {
          const { code } = await new Promise<NodeJS.ErrnoException>((resolve) =>
            fs.write(writeFd, 'x', (error) => resolve(error as NodeJS.ErrnoException)),
          );
          codes.add(String(code));
        }
      };
      const writers = [writer(), writer(), writer()];
      for (let i = 0; i < 300; i++) {
        for (let j = 0; j < 10; j++) t.caught(() => rf.execvp('realfork-no-such-program', ['x']));
        await new Promise((resolve) => setImmediate(resolve));
      }
      isWriting = false;
      await Promise.all(writers);
      t.report([...codes]);
    });
    expect(run.reports).toEqual([['EPIPE']]);
  });
});

describe('exec', () => {
  test('keeps the pid, the parent, the working directory and the group; passes every argument', async () => {
    const show = file('show', '#!/bin/sh\necho "$$ $PPID $(pwd -P) $#"\nfor a; do echo "<$a>"; done\n');
    const run = await program(
      (rf, t) => {
        const fs = require('node:fs') as typeof import('node:fs');
        const [readFd, writeFd] = rf.pipe();
        const pid = rf.fork();
        if (pid === 0) {
          process.chdir('/');
          rf.dup2(writeFd, 1);
          rf.execv(t.args[0] as string, ['zero', 'canary', '', 'two words', '-x', 'ünïcödé ☃', '*']);
        }
        fs.closeSync(writeFd);
        const text = fs.readFileSync(readFd, 'utf8');
        t.report([text.replace(String(pid), 'PID').replace(String(process.pid), 'PPID'), rf.waitpid(pid).status]);
      },
      { args: [show] },
    );
    expect(run.reports).toEqual([['PID PPID / 6\n<canary>\n<>\n<two words>\n<-x>\n<ünïcödé ☃>\n<*>\n', 0]]);
  });

  test("args[0] is the caller's choice", async () => {
    const run = await program((rf) => {
      rf.execv('/bin/sh', ['my name', '-c', 'echo "$0"']);
    });
    expect(run.stdout).toBe('my name\n');
  });

  test('replaces the program that calls it, unforked, whatever is pending', async () => {
    const run = await program((rf, t) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const { pbkdf2 } = require('node:crypto') as typeof import('node:crypto');
      process.on('exit', () => t.report('exit listener'));
      setTimeout(() => t.report('timer'), 0);
      new Worker('for (;;);', { eval: true });
      pbkdf2('x', 'y', 1e7, 64, 'sha512', () => {});
      t.report(process.pid);
      try {
        rf.execvp('sh', ['sh', '-c', 'echo "@report $$"; exit 12']);
      } finally {
        t.report('finally');
      }
    });
    const [before, after, ...rest] = run.reports;
    expect([after, rest]).toEqual([before, []]);
    expect(run.code).toBe(12);
  });

  test('can be called by a Worker: the whole process is replaced', async () => {
    const run = await program(
      (_rf, t) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
        t.report(process.pid);
        const source = `const { workerData } = require('node:worker_threads');
          process.env.FROM_WORKER = 'its own environment';
          require(workerData).execv('/bin/sh', ['sh', '-c', 'echo "@report $$"; echo "$FROM_WORKER"']);`;
        new Worker(source, { eval: true, workerData: t.args[0] });
        setInterval(() => {}, 1000);
      },
      { args: [require.resolve('../../dist')] },
    );
    expect(run.reports[1]).toBe(run.reports[0]);
    expect(run.output).toBe('its own environment\n');
  });

  test('gives the program default signals, an empty mask, blocking standard descriptors and no others', async () => {
    const run = await program(
      (rf, t) => {
        const fs = require('node:fs') as typeof import('node:fs');
        // What the test runner itself was started with and Node has left inheritable.
        t.report(
          fs
            .readdirSync('/proc/self/fd')
            .filter((fd) => Number(fd) > 2 && fs.existsSync(`/proc/self/fd/${fd}`) && rf.getInheritable(Number(fd))),
        );
        process.stdin.on('data', () => {});
        process.stdout.write('');
        process.stderr.write('');
        process.on('SIGTERM', () => {});
        process.on('SIGUSR2', () => {});
        fs.openSync('/dev/null', 'r');
        rf.pipe();
        rf.socketpair();
        const flags = fs.readFileSync('/proc/self/fdinfo/0', 'latin1');
        t.report(/flags:\s*0?2?004/.test(flags)); // non-blocking, or this test would see nothing
        // The shell reads its own state by itself: grep catches SIGSEGV, and while the shell starts one it blocks signals.
        const state = 'while read -r l; do case "$l" in Sig[BI]*) echo "$l";; esac; done </proc/$$/status';
        rf.execvp('sh', ['sh', '-c', `${state}; cd /proc/$$/fdinfo; grep "^flags" *`]);
      },
      { stdin: 'x' },
    );
    const [inherited, isNonBlocking] = run.reports;
    expect(isNonBlocking).toBe(true);
    const lines = run.output.trim().split('\n');
    expect(lines.slice(0, 2)).toEqual(['SigBlk:\t0000000000000000', 'SigIgn:\t0000000000000000']);
    const flags = lines.slice(2).map((line) => /^(\d+):flags:\s*(\d+)$/.exec(line)?.slice(1) ?? [line]);
    expect(flags.map(([fd]) => fd)).toEqual(['0', '1', '2', ...inherited]);
    for (const [, value] of flags) expect(parseInt(value as string, 8) & O_NONBLOCK).toBe(0);
  });

  test('SIGPIPE ends the program: yes | head', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd, writeFd] = rf.pipe();
      const pid = rf.fork();
      if (pid === 0) {
        rf.dup2(writeFd, 1);
        rf.execvp('yes', ['yes']);
      }
      fs.closeSync(writeFd);
      fs.readSync(readFd, Buffer.alloc(100));
      fs.closeSync(readFd);
      const { status } = rf.waitpid(pid);
      t.report([rf.WIFSIGNALED(status), rf.WTERMSIG(status)]);
    });
    expect(run.reports).toEqual([[true, constants.signals.SIGPIPE]]);
  });

  test('inherits standard input: the program reads on where nobody has read', async () => {
    const run = await program(
      (rf) => {
        const pid = rf.fork();
        if (pid === 0) rf.execvp('cat', ['cat']);
        rf.waitpid(pid);
      },
      { stdin: 'first line\nsecond line\n' },
    );
    expect(run.output).toBe('first line\nsecond line\n');
  });

  test('keeps descriptors that dup2, setInheritable or pipe2(0) made inheritable, under their numbers', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const path = `${__filename}.txt`;
      fs.writeFileSync(path, 'content');
      const fd = fs.openSync(path, 'r');
      const [readFd, writeFd] = rf.pipe2(0);
      fs.writeSync(writeFd, 'piped');
      const pid = rf.fork();
      if (pid === 0) {
        rf.setInheritable(fd, true);
        rf.dup2(fs.openSync(path, 'r'), 40);
        const script = `cat <&${fd}; echo; cat <&40; echo; head -c 5 <&${readFd}; echo; (: <&41) 2>/dev/null || echo closed`;
        rf.dup2(readFd, 41);
        rf.setInheritable(41, false);
        rf.execv('/bin/bash', ['bash', '-c', script]);
      }
      t.report(rf.waitpid(pid).status);
    });
    expect(run.reports).toEqual([0]);
    expect(run.output.trim().split('\n')).toEqual(['content', 'content', 'piped', 'closed']);
  });

  test('8 children exec at the same moment', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [gate, open] = rf.pipe();
      const pids = Array.from({ length: 8 }, (_, i) => {
        const pid = rf.fork();
        if (pid === 0) {
          fs.closeSync(open);
          fs.readSync(gate, Buffer.alloc(1));
          rf.execvp('sh', ['sh', '-c', `exit ${i}`]);
        }
        return pid;
      });
      fs.closeSync(open);
      t.report(pids.map((pid) => rf.WEXITSTATUS(rf.waitpid(pid).status)));
    });
    expect(run.reports).toEqual([[0, 1, 2, 3, 4, 5, 6, 7]]);
  });

  test('the new program may be Node, which forks again', async () => {
    const run = await program(
      (rf, t) => {
        const pid = rf.fork();
        if (pid === 0) {
          const script = `const rf = require(process.argv[1]);
            const pid = rf.fork();
            if (pid === 0) process.exit(21);
            process.exit(rf.WEXITSTATUS(rf.waitpid(pid).status) * 2);`;
          rf.execv(process.execPath, ['node', '-e', script, t.args[0] as string]);
        }
        t.report(rf.WEXITSTATUS(rf.waitpid(pid).status));
      },
      { args: [require.resolve('../../dist')] },
    );
    expect(run.reports).toEqual([42]);
  });
});

describe('the environment', () => {
  test('execv and execvp pass process.env as it is now', async () => {
    const run = await program(
      (rf, t) => {
        process.env['REALFORK_ADDED'] = 'added';
        delete process.env['REALFORK_REMOVED'];
        for (const call of ['execv', 'execvp'] as const) {
          const pid = rf.fork();
          if (pid === 0) rf[call]('/bin/sh', ['sh', '-c', 'echo "$REALFORK_ADDED,${REALFORK_REMOVED-unset}"']);
          t.report(rf.waitpid(pid).status);
        }
        process.env = { REALFORK_ADDED: 'replaced' };
        rf.execv('/bin/sh', ['sh', '-c', 'echo "$REALFORK_ADDED,${REALFORK_TEST-unset}"']);
      },
      { env: { REALFORK_REMOVED: 'x' } },
    );
    expect(run.output.trim().split('\n')).toEqual(['added,unset', 'added,unset', 'replaced,unset']);
  });

  test('execve and execvpe pass exactly the one given', async () => {
    const run = await program((rf) => {
      const env = { B: '2', A: 'a=b c', EMPTY: '', SKIPPED: undefined, PATH: '/nowhere:/usr/bin:/bin' };
      let pid = rf.fork();
      if (pid === 0) rf.execve('/usr/bin/env', ['env'], env);
      rf.waitpid(pid);
      pid = rf.fork();
      if (pid === 0) rf.execvpe('env', ['env'], env);
      rf.waitpid(pid);
      rf.execve('/usr/bin/env', ['env'], {});
    });
    const lines = ['B=2', 'A=a=b c', 'EMPTY=', 'PATH=/nowhere:/usr/bin:/bin'];
    expect(run.stdout.trim().split('\n')).toEqual([...lines, ...lines]);
  });
});

describe('the search in PATH', () => {
  /** Folders, in their order, with what `tool` is in each; what comes of execvp and of execvpe. */
  const script = (text: string) => ['#!/bin/sh\n' + `echo ${text} "$@"\n`, 0o755] as const;
  const cases: [string, string, Record<string, readonly [string, number]>, string][] = [
    ['the first folder that has it wins', 'a:b', { a: script('A'), b: script('B') }, 'A x y'],
    ['a folder that does not exist is passed over', 'none:b', { b: script('B') }, 'B x y'],
    ['a file that cannot be executed is passed over', 'a:b', { a: ['', 0o644], b: script('B') }, 'B x y'],
    ['and gives EACCES when nothing better comes', 'a:none', { a: ['', 0o644] }, 'EACCES'],
    ['nothing anywhere is ENOENT', 'a:none', {}, 'ENOENT'],
    ['an entry that is a file is passed over', 'b/tool:b', { b: script('B') }, 'B x y'],
    ['an empty entry is the working directory', 'none::a', { '.': script('CWD'), a: script('A') }, 'CWD x y'],
    ['an empty PATH is the working directory', '', { '.': script('CWD') }, 'CWD x y'],
    [
      'a file without a known format is run by sh',
      'a:b',
      { a: ['echo plain "$@"\n', 0o755], b: script('B') },
      'plain x y',
    ],
  ];
  test.each(cases)('%s (%s)', async (_name, path, tools, expected) => {
    for (const name of ['a', 'b']) mkdirSync(join(folder, name));
    for (const [where, [content, mode]] of Object.entries(tools)) file(join(where, 'tool'), content, mode);
    const run = await program(
      (rf, t) => {
        const [folder, path] = t.args as [string, string];
        process.chdir(folder);
        const inFolder = path
          .split(':')
          .map((entry) => (entry === '' ? '' : `${folder}/${entry}`))
          .join(':');
        const calls = [
          () => {
            process.env['PATH'] = inFolder;
            rf.execvp('tool', ['tool', 'x', 'y']);
          },
          () => {
            process.env['PATH'] = '/usr/bin:/bin';
            rf.execvpe('tool', ['tool', 'x', 'y'], { PATH: inFolder });
          },
        ];
        for (const call of calls) {
          const pid = rf.fork();
          if (pid === 0) {
            console.log(t.caught(call).code);
            process.exit(1);
          }
          rf.waitpid(pid);
        }
      },
      { args: [folder, path] },
    );
    expect(run.output.trim().split('\n')).toEqual([expected, expected]);
  });

  test('without PATH the folders are /bin and /usr/bin; a name with a slash is not looked for', async () => {
    const tool = file('tool', 'echo plain "$@"\n'); // no #!: sh runs it here too
    const run = await program(
      (rf, t) => {
        const calls = [
          () => {
            delete process.env['PATH'];
            rf.execvp('env', ['env', 'echo', 'found']);
          },
          () => rf.execvpe('echo', ['echo', 'found as well'], {}),
          () => rf.execvp(t.args[0] as string, ['tool', 'by path']),
          () => {
            process.chdir('/bin');
            process.env['PATH'] = '/nowhere';
            rf.execvp('./echo', ['echo', 'relative']);
          },
        ];
        for (const call of calls) {
          const pid = rf.fork();
          if (pid === 0) {
            console.log(t.caught(call).code);
            process.exit(1);
          }
          rf.waitpid(pid);
        }
      },
      { args: [tool] },
    );
    expect(run.output.trim().split('\n')).toEqual(['found', 'found as well', 'plain by path', 'relative']);
  });
});
