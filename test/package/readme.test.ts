import { firstExample, withNumberedPids } from './readme';

const readme = [
  '# title',
  '```sh\nnpm ci\n```',
  "```js\nimport { fork } from 'realfork';\nfork();\n```",
  'prints',
  '```text\nI am 4711, child of 4710; 4711\n```',
].join('\n');

test('the first JavaScript block and the output after it are found', () => {
  expect(firstExample(readme)).toEqual({
    code: "import { fork } from 'realfork';\nfork();\n",
    output: 'I am 4711, child of 4710; 4711\n',
    extension: '.mjs',
  });
});

test('a README without program or output is refused', () => {
  expect(() => firstExample('```sh\nls\n```')).toThrow('no JavaScript block');
  expect(() => firstExample("```js\nrequire('realfork')\n```\n```sh\nls\n```")).toThrow('not followed by');
});

test('pids are compared by their order of appearance, nothing else', () => {
  expect(withNumberedPids('I am 4711, child of 4710; 4711')).toBe('I am #1, child of #2; #1');
  expect(withNumberedPids('99 or 1e100')).toBe('99 or 1e100');
});
