/**
 * The end of the script while children still run: Python ends the daemonic ones first, and then waits for the others.
 *
 *     others only        they keep the event loop alive
 *     others, daemonic   nobody does: an empty loop ('beforeExit') is the end of the script. The daemonic ones are ended then,
 *                        and the others keep the loop alive again, so that what they need of this process goes on
 *     daemonic only      nobody does: the 'exit' that follows ends them (finalize.ts)
 */
import { mainGlobal } from '../main-context';
import { emptyInChild, registerAtFork } from '../posix/at-fork';
import type { Popen } from './popen';

/** Children that the loop is to live for. */
const others = emptyInChild(new Set<Popen>());
/** Children that are not to outlive the script. */
const daemonic = emptyInChild(new Set<Popen>());
let isListening = false;

/** A child that the loop is to live for has been started. */
export function noteOther(child: Popen): void {
  others.add(child);
  if (daemonic.size > 0) {
    child.holdLoop(false);
    listen();
  }
}

/** A child that is not to outlive the script has been started. */
export function noteDaemonic(child: Popen): void {
  daemonic.add(child);
  if (daemonic.size === 1) settle();
}

/** The end of a child has been seen. */
export function noteEnd(child: Popen): void {
  others.delete(child);
  if (daemonic.delete(child) && daemonic.size === 0) settle();
}

function settle(): void {
  for (const child of others) child.holdLoop(daemonic.size === 0);
  listen();
}

function listen(): void {
  const isWanted = others.size > 0 && daemonic.size > 0;
  if (isWanted === isListening) return;
  isListening = isWanted;
  if (isWanted) mainGlobal.process.on('beforeExit', onScriptEnd);
  else mainGlobal.process.off('beforeExit', onScriptEnd);
}

function onScriptEnd(): void {
  if (others.size === 0) return;
  const ending = [...daemonic];
  daemonic.clear();
  for (const child of ending) child.signal('SIGTERM');
  settle();
}

registerAtFork({ afterInChild: listen });
