/**
 * Which file a worker is started from: the one that the build made of a worker's module and everything it imports
 * (scripts/bundle-workers.mjs), where there is one. A thread that loads one file instead of eighty modules is up in half the
 * time, and a migration waits for two.
 *
 *   dist/src/migration/sender-core.js   ->   dist/workers/src/migration/sender-core.cjs
 */
import { statSync } from 'node:fs';

const BUILD_OUTPUT = new URL('../../', import.meta.url);

const writtenAtMs = (file: URL): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -1;

/**
 * `module` itself where it has no such file, or one older than what the compiler wrote last: who compiles without bundling
 * gets what was compiled.
 */
export function workerFile(module: URL, output: URL = BUILD_OUTPUT): URL {
  const href = String(module);
  if (!href.startsWith(output.href) || !href.endsWith('.js')) return module;
  const path = href.slice(output.href.length, -'.js'.length);
  const bundle = new URL(`workers/${path}.cjs`, output);
  const bundledAtMs = writtenAtMs(bundle);
  return bundledAtMs >= 0 && bundledAtMs >= writtenAtMs(new URL('.tsbuildinfo', output)) ? bundle : module;
}
