/** The types of the public API lead to nothing that a plugin may not see (design, rule 3), and to no types but its own. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';

const BUILT = join(PACKAGE_ROOT, 'dist/src');

/** Every declaration file that a compiler reads for this one, relative to dist/src; other packages' by their names. */
function typesBehind(file: string): string[] {
  const found = new Set([join(BUILT, file)]);
  // grows while it is walked
  for (const path of found) {
    if (!existsSync(path)) continue;
    const text = readFileSync(path, 'utf8');
    for (const [, target] of text.matchAll(
      /(?:^(?:import|export)\b[^'"]*?from\s*|import\()['"]([^'"]+)['"]/gm,
    )) {
      found.add(
        target!.startsWith('.') ? resolve(dirname(path), target!).replace(/\.js$/, '.d.ts') : target!,
      );
    }
  }
  return [...found].map((path) => (path.startsWith(BUILT) ? relative(BUILT, path) : path));
}

it('srvm/plugin', () => {
  const types = typesBehind('plugin/api.d.ts');
  expect(types.length).toBeGreaterThan(10);
  const own = /^(plugin\/|hardware\/clock|hypervisor\/(hotplug|vf-state)\.d\.ts)/;
  expect(types.filter((path) => !own.test(path))).toEqual([]);
});
