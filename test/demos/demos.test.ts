/** The demonstrations: each ends with 0, shows what it promises, and leaves nothing behind (which every program is checked for). */
import { readdirSync } from 'node:fs';
import { realforkCommand } from '../helpers/cli';
import { packageRoot, program } from '../helpers/program';

const TIMEOUT = 30_000;

interface Row {
  readonly pid: number;
  /** NaN for a process that has gone. */
  readonly ppid: number;
  readonly state: string;
  readonly who: string;
}

/** The rows of the process tables that a demonstration has printed. */
function rowsIn(output: string): Row[] {
  return [...output.matchAll(/^ +(\d+) +(\d+|-) {2}([A-Z]|gone)\b(?: [a-z ]+?)? {2,}(\S.*)$/gm)].map((match) => ({
    pid: Number(match[1]),
    ppid: Number(match[2]),
    state: match[3] as string,
    who: match[4] as string,
  }));
}

async function demo(name: string): Promise<{ output: string; rows: Row[] }> {
  const run = await realforkCommand(['demo', name], { timeout: TIMEOUT });
  expect({
    name,
    code: run.code,
    signal: run.signal,
    stderr: run.stderr,
    output: run.code === 0 ? '' : run.stdout,
  }).toEqual({ name, code: 0, signal: null, stderr: '', output: '' });
  for (const heading of ['What it does', 'What the kernel shows', 'What it means'])
    expect(run.stdout).toContain(heading);
  return { output: run.stdout, rows: rowsIn(run.stdout) };
}

function numbers(pattern: RegExp, text: string): number[] {
  const match = pattern.exec(text);
  if (match === null) throw new Error(`${String(pattern)} is not in:\n${text}`);
  return match.slice(1).map(Number);
}

test("who-am-i: both returns of fork, and each other's pids", async () => {
  const { output, rows } = await demo('who-am-i');
  const [child, parentOfChild] = numbers(
    /child: {2}fork\(\) returned 0, getpid\(\) is (\d+), getppid\(\) is (\d+)/,
    output,
  );
  const [returned, parent] = numbers(/parent: fork\(\) returned (\d+), getpid\(\) is (\d+)/, output);
  expect(returned).toBe(child);
  expect(parentOfChild).toBe(parent);
  expect(rows.map(({ pid }) => pid)).toEqual([parent, child]);
  expect(rows[1]?.ppid).toBe(parent);
});

test('variables-not-shared: the child counts to 42, the parent stays at 1', async () => {
  const { output } = await demo('variables-not-shared');
  expect(output).toMatch(
    /child has changed {3}\(pid \d+\): counter = 42, list = \["parent","child"\], env = child, shared\[0\] = 7/,
  );
  expect(output).toMatch(
    /parent after wait {3}\(pid \d+\): counter = 1, list = \["parent"\], env = parent, shared\[0\] = 0/,
  );
  expect(output).toContain('exit status: 42');
});

test('who-runs-first: the rules hold in every round', async () => {
  const { output } = await demo('who-runs-first');
  expect(output).toMatch(/rule: none +first letters:( [PC]){10}$/m);
  expect(output).toMatch(/rule: parent first +first letters:( P){10}$/m);
  expect(output).toMatch(/rule: child first +first letters:( C){10}$/m);
});

test('two-forks-four-processes: two children and a grandchild', async () => {
  const { rows } = await demo('two-forks-four-processes');
  expect(new Set(rows.map(({ pid }) => pid)).size).toBe(4);
  const [root] = rows as [Row];
  const first = rows.find(({ who }) => who.startsWith('first child')) as Row;
  expect(rows.find(({ who }) => who.startsWith('grandchild'))?.ppid).toBe(first.pid);
  expect(rows.filter(({ ppid }) => ppid === root.pid)).toHaveLength(2);
});

test('fork-only-in-parent-three: two siblings', async () => {
  const { rows } = await demo('fork-only-in-parent-three');
  expect(rows).toHaveLength(3);
  expect(rows.slice(1).map(({ ppid }) => ppid)).toEqual([rows[0]?.pid, rows[0]?.pid]);
});

test('D03 n forks in a row make 2^n processes, each printing once, all reaped', async () => {
  const { output } = await demo('n-forks');
  const lines = [...output.matchAll(/process (\d+), child of (\d+), made in turn (\d), has (\d) children/g)];
  expect(lines).toHaveLength(16);
  const pids = new Set(lines.map((line) => line[1]));
  expect(pids.size).toBe(16);
  expect(lines.filter((line) => !pids.has(line[2] as string))).toHaveLength(1); // the first process
  for (const [, pid, , turn, children] of lines) {
    expect(Number(children)).toBe(4 - Number(turn));
    expect(lines.filter((line) => line[2] === pid)).toHaveLength(Number(children));
  }
  expect(output).toContain('all 15 that were made have been waited for');
});

