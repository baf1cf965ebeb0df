/** What `npm pack` would publish: enough to write, prove and run a plugin, and nothing else. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../src/control/package-root.js';

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

const files = new Set<string>();

beforeAll(() => {
  const text = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: PACKAGE_ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  });
  // by package name in npm's newer versions
  const packed = Object.values(JSON.parse(text) as Record<string, Packed>)[0]!;
  for (const { path } of packed.files) files.add(path);
});

it('has what package.json points to', () => {
  const { bin, exports } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
    bin: Record<string, string>;
    exports: Record<string, Record<string, string>>;
  };
  const targets = [...Object.values(bin), ...Object.values(exports).flatMap((each) => Object.values(each))];
  expect(targets.map((path) => normalize(path)).filter((path) => !files.has(path))).toEqual([]);
});

it('has every file that one of its files imports', () => {
  const missing: string[] = [];
  for (const path of files) {
    if (!/^dist\/.*\.(js|d\.ts)$/.test(path)) continue;
    const text = readFileSync(join(PACKAGE_ROOT, path), 'utf8');
    for (const [, target] of text.matchAll(/^(?:import|export)\b[^'"]*?from\s+['"](\.[^'"]+)['"]/gm)) {
      const wanted = join(
        dirname(path),
        path.endsWith('.d.ts') ? target!.replace(/\.js$/, '.d.ts') : target!,
      );
      if (!files.has(wanted)) missing.push(`${path}: ${target}`);
    }
  }
  expect(missing).toEqual([]);
});

it('has no test, no build state, no other vendor’s packages', () => {
  const strange = [...files].filter((path) =>
    /(^|\/)(test|fixtures)\/|\.(map|key|tsbuildinfo)$|debian/.test(path),
  );
  expect(strange).toEqual([]);
});
