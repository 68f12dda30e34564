/** `realfork cp`: what is kept, what is refused, and what is left when it does not come to its end. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  ftruncateSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cliPath, realforkCommand } from '../helpers/cli';
import { program, runNode, type ProgramOptions } from '../helpers/program';
import { asRoot, isRoot } from '../helpers/root';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'realfork-cp-test-'));
});
afterEach(() => {
  spawnSync('chmod', ['-R', 'u+rwx', folder]);
  rmSync(folder, { recursive: true, force: true });
});

const at = (...names: string[]) => join(folder, ...names);

function write(name: string, content: string | Buffer = name): string {
  mkdirSync(join(at(name), '..'), { recursive: true });
  writeFileSync(at(name), content);
  return at(name);
}

function cp(args: readonly string[], options: ProgramOptions = {}) {
  return realforkCommand(['cp', ...args], { cwd: folder, ...options });
}

/** A copy without a problem. */
async function copied(args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await cp(args);
  expect({ code, stdout, errors: code === 0 ? '' : stderr }).toEqual({ code: 0, stdout: '', errors: '' });
}

/** Everything below a folder, by name: what a copy has to keep. Names are latin1, so that any bytes can be told apart. */
function contentOf(root: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const links = new Map<string, string>();
  const look = (name: string): void => {
    const path = Buffer.from(join(Buffer.from(root).toString('latin1'), name), 'latin1');
    const stats = lstatSync(path, { bigint: true });
    const common = { mode: stats.mode.toString(8), mtime: stats.mtimeNs, owner: `${stats.uid}:${stats.gid}` };
    if (stats.isSymbolicLink()) {
      found[name] = { ...common, link: readlinkSync(path, 'latin1') };
    } else if (stats.isDirectory()) {
      found[name] = common;
      for (const entry of readdirSync(path, 'latin1').sort()) look(`${name}/${entry}`);
    } else {
      const first = links.get(`${stats.ino}`) ?? name; // equal in two trees when the same names are one file
      links.set(`${stats.ino}`, first);
      const content = createHash('sha256').update(readFileSync(path)).digest('hex');
      found[name] = { ...common, size: stats.size, first, content };
    }
  };
  look('.');
  return found;
}

/** The type and mode of each entry of a folder. */
function modesIn(root: string): Record<string, number> {
  return Object.fromEntries(readdirSync(root).map((name) => [name, lstatSync(join(root, name)).mode]));
}

function temporaries(): string[] {
  return (readdirSync(folder, { recursive: true }) as string[]).filter((name) => name.includes('.realfork-cp-'));
}

function setTime(path: string, nanoseconds: string): void {
  execFileSync('touch', ['-h', '-d', `@${nanoseconds}`, path]);
}

/** A tree with one of everything that is copied. */
function makeTree(name: string): void {
  write(`${name}/empty`, '');
  write(`${name}/text`, 'some text\n');
  write(`${name}/script.sh`, '#!/bin/sh\n');
  chmodSync(at(name, 'script.sh'), 0o755);
  write(`${name}/secret`, 'secret');
  chmodSync(at(name, 'secret'), 0o400);
  write(`${name}/set-id`, 'set-id');
  chmodSync(at(name, 'set-id'), 0o6711);
  write(`${name}/deep/er/and/deeper/file`, Buffer.alloc(300_000, 'abc'));
  write(`${name}/name with spaces/ä€😀`, 'unicode');
  writeFileSync(Buffer.concat([Buffer.from(at(name) + '/not-utf8-'), Buffer.from([0xff, 0xfe])]), 'bytes');
  mkdirSync(at(name, 'empty folder'));
  chmodSync(at(name, 'empty folder'), 0o750);
  write(`${name}/closed/file`);
  symlinkSync('../text', at(name, 'deep', 'to-text'));
  symlinkSync('/nowhere/at/all', at(name, 'dangling'));
  symlinkSync('deep', at(name, 'to-folder'));
  linkSync(at(name, 'text'), at(name, 'deep', 'er', 'second name of text'));
  linkSync(at(name, 'text'), at(name, 'third name of text'));
  setTime(at(name, 'text'), '1234567890.123456789');
  setTime(at(name, 'empty'), '-12345.987654321');
  setTime(at(name, 'dangling'), '1000000000.000000001');
  setTime(at(name, 'deep', 'er'), '1500000000.999999999');
  setTime(at(name, 'empty folder'), '1500000001.5');
  chmodSync(at(name, 'closed'), 0o555);
  setTime(at(name), '1400000000.25');
}

