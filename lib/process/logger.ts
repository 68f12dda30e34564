/** The log of this layer: silent until somebody listens, as in Python. */
import { inspect } from 'node:util';
import { runsInChild } from '../posix/precompile';
import { invalidType, invalidValue } from '../validate';
import { registry } from './registry';
import { writeError } from './stdio';

/** Python's levels, and those of `multiprocessing.util`. */
const levels = {
  NOTSET: 0,
  SUBDEBUG: 5,
  DEBUG: 10,
  INFO: 20,
  SUBWARNING: 25,
  WARNING: 30,
  ERROR: 40,
  CRITICAL: 50,
} as const;

/** The name of a {@link Logger}'s level. */
export type LogLevel = keyof typeof levels;

/** One line of the log, as handlers get it. */
export interface LogRecord {
  readonly level: number;
  readonly levelName: string;
  readonly message: string;
  readonly processName: string;
  readonly pid: number;
}

function levelNumber(level: unknown): number {
  if (typeof level === 'number') return level;
  if (typeof level !== 'string') throw invalidType('level', 'of type string or number', level);
  if (!Object.hasOwn(levels, level)) {
    throw invalidValue('level', `must be one of ${Object.keys(levels).join(', ')}`, level);
  }
  return levels[level as LogLevel];
}

/**
 * What `getLogger()` gives: tells its handlers of messages at its level and above.
 *
 * @see logging.Logger (Python)
 */
export class Logger {
  readonly name = 'multiprocessing';
  /** Messages below are dropped. Default: `'WARNING'`. */
  level: number = levels.WARNING;
  readonly handlers = new Set<(record: LogRecord) => void>();

  /** Set the least level, by its name or number. */
  setLevel(level: LogLevel | number): void {
    this.level = levelNumber(level) || levels.WARNING;
  }

  getEffectiveLevel(): number {
    return this.level;
  }

  isEnabledFor(level: LogLevel | number): boolean {
    return levelNumber(level) >= this.level;
  }

  addHandler(handler: (record: LogRecord) => void): void {
    this.handlers.add(handler);
  }

  removeHandler(handler: (record: LogRecord) => void): void {
    this.handlers.delete(handler);
  }

  log(level: LogLevel | number, ...message: unknown[]): void {
    const number = levelNumber(level);
    if (number < this.level || this.handlers.size === 0) return;
    const record: LogRecord = {
      level: number,
      levelName: Object.entries(levels).find(([, value]) => value === number)?.[0] ?? `Level ${number}`,
      message: message.map((part) => (typeof part === 'string' ? part : inspect(part))).join(' '),
      processName: registry.current?.name ?? '',
      pid: process.pid,
    };
    for (const handler of this.handlers) handler(record);
  }

  debug(...message: unknown[]): void {
    this.log(levels.DEBUG, ...message);
  }

  info(...message: unknown[]): void {
    this.log(levels.INFO, ...message);
  }

  warning(...message: unknown[]): void {
    this.log(levels.WARNING, ...message);
  }

  error(...message: unknown[]): void {
    this.log(levels.ERROR, ...message);
  }

  critical(...message: unknown[]): void {
    this.log(levels.CRITICAL, ...message);
  }
}

/** The one log of this process; children inherit its level and handlers. */
export const log = new Logger();
runsInChild(log.info, log.log, levelNumber);

/**
 * Give the logger to which this layer tells what it does.
 *
 * @returns The same one each time. It has no handler until one is added.
 * @example
 * ```js
 * getLogger().addHandler(({ levelName, message }) => console.log(levelName, message));
 * ```
 * @see multiprocessing.get_logger
 */
export function getLogger(): Logger {
  return log;
}

const toStderr = ({ levelName, processName, message }: LogRecord): void =>
  writeError(`[${levelName}/${processName}] ${message}\n`);

/** Whether the log is printed on standard error: for a process that is to do the same. */
export function logsToStderr(): boolean {
  return log.handlers.has(toStderr);
}

/**
 * Have the log printed on standard error, as `[INFO/Process-1] message`.
 *
 * @param level - The least level, by its name or number. Default: stays as it is.
 * @returns The logger.
 * @example
 * ```js
 * logToStderr('INFO');
 * ```
 * @see multiprocessing.log_to_stderr
 */
export function logToStderr(level?: LogLevel | number): Logger {
  if (level !== undefined) log.setLevel(level);
  log.addHandler(toStderr);
  return log;
}
