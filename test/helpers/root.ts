/** What an ordinary user may not do is tested as root only. */
export const isRoot = process.getuid?.() === 0;

/** The beginning of a command in namespaces of its own, for whoever runs the tests. unshare(1). */
export const unshare: readonly string[] = ['unshare', ...(isRoot ? [] : ['--map-root-user'])];

/** `test`, or `test.skip` where the tests do not run as root. */
export const asRoot: jest.It = isRoot ? test : test.skip;
