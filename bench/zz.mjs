import { Pool } from 'realfork/multiprocessing';
const how=process.argv[2];
const pool = new Pool(2, { initializer: () => { if (how==='exit') process.exit(7); if (how==='reject') return Promise.reject(new RangeError('no')); throw new Error('never'); } });
const f = (e) => [e.message, e.exitCode, e.cause?.message];
console.log(await Promise.all([pool.run(() => 1).catch(f), pool.map((x) => x, [1]).catch(f)]));
console.log(await pool.run(() => 1).catch(f));
console.log(pool.stats().forked); pool.close(); await pool.join();
