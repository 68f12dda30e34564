/** How a copy is going, on stderr: a bar with percentage, rate and time left on a terminal, and lines elsewhere. */
import type * as CliProgress from 'cli-progress';
import { formatBytes, formatTime } from './format';

export interface Progress {
  /** So much has been copied by now. */
  update(bytes: number, files: number): void;
  /** Nothing more will come: leave the terminal as it was found. */
  stop(): void;
}

/** What there is to copy. */
export interface Total {
  readonly bytes: number;
  readonly files: number;
}

/** Give the progress report that suits stderr, or none. */
export async function startProgress(total: Total, quiet: boolean): Promise<Progress> {
  if (quiet || total.files === 0) return { update() {}, stop() {} };
  if (!process.stderr.isTTY) return new Lines(total);
  return new Bar(total, await import('cli-progress')); // loading it takes as long as copying hundreds of files
}

/** Bytes a second over the last moments, so that the rate follows what happens. */
class Rate {
  readonly #samples: [time: number, bytes: number][] = [[performance.now(), 0]];

  /** Bytes a second, counting what has just been reported. */
  add(bytes: number): number {
    const now = performance.now();
    const samples = this.#samples;
    samples.push([now, bytes]);
    while (samples.length > 2 && (samples[1] as [number, number])[0] < now - WINDOW) samples.shift();
    const [since, before] = samples[0] as [number, number];
    return now === since ? 0 : ((bytes - before) / (now - since)) * 1000;
  }
}

const WINDOW = 3000;
/** Milliseconds between two pictures of the bar. */
const REDRAW = 100;
/** A line for every so many percent. */
const STEP = 10;

/** Files count too, each as some bytes: a tree of empty files has progress, and an end at 100 %. */
const FILE_WEIGHT = 4096;

function portion(total: Total, bytes: number, files: number): number {
  return (bytes + FILE_WEIGHT * files) / (total.bytes + FILE_WEIGHT * total.files);
}

function wordsOf(total: Total, bytes: number, files: number, rate: number): Record<string, string> {
  const left = rate === 0 ? Infinity : ((total.bytes - bytes) / rate) * 1000;
  return {
    bytes: `${formatBytes(bytes)} of ${formatBytes(total.bytes)}`,
    files: `${files} of ${total.files} files`,
    rate: `${formatBytes(rate)}/s`,
    left: `${formatTime(left)} left`,
  };
}

class Bar implements Progress {
  readonly #total: Total;
  readonly #rate = new Rate();
  readonly #bar: CliProgress.SingleBar;
  #drawn = -Infinity;
  #last: [bytes: number, files: number] = [0, 0];

  constructor(total: Total, { Presets, SingleBar }: typeof CliProgress) {
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

class Lines implements Progress {
  readonly #total: Total;
  readonly #rate = new Rate();
  #next = STEP;

  constructor(total: Total) {
    this.#total = total;
  }

  update(bytes: number, files: number): void {
    const percent = Math.floor(100 * portion(this.#total, bytes, files));
    if (percent < this.#next) return;
    this.#next = percent - (percent % STEP) + STEP;
    const words = wordsOf(this.#total, bytes, files, this.#rate.add(bytes));
    console.error(
      `${String(percent).padStart(3)} %, ${words['bytes']}, ${words['files']}, ${words['rate']}, ${words['left']}`,
    );
  }

  stop(): void {}
}
