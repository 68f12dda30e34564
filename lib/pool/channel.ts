/** The pool's end of the socket to a worker. */
import { closeSync } from 'node:fs';
import { native } from '../native';
import { FrameReader, type Frame } from './frames';
import { EAGAIN, READABLE, send, WRITABLE } from './socket';

export class Channel {
  readonly reader = new FrameReader();
  /** The worker's end is closed, and everything it sent has been read. */
  ended = false;
  readonly #watch: number;
  #open = true;
  /** What the socket had no room for. */
  #backlog: Uint8Array[] = [];
  /** So much of the first of it has gone. */
  #sent = 0;

  constructor(
    readonly fd: number,
    onReady: (events: number) => void,
  ) {
    this.#watch = native.watchDescriptor(fd, READABLE, onReady);
    if (this.#watch > 0) native.refWatch(this.#watch, false);
  }

  /** What poll(2), or libuv, should wait for. */
  get events(): number {
    return (this.ended ? 0 : READABLE) | (this.#backlog.length > 0 ? WRITABLE : 0);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Send frames; what does not go at once goes when there is room. */
  write(frames: readonly Frame[]): void {
    if (!this.#open) return;
    let next = 0;
    while (next < frames.length && this.#backlog.length === 0) {
      const { bytes, at, size } = frames[next++] as Frame;
      let end = at + size;
      // Frames of tasks that were handed in one after the other lie so in memory: they go in one send(2).
      for (let frame = frames[next]; frame?.bytes === bytes && frame.at === end; frame = frames[++next])
        end += frame.size;
      this.#writeRun(bytes, at, end);
    }
    if (this.#backlog.length === 0) return;
    for (; next < frames.length; next++) {
      const { bytes, at, size } = frames[next] as Frame;
      this.#backlog.push(bytes.subarray(at, at + size));
    }
    this.#updateEvents();
  }

  #writeRun(bytes: Uint8Array, at: number, end: number): void {
    for (let from = at; from < end;) {
      const sent = send(this.fd, bytes, from, end - from);
      if (sent < 0) {
        // Also EPIPE: its end is about to be seen, and the tasks given to others.
        this.#backlog.push(bytes.subarray(from, end));
        return;
      }
      from += sent;
    }
  }

  /** There is room: send what has waited. */
  flush(): void {
    while (this.#backlog.length > 0) {
      const first = this.#backlog[0] as Uint8Array;
      const sent = send(this.fd, first, this.#sent, first.length - this.#sent);
      if (sent < 0) {
        if (sent !== EAGAIN) {
          this.#backlog = [];
          this.#sent = 0;
        }
        break;
      }
      this.#sent += sent;
      if (this.#sent < first.length) continue;
      this.#backlog.shift();
      this.#sent = 0;
    }
    this.#updateEvents();
  }

  /** Read once. False when nothing is there. */
  receive(): boolean {
    if (!this.#open || this.ended) return false;
    const got = this.reader.receive(this.fd);
    if (got > 0) return true;
    if (got !== EAGAIN) {
      this.ended = true;
      this.#updateEvents();
    }
    return false;
  }

  #updateEvents(): void {
    if (this.#open && this.#watch > 0) native.setWatchEvents(this.#watch, this.events);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#backlog = [];
    if (this.#watch > 0) native.unwatch(this.#watch);
    closeSync(this.fd);
  }
}
