import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { program } from '../helpers/program';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'realfork-daemon-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('orphans', () => {
  test('D02 a child whose parent is killed gets a new parent, pid 1 or the nearest subreaper, and ends by itself', async () => {
    const run = await program(async (rf, t) => {
      for (const subreaper of [false, true]) {
        const root = process.pid;
        const [reading, writing] = rf.pipe();
        if (subreaper) rf.setChildSubreaper(true);
        const parent = rf.fork();
        if (parent === 0) {
          const orphan = rf.fork();
          if (orphan > 0) {
            setInterval(() => {}, 1000); // until killed
            return;
          }
          const before = rf.getppid();
          require('node:fs').writeSync(writing, 'x'); // there, and knows its parent
          await t.waitUntil(() => rf.getppid() !== before, 'the parent has gone');
          const { state } = rf.processTree(rf.getppid());
          t.report({
            first: before !== root && before !== 1,
            adopter: rf.getppid() === root ? 'subreaper' : rf.getppid() === 1 ? 'init' : 'another subreaper',
            alive: state !== 'Z',
            node: process.ppid === rf.getppid(),
          });
          return;
        }
        require('node:fs').readSync(reading, Buffer.alloc(1));
        process.kill(parent, 'SIGKILL');
        t.report(rf.waitpid(parent).status);
        if (subreaper) t.report((await rf.waitpidAsync(-1)).status); // the orphan is this process's to wait for
      }
    });
    const [killed, ...rest] = run.reports.filter((r) => typeof r === 'number');
    expect([killed, ...rest]).toEqual([9, 9, 0]);
    const orphans = run.reports.filter((r) => typeof r === 'object');
    expect(orphans).toHaveLength(2);
    for (const orphan of orphans) expect(orphan).toMatchObject({ first: true, alive: true, node: true });
    expect(orphans.map(({ adopter }) => adopter).sort()[0]).toMatch(/^(init|another subreaper)$/);
    expect(orphans.map(({ adopter }) => adopter).sort()[1]).toBe('subreaper');
  });
});

