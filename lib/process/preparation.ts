/**
 * What a process that is not a copy of its creator gets from it: who it is, what to run, on what. Complete or refused before
 * anything is started. Two messages, since functions are among what it runs on, and a function of an ES module is there only
 * some turns after its module was asked for:
 *
 *     preparation   who it is; module and name of its class, its target, and the functions that the next message refers to
 *     belongings    arguments and fields: received with the first, read when those modules are loaded
 */
import { DataCloneError, ProcessError } from '../errors';
import { mainGlobal } from '../main-context';
import { kPrepareSend, kReceiveUnread, type Connection, type Unread } from '../ipc/connection';
import { describeFunction, loadFunction, notImportable, numberIn, type Importable } from './importable';
import { log, logsToStderr } from './logger';
import type { StartMethod } from './popen';
import { kReceive, kState, Process, ProcessState } from './process';
import { processClass } from './process-classes';
import { registry } from './registry';
import { belongingTo } from './sent-process';
import { chosenStartMethod } from './start-method';
import { preloadedModules } from './preload';

/** The first message. */
export interface Preparation extends Omit<ProcessState, 'target' | 'args' | 'kwargs'> {
  /** The default start method of the creator, if it was chosen. */
  readonly startMethod: StartMethod | undefined;
  /** That of the object's class. */
  readonly classMethod: StartMethod | undefined;
  /** The class of the object, if it is one of the user's. */
  readonly Class: Importable | undefined;
  readonly target: Importable | undefined;
  /** The functions among its belongings, by their numbers there. */
  readonly functions: readonly Importable[];
  readonly argv: readonly string[];
  readonly folder: string;
  readonly logLevel: number;
  readonly logsToStderr: boolean;
  readonly preload: readonly string[];
}

/** The second. */
interface Belongings extends Pick<ProcessState, 'args' | 'kwargs'> {
  /** Properties of the object. */
  readonly fields: Record<string, unknown>;
}

/** Both, as they have come. */
export interface Received {
  readonly preparation: Preparation;
  readonly belongings: Unread;
}

/** Describe a process that is about to be started. */
function prepare(process: Process, method: StartMethod): [Omit<Preparation, 'functions'>, Belongings] {
  const { target, args, kwargs, ...state } = process[kState]();
  const Class = process.constructor as typeof Process;
  const { startMethod: classMethod } = Class;
  const isOurs = Class === Process || Class === processClass(classMethod);
  const preparation = {
    ...state,
    startMethod: chosenStartMethod(),
    classMethod,
    Class: isOurs ? undefined : importable(Class, `The class of ${state.name}`, method),
    target: target === undefined ? undefined : importable(target, `The target of ${state.name}`, method),
    argv: mainGlobal.process.argv,
    folder: mainGlobal.process.cwd(),
    logLevel: log.level,
    logsToStderr: logsToStderr(),
    preload: preloadedModules(),
  };
  return [preparation, { args, kwargs, fields: { ...process } }];
}

function importable(fn: object, what: string, method: StartMethod): Importable {
  const found = describeFunction(fn as () => unknown);
  if (found === undefined) throw notImportable(what, fn as () => unknown, method);
  return found;
}

/**
 * Make the messages for a process, to be sent by the call that is given back.
 *
 * @throws `ERR_NOT_IMPORTABLE` target or class; {@link DataCloneError} an argument or a field; `ERR_PROCESS_BOOTSTRAPPING`.
 */
export function prepareSend(connection: Connection, process: Process, method: StartMethod): () => void {
  if (registry.isLoading) {
    throw new ProcessError(
      `A process was started by start method '${method}' by one that is itself such a process, or a fork server, and still ` +
        'loads modules: one of these starts processes whenever it is loaded. Have it do so in the main program only: ' +
        'if (parentProcess() === null) { ... }, or if (require.main === module) { ... }',
      { code: 'ERR_PROCESS_BOOTSTRAPPING' },
    );
  }
  const [preparation, belongings] = prepare(process, method);
  const functions: Importable[] = [];
  try {
    const sendBelongings = belongingTo(process, () => connection[kPrepareSend](belongings, numberIn(functions)));
    const sendPreparation = connection[kPrepareSend]({ ...preparation, functions } satisfies Preparation);
    return () => {
      sendPreparation();
      sendBelongings();
    };
  } catch (error) {
    if (!(error instanceof DataCloneError)) throw error;
    throw new DataCloneError(
      `${error.message.replace(/^value\.(fields\.)?/, '')}: ${process.name} is started by '${method}', which sends ` +
        "arguments and fields to the new process; the start method 'fork' takes any",
      { cause: error },
    );
  }
}

/** In the new process: take both messages. Nothing is loaded yet. */
export function receive(connection: Connection): Received {
  const preparation = connection.recvSync<Preparation>();
  return { preparation, belongings: connection[kReceiveUnread]() };
}

/** In the new process: the object that describes itself, the modules loaded that it takes. */
export async function revive({ preparation, belongings }: Received): Promise<Process> {
  const { Class, target, functions, ...rest } = preparation;
  const ProcessClass =
    Class === undefined ? processClass(rest.classMethod) : ((await loadFunction(Class)) as unknown as typeof Process);
  const run = target === undefined ? undefined : await loadFunction(target);
  const loaded: unknown[] = [];
  for (const each of functions) loaded.push(await loadFunction(each));
  const state = new ProcessState({ ...rest, args: [], kwargs: undefined, target: run });
  // The class's own constructor does not run: its work was done in the creator, and came as fields.
  const process: Process = Reflect.construct<[ProcessState], Process>(Process, [state], ProcessClass);
  const { args, kwargs, fields } = belongingTo(process, () => belongings((number) => loaded[number])) as Belongings;
  process[kReceive](args, kwargs);
  return Object.assign(process, fields);
}
