/** In the server: Event. */
import { WaitingLine } from '../waiting-line';

export class EventReferent {
  #set = false;
  readonly #line = new WaitingLine<boolean>();

  isSet(): boolean {
    return this.#set;
  }

  set(): void {
    this.#set = true;
    this.#line.serveAll(true);
  }

  clear(): void {
    this.#set = false;
  }

  wait(timeout: number): boolean | Promise<boolean> {
    if (this.#set || timeout === 0) return this.#set;
    return this.#line.wait(timeout, { onTimeout: () => false });
  }
}
