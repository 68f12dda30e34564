// The same for workerpool, whose workers register their functions.
const { createRequire } = require('node:module');
createRequire(`${process.env.PEERS}/package.json`)('workerpool').worker({ noop: () => 7, echo: (x) => x });
