/** How the demonstrations look on a terminal: paragraphs of 96 columns, headings bold where there is a terminal. */
import { isatty } from 'node:tty';
import { print } from './stage';

const WIDTH = 94;
const usesColour = isatty(1) && process.env['NO_COLOR'] === undefined;

function bold(text: string): string {
  return usesColour ? `\u001b[1m${text}\u001b[22m` : text;
}

/** Break text at spaces; line breaks in it count as spaces. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.trim().split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export const format = {
  /** The line that a demonstration begins with. */
  title(position: string, name: string, title: string): string {
    return `\n${bold(`=== ${position}${name}: ${title}`)}`;
  },
  heading(text: string): void {
    print('');
    print(bold(text));
  },
  section(heading: string, text: string): void {
    format.heading(heading);
    for (const line of wrap(text)) print(line);
  },
};
