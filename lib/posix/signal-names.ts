/**
 * Signals as people write them and as the kernel counts them. Calls take names or numbers and give names, as Node's own
 * `'exit'` events do; only the functions of a wait status (`WTERMSIG`) and negative exit codes are numbers.
 */
import { constants } from 'node:os';
import { codedError } from '../errors';
import { invalidType, outOfRange, validateInt32 } from '../validate';
import { isIterable } from '../values';
import { runsInChild } from './precompile';

/** A real-time signal of Linux: `'SIGRTMIN'` is 34 with glibc, `'SIGRTMAX'` 64. */
export type RealTimeSignal = 'SIGRTMIN' | 'SIGRTMAX' | `SIGRTMIN+${number}` | `SIGRTMAX-${number}`;

/** A signal's name, such as `'SIGTERM'` or `'SIGRTMIN+3'`. */
export type SignalName = NodeJS.Signals | RealTimeSignal;

/** A signal as the calls of this package take it: its name or its number. */
export type Signal = SignalName | number;

const isLinux = process.platform === 'linux';
/** glibc keeps 32 and 33 for itself. */
const REAL_TIME_MIN = 34;
const LAST_SIGNAL = isLinux ? 64 : 31;

/** The first name of each number: SIGABRT before SIGIOT, SIGIO before SIGPOLL. */
const names = new Map<number, SignalName>();
for (const [name, value] of Object.entries(constants.signals)) {
  if (!names.has(value)) names.set(value, name as SignalName);
}

/** The name of a signal's number; a real-time signal's counts from SIGRTMIN. */
export function signalName(number: number): SignalName {
  const known = names.get(number);
  if (known !== undefined) return known;
  return number === REAL_TIME_MIN ? 'SIGRTMIN' : `SIGRTMIN+${number - REAL_TIME_MIN}`;
}

function realTimeNumber(name: string): number | undefined {
  const match = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (!isLinux || match === null) return undefined;
  const [, end, sign, digits = '0'] = match;
  if (sign !== undefined && sign !== (end === 'MIN' ? '+' : '-')) return undefined;
  const number = end === 'MIN' ? REAL_TIME_MIN + Number(digits) : LAST_SIGNAL - Number(digits);
  return number >= REAL_TIME_MIN && number <= LAST_SIGNAL ? number : undefined;
}

/**
 * The number of a signal given by name or number. Numbers are for the kernel to judge (`EINVAL`), as in `process.kill`;
 * an unknown name is Node's `ERR_UNKNOWN_SIGNAL`.
 */
export function signalNumber(signal: unknown, argument = 'signal'): number {
  if (typeof signal === 'number') {
    validateInt32(signal, argument);
    return signal;
  }
  if (typeof signal !== 'string') throw invalidType(argument, 'of type string or number', signal);
  const number = (constants.signals as Readonly<Record<string, number>>)[signal] ?? realTimeNumber(signal);
  if (number === undefined) throw codedError(TypeError, 'ERR_UNKNOWN_SIGNAL', `Unknown signal: ${signal}`);
  return number;
}

/** The numbers of a set of signals: an array, a `Set` or another iterable, not a single name. */
export function signalNumbers(signals: unknown, argument = 'signals'): number[] {
  if (!isIterable(signals)) {
    throw invalidType(argument, 'an array or another iterable of signals', signals);
  }
  return [...signals].map((signal, index) => {
    const number = signalNumber(signal, `${argument}[${index}]`);
    if (number < 1 || number > LAST_SIGNAL) {
      throw outOfRange(`${argument}[${index}]`, `>= 1 && <= ${LAST_SIGNAL}`, signal);
    }
    return number;
  });
}

runsInChild(signalNumber);
