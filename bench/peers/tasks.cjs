// The tasks, for piscina, tinypool and jest-worker. CommonJS, the kind of module that all three load fastest.
exports.noop = () => 7;
exports.echo = (x) => x;
