/** Descriptors on the event loop: who wants to know that one is ready. The kernel's part is in native/poller.cc. */
import { PosixError } from '../errors';
import { native } from '../native';
import { registerAtFork } from '../posix/at-fork';

export const READABLE = 1;
export const WRITABLE = 2;

/** Something to be told once; add it again to be told again. */
export interface Interest {
  readonly fd: number;
  /** `READABLE`, `WRITABLE` or both; a hang-up or an error counts as either. */
  readonly events: number;
  /** Runs on a turn of the event loop. */
  onReady(): void;
  /** Runs in place of it when this process closes the descriptor. */
  onForgotten?(): void;
}

/**
 * To be called each time the kernel has told of something, after those whom it concerns. What Node reads itself it may have
 * read on the same turn, before the set could be asked: then nobody is told.
 */
export const woken = new Set<() => void>();

const wanted = new Map<number, Interest[]>();
/** Rises in a child, where the rest of a batch that the parent was told of means nothing. */
let generation = 0;
let open = false;

/**
 * Be told once when a descriptor is ready; the event loop lives until then.
 *
 * @throws {@link PosixError} `EBADF` it is not open. `EPERM` it is a regular file, which is always ready. `EMFILE`,
 * `ENFILE` there is no descriptor left for the first interest of this process.
 */
export function addInterest(interest: Interest): void {
  if (!open) {
    native.pollerOpen(onReady);
    open = true;
  }
  const others = wanted.get(interest.fd);
  let { events } = interest;
  if (others !== undefined) for (const other of others) events |= other.events;
  const failed = native.pollerArm(interest.fd, events);
  if (failed < 0) throw new PosixError(failed, 'epoll_ctl', { fd: interest.fd });
  if (others === undefined) wanted.set(interest.fd, [interest]);
  else others.push(interest);
}

/** Be told no more. `forget`: the descriptor is about to be closed, or belongs to somebody else. */
export function dropInterest(interest: Interest, forget = false): void {
  const interests = wanted.get(interest.fd);
  const index = interests?.indexOf(interest) ?? -1;
  if (interests === undefined || index < 0) return;
  interests.splice(index, 1);
  if (interests.length > 0) return;
  wanted.delete(interest.fd);
  native.pollerDisarm(interest.fd, forget);
}

/** The descriptor is about to be closed. */
export function forgetFd(fd: number): void {
  if (!open) return;
  const interests = wanted.get(fd) ?? [];
  wanted.delete(fd);
  native.pollerDisarm(fd, true);
  for (const interest of interests) interest.onForgotten?.();
}

function onReady(...fdsAndEvents: number[]): void {
  const batch = generation;
  for (let i = 0; i < fdsAndEvents.length && batch === generation; i += 2) {
    tell(fdsAndEvents[i] as number, fdsAndEvents[i + 1] as number);
  }
  for (const look of [...woken]) look();
}

function tell(fd: number, events: number): void {
  const interests = wanted.get(fd);
  if (interests === undefined) return;
  const ready = interests.filter((interest) => (interest.events & events) !== 0);
  const others = interests.filter((interest) => (interest.events & events) === 0);
  if (others.length === 0) {
    wanted.delete(fd);
  } else {
    wanted.set(fd, others);
    native.pollerArm(
      fd,
      others.reduce((all, other) => all | other.events, 0),
    );
  }
  for (const interest of ready) interest.onReady();
}

registerAtFork({
  afterInChild() {
    if (!open) return;
    generation += 1;
    wanted.clear();
    native.pollerAbandon();
  },
});
