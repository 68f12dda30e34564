/** Runs `run(options)` of one benchmark module and prints its result: what `measured` of lib.mjs starts. */
const [moduleUrl, options] = process.argv.slice(2);
const { run } = await import(moduleUrl);
process.stdout.write(JSON.stringify(await run(JSON.parse(options))));
