/** docs/from-python.md has a row for every public name of Python's multiprocessing, and names nothing that is not there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { packageRoot } from '../helpers/program';

interface Row {
  readonly classes: readonly string[];
  readonly python: readonly string[];
  readonly realfork: readonly string[];
  readonly status: string;
  readonly remark: string;
}

const page = readFileSync(join(packageRoot, 'docs', 'from-python.md'), 'utf8');
const known = JSON.parse(readFileSync(join(packageRoot, 'test', 'unit', 'python-names.json'), 'utf8')) as {
  readonly names: Readonly<Record<string, readonly string[]>>;
};

/** The code in a cell, without arguments: `new Pool(n)` and `Pool()` are `Pool`. */
function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replace(/^new /, '').replace(/\(.*$/s, ''));
}

function rowsOf(markdown: string): Row[] {
  const rows: Row[] = [];
  let classes: string[] = [];
  for (const line of markdown.split('\n')) {
    const heading = /^(#+) (.*)$/.exec(line);
    if (heading !== null) classes = heading[1] === '###' ? (heading[2] as string).split(', ') : [];
    const cells = /^\| (.*) \|$/.exec(line)?.[1]?.split(' | ');
    if (cells === undefined || classes.length === 0 || cells[0]?.trim() === 'Python' || /^-+$/.test(cells[0] ?? '')) {
      continue;
    }
    const [python = '', realfork = '', status = '', remark = ''] = cells.map((cell) => cell.trim());
    rows.push({ classes, python: namesIn(python), realfork: namesIn(realfork), status, remark });
  }
  return rows;
}

const rows = rowsOf(page);

/** What the entry points export, and the members of each; types too, as Python's classes often are only that here. */
function exported(): Map<string, Set<string>> {
  const entries = ['index', 'multiprocessing'].map((name) => join(packageRoot, 'dist', `${name}.d.ts`));
  const program = ts.createProgram(entries, {
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    strict: true,
  });
  const checker = program.getTypeChecker();
  const found = new Map<string, Set<string>>();
  const membersOf = (type: ts.Type) => new Set(checker.getPropertiesOfType(type).map((member) => member.name));
  for (const entry of entries) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(entry) as ts.SourceFile) as ts.Symbol;
    for (const symbol of checker.getExportsOfModule(module)) {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      found.set(symbol.name, membersOf(checker.getDeclaredTypeOfSymbol(target)));
      if (symbol.name === 'Manager') {
        // Not a class there: what its promise gives is called `manager` on the page.
        const [call] = checker
          .getTypeOfSymbolAtLocation(target, target.valueDeclaration as ts.Node)
          .getCallSignatures();
        const result = call && checker.getAwaitedType(call.getReturnType());
        if (result !== undefined) found.set('manager', membersOf(result));
      }
    }
  }
  return found;
}

test('every public name of Python’s multiprocessing has a row', () => {
  const missing = Object.entries(known.names).flatMap(([where, names]) => {
    const covered = new Set(rows.filter((row) => row.classes.includes(where)).flatMap((row) => row.python));
    return names.filter((name) => !covered.has(name)).map((name) => `${where}.${name}`);
  });
  expect(missing).toEqual([]);
});

test('every row names something of Python’s, says how it is here, and why when it is absent or better', () => {
  const wrong = rows.filter(({ classes, python, realfork, status, remark }) => {
    const isNone = status === 'absent';
    const names = new Set(classes.flatMap((where) => [...(known.names[where] ?? []), where.split('.').at(-1)]));
    return !(
      ['same', 'renamed', 'better', 'absent'].includes(status) &&
      classes.every((where) => where in known.names) &&
      python.length > 0 &&
      python.every((name) => names.has(name)) &&
      isNone === (realfork.length === 0) &&
      (remark !== '' || !isNone)
    );
  });
  expect(wrong).toEqual([]);
});

/** Being built: on the page by its contract (api.md), checked from the day that it leaves this list. */
const coming = new Set<string>();

test('every name of this package on the page is exported', () => {
  const there = exported();
  const absent = rows
    .flatMap((row) => row.realfork)
    .filter((name) => {
      const [head = '', member] = name.split('.');
      if (coming.has(head)) return false;
      const members = there.get(head);
      return members === undefined || (member !== undefined && !members.has(member));
    });
  expect(absent).toEqual([]);
});
