/** Start method 'fork': a clean child of this process, and the parent's hold on it. */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { PosixError } from '../errors';
import { native } from '../native';
import { emptyInChild } from '../posix/at-fork';
import { listen, Turn, unlisten, updateRef, type ChildSignalListener } from '../posix/child-signal';
import { claim, noteCollected, unclaim } from '../posix/children';
import { O_CLOEXEC } from '../posix/fd';
import { waitStatusToExitCode } from '../posix/status';
import { startClean } from './clean-child';
import { provideStartMethod } from './popen';
import { Child, UNKNOWN } from './popen-child';
import { kBootstrap, kInheritance, kKeepsLoopAlive, type Process } from './process';

const { ECHILD, ENOSYS, ESRCH } = constants.errno;

/** Sentinels of this process. A child has no use for them. */
const sentinels = emptyInChild(new Set<number>(), (fd) => closeSync(fd));

function closeSentinel(fd: number): void {
  if (sentinels.delete(fd)) closeSync(fd);
}
const abandoned = new FinalizationRegistry<number>(closeSentinel);

/** The parent's hold on a child of its own: reaps it, by pid, as soon as anybody looks. */
export class ForkedChild extends Child implements ChildSignalListener {
  readonly turn = Turn.Waiter;
  #sentinel: number | undefined;
  /** The other end of a sentinel that is a pipe. */
  #sentinelEnd: number | undefined;
  /** The watch of its pidfd in the loop; 0 when there is none, and SIGCHLD has to do. */
  #watch = 0;
  #listening = false;

  /** @param keepsLoopAlive - Whether the event loop stays alive until the child has ended. */
  constructor(pid: number, keepsLoopAlive: boolean, onEnd: (exitCode: number) => void) {
    super(pid, keepsLoopAlive, onEnd);
    claim(pid);
    const watch = native.watchPid(pid, () => this.#lookAgain());
    if (watch > 0) this.#watch = watch;
    else this.#listen(); // no pidfds, or no descriptor left
    this.updateRef();
  }

  onSignal(): void {
    this.poll();
  }

  get sentinel(): number {
    return (this.#sentinel ??= this.#openSentinel());
  }

  close(): void {
    if (this.#sentinel === undefined) return;
    abandoned.unregister(this);
    closeSentinel(this.#sentinel);
    this.#sentinel = undefined;
  }

  protected look(): void {
    this.#note(native.pollChild(this.pid, 0));
  }

  protected lookWithin(timeout: number): void {
    this.#note(native.awaitChild(this.pid, timeout === Infinity ? -1 : timeout));
  }

  #lookAgain(): void {
    if (this.poll() !== null) return;
    // Ended, but held back by a tracer, ptrace(2): the descriptor stays readable all the while.
    this.unwatch();
    this.#listen();
  }

  #note(status: number | null): void {
    if (status === null) return;
    if (status < 0 && status !== -ECHILD) throw new PosixError(status, 'waitpid', { pid: this.pid });
    noteCollected(this.pid);
    unclaim(this.pid);
    if (this.#sentinelEnd !== undefined) closeSync(this.#sentinelEnd);
    this.ended(status < 0 ? UNKNOWN : waitStatusToExitCode(status));
  }

  #listen(): void {
    this.#listening = true;
    listen(this);
    this.poll(); // an end before the listening
  }

  protected unwatch(): void {
    if (this.#watch > 0) native.unwatch(this.#watch);
    this.#watch = 0;
    if (this.#listening) unlisten(this);
    this.#listening = false;
  }

  protected updateRef(): void {
    if (this.#watch > 0) native.refWatch(this.#watch, this.keepsLoopAlive);
    if (this.#listening) updateRef();
  }

  #openSentinel(): number {
    let fd = this.poll() === null ? native.openPidFd(this.pid) : -ESRCH;
    if (fd === -ESRCH || fd === -ENOSYS) {
      // A pipe that nobody can write to is readable for ever. Without pidfds its other end is closed when the end is seen.
      const [read, write] = native.pipe2(O_CLOEXEC, 'pipe2');
      if (fd === -ESRCH) closeSync(write);
      else this.#sentinelEnd = write;
      fd = read;
    }
    if (fd < 0) throw new PosixError(fd, 'pidfd_open', { pid: this.pid });
    sentinels.add(fd);
    abandoned.register(this, fd, this);
    return fd;
  }
}

/** What is searched for sockets and servers to keep: the arguments, and the fields of a subclass. */
function heldBy(process: Process): unknown[] {
  return [...process[kInheritance](), ...(Object.values(process) as unknown[])];
}

provideStartMethod('fork', (process, onEnd) => {
  const pid = startClean(process[kBootstrap].bind(process), process.name, heldBy(process));
  return new ForkedChild(pid, process[kKeepsLoopAlive], onEnd);
});
