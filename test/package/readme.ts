/** Read the README as a new user does: the first program in it, and what it is said to print. */

export interface Example {
  readonly code: string;
  /** The text block that follows the program. */
  readonly output: string;
  /** What the file has to be called for Node to take it for what it is. */
  readonly extension: '.mjs' | '.cjs';
}

/** The first JavaScript block of a README and the next block after it. */
export function firstExample(readme: string): Example {
  const blocks = [...readme.matchAll(/^```(\w*)[^\n]*\n(.*?)^```$/gms)].map(([, language, text]) => ({
    language: language as string,
    text: text as string,
  }));
  const at = blocks.findIndex(({ language }) => ['js', 'mjs', 'cjs', 'javascript'].includes(language));
  const [program, output] = blocks.slice(at, at + 2);
  if (at < 0 || program === undefined) throw new Error('the README has no JavaScript block');
  if (output === undefined || !['', 'text', 'console', 'txt'].includes(output.language)) {
    throw new Error('the first JavaScript block of the README is not followed by a block with its output');
  }
  return {
    code: program.text,
    output: output.text,
    extension: /^import /m.test(program.text) ? '.mjs' : '.cjs',
  };
}

/** The same text with pids named by the order in which they first appear: they differ from run to run. */
export function withNumberedPids(text: string): string {
  const seen = new Map<string, string>();
  return text.replace(/\b\d{3,}\b/g, (pid) => {
    if (!seen.has(pid)) seen.set(pid, `#${seen.size + 1}`);
    return seen.get(pid) as string;
  });
}
