import { AsyncLocalStorage } from 'node:async_hooks';
import { BlockList } from 'node:net';
import { inspect } from 'node:util';
import { runInNewContext, runInThisContext, Script } from 'node:vm';
import { DataCloneError, InvalidMessageError, PosixError, TimeoutError, WorkerDiedError } from '../../dist/errors';
import { registerHandle } from '../../dist/ipc/handles';
import { decode, encode } from '../../dist/ipc/serialize';

const roundTrip = (value: unknown) => decode(Uint8Array.from(encode(value).bytes));
/** Everything about a value that can be seen: classes, holes, hidden properties, sharing. */
const shown = (value: unknown) => inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null });

/** mulberry32: the same numbers in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const shared = { shared: true };
const cycle: Record<string, unknown> = { list: [1, 2] };
cycle['self'] = cycle;
(cycle['list'] as unknown[]).push(cycle, new Map([[cycle, cycle]]), new Set([cycle]));
const sparse: unknown[] = [1, , undefined, , 5]; // eslint-disable-line no-sparse-arrays
const distant: unknown[] = [];
distant[4_000_000_000] = 'far';
const named = Object.assign([1, 2, 3], { index: 7, input: 'text', '-1': 'minus' });
const longNamed = Object.assign(
  Array.from({ length: 500 }, (_, i) => i),
  { extra: 'e' },
);
const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);

const corpus: Record<string, unknown> = {
  primitives: [undefined, null, true, false],
  integers: [0, 1, 127, 128, -1, -128, -129, 255, 65536, 2147483647, -2147483648],
  doubles: [-0, NaN, Infinity, -Infinity, 1.5, 2147483648, -2147483649, Number.MAX_SAFE_INTEGER, 5e-324, 1.7e308],
  bigints: [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, -(2n ** 63n) - 1n, 7n ** 500n, -(7n ** 500n)],
  strings: ['', 'a', 'é', 'ÿ', 'Ā', '漢字', '😀', '\0', 'x'.repeat(39), 'x'.repeat(40), 'x'.repeat(41)],
  'long strings': ['é'.repeat(1000), '漢'.repeat(1000), 'x'.repeat(100_000) + '漢', 'ab'.repeat(70_000)],
  'lone surrogates': ['\ud800', 'a\udfff', '\udc00'.repeat(300)],
  dates: [new Date(0), new Date(1.7e12), new Date(-1), new Date(NaN)],
  'regular expressions': [/a/, /[/]\/\n/giu, /^(?<name>x)$/dsy, new RegExp('')],
  boxes: [Object(1), Object(-0), Object('text'), Object(true), Object(false), Object(10n)],
  map: new Map<unknown, unknown>([
    ['a', 1],
    [NaN, 2],
    [{ key: 1 }, new Map()],
    [undefined, undefined],
  ]),
  set: new Set([1, 'a', null, undefined, new Set([1])]),
  arrays: [[], [[]], [[1], [2, [3]]], Array.from({ length: 100 }, (_, i) => `item ${i}`)],
  holes: [sparse, new Array(3), new Array(100), [, 1], [1, ,]], // eslint-disable-line no-sparse-arrays
  'arrays with names': [named, longNamed, /b(?<c>.)/.exec('abc')],
  'packed integers': Array.from({ length: 1000 }, (_, i) => i * i * (i % 2 === 0 ? 1 : -1)),
  'packed doubles': Array.from({ length: 1000 }, (_, i) => i / 3),
  'numbers with a negative zero': [...new Array(20).fill(1), -0],
  'numbers with a hole': Object.assign(new Array(40).fill(1), { length: 41 }),
  'numbers and a string': [...new Array(40).fill(7), 'x'],
  'numbers and undefined': [...new Array(40).fill(7.5), undefined],
  objects: [{}, { a: 1, b: { c: [] } }, { 2: 'two', 1: 'one', x: 'x' }, { '': 0, 'a b': 1, 漢: 2 }],
  'many names': Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`name${i}`, i])),
  buffers: [new ArrayBuffer(0), new ArrayBuffer(9), bytes.buffer],
  views: [
    new Int8Array([1, -1]),
    new Uint8Array(0),
    new Uint8ClampedArray([255]),
    new Int16Array([-5]),
    new Uint16Array([65535]),
    new Int32Array([1, 2, 3]),
    new Uint32Array([4294967295]),
    new Float32Array([1.5]),
    new Float64Array([NaN, -0]),
    new BigInt64Array([-1n]),
    new BigUint64Array([2n ** 64n - 1n]),
    new DataView(new ArrayBuffer(3)),
  ],
  sharing: [shared, shared, { shared }],
  'sharing among many': [...Array.from({ length: 50 }, () => ({})), shared, shared],
  cycle,
};

describe('what structured clone takes comes back as structured clone gives it', () => {
  test.each(Object.keys(corpus))('%s', (name) => {
    const value = corpus[name];
    expect(shown(roundTrip(value))).toBe(shown(structuredClone(value)));
  });

  test('an array with four billion holes', () => {
    const back = roundTrip({ distant, none: new Array(4_294_967_295) }) as Record<string, unknown[]>;
    expect(Object.keys(back['distant'] as unknown[])).toEqual(['4000000000']);
    expect(back['distant']?.length).toBe(4_000_000_001);
    expect(back['none']?.length).toBe(4_294_967_295);
  });

  test('an own property named __proto__ is a property', () => {
    const back = roundTrip(JSON.parse('{"__proto__": {"polluted": true}}')) as object;
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
    expect(Object.keys(back)).toEqual(['__proto__']);
  });

  test('getters are read, once; what they delete is left out', () => {
    let reads = 0;
    const value: Record<string, unknown> = {
      get a() {
        reads += 1;
        delete value['b'];
        return 1;
      },
      b: 2,
    };
    expect(roundTrip(value)).toEqual({ a: 1 });
    expect(reads).toBe(1);
  });

  test('instances come back as plain objects, without symbols and inherited properties', () => {
    class Point {
      #hidden = 1;
      constructor(readonly x: number) {}
      get hidden() {
        return this.#hidden;
      }
    }
    const point = Object.assign(new Point(4), { [Symbol('s')]: 1 });
    const bare = Object.assign(Object.create(null) as object, { y: 5 });
    const back = roundTrip([point, bare, Object.create({ inherited: 1 })]);
    expect(shown(back)).toBe(shown([{ x: 4 }, { y: 5 }, {}]));
  });

  test('subclasses of built-in classes come back as those', () => {
    class MyMap extends Map {}
    class MyArray extends Array {}
    class MyDate extends Date {}
    const back = roundTrip([
      Reflect.construct(MyMap, [[[1, 2]]]),
      Reflect.construct(MyArray, [1, 2]),
      Reflect.construct(MyDate, [5]),
    ]);
    expect(shown(back)).toBe(shown([new Map([[1, 2]]), [1, 2], new Date(5)]));
  });

  test('objects of another context come back as those of this one', () => {
    const value: unknown = runInNewContext(
      '({ map: new Map([[1, [2]]]), set: new Set([1]), date: new Date(3), re: /x/g, err: new RangeError("r"), bytes: new Uint8Array([1]) })',
    );
    const back = roundTrip(value) as Record<string, object>;
    expect(back['map']).toBeInstanceOf(Map);
    expect(back['set']).toBeInstanceOf(Set);
    expect(back['date']).toBeInstanceOf(Date);
    expect(back['re']).toBeInstanceOf(RegExp);
    expect(back['err']).toBeInstanceOf(RangeError);
    expect(back['bytes']).toBeInstanceOf(Uint8Array);
    expect(back['map']).toEqual(new Map([[1, [2]]]));
  });
});

describe('bytes', () => {
  test('a Buffer comes back as a Buffer, also one of a pool', () => {
    const back = roundTrip({ small: Buffer.from('abc'), large: Buffer.alloc(100_000, 7) }) as Record<string, Buffer>;
    expect(Buffer.isBuffer(back['small'])).toBe(true);
    expect(back['small']?.toString()).toBe('abc');
    expect(back['large']?.equals(Buffer.alloc(100_000, 7))).toBe(true);
  });

  test('views of one buffer share one buffer again', () => {
    const buffer = new ArrayBuffer(16);
    const [all, part, view, again] = roundTrip([
      new Uint8Array(buffer),
      new Uint16Array(buffer, 4, 2),
      new DataView(buffer, 1),
      buffer,
    ]) as [Uint8Array, Uint16Array, DataView, ArrayBuffer];
    all[4] = 9;
    expect(part[0]).toBe(9);
    expect([part.buffer, view.buffer, again]).toEqual([all.buffer, all.buffer, all.buffer]);
    expect([part.byteOffset, part.length, view.byteOffset, view.byteLength]).toEqual([4, 2, 1, 15]);
  });

  test('a view of a part is sent without the rest', () => {
    const part = new Uint8Array(new ArrayBuffer(1_000_000), 10, 5);
    expect(encode([part, part]).bytes.length).toBeLessThan(20);
    expect((roundTrip(part) as Uint8Array).buffer.byteLength).toBe(5);
  });

  test('pieces in place of a copy', () => {
    const big = Buffer.alloc(1000, 1);
    const value = { before: 1, big, between: ['x'], view: new Uint32Array(300).fill(7), after: big };
    const { parts } = encode(value, { cutFrom: 500 });
    expect(parts?.some((part) => part.buffer === big.buffer && part.byteOffset === big.byteOffset)).toBe(true);
    expect(decode(Buffer.concat(parts as Uint8Array[]))).toEqual(value);
    expect(encode(value, { cutFrom: 5000 }).parts).toBeUndefined();
    const only = encode(big, { cutFrom: 1, headroom: 3 });
    expect(decode(Buffer.concat(only.parts as Uint8Array[]).subarray(3))).toEqual(big);
  });

  test('a message of one Buffer need not be copied when it is read', () => {
    const message = Uint8Array.from(encode(Buffer.alloc(10_000, 3)).bytes);
    expect((decode(message, { adopt: true }) as Buffer).buffer).toBe(message.buffer);
    expect((decode(message) as Buffer).buffer).not.toBe(message.buffer);
  });

  test('headroom is left free, and messages do not depend on where they lie', () => {
    const value = {
      numbers: Array.from({ length: 50 }, (_, i) => i / 2),
      ints: Array.from({ length: 50 }, (_, i) => i),
    };
    for (let headroom = 0; headroom < 9; headroom++) {
      const message = Uint8Array.from(encode(value, { headroom }).bytes);
      expect(decode(message.subarray(headroom))).toEqual(value);
    }
  });
});

describe('what getters change while the value is read (structured clone, V8 value serializer tests)', () => {
  const roundTripTwice = (value: unknown) => {
    const back = roundTrip([value, 'end']) as unknown[];
    expect(back[1]).toBe('end');
    return back[0];
  };

  test.each([3, 40])('an array of %i that becomes shorter keeps its length and has holes', (length) => {
    const array: unknown[] = Array.from({ length }, (_, i) => i);
    Object.defineProperty(array, 1, {
      enumerable: true,
      configurable: true,
      get() {
        array.length = 2;
        return 'one';
      },
    });
    const back = roundTripTwice(array) as unknown[];
    expect([back.length, Object.keys(back)]).toEqual([length, ['0', '1']]);
  });

  test('an array that becomes longer, or loses elements', () => {
    const longer: unknown[] = [
      0,
      {
        get x() {
          return longer.push(8, 9);
        },
      },
      2,
    ];
    expect(roundTripTwice(longer)).toEqual([0, { x: 5 }, 2]);
    const holes: unknown[] = [];
    holes[1] = {
      get x() {
        return delete holes[3];
      },
    };
    holes.push(2, 7, 8);
    delete holes[2];
    const back = roundTripTwice(holes) as unknown[];
    expect([back.length, Object.keys(back)]).toEqual([5, ['1', '4']]);
  });

  test('a Map or Set is sent with what it had when its turn came', () => {
    const map = new Map<unknown, unknown>();
    map.set(0, {
      get a() {
        map.delete(1);
        map.set(2, 'new');
        return map.set(3, 'changed').size;
      },
    });
    map.set(1, 'deleted').set(3, 'old');
    expect(roundTripTwice(map)).toEqual(
      new Map<unknown, unknown>([
        [0, { a: 3 }],
        [1, 'deleted'],
        [3, 'old'],
      ]),
    );
    const set = new Set<unknown>();
    const endless = () => ({
      get a() {
        return set.add(endless()).size;
      },
    });
    set.add(endless());
    expect(roundTripTwice(set)).toEqual(new Set([{ a: 2 }]));
  });

  test('an expression is sent as what it is, whatever its properties say', () => {
    const expression = Object.defineProperties(/a+/gi, { source: { value: '(' }, flags: { value: 'zz' } });
    expect(shown(roundTripTwice(expression))).toBe('/a+/gi');
  });
});

describe('errors', () => {
  test('keep class, message, stack, code, cause, errors and properties', () => {
    const error = new TypeError('outer', { cause: new RangeError('inner', { cause: 'text' }) });
    Object.assign(error, { code: 'ERR_SOMETHING', detail: { list: [1] } });
    const back = roundTrip(error) as TypeError & Record<string, unknown>;
    expect(back).toBeInstanceOf(TypeError);
    expect(shown(back)).toBe(shown(error));
    expect(back.stack).toBe(error.stack);
    expect(Object.getOwnPropertyDescriptor(back, 'message')?.enumerable).toBe(false);
    expect(back.cause).toBeInstanceOf(RangeError);
    expect((back.cause as Error).cause).toBe('text');
    const many = roundTrip(new AggregateError([error, new Error('b')], 'both')) as AggregateError;
    expect(many).toBeInstanceOf(AggregateError);
    expect(many.errors.map((each: Error) => each.message)).toEqual(['outer', 'b']);
  });

  test('of unknown classes keep their name and the built-in class they extend', () => {
    class NoAccess extends RangeError {
      override name = 'NoAccess';
    }
    const back = roundTrip(new NoAccess('no')) as Error;
    expect(back).toBeInstanceOf(RangeError);
    expect([back.name, back.message]).toEqual(['NoAccess', 'no']);
  });

  test('of unknown classes keep a name that stands on their prototype', () => {
    class Denied extends RangeError {}
    Object.defineProperty(Denied.prototype, 'name', { value: 'Denied' });
    class Computed extends Error {
      override get name() {
        return `Computed${this.message}`;
      }
    }
    const [denied, computed] = roundTrip([new Denied('no'), new Computed('7')]) as [Error, Error];
    expect(denied).toBeInstanceOf(RangeError);
    expect([denied.name, computed.name]).toEqual(['Denied', 'Computed7']);
    expect(Object.keys(denied)).toEqual([]);
    expect(Object.hasOwn(roundTrip(new RangeError('r')) as Error, 'name')).toBe(false);
  });

  test('of this package keep their class', () => {
    const death = roundTrip(new WorkerDiedError({ pid: 5, exitCode: null, signal: 'SIGKILL' }, 'a task'));
    expect(death).toBeInstanceOf(WorkerDiedError);
    expect(death).toMatchObject({ name: 'WorkerDiedError', code: 'ERR_WORKER_DIED', pid: 5, signal: 'SIGKILL' });
    expect(roundTrip(new TimeoutError())).toBeInstanceOf(TimeoutError);
    expect(roundTrip(new PosixError(2, 'open', { path: '/x' }))).toMatchObject({ code: 'ENOENT', path: '/x' });
  });

  test('DOMException keeps name, message and code', () => {
    const back = roundTrip(new DOMException('gone', 'NotFoundError')) as DOMException;
    expect(back).toBeInstanceOf(DOMException);
    expect([back.name, back.message, back.code]).toEqual(['NotFoundError', 'gone', 8]);
  });

  test('leave behind those of their properties that cannot be sent', () => {
    const related = {};
    const error = Object.assign(new Error('failed'), {
      request: { related, send() {} },
      related,
      cause: () => {},
      status: 500,
    });
    const back = roundTrip([error, related]) as [Error & Record<string, unknown>, object];
    expect(Object.keys(back[0])).toEqual(['related', 'status']);
    expect(back[0]['related']).toBe(back[1]);
    expect(back[0].stack).toBe(error.stack);
  });
});

describe('what cannot be cloned', () => {
  function* numbers() {
    yield 1;
  }
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const transferred = new ArrayBuffer(8);
  const transferredView = new DataView(transferred);
  const transferredBytes = Buffer.from(transferred);
  structuredClone(transferred, { transfer: [transferred] });
  const { memory } = runInThisContext('({ memory: new WebAssembly.Memory({ initial: 1 }) })') as { memory: unknown };
  const cases: [string, unknown, string][] = [
    ['a function', () => {}, 'value cannot be cloned: a function'],
    [
      'a named one inside',
      { a: [0, 1, 2, { run: function go() {} }] },
      'value.a[3].run cannot be cloned: the function go',
    ],
    ['a symbol', { 'odd name': [Symbol('s')] }, 'value["odd name"][0] cannot be cloned: Symbol(s)'],
    ['a boxed symbol', [Object(Symbol('s'))], 'value[0] cannot be cloned: Symbol(s)'],
    ['a promise', { p: Promise.resolve() }, 'value.p cannot be cloned: a Promise'],
    ['in a Map', new Map([['k', new WeakMap()]]), 'value.get("k") cannot be cloned: a WeakMap'],
    ['in a Set', new Set([new WeakSet()]), 'value.values() cannot be cloned: a WeakSet'],
    ['a generator', [numbers()], 'value[0] cannot be cloned: a generator'],
    [
      'shared memory',
      { view: new Uint8Array(new SharedArrayBuffer(4)) },
      'value.view.buffer cannot be cloned: a SharedArrayBuffer',
    ],
    ['transferred memory', [transferred], 'value[0] cannot be cloned: its memory'],
    ['a revoked proxy', [proxy], 'value[0] cannot be cloned: a proxy'],
    ['an object of the platform', { url: new URL('http://a/') }, 'value.url cannot be cloned: an instance of URL'],
    ['a weak reference', [new WeakRef({})], 'value[0] cannot be cloned: an instance of WeakRef'],
    ['a view of transferred memory', [transferredView], 'value[0] cannot be cloned: its memory'],
    ['a Buffer of transferred memory', [transferredBytes], 'value[0] cannot be cloned: its memory'],
    ['an iterator of an array', [[1].values()], 'value[0] cannot be cloned: an iterator'],
    ['an iterator of a string', ['text'[Symbol.iterator]()], 'value[0] cannot be cloned: an iterator'],
    ['an iterator of matches', ['text'.matchAll(/t/g)], 'value[0] cannot be cloned: an iterator'],
    ['an object of Intl', [new Intl.NumberFormat()], 'value[0] cannot be cloned: an instance of NumberFormat'],
    ['memory of WebAssembly', [memory], 'value[0] cannot be cloned: an instance of Memory'],
    ['a script', [new Script('1')], 'value[0] cannot be cloned: an instance of ContextifyScript'],
    ['a handle of Node', [new BlockList()], 'value[0] cannot be cloned: an instance of BlockList'],
  ];
  test.each(cases)('%s: an error says where it is', (_, value, message) => {
    let error: unknown;
    try {
      encode(value);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(DataCloneError);
    expect(error).toMatchObject({ name: 'DataCloneError', code: 'ERR_DATA_CLONE' });
    expect((error as Error).message).toContain(message);
    expect(roundTrip([1, 'after'])).toEqual([1, 'after']);
  });

  test('instances of user classes with functions in them name the place', () => {
    expect(() => encode({ storage: [Object.assign(new (class A {})(), { run() {} })] })).toThrow(
      'value.storage[0].run cannot be cloned',
    );
    expect(() => encode(new AsyncLocalStorage().run.bind(null))).toThrow(DataCloneError);
  });

  test('an exception of a getter comes through, and the next message is whole', () => {
    const value = {
      a: 1,
      get b() {
        throw new Error('from the getter');
      },
    };
    expect(() => encode(value)).toThrow('from the getter');
    expect(roundTrip({ a: 1 })).toEqual({ a: 1 });
  });

  test('nesting deeper than the stack is an error, not a crash', () => {
    let deep: unknown[] = [];
    for (let i = 0; i < 1_000_000; i++) deep = [deep];
    expect(() => encode(deep)).toThrow(RangeError);
    expect(roundTrip([[1]])).toEqual([[1]]);
    const bytes = new Uint8Array(2_000_000).fill(15).map((tag, i) => (i % 2 === 0 ? tag : 1));
    expect(() => decode(bytes)).toThrow(InvalidMessageError);
  });
});

describe('handles', () => {
  class Wrapped {
    constructor(readonly fd: number) {}
  }
  class Inner {
    other: unknown;
  }
  registerHandle<Wrapped>({
    tag: 'test.wrapped',
    Class: Wrapped,
    reduce: ({ fd }, sink) => ({ index: sink.fd(fd), nested: encode([1, 2]).bytes.length }),
    revive: (data, source) => new Wrapped(source.fd((data as { index: number }).index)),
  });
  registerHandle<Inner>({
    tag: 'test.inner',
    Class: Inner,
    reduce: ({ other }) => other,
    revive: (data) => Object.assign(new Inner(), { other: data, nested: roundTrip({ deep: [1] }) }),
  });

  test('take their descriptors along, once for each object', () => {
    const one = new Wrapped(11);
    const message = encode({ one, again: one, two: new Wrapped(12) }, { withFds: true });
    expect(message.fds).toEqual([11, 12]);
    const fds = [101, 102];
    const back = decode(Uint8Array.from(message.bytes), { fds }) as Record<string, Wrapped>;
    expect(back['one']).toBeInstanceOf(Wrapped);
    expect(back['again']).toBe(back['one']);
    expect([back['one']?.fd, back['two']?.fd]).toEqual([101, 102]);
    expect(fds).toEqual([-1, -1]);
  });

  test('where descriptors cannot go, say so', () => {
    expect(() => encode([new Wrapped(3)])).toThrow(DataCloneError);
    const message = Uint8Array.from(encode([new Wrapped(3)], { withFds: true }).bytes);
    expect(() => decode(message)).toThrow(InvalidMessageError);
    expect(() => decode(message, { fds: [] })).toThrow(InvalidMessageError);
  });

  test('subclasses and nested messages', () => {
    class More extends Inner {}
    const back = roundTrip([Object.assign(new More(), { other: [5, { x: 1 }] }), 'after']) as [Inner, string];
    expect(back[0]).toBeInstanceOf(Inner);
    expect(back[0].other).toEqual([5, { x: 1 }]);
    expect(back[1]).toBe('after');
  });

  test('a tag is registered once', () => {
    expect(() =>
      registerHandle({ tag: 'test.inner', Class: Wrapped, reduce: () => 0, revive: () => new Wrapped(0) }),
    ).toThrow('test.inner');
  });
});

describe('hostile bytes', () => {
  const messages = Object.values(corpus).map((value) => Uint8Array.from(encode(value).bytes));

  /** Whatever the bytes are: a value, or the one error. */
  function survives(message: Uint8Array): boolean {
    try {
      decode(message);
      return true;
    } catch (error) {
      if (!(error instanceof InvalidMessageError)) throw error;
      return false;
    }
  }

  test('a message cut short anywhere is refused', () => {
    for (const message of messages) {
      const step = Math.max(1, Math.floor(message.length / 60));
      for (let length = 0; length < message.length; length += step) {
        expect(survives(message.subarray(0, length))).toBe(false);
      }
    }
  });

  test('bytes after the end are refused', () => {
    for (const message of messages) expect(survives(Buffer.concat([message, Buffer.of(0)]))).toBe(false);
  });

  test('changed and random bytes never do more than throw', () => {
    const random = generator(20240611);
    const small = messages.filter(({ length }) => length < 4000);
    for (let round = 0; round < 8_000; round++) {
      const message = Uint8Array.from(small[Math.floor(random() * small.length)] as Uint8Array);
      for (let changes = 1 + random() * 4; changes > 0; changes--) {
        message[Math.floor(random() * message.length)] = random() * 256;
      }
      survives(message);
    }
    for (let round = 0; round < 8_000; round++) {
      survives(Uint8Array.from({ length: random() * 40 }, () => random() * (random() < 0.5 ? 32 : 256)));
    }
  });

  test('lengths that the message does not have allocate nothing', () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    const before = process.memoryUsage();
    for (const tag of [9, 10, 15, 16, 17, 18, 25, 26, 27, 28]) {
      for (let i = 0; i < 50; i++) {
        expect(survives(Uint8Array.of(tag, ...huge, 0, 0))).toBe(false);
        expect(survives(Uint8Array.of(tag, 1, ...huge, 0, 0))).toBe(false);
      }
    }
    // 30 million holes, which an array of that length set at once would take 240 MB for.
    const holes = Uint8Array.of(15, 0x80, 0x87, 0xa7, 0x0e, 13, 0x80, 0x87, 0xa7, 0x0e);
    const kept = Array.from({ length: 20 }, () => decode(holes) as unknown[]);
    expect(kept[0]?.length).toBe(30_000_000);
    const after = process.memoryUsage();
    expect(after.heapTotal + after.external - before.heapTotal - before.external).toBeLessThan(64 * 2 ** 20);
  });
});

