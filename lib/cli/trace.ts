/** `realfork trace script.js`: run a script and draw its process tree and timeline. */
import { existsSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from './exit-codes';
import { renderHtml } from './trace/html';
import { buildTrace } from './trace/model';
import { recordScript } from './trace/recorder';
import { renderSvg } from './trace/svg';
import { renderText } from './trace/text';

interface Options {
  readonly svg?: string;
  readonly html?: string;
  readonly text: boolean;
  readonly linger: string;
}

export function traceCommand(program: Command): void {
  program
    .command('trace')
    .description(
      "run a script, then draw its processes: tree, forks, waits, ends, zombie time; ends with the script's exit code",
    )
    .argument('<script>', 'the script')
    .argument('[args...]', 'its arguments')
    .option('--svg <file>', 'write the timeline as an SVG picture')
    .option('--html <file>', 'write the timeline and a table of the processes as an HTML page')
    .option('--no-text', 'do not print the tree and the timeline')
    .option('--linger <seconds>', 'how long to go on watching processes that outlive the script', '2')
    .passThroughOptions()
    .action(async (script: string, args: string[], options: Options) => {
      process.exitCode = await trace(script, args, options);
    });
}

async function trace(script: string, args: readonly string[], options: Options): Promise<number> {
  if (!existsSync(script)) throw new UsageError(`there is no script ${script}`);
  const linger = Number(options.linger) * 1000;
  if (!(linger >= 0)) throw new UsageError(`--linger takes a number of seconds, not '${options.linger}'`);
  const { events, exitCode } = await recordScript(script, args, linger);
  const trace = buildTrace(events);
  const title = ['node', basename(script), ...args].join(' ');
  if (options.text) console.log(`\n=== trace of ${title}: ${renderText(trace, process.stdout.columns ?? 100)}`);
  if (options.svg !== undefined) writeFileSync(options.svg, renderSvg(trace, title));
  if (options.html !== undefined) writeFileSync(options.html, renderHtml(trace, title));
  return exitCode;
}
