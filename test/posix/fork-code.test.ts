/** Code in a child: optimised before, first called there, loaded there, and a fork in the middle of loading a module. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  cleanProgram,
  packageRoot,
  runNode,
  script,
  type ProgramOptions,
  type ProgramResult,
} from '../helpers/program';

/** Write a folder of modules and run one of them; `realfork` in the texts stands for the package. */
async function modules(
  files: Readonly<Record<string, string>>,
  entry: string,
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const folder = mkdtempSync(join(tmpdir(), 'realfork-modules-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      const file = join(folder, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text.replaceAll("'realfork'", JSON.stringify(join(packageRoot, 'dist', 'index.js'))));
    }
    const run = await runNode([...(options.nodeFlags ?? []), join(folder, entry)], options);
    if (run.code !== 0) throw new Error(`code ${run.code}\n${run.stdout}\n${run.stderr}`);
    return run;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('F19 code of every kind works in the child, optimised before the fork or new', async () => {
  const run = await cleanProgram((rf, t) => {
    const fib = (n: number): number => (n < 2 ? n : fib(n - 1) + fib(n - 2));
    const pattern = /(\w+)@(\w+)\.com/g;
    const parse = (text: string) => JSON.parse(text) as unknown;
    class Counter {
      #n = 0;
      get n() {
        return this.#n;
      }
      add(by = 1) {
        this.#n += by;
        return this;
      }
    }
    const counter = new Counter();
    const sumOf = (xs: Float64Array) => xs.reduce((a, b) => a + b, 0);
    for (let i = 0; i < 2_000; i++) {
      fib(10);
      parse('{"a":[1,2,{"b":null}]}');
      'ann@example.com'.replace(pattern, '$2');
      counter.add();
      sumOf(new Float64Array(10).fill(i));
    }
    const neverCalled = (a: number, b: number) => a * b + 1;
    function* neverStarted() {
      let received: unknown = yield 1;
      while (received !== 'end') received = yield received;
      return 'ended';
    }
    const started = neverStarted();
    started.next();
    const checks: Record<string, () => unknown> = {
      optimised: () => [fib(20), parse('{"a":1}'), 'bob@site.com'.replace(pattern, '$2'), counter.add(5).n],
      'optimised, with other types': () => [
        (fib as unknown as (n: string) => unknown)('3'),
        sumOf(new Float64Array(3).fill(0.5)),
      ],
      'first called here': () => [neverCalled(6, 7), [...'héllo'].length],
      'new Function': () => (new Function('a', 'b', 'return a ** b') as (a: number, b: number) => number)(2, 10),
      eval: () => (0, eval)('(() => { let s = 0; for (let i = 0; i < 1000; i++) s += i; return s; })()'),
      'regular expressions': () => [
        new RegExp('(?<y>\\d{4})-(?<m>\\d\\d)', 'u').exec('on 2024-05')!.groups!['m'],
        /(?<=€)\d+/.exec('€42')![0],
        'aXbX'.replaceAll(/x/gi, (m) => m.toLowerCase()),
        /^(a+)+$/.test('a'.repeat(20)),
        'x'.repeat(100_000).match(/x/g)!.length,
      ],
      JSON: () => JSON.stringify(JSON.parse('{"k":[1.5,"\\u00e9",{"n":null}]}')),
      BigInt: () => `${2n ** 200n % 1_000_007n} ${BigInt.asUintN(8, 300n)}`,
      'try, catch, finally': () => {
        const seen: unknown[] = [];
        try {
          try {
            seen.push((null as unknown as { x: number }).x);
          } finally {
            seen.push('finally');
          }
        } catch (error) {
          seen.push((error as Error).constructor.name);
        }
        return seen;
      },
      'a stack overflow': () => {
        const deep = (): number => 1 + deep();
        try {
          return deep();
        } catch (error) {
          return (error as Error).constructor.name;
        }
      },
      generators: () => [started.next('a').value, started.next('end').value, neverStarted().next().value],
      'require of a new module': () => typeof require('node:querystring').parse('a=b').a,
      'Symbols, Maps, Sets, Proxies': () => {
        const proxy = new Proxy({} as Record<string, string>, { get: (_o, key) => `got ${String(key)}` });
        return [proxy['x'], new Set([1, 1, 2]).size, new Map([[NaN, 1]]).get(NaN), Symbol.for('a') === Symbol.for('a')];
      },
      'sorting and typed arrays': () => [[3, 1, 2].sort(), [...new Uint8Array([300, 2]).sort()]],
      'string building': () => {
        let text = '';
        for (let i = 0; i < 10_000; i++) text += String.fromCharCode(97 + (i % 26));
        return text.length;
      },
      'Date and Intl': () => [
        new Date(0).toISOString(),
        new Intl.NumberFormat('de-DE').format(1234.5),
        new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC' }).format(new Date(0)),
        ['b', 'ä', 'a'].sort(new Intl.Collator('de').compare).join(''),
        [...new Intl.Segmenter('en', { granularity: 'word' }).segment('a bc')].length,
        'İ'.toLocaleLowerCase('tr').normalize('NFD').length,
      ],
      structuredClone: () =>
        structuredClone({ a: new Map([[1, new Date(5)]]), b: new Error('e') })
          .a.get(1)!
          .getTime(),
    };
    const results = () =>
      Object.fromEntries(
        Object.entries(checks).map(([name, check]) => {
          try {
            return [name, check()];
          } catch (error) {
            return [name, String(error)];
          }
        }),
      );
    const pid = rf.fork();
    if (pid === 0) {
      t.report(results());
      process.exit(0);
    }
    t.report({ status: rf.waitpid(pid).status });
    t.report(results()); // the parent computes the same from the same state
  });
  const [child, status, parent] = run.reports;
  expect(status).toEqual({ status: 0 });
  expect(child).toEqual(parent);
  expect(child['optimised'][0]).toBe(6765);
  expect(Object.keys(child)).toHaveLength(17);
});

test('F19 functions become optimised in the child, those that were running during the fork too', async () => {
  const run = await cleanProgram(
    (rf, t) => {
      const status = new Function('f', 'return %GetOptimizationStatus(f)') as (f: unknown) => number;
      const OPTIMISED = 1 << 4; // V8's OptimizationStatus::kOptimized in every version here
      const inChildOnly = (xs: number[]) => {
        let sum = 0;
        for (const x of xs) sum += x * 2;
        return sum;
      };
      const data = Array.from({ length: 100 }, (_, i) => i);
      let pid = -1;
      let sum = 0;
      // The fork happens inside a hot loop, whose replacement on the stack goes on in both.
      for (let i = 0; i < 3_000_000; i++) {
        sum = (sum + i) % 1_000_003;
        if (i === 1_500_000) pid = rf.fork();
      }
      if (pid === 0) {
        const deadline = performance.now() + 5_000;
        while ((status(inChildOnly) & OPTIMISED) === 0 && performance.now() < deadline) {
          // Called from code that is new each time: a caller that gets hot takes the function in (inlines it), and then
          // the function's own code stays as it is.
          new Function('f', 'x', 'for (let i = 0; i < 100; i++) f(x)')(inChildOnly, data);
        }
        t.report({ sum, optimised: (status(inChildOnly) & OPTIMISED) !== 0 });
        process.exit(0);
      }
      t.report({ sum, status: rf.waitpid(pid).status });
    },
    { nodeFlags: ['--allow-natives-syntax'] },
  );
  const [child, parent] = run.reports;
  expect(child).toEqual({ sum: parent.sum, optimised: true });
  expect(parent.status).toBe(0);
});

test('F24 a fork in the middle of nested modules: the child completes them and requires others', async () => {
  const run = await modules(
    {
      'main.cjs': `
        const a = require('./a.cjs');
        const { complete, b: { c: { d } } } = a;
        console.log(JSON.stringify({
          who: d.pid === 0 ? 'child' : 'parent', complete, b: a.b.complete, c: a.b.c.complete, d: d.complete,
          again: require('./a.cjs') === a, extra: require('./extra.cjs').extra, cached: Object.keys(require.cache).length,
        }));
        if (d.pid !== 0) {
          const { status } = require('realfork').waitpid(d.pid);
          if (status !== 0) process.exitCode = 1;
        }`,
      'a.cjs': "exports.b = require('./b.cjs'); exports.complete = true;",
      'b.cjs': "exports.c = require('./c.cjs'); exports.complete = true;",
      'c.cjs':
        "exports.partial = require('./a.cjs').complete === undefined; exports.d = require('./d.cjs'); exports.complete = true;",
      'd.cjs':
        "exports.pid = require('realfork').fork(); exports.late = require('./late.cjs').late; exports.complete = true;",
      'late.cjs': 'exports.late = true;',
      'extra.cjs': 'exports.extra = process.pid > 0;',
    },
    'main.cjs',
  );
  const seen = run.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const expected = { complete: true, b: true, c: true, d: true, again: true, extra: true };
  expect(seen.find((each) => each.who === 'child')).toMatchObject(expected);
  expect(seen.find((each) => each.who === 'parent')).toMatchObject(expected);
  expect(seen[0].cached).toBe(seen[1].cached);
});

test('F24 a fork in an ES module, before and after a top-level await, and in a module that it imports', async () => {
  const run = await modules(
    {
      'main.mjs': `
        import { pid as nested, done } from './nested.mjs';
        import { fork, waitpid } from 'realfork';
        const say = (...what) => console.log(what.join(' '));
        if (nested === 0) { say('nested child', done, typeof (await import('./late.mjs')).late); process.exit(1); }
        say('nested parent', waitpid(nested).status >> 8);
        const before = fork();
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (before === 0) { say('before', (await import('./late.mjs')).late); process.exit(2); }
        say('before parent', waitpid(before).status >> 8);
        await import('node:fs/promises').then((fs) => fs.readFile(new URL(import.meta.url)));
        const after = fork();
        if (after === 0) {
          const { late } = await import('./late.mjs');
          say('after', late, (await import('./json.cjs')).default.x);
          process.exitCode = 3;
        } else say('after parent', waitpid(after).status >> 8);`,
      'nested.mjs': "import { fork } from 'realfork'; export const pid = fork(); await null; export const done = true;",
      'late.mjs': 'await null; export const late = "late";',
      'json.cjs': 'exports.x = 5;',
    },
    'main.mjs',
  );
  expect(run.output.trim().split('\n')).toEqual([
    'nested child true string',
    'nested parent 1',
    'before late',
    'before parent 2',
    'after late 5',
    'after parent 3',
  ]);
});

test('F24 the fork works from node -e, from stdin, and from another working directory', async () => {
  const code = `const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
    const pid = fork();
    if (pid === 0) { console.log('child', process.cwd()); process.exitCode = 9; }
    else console.log('parent', waitpid(pid).status >> 8);`;
  const options = { wrapper: ['sh', '-c', 'cd / && exec "$0" "$@"'] };
  const expected = 'child /\nparent 9\n';
  expect((await runNode(['-e', code], options)).stdout).toBe(expected);
  expect((await runNode(['-p', `${code}; 0`], options)).stdout).toContain('parent 9\n0\n');
  expect((await runNode([], { ...options, stdin: code })).stdout).toBe(expected);
  expect((await runNode(['-'], { ...options, stdin: code })).stdout).toBe(expected);
  const esm = code.replace(
    'const {',
    "import { createRequire } from 'node:module'; const require = createRequire('/'); const {",
  );
  expect((await runNode(['--input-type=module'], { ...options, stdin: esm })).stdout).toBe(expected);
});

test('F26 hooks: before-fork last registered first, the others first registered first', async () => {
  const run = await cleanProgram((rf, t) => {
    const log: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      rf.registerAtFork({
        before: () => log.push(`before ${name} ${process.pid}`),
        afterInParent: () => log.push(`parent ${name} ${process.pid}`),
        afterInChild: () => log.push(`child ${name} ${process.pid}`),
      });
    }
    rf.registerAtFork({ afterInChild: () => log.push(`only child ${process.pid}`) });
    const parent = process.pid;
    const pid = rf.fork();
    const named = () => log.map((line) => line.replace(`${parent}`, 'P').replace(`${process.pid}`, 'C'));
    if (pid === 0) {
      const first = named();
      log.length = 0;
      const grandchild = rf.fork();
      if (grandchild === 0) process.exit(log.some((line) => line === `child a ${process.pid}`) ? 7 : 1);
      t.report({ first, again: log.length, grandchild: rf.waitpid(grandchild).status >> 8 });
      process.exit(0);
    }
    t.report({ status: rf.waitpid(pid).status });
    t.report(named());
  });
  const before = ['before c P', 'before b P', 'before a P'];
  expect(run.reports).toEqual([
    { first: [...before, 'child a C', 'child b C', 'child c C', 'only child C'], again: 6, grandchild: 7 },
    { status: 0 },
    [...before, 'parent a P', 'parent b P', 'parent c P'],
  ]);
});

test('F26 what is no function throws and registers nothing; a hook that throws is told', async () => {
  const run = await cleanProgram((rf, t) => {
    let calls = 0;
    const register = (hooks: unknown) => {
      try {
        rf.registerAtFork(hooks as Parameters<typeof rf.registerAtFork>[0]);
        return 'registered';
      } catch (error) {
        return `${(error as Error).constructor.name} ${(error as NodeJS.ErrnoException).code}`;
      }
    };
    const count = () => void calls++;
    const wrong = [
      undefined,
      null,
      5,
      {},
      { before: 'x' },
      { before: count, afterInChild: null },
      { afterInParent: {}, before: count },
    ];
    t.report(wrong.map(register));
    const first = rf.fork();
    if (first === 0) process.exit(calls);
    t.report({ calls, status: rf.waitpid(first).status });

    let isBad = true;
    rf.registerAtFork({
      before: () => {
        if (isBad) throw new Error('no fork now');
      },
      afterInParent: count,
    });
    let message = '';
    try {
      rf.fork();
    } catch (error) {
      message = (error as Error).message;
    }
    isBad = false;
    const second = rf.fork();
    if (second === 0) process.exit(0);
    t.report({ message, status: rf.waitpid(second).status });
  });
  const typeError = 'TypeError ERR_INVALID_ARG_TYPE';
  expect(run.reports).toEqual([
    Array(7).fill(typeError),
    { calls: 0, status: 0 },
    { message: 'no fork now', status: 0 },
  ]);
});

test('F26 what after-hooks throw: all of them run, and fork throws the first, in the parent with the pid', async () => {
  const run = await cleanProgram((rf, t) => {
    const fail = (side: string) => () => {
      t.report(`${side} ran`);
      throw new Error(side);
    };
    rf.registerAtFork({ afterInParent: fail('parent'), afterInChild: fail('child') });
    rf.registerAtFork({ afterInParent: fail('other'), afterInChild: () => undefined });
    const parent = rf.getpid();
    try {
      rf.fork();
    } catch (error) {
      const { message, pid } = error as Error & { pid?: number };
      if (rf.getpid() !== parent) rf._exit(message === 'child' && pid === undefined ? 7 : 1);
      t.report([message, rf.waitpid(pid as number).status >> 8]);
    }
  });
  expect([...run.reports].sort()).toEqual([['parent', 7], 'child ran', 'other ran', 'parent ran'].sort());
});

test('F24 a dynamic import that is under way during the fork settles in the parent; others work in the child', async () => {
  const run = await script(
    `import { createRequire } from 'node:module';
     import { writeFileSync } from 'node:fs';
     const require = createRequire(import.meta.url);
     const { fork, waitpid } = require(${JSON.stringify(packageRoot)});
     writeFileSync(new URL('under-way.mjs', import.meta.url), 'export const x = 1;');
     writeFileSync(new URL('other.mjs', import.meta.url), 'export const x = 2;');
     const underWay = import('./under-way.mjs');
     const pid = fork();
     if (pid === 0) { console.log('child', (await import('./other.mjs')).x); process.exit(0); }
     console.log('parent', (await underWay).x, waitpid(pid).status);`,
    { extension: '.mjs' },
  );
  expect(run.stderr).toBe('');
  expect(run.output.trim().split('\n').sort()).toEqual(['child 2', 'parent 1 0']);
});

test('hooks may be functions without source text: bound ones, proxies, built-in ones', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const bound = function (this: string) {
      t.report(this);
    }.bind('bound');
    const proxy = new Proxy(() => t.report('proxy'), {});
    for (const afterInChild of [bound, proxy, Math.random]) rf.registerAtFork({ afterInChild });
    const child = new t.mp.Process({ target: t.report.bind(t, 'target') });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual(['bound', 'proxy', 'target', 0]);
});
