/** A trace as one HTML file without outside references: the picture, and a table of the processes. */
import { endOf, zombieTime, type Trace } from './model';
import { escapeXml, renderSvg } from './svg';
import { ms } from './text';

export function renderHtml(trace: Trace, title: string): string {
  const rows = trace.processes.map((process) => {
    const zombie = zombieTime(process, trace);
    const cells = [
      process.pid,
      process.ppid,
      process.birth,
      process.command,
      ms(process.born),
      process.ended === undefined ? '' : ms(process.ended),
      endOf(process),
      zombie === undefined ? '' : ms(zombie),
      process.reaped === undefined ? '' : (process.reaper ?? 'somebody'),
    ];
    return `<tr>${cells.map((cell) => `<td>${escapeXml(String(cell))}</td>`).join('')}</tr>`;
  });
  const head = ['pid', 'parent', 'made by', 'command', 'born', 'ended', 'end', 'zombie for', 'waited for by'];
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escapeXml(title)}</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; color: #1f2933; background: #ffffff; margin: 24px auto; max-width: 1140px; padding: 0 20px; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid #e4e7eb; vertical-align: top; }
th { color: #55606e; font-weight: 600; }
td:nth-child(4) { font-family: ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
td:nth-child(5), td:nth-child(6), td:nth-child(7), td:nth-child(8) { white-space: nowrap; }
</style>
</head>
<body>
${renderSvg(trace, title)}
<table>
<thead><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>
</body>
</html>
`;
}
