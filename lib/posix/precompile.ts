/**
 * Functions that children run and their parents do not, compiled in the parent before a fork. V8 compiles a function when
 * it is first called, and throws the result away after some collections of garbage in which it was not called (bytecode
 * flushing). In a child that would be done anew for each, in memory that is shared with the parent: some 60 functions cost
 * 1 ms and 100 copied pages.
 *
 * There is no call for it but one of V8's test functions, `%EnsureFeedbackVectorForFunction` (runtime-test.cc; the same in
 * V8 11 to 14). The flag that makes it known is set while the one line below is compiled, and at no other time.
 */
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { hasSource } from '../values';

type AnyFunction = (...args: never[]) => unknown;

const functions: AnyFunction[] = [];

/** Name functions that a child runs on its way to its own code. */
export function runsInChild(...more: readonly (AnyFunction | (abstract new (...args: never[]) => unknown))[]): void {
  functions.push(...(more as AnyFunction[]).filter(hasSource)); // V8's function ends the process when given another
}

const FLAG = '--allow-natives-syntax';

let compile: AnyFunction | undefined;

/** In parentheses: compiled at once, while the flag is set. */
const source = '(function (functions) { for (const f of functions) %EnsureFeedbackVectorForFunction(f); })';

function prepare(): AnyFunction {
  if (process.execArgv.includes(FLAG)) return new Script(source).runInThisContext() as AnyFunction;
  setFlagsFromString(FLAG);
  try {
    return new Script(source).runInThisContext() as AnyFunction;
  } finally {
    setFlagsFromString(FLAG.replace('--', '--no-'));
  }
}

/** In a parent, before a fork: see to it that they are compiled. Takes 0.1 µs for one that is. */
export function compileForChild(): void {
  try {
    compile ??= prepare();
    (compile as (functions: readonly AnyFunction[]) => void)(functions);
  } catch {
    // Its own bytecode was thrown away meanwhile, or this V8 does not have it: each child compiles what it needs.
    compile = undefined;
  }
}
