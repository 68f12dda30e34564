/**
 * The references of one process to the objects of one server. The server counts each that it sends; they are given back
 * together, when the proxy is garbage.
 */

interface Reference {
  readonly proxy: WeakRef<object>;
  count: number;
}

const collected = new FinalizationRegistry<{ readonly references: References; readonly id: number }>(
  ({ references, id }) => references.release(id),
);

export class References {
  readonly #byId = new Map<number, Reference>();
  readonly #drop: (id: number, count: number) => void;

  /** @param drop - Gives so many references to an object back. */
  constructor(drop: (id: number, count: number) => void) {
    this.#drop = drop;
  }

  /** One more reference has come; the proxy that there is for it. */
  receive(id: number, make: () => object): object {
    const known = this.#byId.get(id);
    const proxy = known?.proxy.deref();
    if (known !== undefined) known.count += 1;
    if (proxy !== undefined) return proxy;
    const made = make();
    this.#byId.set(id, { proxy: new WeakRef(made), count: known?.count ?? 1 });
    collected.register(made, { references: this, id });
    return made;
  }

  /** Give back what nobody uses any more. */
  release(id: number): void {
    const known = this.#byId.get(id);
    if (known === undefined || known.proxy.deref() !== undefined) return;
    this.#byId.delete(id);
    this.#drop(id, known.count);
  }

  /** In a process that the server sees for the first time: count from 1; the objects. */
  restart(): number[] {
    for (const [id, reference] of this.#byId) {
      if (reference.proxy.deref() === undefined) this.#byId.delete(id);
      else reference.count = 1;
    }
    return [...this.#byId.keys()];
  }
}
