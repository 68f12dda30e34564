/** In the server: its objects, and who refers to them. An object without a reference is forgotten. */
import type { HoldToken } from './protocol';

/** An object of a server. */
export interface Entry {
  readonly id: number;
  readonly typeid: string;
  readonly kind: string;
  readonly object: object;
  readonly methods: ReadonlySet<string>;
  readonly methodToTypeid: Readonly<Record<string, string>>;
  /** References of sessions, and on their way between processes. */
  references: number;
}

/** The references of one client. */
export class Holdings {
  readonly counts = new Map<number, number>();
  /** Up to where its holds have been seen. */
  lastHold = 0;
  /** Holds that arrived at their goal before they were seen here. */
  readonly early = new Set<number>();
  /** References that it has sent to others. */
  readonly holds = new Map<number, number>();

  constructor(readonly session: string) {}
}

/** So long is a reference kept whose sender has ended before anybody has received it. */
const ORPHAN_MS = 60_000;

export class Objects {
  readonly #entries = new Map<number, Entry>();
  readonly #ids = new WeakMap<object, number>();
  readonly #holdings = new Map<string, Holdings>();
  #lastId = 0;

  get size(): number {
    return this.#entries.size;
  }

  all(): Entry[] {
    return [...this.#entries.values()];
  }

  get(id: number): Entry | undefined {
    return this.#entries.get(id);
  }

  /** Its entry, when the object has one of that type. */
  known(object: object, typeid: string): Entry | undefined {
    const entry = this.#entries.get(this.#ids.get(object) ?? 0);
    return entry?.typeid === typeid ? entry : undefined;
  }

  add(entry: Omit<Entry, 'id' | 'references'>): Entry {
    const made: Entry = { ...entry, id: ++this.#lastId, references: 0 };
    this.#entries.set(made.id, made);
    this.#ids.set(made.object, made.id);
    return made;
  }

  /** A client gets one more reference. */
  refer(holdings: Holdings, id: number, count = 1): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.references += count;
    holdings.counts.set(id, (holdings.counts.get(id) ?? 0) + count);
  }

  /** A client gives references back. */
  drop(holdings: Holdings, id: number, count: number): void {
    const had = holdings.counts.get(id) ?? 0;
    const given = Math.min(had, count);
    if (had === given) holdings.counts.delete(id);
    else holdings.counts.set(id, had - given);
    this.#release(id, given);
  }

  open(session: string, copyOf?: Holdings): Holdings {
    const holdings = new Holdings(session);
    this.#holdings.set(session, holdings);
    for (const [id, count] of copyOf?.counts ?? []) this.refer(holdings, id, count);
    return holdings;
  }

  /** A client has ended. What it has sent and nobody received yet is kept for a while. */
  close(holdings: Holdings): void {
    for (const [id, count] of holdings.counts) this.#release(id, count);
    holdings.counts.clear();
    const end = (): void => {
      this.#holdings.delete(holdings.session);
      for (const id of holdings.holds.values()) this.#release(id, 1);
    };
    if (holdings.holds.size === 0) end();
    else setTimeout(end, ORPHAN_MS).unref();
  }

  /** A client has put a reference into a message. */
  hold(holdings: Holdings, serial: number, id: number): void {
    holdings.lastHold = serial;
    if (holdings.early.delete(serial)) return; // it has arrived already
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.references += 1;
    holdings.holds.set(serial, id);
  }

  /** A client has received a reference: that of a message, or one that it has inherited. */
  claim(holdings: Holdings, id: number, count: number, token: HoldToken | undefined): void {
    this.refer(holdings, id, count);
    const sender = token === undefined ? undefined : this.#holdings.get(token[0]);
    if (token === undefined || sender === undefined) return;
    const [, serial] = token;
    if (serial > sender.lastHold) sender.early.add(serial);
    else if (sender.holds.delete(serial)) this.#release(id, 1);
  }

  /** Forget an object that nobody refers to, if so. */
  sweep(id: number): void {
    this.#release(id, 0);
  }

  #release(id: number, count: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.references -= count;
    if (entry.references > 0) return;
    this.#entries.delete(id);
    dispose(entry.object);
  }

  /** At the end of the server. */
  clear(): void {
    const entries = this.all();
    this.#entries.clear();
    for (const { object } of entries) dispose(object);
  }
}

/** Pools and their like end what they have begun. */
function dispose(object: object): void {
  const { terminate } = object as { terminate?: unknown };
  if (typeof terminate === 'function') Reflect.apply(terminate, object, []);
}
