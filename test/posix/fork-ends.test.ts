/**
 * One table of ways to end, each run twice: by an ordinary Node process and by a forked child. Exit status, signal,
 * stdout and stderr (Node's report of an uncaught error with its source line and stack) have to be the same.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot, runNode, script, type ProgramOptions } from '../helpers/program';

interface Ended {
  readonly code: number | null;
  readonly signal: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface EndCase {
  readonly name: string;
  /** What the process does; runs as the file `case.cjs` (or `.mjs`). */
  readonly source: string;
  readonly module?: 'cjs' | 'mjs';
  readonly nodeFlags?: readonly string[];
  /** What an ordinary process is known to do here: guards the table itself against both sides being wrong. */
  readonly expected: {
    readonly code?: number;
    readonly signal?: number;
    readonly stderr?: RegExp;
    readonly stdout?: RegExp;
  };
}

/** Signals by number, as they stand in a wait status. */
const SIGKILL = 9;
const SIGABRT = 6;
const SIGTERM = 15;
const signalNumbers: Readonly<Record<string, number>> = {
  SIGKILL,
  SIGABRT,
  SIGTERM,
  SIGSEGV: 11,
  SIGINT: 2,
  SIGTRAP: 5,
  SIGILL: 4,
};

/** Where the program forks; `here` is the statement that goes on with the case. */
const forkPoints: Readonly<Record<string, string>> = {
  'the top level': 'here();',
  'a timer': 'setTimeout(here, 1);',
  'an interval': 'const i = setInterval(() => { clearInterval(i); here(); }, 1);',
  'an immediate': 'setImmediate(here);',
  'a tick': 'process.nextTick(here);',
  'a microtask': 'queueMicrotask(here);',
  'an async function': '(async () => { await null; here(); })();',
  'an fs callback': "require('node:fs').stat('.', here);",
  'an fs promise': "(async () => { await require('node:fs').promises.stat('.'); here(); })();",
  'a signal handler': "process.once('SIGUSR2', here); process.kill(process.pid, 'SIGUSR2'); setTimeout(() => {}, 20);",
  'a network callback': `
    const net = require('node:net');
    const server = net.createServer((s) => { s.destroy(); }).listen(0, () => {
      const c = net.connect(server.address().port, () => { server.close(); c.destroy(); here(); });
      c.on('error', () => {});
    });`,
  'an event listener': "const e = new (require('node:events'))(); e.on('x', here); e.emit('x');",
  'a beforeExit listener': "process.once('beforeExit', here);",
};

/**
 * The program around a case. Ordinary: just runs it. Forked: runs it in a child and writes the child's status down. The
 * text is the same for both so that stacks are.
 */
function mainSource(point: string, module: 'cjs' | 'mjs'): string {
  const load = module === 'cjs' ? "require('./case.cjs')" : "import('./case.mjs')";
  return `
    const { fork, waitpid } = process.argv[2] === 'forked'
      ? require(${JSON.stringify(packageRoot)})
      : { fork: () => 0, waitpid: undefined };
    const { native } = process.argv[2] === 'forked' ? require(${JSON.stringify(join(packageRoot, 'dist', 'native'))}) : {};
    function here() {
      const pid = fork();
      if (pid === 0) return ${load};
      const { status } = waitpid(pid);
      require('node:fs').writeFileSync(process.argv[3], String(status));
      native.exitNow(0);
    }
    ${point}
  `;
}

async function end(
  kind: 'ordinary' | 'forked',
  folder: string,
  nodeFlags: readonly string[],
  main = 'main.cjs',
): Promise<Ended> {
  const statusFile = join(folder, 'status');
  const options: ProgramOptions = { env: { CASE_FOLDER: folder, NODE_DISABLE_COLORS: '1' } };
  const run = await runNode([...nodeFlags, join(folder, main), kind, statusFile], options);
  const { stdout, stderr } = run;
  if (kind === 'ordinary') {
    return { code: run.code, signal: run.signal === null ? null : (signalNumbers[run.signal] ?? NaN), stdout, stderr };
  }
  expect({ parent: run.code, stderr }).toEqual({ parent: 0, stderr });
  const status = Number(readFileSync(statusFile, 'utf8'));
  const signal = status & 0x7f;
  return { code: signal === 0 ? status >> 8 : null, signal: signal === 0 ? null : signal, stdout, stderr };
}

