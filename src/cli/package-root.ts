/** Where this package is installed: images, plugins and benchmarks are found from there. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/src/cli -> the package's root. */
export const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** A path as the user wrote it: from the working folder, else (for what ships with srvm) from the package. */
export function resolveShipped(path: string): string {
  const here = resolve(path);
  if (isAbsolute(path) || existsSync(here)) return here;
  const shipped = join(PACKAGE_ROOT, path);
  return existsSync(shipped) ? shipped : here;
}
