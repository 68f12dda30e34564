/** In the server: Barrier. */
import { BrokenBarrierError } from '../../errors';
import { readWait } from '../../sync/options';
import { validateFunction, validateInteger } from '../../validate';
import { caller, type Caller } from '../caller';
import { WaitingLine } from '../waiting-line';

interface Options {
  readonly action?: unknown;
  readonly timeout?: number | null;
}

export class BarrierReferent {
  readonly parties: number;
  readonly #action: (() => unknown) | undefined;
  readonly #timeout: number;
  #state: 'filling' | 'acting' | 'broken' = 'filling';
  #round = 0;
  #line = new WaitingLine<void>();
  /** Those who come while the action of the round before runs. */
  readonly #later = new WaitingLine<void>();

  constructor(parties: unknown, action?: unknown, timeout?: unknown) {
    validateInteger(parties, 'parties', 1, 2147483647);
    const options: Options =
      typeof action === 'object' && action !== null ? action : { action, timeout: timeout as number | null };
    if (options.action != null) validateFunction(options.action, 'action');
    this.parties = parties;
    this.#action = options.action ?? undefined;
    this.#timeout = readWait({ timeout: options.timeout }).timeout;
  }

  get nWaiting(): number {
    return this.#state === 'filling' ? this.#line.length : 0;
  }

  get broken(): boolean {
    return this.#state === 'broken';
  }

  wait(timeout: number, who: Caller = caller()): number | Promise<number> {
    if (this.#state === 'broken') throw new BrokenBarrierError();
    const limit = timeout < 0 ? this.#timeout : timeout;
    if (this.#state === 'acting') return this.#waitLater(limit, who);
    const index = this.#line.length;
    if (index + 1 < this.parties) {
      const giveUp = { onTimeout: () => this.#fail(), onCancel: () => this.abort() };
      return this.#line.wait(limit, giveUp, who).then(() => index);
    }
    if (this.#action === undefined) {
      this.#next('filling');
      return index;
    }
    return this.#act(this.#action, index);
  }

  reset(): void {
    this.#breakLine();
    this.#next('filling');
  }

  abort(): void {
    this.#breakLine();
    this.#next('broken');
  }

  async #waitLater(timeout: number, who: Caller): Promise<number> {
    await this.#later.wait(timeout, { onTimeout: () => this.#fail(), onCancel: () => this.abort() }, who);
    return this.wait(timeout, who);
  }

  async #act(action: () => unknown, index: number): Promise<number> {
    this.#state = 'acting';
    const round = this.#round;
    try {
      await action();
    } catch (error) {
      if (round === this.#round) this.abort();
      throw error;
    }
    if (round !== this.#round) throw new BrokenBarrierError(); // abort() or reset() meanwhile
    this.#next('filling');
    return index;
  }

  #fail(): never {
    this.abort();
    throw new BrokenBarrierError();
  }

  #breakLine(): void {
    const line = this.#line;
    this.#line = new WaitingLine();
    line.rejectAll(() => new BrokenBarrierError());
  }

  #next(state: 'filling' | 'broken'): void {
    const passed = this.#line;
    this.#line = new WaitingLine();
    this.#round += 1;
    this.#state = state;
    passed.serveAll();
    if (state === 'broken') this.#later.rejectAll(() => new BrokenBarrierError());
    else this.#later.serveAll();
  }
}
