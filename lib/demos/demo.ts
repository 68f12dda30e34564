/** What a demonstration is. Each one lives in a file of its own and is a program that a reader can follow top to bottom. */
export interface Demo {
  /** Its name on the command line: `realfork demo NAME`. */
  readonly name: string;
  readonly title: string;
  /** What it is about to do; printed before it runs. */
  readonly plan: string;
  /** What the evidence means; printed after it. */
  readonly lesson: string;
  /**
   * Do it, printing the evidence. Runs in a Node process of its own (`run.ts`). Throws when the kernel shows something
   * other than the lesson says.
   */
  run(): void | Promise<void>;
}
