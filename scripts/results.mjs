/** Count what Jest's result files (`--json --outputFile`) say. Run by itself: `node scripts/results.mjs FILE...` */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** The counts of one result file. A test file that could not even be loaded counts as a failed test. */
export function readResults(file) {
  const results = JSON.parse(readFileSync(file, 'utf8'));
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
    skipped: results.numPendingTests + results.numTodoTests,
    suites: results.numTotalTestSuites,
  };
}

/** Add counts up. */
export function sumCounts(counts) {
  const sum = { passed: 0, failed: 0, skipped: 0, suites: 0 };
  for (const one of counts) for (const key of Object.keys(sum)) sum[key] += one[key];
  return sum;
}

/** One readable line: `12 passed, 0 failed`, with the skipped ones when there are any. */
export function describeCounts({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { passed, failed, skipped } = sumCounts(process.argv.slice(2).map(readResults));
  console.log(`${passed} ${failed} ${skipped}`);
}