/**
 * Pids differ between the runs, and so do addresses in V8's own fatal reports. Node's `emit` calls one listener and
 * several from different lines, and a child has one more for `'exit'`. The end of a Worker reaches
 * its parent on one of two ways, as it happens.
 */
function comparable(ended: Ended): Ended {
  const stderr = ended.stderr
    .replace(/0x[0-9a-f]+/g, '0x…')
    .replace(/\(node:\d+\)|\[\d+\]|==\d+==/g, '(node:PID)')
    .replace(/node:events:\d+:\d+/g, 'node:events')
    .replace(/\n +at [^\n]*node:internal\/worker[^\n]*/g, '');
  return { ...ended, stderr };
}

async function bothWays(point: string, test: EndCase): Promise<{ ordinary: Ended; forked: Ended }> {
  const module = test.module ?? 'cjs';
  const folder = mkdtempSync(join(tmpdir(), 'realfork-ends-'));
  try {
    writeFileSync(join(folder, 'main.cjs'), mainSource(point, module));
    writeFileSync(join(folder, `case.${module}`), test.source);
    const flags = test.nodeFlags ?? [];
    const ordinary = comparable(await end('ordinary', folder, flags));
    const forked = comparable(await end('forked', folder, flags));
    return { ordinary, forked };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const ends: readonly EndCase[] = [
  { name: 'natural end', source: 'console.log("done");', expected: { code: 0, stdout: /done/ } },
  {
    name: 'natural end after a timer',
    source: 'setTimeout(() => console.log("late"), 10);',
    expected: { code: 0, stdout: /late/ },
  },
  {
    name: 'natural end after a promise of fs',
    source: 'require("fs").promises.readFile(__filename).then((b) => console.log(b.length));',
    expected: { code: 0, stdout: /\d/ },
  },
  {
    name: 'natural end with the first listeners of beforeExit and exit',
    source: `
      let rounds = 0;
      process.on('beforeExit', (code) => { console.log('beforeExit', code); if (rounds++ < 2) setTimeout(() => {}, 1); });
      process.on('exit', (code) => console.log('exit', code, process.exitCode));`,
    expected: { code: 0, stdout: /(beforeExit 0\n){3}exit 0 undefined/ },
  },
  { name: 'process.exit()', source: 'process.exit();', expected: { code: 0 } },
  { name: 'process.exit(0)', source: 'process.exit(0);', expected: { code: 0 } },
  { name: 'process.exit(7)', source: 'process.exit(7);', expected: { code: 7 } },
  { name: 'F28 process.exit(255)', source: 'process.exit(255);', expected: { code: 255 } },
  { name: 'F28 process.exit(256)', source: 'process.exit(256);', expected: { code: 0 } },
  { name: 'F28 process.exit(300)', source: 'process.exit(300);', expected: { code: 44 } },
  { name: 'F28 process.exit(-1)', source: 'process.exit(-1);', expected: { code: 255 } },
  { name: 'process.exit("3")', source: 'process.exit("3");', expected: { code: 3 } },
  {
    name: 'process.exit of something that is no integer',
    source: 'process.exit(1.5);',
    expected: { code: 1, stderr: /ERR_OUT_OF_RANGE|/ },
  },
  { name: 'process.exit in a timer', source: 'setTimeout(() => process.exit(9), 5);', expected: { code: 9 } },
  { name: 'process.exit in a tick', source: 'process.nextTick(() => process.exit(9));', expected: { code: 9 } },
  { name: 'process.exit in an immediate', source: 'setImmediate(() => process.exit(9));', expected: { code: 9 } },
  {
    name: 'process.exit in a promise',
    source: 'Promise.resolve().then(() => process.exit(9));',
    expected: { code: 9 },
  },
  {
    name: 'process.exit in an fs callback',
    source: 'require("fs").stat(".", () => process.exit(9));',
    expected: { code: 9 },
  },
  {
    name: 'process.exit with work pending',
    source: 'setInterval(() => {}, 1); require("fs").stat(".", () => {}); process.exit(4);',
    expected: { code: 4 },
  },
  {
    name: 'process.exit keeps what was written to a pipe',
    source: 'process.stdout.write("x".repeat(30000) + "\\n"); process.exit(2);',
    expected: { code: 2, stdout: /x\n$/ },
  },
  { name: 'process.exitCode', source: 'process.exitCode = 5;', expected: { code: 5 } },
  { name: 'process.exitCode 256', source: 'process.exitCode = 256;', expected: { code: 0 } },
  { name: 'process.exitCode as text', source: 'process.exitCode = "6";', expected: { code: 6 } },
  {
    name: 'process.exitCode then process.exit()',
    source: 'process.exitCode = 5; process.exit();',
    expected: { code: 5 },
  },
  {
    name: 'process.exitCode then process.exit(1)',
    source: 'process.exitCode = 5; process.exit(1);',
    expected: { code: 1 },
  },
  {
    name: 'process.exitCode set late',
    source: 'setTimeout(() => { process.exitCode = 8; }, 5);',
    expected: { code: 8 },
  },
  {
    name: 'process.exitCode set in beforeExit',
    source: 'process.on("beforeExit", () => { process.exitCode = 8; });',
    expected: { code: 8 },
  },
  {
    name: 'process.exitCode set in an exit listener',
    source: 'process.on("exit", () => { process.exitCode = 11; });',
    expected: { code: 11 },
  },
  {
    name: 'process.exitCode set in the last of two exit listeners',
    source:
      'process.on("exit", () => { process.exitCode = 11; }); process.on("exit", () => { process.exitCode = 12; });',
    expected: { code: 12 },
  },
  {
    name: 'process.exitCode set in an exit listener after process.exit',
    source: 'process.on("exit", () => { process.exitCode = 11; }); process.exit(3);',
    expected: { code: 11 },
  },
  {
    name: 'exit listener that throws, and somebody catches it',
    source:
      'process.on("uncaughtException", (e) => console.log("caught", e.message)); process.on("exit", () => { throw new Error("x"); });',
    expected: { code: 0, stdout: /caught x/ },
  },
  {
    name: 'beforeExit listener that throws, and somebody catches it',
    source:
      'process.on("uncaughtException", (e) => console.log("caught", e.message)); process.once("beforeExit", () => { throw new Error("x"); }); process.on("exit", (c) => console.log(c));',
    expected: { stdout: /caught x/ },
  },
  {
    name: 'process.emit replaced, as source-map-support and signal-exit do',
    source:
      'const emit = process.emit; process.emit = function (...a) { console.log("emitting", a[0]); const r = emit.apply(this, a); if (a[0] === "exit") process.exitCode = 3; return r; }; process.on("exit", () => { process.exitCode = 2; });',
    expected: { code: 3, stdout: /emitting beforeExit\nemitting exit/ },
  },
  {
    name: 'many exit listeners and one for newListener',
    source:
      'process.on("newListener", (n) => console.log("new", n)); for (let i = 0; i < 10; i++) process.on("exit", () => { process.exitCode = i; });',
    expected: { code: 9, stderr: /^$/ },
  },
  {
    name: 'process.emit called from outside',
    source:
      'process.on("x", (...a) => console.log(a)); console.log(process.emit("x", 1, 2), process.emit("y"), typeof process.emit, Object.keys(process).includes("emit"));',
    expected: { code: 0, stdout: /\[ 1, 2 \]\ntrue false function false/ },
  },
  {
    name: 'process.exit in an exit listener',
    source: 'process.on("exit", () => process.exit(13)); process.on("exit", () => console.log("never"));',
    expected: { code: 13 },
  },
  {
    name: 'process.exit in an exit listener of process.exit',
    source: 'process.on("exit", (c) => { console.log(c); process.exit(c + 1); }); process.exit(20);',
    expected: { code: 21, stdout: /20/ },
  },
  {
    name: 'process.exit in a beforeExit listener',
    source: 'process.on("beforeExit", () => process.exit(14));',
    expected: { code: 14 },
  },
  {
    name: 'exit listener that throws',
    source: 'process.on("exit", () => { throw new Error("from exit"); });',
    expected: { stderr: /from exit/ },
  },
  {
    name: 'exit listener that throws after process.exit',
    source: 'process.on("exit", () => { throw new Error("from exit"); }); process.exit(3);',
    expected: { stderr: /from exit/ },
  },
  {
    name: 'beforeExit listener that throws',
    source: 'process.on("beforeExit", () => { throw new Error("from beforeExit"); });',
    expected: { code: 1, stderr: /from beforeExit/ },
  },
  {
    name: 'exit listener that schedules work which never runs',
    source:
      'process.on("exit", () => { setTimeout(() => console.log("no"), 1); Promise.resolve().then(() => console.log("tick")); });',
    expected: { code: 0 },
  },
  {
    name: 'exit listener that writes',
    source: 'process.on("exit", (c) => { console.log("out", c); console.error("err", c); });',
    expected: { code: 0, stdout: /out 0/, stderr: /err 0/ },
  },
  {
    name: 'process.reallyExit(6)',
    source: 'process.on("exit", () => console.log("never")); process.reallyExit(6);',
    expected: { code: 6, stdout: /^$/ },
  },
  {
    name: 'process.reallyExit replaced',
    source:
      'process.reallyExit = ((real) => (c) => { console.log("leaving", c); real.call(process, c); })(process.reallyExit); process.exit(5);',
    expected: { code: 5, stdout: /leaving 5/ },
  },
  { name: 'process.abort()', source: 'process.abort();', expected: { signal: SIGABRT } },
  {
    name: 'process.kill of itself',
    source: 'process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000);',
    expected: { signal: SIGKILL },
  },
  {
    name: 'process.kill SIGTERM of itself',
    source: 'process.kill(process.pid, "SIGTERM"); setInterval(() => {}, 1000);',
    expected: { signal: SIGTERM },
  },
  {
    name: 'uncaught exception',
    source: 'function inner() { throw new Error("boom"); }\ninner();',
    expected: { code: 1, stderr: /throw new Error\("boom"\)[\s\S]*Error: boom\n\s+at inner [\s\S]*Node\.js v/ },
  },
  {
    name: 'uncaught exception with cause and properties',
    source: 'throw Object.assign(new TypeError("outer", { cause: new RangeError("inner") }), { code: "EX" });',
    expected: { code: 1, stderr: /code: 'EX'[\s\S]*RangeError: inner/ },
  },
  {
    name: 'uncaught exception that is no Error',
    source: 'throw { not: "an error" };',
    expected: { code: 1, stderr: /\{ not: 'an error' \}/ },
  },
  { name: 'uncaught exception that is null', source: 'throw null;', expected: { code: 1, stderr: /\nnull\n/ } },
  {
    name: 'uncaught exception in a timer',
    source: 'setTimeout(() => { throw new Error("in timer"); }, 2); setTimeout(() => console.log("never"), 50);',
    expected: { code: 1, stderr: /in timer/, stdout: /^$/ },
  },
  {
    name: 'uncaught exception in a tick',
    source: 'process.nextTick(() => { throw new Error("in tick"); });',
    expected: { code: 1, stderr: /in tick/ },
  },
  {
    name: 'uncaught exception in a microtask',
    source: 'queueMicrotask(() => { throw new Error("in microtask"); });',
    expected: { code: 1, stderr: /in microtask/ },
  },
  {
    name: 'uncaught exception in an immediate',
    source: 'setImmediate(() => { throw new Error("in immediate"); });',
    expected: { code: 1, stderr: /in immediate/ },
  },
  {
    name: 'uncaught exception in an fs callback',
    source: 'require("fs").stat(".", () => { throw new Error("in fs"); });',
    expected: { code: 1, stderr: /in fs/ },
  },
  {
    name: 'uncaught exception in a signal handler',
    source:
      'process.on("SIGUSR2", () => { throw new Error("in signal"); }); process.kill(process.pid, "SIGUSR2"); setInterval(() => {}, 1000);',
    expected: { code: 1, stderr: /in signal/ },
  },
  {
    name: 'uncaught exception in an event',
    source: 'new (require("events"))().emit("error", new Error("unheard"));',
    expected: { code: 1, stderr: /unheard/ },
  },
  {
    name: 'uncaught exception with exit listeners',
    source: 'process.on("exit", (c) => console.log("exit", c, process.exitCode)); throw new Error("boom");',
    expected: { code: 1, stdout: /exit 1 1/, stderr: /boom/ },
  },
  {
    name: 'uncaught exception with exitCode set before',
    source: 'process.exitCode = 9; throw new Error("boom");',
    expected: { stderr: /boom/ },
  },
  {
    name: 'uncaught exception, exit listener sets the code',
    source: 'process.on("exit", () => { process.exitCode = 17; }); throw new Error("boom");',
    expected: { code: 17, stderr: /boom/ },
  },
  {
    name: 'uncaught exception, exit listener exits',
    source: 'process.on("exit", () => process.exit(18)); throw new Error("boom");',
    expected: { code: 18, stderr: /^$/ },
  },
  {
    name: 'uncaught SyntaxError of a module',
    source: 'require("fs").writeFileSync(process.env.CASE_FOLDER + "/bad.cjs", "let let = 1;"); require("./bad.cjs");',
    expected: { code: 1, stderr: /SyntaxError/ },
  },
  {
    name: 'stack overflow',
    source: 'function f() { f(); }\nf();',
    expected: { stderr: /RangeError: Maximum call stack/ },
  },
  {
    name: 'uncaughtException handler goes on',
    source:
      'process.on("uncaughtException", (e, origin) => console.log("caught", e.message, origin)); setTimeout(() => console.log("went on"), 5); throw new Error("x");',
    expected: { code: 0, stdout: /caught x uncaughtException\nwent on/ },
  },
  {
    name: 'uncaughtException handler exits',
    source: 'process.on("uncaughtException", () => process.exit(33)); throw new Error("x");',
    expected: { code: 33 },
  },
  {
    name: 'uncaughtException handler throws',
    source: 'process.on("uncaughtException", () => { throw new Error("again"); }); throw new Error("x");',
    expected: { code: 7, stderr: /again/ },
  },
  {
    name: 'uncaughtExceptionMonitor',
    source:
      'process.on("uncaughtExceptionMonitor", (e, origin) => console.log("seen", e.message, origin)); throw new Error("x");',
    expected: { code: 1, stdout: /seen x uncaughtException/, stderr: /Error: x/ },
  },
  {
    name: 'setUncaughtExceptionCaptureCallback',
    source:
      'process.setUncaughtExceptionCaptureCallback((e) => { console.log("captured", e.message); process.exitCode = 3; }); throw new Error("x");',
    expected: { code: 3, stdout: /captured x/ },
  },
  {
    name: 'unhandled rejection',
    source: 'async function f() { throw new Error("rejected"); }\nf();',
    expected: { code: 1, stderr: /throw new Error\("rejected"\)[\s\S]*Error: rejected\n\s+at f [\s\S]*Node\.js v/ },
  },
  {
    name: 'unhandled rejection that is no Error',
    source: 'Promise.reject(42);',
    expected: { code: 1, stderr: /ERR_UNHANDLED_REJECTION/ },
  },
  {
    name: 'unhandled rejection in a timer',
    source:
      'setTimeout(async () => { throw new Error("late rejected"); }, 3); setTimeout(() => console.log("never"), 50);',
    expected: { code: 1, stderr: /late rejected/, stdout: /^$/ },
  },
  {
    name: 'unhandledRejection handler',
    source:
      'process.on("unhandledRejection", (e) => console.log("handled", e.message)); Promise.reject(new Error("r"));',
    expected: { code: 0, stdout: /handled r/ },
  },
  {
    name: 'rejection seen by the uncaughtException handler',
    source:
      'process.on("uncaughtException", (e, origin) => console.log(e.message, origin)); Promise.reject(new Error("r"));',
    expected: { code: 0, stdout: /r unhandledRejection/ },
  },
  {
    name: 'rejection handled late',
    source:
      'process.on("rejectionHandled", () => console.log("rejectionHandled")); process.on("unhandledRejection", () => console.log("unhandled")); const p = Promise.reject(new Error("r")); setTimeout(() => p.catch(() => {}), 5); setTimeout(() => {}, 15);',
    expected: { code: 0, stdout: /unhandled\nrejectionHandled/ },
  },
  {
    name: '--unhandled-rejections=warn',
    source: 'Promise.reject(new Error("warned"));',
    nodeFlags: ['--unhandled-rejections=warn'],
    expected: { code: 0, stderr: /UnhandledPromiseRejectionWarning/ },
  },
  {
    name: '--unhandled-rejections=strict',
    source: 'Promise.reject(new Error("strict"));',
    nodeFlags: ['--unhandled-rejections=strict'],
    expected: { code: 1, stderr: /strict/ },
  },
  {
    name: '--trace-exit',
    source: 'process.exit(3);',
    nodeFlags: ['--trace-exit'],
    expected: { code: 3, stderr: /Exited the environment/ },
  },
  {
    name: '--trace-uncaught',
    source: 'throw new Error("traced");',
    nodeFlags: ['--trace-uncaught'],
    expected: { code: 1, stderr: /Thrown at:/ },
  },
  { name: 'a warning', source: 'process.emitWarning("careful");', expected: { code: 0, stderr: /Warning: careful/ } },
  {
    name: 'error thrown in a domain',
    source:
      'const d = require("domain").create(); d.on("error", (e) => { console.log("domain", e.message); }); d.run(() => setTimeout(() => { throw new Error("x"); }, 1));',
    expected: { code: 0, stdout: /domain x/ },
  },
  {
    name: 'error thrown in a Worker',
    source:
      'const w = new (require("worker_threads").Worker)("throw new Error(\'in worker\')", { eval: true }); w.on("error", (e) => { console.log(e.message); process.exitCode = 4; });',
    expected: { code: 4, stdout: /in worker/ },
  },
  {
    name: 'Worker nobody listens to',
    source: 'new (require("worker_threads").Worker)("throw new Error(\'in worker\')", { eval: true });',
    expected: { code: 1, stderr: /in worker/ },
  },
  {
    name: 'process.exit with a Worker running',
    source:
      'const w = new (require("worker_threads").Worker)("setInterval(() => {}, 10); require(\'worker_threads\').parentPort.postMessage(1)", { eval: true }); w.on("message", () => process.exit(5));',
    expected: { code: 5 },
  },
  {
    name: 'ESM: natural end',
    module: 'mjs',
    source: 'await new Promise((r) => setTimeout(r, 3)); console.log("esm");',
    expected: { code: 0, stdout: /esm/ },
  },
  {
    name: 'ESM: error after a top-level await',
    module: 'mjs',
    source: 'await null;\nthrow new Error("esm boom");',
    expected: { code: 1, stderr: /esm boom/ },
  },
  {
    name: 'ESM: process.exit after a top-level await',
    module: 'mjs',
    source: 'await null; process.exit(6);',
    expected: { code: 6 },
  },
  { name: 'ESM: SyntaxError', module: 'mjs', source: 'const a = ;', expected: { code: 1, stderr: /SyntaxError/ } },
  {
    name: 'ESM: missing module',
    module: 'mjs',
    source: 'import "./nowhere.mjs";',
    expected: { code: 1, stderr: /ERR_MODULE_NOT_FOUND/ },
  },
  {
    name: 'a diagnostic report of the fatal error',
    source:
      'process.report.reportOnUncaughtException = true; process.report.directory = process.env.CASE_FOLDER; process.report.filename = "report.json"; throw new Error("reported");',
    expected: { code: 1, stderr: /report completed/ },
  },
];

function checkExpected({ ordinary }: { ordinary: Ended }, { expected }: EndCase): void {
  if (expected.code !== undefined) expect(ordinary.code).toBe(expected.code);
  if (expected.signal !== undefined) expect(ordinary.signal).toBe(expected.signal);
  if (expected.stdout) expect(ordinary.stdout).toMatch(expected.stdout);
  if (expected.stderr) expect(ordinary.stderr).toMatch(expected.stderr);
}

describe('a forked child ends as an ordinary process does', () => {
  test.each(ends.map((c) => [c.name, c] as const))('%s', async (_name, endCase) => {
    const both = await bothWays(forkPoints['the top level'] as string, endCase);
    expect(both.forked).toEqual(both.ordinary);
    checkExpected(both, endCase);
  });
});

const atEveryPoint = [
  'natural end after a timer',
  'process.exit(7)',
  'process.exitCode',
  'uncaught exception',
  'unhandled rejection',
];

describe.each(Object.entries(forkPoints).slice(1))('forked in %s', (_point, source) => {
  test.each(atEveryPoint)('%s', async (name) => {
    const endCase = ends.find((c) => c.name === name) as EndCase;
    const both = await bothWays(source, endCase);
    expect(both.forked).toEqual(both.ordinary);
    checkExpected(both, endCase);
  });
});

describe('forked in an exit listener', () => {
  const inExitListener: [string, string][] = [
    ['at the natural end', ''],
    ['after process.exit', 'process.exit(20);'],
    ['after an uncaught exception', 'throw new Error("boom");'],
  ];
  const then: [string, string][] = [
    ['nothing', ''],
    ['process.exit', 'process.exit(5);'],
    ['process.exitCode', 'process.exitCode = 6;'],
    [
      'a later listener sets process.exitCode',
      'process.on("exit", () => {}); later = () => { process.exitCode = 7; };',
    ],
  ];
  test.each(inExitListener.flatMap(([when, end]) => then.map(([what, body]) => [when, what, end, body] as const)))(
    '%s, then %s',
    async (_when, _what, end, body) => {
      const point = `let later = () => {}; process.on('exit', here); process.on('exit', () => later()); globalThis.run = (f) => f((g) => { later = g; }); ${end}`;
      const source = `globalThis.run((setLater) => { let later; ${body} if (later) setLater(later); });`;
      const both = await bothWays(point, { name: '', source, expected: {} });
      // Both run the other listeners and the end itself; the forked side's parent left at once.
      expect(both.forked).toEqual(both.ordinary);
    },
  );
});

/** ES modules as the program itself: what Node says of them is printed at the very end. */
const moduleEnds: readonly [name: string, source: string, code: number, stderr: RegExp][] = [
  ['natural end', 'console.log("end");', 0, /^/],
  ['an await that settles', 'await new Promise((r) => setTimeout(r, 5)); console.log("end");', 0, /^/],
  ['an await that never settles', 'await new Promise(() => {});', 13, /^/],
  [
    'an unsettled await and an exit listener',
    'process.on("exit", (c) => console.log(c)); await new Promise(() => {});',
    13,
    /^/,
  ],
  ['an unsettled await and process.exitCode', 'process.exitCode = 5; await new Promise(() => {});', 5, /^/],
  [
    'an unsettled await, process.exitCode set in the exit listener',
    'process.on("exit", () => { process.exitCode = 6; }); await new Promise(() => {});',
    6,
    /^/,
  ],
  ['an error', 'await null;\nthrow new Error("module");', 1, /Error: module/],
  ['process.exit', 'await null; process.exit(7);', 7, /^/],
  [
    'an unhandled rejection',
    'Promise.reject(new Error("r")); await new Promise((r) => setTimeout(r, 1000));',
    1,
    /Error: r/,
  ],
  ['an import that fails', 'await import("./nowhere.mjs");', 1, /ERR_MODULE_NOT_FOUND/],
];

describe('an ES module as the program', () => {
  test.each(moduleEnds)('%s', async (_name, source, code, stderr) => {
    const folder = mkdtempSync(join(tmpdir(), 'realfork-ends-'));
    try {
      const text = `
        import { createRequire } from 'node:module';
        import { writeFileSync } from 'node:fs';
        const require = createRequire(import.meta.url);
        if (process.argv[2] === 'forked') {
          const pid = require(${JSON.stringify(packageRoot)}).fork();
          if (pid !== 0) {
            const { status } = require(${JSON.stringify(packageRoot)}).waitpid(pid);
            writeFileSync(process.argv[3], String(status));
            require(${JSON.stringify(join(packageRoot, 'dist', 'native'))}).native.exitNow(0);
          }
        }
        ${source}`;
      writeFileSync(join(folder, 'main.mjs'), text);
      const ordinary = comparable(await end('ordinary', folder, [], 'main.mjs'));
      const forked = comparable(await end('forked', folder, [], 'main.mjs'));
      expect(forked).toEqual(ordinary);
      expect(ordinary.code).toBe(code);
      expect(ordinary.stderr).toMatch(stderr);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('an await for a request that only the parent sees the end of', async () => {
    const run = await script(
      `import { createRequire } from 'node:module';
       import { promises, read, writeSync } from 'node:fs';
       const require = createRequire(import.meta.url);
       const { fork, waitpid, pipe } = require(${JSON.stringify(packageRoot)});
       const [reader, writer] = pipe();
       read(reader, Buffer.alloc(1), 0, 1, null, () => {}); // keeps the pool's only thread busy
       const request = promises.readFile(process.execPath);
       const pid = fork();
       if (pid !== 0) writeSync(writer, 'x');
       await request;
       console.log(waitpid(pid).status >> 8);`,
      { extension: '.mjs', env: { UV_THREADPOOL_SIZE: '1' } },
    );
    expect([run.output, run.code]).toEqual(['13\n', 0]);
  });
});