test('shared-file-offset: the parent reads on where the child has stopped', async () => {
  const { output } = await demo('shared-file-offset');
  const reads = [
    ...output.matchAll(/(child|parent) +\d+ read '(\w+)'; the kernel's position went from (\d+) to (\d+)/g),
  ];
  expect(reads.map((read) => read.slice(1))).toEqual([
    ['child', 'ABCD', '0', '4'],
    ['parent', 'EFGH', '4', '8'],
    ['child', 'ABCD', '0', '4'],
    ['parent', 'ABCD', '0', '4'],
  ]);
});

test('stdio-buffer-twice: twice from a buffer, once when flushed, twice from a corked stdout', async () => {
  const { output } = await demo('stdio-buffer-twice');
  expect(output).toContain('flushed only after the fork:  2 lines');
  expect(output).toContain('flushed before the fork:      1 line');
  const corked = output.match(/put into process\.stdout by \d+/g) ?? [];
  expect(corked).toHaveLength(2);
  expect(new Set(corked).size).toBe(1);
});

test('wait-statuses: exits, signals, stop and continue', async () => {
  const { output, rows } = await demo('wait-statuses');
  for (const line of [
    /process\.exit\(0\) +status 0x0000 +WIFEXITED, +WEXITSTATUS 0$/m,
    /process\.exit\(7\) +status 0x0700 +WIFEXITED, +WEXITSTATUS 7$/m,
    /process\.exit\(300\) +status 0x2c00 +WIFEXITED, +WEXITSTATUS 44$/m,
    /killed by SIGTERM +status 0x000f +WIFSIGNALED, +WTERMSIG 15$/m,
    /killed by SIGKILL +status 0x0009 +WIFSIGNALED, +WTERMSIG 9$/m,
    /SIGSTOP +status 0x137f +WIFSTOPPED, +WSTOPSIG 19$/m,
    /SIGCONT +status 0xffff +WIFCONTINUED true$/m,
  ]) {
    expect(output).toMatch(line);
  }
  expect(rows.map(({ state }) => state)).toEqual(['T']);
});

test('D01 zombie: a child really in state Z, then gone after the wait', async () => {
  const { output, rows } = await demo('zombie');
  const [parent, child, later] = rows as [Row, Row, Row];
  expect(rows).toHaveLength(3);
  expect(child.state).toBe('Z');
  expect(child.ppid).toBe(parent.pid);
  expect(later).toMatchObject({ pid: child.pid, state: 'gone' });
  expect(output).toContain('zombies() lists 1 of this process');
  expect(output).toContain('SIGKILL was accepted, and the state is still Z');
  expect(output).toContain(`waitpid(${child.pid}) gave its exit status, 5`);
  expect(output).toContain('throws ESRCH; zombies() lists 0');
});

test('D02 orphan: it outlives its parent, gets a new one, and ends by itself', async () => {
  const { output, rows } = await demo('orphan');
  const changes = [...output.matchAll(/getppid\(\) was (\d+), and is now (\d+) \((.+)\)/g)];
  expect(changes).toHaveLength(2);
  const [[root, middle, grandchild], [, secondMiddle, second]] = [rows.slice(0, 3), rows.slice(3)] as [Row[], Row[]];
  expect(grandchild?.ppid).toBe(middle?.pid);
  expect(changes[0]?.[1]).toBe(String(middle?.pid));
  expect(changes[0]?.[2]).not.toBe(String(middle?.pid));
  expect(output).toMatch(/1\. adopted by the system[\s\S]*the orphan has ended[\s\S]*2\. adopted by this process/);
  expect(changes[1]?.[1]).toBe(String(secondMiddle?.pid));
  expect(changes[1]?.[2]).toBe(String(root?.pid));
  expect(output).toContain(`waitpid(${second?.pid}) by the adopter gave pid ${second?.pid} and status 0`);
});

test('fork-bomb: every process is refused, none is above the limit', async () => {
  const { output, rows } = await demo('fork-bomb');
  const [count] = numbers(/(\d+) processes below this one/, output) as [number];
  expect(count).toBe(24);
  expect(rows).toHaveLength(count);
  for (const { who } of rows)
    expect(who).toMatch(/^(\. )*generation [1-6], made \d+, then ERR_FORK_LIMIT \(max(Processes|Depth)\)$/);
  const pids = new Set(rows.map(({ pid }) => pid));
  expect(rows.filter(({ ppid }) => pids.has(ppid))).toHaveLength(count - 1); // one tree below one first process
});

test('pipe-between-two-children: one pipe, and wc counts what ls lists', async () => {
  const { output } = await demo('pipe-between-two-children');
  const [writeEnd] = numbers(/\(ls\): descriptor 1 is pipe:\[(\d+)\]/, output);
  const [readEnd] = numbers(/\(wc\): descriptor 0 is pipe:\[(\d+)\]/, output);
  expect(writeEnd).toBe(readEnd);
  expect(output).toContain(`wc printed ${readdirSync('/').length}; ls ended with 0, wc with 0`);
});

test("exec-with-redirection: the new program has the forked child's pid and parent", async () => {
  const { output } = await demo('exec-with-redirection');
  const [pid, parent] = numbers(/fork\(\) returned (\d+) to process (\d+)/, output);
  expect(output).toContain(`the file holds: pid ${pid}, parent ${parent}, program sh`);
});

test('a reader that goes, as head does, ends the tour without a word', async () => {
  const run = await realforkCommand(['demo'], {
    wrapper: ['bash', '-c', '"$0" "$@" | head -n 2; exit "${PIPESTATUS[0]}"'],
  });
  expect([run.code, run.stderr]).toEqual([141, '']);
  expect(run.output.trim().split('\n')).toHaveLength(1);
});

test('--list names every demonstration, and the tour runs all of them', async () => {
  const list = await realforkCommand(['demo', '--list']);
  const names = list.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0] as string);
  expect(list.code).toBe(0);
  expect(names.length).toBeGreaterThanOrEqual(14);
  const tour = await realforkCommand(['demo'], { timeout: 60_000 });
  expect(tour.stdout.match(/^=== \d+\/\d+ [\w-]+/gm)).toEqual(
    names.map((name, i) => `=== ${i + 1}/${names.length} ${name}`),
  );
  expect(tour.stdout).toContain(`${names.length} of ${names.length} demonstrations showed what they say`);
  expect(tour.code).toBe(0);
}, 70_000);

