import * as rf from '../../dist';

const predicates = ['WIFEXITED', 'WIFSIGNALED', 'WCOREDUMP', 'WIFSTOPPED', 'WIFCONTINUED'] as const;
const extractors = ['WEXITSTATUS', 'WTERMSIG', 'WSTOPSIG'] as const;

/** status, the predicates that hold, the extractors that mean something, the exit code as Python has it. */
const table: [number, string[], Partial<Record<(typeof extractors)[number], number>>, number | undefined][] = [
  [0x0000, ['WIFEXITED'], { WEXITSTATUS: 0 }, 0],
  [0x0100, ['WIFEXITED'], { WEXITSTATUS: 1 }, 1],
  [0x2a00, ['WIFEXITED'], { WEXITSTATUS: 42 }, 42],
  [0xff00, ['WIFEXITED'], { WEXITSTATUS: 255 }, 255],
  [0x0001, ['WIFSIGNALED'], { WTERMSIG: 1 }, -1],
  [0x0009, ['WIFSIGNALED'], { WTERMSIG: 9 }, -9],
  [0x0086, ['WIFSIGNALED', 'WCOREDUMP'], { WTERMSIG: 6 }, -6],
  [0x0040, ['WIFSIGNALED'], { WTERMSIG: 64 }, -64],
  [0x007e, ['WIFSIGNALED'], { WTERMSIG: 126 }, -126],
];
const linuxOnly: typeof table = [
  [0x137f, ['WIFSTOPPED'], { WSTOPSIG: 19 }, undefined],
  [0x147f, ['WIFSTOPPED'], { WSTOPSIG: 20 }, undefined],
  [0x057f, ['WIFSTOPPED'], { WSTOPSIG: 5 }, undefined],
  [0xffff, ['WIFCONTINUED', 'WCOREDUMP'], {}, undefined], // WCOREDUMP means something only after WIFSIGNALED
];
if (process.platform === 'linux') table.push(...linuxOnly);

test.each(table)('W10 status 0x%x', (status, holding, values, exitCode) => {
  expect(predicates.filter((name) => rf[name](status))).toEqual(predicates.filter((name) => holding.includes(name)));
  for (const [name, value] of Object.entries(values)) {
    expect(rf[name as (typeof extractors)[number]](status)).toBe(value);
  }
  if (exitCode !== undefined) {
    expect(rf.waitStatusToExitCode(status)).toBe(exitCode);
  } else {
    expect(() => rf.waitStatusToExitCode(status)).toThrow(
      expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' }),
    );
  }
});

test('W10 every status of an ended child is exactly one of exited and signaled', () => {
  for (let code = 0; code < 256; code++) {
    const status = code << 8;
    expect([rf.WIFEXITED(status), rf.WIFSIGNALED(status), rf.WIFSTOPPED(status)]).toEqual([true, false, false]);
    expect(rf.waitStatusToExitCode(status)).toBe(code);
  }
  for (let signal = 1; signal < 127; signal++) {
    for (const status of [signal, signal | 0x80]) {
      expect([rf.WIFEXITED(status), rf.WIFSIGNALED(status), rf.WIFSTOPPED(status)]).toEqual([false, true, false]);
      expect(rf.WCOREDUMP(status)).toBe(status !== signal);
      expect(rf.waitStatusToExitCode(status)).toBe(-signal);
    }
  }
});

const wrong: [unknown, string, string][] = [
  [0.5, 'RangeError', 'ERR_OUT_OF_RANGE'],
  [NaN, 'RangeError', 'ERR_OUT_OF_RANGE'],
  [Infinity, 'RangeError', 'ERR_OUT_OF_RANGE'],
  [2 ** 31, 'RangeError', 'ERR_OUT_OF_RANGE'],
  [-(2 ** 31) - 1, 'RangeError', 'ERR_OUT_OF_RANGE'],
  ['0', 'TypeError', 'ERR_INVALID_ARG_TYPE'],
  [0n, 'TypeError', 'ERR_INVALID_ARG_TYPE'],
  [null, 'TypeError', 'ERR_INVALID_ARG_TYPE'],
  [undefined, 'TypeError', 'ERR_INVALID_ARG_TYPE'],
  [{ pid: 1, status: 0 }, 'TypeError', 'ERR_INVALID_ARG_TYPE'],
];

test.each(wrong)('W10 status %p throws in every function', (value, name, code) => {
  for (const call of [...predicates, ...extractors, 'waitStatusToExitCode'] as const) {
    expect(() => rf[call](value as number)).toThrow(expect.objectContaining({ name, code }));
  }
});
