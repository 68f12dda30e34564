/** Before each test file: a limit that a test gives itself is multiplied by the pace of the machine. */
import { pace } from './pace';

type Define = (name: string, body: jest.ProvidesCallback, limit?: number) => unknown;

function paced<Call extends object>(call: Call): Call {
  return new Proxy(call, {
    apply(target, self, [name, body, limit]: Parameters<Define>) {
      const args = limit === undefined ? [name, body] : [name, body, limit * pace];
      return Reflect.apply(target as unknown as Define, self, args as Parameters<Define>);
    },
    get(target, key, receiver) {
      const value: unknown = Reflect.get(target, key, receiver);
      if (key !== 'each') return value;
      return (...table: unknown[]) => paced((value as (...table: unknown[]) => object)(...table));
    },
  });
}

if (pace > 1) globalThis.test = paced(globalThis.test);
