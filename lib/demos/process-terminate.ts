import { Process, Queue } from '../multiprocessing';
import type { Demo } from './demo';
import { check, print, printProcesses } from './stage';

export const processTerminate: Demo = {
  name: 'process-terminate',
  title: 'isAlive(), terminate() and kill()',
  plan: `Start a process that would run for ever, look at it, terminate it, look again. Do the same with one that ignores SIGTERM.`,
  lesson: `A Process is alive from start() until its end, and its exit code is null for so long. terminate() sends SIGTERM, which the child may
    catch to clean up; kill() sends SIGKILL, which nobody can. The exit code is then the negative number of the signal. Looking at it after
    join() shows no zombie: join() has reaped it.`,

  async run() {
    const said = new Queue<string>();
    const forEver = () => {
      setInterval(() => undefined, 60_000);
      said.putSync('ready');
      return new Promise<never>(() => undefined);
    };
    const show = (worker: Process, when: string) =>
      print(`${when.padEnd(17)} isAlive() ${String(worker.isAlive()).padEnd(5)} exitCode ${worker.exitCode}`);

    const polite = new Process({ target: forEver });
    show(polite, 'before start()');
    polite.start();
    said.getSync();
    show(polite, 'after start()');
    polite.terminate();
    await polite.join();
    show(polite, 'after terminate()');

    const stubborn = new Process({
      target: () => {
        process.on('SIGTERM', () => said.putSync('caught'));
        return forEver();
      },
    });
    stubborn.start();
    said.getSync();
    stubborn.terminate();
    check(said.getSync() === 'caught', 'it has caught the signal');
    show(stubborn, 'SIGTERM caught');
    stubborn.kill();
    await stubborn.join();
    show(stubborn, 'after kill()');
    printProcesses([
      [polite.pid as number, 'the polite one'],
      [stubborn.pid as number, 'the stubborn one'],
    ]);
    check(polite.exitCode === -15 && stubborn.exitCode === -9, 'exit codes -15 and -9');
  },
};
