/** Forks while other threads of the process are at work: V8's in WebAssembly, libuv's in OpenSSL, zlib and files. */
import { program } from '../helpers/program';
import { limitFor, share } from '../helpers/share';

const wasmCount = share(1_000, 100); // of 10,000, one child was lost when V8's threads came back before the loop was rebuilt
const fiveMinutes = 300_000;

test(
  `${wasmCount} forks while WebAssembly is compiled in the background: the child compiles and runs it too`,
  async () => {
    const run = await program(
      async (rf, t) => {
        const [count] = t.args as [number];
        // No DOM types in this project: what the test needs of WebAssembly.
        const { WebAssembly } = globalThis as unknown as {
          WebAssembly: {
            compile(bytes: Uint8Array): Promise<object>;
            instantiate(module: object): Promise<{ exports: Record<string, unknown> }>;
          };
        };
        // (module (func (export "f") (result i32) i32.const 7)), its function repeated to give the compilers work.
        const functions = 400;
        const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >> 7)]);
        const section = (id: number, body: number[]) => [id, ...leb(body.length), ...body];
        const body = [0, ...Array<number[]>(200).fill([0x41, 7, 0x1a]).flat(), 0x41, 7, 0x0b];
        const bytes = new Uint8Array([
          ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
          ...section(1, [1, 0x60, 0, 1, 0x7f]),
          ...section(3, [...leb(functions), ...Array<number>(functions).fill(0)]),
          ...section(7, [1, 1, 0x66, 0, 0]),
          ...section(10, [
            ...leb(functions),
            ...Array.from({ length: functions }, () => [...leb(body.length), ...body]).flat(),
          ]),
        ]);
        const lost: unknown[] = [];
        for (let i = 0; i < count; i++) {
          const compiling = [WebAssembly.compile(bytes), WebAssembly.compile(bytes)];
          const pid = rf.fork();
          if (pid === 0) {
            const instance = await WebAssembly.instantiate(await WebAssembly.compile(bytes));
            process.exit((instance.exports['f'] as () => number)());
          }
          const { status } = rf.waitpid(pid);
          if (status !== 7 << 8) lost.push({ i, status });
          await Promise.all(compiling);
        }
        t.report(lost);
      },
      { args: [wasmCount], timeout: limitFor(fiveMinutes) },
    );
    expect(run.reports).toEqual([[]]);
  },
  limitFor(fiveMinutes) + 30_000,
);

const poolCount = share(500, 20);

test(
  `${poolCount} forks with libuv's pool in OpenSSL, zlib and files: the child's own pool work completes`,
  async () => {
    const run = await program(
      async (rf, t) => {
        const [count] = t.args as [number];
        const crypto = require('node:crypto') as typeof import('node:crypto');
        const fs = require('node:fs/promises') as typeof import('node:fs/promises');
        const { promisify } = require('node:util') as typeof import('node:util');
        const { gzip } = require('node:zlib') as typeof import('node:zlib');
        const work = () => [
          promisify(crypto.pbkdf2)('a', 'b', 50, 32, 'sha256'),
          promisify(crypto.randomBytes)(64),
          promisify(gzip)(Buffer.alloc(20_000)),
          fs.readFile(__filename),
          new Promise((resolve) => crypto.scrypt('a', 'b', 16, { N: 64 }, resolve)),
        ];
        const lost: unknown[] = [];
        for (let i = 0; i < count; i++) {
          const mine = [...work(), ...work()];
          if (i % 2 === 1) await mine[0];
          const pid = rf.fork();
          if (pid === 0) {
            await Promise.all(work());
            process.exit(7);
          }
          const { status } = rf.waitpid(pid);
          if (status !== 7 << 8) lost.push({ i, status });
          await Promise.all(mine);
        }
        t.report(lost);
      },
      { args: [poolCount], timeout: limitFor(fiveMinutes) },
    );
    expect(run.reports).toEqual([[]]);
  },
  limitFor(fiveMinutes) + 30_000,
);
