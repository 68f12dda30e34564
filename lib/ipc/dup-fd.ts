/** A descriptor inside a message. */
import { native } from '../native';
import { ProcessError } from '../errors';
import { validateFd } from '../validate';
import { registerHandle } from './handles';

/** Closes what came and was never taken. */
const untaken = new FinalizationRegistry((fd: number) => native.closeFd(fd));

/**
 * A descriptor as a part of a message: the receiver gets one of its own for the same open file.
 *
 * @example
 * ```js
 * connection.sendSync({ log: new DupFd(fs.openSync('app.log', 'a')) });
 * // in the other process
 * const { log } = connection.recvSync();
 * fs.writeSync(log.detach(), 'one line\n');
 * ```
 * @see multiprocessing.reduction.DupFd, unix(7) SCM_RIGHTS
 */
export class DupFd {
  #fd: number;

  /**
   * @param fd - A descriptor of this process, which stays the caller's.
   */
  constructor(fd: number) {
    validateFd(fd);
    this.#fd = fd;
  }

  /**
   * Take the descriptor: from then on it is the caller's to close. One that came and is never taken is closed when the
   * object is collected as garbage.
   */
  detach(): number {
    const fd = this.#fd;
    if (fd < 0) throw new ProcessError('The descriptor was taken already', { code: 'ERR_FD_TAKEN' });
    this.#fd = -1;
    untaken.unregister(this);
    return fd;
  }

  static {
    registerHandle<DupFd>({
      tag: 'fd',
      Class: DupFd,
      reduce(object, sink) {
        if (object.#fd < 0) throw new ProcessError('The descriptor was taken already', { code: 'ERR_FD_TAKEN' });
        return sink.fd(object.#fd);
      },
      revive(data, source) {
        const received = new DupFd(source.fd(data as number));
        untaken.register(received, received.#fd, received);
        return received;
      },
    });
  }
}