describe('daemonize', () => {
  test('D02 the daemon is an orphan in a session of its own, without terminal, folder or streams of the caller', async () => {
    const run = await program(
      async (rf, t) => {
        const { readFileSync, readlinkSync, readdirSync, writeFileSync } =
          require('node:fs') as typeof import('node:fs');
        const [log] = t.args as string[];
        const caller = process.pid;
        const session = rf.getsid();
        process.on('exit', () => process.pid === caller && t.report("'exit' in the caller"));
        const timer = setTimeout(() => {}, 20); // what is scheduled goes on in the daemon, and only there
        timer.ref();
        setTimeout(() => t.report([process.pid === caller, 'timer']), 1);
        process.stdout.write(''); // libuv keeps a descriptor in reserve from its first stream on
        const before = readdirSync('/proc/self/fd').length;
        process.umask(0o077);
        // Its standard output stays, to report through; the others go.
        const daemon = rf.daemonize({ stdout: 1, umask: 0o027 });
        t.report({
          pid: daemon.pid === process.pid && daemon.pid !== caller && rf.getpid() === daemon.pid,
          session: rf.getsid() !== session,
          leads: rf.getsid() === daemon.pid || rf.getpgrp() === daemon.pid,
          terminal: t.stat(daemon.pid)?.[4],
          cwd: process.cwd(),
          umask: process.umask().toString(8),
          stdin: readlinkSync('/proc/self/fd/0'),
          stderr: readlinkSync('/proc/self/fd/2'),
          stdoutKept: readlinkSync('/proc/self/fd/1') !== '/dev/null',
          moreDescriptors: readdirSync('/proc/self/fd').length - before,
          inherited: rf.getInheritable(0) && rf.getInheritable(1) && rf.getInheritable(2),
        });
        await t.waitUntil(() => rf.getppid() !== caller && t.stat(caller) === undefined, 'the caller has gone');
        t.report(daemon.ready()); // nothing to do, and no harm
        writeFileSync(log as string, JSON.stringify([rf.getppid() !== caller, readFileSync(0).length]));
      },
      { args: [join(folder, 'log')] },
    );
    expect(run.code).toBe(0);
    expect(run.stderr).toBe('');
    const facts = {
      pid: true,
      session: true,
      leads: false,
      terminal: '0',
      cwd: '/',
      umask: '27',
      stdin: '/dev/null',
      stderr: '/dev/null',
      stdoutKept: true,
      moreDescriptors: 0,
      inherited: true,
    };
    expect(run.reports).toHaveLength(3);
    expect(run.reports).toEqual(expect.arrayContaining([facts, [false, 'timer'], null]));
    expect(JSON.parse(readFileSync(join(folder, 'log'), 'utf8'))).toEqual([true, 0]);
  });

  test('streams go to the files given, appended to; console and child processes write there', async () => {
    const run = await program(
      (rf, t) => {
        const { readFileSync, writeFileSync } = require('node:fs') as typeof import('node:fs');
        const cp = require('node:child_process') as typeof import('node:child_process');
        const [folder] = t.args as string[];
        process.chdir(folder as string);
        writeFileSync('in', 'from the file');
        writeFileSync('both', 'first\n');
        console.log('to the caller');
        process.stdin.on('data', () => {}); // in use: given up in the daemon
        rf.daemonize({ cwd: folder as string, stdin: 'in', stdout: 'both', stderr: 'both' });
        console.log('out');
        console.error('err');
        cp.spawnSync('sh', ['-c', 'echo child'], { stdio: 'inherit' });
        console.log(readFileSync(0, 'utf8'), process.stdin.destroyed);
      },
      { args: [folder] },
    );
    expect(run.code).toBe(0);
    expect(run.output).toBe('to the caller\n');
    expect(readFileSync(join(folder, 'both'), 'utf8')).toBe('first\nout\nerr\nchild\nfrom the file true\n');
  });

  test('from a terminal, in use for reading and writing: the daemon has none of it left', async () => {
    const run = await program(
      (rf, t) => {
        const { readFileSync, readdirSync, readlinkSync } = require('node:fs') as typeof import('node:fs');
        const [folder] = t.args as string[];
        process.stdin.on('data', () => {});
        console.log(`terminal ${process.stdin.isTTY} ${process.stdout.isTTY}`);
        console.error(`and ${process.stderr.isTTY}`);
        rf.daemonize({ stdout: `${folder}/out`, stderr: `${folder}/err` });
        const links = readdirSync('/proc/self/fd').flatMap((fd) => {
          try {
            return [readlinkSync(`/proc/self/fd/${fd}`)];
          } catch {
            return []; // that of the listing itself
          }
        });
        console.log(
          links.filter((link) => /^\/dev\/(pts|tty)/.test(link)),
          t.stat(process.pid)?.[4],
        );
        console.error('error');
        setTimeout(() => console.log('later', readFileSync(0).length), 20);
      },
      { args: [folder], wrapper: ['sh', '-c', 'exec script -qec "$*" /dev/null', 'sh'] },
    );
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('terminal true true');
    expect(run.stdout).toContain('and true');
    expect(run.stdout).not.toContain('later');
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe('[] 0\nlater 0\n');
    expect(readFileSync(join(folder, 'err'), 'utf8')).toBe('error\n');
  });

  test('what goes wrong, wherever, is thrown in the caller, which goes on; nothing is left behind', async () => {
    const run = await program(
      (rf, t) => {
        const { existsSync, readdirSync } = require('node:fs') as typeof import('node:fs');
        const [folder] = t.args as string[];
        const caller = process.pid;
        const pidfile = `${folder}/pid`;
        const failing = (options: unknown) => {
          try {
            rf.daemonize(options as object);
            t.report('went on');
            process.exit(1);
          } catch (error) {
            const { code, syscall, path } = error as NodeJS.ErrnoException;
            t.report([process.pid === caller, code, syscall ?? null, path?.replace(folder as string, '') ?? null]);
          }
        };
        const before = readdirSync('/proc/self/fd').length;
        failing({ cwd: `${folder}/missing`, pidfile });
        failing({ stdin: `${folder}/missing`, pidfile });
        failing({ stdout: folder });
        failing({ stderr: 4711 });
        failing({ pidfile: `${folder}/missing/pid` });
        t.report([readdirSync('/proc/self/fd').length - before, existsSync(pidfile), rf.processTree().children]);
        // A fork in the leader that is refused is the caller's to hear of as well.
        rf.guardForks({ maxDepth: 1 });
        failing({ pidfile });
        t.report([readdirSync('/proc/self/fd').length - before, existsSync(pidfile), rf.processTree().children]);
        for (const wrong of [
          null,
          5,
          { cwd: 5 },
          { cwd: 'a\0b' },
          { umask: -1 },
          { umask: 0o1000 },
          { umask: '022' },
          { stdin: null },
          { stdout: -1 },
          { stderr: {} },
          { pidfile: 1 },
          { waitUntilReady: 'yes' },
        ]) {
          failing(wrong);
        }
      },
      { args: [folder] },
    );
    const [type, range, value] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_VALUE'];
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(run.reports.slice(0, 8)).toEqual([
      [true, 'ENOENT', 'chdir', expect.anything()],
      [true, 'ENOENT', 'open', '/missing'],
      [true, 'EISDIR', 'open', ''],
      [true, 'EBADF', 'dup', null],
      [true, 'ENOENT', 'open', '/missing/pid'],
      [0, false, []],
      [true, 'ERR_FORK_LIMIT', null, null],
      [expect.any(Number), false, []], // the guard may hold a descriptor of its own
    ]);
    expect(run.reports.slice(8).map(([same, code]: [boolean, string]) => [same, code])).toEqual(
      [type, type, type, value, range, range, type, type, range, type, type, type].map((code) => [true, code]),
    );
  });

  test('pidfile: names the daemon, refuses a second one, outlives no crash, and goes with the daemon', async () => {
    const run = await program(
      async (rf, t) => {
        const { existsSync, readFileSync } = require('node:fs') as typeof import('node:fs');
        const pidfile = `${t.args[0]}/pid`;
        /** Start a daemon from a process of its own; its pid, or the error's code and pid. */
        const start = async (run: () => void) => {
          const starter = rf.fork();
          if (starter === 0) {
            let daemon: ReturnType<typeof rf.daemonize>;
            try {
              daemon = rf.daemonize({ pidfile, stdout: 1, waitUntilReady: true });
            } catch (error) {
              const { code, syscall, pid } = error as NodeJS.ErrnoException & { pid?: number };
              t.report([code, syscall, pid === Number(readFileSync(pidfile, 'utf8'))]);
              process.exit(3);
            }
            run();
            daemon.ready();
            return false;
          }
          t.report((await rf.waitpidAsync(starter)).status >> 8);
          return true;
        };
        rf.setChildSubreaper(true); // daemons become this process's, so that it can tell when they have gone
        const stay = () => {
          // A child of the daemon that outlives it does not keep the lock.
          const child = rf.fork();
          if (child > 0) return void setInterval(() => {}, 1000);
          const daemon = rf.getppid();
          return void t.waitUntil(
            () => rf.getppid() !== daemon && !existsSync(pidfile),
            'the second has come and gone',
          );
        };
        if (!(await start(stay))) return;
        const first = Number(readFileSync(pidfile, 'utf8'));
        t.report([t.stat(first)?.[0] !== undefined, readFileSync(pidfile, 'utf8') === `${first}\n`]);
        if (!(await start(() => t.report('a second daemon')))) return;
        process.kill(first, 'SIGKILL');
        t.report((await rf.waitpidAsync(first)).status);
        t.report(existsSync(pidfile)); // nobody could remove it, and it is nobody's now
        if (!(await start(() => process.on('SIGTERM', () => process.exit(0)) && setInterval(() => {}, 1000)))) return;
        const second = Number(readFileSync(pidfile, 'utf8'));
        t.report(second !== first);
        process.kill(second, 'SIGTERM');
        t.report((await rf.waitpidAsync(second)).status);
        t.report(existsSync(pidfile));
      },
      { args: [folder] },
    );
    expect(run.reports).toEqual([0, [true, true], ['EAGAIN', 'flock', true], 3, 9, true, 0, true, 0, false]);
    expect(run.stderr).toBe('');
  });

  test('waitUntilReady: the caller ends when the daemon says so, and throws when it ends before', async () => {
    const run = await program(async (rf, t) => {
      const { readSync, writeSync, closeSync } = require('node:fs') as typeof import('node:fs');
      const [reading, writing] = rf.pipe();
      const starter = rf.fork();
      if (starter === 0) {
        const daemon = rf.daemonize({ waitUntilReady: true, stdout: 1 });
        readSync(reading, Buffer.alloc(1)); // until the test has seen that the caller is still there
        t.report('ready');
        daemon.ready();
        daemon.ready();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      t.report(rf.waitpid(starter, rf.WNOHANG));
      writeSync(writing, 'x');
      t.report((await rf.waitpidAsync(starter)).status);
      closeSync(writing);

      for (const end of [() => process.exit(0), () => process.kill(process.pid, 'SIGKILL')]) {
        const unlucky = rf.fork();
        if (unlucky === 0) {
          const caller = process.pid;
          try {
            rf.daemonize({ waitUntilReady: true });
          } catch (error) {
            t.report([process.pid === caller, (error as NodeJS.ErrnoException).code]);
            process.exit(4);
          }
          return void end();
        }
        t.report((await rf.waitpidAsync(unlucky)).status >> 8);
      }
    });
    const failed = [true, 'ERR_DAEMON_NOT_READY'];
    expect(run.reports).toEqual([{ pid: 0, status: 0 }, 'ready', 0, failed, 4, failed, 4]);
  });

  test('waitUntilReady: the caller does not wait for what the daemon has forked', async () => {
    const run = await program(async (rf, t) => {
      for (const end of ['ready', 'dead'] as const) {
        const [reading, writing] = rf.pipe();
        const starter = rf.fork();
        if (starter === 0) {
          const caller = process.pid;
          try {
            const daemon = rf.daemonize({ waitUntilReady: true });
            require('node:fs').closeSync(writing);
            if (rf.fork() === 0) return void require('node:fs').readSync(reading, Buffer.alloc(1)); // until the test ends it
            if (end === 'dead') rf.raise('SIGKILL');
            return daemon.ready();
          } catch (error) {
            t.report([process.pid === caller, (error as NodeJS.ErrnoException).code]);
            return;
          }
        }
        t.report((await rf.waitpidAsync(starter)).status);
        require('node:fs').closeSync(writing);
        require('node:fs').closeSync(reading);
      }
    });
    expect(run.reports).toEqual([0, [true, 'ERR_DAEMON_NOT_READY'], 0]);
  });
});