describe('what holds a demonstration back', () => {
  test('the time limit ends it, with exit code 1', async () => {
    const run = await realforkCommand(['demo', 'fork-bomb', '--limit', '0.001']);
    expect(run.stdout).toContain('fork-bomb failed: it did not end within 0.001 s and was killed');
    expect(run.code).toBe(1);
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGKILL', null],
  ] as const)('%s to the command ends all of it', async (signal, code) => {
    const run = await program(
      async (_rf, t) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const [root, signal] = t.args as [string, NodeJS.Signals];
        const command = spawn(process.execPath, [`${root}/dist/cli/main.js`, 'demo', 'fork-bomb'], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let output = '';
        command.stdout.on('data', (data: Buffer) => {
          if (output.includes('What the kernel shows')) return;
          output += data;
          if (output.includes('What the kernel shows')) command.kill(signal);
        });
        command.on('exit', (code) => t.report(code));
      },
      { args: [packageRoot, signal] },
    );
    expect(run.reports).toEqual([code]);
  });
});

test('process-target: a closure in the child, nothing else of the parent', async () => {
  const { output } = await demo('process-target');
  const [parent, pid] = numbers(/process (\d+) started Process-1 with pid (\d+)/, output);
  expect(output).toContain(`Process-1 (pid ${pid}, parent ${parent}): zwei is 2`);
  expect(output).toMatch(/Process-1 ended with exit code 0\n/);
  expect(output).toMatch(/Counter ended with exit code 2\n/);
  expect(output.match(/the timer of process/g)?.length ?? 0).toBeLessThanOrEqual(1);
});

test('process-join: with join in order, without it side by side', async () => {
  const { output } = await demo('process-join');
  const lines = ['child 1 works', 'after join(): child 1 has ended', 'without join(): child 2 is still alive'];
  const at = [...lines, 'child 2 works', 'and now child 2 has ended'].map((line) => output.indexOf(line));
  expect(at).toEqual([...at].sort((a, b) => a - b));
  expect(at[0]).toBeGreaterThan(0);
});

test('process-terminate: alive, terminated, killed, and no zombie left', async () => {
  const { output, rows } = await demo('process-terminate');
  expect(output).toMatch(/before start\(\) +isAlive\(\) false exitCode null/);
  expect(output).toMatch(/after start\(\) +isAlive\(\) true +exitCode null/);
  expect(output).toMatch(/after terminate\(\) +isAlive\(\) false exitCode -15/);
  expect(output).toMatch(/SIGTERM caught +isAlive\(\) true +exitCode null/);
  expect(output).toMatch(/after kill\(\) +isAlive\(\) false exitCode -9/);
  expect(rows.map(({ state }) => state)).toEqual(['gone', 'gone']);
});

