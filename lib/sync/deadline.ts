/** The end of a wait that is made of several. */
export class Deadline {
  readonly #end: number;

  /** @param timeout - Milliseconds from now, -1: never. */
  constructor(timeout: number) {
    this.#end = timeout < 0 ? Infinity : performance.now() + timeout;
  }

  /** Milliseconds that are left, -1: any number. */
  left(): number {
    return this.#end === Infinity ? -1 : Math.max(0, this.#end - performance.now());
  }

  isOver(): boolean {
    return this.#end !== Infinity && performance.now() >= this.#end;
  }
}
