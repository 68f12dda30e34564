/** dict, list and Namespace of a manager: after CPython's _TestContainers and TestSyncManagerTypes. */
import { cleanProgram } from '../helpers/program';

test('G01 list: the calls of arrays and of Python’s lists, from the parent and from a child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const a = await manager.list([...Array(10).keys()]);
    t.report([await a.slice(), await a.getValue(), [...a]].map((v) => String(v)));
    const b = await manager.list<unknown>();
    await b.extend([0, 1, 2, 3, 4]);
    t.report([await b.get(2), await b.slice(2, 10), await b.get(-1), await b.at(-2), (await b.at(99)) ?? 'none']);
    await b.extend(await b.copy());
    t.report([await b.length, await b.length(), b.lengthSync(), String(b), [...b]]);
    await b.set(0, 'zero');
    b[1] = 'one';
    t.report([b[0], b[1], await b.pop(), await b.pop(0), await b.shift(), await b.count(3), await b.index(3)]);
    await b.insert(0, { deep: [1] });
    await b.remove({ deep: [1] });
    await b.reverse();
    await b.sort();
    t.report([await b.copy(), await b.includes(4), await b.indexOf(77), await b.push('x', 'y'), await b.splice(1, 2)]);
    await b.sort({ reverse: true });
    await b.delete(0);
    await b.unshift('first');
    const codes = [];
    for (const call of [
      () => b.get(99),
      () => b.set(99, 1),
      () => b.pop(99),
      () => b.remove('no'),
      () => b.index('no'),
    ]) {
      codes.push(await call().then(String, (error: Error & { code: string }) => error.code));
    }
    t.report(codes);
    const child = new Process({
      args: [a],
      target: (list: typeof a) => {
        list.appendSync(10);
        list.sortSync({ reverse: true });
        list[1] = -1;
        t.report([list.popSync(), list.lengthSync(), list.sliceSync(0, 3)]);
      },
    });
    child.start();
    await child.join();
    t.report([await a.copy(), child.exitCode]);
    await a.clear();
    t.report(await a.length);
  });
  expect(run.reports.slice(1)).toEqual([
    [2, [2, 3, 4], 4, 3, 'none'],
    [10, 10, 10, '[\n  0, 1, 2, 3, 4,\n  0, 1, 2, 3, 4\n]', [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]],
    ['zero', 'one', 4, 'zero', 'one', 2, 1],
    [[0, 1, 2, 2, 3, 3, 4], true, -1, 9, [1, 2]],
    ['ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_OUT_OF_RANGE', 'ERR_NOT_FOUND', 'ERR_NOT_FOUND'],
    [0, 10, [10, -1, 8]],
    [[10, -1, 8, 7, 6, 5, 4, 3, 2, 1], 0],
    0,
  ]);
  const all = '0,1,2,3,4,5,6,7,8,9';
  for (const text of run.reports[0] as string[]) expect(['undefined', all]).toContain(text);
});

test('G01 dict: the calls of Map and of Python’s dict, from the parent and from a child', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const d = await manager.dict<unknown, unknown>();
    for (let i = 65; i < 70; i++) await d.set(i, String.fromCharCode(i));
    t.report([[...(await d.copy())], await d.keys(), await d.values(), await d.items(), await d.entries()]);
    t.report([await d.get(65), (await d.get(1)) ?? 'none', await d.get(1, 'else'), await d.has(66), await d.size]);
    await d.update({ a: 1 }, new Map([['b', 2]]), [['c', 3]]);
    t.report([await d.delete('a'), await d.delete('a'), await d.pop('b'), await d.pop('b', 9), await d.popItem()]);
    t.report([await d.setDefault('n', 5), await d.setdefault('n', 6), await d.length, d.sizeSync()]);
    const code = (p: Promise<unknown>) => p.then(String, (error: Error & { code: string }) => error.code);
    t.report([await code(d.pop('no')), await code(d.set({}, 1)), await code(d.update(5 as never))]);
    const child = new Process({
      args: [d],
      target: (dict: typeof d) => {
        dict.setSync('child', [...dict.keysSync()].length);
        dict.deleteSync(65);
        t.report([dict.hasSync(65), dict.getSync('n'), [...dict].length]);
      },
    });
    child.start();
    await child.join();
    t.report([await d.get('child'), await d.has(65), await d.toObject()]);
    await d.clear();
    t.report([await d.size, String(d), await code(d.popitem())]);
    const all = [];
    for await (const [key] of await manager.dict(new Map([['x', 1]]), { y: 2 })) all.push(key);
    t.report(all);
  });
  const pairs = [65, 66, 67, 68, 69].map((code) => [code, String.fromCharCode(code)]);
  expect(run.reports).toEqual([
    [pairs, pairs.map(([key]) => key), pairs.map(([, value]) => value), pairs, pairs],
    ['A', 'none', 'else', true, 5],
    [true, false, 2, 9, ['c', 3]],
    [5, 5, 6, 6],
    ['ERR_NOT_FOUND', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE'],
    [false, 5, 6],
    [6, false, { 66: 'B', 67: 'C', 68: 'D', 69: 'E', n: 5, child: 6 }],
    [0, '{}', 'ERR_NOT_FOUND'],
    ['x', 'y'],
  ]);
});

