import { Pool } from 'realfork/multiprocessing';
const pool = new Pool(2);
const u=[],f=[], p=[];
const q=(a,p)=>{const b=[...a].sort((x,y)=>x-y);return b[Math.floor(b.length*p)].toFixed(0);};
for (let i=0;i<400;i++){ const c0=process.cpuUsage(); const c = await pool.run(() => { const c=process.cpuUsage(); const r=process.resourceUsage(); return [c.user+c.system,r.minorPageFault]; }); const c1=process.cpuUsage(c0); u.push(c[0]);f.push(c[1]);p.push(c1.user+c1.system);}
console.log('child cpu to closure', q(u,.1),q(u,.5),'faults',q(f,.1),q(f,.5),'parent cpu per call',q(p,.1),q(p,.5));
await pool.terminate();
