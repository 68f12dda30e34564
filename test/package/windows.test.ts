/** The package where there is no fork: it is told, before it is loaded, that the platform is Windows. */
import { join } from 'node:path';
import { packageRoot, runNode, script } from '../helpers/program';

const root = JSON.stringify(packageRoot);
const pretend = `Object.defineProperty(process, 'platform', { value: 'win32' });`;

test('importing works, and every call that needs the system throws ERR_FEATURE_UNAVAILABLE_ON_PLATFORM', async () => {
  const run = await script(
    `${pretend}
    const realfork = require(${root});
    // Arguments that some call of the package accepts; each call is tried with all of them.
    const attempts = [
      [], [0], [1], [1, 0], [0, 0, 4], ['SIGUSR1'], [1, 'SIGUSR1'], [[]], [['SIGUSR1']], ['SIG_BLOCK', ['SIGUSR1']],
      [['SIGUSR1'], 0], [0, 10, 0], [0, { soft: 1, hard: 1 }], [0, { value: 10 }], ['nofile'], [true], [0, true], ['/bin/true', ['true']],
      ['/bin/true', ['true'], {}], ['SC_CLK_TCK'], [{ maxProcesses: 1 }], [{}],
    ];
    // Computed without the system, or a list kept by the package itself.
    const local = /^(W[A-Z]+|waitStatusToExitCode|forkSupport|registerAtFork)$/;
    const isClass = (value) => /^class\\b/.test(Function.prototype.toString.call(value));
    (async () => {
      const wrong = {};
      let unavailable = 0;
      for (const [name, call] of Object.entries(realfork)) {
        if (typeof call !== 'function' || isClass(call) || local.test(name)) continue;
        const outcomes = new Set();
        for (const args of attempts) {
          try {
            await call(...args);
            outcomes.add('returned for ' + JSON.stringify(args));
          } catch (error) {
            outcomes.add(error.code);
          }
        }
        const expected = ['ERR_FEATURE_UNAVAILABLE_ON_PLATFORM', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE', 'ERR_UNKNOWN_SIGNAL',
          'EINVAL']; // waitpidAsync judges the bits of its options itself
        if (outcomes.has(expected[0]) && [...outcomes].every((outcome) => expected.includes(outcome))) unavailable += 1;
        else wrong[name] = [...outcomes];
      }
      console.log(JSON.stringify({ wrong, enough: unavailable > 1, mode: realfork.forkSupport().mode }));
    })();`,
  );
  expect(run.stderr).toBe('');
  expect(JSON.parse(run.output)).toEqual({ wrong: {}, enough: true, mode: 'unavailable' });
});

test('installing compiles nothing there', async () => {
  const run = await script(`${pretend}
    const { ChildProcess } = require('node:child_process');
    ChildProcess.prototype.spawn = () => { throw new Error('something was started') };
    require(${JSON.stringify(join(packageRoot, 'scripts', 'install.cjs'))});`);
  expect(run).toMatchObject({ code: 0, stderr: '', output: '' });
});

test('elsewhere the same step does start the build', async () => {
  const preload = `data:text/javascript,import { ChildProcess } from 'node:child_process';
    ChildProcess.prototype.spawn = () => { console.log('started'); process.exit(5) };`;
  const run = await runNode(['--import', preload, join(packageRoot, 'scripts', 'install.cjs')]);
  expect(run).toMatchObject({ code: 5, output: 'started\n' });
});
