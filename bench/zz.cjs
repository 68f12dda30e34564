const mp = require('../dist/multiprocessing.js');
(async () => { 
if (process.argv[2]==='pool') {const pool = new mp.Pool(1);
for (let i=0;i<12;i++) await pool.run(() => i);
await pool.terminate(); return; }
for (let i=0;i<12;i++) { const p = new mp.Process({target: () => {}}); p.start(); await p.join(); }
 })();
