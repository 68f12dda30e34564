/**
 * The program that one demonstration runs in: `node run.js NAME`, started by `realfork demo` in a session of its own.
 *
 * Nothing it makes outlives it: each process of a demonstration has the kernel kill it when its parent dies, beginning
 * with this one, whose parent is the command. Status: 0 as the lesson says, 1 otherwise.
 */
import { getpid, getppid, kill, registerAtFork, setParentDeathSignal } from '../index';
import { demos } from './index';
import { format } from './format';
import { print } from './stage';

/** prctl(2), PR_SET_PDEATHSIG: the setting is not inherited, and a parent that died before it sends nothing. */
function dieWithParent(parent: number): void {
  if (process.platform !== 'linux') return;
  setParentDeathSignal('SIGKILL');
  if (getppid() !== parent) kill(getpid(), 'SIGKILL');
}

function dieWithParents(): void {
  dieWithParent(Number(process.env['REALFORK_DEMO_PARENT'] ?? getppid()));
  let parent = getpid();
  registerAtFork({
    before: () => (parent = getpid()),
    afterInChild: () => dieWithParent(parent),
  });
}

async function main(name: string | undefined): Promise<void> {
  const demo = demos.find((candidate) => candidate.name === name);
  if (demo === undefined) throw new Error(`no demonstration named ${name}`);
  dieWithParents();
  const root = getpid();
  try {
    format.section('What it does', demo.plan);
    format.heading('What the kernel shows');
    await demo.run();
    if (getpid() !== root) throw new Error('a child came back from the demonstration');
    format.section('What it means', demo.lesson);
  } catch (error) {
    print(`FAILED in process ${getpid()}: ${(error as Error).stack}`);
    process.exit(1);
  }
}

void main(process.argv[2]);
