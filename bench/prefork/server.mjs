/** The servers of ../prefork.mjs: one application of 100 MB of objects, under realfork/prefork and under node:cluster. */
import cluster from 'node:cluster';
import { createServer } from 'node:http';

/** Objects as applications hold them: records with strings, numbers and arrays. */
function load() {
  const before = process.memoryUsage().heapUsed;
  const records = [];
  const size = () => process.memoryUsage().heapUsed - before;
  for (let i = 0; size() < 100 * 2 ** 20;) {
    for (let k = 0; k < 2000; k++, i++) records.push({ id: i, name: 'user' + i, v: i / 3, tags: [i, 't' + i] });
  }
  return records;
}

/** Each request reads one of the objects and makes a short-lived answer, with the pid of who has answered. */
function serve(records) {
  let next = 0;
  return createServer((_request, response) => {
    next = (next + 7919) % records.length;
    const body = JSON.stringify({ pid: String(process.pid).padStart(8), record: records[next] });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  });
}

const [kind, workers] = [process.argv[2], Number(process.argv[3])];
if (kind === 'prefork') {
  const { prefork } = await import('realfork/prefork');
  const server = await prefork({ workers, host: '127.0.0.1', load, serve });
  console.log(server.address.port);
} else if (cluster.isPrimary) {
  if (kind === 'cluster, shared handle') cluster.schedulingPolicy = cluster.SCHED_NONE;
  let listening = 0;
  for (let i = 0; i < workers; i++) {
    cluster.fork().on('listening', ({ port }) => {
      if (++listening === workers) console.log(port);
    });
  }
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
} else {
  serve(load()).listen(0, '127.0.0.1');
}
