/** `realfork trace`: what it says of a program whose processes are known. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realforkCommand } from '../helpers/cli';
import { packageRoot } from '../helpers/program';

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'realfork-trace-test-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const USE = `const rf = require(${JSON.stringify(packageRoot)});\n`;

async function trace(source: string, options: readonly string[] = [], args: readonly string[] = []) {
  const file = join(folder, 'script.js');
  writeFileSync(file, USE + source);
  const run = await realforkCommand(['trace', ...options, file, ...args], { timeout: 15_000 });
  const [before = '', after = ''] = run.stdout.split('\n=== trace of ');
  return { run, output: before, text: after };
}

/** The tree's line about a process: depth by its indentation, and its story. */
function treeLine(text: string, pattern: RegExp): string {
  const tree = text.slice(text.indexOf('process tree'), text.indexOf('timeline:'));
  const line = tree.split('\n').find((candidate) => pattern.test(candidate));
  if (line === undefined) throw new Error(`no line with ${String(pattern)} in:\n${text}`);
  return line;
}

function milliseconds(line: string, before: string): number {
  const match = new RegExp(`${before} ([\\d.]+) ms`).exec(line);
  if (match === null) throw new Error(`no "${before} ... ms" in: ${line}`);
  return Number(match[1]);
}

const ZOMBIE = `
  const pid = rf.fork();
  if (pid === 0) process.exit(7);
  rf.waitid(rf.P_PID, pid, rf.WEXITED | rf.WNOWAIT); // a zombie from here on
  rf.sleepSync(150);
  rf.waitpid(pid);
  console.log('script', process.pid, 'child', pid);
  process.exit(5);`;

test("a fork, an exit, a zombie and the wait; the script's own output and exit code", async () => {
  const { run, output, text } = await trace(ZOMBIE);
  expect(run.code).toBe(5);
  const [, script, child] = /^script (\d+) child (\d+)$/m.exec(output) ?? [];
  expect(text).toMatch(/^node script\.js: 2 processes, [\d.]+ ms$/m);
  expect(treeLine(text, new RegExp(`^ +${script} node script\\.js `))).toContain('exit 5 at');
  const line = treeLine(text, new RegExp(`└─ ${child} fork `));
  expect(line).toContain('exit 7 at');
  expect(line).toContain(`waited for by ${script}`);
  expect(milliseconds(line, 'zombie for')).toBeGreaterThanOrEqual(145);
  expect(milliseconds(line, 'zombie for')).toBeLessThan(1_000);
  expect(text.slice(text.indexOf('timeline:'))).toMatch(new RegExp(`└─ ${child} fork +━+z+`));
});

test('a child that is waited for at once is hardly a zombie', async () => {
  const { text } = await trace(`
    const pid = rf.fork();
    if (pid === 0) { rf.sleepSync(60); process.exit(0); }
    rf.waitpid(pid);`);
  const line = treeLine(text, /└─ \d+ fork/);
  expect(milliseconds(line, 'zombie for')).toBeLessThan(50);
  expect(text.slice(text.indexOf('timeline:'))).toMatch(/^ +\d+ node script\.js +━+w+/m); // the parent was blocked
});

test('processes that cannot speak for themselves: killed, left by _exit, become another program', async () => {
  const { text, output } = await trace(`
    const killed = rf.fork();
    if (killed === 0) for (;;) rf.sleepSync(1000);
    rf.kill(killed, 'SIGKILL');
    rf.waitpid(killed);
    const left = rf.fork();
    if (left === 0) rf._exit(9);
    rf.waitpid(left);
    const other = rf.fork();
    if (other === 0) rf.execvp('sh', ['sh', '-c', 'exit 11']);
    rf.waitpid(other);
    console.log(killed, left, other);`);
  const [killed, left, other] = output.trim().split(' ');
  expect(treeLine(text, new RegExp(`${killed} fork`))).toContain('signal 9');
  expect(treeLine(text, new RegExp(`${left} fork`))).toContain('exit 9');
  expect(treeLine(text, new RegExp(`${other} `))).toContain('exit 11');
});

test.each([
  ['wait()', 'rf.wait();'],
  ['waitpid()', 'rf.waitpid(pid);'],
  ['wait4()', 'rf.wait4(pid);'],
  ['waitid()', 'rf.waitid(rf.P_PID, pid, rf.WEXITED);'],
  ['waitpidAsync() by pidfd', 'await rf.waitpidAsync(pid);'],
  ['waitpidAsync() of any child', 'await rf.waitpidAsync(-1);'],
])('%s is seen', async (_name, wait) => {
  const { text } = await trace(`(async () => {
    const pid = rf.fork();
    if (pid === 0) process.exit(3);
    ${wait}
  })();`);
  expect(treeLine(text, /└─ \d+ fork/)).toMatch(/exit 3 at [\d.]+ ms, zombie for [\d.]+ ms, waited for by \d+$/);
});

