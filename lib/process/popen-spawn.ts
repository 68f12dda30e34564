/** Start method 'spawn': a fresh Node, which is told by one message what to run. */
import { isPeerGone } from '../errors';
import { Pipe } from '../ipc/pipe';
import { startNode } from './new-node';
import { provideStartMethod } from './popen';
import { ForkedChild } from './popen-fork';
import { prepareSend } from './preparation';
import { kKeepsLoopAlive } from './process';

provideStartMethod('spawn', (process, onEnd) => {
  const [ours, theirs] = Pipe();
  try {
    const send = prepareSend(ours, process, 'spawn');
    const child = new ForkedChild(startNode('process', theirs.fileno()), process[kKeepsLoopAlive], onEnd);
    theirs.close();
    sendOrKill(send, child);
    return child;
  } finally {
    theirs.close();
    ours.close();
  }
});

/** Let the message go. A child that has ended without reading it tells so by its exit code. */
export function sendOrKill(
  send: () => void,
  child: { signal(signal: 'SIGKILL'): void; waitSync(ms: number): void },
): void {
  try {
    send();
  } catch (error) {
    if (isPeerGone(error)) return;
    child.signal('SIGKILL');
    child.waitSync(Infinity);
    throw error;
  }
}