describe('what is kept', () => {
  test.each(['1', '2', '5'])('a tree with one of everything, by %s processes', async (jobs) => {
    makeTree('tree');
    const run = await cp(['tree', 'copy', '-j', jobs]);
    expect({ ...run, stderr: run.code === 0 ? '' : run.stderr }).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(contentOf(at('copy'))).toEqual(contentOf(at('tree')));
    expect(temporaries()).toEqual([]);
    expect(run.stderr).toMatch(/^100 %, /m);
    expect(run.stderr).toMatch(/^\d+ files, \d+ folders, \d+ links: \d+ kB in .* \(.*\/s\)$/m);
  });

  test('access times too', async () => {
    write('file');
    execFileSync('touch', ['-a', '-d', '@1111111111.222222222', at('file')]);
    const before = lstatSync(at('file'), { bigint: true }).atimeNs;
    await copied(['file', 'copy']);
    expect(lstatSync(at('copy'), { bigint: true }).atimeNs).toBe(before);
  });

  test('thousands of small files, each the right one', async () => {
    for (let i = 0; i < 2000; i++) write(`many/${i % 37}/${i}`, `content of ${i}\n`.repeat(i % 100));
    const run = await cp(['many', 'copy', '-q', '-j', '3']);
    expect(run).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(contentOf(at('copy'))).toEqual(contentOf(at('many')));
  });

  test('large files, in ranges', async () => {
    const part = Buffer.alloc(1024 * 1024);
    for (const [name, size] of [
      ['exact', 64],
      ['odd', 97],
    ] as const) {
      const fd = openSync(write(name, ''), 'w');
      for (let i = 0; i < size; i++) writeSync(fd, part.fill(`${name} ${i} `));
      if (name === 'odd') writeSync(fd, 'the end');
      closeSync(fd);
      chmodSync(at(name), 0o640);
      setTime(at(name), '1234567890.123456789');
    }
    mkdirSync(at('to'));
    const run = await cp(['exact', 'odd', 'to', '-j', '3']);
    expect(run).toMatchObject({ code: 0, stdout: '' });
    expect(run.stderr).toContain('2 of 2 files');
    for (const name of ['exact', 'odd']) expect(contentOf(at('to', name))).toEqual(contentOf(at(name)));
    expect(temporaries()).toEqual([]);
  });

  test('holes', async () => {
    const tree = at('tree');
    mkdirSync(tree);
    const make = (name: string, size: number, data: readonly (readonly [number, string])[]) => {
      const fd = openSync(join(tree, name), 'w');
      ftruncateSync(fd, size);
      for (const [offset, text] of data) writeSync(fd, text, offset);
      closeSync(fd);
    };
    make('no data', 10_000_000, []);
    make('small', 1_000_000, [[500_000, 'in the middle']]);
    make('over ranges', 200_000_000, [
      [0, 'the start'],
      [33_554_430, 'over the edge of two ranges'],
      [150_000_000, 'x'],
      [199_999_990, 'to the end'],
    ]);
    make('huge', 2 ** 40, [[2 ** 39 + 5, 'far away']]);
    await copied(['tree', 'copy', '-j', '2']);
    for (const name of ['no data', 'small', 'over ranges']) {
      expect(spawnSync('cmp', [join(tree, name), at('copy', name)]).status).toBe(0);
    }
    const middle = spawnSync('dd', [`if=${at('copy', 'huge')}`, 'bs=1', 'count=8', `skip=${2 ** 39 + 5}`]);
    expect(middle.stdout.toString()).toBe('far away');
    for (const name of readdirSync(tree)) {
      const [before, after] = [lstatSync(join(tree, name)), lstatSync(at('copy', name))];
      expect(after.size).toBe(before.size);
      expect(after.blocks * 512).toBeLessThan(before.blocks * 512 + 1_000_000);
    }
  });

  test('the content of a file that says it has no size', async () => {
    await copied(['/proc/version', 'copy']);
    expect(readFileSync(at('copy'), 'utf8')).toBe(readFileSync('/proc/version', 'utf8'));
  });

  asRoot('the owner, for root', async () => {
    write('tree/file');
    symlinkSync('file', at('tree', 'link'));
    for (const name of ['file', 'link', '.']) execFileSync('chown', ['-h', '1234:4321', at('tree', name)]);
    chmodSync(at('tree', 'file'), 0o4750);
    await copied(['tree', 'copy']);
    expect(contentOf(at('copy'))).toEqual(contentOf(at('tree')));
  });
});