test('the tree has the shape of the forks, grandchildren below children', async () => {
  const { text } = await trace(`
    const first = rf.fork();
    const second = rf.fork();
    if (second > 0) rf.waitpid(second);
    if (first > 0) rf.waitpid(first);`);
  const tree = text.slice(text.indexOf('process tree'), text.indexOf('timeline:'));
  expect(text).toContain(': 4 processes');
  expect(tree.match(/^ {2}├─ \d+ fork/gm)).toHaveLength(1);
  expect(tree.match(/^ {2}│ {2}└─ \d+ fork/gm)).toHaveLength(1);
  expect(tree.match(/^ {2}└─ \d+ fork/gm)).toHaveLength(1);
});

test('programs of child_process are in the tree, also those that are no Node, and Nodes below them', async () => {
  const { text } = await trace(`
    const { spawn } = require('node:child_process');
    spawn('sh', ['-c', 'exit 4']).on('exit', () => {
      spawn(process.execPath, ['-e', 'process.exit(6)']);
    });`);
  expect(treeLine(text, /sh -c exit 4/)).toContain('exit 4 at');
  expect(treeLine(text, /└─ \d+ node/)).toContain('exit 6 at');
});

test('an orphan is watched to its end, and who is still running is said to', async () => {
  const { text } = await trace(`
    if (rf.fork() === 0) { rf.sleepSync(300); rf._exit(0); }
  `);
  expect(treeLine(text, /└─ \d+ fork/)).not.toContain('still running');
  const cut = await trace(
    `const tracer = process.ppid;
    if (rf.fork() === 0) {
      try {
        for (;;) {
          process.kill(tracer, 0);
          rf.sleepSync(20);
        }
      } catch {
        rf._exit(0);
      }
    }`,
    ['--linger', '0'],
  );
  expect(treeLine(cut.text, /└─ \d+ fork/)).toContain('still running');
});

test("a script's failure is its own: exit code, stderr, signal", async () => {
  const thrown = await trace("throw new Error('the script fails');");
  expect(thrown.run.code).toBe(1);
  expect(thrown.run.stderr).toContain('the script fails');
  const killed = await trace("process.kill(process.pid, 'SIGKILL');");
  expect(killed.run.code).toBe(137);
  expect(treeLine(killed.text, /node script\.js/)).toContain('signal 9');
});

test('the script gets its arguments, options among them, and a script that closes every descriptor is still traced', async () => {
  const { text, output } = await trace(
    `console.log(process.argv.slice(2).join(' '));
     const pid = rf.fork();
     if (pid === 0) {
       const { closeSync } = require('node:fs');
       for (let fd = 3; fd < 64; fd++) {
         try { closeSync(fd); } catch (error) { if (error.code !== 'EBADF') throw error; }
       }
       rf._exit(2);
     }
     rf.waitpid(pid);`,
    [],
    ['--svg', 'x', '-n'],
  );
  expect(output.trim()).toBe('--svg x -n');
  expect(treeLine(text, /└─ \d+ fork/)).toContain('exit 2');
});

test('--svg and --html write well-formed pictures of every process', async () => {
  const svg = join(folder, 'trace.svg');
  const html = join(folder, 'trace.html');
  const { run } = await trace(ZOMBIE, ['--no-text', '--svg', svg, '--html', html], ['<&">', '\u001b[1m']);
  expect(run.stdout).toMatch(/^script \d+ child \d+\n$/);
  const [, script, child] = /^script (\d+) child (\d+)/.exec(run.stdout) ?? [];

  // An independent parser: python3 is there wherever the addon was built.
  const parsed = spawnSync(
    'python3',
    ['-c', 'import sys, xml.dom.minidom as m; d = m.parse(sys.argv[1]); print(d.documentElement.tagName)', svg],
    { encoding: 'utf8' },
  );
  expect({ out: parsed.stdout, err: parsed.stderr }).toEqual({ out: 'svg\n', err: '' });
  const picture = readFileSync(svg, 'utf8');
  expect(picture).not.toMatch(/NaN|undefined|Infinity/);
  expect(picture).toContain(`>${script} <tspan`);
  expect(picture).toContain(`>${child} <tspan`);
  expect(picture.match(/class="zombie"/g)?.length).toBeGreaterThanOrEqual(2); // the child's, and the legend
  expect(picture.match(/class="fork"/g)).toHaveLength(1);
  expect(picture).toContain('&lt;&amp;&quot;&gt;');

  const page = readFileSync(html, 'utf8');
  expect(page).toMatch(/^<!DOCTYPE html>/);
  expect(page).toContain('<svg');
  expect(page.match(/<tr>/g)).toHaveLength(3); // head, script, child
  expect(page).not.toMatch(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/); // nothing is fetched
  expect(page).not.toContain('<&">');
});