describe('functions that both sides have agreed on', () => {
  const known = [Math.max, class Known {}, () => 1];
  const functions = (fn: (...args: never[]) => unknown) =>
    known.includes(fn as never) ? known.indexOf(fn as never) : `${fn.name} is not known`;
  const through = (value: unknown) =>
    decode(Uint8Array.from(encode(value, { functions }).bytes), { functions: (number) => known[number] });

  test('go by their numbers, wherever they stand', () => {
    const [max, Known, arrow] = known;
    const value = { list: [max, Known, max], map: new Map<unknown, unknown>([[arrow, max]]), set: new Set([Known]) };
    expect(through(value)).toEqual(value);
    expect(through(max)).toBe(max);
    expect(shown(through(Object.assign(new Error('x'), { cause: max, fn: arrow, other() {} })))).not.toContain('other');
  });

  test('others are refused with the reason that is given', () => {
    expect(() => encode({ a: [() => 2, Math.min] }, { functions })).toThrow('value.a[0] cannot be cloned: ');
    expect(() => encode([Math.min], { functions })).toThrow('value[0] cannot be cloned: min is not known');
  });

  test('a reader who expects none takes none, and none that was not announced', () => {
    const bytes = Uint8Array.from(encode([known[1]], { functions }).bytes);
    expect(() => decode(bytes)).toThrow(InvalidMessageError);
    expect(() => decode(bytes, { functions: () => undefined })).toThrow(InvalidMessageError);
    expect(roundTrip([1])).toEqual([1]);
  });

  test('a message made while another is being made has not got its functions', () => {
    let inner: unknown;
    const value = {
      get nested() {
        try {
          encode(Math.max);
        } catch (error) {
          inner = error;
        }
        return 1;
      },
      after: Math.max,
    };
    expect(through(value)).toEqual({ nested: 1, after: Math.max });
    expect(inner).toBeInstanceOf(DataCloneError);
  });
});
