/** The program of a fresh Node that `new-node.ts` starts; what it is handed stands there. */
import './process/join-family';
// All classes whose instances a message can hold.
import './multiprocessing';
import { Connection } from './ipc/connection';
import { runPrepared } from './process/bootstrap';
import { serve } from './process/fork-server';
import { CONTROL_FD, type Role } from './process/new-node';

const role = process.argv[2] as Role;
process.argv.splice(2);
const control = new Connection(CONTROL_FD);
if (role === 'forkserver') void serve(control);
else runPrepared(control);
