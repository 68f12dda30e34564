/**
 * The clients of ../prefork.mjs, in a process of their own: kept-alive connections, each with one request at a time, on bare
 * sockets, so that as little as possible of the machine goes to them. Prints requests per second, and how many each worker
 * has answered.
 *
 *     load.mjs PORT CONNECTIONS MILLISECONDS             as many requests as there is time for
 *     load.mjs PORT CONNECTIONS 0 REQUESTS WORKERS       connections until each worker has one, then so many requests each
 */
import { connect } from 'node:net';

const [port, connections, milliseconds, requests = 0, workers = 0] = process.argv.slice(2).map(Number);
const REQUEST = Buffer.from('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
const answers = new Map();

/** One connection; `again(pid)` says whether to ask once more. Resolves at its end. */
function client(again) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let text = '';
    socket.setEncoding('latin1');
    socket.on('error', reject);
    socket.on('close', resolve);
    socket.on('connect', () => socket.write(REQUEST));
    socket.on('data', (chunk) => {
      text += chunk;
      const head = text.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(text)[1]);
      if (text.length < head + 4 + length) return;
      const pid = Number(text.slice(head + 12, head + 20));
      text = '';
      answers.set(pid, (answers.get(pid) ?? 0) + 1);
      if (again(pid)) socket.write(REQUEST);
      else socket.end();
    });
  });
}

const started = performance.now();
if (milliseconds > 0) {
  const end = started + milliseconds;
  await Promise.all(Array.from({ length: connections }, () => client(() => performance.now() < end)));
} else {
  while (answers.size < workers || [...answers.values()].some((count) => count < requests)) {
    await Promise.all(
      Array.from({ length: connections }, () => client((pid) => answers.get(pid) < requests && Math.random() > 0.01)),
    );
  }
}
const total = [...answers.values()].reduce((sum, count) => sum + count, 0);
const perSecond = total / ((performance.now() - started) / 1000);
console.log(JSON.stringify({ perSecond, answers: [...answers.values()].sort((a, b) => a - b) }));
