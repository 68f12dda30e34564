import { constants } from 'node:os';
import { program } from '../helpers/program';

const errno = (code: string) => -(constants.errno as Record<string, number>)[code]!;

/** A program that may have so many descriptors. Node raises the soft limit to the hard one: both are set. */
const withDescriptors = (limit: number) => ['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh'];

test('code, errno and syscall of each error', async () => {
  const run = await program(
    (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const closed = fs.openSync('/dev/null', 'r');
      fs.closeSync(closed);
      const open = fs.openSync('/dev/null', 'r');
      const rows: [string, string, () => unknown][] = [
        // dup(2): EBADF oldfd is not open, newfd is out of the allowed range
        ['dup', 'EBADF', () => rf.dup(1500)],
        ['dup', 'EBADF', () => rf.dup(2147483647)],
        ['dup2', 'EBADF', () => rf.dup2(1500, open)],
        ['dup2', 'EBADF', () => rf.dup2(1500, 1500)],
        ['dup2', 'EBADF', () => rf.dup2(open, 60)], // RLIMIT_NOFILE
        ['dup2', 'EBADF', () => rf.dup2(open, 2147483647)],
        ['fcntl', 'EBADF', () => rf.getInheritable(1500)],
        ['fcntl', 'EBADF', () => rf.setInheritable(1500, true)],
        // pipe(2): EINVAL invalid value in flags
        ['pipe2', 'EINVAL', () => rf.pipe2(-1)],
        ['pipe2', 'EINVAL', () => rf.pipe2(fs.constants.O_APPEND)],
      ];
      const check = (syscall: string, code: string, call: () => unknown) =>
        t.report({ call: call.toString(), expected: { syscall, code }, error: t.caught(call) });
      for (const row of rows) check(...row);
      t.report(fs.fstatSync(open).isCharacterDevice()); // a failed dup2 has not closed its target

      // EMFILE the per-process limit has been reached; with one descriptor left a pair does not fit either
      const taken: number[] = [];
      for (let fd = 0; fd < 59;) taken.push((fd = rf.dup(open)));
      check('dup', 'EMFILE', () => rf.dup(open));
      check('pipe', 'EMFILE', () => rf.pipe());
      check('pipe2', 'EMFILE', () => rf.pipe2(0));
      check('socketpair', 'EMFILE', () => rf.socketpair());
      fs.closeSync(taken.pop() as number);
      check('pipe', 'EMFILE', () => rf.pipe());
      check('socketpair', 'EMFILE', () => rf.socketpair());
      fs.closeSync(taken.pop() as number);
      t.report(rf.pipe().sort((a, b) => a - b)); // the failures have cost nothing
    },
    { wrapper: withDescriptors(60) },
  );
  const errors = run.reports.filter((report) => report.call !== undefined);
  expect(errors).toHaveLength(16);
  for (const { call, expected, error } of errors) {
    expect({ call, error }).toMatchObject({
      call,
      error: { name: 'PosixError', ...expected, errno: errno(expected.code) },
    });
  }
  expect(run.reports.filter((report) => report.call === undefined)).toEqual([true, [58, 59]]);
});

test('an error names the descriptor', async () => {
  const run = await program((rf, t) => {
    t.report(
      [() => rf.dup(1500), () => rf.dup2(1501, 0), () => rf.getInheritable(1502)].map((call) => t.caught(call).fd),
    );
  });
  expect(run.reports).toEqual([[1500, 1501, 1502]]);
});

