/** What Node itself keeps and renews by timers and background work, in a child that has forgotten its parent's. */
import { cleanProgram } from '../helpers/program';

test("the Date header of a child's answers is not the parent's last one", async () => {
  const run = await cleanProgram(async (rf, t) => {
    const http = require('node:http') as typeof import('node:http');
    const ask = async () => {
      const server = http.createServer((_request, response) => response.end());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as import('node:net').AddressInfo;
      const response = await new Promise<import('node:http').IncomingMessage>((resolve) =>
        http.get({ port, host: '127.0.0.1', agent: false }, resolve),
      );
      response.resume();
      server.close();
      return Date.parse(response.headers.date as string);
    };
    const before = await ask();
    const child = new t.mp.Process({
      target: async () => {
        await t.waitUntil(() => Date.now() >= before + 1_100, 'the next second');
        t.report({ isLater: (await ask()) > before });
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual([{ isLater: true }, 0]);
});

test('fetch works in a child, used there for the first time', async () => {
  const run = await cleanProgram(async (rf, t) => {
    const http = require('node:http') as typeof import('node:http');
    const child = new t.mp.Process({
      target: async () => {
        const server = http.createServer((_request, response) => response.end('fetched'));
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const { port } = server.address() as import('node:net').AddressInfo;
        t.report(await (await fetch(`http://127.0.0.1:${port}`)).text());
        server.close();
        server.closeAllConnections();
      },
    });
    child.start();
    await child.join();
    t.report(child.exitCode);
  });
  expect(run.reports).toEqual(['fetched', 0]);
});
