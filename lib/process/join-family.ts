/** Loaded first in a process that joins a family by exec: where its memory is, before anything else asks for it. */
import { arenaSource } from '../shared/arena-source';

const [, , , fd = '-1', slot = '-1'] = process.argv;
arenaSource.fd = Number(fd);
arenaSource.slot = Number(slot);