describe('where it goes', () => {
  test('a new name, an existing folder, several sources, the content of a folder', async () => {
    write('tree/sub/file', 'content');
    write('single', 'single');
    await copied(['tree', 'new']);
    expect(readFileSync(at('new/sub/file'), 'utf8')).toBe('content');
    mkdirSync(at('existing'));
    await copied(['tree', 'single', 'existing']);
    expect(readdirSync(at('existing')).sort()).toEqual(['single', 'tree']);
    await copied(['single', 'renamed']);
    expect(readFileSync(at('renamed'), 'utf8')).toBe('single');
    mkdirSync(at('flat'));
    await copied(['tree/.', 'flat']);
    expect(readdirSync(at('flat'))).toEqual(['sub']);
    await copied(['tree/', 'slash/']);
    expect(readdirSync(at('slash'))).toEqual(['sub']);
    symlinkSync('existing', at('link'));
    await copied(['renamed', 'link']);
    expect(existsSync(at('existing/renamed'))).toBe(true);
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
  });

  test('folders of the same name from several sources are merged', async () => {
    write('one/folder/deep/a', 'a');
    write('one/folder/only-one', '1');
    write('two/folder/deep/b', 'b');
    chmodSync(at('two/folder'), 0o711);
    for (const [to, ...sources] of [
      ['named', 'one/folder', 'two/folder'],
      ['content', 'one/.', 'two/.'],
    ] as const) {
      mkdirSync(at(to));
      await copied([...sources, to]);
      expect(readFileSync(at(to, 'folder/deep/a'), 'utf8')).toBe('a');
      expect(readFileSync(at(to, 'folder/deep/b'), 'utf8')).toBe('b');
      expect(readFileSync(at(to, 'folder/only-one'), 'utf8')).toBe('1');
      expect(lstatSync(at(to, 'folder')).mode & 0o777).toBe(0o711); // the last one's
    }
  });

  test.each([[[]], [['--force']]])('a file does not take the place of another source’s, %j', async (options) => {
    write('one/file', 'one');
    write('one/mixed', 'a file');
    mkdirSync(at('two'));
    write('outside', 'outside');
    symlinkSync('../outside', at('two/file'));
    write('two/mixed/file');
    write('two/rest');
    mkdirSync(at('to'));
    const run = await cp(['one/.', 'two/.', 'to', '-q', ...options]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("two/./file: 'one/./file' becomes 'to/file' already\n");
    expect(run.stderr).toContain("two/./mixed: 'one/./mixed' becomes 'to/mixed' already\n");
    expect(readFileSync(at('to/file'), 'utf8')).toBe('one');
    expect(readFileSync(at('to/mixed'), 'utf8')).toBe('a file');
    expect(readFileSync(at('to/rest'), 'utf8')).toBe('two/rest');
    expect(readFileSync(at('outside'), 'utf8')).toBe('outside');
  });

  test('a symbolic link is copied as one', async () => {
    write('file');
    symlinkSync('file', at('link'));
    await copied(['link', 'copy']);
    expect(readlinkSync(at('copy'))).toBe('file');
  });

  test('names that are not UTF-8, as arguments too', async () => {
    const bytes = (name: string) => Buffer.from(at(name), 'latin1');
    writeFileSync(bytes('a\xff'), 'ff');
    writeFileSync(bytes('a\xfe'), 'fe');
    mkdirSync(bytes('to\x80'));
    // Node cannot pass them on; printf can.
    const command = `cp -q "$(printf 'a\\376')" "$(printf 'a\\377')" -j2 "$(printf 'to\\200')"`;
    const run = await runNode([cliPath], { cwd: folder, wrapper: ['sh', '-c', `exec "$@" ${command}`, 'sh'] });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(bytes('to\x80/a\xff'), 'utf8')).toBe('ff');
    expect(readFileSync(bytes('to\x80/a\xfe'), 'utf8')).toBe('fe');
    expect(readdirSync(folder)).toHaveLength(3);
  });

  test('options come before, between and after', async () => {
    write('file');
    await copied(['-j', '2', 'file', 'a']);
    await copied(['file', '--jobs=1', 'b']);
    await copied(['file', 'c', '-q']);
    await copied(['--', 'file', '-d']);
    expect(readFileSync(at('-d'), 'utf8')).toBe('file');
  });
});

