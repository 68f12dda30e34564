/** In the server: Semaphore and BoundedSemaphore. */
import { codedError } from '../../errors';
import { validateInteger } from '../../validate';
import { WaitingLine } from '../waiting-line';

const MOST = 2147483647;

export class SemaphoreReferent {
  #value: number;
  protected most = MOST;
  readonly #line = new WaitingLine<boolean>();

  constructor(value: unknown = 1) {
    validateInteger(value, 'value', 0, MOST);
    this.#value = value;
  }

  acquire(timeout: number): boolean | Promise<boolean> {
    if (this.#value > 0) {
      this.#value -= 1;
      return true;
    }
    if (timeout === 0) return false;
    return this.#line.wait(timeout, { onTimeout: () => false });
  }

  release(n: unknown = 1): void {
    validateInteger(n, 'n', 1, MOST);
    if (this.#value + n > this.most) {
      throw codedError(
        Error,
        'ERR_SEMAPHORE_RELEASED_TOO_OFTEN',
        `release() would raise the semaphore above its highest, ${this.most}`,
      );
    }
    this.#value += n;
    while (this.#value > 0 && this.#line.serve(() => true)) this.#value -= 1;
  }

  getValue(): number {
    return this.#value;
  }

  locked(): boolean {
    return this.#value === 0;
  }
}

export class BoundedSemaphoreReferent extends SemaphoreReferent {
  constructor(value: unknown = 1) {
    super(value);
    this.most = this.getValue();
  }
}
