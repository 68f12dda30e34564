/**
 * A `Process` among the arguments and fields of one that is started by 'spawn' or 'forkserver'. The one that is started is
 * itself in the new process. Another one arrives much as a forked child sees it: the object of another process, which tells
 * its name and pid and can be neither started nor joined; what it is to run stays behind. Messages take none, as Python
 * pickles none.
 */
import { InvalidMessageError } from '../errors';
import { registerHandle } from '../ipc/handles';
import { Unclonable } from '../ipc/unclonable';
import { describeFunction } from './importable';
import type { StartMethod } from './popen';
import { kState, Process, ProcessState } from './process';
import { processClass } from './process-classes';

interface Sent {
  /** A function: no message that takes none has one, and none of these. */
  readonly Class: typeof Process;
  readonly startMethod: StartMethod | undefined;
  readonly state: ProcessState;
}

/** The process whose belongings are written or read. */
let owner: Process | undefined;

/** Write or read what belongs to a process. */
export function belongingTo<T>(process: Process, call: () => T): T {
  const before = owner;
  owner = process;
  try {
    return call();
  } finally {
    owner = before;
  }
}

registerHandle<Process>({
  tag: 'Process',
  Class: Process,
  reduce(process, { takesFunctions }): Sent | null {
    if (process === owner) return null;
    if (!takesFunctions) throw new Unclonable(process, 'a Process, which works in its own process only');
    const Class = process.constructor as typeof Process;
    return {
      Class: isImportable(Class) ? Class : Process,
      startMethod: Class.startMethod,
      state: { ...process[kState](), args: [], kwargs: undefined, target: undefined },
    };
  },
  revive(data) {
    const sent = data as Sent | null;
    const process = sent === null ? owner : another(sent);
    if (process === undefined)
      throw new InvalidMessageError('The message refers to a process that it does not belong to');
    return process;
  },
});

function isImportable(Class: object): boolean {
  return describeFunction(Class as () => unknown) !== undefined;
}

function another({ Class, startMethod, state }: Sent): Process | undefined {
  if (Class !== Process && !(Class.prototype instanceof Process)) return undefined;
  return Reflect.construct<[ProcessState], Process>(
    Process,
    [new ProcessState(state)],
    Class === Process ? processClass(startMethod) : Class,
  );
}
