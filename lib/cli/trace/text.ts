/** A trace as text: the process tree, the timeline, and how long each was a zombie. */
import { endOf, zombieTime, type Trace, type TracedProcess } from './model';

const LEGEND = '━ alive   w blocked in a wait for a child   z ended, not yet waited for (zombie)';

export function renderText(trace: Trace, columns: number): string {
  const rows = trace.roots.flatMap((root) => treeRows(root, '', ''));
  const labelWidth = Math.max(0, ...rows.map(({ label }) => label.length));
  const width = Math.max(20, columns - labelWidth - 4);
  const column = (t: number): number => Math.min(width - 1, Math.floor((t / (trace.length || 1)) * width));

  const tree = rows.map(({ label, process }) => `  ${label.padEnd(labelWidth)}  ${story(process, trace)}`);
  const timeline = rows.map(({ label, process }) => {
    const lane = Array.from({ length: width }, () => ' ');
    const fill = (from: number, to: number, mark: string) => lane.fill(mark, column(from), column(to) + 1);
    fill(process.born, process.ended ?? trace.length, '━');
    for (const { from, to } of process.waits) if (column(to) > column(from)) fill(from, to, 'w');
    const zombie = zombieTime(process, trace);
    if (process.ended !== undefined && zombie !== undefined && column(process.ended + zombie) > column(process.ended)) {
      fill(process.ended, process.ended + zombie, 'z');
    }
    return `  ${label.padEnd(labelWidth)}  ${lane.join('').trimEnd()}`;
  });
  const scale = `0${ms(trace.length).padStart(width - 1)}`;
  const count = `${rows.length} ${rows.length === 1 ? 'process' : 'processes'}`;
  return [
    `${count}, ${ms(trace.length)}`,
    '',
    'process tree',
    ...tree,
    '',
    `timeline: ${LEGEND}`,
    `  ${' '.repeat(labelWidth)}  ${scale}`,
    ...timeline,
    '',
  ].join('\n');
}

interface Row {
  readonly label: string;
  readonly process: TracedProcess;
}

function treeRows(process: TracedProcess, lead: string, below: string): Row[] {
  const name = process.birth === 'fork' ? 'fork' : shortCommand(process.command);
  const rows: Row[] = [{ label: `${lead}${process.pid} ${name}`, process }];
  process.children.forEach((child, index) => {
    const last = index === process.children.length - 1;
    rows.push(...treeRows(child, `${below}${last ? '└─ ' : '├─ '}`, `${below}${last ? '   ' : '│  '}`));
  });
  return rows;
}

/** What happened to a process, on one line. */
function story(process: TracedProcess, trace: Trace): string {
  const parts = [`born ${ms(process.born)}`];
  if (process.ended === undefined) parts.push('still running');
  else {
    parts.push(`${endOf(process)} at ${ms(process.ended)}`);
    const zombie = zombieTime(process, trace) ?? 0;
    if (process.reaped === undefined) parts.push(`zombie for ${ms(zombie)}, to the end of the trace`);
    else {
      const who = process.reaper === undefined ? '' : ` by ${process.reaper}`;
      const adopted = process.reaper === undefined || process.reaper === process.ppid ? '' : ', which had adopted it';
      parts.push(`zombie for ${ms(zombie)}, waited for${who}${adopted}`);
    }
  }
  return parts.join(', ');
}

/** The command without folders, cut to a readable length. */
export function shortCommand(command: string): string {
  const words = command.split(' ').map((word) => word.slice(word.lastIndexOf('/') + 1));
  const text = words.join(' ');
  return text.length > 28 ? `${text.slice(0, 27)}…` : text;
}

/** Milliseconds with a digit where it says something. */
export function ms(value: number): string {
  return `${value < 100 ? value.toFixed(1) : value.toFixed(0)} ms`;
}
