/** Where a process started by exec gets its family's arena from: set before `arena.ts` is loaded. */
export const arenaSource = {
  /** The descriptor of the family's arena; -1: this process begins a family of its own. */
  fd: -1,
  /** The slot in it that was reserved for this process; -1: none. */
  slot: -1,
};
