/**
 * Messages between a process and the child it has forked, over a socket pair: JSON, one a line. The end of either process
 * is the end of the channel for the other one.
 */
import { Socket } from 'node:net';

/** One end. */
export class Channel<In, Out> {
  readonly #socket: Socket;
  #text = '';
  #isClosed = false;

  /** @param fd - Is closed with the channel. */
  constructor(fd: number, onMessage: (message: In) => void, onClose: () => void) {
    this.#socket = new Socket({ fd, readable: true, writable: true });
    this.#socket.setEncoding('utf8');
    this.#socket.on('data', (chunk: string) => {
      const lines = (this.#text + chunk).split('\n');
      this.#text = lines.pop() ?? '';
      for (const line of lines) onMessage(JSON.parse(line) as In);
    });
    // ECONNRESET, EPIPE: the other process has gone, which 'close' tells.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.#isClosed = true;
      onClose();
    });
    this.#socket.on('end', () => this.#socket.destroy());
  }

  /** Send, unless the other end has gone. */
  send(message: Out): void {
    if (!this.#isClosed && this.#socket.writable) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** Wait until what was sent has left, then close. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isClosed || this.#socket.destroyed) return resolve();
      this.#socket.once('close', () => resolve());
      this.#socket.end(() => this.#socket.destroy());
    });
  }

  /** Close at once. */
  close(): void {
    this.#socket.destroy();
  }

  /** Whether it keeps the event loop alive; it does at first. */
  unref(): void {
    this.#socket.unref();
  }
}
