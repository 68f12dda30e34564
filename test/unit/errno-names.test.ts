import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import '../../dist'; // the addon adds the names that Node lacks
import { errnoMessage, errnoName, PosixError } from '../../dist/errors';

/** Pairs that share a number, and the name that wins. */
const aliases: Record<string, string> =
  constants.errno.EAGAIN === constants.errno.EWOULDBLOCK ? { EWOULDBLOCK: 'EAGAIN' } : {};
if (constants.errno.ENOTSUP === constants.errno.EOPNOTSUPP) aliases['EOPNOTSUPP'] = 'ENOTSUP';

test('every errno that Node has a constant for gets its name', () => {
  for (const [name, value] of Object.entries(constants.errno)) {
    expect([value, errnoName(value)]).toEqual([value, aliases[name] ?? name]);
  }
});

test("the errnos missing from libuv's table have a name and words of their own", () => {
  for (const name of ['ECHILD', 'EDEADLK', 'ENOLCK', 'EINPROGRESS'] as const) {
    const value = constants.errno[name];
    const error = new PosixError(value, 'call');
    expect(error).toMatchObject({ name: 'PosixError', code: name, errno: -value, syscall: 'call' });
    expect(error.message).toMatch(new RegExp(`^${name}: [a-z][A-Za-z ]+, call$`));
  }
});

test("the errnos missing from Node's constants have the C library's names", () => {
  expect(constants.errno).not.toHaveProperty('EOWNERDEAD');
  if (process.platform === 'linux') {
    // errno(3), generic numbers: those of x64, arm64 and riscv64
    expect([15, 80, 108, 117, 130, 131].map(errnoName)).toEqual([
      'ENOTBLK',
      'ELIBBAD',
      'ESHUTDOWN',
      'EUCLEAN',
      'EOWNERDEAD',
      'ENOTRECOVERABLE',
    ]);
  }
});

test('every errno that the C library describes has a real name and lower-case words', () => {
  const unnamed: number[] = [];
  for (let errno = 1; errno < 200; errno++) {
    if (/^unknown error/i.test(errnoMessage(errno))) continue;
    if (/^E\d+$/.test(errnoName(errno))) unnamed.push(errno);
    expect(errnoMessage(errno)).toMatch(/^[a-z.]/);
  }
  expect(unnamed).toEqual([]);
});

test('names and numbers agree with libuv where libuv has them', () => {
  for (const [number, [name]] of getSystemErrorMap()) {
    if (-number < 1 || -number > 200) continue; // libuv's own: EOF, UNKNOWN, EAI_*
    expect([number, errnoName(-number)]).toEqual([number, name]);
  }
});

test('a number that nobody knows is shown as it is', () => {
  expect(new PosixError(9999, 'call')).toMatchObject({ code: 'E9999', errno: -9999 });
});