describe('pipe', () => {
  test('carries bytes one way, from child to parent and back, and ends when the last writer closes', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [fromParent, toChild] = rf.pipe();
      const [fromChild, toParent] = rf.pipe();
      const pid = rf.fork();
      if (pid === 0) {
        fs.closeSync(toChild);
        fs.closeSync(fromChild);
        const text = fs.readFileSync(fromParent, 'latin1'); // to the end
        fs.writeSync(toParent, `${text.toUpperCase()} from ${process.pid}`);
        process.exit(0);
      }
      fs.closeSync(fromParent);
      fs.closeSync(toParent);
      fs.writeSync(toChild, 'hello');
      fs.closeSync(toChild);
      t.report(fs.readFileSync(fromChild, 'latin1') === `HELLO from ${pid}`);
      rf.waitpid(pid);
    });
    expect(run.reports).toEqual([true]);
  });

  test('each end does one thing: the other is EBADF, and EPIPE without a reader', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd, writeFd] = rf.pipe();
      t.report([
        fs.fstatSync(readFd).isFIFO() && fs.fstatSync(readFd).ino === fs.fstatSync(writeFd).ino,
        t.caught(() => fs.writeSync(readFd, 'x')).code,
        t.caught(() => fs.readSync(writeFd, Buffer.alloc(1))).code,
      ]);
      fs.closeSync(readFd);
      t.report(t.caught(() => fs.writeSync(writeFd, 'x')).code);
    });
    expect(run.reports).toEqual([[true, 'EBADF', 'EBADF'], 'EPIPE']);
    expect(run.signal).toBeNull();
  });

  test('two children write whole messages to one pipe; many children share what the parent wrote', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd, writeFd] = rf.pipe();
      const pids = ['a', 'b'].map((letter) => {
        const pid = rf.fork();
        if (pid === 0) {
          // POSIX: up to PIPE_BUF (at least 512) bytes are written at once or not at all
          for (let i = 0; i < 100; i++) fs.writeSync(writeFd, letter.repeat(511) + '\n');
          process.exit(0);
        }
        return pid;
      });
      fs.closeSync(writeFd);
      const lines = fs.readFileSync(readFd, 'latin1').trimEnd().split('\n');
      t.report(['a', 'b'].map((letter) => lines.filter((line) => line === letter.repeat(511)).length));
      t.report(pids.map((pid) => rf.waitpid(pid).status));

      const [shared, fill] = rf.pipe();
      fs.writeSync(fill, Buffer.from(Array.from({ length: 80 }, (_, i) => i)));
      const [results, toResults] = rf.pipe();
      for (let i = 0; i < 8; i++) {
        if (rf.fork() !== 0) continue;
        const part = Buffer.alloc(10);
        fs.readSync(shared, part);
        fs.writeSync(toResults, part);
        process.exit(0);
      }
      fs.closeSync(toResults);
      t.report(
        [...fs.readFileSync(results)].sort((a, b) => a - b).join() === Array.from({ length: 80 }, (_, i) => i).join(),
      );
      for (let i = 0; i < 8; i++) rf.wait();
    });
    expect(run.reports).toEqual([[100, 100], [0, 0], true]);
  });

  test('works with streams of net and fs without blocking the event loop', async () => {
    const run = await program(async (rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const net = require('node:net') as typeof import('node:net');
      const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
      for (const open of [
        (fd: number) => new net.Socket({ fd, readable: true, writable: false }),
        (fd: number) => fs.createReadStream('', { fd }),
      ]) {
        const [readFd, writeFd] = rf.pipe();
        const pid = rf.fork();
        if (pid === 0) {
          fs.writeSync(writeFd, 'x'.repeat(200_000)); // more than a pipe holds
          process.exit(0);
        }
        fs.closeSync(writeFd);
        const received = await text(open(readFd));
        t.report([received.length, rf.waitpid(pid).status]);
      }
    });
    expect(run.reports).toEqual([
      [200_000, 0],
      [200_000, 0],
    ]);
  });
});

test('pipe2 gives exactly the flags asked for; the others are born close-on-exec', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const nonBlocking = (fd: number) =>
      (parseInt(/flags:\s*(\d+)/.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '', 8) &
        fs.constants.O_NONBLOCK) !==
      0;
    const flagsOf = (fds: number[]) => fds.map((fd) => [rf.getInheritable(fd), nonBlocking(fd)]);
    t.report(flagsOf(rf.pipe2(0)));
    t.report(flagsOf(rf.pipe2(rf.O_CLOEXEC)));
    t.report(flagsOf(rf.pipe2(rf.O_NONBLOCK)));
    t.report(flagsOf(rf.pipe2(rf.O_CLOEXEC | rf.O_NONBLOCK)));
    t.report(flagsOf(rf.pipe()));
    t.report(flagsOf(rf.socketpair()));
    const [fd] = rf.pipe2(0);
    t.report(flagsOf([rf.dup(fd), rf.dup2(fd, 50), rf.dup2(rf.pipe()[0], 51)]));
    rf.setInheritable(fd, false);
    t.report([rf.getInheritable(fd), rf.getInheritable(rf.dup2(fd, fd))]); // dup2 onto itself changes nothing
    rf.setInheritable(fd, true);
    t.report([rf.getInheritable(fd), rf.O_NONBLOCK === fs.constants.O_NONBLOCK]);
  });
  const pair = (...flags: boolean[]) => [flags, flags];
  expect(run.reports).toEqual([
    pair(true, false),
    pair(false, false),
    pair(true, true),
    pair(false, true),
    pair(false, false),
    pair(false, false),
    [
      [false, false],
      [true, false],
      [true, false],
    ],
    [false, false],
    [true, true],
  ]);
});

test('O_NONBLOCK: an empty pipe and a full one answer EAGAIN', async () => {
  const run = await program((rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const [readFd, writeFd] = rf.pipe2(rf.O_CLOEXEC | rf.O_NONBLOCK);
    t.report(t.caught(() => fs.readSync(readFd, Buffer.alloc(1))).code);
    const page = Buffer.alloc(4096);
    const failure = t.caught(() => {
      for (;;) fs.writeSync(writeFd, page);
    });
    t.report(failure.code);
    fs.readSync(readFd, page);
    t.report(fs.writeSync(writeFd, page));
  });
  expect(run.reports).toEqual(['EAGAIN', 'EAGAIN', 4096]);
});

