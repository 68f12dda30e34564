/**
 * Every public name is documented where an editor shows it: what the entry points export carries TSDoc, and a call's
 * names its parameters, its result, an example and the page or the Python name it follows (CONTRIBUTING.md).
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

const root = dirname(import.meta.dirname);
const entries = ['index', 'multiprocessing', 'prefork']
  .map((name) => join(root, 'lib', `${name}.ts`))
  .filter(existsSync);
const config = ts.getParsedCommandLineOfConfigFile(
  join(root, 'tsconfig.json'),
  {},
  { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => {} },
);
const program = ts.createProgram(entries, config.options);
const checker = program.getTypeChecker();
const problems = [];
let count = 0;

/** The tags of a symbol as [name, text], and its description under the name ''. */
function documentation(symbol) {
  const tags = symbol.getJsDocTags(checker).map(({ name, text }) => [name, ts.displayPartsToString(text)]);
  return [['', ts.displayPartsToString(symbol.getDocumentationComment(checker))], ...tags];
}

function checkCall(declaration, tags) {
  const missing = [];
  const signature = checker.getSignatureFromDeclaration(declaration);
  for (const parameter of signature.getParameters()) {
    const documented = tags.some(([name, text]) => name === 'param' && text.startsWith(parameter.name));
    if (!documented) missing.push(`@param ${parameter.name}`);
  }
  const result = checker.typeToString(signature.getReturnType());
  const wanted = ['example', 'see', ...(['void', 'never', 'Promise<void>'].includes(result) ? [] : ['returns'])];
  for (const name of wanted) if (!tags.some(([tag]) => tag === name)) missing.push(`@${name}`);
  return missing;
}

for (const entry of entries) {
  for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)))) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = symbol.declarations?.[0];
    if (declaration === undefined) continue;
    count += 1;
    const tags = documentation(symbol);
    const missing = tags[0][1].trim() === '' ? ['a description'] : [];
    if (ts.isFunctionDeclaration(declaration)) missing.push(...checkCall(declaration, tags));
    if (missing.length === 0) continue;
    const { line } = declaration.getSourceFile().getLineAndCharacterOfPosition(declaration.getStart());
    const place = `${relative(root, declaration.getSourceFile().fileName)}:${line + 1}`;
    problems.push(`${place} ${exported.name} lacks ${missing.join(', ')}`);
  }
}

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`documentation: ${count} public names documented`);
