/** Tests are compiled by tsc first (`npm run build:test`): what Jest runs is plain JavaScript, the same on every Node. */
const { pace } = require('./scripts/pace.cjs');

process.env.REALFORK_PACE ??= String(pace()); // seen by Jest's workers and by the programs of the tests

module.exports = {
  roots: ['<rootDir>/test-dist'],
  testMatch: ['**/*.test.js'],
  testPathIgnorePatterns: ['/node_modules/', ...(process.env.REALFORK_STRESS === '1' ? [] : ['/test-dist/stress/'])],
  transform: {},
  maxWorkers: 2,
  testTimeout: 60_000 * Number(process.env.REALFORK_PACE),
  setupFilesAfterEnv: ['<rootDir>/test-dist/helpers/paced-limits.js'],
};