test('process-subclass: one process answers three requests', async () => {
  const { output } = await demo('process-subclass');
  expect(output).toMatch(
    /Doubler \(pid (\d+)\): twice 1 is 2\n.*\(pid \1\): twice 21 is 42\n.*\(pid \1\): twice 500 is 1000\n/,
  );
  expect(output).toMatch(/ended with exit code 0\n/);
});

test('queue-writer-and-reader: three values in order', async () => {
  const { output } = await demo('queue-writer-and-reader');
  const got = [...output.matchAll(/Reader \(pid \d+\) got (.*)/g)].map(([, value]) => value);
  expect(got).toEqual(['"A"', '{"b":[1,2,3]}', '[["c","1970-01-01T00:00:00.000Z"]]']);
  const [writer, reader] = numbers(/3 values went from pid (\d+) to pid (\d+)/, output);
  expect(writer).not.toBe(reader);
});

test('queue-full-and-empty: Full and Empty, at once and after the timeout', async () => {
  const { output } = await demo('queue-full-and-empty');
  expect(output).toMatch(/putNowait\('4'\) +Full +after 0 ms/);
  expect(output).toMatch(/putSync\('4', { timeout: 200 }\) +Full +after [2-9]\d\d ms/);
  expect(output).toMatch(/putSync\('4'\) while somebody reads +done/);
  expect(output).toContain("the reader took '1'");
  expect(output).toMatch(/getSync\({ timeout: 200 }\) +Empty +after [2-9]\d\d ms/);
});

test('process-lock: exact under the lock', async () => {
  const { output } = await demo('process-lock');
  const [loose] = numbers(/without a lock: (\d+) of 80000/, output);
  expect(loose).toBeLessThanOrEqual(80_000);
  expect(output).toContain('with a lock:    80000 of 80000');
});

test('pool-ten-tasks: three workers do ten tasks', async () => {
  const { output } = await demo('pool-ten-tasks');
  const begun = [...output.matchAll(/task (\d) begins in process (\d+)/g)];
  expect(new Set(begun.map(([, number]) => number)).size).toBe(10);
  expect(new Set(begun.map(([, , pid]) => pid)).size).toBe(3);
  expect(output.match(/task \d took \d+ ms/g)).toHaveLength(10);
  const [took] = numbers(/all done after (\d+) ms/, output);
  expect(took).toBeGreaterThanOrEqual(200);
});

test('pool-apply: one after the other, and together', async () => {
  const { output } = await demo('pool-apply');
  const [alone] = numbers(/applySync: {2}0, 1, 4, 9, 16, 25 after (\d+) ms/, output);
  const [together] = numbers(/applyAsync: 0, 1, 4, 9, 16, 25 after (\d+) ms/, output);
  expect(output).toMatch(/applyAsync: handed in after \d+ ms; ready: false/);
  expect(alone).toBeGreaterThanOrEqual(600);
  expect(together).toBeLessThan(alone as number);
});

test('folder-copy: twenty files, each told with a percentage, by the workers', async () => {
  const { output } = await demo('folder-copy');
  const told = [...output.matchAll(/ (\d+) % {2}(photo-\d+\.jpg) +by process (\d+)/g)];
  expect(told.map(([, percent]) => Number(percent))).toEqual(Array.from({ length: 20 }, (_, i) => 5 * (i + 1)));
  expect(new Set(told.map(([, , name]) => name)).size).toBe(20);
  const [parent] = numbers(/parent \(pid (\d+)\) copies 20 files/, output);
  expect(told.map(([, , , pid]) => Number(pid))).not.toContain(parent);
  expect(output).toContain('every copy is like its original');
});

test('pool-manager-queue: one queue between the tasks of a pool, in a process of its own', async () => {
  const { output } = await demo('pool-manager-queue');
  expect([...output.matchAll(/reader got (.)/g)].map(([, letter]) => letter).join('')).toBe('manager');
  const [parent, server] = numbers(/parent \(pid (\d+)\) begins; the queue is in pid (\d+)/, output);
  const [writer, writersParent] = numbers(/writer \(pid (\d+), parent (\d+)\)/, output);
  const [reader, readersParent] = numbers(/reader \(pid (\d+), parent (\d+)\)/, output);
  expect([writersParent, readersParent]).toEqual([parent, parent]);
  expect([writer, reader]).not.toContain(server);
});
