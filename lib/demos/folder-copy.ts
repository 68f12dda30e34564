import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getpid } from '../index';
import { Pool, Queue } from '../multiprocessing';
import type { Demo } from './demo';
import { check, print } from './stage';

const FILES = 20;

export const folderCopy: Demo = {
  name: 'folder-copy',
  title: 'a folder copied by a pool, with percentages',
  plan: `Make a folder of ${FILES} files. Hand in one task for each file to a pool of three workers: it copies the file, and puts its
    name into a queue. The parent takes the names out and prints how much is done.`,
  lesson: `The pool carries the work to the workers, the queue carries the news back while the work goes on: a result is there only when
    its task has ended, a message at any time. A name that never comes would be waited for, so the parent
    watches for tasks that fail as well. The command "realfork cp" is this program grown up.`,

  async run() {
    const folder = mkdtempSync(join(tmpdir(), 'realfork-demo-'));
    try {
      await copyFolder(join(folder, 'photos'), join(folder, 'photos [copy]'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function copyFolder(from: string, to: string): Promise<void> {
  mkdirSync(from);
  mkdirSync(to);
  for (let i = 0; i < FILES; i++) writeFileSync(join(from, `photo-${i}.jpg`), `picture ${i}\n`.repeat(100 * i));
  const names = readdirSync(from);
  const queue = new Queue<{ name: string; pid: number }>();
  const copyOne = (name: string): void => {
    copyFileSync(join(from, name), join(to, name));
    queue.putSync({ name, pid: getpid() });
  };

  print(`parent (pid ${getpid()}) copies ${names.length} files with three workers`);
  const pool = new Pool(3);
  const results = names.map((name) => pool.applyAsync(copyOne, [name]));
  pool.close();
  const failure = new Promise<never>((_resolve, reject) => {
    for (const result of results) result.get().catch(reject);
  });
  for (let done = 1; done <= names.length; done++) {
    const { name, pid } = await Promise.race([queue.get(), failure]);
    const percent = `${Math.round((100 * done) / names.length)} %`.padStart(5);
    print(`${percent}  ${name.padEnd(12)} by process ${pid}`);
  }
  await pool.join();
  queue.close();
  check(readdirSync(to).length === names.length, 'every file has a copy');
  check(
    names.every((name) => readFileSync(join(from, name)).equals(readFileSync(join(to, name)))),
    'every copy has the content of its original',
  );
  print('every copy is like its original');
}
