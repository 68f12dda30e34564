/** The memory of long buffers that are received. */
import { program } from '../helpers/program';

test('buffers have exactly their length and memory of their own; memory is used again, and given back when idle', async () => {
  const run = await program(
    async (_rf, t) => {
      const mp = t.mp;
      const gc = (globalThis as unknown as { gc: () => void }).gc;
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      const [a, b] = mp.Pipe();
      const size = 1_000_003;
      const exchange = async (value: number) => {
        const sent = b.send(new Uint8Array(size).fill(value));
        const received = (await a.recv()) as Uint8Array;
        await sent;
        return received;
      };
      const kept: Uint8Array[] = [];
      for (let i = 0; i < 20; i++) kept.push(await exchange(i));
      t.report(kept.every((bytes, i) => bytes.buffer.byteLength === size && bytes.every((byte) => byte === i)));
      // Those that are let go of do not change the others.
      kept.splice(0, 10);
      gc();
      await turn();
      for (let i = 0; i < 10; i++) kept.push(await exchange(100 + i));
      t.report(kept.every((bytes, i) => bytes.every((byte) => byte === (i < 10 ? i + 10 : i + 90))));
      const megabytes = () => process.memoryUsage.rss() / 2 ** 20;
      for (let i = 0; i < 60; i++) kept.push(await exchange(i));
      const full = megabytes();
      kept.splice(20);
      gc();
      await turn();
      await t.waitUntil(() => full - megabytes() > 40, 'the memory has been given back');
      // Nor is kept what is let go of after that.
      const less = megabytes();
      kept.length = 0;
      gc();
      await turn();
      await t.waitUntil(() => less - megabytes() > 12, 'the rest has been given back');
      a.close();
      b.close();
    },
    { nodeFlags: ['--expose-gc'] },
  );
  expect(run.reports).toEqual([true, true]);
  expect(run.code).toBe(0);
});
