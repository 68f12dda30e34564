/** Assertions that tsc checks; at run time they do nothing. */

/** True for two types that are the same, not only assignable to each other. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Does not compile unless its argument is `true`, as in `type _ = Expect<Same<A, B>>`. */
export type Expect<T extends true> = T;
