/**
 * A trace as a picture: one lane per process, time from left to right.
 *
 *     1234 node a.js   |=====================░░░░░░░=====|      alive, blocked in a wait
 *     ├─ 1240 fork         |==========|/////|                   alive, zombie until the wait
 */
import { endOf, zombieTime, type Trace, type TracedProcess } from './model';
import { ms, shortCommand } from './text';

const WIDTH = 1100;
const MARGIN = 20;
const INDENT = 16;
/** About the width of a character of the labels, 12 px monospace. */
const CHARACTER = 7.3;
const LANE = 30;
const BAR = 14;
const TOP = 56;
const LEGEND = 46;

export function renderSvg(trace: Trace, title: string): string {
  const lanes = trace.roots.flatMap((root) => lanesOf(root, 0));
  const height = TOP + lanes.length * LANE + LEGEND;
  const labelEnds = lanes.map(({ depth, pid, name }) => depth * INDENT + `${pid} ${name}`.length * CHARACTER);
  const left = MARGIN + Math.min(WIDTH / 2, Math.max(120, ...labelEnds)) + MARGIN;
  const x = (t: number): number => left + (t / (trace.length || 1)) * (WIDTH - left - MARGIN);
  const laneOf = new Map(lanes.map(({ process }, index) => [process, index]));
  const middle = (lane: number): number => TOP + lane * LANE + LANE / 2;

  const parts: string[] = [];
  for (const t of ticks(trace.length)) {
    const at = round(x(t));
    parts.push(
      `<line class="grid" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${TOP + lanes.length * LANE}"/>`,
      `<text class="tick" x="${at}" y="${TOP - 12}">${escapeXml(ms(t))}</text>`,
    );
  }
  lanes.forEach(({ depth, pid, name }, lane) => {
    if (lane % 2 === 1) {
      parts.push(`<rect class="stripe" x="0" y="${TOP + lane * LANE}" width="${WIDTH}" height="${LANE}"/>`);
    }
    parts.push(
      `<text x="${MARGIN + depth * INDENT}" y="${middle(lane) + 4}">${pid} <tspan class="name">${escapeXml(name)}</tspan></text>`,
    );
  });
  lanes.forEach(({ process }, lane) => parts.push(...bars(process, trace, x, middle(lane))));
  lanes.forEach(({ process }, lane) => {
    for (const child of process.children) {
      const childLane = laneOf.get(child);
      if (childLane !== undefined) parts.push(...links(process, child, x, middle(lane), middle(childLane)));
    }
  });
  parts.push(...legend(left, TOP + lanes.length * LANE + 26));

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    STYLE,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    `<text class="heading" x="${MARGIN}" y="24">${escapeXml(title)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

const STYLE = `<defs>
<pattern id="zombie" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="#fbd9b5"/><rect width="2.5" height="6" fill="#d9730d"/>
</pattern>
<marker id="arrow" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">
<path d="M0 0L6 3L0 6z" fill="#55606e"/>
</marker>
</defs>
<style>
text { font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2933; }
.heading { font-weight: bold; font-size: 14px; }
.name { fill: #55606e; }
.tick { fill: #7b8794; text-anchor: middle; font-size: 11px; }
.ground { fill: #ffffff; }
.stripe { fill: #f5f7fa; }
.grid { stroke: #e4e7eb; }
.alive { fill: #3178c6; }
.wait { fill: #a9cbec; }
.zombie { fill: url(#zombie); stroke: #d9730d; stroke-width: 0.5; }
.fork { stroke: #55606e; fill: none; marker-end: url(#arrow); }
.reap { stroke: #d9730d; stroke-dasharray: 3 2; fill: none; }
</style>`;

interface Lane {
  readonly process: TracedProcess;
  readonly depth: number;
  readonly pid: number;
  readonly name: string;
}

function lanesOf(process: TracedProcess, depth: number): Lane[] {
  const name = process.birth === 'fork' ? 'fork' : shortCommand(process.command);
  return [
    { process, depth, pid: process.pid, name },
    ...process.children.flatMap((child) => lanesOf(child, depth + 1)),
  ];
}

function bars(process: TracedProcess, trace: Trace, x: (t: number) => number, middle: number): string[] {
  const bar = (kind: string, from: number, to: number, what: string): string =>
    `<rect class="${kind}" x="${round(x(from))}" y="${middle - BAR / 2}" width="${round(Math.max(1, x(to) - x(from)))}" height="${BAR}">` +
    `<title>${escapeXml(`${process.pid}: ${what}, ${ms(from)} to ${ms(to)}`)}</title></rect>`;
  const end = process.ended ?? trace.length;
  const parts = [bar('alive', process.born, end, `alive, ${endOf(process)}`)];
  for (const { from, to, child } of process.waits) parts.push(bar('wait', from, to, `waiting for ${child}`));
  const zombie = zombieTime(process, trace);
  if (zombie !== undefined && zombie > 0) parts.push(bar('zombie', end, end + zombie, `zombie for ${ms(zombie)}`));
  return parts;
}

/** The lines between a parent's lane and its child's: birth, and the wait that ended it. */
function links(
  parent: TracedProcess,
  child: TracedProcess,
  x: (t: number) => number,
  parentMiddle: number,
  childMiddle: number,
): string[] {
  const born = round(x(child.born));
  const parts = [
    `<path class="fork" d="M${born} ${parentMiddle + BAR / 2}V${childMiddle - BAR / 2}"><title>${parent.pid} made ${child.pid}</title></path>`,
  ];
  if (child.reaped !== undefined && child.reaper === parent.pid) {
    const at = round(x(child.reaped));
    parts.push(
      `<path class="reap" d="M${at} ${childMiddle - BAR / 2}V${parentMiddle + BAR / 2}"><title>${parent.pid} waited for ${child.pid}</title></path>`,
    );
  }
  return parts;
}

function legend(left: number, y: number): string[] {
  const entries: readonly (readonly [kind: string, words: string])[] = [
    ['alive', 'alive'],
    ['wait', 'blocked in a wait for a child'],
    ['zombie', 'zombie: ended, not yet waited for'],
  ];
  let x = left;
  return entries.flatMap(([kind, words]) => {
    const at = x;
    x += 40 + words.length * CHARACTER;
    return [
      `<rect class="${kind}" x="${round(at)}" y="${y - 10}" width="14" height="12"/>`,
      `<text x="${round(at + 20)}" y="${y}">${words}</text>`,
    ];
  });
}

/** Round times for the axis: five to ten of them. */
function ticks(length: number): number[] {
  if (length <= 0) return [0];
  const magnitude = 10 ** Math.floor(Math.log10(length));
  const step = [0.1, 0.2, 0.5, 1].map((part) => part * magnitude).find((size) => length / size <= 10) ?? magnitude;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

export function escapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return (
    text
      // Characters that no XML document may hold, such as a terminal's escapes in a command line.
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"]/g, (character) => entities[character] ?? character)
  );
}
