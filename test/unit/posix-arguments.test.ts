/** Wrong arguments throw before anything happens: here, in the test runner's own process, anything would be noticed. */
import * as rf from '../../dist';

const notInteger: unknown[] = [undefined, null, '1', 1n, true, {}, []];
const notInt32: unknown[] = [0.5, NaN, Infinity, 2 ** 31, -(2 ** 31) - 1];

/** Every position of every call that takes a 32-bit integer; `x` is the wrong value. Optional ones take undefined. */
const integers: [string, (x: never) => unknown, { optional?: boolean; fd?: boolean }][] = [
  ['waitpid pid', (x) => rf.waitpid(x), {}],
  ['waitpid options', (x) => rf.waitpid(-1, x), { optional: true }],
  ['wait3 options', (x) => rf.wait3(x), { optional: true }],
  ['wait4 pid', (x) => rf.wait4(x), {}],
  ['wait4 options', (x) => rf.wait4(-1, x), { optional: true }],
  ['waitid idtype', (x) => rf.waitid(x, 0, rf.WEXITED), {}],
  ['waitid id', (x) => rf.waitid(rf.P_PID, x, rf.WEXITED), {}],
  ['waitid options', (x) => rf.waitid(rf.P_ALL, 0, x), {}],
  ['getpgid pid', (x) => rf.getpgid(x), { optional: true }],
  ['setpgid pid', (x) => rf.setpgid(x, 0), {}],
  ['setpgid pgid', (x) => rf.setpgid(0, x), {}],
  ['getsid pid', (x) => rf.getsid(x), { optional: true }],
  ['tcgetpgrp fd', (x) => rf.tcgetpgrp(x), { fd: true }],
  ['tcsetpgrp fd', (x) => rf.tcsetpgrp(x, 1), { fd: true }],
  ['tcsetpgrp pgid', (x) => rf.tcsetpgrp(0, x), {}],
  ['_exit code', (x) => rf._exit(x), {}],
  ['pipe2 flags', (x) => rf.pipe2(x), {}],
  ['dup fd', (x) => rf.dup(x), { fd: true }],
  ['dup2 from', (x) => rf.dup2(x, 0), { fd: true }],
  ['dup2 to', (x) => rf.dup2(0, x), { fd: true }],
  ['getInheritable fd', (x) => rf.getInheritable(x), { fd: true }],
  ['setInheritable fd', (x) => rf.setInheritable(x, false), { fd: true }],
];

test.each(integers)('%s must be a 32-bit integer', (_name, call, { optional, fd }) => {
  for (const value of notInteger) {
    if (optional === true && value === undefined) continue;
    expect(() => call(value as never)).toThrow(
      expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
    );
  }
  for (const value of [...notInt32, ...(fd === true ? [-1] : [])]) {
    expect(() => call(value as never)).toThrow(
      expect.objectContaining({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }),
    );
  }
});

const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const value = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
const execs: [string, (path: never, args: never) => unknown][] = [
  ['execv', (path, args) => rf.execv(path, args)],
  ['execve', (path, args) => rf.execve(path, args, {})],
  ['execvp', (path, args) => rf.execvp(path, args)],
  ['execvpe', (path, args) => rf.execvpe(path, args, {})],
];

test.each(execs)('%s checks path and arguments', (_name, call) => {
  for (const path of [undefined, null, 1, Buffer.from('/bin/true'), ['/bin/true']]) {
    expect(() => call(path as never, ['true'] as never)).toThrow(expect.objectContaining(type));
  }
  expect(() => call('/bin/true\0' as never, ['true'] as never)).toThrow(expect.objectContaining(value));
  for (const args of [undefined, null, 'true', { 0: 'true', length: 1 }, [1], ['true', undefined], [['true']]]) {
    expect(() => call('/bin/true' as never, args as never)).toThrow(expect.objectContaining(type));
  }
  for (const args of [[], ['true\0'], ['true', 'a\0b']]) {
    expect(() => call('/bin/true' as never, args as never)).toThrow(expect.objectContaining(value));
  }
});

test.each([
  ['execve', (env: never) => rf.execve('/bin/true', ['true'], env)],
  ['execvpe', (env: never) => rf.execvpe('true', ['true'], env)],
])('%s checks the environment', (_name, call) => {
  for (const env of [undefined, null, 'A=1', ['A=1'], { A: 1 }, { A: null }]) {
    expect(() => call(env as never)).toThrow(expect.objectContaining(type));
  }
  for (const env of [{ '': '1' }, { 'A=B': '1' }, { 'A\0': '1' }, { A: '1\0' }]) {
    expect(() => call(env as never)).toThrow(expect.objectContaining(value));
  }
});

test('setInheritable takes a boolean', () => {
  for (const wrong of [undefined, null, 0, 1, 'true']) {
    expect(() => rf.setInheritable(0, wrong as never)).toThrow(expect.objectContaining(type));
  }
});
