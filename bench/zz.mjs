import { fork, waitpid, _exit, forkSupport } from 'realfork';
import fs from 'node:fs';
const sw = () =>
  Object.fromEntries(
    fs
      .readdirSync('/proc/self/task')
      .map((t) => [
        t,
        fs.readFileSync(`/proc/self/task/${t}/comm`, 'utf8').trim() +
          ' ' +
          /^voluntary.*\t(\d+)/m.exec(fs.readFileSync(`/proc/self/task/${t}/status`, 'utf8'))[1] +
          ' ' +
          fs.readFileSync(`/proc/self/task/${t}/syscall`, 'utf8').trim(),
      ]),
  );
console.log(forkSupport());
for (let i = 0; i < 20; i++) {
  const p = fork();
  if (p === 0) _exit(0);
  waitpid(p);
}
console.log(sw());
for (let i = 0; i < 100; i++) {
  const p = fork();
  if (p === 0) _exit(0);
  waitpid(p);
}
console.log(sw());
const { performance } = await import('node:perf_hooks');
const t = [];
for (let i = 0; i < 300; i++) {
  const s = performance.now();
  const p = fork();
  if (p === 0) _exit(0);
  const e = performance.now() - s;
  waitpid(p);
  t.push(e);
}
t.sort((a, b) => a - b);
console.log(t[150]);
