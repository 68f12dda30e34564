/**
 * A `Process` among the arguments and fields of another one. It arrives as what a forked child sees of it: the object of
 * another process, which tells its name and can be neither started nor joined. Messages take none, as Python pickles none.
 */
import { InvalidMessageError } from '../errors';
import { registerHandle } from '../ipc/handles';
import { Unclonable } from '../ipc/unclonable';
import type { StartMethod } from './popen';
import { Process, ProcessState } from './process';
import { processClass } from './process-classes';

interface Sent {
  /** A function: no message that takes none has one, and none of these. */
  readonly Class: typeof Process;
  readonly startMethod: StartMethod | undefined;
  readonly state: ProcessState;
  readonly fields: Readonly<Record<string, unknown>>;
}

registerHandle<Process>({
  tag: 'Process',
  Class: Process,
  reduce(process, { takesFunctions }): Sent {
    if (!takesFunctions) throw new Unclonable(process, 'a Process, which works in its own process only');
    const Class = process.constructor as typeof Process;
    const { startMethod } = Class;
    const isOurs = Class === processClass(startMethod);
    return { Class: isOurs ? Process : Class, startMethod, state: { ...process.state() }, fields: { ...process } };
  },
  revive(data) {
    const { Class, startMethod, state, fields } = data as Sent;
    if (Class !== Process && !(Class.prototype instanceof Process)) {
      throw new InvalidMessageError('a Process of a class that is none');
    }
    const ProcessClass = Class === Process ? processClass(startMethod) : Class;
    const process: Process = Reflect.construct<[ProcessState], Process>(
      Process,
      [new ProcessState(state)],
      ProcessClass,
    );
    return Object.assign(process, fields);
  },
});
