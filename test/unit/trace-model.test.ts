/** The tracer's model and drawings, from events made up for the purpose. */
import { buildTrace, zombieTime } from '../../dist/cli/trace/model';
import type { TraceEvent } from '../../dist/cli/trace/events';
import { renderSvg } from '../../dist/cli/trace/svg';
import { renderText } from '../../dist/cli/trace/text';

const start: TraceEvent = { t: 1000, pid: 10, event: 'start', ppid: 1, command: 'node a.js' };
const fork = (child: number, ppid: number, t: number): TraceEvent => ({
  t: t + 2,
  pid: child,
  event: 'fork',
  child,
  ppid,
  from: t,
});

test('times are relative to the first event, whatever the order of the lines', () => {
  const trace = buildTrace([
    { t: 1060, pid: 10, event: 'wait', child: 11, status: 0x0700, from: 1030 },
    { t: 1100, pid: 10, event: 'exit', code: 0 },
    { t: 1020, pid: 11, event: 'exit', code: 7 },
    fork(11, 10, 1010),
    start,
  ]);
  const [root, child] = trace.processes;
  expect(trace.length).toBe(100);
  expect(child).toMatchObject({ pid: 11, ppid: 10, born: 10, ended: 20, reaped: 60, reaper: 10, status: 0x0700 });
  expect(zombieTime(child as never, trace)).toBe(40);
  expect(root?.waits).toEqual([{ from: 30, to: 60, child: 11 }]);
});

test("the kernel's word on the end counts more than the exit event, which comes before it", () => {
  const trace = buildTrace([
    start,
    fork(11, 10, 1010),
    { t: 1020, pid: 11, event: 'exit', code: 0 },
    { t: 1023, pid: 11, event: 'ended' },
    { t: 1030, pid: 10, event: 'wait', child: 11, status: 0, from: 1025 },
  ]);
  expect(trace.processes[1]).toMatchObject({ ended: 23, reaped: 30 });
});

test('a wait that was written down before the tracer saw the end leaves no zombie time below zero', () => {
  const trace = buildTrace([
    start,
    fork(11, 10, 1010),
    { t: 1030, pid: 10, event: 'wait', child: 11, status: 9, from: 1025 },
    { t: 1031, pid: 11, event: 'ended' },
  ]);
  expect(trace.processes[1]).toMatchObject({ ended: 30, reaped: 30, status: 9 });
});

test('a pid that comes round is another process', () => {
  const trace = buildTrace([
    start,
    fork(11, 10, 1010),
    { t: 1020, pid: 10, event: 'wait', child: 11, status: 0x0100, from: 1015 },
    fork(11, 10, 1050),
    { t: 1060, pid: 10, event: 'wait', child: 11, status: 0x0200, from: 1055 },
  ]);
  expect(trace.processes.slice(1).map(({ born, reaped, status }) => [born, reaped, status])).toEqual([
    [10, 20, 0x0100],
    [50, 60, 0x0200],
  ]);
});

test('a fork that both sides tell of is one process', () => {
  const trace = buildTrace([
    start,
    fork(11, 10, 1010),
    { t: 1020, pid: 11, event: 'exec', command: 'sh' },
    { t: 1013, pid: 10, event: 'fork', child: 11, ppid: 10, from: 1010 },
    { t: 1030, pid: 10, event: 'wait', child: 11, status: 0, from: 1025 },
  ]);
  expect(trace.processes.map(({ pid, command }) => [pid, command])).toEqual([
    [10, 'node a.js'],
    [11, 'sh'],
  ]);
});

test('an orphan is reaped by whoever adopted it', () => {
  const trace = buildTrace([
    start,
    fork(11, 10, 1010),
    fork(12, 11, 1020),
    { t: 1030, pid: 10, event: 'wait', child: 11, status: 0, from: 1025 },
    { t: 1040, pid: 12, event: 'ended' },
    { t: 1042, pid: 12, event: 'gone', ppid: 1, status: 0 },
  ]);
  expect(trace.processes[2]).toMatchObject({ pid: 12, ppid: 11, ended: 40, reaped: 42, reaper: 1 });
  expect(renderText(trace, 100)).toContain('waited for by 1, which had adopted it');
});

test('who is not waited for is a zombie to the end of the trace, and who does not end has no zombie time', () => {
  const trace = buildTrace([
    start,
    fork(11, 10, 1010),
    fork(12, 10, 1020),
    { t: 1040, pid: 11, event: 'ended' },
    { t: 1100, pid: 10, event: 'exit', code: 0 },
  ]);
  const [, dead, alive] = trace.processes;
  expect(zombieTime(dead as never, trace)).toBe(60);
  expect(zombieTime(alive as never, trace)).toBeUndefined();
  expect(renderText(trace, 100)).toMatch(/to the end of the trace[\s\S]*still running/);
});

test('no events, and a trace of no length, can be drawn', () => {
  for (const events of [[], [start]]) {
    const trace = buildTrace(events);
    expect(renderText(trace, 80)).toContain('process');
    expect(renderSvg(trace, 'nothing')).not.toMatch(/NaN|Infinity|undefined/);
  }
});

test.each([40, 80, 200])('the timeline fits %i columns', (columns) => {
  const trace = buildTrace([start, fork(11, 10, 1010), { t: 1100, pid: 10, event: 'exit', code: 0 }]);
  const lines = renderText(trace, columns).split('\n');
  const from = lines.findIndex((line) => line.startsWith('timeline:')) + 1;
  for (const line of lines.slice(from)) expect(line.length).toBeLessThanOrEqual(Math.max(columns, 50));
});
