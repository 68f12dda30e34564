/**
 * Packages to compare with: installed once into a cache folder (REALFORK_PEERS_CACHE, or realfork/peers in XDG_CACHE_HOME
 * or ~/.cache), never dependencies of this package. With the cache filled no network is needed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Pools of Node, at the versions that the figures in docs/pool.md are of. */
const packages = { piscina: '5.3.2', tinypool: '2.2.0', workerpool: '10.0.3', 'jest-worker': '30.5.1' };

/** The folder whose node_modules has them; undefined, with a word about it, when they cannot be had. */
export function peersFolder() {
  const cache =
    process.env.REALFORK_PEERS_CACHE ??
    join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'realfork', 'peers');
  const missing = Object.entries(packages).filter(([name, version]) => versionIn(cache, name) !== version);
  if (missing.length === 0) return cache;
  mkdirSync(cache, { recursive: true });
  if (!existsSync(join(cache, 'package.json'))) writeFileSync(join(cache, 'package.json'), '{"private":true}\n');
  const wanted = missing.map(([name, version]) => `${name}@${version}`);
  console.log(`installing ${wanted.join(', ')} into ${cache}`);
  const npm = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...wanted],
    {
      cwd: cache,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  if (npm.status === 0) return cache;
  console.error('The npm registry cannot be reached: without the pools of npm.');
  return undefined;
}

function versionIn(cache, name) {
  try {
    return JSON.parse(readFileSync(join(cache, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}
