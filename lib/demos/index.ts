/** The demonstrations, in the order of the guided tour. */
import type { Demo } from './demo';
import { execWithRedirection } from './exec-with-redirection';
import { folderCopy } from './folder-copy';
import { forkBomb } from './fork-bomb';
import { forkOnlyInParentThree } from './fork-only-in-parent-three';
import { nForks } from './n-forks';
import { orphan } from './orphan';
import { pipeBetweenTwoChildren } from './pipe-between-two-children';
import { poolApply } from './pool-apply';
import { poolManagerQueue } from './pool-manager-queue';
import { poolTenTasks } from './pool-ten-tasks';
import { processJoin } from './process-join';
import { processLock } from './process-lock';
import { processSubclass } from './process-subclass';
import { processTarget } from './process-target';
import { processTerminate } from './process-terminate';
import { queueFullAndEmpty } from './queue-full-and-empty';
import { queueWriterAndReader } from './queue-writer-and-reader';
import { sharedFileOffset } from './shared-file-offset';
import { stdioBufferTwice } from './stdio-buffer-twice';
import { twoForksFourProcesses } from './two-forks-four-processes';
import { variablesNotShared } from './variables-not-shared';
import { waitStatuses } from './wait-statuses';
import { whoAmI } from './who-am-i';
import { whoRunsFirst } from './who-runs-first';
import { zombie } from './zombie';

export type { Demo } from './demo';

export const demos: readonly Demo[] = [
  whoAmI,
  variablesNotShared,
  whoRunsFirst,
  twoForksFourProcesses,
  forkOnlyInParentThree,
  nForks,
  sharedFileOffset,
  stdioBufferTwice,
  waitStatuses,
  zombie,
  orphan,
  forkBomb,
  pipeBetweenTwoChildren,
  execWithRedirection,
  processTarget,
  processJoin,
  processTerminate,
  processSubclass,
  queueWriterAndReader,
  queueFullAndEmpty,
  processLock,
  poolTenTasks,
  poolApply,
  folderCopy,
  poolManagerQueue,
];
