import { Pool } from 'realfork/multiprocessing';
const pool = new Pool(2);
const q=(a,p)=>{const b=[...a].sort((x,y)=>x-y);return b[Math.floor(b.length*p)].toFixed(0);};
const t=[];
for (let i=0;i<600;i++){ const s=performance.now(); await pool.run(() => i); if(i>20) t.push((performance.now()-s)*1e3); }
console.log('µs per closure', q(t,.02), q(t,.05), q(t,.1),q(t,.25),q(t,.5));
await pool.terminate();
