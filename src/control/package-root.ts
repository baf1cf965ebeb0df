/** Where this package is installed, and where it keeps things: images, plugins, benchmarks, the image cache. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/src/control -> the package's root. */
export const PACKAGE_ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** A path as the user wrote it: from the working folder, else (for what ships with srvm) from the package. */
export function resolveShipped(path: string): string {
  const here = resolve(path);
  if (isAbsolute(path) || existsSync(here)) return here;
  const shipped = join(PACKAGE_ROOT, path);
  return existsSync(shipped) ? shipped : here;
}

/** Where built images are kept between runs. */
export function imageCacheDir(): string {
  return (
    process.env['SRVM_CACHE_DIR'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'srvm')
  );
}
