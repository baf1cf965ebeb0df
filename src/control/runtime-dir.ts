/**
 * Where running VMMs are found by name: one control socket per name in the user's runtime folder.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const SUFFIX = '.qmp';

/** A name that cannot be part of a socket's path. */
export class BadNameError extends Error {
  override readonly name = 'BadNameError';
}

export function runtimeDir(): string {
  const base = process.env['SRVM_RUNTIME_DIR'] ?? process.env['XDG_RUNTIME_DIR'] ?? tmpdir();
  const folder = join(base, `srvm-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** @throws BadNameError for a name with characters other than letters, digits, `-`, `_` and `.`. */
export function controlSocketOf(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new BadNameError(
      `'${name}' is no name for a VM: use letters, digits, '-', '_' and '.', at most 64`,
    );
  }
  return join(runtimeDir(), name + SUFFIX);
}

export function runningNames(): string[] {
  return readdirSync(runtimeDir())
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .sort();
}
