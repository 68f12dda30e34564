/**
 * What a process that is not a copy of its creator gets from it: who it is, what to run, on what. One message, complete or
 * refused before anything is started.
 */
import { DataCloneError, ProcessError } from '../errors';
import { mainGlobal } from '../main-context';
import { kPrepareSend, type Connection } from '../ipc/connection';
import { describeFunction, loadFunction, notImportable, type Importable } from './importable';
import { log, logsToStderr } from './logger';
import type { StartMethod } from './popen';
import { Process, ProcessState } from './process';
import { processClass } from './process-classes';
import { registry } from './registry';
import { chosenStartMethod } from './start-method';
import { preloadedModules } from './preload';

/** The message. */
export interface Preparation extends Omit<ProcessState, 'target'> {
  /** The default start method of the creator, if it was chosen. */
  readonly startMethod: StartMethod | undefined;
  /** That of the object's class. */
  readonly classMethod: StartMethod | undefined;
  /** The class of the object, if it is one of the user's. */
  readonly Class: Importable | undefined;
  /** Properties of the object. */
  readonly fields: Record<string, unknown>;
  readonly target: Importable | undefined;
  readonly argv: readonly string[];
  readonly folder: string;
  readonly logLevel: number;
  readonly logsToStderr: boolean;
  readonly preload: readonly string[];
}

/** Describe a process that is about to be started. */
export function prepare(process: Process, method: StartMethod): Preparation {
  const { target, ...state } = process.state();
  const Class = process.constructor as typeof Process;
  const { startMethod: classMethod } = Class;
  const isOurs = Class === Process || Class === processClass(classMethod);
  return {
    ...state,
    startMethod: chosenStartMethod(),
    classMethod,
    Class: isOurs ? undefined : importable(Class, `The class of ${state.name}`, method),
    fields: { ...process },
    target: target === undefined ? undefined : importable(target, `The target of ${state.name}`, method),
    argv: mainGlobal.process.argv,
    folder: mainGlobal.process.cwd(),
    logLevel: log.level,
    logsToStderr: logsToStderr(),
    preload: preloadedModules(),
  };
}

function importable(fn: object, what: string, method: StartMethod): Importable {
  const found = describeFunction(fn as () => unknown);
  if (found === undefined) throw notImportable(what, fn as () => unknown, method);
  return found;
}

/**
 * Make the message for a process, to be sent by the call that is given back.
 *
 * @throws `ERR_NOT_IMPORTABLE` target or class; {@link DataCloneError} an argument or a field; `ERR_PROCESS_BOOTSTRAPPING`.
 */
export function prepareSend(connection: Connection, process: Process, method: StartMethod): () => void {
  if (registry.isLoading) {
    throw new ProcessError(
      `A process was started by start method '${method}' while its parent, itself such a process, was still loading the ` +
        'module of its target: the module starts processes whenever it is loaded. Have it do so in the main program ' +
        'only: if (parentProcess() === null) { ... }, or if (require.main === module) { ... }',
      { code: 'ERR_PROCESS_BOOTSTRAPPING' },
    );
  }
  const preparation = prepare(process, method);
  try {
    return connection[kPrepareSend](preparation);
  } catch (error) {
    if (!(error instanceof DataCloneError)) throw error;
    throw new DataCloneError(
      `${error.message.replace(/^value\.(fields\.)?/, '')}: ${process.name} is started by '${method}', which sends ` +
        "arguments and fields to the new process; the start method 'fork' takes any",
      { cause: error },
    );
  }
}

/** In the new process: the object that describes itself, its module loaded if that is what it takes. */
export async function revive({ Class, target, fields, ...rest }: Preparation): Promise<Process> {
  const ProcessClass =
    Class === undefined ? processClass(rest.classMethod) : ((await loadFunction(Class)) as unknown as typeof Process);
  const run = target === undefined ? undefined : await loadFunction(target);
  const state = new ProcessState({ ...rest, target: run });
  // The class's own constructor does not run: its work was done in the creator, and came as fields.
  const process: Process = Reflect.construct<[ProcessState], Process>(Process, [state], ProcessClass);
  return Object.assign(process, fields);
}