test('programs that child_process starts do not hold a pipe open, unless told to', async () => {
  const run = await program(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const cp = require('node:child_process') as typeof import('node:child_process');
    for (const [readFd, writeFd] of [rf.pipe2(rf.O_CLOEXEC | rf.O_NONBLOCK), rf.pipe2(rf.O_NONBLOCK)]) {
      const child = cp.spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
      await new Promise((resolve) => child.on('spawn', resolve));
      fs.closeSync(writeFd as number);
      let end: unknown;
      try {
        end = fs.readSync(readFd as number, Buffer.alloc(1)); // 0: no writer is left
      } catch (error) {
        end = (error as NodeJS.ErrnoException).code; // EAGAIN: there is one
      }
      t.report(end);
      child.stdin?.end();
      await new Promise((resolve) => child.on('exit', resolve));
    }
  });
  expect(run.reports).toEqual([0, 'EAGAIN']);
});

describe('dup and dup2', () => {
  test('dup gives the lowest free number, the same file and the same offset', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const path = `${__filename}.data`;
      fs.writeFileSync(path, 'abcdef');
      const fd = fs.openSync(path, 'r');
      const hole = fs.openSync('/dev/null', 'r');
      const above = fs.openSync('/dev/null', 'r');
      fs.closeSync(hole);
      const copy = rf.dup(fd);
      const buffer = Buffer.alloc(2);
      const read = (from: number) => buffer.toString('latin1', 0, fs.readSync(from, buffer, 0, 2, null));
      t.report([copy === hole, above > copy, fs.fstatSync(fd).ino === fs.fstatSync(copy).ino]);
      t.report([read(fd), read(copy), read(fd)]);
      fs.closeSync(fd);
      t.report([fs.fstatSync(copy).size, fs.fstatSync(copy).mode === fs.statSync(path).mode]);
      const [readFd, writeFd] = rf.pipe();
      const ends = [rf.dup(readFd), rf.dup(writeFd)] as const;
      fs.writeSync(ends[1], 'hi');
      t.report(read(ends[0]));
    });
    expect(run.reports).toEqual([[true, true, true], ['ab', 'cd', 'ef'], [6, true], 'hi']);
  });

  test('dup2 closes its target first and gives its number', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd, writeFd] = rf.pipe();
      const target = fs.openSync('/dev/null', 'w');
      t.report([rf.dup2(writeFd, target) === target, rf.dup2(writeFd, writeFd) === writeFd]);
      fs.writeSync(target, 'via the copy');
      fs.closeSync(writeFd);
      fs.closeSync(target); // the last writer: the reader sees the end
      t.report(fs.readFileSync(readFd, 'latin1'));
      t.report(t.caught(() => rf.dup2(writeFd, target)).code);
    });
    expect(run.reports).toEqual([[true, true], 'via the copy', 'EBADF']);
  });

  test('dup2 onto standard output redirects console.log and what is executed next, and back', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const path = `${__filename}.log`;
      const log = fs.openSync(path, 'w');
      const saved = rf.dup(1);
      console.log('before');
      rf.dup2(log, 1);
      console.log('inside');
      const pid = rf.fork();
      if (pid === 0) rf.execvp('echo', ['echo', 'from a program']);
      rf.waitpid(pid);
      rf.dup2(saved, 1);
      console.log('after');
      t.report(fs.readFileSync(path, 'latin1'));
    });
    expect(run.reports).toEqual(['inside\nfrom a program\n']);
    expect(run.output.trim().split('\n')).toEqual(['before', 'after']);
  });

  test('a child that closes or replaces a descriptor leaves the parent alone', async () => {
    const run = await program((rf, t) => {
      const fs = require('node:fs') as typeof import('node:fs');
      const [readFd, writeFd] = rf.pipe();
      const pid = rf.fork();
      if (pid === 0) {
        rf.dup2(fs.openSync('/dev/null', 'w'), writeFd);
        fs.writeSync(writeFd, 'lost');
        fs.closeSync(readFd);
        process.exit(0);
      }
      rf.waitpid(pid);
      fs.writeSync(writeFd, 'kept');
      fs.closeSync(writeFd);
      t.report(fs.readFileSync(readFd, 'latin1'));
    });
    expect(run.reports).toEqual(['kept']);
  });
});

test('socketpair carries bytes both ways between parent and child, with net.Socket on top', async () => {
  const run = await program(async (rf, t) => {
    const fs = require('node:fs') as typeof import('node:fs');
    const net = require('node:net') as typeof import('node:net');
    const [mine, theirs] = rf.socketpair();
    t.report(fs.fstatSync(mine).isSocket() && fs.fstatSync(theirs).isSocket());
    const pid = rf.fork();
    if (pid === 0) {
      fs.closeSync(mine);
      const buffer = Buffer.alloc(64);
      const text = buffer.toString('latin1', 0, fs.readSync(theirs, buffer));
      fs.writeSync(theirs, text.toUpperCase());
      process.exit(0);
    }
    fs.closeSync(theirs);
    const socket = new net.Socket({ fd: mine });
    socket.write('hello');
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    t.report(Buffer.concat(chunks).toString());
    t.report(rf.waitpid(pid).status);
  });
  expect(run.reports).toEqual([true, 'HELLO', 0]);
});