describe('what exists', () => {
  test('is not overwritten, and everything else is copied', async () => {
    write('tree/a', 'new a');
    write('tree/sub/b', 'new b');
    symlinkSync('new', at('tree', 'link'));
    write('to/tree/a', 'old a');
    symlinkSync('old', at('to', 'tree', 'link'));
    const run = await cp(['tree', 'to', '-q']);
    expect(run).toMatchObject({ code: 1, stdout: '' });
    expect(run.stderr).toBe(
      'realfork cp: tree/a: its target exists; --force overwrites\n' +
        'realfork cp: tree/link: its target exists; --force overwrites\n' +
        'realfork cp: 2 problems, see above\n',
    );
    expect(readFileSync(at('to/tree/a'), 'utf8')).toBe('old a');
    expect(readlinkSync(at('to/tree/link'))).toBe('old');
    expect(readFileSync(at('to/tree/sub/b'), 'utf8')).toBe('new b');
  });

  test('is overwritten with --force, and not written through', async () => {
    makeTree('tree');
    await copied(['tree', 'copy']);
    write('outside', 'outside');
    rmSync(at('copy', 'secret'));
    symlinkSync('../outside', at('copy', 'secret'));
    writeFileSync(at('copy', 'script.sh'), 'changed');
    chmodSync(at('copy', 'closed'), 0o755); // for an ordinary user
    expect(await cp(['tree/.', 'copy', '--force', '-q'])).toMatchObject({ code: 0, stderr: '' });
    expect(contentOf(at('copy'))).toEqual(contentOf(at('tree')));
    expect(readFileSync(at('outside'), 'utf8')).toBe('outside');
    expect(temporaries()).toEqual([]);
  });

  test('a symbolic link in a circle is replaced with --force, like any other', async () => {
    write('file');
    symlinkSync('circle', at('circle'));
    const run = await cp(['file', 'circle', '-q']);
    expect(run).toMatchObject({ code: 1 });
    expect(run.stderr).toContain('file: its target exists; --force overwrites');
    await copied(['file', 'circle', '-q', '--force']);
    expect(readFileSync(at('circle'), 'utf8')).toBe('file');
  });

  test('a symbolic link to a folder is followed as the destination, and not inside of it', async () => {
    write('source/folder/file');
    mkdirSync(at('outside'));
    mkdirSync(at('to'));
    symlinkSync('../outside', at('to/folder'));
    for (const source of ['source/folder', 'source/.']) {
      const run = await cp([source, 'to', '-f', '-q']);
      expect(run).toMatchObject({ code: 1 });
      expect(run.stderr).toContain('to/folder: is a symlink, and a folder is not put in its place');
      expect(readdirSync(at('outside'))).toEqual([]);
    }
    await copied(['source/folder/.', 'to/folder', '-q']);
    expect(readdirSync(at('outside'))).toEqual(['file']);
  });

  test('whoever has a file open goes on with what they opened', async () => {
    write('new', 'new content');
    const fd = openSync(write('old', 'old content'), 'r');
    await copied(['-f', 'new', 'old']);
    expect(readFileSync(fd, 'utf8')).toBe('old content');
    expect(readFileSync(at('old'), 'utf8')).toBe('new content');
    closeSync(fd);
  });

  test('a folder and a file do not take each other’s place, with --force neither', async () => {
    write('tree/x/file');
    write('tree/y');
    write('to/tree/x', 'a file');
    mkdirSync(at('to/tree/y'));
    const run = await cp(['-f', '-q', 'tree', 'to']);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('to/tree/x: is a file, and a folder is not put in its place');
    expect(run.stderr).toContain('to/tree/y: is a folder, and a file is not put in its place');
    expect(readFileSync(at('to/tree/x'), 'utf8')).toBe('a file');
  });

  test('a FIFO, a socket or a device is not replaced, with --force neither', async () => {
    write('tree/fifo');
    write('tree/socket');
    if (isRoot) symlinkSync('tree', at('tree', 'device'));
    mkdirSync(at('to'));
    execFileSync('mkfifo', [at('to/fifo')]);
    const server = createServer().listen(at('to/socket'));
    await once(server, 'listening');
    if (isRoot) execFileSync('mknod', [at('to/device'), 'c', '1', '3']); // as /dev/null
    const before = modesIn(at('to'));
    const run = await cp(['-f', '-q', 'tree/.', 'to']);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('to/fifo: is a FIFO, and a file is not put in its place\n');
    expect(run.stderr).toContain('to/socket: is a socket, and a file is not put in its place\n');
    if (isRoot) expect(run.stderr).toContain('to/device: is a device, and a symlink is not put in its place\n');
    expect(await cp(['-f', '-q', 'tree/fifo', 'to/fifo'])).toMatchObject({ code: 1 });
    expect(modesIn(at('to'))).toEqual(before);
    server.close();
    expect(temporaries()).toEqual([]);
  });

  test('a symbolic link does not take the place of the file that it leads to', async () => {
    write('to/file', 'the only copy');
    mkdirSync(at('tree'));
    symlinkSync('../to/file', at('tree/file'));
    symlinkSync('tree/file', at('twice'));
    for (const args of [
      ['tree/file', 'to'],
      ['tree/.', 'to'],
      ['twice', 'to/file'],
    ]) {
      const run = await cp(['-f', '-q', ...args]);
      expect(run).toMatchObject({ code: 1 });
      expect(run.stderr).toMatch(/^realfork cp: to\/file: is the file that '.*' leads to, and would be lost$/m);
      expect(lstatSync(at('to/file')).isFile()).toBe(true);
      expect(readFileSync(at('to/file'), 'utf8')).toBe('the only copy');
    }
  });
});

