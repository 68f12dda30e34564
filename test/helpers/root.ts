/** What an ordinary user may not do is tested as root only. */
export const isRoot = process.getuid?.() === 0;

/** `test`, or `test.skip` where the tests do not run as root. */
export const asRoot: jest.It = isRoot ? test : test.skip;
