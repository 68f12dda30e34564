import { parseStat } from '../../dist/posix/proc';
import { parsePs } from '../../dist/posix/tree';

/** proc_pid_stat(5) from the third field on: state, ppid, pgrp, session, ... and starttime as the 22nd. */
const REST = 'S 41 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 1000 200 18446744073709551615';

describe('parseStat', () => {
  test.each([
    ['node', 'node'],
    ['a name with spaces', 'a name with spaces'],
    [') R 1 1 1 (', 'parentheses that look like the end'],
    ['(', 'one that opens'],
    [')', 'one that closes'],
    ['', 'nothing'],
    ['two\nlines', 'a line end'],
  ])('reads past the name %j: %s', (name) => {
    expect(parseStat(`40 (${name}) ${REST}\n`)).toEqual({
      pid: 40,
      name,
      state: 'S',
      ppid: 41,
      pgrp: 42,
      session: 43,
      startTicks: 123456,
    });
  });
});

describe('parsePs', () => {
  const text = [
    '    1     0 Ss   Mon Nov 21 09:40:00 2022 /sbin/launchd',
    '  500     1 R+   Tue Nov  1 00:00:05 2022 node with (odd) name  and spaces',
    '  501   500 Z    Tue Nov  1 00:00:06 2022 (node)',
    '  502   500 R+   Tue Nov  1 00:00:07 2022 ps -axww -o pid=,ppid=,stat=,lstart=,command=',
    '  503     1 R+   Tue Nov  1 00:00:07 2022 ps -axww -o pid=,ppid=,stat=,lstart=,command=',
    '',
  ].join('\n');

  test('reads each process, and leaves out the ps that was run to see them', () => {
    const found = parsePs(text, 500).map((seen) => seen.entry());
    expect(found.map(({ pid, ppid, state }) => [pid, ppid, state])).toEqual([
      [1, 0, 'S'],
      [500, 1, 'R'],
      [501, 500, 'Z'],
      [503, 1, 'R'],
    ]);
    expect(found[0]).toMatchObject({ name: 'launchd', command: '/sbin/launchd' });
    expect(found[1]).toMatchObject({ command: 'node with (odd) name  and spaces' });
    expect(found[1]?.startTime).toBe(new Date(2022, 10, 1, 0, 0, 5).getTime());
  });
});