test('G03 a plain object read from a proxy is a copy: changes are not seen until it is assigned back', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const manager = await t.mp.Manager();
    const list = await manager.list([{ items: [1] }]);
    const dict = await manager.dict({ inner: { items: [1] } });
    const ns = await manager.Namespace({ inner: { items: [1] } });
    const [fromList, fromDict, fromNs] = [list[0], await dict.get('inner'), ns.inner] as { items: number[] }[];
    for (const copy of [fromList, fromDict, fromNs]) copy?.items.push(2);
    (await list.copy()).push({ items: [] });
    t.report([await list.copy(), await dict.toObject(), ns.inner]);
    await list.set(0, fromList as never);
    await dict.set('inner', fromDict as never);
    ns.inner = fromNs as never;
    t.report([await list.copy(), await dict.toObject(), ns.inner]);
  });
  const seen = (items: number[]) => [[{ items }], { inner: { items } }, { items }];
  expect(run.reports).toEqual([seen([1]), seen([1, 2])]);
});

test('G04 Namespace: set, read, test and delete, as properties and by methods (test_namespace)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    const manager = await Manager();
    const n = await manager.Namespace<Record<string, unknown>>({ random: 3 });
    n['name'] = 'Bob';
    n['job'] = 'Builder';
    n['_hidden'] = 'hidden';
    t.report([n['name'], n['job'], 'job' in n, 'other' in n, n['other'] ?? 'none']);
    delete n['job'];
    t.report([String(n), 'job' in n, Object.keys(n).sort(), { ...n }['name'], await n['name']]);
    const child = new Process({
      args: [n],
      target: (ns: typeof n) => {
        ns['name'] = 'Eve';
        delete ns['random'];
        ns['_hidden'] = 'of the child';
        t.report([ns['job'] ?? 'none', ns.hasSync('name'), ns.keysSync()]);
      },
    });
    child.start();
    await child.join();
    await n.set('get', 'a name of a method');
    t.report([n['name'], await n.has('random'), await n.get('get'), await n.copy(), n['_hidden']]);
    t.report([await n.delete('get'), await n.delete('get'), await n.keys()]);
  });
  expect(run.reports).toEqual([
    ['Bob', 'Builder', true, false, 'none'],
    ["Namespace(random=3, name='Bob')", false, ['_hidden', 'name', 'random'], 'Bob', 'Bob'],
    ['none', true, ['name']],
    ['Eve', false, 'a name of a method', { name: 'Eve', get: 'a name of a method' }, 'hidden'],
    [true, false, ['name']],
  ]);
});

test('proxies in proxies: nested containers are one object (test_list_proxy_in_list, test_dict_proxy_nested, test_nested_queue)', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const { Manager, Process } = t.mp;
    type List = Awaited<ReturnType<typeof manager.list<unknown>>>;
    const manager = await Manager();
    const outer = await manager.list<List>();
    for (let i = 0; i < 3; i++) await outer.append(await manager.list<unknown>([0, 1, 2]));
    await (await outer.get(0)).append(55);
    outer[1]?.pushSync(77);
    t.report(await Promise.all((await outer.copy()).map((inner) => inner.copy())));
    const pets = await manager.dict<string, unknown>();
    await pets.update({ cats: 1 });
    const house = await manager.dict<string, typeof pets>({ pets });
    const child = new Process({
      args: [house, outer],
      target: (dict: typeof house, list: typeof outer) => {
        dict.getSync('pets')?.setSync('dogs', 2);
        list[2]?.extendSync(['of', 'the', 'child']);
      },
    });
    child.start();
    await child.join();
    t.report([await pets.toObject(), await outer[2]?.copy()]);
    // An object keeps what is inside of it, and the other way round nothing keeps what nobody has.
    const queues = await manager.list([await manager.Queue<string>()]);
    const byName = await manager.dict({ queue: await manager.Queue<string>() });
    await (await queues.get(0)).put('in a list');
    await (await byName.get('queue'))?.put('in a dict');
    t.report([await queues[0]?.get(), (await byName.get('queue'))?.getSync()]);
    const inside = await manager.list<unknown>();
    await inside.append(inside); // in itself
    t.report((inside[0] as typeof inside).lengthSync());
    // A queue of a manager carries proxies.
    const queue = await manager.Queue<typeof pets>();
    await queue.put(pets);
    t.report(await (await queue.get()).toObject());
  });
  expect(run.reports).toEqual([
    [
      [0, 1, 2, 55],
      [0, 1, 2, 77],
      [0, 1, 2],
    ],
    [{ cats: 1, dogs: 2 }, [0, 1, 2, 'of', 'the', 'child']],
    ['in a list', 'in a dict'],
    1,
    { cats: 1, dogs: 2 },
  ]);
});
