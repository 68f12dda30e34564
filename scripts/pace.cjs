/**
 * How slow this machine is for what forking is made of: `node scripts/pace.cjs` prints a factor from 1 (as fast as the
 * machines that the tests were written on, or faster) to 8.
 *
 * A forked process copies each page that it writes to, which is a page fault; on a virtual machine whose host is busy one
 * takes 20 µs in place of 2. The limits after which a test is taken for hanging are multiplied by the factor, and
 * `.ci/run` chooses by it how much of the long loops it can do. What a test asserts is not changed by it.
 */
const PAGE = 4096;
const PAGES = 4096;
/** Microseconds for a fault where the limits were chosen. */
const USUAL = 2.5;
const SLOWEST = 8;

function pace() {
  const times = [];
  for (let i = 0; i < 5; i++) {
    const memory = Buffer.allocUnsafeSlow(PAGE * PAGES);
    const start = process.hrtime.bigint();
    for (let at = 0; at < memory.length; at += PAGE) memory[at] = 1;
    times.push(Number(process.hrtime.bigint() - start) / 1e3 / PAGES);
  }
  const factor = times.sort((a, b) => a - b)[2] / USUAL;
  return Math.min(SLOWEST, Math.max(1, Math.round(factor * 10) / 10));
}

module.exports = { pace };
if (require.main === module) console.log(pace());