describe('what is refused, with nothing changed', () => {
  test.each([
    [['tree', 'tree'], /cannot be copied into itself/],
    [['tree', 'tree/inside'], /cannot be copied into itself/],
    [['tree', 'tree/sub'], /cannot be copied into itself/],
    [['-f', 'tree', 'link-to-sub'], /cannot be copied into itself/],
    [['tree', '.'], /are the same folder/],
    [['-f', 'file', 'file'], /are the same file/],
    [['-f', 'file', 'second-name'], /are the same file/],
    [['missing', 'to'], /there is no 'missing'/],
    [['file', 'missing/to'], /there is no folder 'missing'/],
    [['file', 'missing/'], /'missing\/' is not a folder/],
    [['file', 'tree', 'missing'], /'missing' is not a folder/],
    [['file', 'file/below'], /there is no folder 'file'/],
    [['file', 'tree/../file', 'to'], /would both become 'to\/file'/],
    [['tree', './tree/', 'to'], /would both become 'to\/tree'/],
    [['tree/.', 'tree/.', 'to'], /would both become 'to'/],
    [['file', 'circle/below'], /there is no folder 'circle'/],
  ])('cp %j', async (args, words) => {
    write('file');
    write('tree/sub/file');
    mkdirSync(at('to'));
    symlinkSync('tree/sub', at('link-to-sub'));
    symlinkSync('circle', at('circle'));
    linkSync(at('file'), at('second-name'));
    const before = contentOf(folder);
    const run = await cp(args);
    expect(run).toMatchObject({ code: 1, stdout: '' });
    expect(run.stderr).toMatch(words);
    expect(run.stderr).not.toMatch(/^ +at /m);
    expect(contentOf(folder)).toEqual(before);
  });

  test.each([
    [[]],
    [['only-one']],
    [['a', 'b', '-j', '0']],
    [['a', 'b', '-j', 'two']],
    [['a', 'b', '-j', '1.5']],
    [['a', 'b', '--frobnicate']],
    [['', 'b']],
  ])('wrong usage is 2: cp %j', async (args) => {
    const run = await cp(args);
    expect(run).toMatchObject({ code: 2, stdout: '' });
    expect(run.stderr).toMatch(/error/);
  });
});

