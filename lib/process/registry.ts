/** Who this process is in the tree of processes, and which children it has. */
import { randomBytes } from 'node:crypto';
import { emptyInChild } from '../posix/at-fork';
import { runsInChild } from '../posix/precompile';
import { onEndOfChildren } from './finalize';
import type { ParentProcess } from './parent-process';
import type { Process } from './process';

interface Registry {
  /** The object of this process. */
  current: Process | undefined;
  parent: ParentProcess | null;
  /** Processes made here so far: each gets the next number. */
  made: number;
  /** Whether the module of what this process is to run is still being loaded. */
  isLoading: boolean;
  /** Started here and not known to have ended. */
  readonly children: Set<Process>;
}

export const registry: Registry = {
  current: undefined,
  parent: null,
  made: 0,
  isLoading: false,
  children: emptyInChild(new Set<Process>()),
};

/** The key of a tree of processes, with which they prove to each other that they belong together. */
export const familyKey = randomBytes(32);

function endChildren(): void {
  for (const child of registry.children) if (child.daemon) child.terminate();
  for (const child of registry.children) child.joinSync();
}

onEndOfChildren(endChildren);
runsInChild(endChildren);
