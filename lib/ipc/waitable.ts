/** What `wait()` can wait for. */

/** The method by which an object says how to wait for it. */
export const kWaitable = Symbol('realfork.waitable');

/** Ready when a descriptor is readable, or before that. */
export interface WaitableFd {
  readonly fd: number;
  /** Whether it is ready although nothing is to be read. */
  ready?(): boolean;
}

/** Ready when memory of the arena says so. */
export interface WaitableWord {
  /**
   * Say that somebody is about to wait: from then on whoever makes the object ready changes the word at `offset`, which is
   * `expected` until then, or wakes it.
   */
  announce(): { readonly offset: number; readonly expected: number };
  ready(): boolean;
  /** What to call when this process closes the object, if it can. */
  readonly onClose?: Set<() => void>;
}

export type Waitable = WaitableFd | WaitableWord;

/** An object that `wait()` can wait for. */
export interface WaitableObject {
  [kWaitable](): Waitable;
}