describe('what cannot be copied', () => {
  test('FIFOs and sockets are skipped and named', async () => {
    write('tree/file');
    execFileSync('mkfifo', [at('tree/pipe')]);
    execFileSync('python3', ['-c', 'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])', 'tree/s'], {
      cwd: folder,
    });
    const run = await cp(['tree', 'copy', '-q']);
    expect(run).toMatchObject({ code: 0, stdout: '' });
    expect(run.stderr.split('\n').sort()).toEqual([
      '',
      'realfork cp: skipped tree/pipe: a FIFO',
      'realfork cp: skipped tree/s: a socket',
    ]);
    expect(readdirSync(at('copy'))).toEqual(['file']);
  });

  test('what may not be read or written is reported, the rest is copied, and the exit code is 1', async () => {
    write('tree/open/file');
    write('tree/closed/file');
    write('tree/unreadable');
    write('tree/large', Buffer.alloc(65 * 1024 * 1024));
    write('to/tree/read-only/old');
    write('tree/read-only/file');
    chmodSync(at('tree/unreadable'), 0);
    chmodSync(at('tree/large'), 0);
    chmodSync(at('to/tree/read-only'), 0o555);
    chmodSync(at('tree/closed'), 0o711);
    chmodSync(at('tree/closed'), 0);
    if (isRoot) execFileSync('chown', ['-R', '65534', folder]);
    const run = await cp(['tree', 'to', '-q'], isRoot ? { wrapper: ['setpriv', '--reuid=65534'] } : {});
    expect(run.stderr.split('\n').sort()).toEqual([
      '',
      'realfork cp: 4 problems, see above',
      'realfork cp: tree/closed: EACCES: permission denied, opendir',
      'realfork cp: tree/large: EACCES: permission denied, open',
      'realfork cp: tree/read-only/file: EACCES: permission denied, open of the copy',
      'realfork cp: tree/unreadable: EACCES: permission denied, open',
    ]);
    expect(run).toMatchObject({ code: 1, stdout: '' });
    expect(readFileSync(at('to/tree/open/file'), 'utf8')).toBe('tree/open/file');
    for (const closed of ['tree/closed', 'to/tree/closed']) chmodSync(at(closed), 0o755);
    expect(temporaries()).toEqual([]);
  });

  test('folders that may be searched and not listed: files go out of them and into them', async () => {
    write('from/file', 'content');
    mkdirSync(at('to'));
    chmodSync(at('from'), 0o111);
    chmodSync(at('to'), 0o311);
    if (isRoot) execFileSync('chown', ['-R', '65534', folder]);
    const run = await cp(['from/file', 'to', '-q'], isRoot ? { wrapper: ['setpriv', '--reuid=65534'] } : {});
    expect(run).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(readFileSync(at('to/file'), 'utf8')).toBe('content');
  });
});

/** Files whose blocks are allotted and not yet written: they are copied in full, and cost no disk time to make. */
const MAKE_WORK = ['-c', 'mkdir tree; for i in 1 2 3 4; do fallocate -l "$1" tree/large-$i || exit 1; done', 'sh'];

/** Start a copy, do something to it as soon as it is on its way, and give its end; null when it was faster than that. */
async function disturb(what: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'kill a worker'): Promise<{
  code: number;
  text: string;
} | null> {
  for (const size of ['100M', '200M', '400M', '800M']) {
    rmSync(at('tree'), { recursive: true, force: true });
    rmSync(at('copy'), { recursive: true, force: true });
    execFileSync('sh', [...MAKE_WORK, size], { cwd: folder });
    for (let i = 0; i < 200; i++) write(`tree/small/${i}`, `small ${i}`);
    const run = await program(
      async (rf, t) => {
        const { spawn } = require('node:child_process') as typeof import('node:child_process');
        const [cli, folder, what] = t.args as [string, string, string];
        const child = spawn(process.execPath, [cli, 'cp', 'tree', 'copy', '-j', '2'], {
          cwd: folder,
          stdio: ['ignore', 'inherit', 'pipe'],
        });
        let text = '';
        let isDone = false;
        child.stderr.on('data', (data: Buffer) => {
          text += data.toString();
          if (isDone || !text.includes(' %, ')) return; // the first line: all workers are at work
          isDone = true;
          if (what !== 'kill a worker') return child.kill(what as NodeJS.Signals);
          const workers = rf.processTree(child.pid).children.filter(({ command }) => command.includes('node'));
          try {
            if (workers[0] !== undefined) rf.kill(workers[0].pid, 'SIGKILL');
          } catch {
            // it has ended
          }
        });
        t.report(await new Promise((resolve) => child.on('close', (code) => resolve([code, text]))));
      },
      { args: [cliPath, folder, what] },
    );
    const [code, text] = run.reports[0] as [number, string];
    expect(temporaries()).toEqual([]); // whatever came of it
    if (code !== 0) return { code, text };
  }
  return null;
}

