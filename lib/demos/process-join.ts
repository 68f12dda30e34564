import { Process } from '../multiprocessing';
import { getpid } from '../index';
import type { Demo } from './demo';
import { Gate, Mailbox, check, print } from './stage';

export const processJoin: Demo = {
  name: 'process-join',
  title: 'with join() the parent waits, without it both run at the same time',
  plan: `Start a process and join it before going on; then start one and go on at once, joining it at the end.`,
  lesson: `start() returns as soon as the child exists, and what follows runs beside it. Whoever needs the child's work done calls join()
    first. A parent that forgets to join still waits for its children at its own end, unless they are daemonic: those it terminates.`,

  async run() {
    const said: string[] = [];
    const say = (text: string) => {
      said.push(text);
      print(`${text} (pid ${getpid()})`);
    };

    const first = new Process({ target: () => print(`  child 1 works (pid ${getpid()})`) });
    first.start();
    await first.join();
    say('after join(): child 1 has ended');
    check(first.exitCode === 0, 'child 1 ended with 0');

    // The gate holds child 2 until the parent has gone on, so that the order is shown and not left to chance.
    const gate = new Gate();
    const done = new Mailbox<string>();
    const second = new Process({
      target: () => {
        gate.wait();
        print(`  child 2 works (pid ${getpid()})`);
        done.send('child 2');
      },
    });
    second.start();
    say(`without join(): child 2 is ${second.isAlive() ? 'still alive' : 'gone'}`);
    gate.open();
    done.receive();
    await second.join();
    say('and now child 2 has ended');
    check(
      said[1] === 'without join(): child 2 is still alive' && second.exitCode === 0,
      'child 2 ran beside its parent',
    );
  },
};
