import { Pipe, Process, type Connection } from '../multiprocessing';
import type { Demo } from './demo';
import { check, print } from './stage';

/** Doubles numbers in a process of its own; the constructor makes the pipe, run() is what the child does. */
class Doubler extends Process {
  readonly #mine: Connection;
  readonly #childs: Connection;

  constructor() {
    super({ name: 'Doubler' });
    [this.#mine, this.#childs] = Pipe();
  }

  override run(): void {
    this.#mine.close();
    for (;;) {
      const request = this.#childs.recvSync<number | 'stop'>();
      if (request === 'stop') return;
      this.#childs.sendSync({ result: request * 2, pid: process.pid });
    }
  }

  ask(value: number): { result: number; pid: number } {
    this.#mine.sendSync(value);
    return this.#mine.recvSync<{ result: number; pid: number }>();
  }

  stop(): void {
    this.#mine.sendSync('stop');
  }
}

export const processSubclass: Demo = {
  name: 'process-subclass',
  title: 'a subclass of Process with its own run() and its own pipe',
  plan: `Define a class whose instances answer requests in a process of their own, ask one of them three times, and stop it.`,
  lesson: `What the constructor makes exists in both processes: the child has inherited the object, pipe included. Methods called by the parent
    run in the parent; run() alone is what the child does, and the process ends when it returns.`,

  async run() {
    const doubler = new Doubler();
    doubler.start();
    const answers = [1, 21, 500].map((value) => ({ value, ...doubler.ask(value) }));
    for (const { value, result, pid } of answers) print(`${doubler.name} (pid ${pid}): twice ${value} is ${result}`);
    doubler.stop();
    await doubler.join();
    print(`${doubler.name} ended with exit code ${doubler.exitCode}`);
    check(
      answers.every(({ value, result, pid }) => result === 2 * value && pid === doubler.pid),
      'answers of the child',
    );
    check(doubler.exitCode === 0, 'exit code 0');
  },
};
