/** Which start method is the default: decided once. */
import { ProcessError } from '../errors';
import { invalidType, invalidValue } from '../validate';
import { runsInChild } from '../posix/precompile';
import type { StartMethod } from './popen';

/** What this host has, the default first. */
export function startMethods(): StartMethod[] {
  return process.platform === 'darwin' ? ['spawn', 'fork', 'forkserver'] : ['fork', 'spawn', 'forkserver'];
}

let chosen: StartMethod | undefined;

/** The method that was set, or else, from now on, the host's default. */
export function defaultStartMethod(): StartMethod {
  return (chosen ??= startMethods()[0] as StartMethod);
}

export function chosenStartMethod(): StartMethod | undefined {
  return chosen;
}

export function chooseStartMethod(method: StartMethod | null, force: boolean): void {
  if (chosen !== undefined && !force) {
    throw new ProcessError('The start method has been set already', { code: 'ERR_START_METHOD_SET' });
  }
  chosen = method ?? undefined;
}

export function validateStartMethod(method: unknown): asserts method is StartMethod {
  if (typeof method !== 'string') throw invalidType('method', 'of type string', method);
  if (!(startMethods() as string[]).includes(method)) {
    throw invalidValue('method', `must be one of ${startMethods().join(', ')}`, method);
  }
}

runsInChild(chooseStartMethod);