/** Everything at its place is complete. */
function expectNothingHalf(): void {
  for (const name of readdirSync(at('copy'))) {
    if (name === 'small') {
      for (const small of readdirSync(at('copy/small'))) {
        expect(readFileSync(at('copy/small', small))).toEqual(readFileSync(at('tree/small', small)));
      }
    } else {
      expect(lstatSync(at('copy', name)).mtimeMs).toBe(lstatSync(at('tree', name)).mtimeMs);
      expect(spawnSync('cmp', [at('tree', name), at('copy', name)]).status).toBe(0);
    }
  }
}

describe('what does not come to its end', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s leaves no half file, and the exit code says so', async (signal, code) => {
    const end = await disturb(signal);
    expect(end).toMatchObject({ code });
    expect(end?.text).toContain(`interrupted by ${signal}`);
    expectNothingHalf();
  });

  test('a worker that is killed costs the files it had, and the rest is copied', async () => {
    const end = await disturb('kill a worker');
    expect(end).toMatchObject({ code: 1 });
    expect(end?.text).toMatch(/^realfork cp: tree\/.*: Worker \d+ was killed by SIGKILL/m);
    expect(readdirSync(at('copy/small'))).toHaveLength(200);
    expectNothingHalf();
    expect(readdirSync(at('copy')).length).toBeLessThan(5);
  });
});

describe('progress', () => {
  test('away from a terminal: a line for every ten percent, the last at 100', async () => {
    for (let i = 0; i < 1000; i++) write(`tree/${i}`, 'x'.repeat(1000));
    const run = await cp(['tree', 'copy', '-j', '2']);
    const lines = run.stderr.split('\n').filter((line) => line.includes(' %, '));
    expect(lines.length).toBeGreaterThanOrEqual(1);
    expect(lines.length).toBeLessThanOrEqual(10);
    for (const line of lines)
      expect(line).toMatch(/^ *\d+ %, [\d.]+ k?M?B of 1\.0 MB, \d+ of 1000 files, .*\/s, .* left$/);
    expect(lines.at(-1)).toMatch(/^100 %, 1\.0 MB of 1\.0 MB, 1000 of 1000 files/);
    expect(run.stderr).toMatch(/^1000 files, 1 folder: 1\.0 MB in /m);
  });

  test('on a terminal: a bar with percentage, rate and time left, and the cursor back at its end', async () => {
    for (let i = 0; i < 100; i++) write(`tree/${i}`, 'x'.repeat(1000));
    const line = [process.execPath, cliPath, 'cp', 'tree', 'copy', '-j', '2']
      .map((word) => JSON.stringify(word))
      .join(' ');
    const run = await runNode(
      [
        '-e',
        `process.exit(require('node:child_process').spawnSync('script', ['-qec', process.argv[1], '/dev/null'], {stdio: 'inherit'}).status)`,
        `stty cols 150; ${line}`,
      ],
      { cwd: folder, env: { TERM: 'xterm' } },
    );
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/█+ +100 % \| 100 kB of 100 kB \| 100 of 100 files \| .*\/s \| .* left/);
    expect(run.stdout).toMatch(/100 files, 1 folder: 100 kB in /);
    expect(run.stdout.lastIndexOf('\u001b[?25h')).toBeGreaterThan(run.stdout.lastIndexOf('\u001b[?25l'));
    expect(contentOf(at('copy'))).toEqual(contentOf(at('tree')));
  });

  test.each(['2>/dev/full', '2>&1 | true'])(
    'a report that nobody can read does not end the copy: %s',
    async (where) => {
      for (let i = 0; i < 400; i++) write(`tree/${i}`, `${i}`);
      const line = `{ { "$@" cp tree copy -j 2; echo "code $?" >&3; } ${where}; } 3>&1`;
      const run = await runNode([cliPath], { cwd: folder, wrapper: ['sh', '-c', line, 'sh'] });
      expect(run).toMatchObject({ stdout: 'code 0\n', stderr: '' });
      expect(readdirSync(at('copy'))).toHaveLength(400);
    },
  );

  test('nothing at all with --quiet', async () => {
    write('tree/file');
    expect(await cp(['--quiet', 'tree', 'copy'])).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });
});
