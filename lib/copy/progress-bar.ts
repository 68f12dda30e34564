/** The progress of a copy as a bar, on a terminal. */
import { Presets, SingleBar } from 'cli-progress';
import { portion, Rate, wordsOf, type Progress, type Total } from './progress';

/** Milliseconds between two pictures of it. */
const REDRAW = 100;

export class Bar implements Progress {
  readonly #total: Total;
  readonly #rate = new Rate();
  readonly #bar: SingleBar;
  #drawn = -Infinity;
  #last: [bytes: number, files: number] = [0, 0];

  constructor(total: Total) {
    this.#total = total;
    this.#bar = new SingleBar(
      {
        format: '{bar} {percentage} % | {bytes} | {files} | {rate} | {left}',
        fps: 1000 / REDRAW,
        stream: process.stderr,
        gracefulExit: false, // signals are the command's
        autopadding: true,
        hideCursor: true,
      },
      Presets.shades_classic,
    );
    this.#bar.start(1000, 0, wordsOf(total, 0, 0, 0));
  }

  update(bytes: number, files: number): void {
    this.#last = [bytes, files];
    if (performance.now() - this.#drawn >= REDRAW) this.#draw();
  }

  stop(): void {
    this.#draw();
    this.#bar.stop();
  }

  #draw(): void {
    const [bytes, files] = this.#last;
    this.#drawn = performance.now();
    const thousandths = Math.floor(1000 * portion(this.#total, bytes, files));
    this.#bar.update(thousandths, wordsOf(this.#total, bytes, files, this.#rate.add(bytes)));
  }
}
