import { spawnSync } from 'node:child_process';
import { cleanProgram } from '../helpers/program';

const hasPython = spawnSync('python3', ['-c', 'import multiprocessing.shared_memory']).status === 0;
const testWithPython = hasPython ? test : test.skip;

describe('ShareableList', () => {
  test('is an array in JSON', async () => {
    const run = await cleanProgram((_rf, t) => {
      const list = new t.mp.ShareableList([1, 'two', null, true]);
      t.report(JSON.stringify({ list }));
      list.shm.close();
      list.shm.unlink();
    });
    expect(run.reports).toEqual(['{"list":[1,"two",null,true]}']);
  });

  test('values, positions, format, length, index, count, as CPython’s own test has them', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { ShareableList } = t.mp;
      const list = new ShareableList(['howdy', Buffer.from('HoWdY'), -273.154, 100, null, true, 42]);
      const text = () => [...list].map((value) => (value instanceof Uint8Array ? `b${String(value)}` : value));
      t.report([String(list).includes(list.shm.name), String(list).includes("'howdy'"), list.length, list.format]);
      t.report(text());
      t.report([list[0], list[-2], list.get(-1), list.at(2), t.caught(() => list.index('100')).code, list.index(100)]);
      t.report([7, -8, 1.5].map((i) => t.caught(() => list.get(i)).code));
      t.report([t.caught(() => list[7]).code, t.caught(() => (list[7] = 2)).code]);
      list[0] = 'howdy';
      list[3] = 42;
      list[4] = 'some'; // another type
      t.report([list[3], list[4], list.format]);
      t.report([t.caught(() => (list[4] = 'far too many')).code, list[4]]);
      list[0] = 'encodés'; // exactly 8 bytes of UTF-8
      t.report([list[0], t.caught(() => (list[0] = 'encodées')).code, String(list[1])]);
      t.report([t.caught(() => (list[1] = Buffer.from('123456789'))).code, String(list[1])]);
      t.report([list.count(42), list.count(Buffer.from('HoWdY')), list.count(Buffer.from('adios')), list.count(42n)]);
      list.shm.close();
      t.report([t.caught(() => list[0]).code, t.caught(() => (list[0] = 'x')).code]);
      list.shm.unlink();
    });
    const range = 'ERR_OUT_OF_RANGE';
    expect(run.reports).toEqual([
      [true, true, 7, '8s8sdqxxxxxx?xxxxxxxx?q'],
      ['howdy', 'bHoWdY', -273.154, 100, null, true, 42],
      ['howdy', true, 42, -273.154, 'ERR_INVALID_ARG_VALUE', 3],
      [range, range, range],
      [range, range],
      [42, 'some', '8s8sdq8sxxxxxxx?q'],
      [range, 'some'],
      ['encodés', range, 'HoWdY'],
      [range, 'HoWdY'],
      [2, 1, 0, 2],
      ['ERR_INVALID_STATE', 'ERR_INVALID_STATE'],
    ]);
  });

  test('a duplicate of its own, a second object on the same list, an empty list', async () => {
    const run = await cleanProgram((rf, t) => {
      const { ShareableList, SharedMemory } = t.mp;
      const list = new ShareableList([1, 'two', 3]);
      const name = `realfork-list-${process.pid}`;
      const copy = new ShareableList(list, { name });
      t.report([copy.shm.name === name, [...copy], copy.format === list.format]);
      copy[-1] = 77;
      t.report([copy[-1], list[-1]]);
      copy.shm.close();
      copy.shm.unlink();
      const same = new ShareableList(undefined, { name: list.shm.name });
      same[-1] = 880;
      t.report([list[-1], same.shm.name === list.shm.name]);
      same.shm.close();
      const alone = new ShareableList({ name: list.shm.name });
      t.report([...alone]);
      alone.shm.close();
      t.report(
        [{ name: 'realfork-nowhere' }, {}, 5].map((given) => t.caught(() => new ShareableList(given as never)).code),
      );
      const pid = rf.fork();
      if (pid === 0) {
        list[1] = 'kid';
        process.exit(0);
      }
      rf.waitpid(pid);
      t.report(list[1]);
      list.shm.close();
      list.shm.unlink();
      const empty = new ShareableList();
      t.report([empty.length, empty.format, empty.count('any'), t.caught(() => empty.index(null)).code, [...empty]]);
      empty.shm.close();
      empty.shm.unlink();
      const other = new SharedMemory({ create: true, size: 64 });
      other.buf.fill(0xff);
      t.report(t.caught(() => new ShareableList(undefined, { name: other.name })).code);
      other.buf.fill(0);
      other.buf[0] = 200; // more values than there is room for
      t.report(t.caught(() => new ShareableList(undefined, { name: other.name })).code);
      other.unlink();
    });
    const value = 'ERR_INVALID_ARG_VALUE';
    expect(run.reports).toEqual([
      [true, [1, 'two', 3], true],
      [77, 3],
      [880, true],
      [1, 'two', 880],
      ['ENOENT', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
      'kid',
      [0, '', 0, value, []],
      value,
      value,
    ]);
  });

  test('every kind of value keeps its meaning; what cannot be kept throws and makes nothing', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { ShareableList } = t.mp;
      const max = Number.MAX_SAFE_INTEGER;
      const list = new ShareableList([0, -0, 0.1, max, -max, NaN, Infinity, 1e300, 2n ** 63n - 1n, -(2n ** 63n), 5n]);
      t.report([...list].map((value) => (Object.is(value, -0) ? '-0' : String(value))));
      t.report(list.format);
      const texts = new ShareableList(['', 'zażółć gęślą jaźń', '8 bytes!', new Uint8Array([1, 0, 2, 0, 0]), false]);
      t.report([...texts].map((value) => (value instanceof Uint8Array ? [...value] : value)));
      t.report(texts.format);
      t.report(
        [2n ** 63n, 'lone \ud800', 'x'.repeat(10_000_000), undefined, {}, [1], Symbol('s'), () => 1].map(
          (value) => t.caught(() => new ShareableList([value as never])).code,
        ),
      );
      t.report([7, true, {}].map((values) => t.caught(() => new ShareableList(values as never)).code));
      t.report([
        t.caught(() => list.set(0, 2n ** 64n)).code,
        t.caught(() => list.set(0, undefined as never)).code,
        list[0],
      ]);
    });
    const [range, type, value] = ['ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE'];
    const max = String(Number.MAX_SAFE_INTEGER);
    expect(run.reports).toEqual([
      [
        '0',
        '-0',
        '0.1',
        max,
        `-${max}`,
        'NaN',
        'Infinity',
        '1e+300',
        '9223372036854775807',
        '-9223372036854775808',
        '5',
      ],
      'qddqqdddqqq',
      ['', 'zażółć gęślą jaźń', '8 bytes!', [1, 0, 2], false],
      '8s32s16s8sxxxxxxx?',
      [range, value, range, type, type, type, type, type],
      [type, type, type],
      [range, type, 0],
    ]);
  });

  test('sent, it is the same list, in a message that does not grow with it', async () => {
    const run = await cleanProgram((_rf, t) => {
      const { encode, decode } = t.internal('ipc/serialize') as typeof import('../../dist/ipc/serialize');
      const { ShareableList } = t.mp;
      const list = new ShareableList(Array.from({ length: 10 }, (_, i) => i));
      const message = Buffer.from(encode(list).bytes);
      const same = decode(message) as typeof list;
      t.report([same instanceof ShareableList, same !== list, same[-1]]);
      same[4] = 'changed';
      list[3] = 'newvalue';
      t.report([list[4], same[3]]);
      const larger = new ShareableList(Array.from({ length: 400 }, (_, i) => i));
      t.report(encode(larger).bytes.length === message.length);
      for (const one of [larger, list]) one.shm.unlink();
      t.report(t.caught(() => decode(message)).code);
    });
    expect(run.reports).toEqual([[true, true, 9], ['changed', 'newvalue'], true, 'ENOENT']);
  });

  testWithPython('Python and this package use each other’s lists', async () => {
    const run = await cleanProgram(
      (_rf, t) => {
        const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
        const { ShareableList } = t.mp;
        const python = (...lines: string[]) =>
          execFileSync(
            'python3',
            ['-c', ['from multiprocessing import shared_memory, resource_tracker', ...lines].join('\n')],
            {
              encoding: 'utf8',
            },
          ).trim();
        const ours = new ShareableList(['howdy', Buffer.from('HoWdY'), -273.154, 100, null, true, 2n ** 62n, 'pięć']);
        t.report(
          python(
            `l = shared_memory.ShareableList(name='${ours.shm.name}')`,
            'resource_tracker.unregister(l.shm._name, "shared_memory")',
            'print(list(l), l.format)',
            'l[0] = "python"; l[4] = 1.5; l[5] = None; l[3] = False',
          ),
        );
        t.report([ours[0], ours[4], ours[5], ours[3], ours.format]);
        ours.shm.unlink();
        const name = python(
          "l = shared_memory.ShareableList(['a', b'bytes', 1, 2.0, None, True, 'x' * 20])",
          'resource_tracker.unregister(l.shm._name, "shared_memory")',
          'print(l.shm.name)',
        );
        const theirs = new ShareableList(null, { name });
        t.report([...theirs].map((value) => (value instanceof Uint8Array ? `b${String(value)}` : value)));
        theirs.shm.unlink();
      },
      { timeout: 20_000 },
    );
    expect(run.reports).toEqual([
      "['howdy', b'HoWdY', -273.154, 100, None, True, 4611686018427387904, 'pięć'] 8s8sdqxxxxxx?xxxxxxxx?q8s",
      ['python', 1.5, null, false, '8s8sdxxxxxxx?dxxxxxx?xq8s'],
      ['a', 'bbytes', 1, 2, null, true, 'x'.repeat(20)],
    ]);
  });
});
