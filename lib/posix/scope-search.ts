/**
 * Variables in the closure of a function, shown by an in-process inspector session without any flag: the way to what Node
 * keeps to itself. Costs some milliseconds.
 */
import { createRequire, isBuiltin } from 'node:module';
import type * as Inspector from 'node:inspector';
import { mainGlobal } from '../main-context';

const nodeRequire = createRequire(__filename) as (name: 'node:inspector') => typeof Inspector;

/**
 * Search the scopes of functions.
 *
 * @throws Error this Node was built without the inspector, or its inspector refuses.
 */
export function searchScopes<T>(search: (scopes: ScopeSearch) => T): T {
  let inspector: typeof Inspector;
  try {
    inspector = nodeRequire('node:inspector');
  } catch (error) {
    throw new Error('this Node was built without the inspector', { cause: error });
  }
  const session = new inspector.Session();
  session.connect();
  try {
    return search(new ScopeSearch(session));
  } finally {
    session.disconnect();
  }
}

/** Where a value is put for the session to find it, and the other way round. The session answers synchronously. */
const exchange: { value?: unknown } = {};
const EXCHANGE = 'realfork.exchange';

/** Looks into closures, for variables that nothing else leads to. */
export class ScopeSearch {
  constructor(private readonly session: Inspector.Session) {}

  /** Variables of these names in the scopes of a function. */
  find(holder: unknown, names: readonly string[]): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    for (const { name, value } of this.#variables(holder)) {
      if (names.includes(name) && value?.objectId !== undefined) values[name] = this.#resolve(value.objectId);
    }
    return values;
  }

  /** One of Node's inner modules: `isBuiltin` has the `require` that knows them among its variables. */
  requireBuiltin<T>(name: string): T {
    const { requireBuiltin } = this.find(isBuiltin, ['requireBuiltin']);
    return (requireBuiltin as (name: string) => T)(name);
  }

  #variables(holder: unknown): Inspector.Runtime.PropertyDescriptor[] {
    const { internalProperties = [] } = this.#properties(this.#remote(holder));
    const scopes = internalProperties.find(({ name }) => name === '[[Scopes]]')?.value?.objectId;
    if (scopes === undefined) return [];
    return this.#properties(scopes).result.flatMap(({ value }) =>
      value?.objectId === undefined || value.description?.startsWith('Global') === true
        ? []
        : this.#properties(value.objectId).result,
    );
  }

  #properties(objectId: string): Inspector.Runtime.GetPropertiesReturnType {
    return this.#post('Runtime.getProperties', { objectId, ownProperties: true });
  }

  #remote(value: unknown): string {
    exchange.value = value;
    const expression = `globalThis[Symbol.for('${EXCHANGE}')].value`;
    return this.#exchanging(
      () => this.#post<Inspector.Runtime.EvaluateReturnType>('Runtime.evaluate', { expression }).result.objectId ?? '',
    );
  }

  #resolve(objectId: string): unknown {
    const functionDeclaration = `function () { globalThis[Symbol.for('${EXCHANGE}')].value = this }`;
    this.#exchanging(() => this.#post('Runtime.callFunctionOn', { objectId, functionDeclaration }));
    return exchange.value;
  }

  #exchanging<T>(call: () => T): T {
    const symbol = Symbol.for(EXCHANGE);
    Object.defineProperty(mainGlobal, symbol, { value: exchange, configurable: true });
    try {
      return call();
    } finally {
      Reflect.deleteProperty(mainGlobal, symbol);
    }
  }

  #post<Result>(method: string, parameters: object): Result {
    let answer: { error: Error | null; result: unknown } | undefined;
    this.session.post(method, parameters, (error, result) => (answer = { error, result }));
    if (answer === undefined) throw new Error('the inspector gave no answer');
    if (answer.error !== null) throw new Error(`the inspector refused ${method}`, { cause: answer.error });
    return answer.result as Result;
  }
}
